"""Gallery: the pictures it shows."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from service.storage.database import Runner


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


async def page(db: Runner, slot_id: str | None, per_slot: int) -> list[GalleryRow]:
    """The newest pictures of a slot, or of every slot; empty when there is no such slot."""
    rows = await db.many("gallery_page", slot_id, per_slot)
    return [GalleryRow(**row) for row in rows]
