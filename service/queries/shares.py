"""Shares: links that open galleries."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from service.storage.database import Runner


@dataclass(frozen=True, slots=True)
class Share:
    """A gallery link: of one slot, or of all when `slot_id` is None."""

    id: UUID
    slot_id: str | None
    label: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None


async def add(
    db: Runner, share_id: UUID, slot_id: str | None, label: str, admin: str, expires_at: datetime
) -> Share:
    """Give out a link."""
    row = await db.one("share_add", share_id, slot_id, label, admin, expires_at)
    assert row is not None
    return Share(**row)


async def by_id(db: Runner, share_id: UUID) -> Share | None:
    """A link, whatever became of it."""
    row = await db.one("share_by_id", share_id)
    return Share(**row) if row else None


async def newest(db: Runner, limit: int) -> list[Share]:
    """Links, newest first."""
    return [Share(**row) for row in await db.many("share_newest", limit)]


async def revoke(db: Runner, share_id: UUID) -> bool:
    """Take a link back; False when it already was."""
    return await db.run("share_revoke", share_id) == 1
