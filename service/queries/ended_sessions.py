"""Ended sessions: those that were ended before their time."""

from datetime import datetime
from uuid import UUID

from service.storage.database import Database


async def add(db: Database, jti: UUID, expires_at: datetime) -> None:
    """End a session."""
    await db.run("ended_session_add", jti, expires_at)


async def contains(db: Database, jti: UUID) -> bool:
    """Whether a session was ended."""
    ended: bool = await db.value("ended_session_contains", jti)
    return ended
