"""Gallery links and what they show."""

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


@dataclass(frozen=True, slots=True)
class GalleryRow:
    """A picture of a slot; a slot without pictures has one row without a job."""

    slot_id: str
    slot_name: str
    job_id: UUID | None
    finished_at: datetime | None
    path: str | None
    mime: str | None
    width: int | None
    height: int | None
    expires_at: datetime | None


async def share_add(
    db: Runner, share_id: UUID, slot_id: str | None, label: str, admin: str, expires_at: datetime
) -> Share:
    """Give out a link."""
    row = await db.one("share_add", share_id, slot_id, label, admin, expires_at)
    assert row is not None
    return Share(**row)


async def share_by_id(db: Runner, share_id: UUID) -> Share | None:
    """A link, whatever became of it."""
    row = await db.one("share_by_id", share_id)
    return Share(**row) if row else None


async def share_list(db: Runner, limit: int) -> list[Share]:
    """Links, newest first."""
    return [Share(**row) for row in await db.many("share_list", limit)]


async def share_revoke(db: Runner, share_id: UUID) -> bool:
    """Take a link back; False when it already was."""
    return await db.run("share_revoke", share_id) == 1


async def gallery_page(db: Runner, slot_id: str | None, per_slot: int) -> list[GalleryRow]:
    """The newest pictures of a slot, or of every slot; empty when there is no such slot."""
    rows = await db.many("gallery_page", slot_id, per_slot)
    return [GalleryRow(**row) for row in rows]
