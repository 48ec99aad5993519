"""Removing what is over: files first, then the row says so. Two at work share the batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from service import queries
from service.db import Database
from service.media import Media
from service.queries import ExpiredFile
from service.threads import Threads, in_thread

BATCH_FILES = 500

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What one run did."""

    files: int = 0
    bytes: int = 0
    failed: int = 0


async def clean_expired(
    db: Database, media: Media, threads: Threads, slot_id: str | None = None
) -> Cleaned:
    """Remove every expired file, of one slot or of all. A file that cannot be removed is tried
    again by the next run. Raises `DatabaseUnavailable`."""
    done, last = Cleaned(), None
    while True:
        async with db.transaction() as session:
            batch = await queries.media_expired(session, slot_id, last, BATCH_FILES)
            gone = await in_thread(threads.disk, _unlink, media, batch)
            await queries.media_clean(session, [file.id for file in gone])
        done = Cleaned(
            files=done.files + len(gone),
            bytes=done.bytes + sum(file.bytes for file in gone),
            failed=done.failed + len(batch) - len(gone),
        )
        if len(batch) < BATCH_FILES:
            return done
        last = batch[-1]


def _unlink(media: Media, batch: Sequence[ExpiredFile]) -> list[ExpiredFile]:
    gone = []
    for file in batch:
        try:
            media.path(file.path).unlink(missing_ok=True)
        except OSError as error:
            log.error("cleanup.not_removed", path=file.path, error=error.strerror)
            continue
        gone.append(file)
    return gone
