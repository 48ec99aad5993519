"""Sessions that were ended before their time."""

from datetime import datetime
from uuid import UUID

from service.storage.database import Database


async def session_end(db: Database, jti: UUID, expires_at: datetime) -> None:
    """End a session."""
    await db.run("session_end", jti, expires_at)


async def session_has_ended(db: Database, jti: UUID) -> bool:
    """Whether a session was ended."""
    ended: bool = await db.value("session_has_ended", jti)
    return ended
