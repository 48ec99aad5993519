"""Media objects, files that rows name: results, previews, and those whose time is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from service.crypto import Digest
from service.storage.database import Database, Runner, Transaction


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file under MEDIA_ROOT as its row describes it."""

    path: str
    mime: str
    bytes: int
    sha256: Digest
    width: int
    height: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Preview:
    """Where the preview of a picture lies."""

    path: str
    bytes: int
    sha256: Digest


async def preview(db: Database, job_id: UUID) -> Preview | None:
    """The preview of a job's picture, once somebody has asked for it."""
    row = await db.one("media_preview", job_id)
    return Preview(**row) if row else None


async def add_preview(db: Database, job_id: UUID, preview: KeptFile) -> None:
    """Remember a preview."""
    await db.run(
        "media_add_preview",
        *(job_id, preview.path, preview.bytes, preview.sha256),
        *(preview.width, preview.height, preview.expires_at),
    )


async def lock_result(transaction: Transaction, job_id: UUID) -> bool:
    """Keep a picture from everybody else until the transaction ends; False when it is gone."""
    return await transaction.value("media_lock_result", job_id) is not None


async def forget(transaction: Transaction, job_id: UUID) -> list[str]:
    """Every file of a job counts as removed from now on; the paths they are at."""
    return [row["path"] for row in await transaction.many("media_forget", job_id)]


async def mark_gone(db: Database, job_id: UUID, kind: str) -> None:
    """Remember that a file of a job is missing on disk."""
    await db.run("media_mark_gone", job_id, kind)


@dataclass(frozen=True, slots=True)
class ExpiredFile:
    """A file to remove."""

    id: UUID
    path: str
    bytes: int
    expires_at: datetime


async def expired(
    db: Runner, slot_id: str | None, last: ExpiredFile | None, limit: int
) -> list[ExpiredFile]:
    """A batch of files whose time is over, behind `last`; locked until the transaction ends."""
    place = (last.expires_at, last.id) if last else (None, None)
    return [ExpiredFile(**row) for row in await db.many("media_expired", slot_id, *place, limit)]


async def mark_cleaned(db: Runner, ids: Sequence[UUID]) -> None:
    """These files are removed."""
    await db.run("media_mark_cleaned", ids)
