"""Cleanup of what is over, for the admins' button and bin/cleanup: files first, then their rows.

Everything goes in batches that skip what others have locked, so that cleaners share the work and no
shot waits. What fails is logged, counted and tried again by the next run; the rest goes on.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import TypeVar

import structlog

from service.config import Config
from service.errors import PhotoslotError
from service.pictures.inspect import inspect
from service.queries import cleanup, installation, jobs, media, workers
from service.queries.jobs import DeadJob
from service.queries.media import ExpiredFile, KeptFile
from service.state import State
from service.storage.database import Database, Transaction
from service.storage.media import Media, disk_errors, left_behind
from service.threads import Threads, in_thread
from service.upkeep.media_owner import check_folder

BATCH_FILES = 500
BATCH_NAMES = 1000
BATCH_ROWS = 1000
# While shots are taken a lane rests this many times as long as it works.
RESTS = 16
LONGEST_WINDOW_SECONDS = 60
# A row comes a moment after its file. A day leaves time to notice that a database was restored
# without the files that came after its backup, or the other way round.
ORPHAN_SECONDS = 24 * 3600.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a run removed, or would remove: files and their bytes, rows, what could not be removed;
    jobs of dead processes that it ended, and that it adopted by their pictures."""

    files: int = 0
    bytes: int = 0
    rows: int = 0
    failed: int = 0
    interrupted: int = 0
    adopted: int = 0

    def __add__(self, other: "Cleaned") -> "Cleaned":
        return Cleaned(
            self.files + other.files,
            self.bytes + other.bytes,
            self.rows + other.rows,
            self.failed + other.failed,
            self.interrupted + other.interrupted,
            self.adopted + other.adopted,
        )


@dataclass(frozen=True, slots=True)
class Stray:
    """A file nobody will ask for."""

    path: str
    bytes: int


File = ExpiredFile | Stray
F = TypeVar("F", ExpiredFile, Stray)


def _say_nothing(_task: str, _cleaned: Cleaned) -> None:
    return


@dataclass(frozen=True, slots=True)
class Cleaner:
    """What a run needs. `worker` is who cleans, 0 for one who takes no shots; `lanes` batches of
    files are under way at once; `tell` hears of each batch by the name of its task."""

    config: Config
    db: Database
    media: Media
    threads: Threads
    worker: int = 0
    lanes: int = 1
    tell: Callable[[str, Cleaned], None] = _say_nothing


Task = Callable[[Cleaner], Awaitable[Cleaned]]
Remove = Callable[[Cleaner], Awaitable[int]]


def cleaner_of(state: State) -> Cleaner:
    """One who cleans beside the shots of a process."""
    return Cleaner(state["config"], state["db"], state["media"], state["threads"], state["worker"])


async def clean(cleaner: Cleaner) -> Cleaned:
    """Clean the whole installation, and remember how it went.

    Raises `StorageError` for a folder that is not this database's, `DatabaseUnavailable` when it is
    away from the start: then nothing has changed."""
    started = time.monotonic()
    await check_folder(cleaner.db, cleaner.media)
    total = Cleaned()
    for name, task in TASKS.items():
        total += await _tried(cleaner, name, task)
    await _remember(cleaner.db, total, time.monotonic() - started)
    return total


async def clean_slot(cleaner: Cleaner, slot_id: str) -> Cleaned:
    """Remove the expired files of one slot. Raises as `clean` does."""
    await check_folder(cleaner.db, cleaner.media)
    return await _expired_files(cleaner, slot_id)


async def _tried(cleaner: Cleaner, name: str, task: Task) -> Cleaned:
    """One kind of rows that cannot be removed must not keep the disk from being emptied."""
    cleaner.tell(name, Cleaned())
    try:
        return await task(cleaner)
    except PhotoslotError as error:
        log.error("cleanup.failed", task=name, reason=error.reason, why=error.private)
    except Exception:
        log.exception("cleanup.failed", task=name)
    return Cleaned(failed=1)


async def _remember(db: Database, total: Cleaned, seconds: float) -> None:
    await installation.record_cleanup(
        db,
        seconds=seconds,
        failures=total.failed,
        files=total.files,
        size=total.bytes,
        rows=total.rows,
    )


async def due(cleaner: Cleaner) -> Cleaned:
    """What a run would do now; changes nothing. Raises as `clean` does."""
    await check_folder(cleaner.db, cleaner.media)
    found = await cleanup.due(cleaner.db, cleaner.config.job_retention_days)
    total = Cleaned(found.files, found.bytes, found.rows, interrupted=found.interrupted)
    total += Cleaned(files=len(await _left_behind(cleaner)))
    async for paths in _orphans(cleaner):
        total += Cleaned(files=len(paths))
    return total


async def heal(cleaner: Cleaner) -> Cleaned:
    """Put right what processes that died have left: their jobs and their temporary files. Raises
    `StorageError` for a folder that is not this database's: what lies there says nothing of them.
    """
    await check_folder(cleaner.db, cleaner.media)
    return await _dead_jobs(cleaner) + await _temporary_files(cleaner)


async def _dead_jobs(cleaner: Cleaner) -> Cleaned:
    """A job whose picture lies on the disk is done; the others were interrupted."""
    adopted = 0
    for job in await jobs.dead(cleaner.db, cleaner.worker):
        adopted += await _adopt(cleaner, job)
    interrupted = await jobs.interrupt(cleaner.db, cleaner.worker)
    done = Cleaned(adopted=adopted, interrupted=len(interrupted))
    cleaner.tell("jobs of dead processes", done)
    return done


async def _adopt(cleaner: Cleaner, job: DeadJob) -> bool:
    path = cleaner.media.result_of(job.id)
    if path is None:
        return False
    try:
        result, kept_at = await in_thread(cleaner.threads.images, _kept_file, cleaner, path)
    except PhotoslotError as error:
        log.error("cleanup.not_adopted", job_id=str(job.id), path=path, reason=error.reason)
        return False
    return await jobs.adopt(cleaner.db, job, result, kept_at)


def _kept_file(cleaner: Cleaner, path: str) -> tuple[KeptFile, datetime]:
    """A result as its row would have described it, and when it was kept. Blocks."""
    with disk_errors():
        data = cleaner.media.path(path).read_bytes()
        kept_at = datetime.fromtimestamp(cleaner.media.path(path).stat().st_mtime, UTC)
    info = inspect(data, cleaner.config.max_image_megapixels * 1_000_000)
    expires_at = kept_at + timedelta(hours=cleaner.config.result_ttl_hours)
    size = info.width, info.height
    return (
        KeptFile(path, info.mime, len(data), hashlib.sha256(data).digest(), *size, expires_at),
        kept_at,
    )


async def _temporary_files(cleaner: Cleaner) -> Cleaned:
    """What dead processes left in `temp/`."""
    return await _removed(cleaner, "temporary files", await _left_behind(cleaner))


async def _left_behind(cleaner: Cleaner) -> list[Stray]:
    """The files are listed before the living are asked for: whoever comes after that is in neither
    list."""
    found = await in_thread(cleaner.threads.disk, cleaner.media.list_temp)
    alive = await workers.alive(cleaner.db)
    stale = LONGEST_WINDOW_SECONDS + cleaner.config.temp_ttl_seconds
    paths = [f"temp/{path.name}" for path in left_behind(found, alive, stale)]
    return await in_thread(cleaner.threads.disk, _strays, cleaner.media, paths, 0)


async def _orphan_files(cleaner: Cleaner) -> Cleaned:
    total = Cleaned()
    async for strays in _orphans(cleaner):
        total += await _removed(cleaner, "orphan files", strays)
    return total


async def _orphans(cleaner: Cleaner) -> AsyncIterator[list[Stray]]:
    """Batches of files that no row names and that have been there for a while."""
    disk, names = cleaner.threads.disk, cleaner.media.kept_files()
    while paths := await in_thread(disk, lambda: list(islice(names, BATCH_NAMES))):
        started = time.monotonic()
        unknown = await cleanup.unknown(cleaner.db, paths)
        yield await in_thread(disk, _strays, cleaner.media, unknown, ORPHAN_SECONDS)
        await _let_shots_pass(cleaner, started)


def _strays(media: Media, paths: Sequence[str], older_than_seconds: float) -> list[Stray]:
    """Those of the files that are there and have not changed for a while. Blocks."""
    found, latest = [], time.time() - older_than_seconds
    for path in paths:
        with disk_errors(), suppress(FileNotFoundError):
            status = media.path(path).lstat()
            if status.st_mtime <= latest:
                found.append(Stray(path, status.st_size))
    return found


async def _expired_files(cleaner: Cleaner, slot_id: str | None = None) -> Cleaned:
    """Every file whose time is over, in lanes: while the files of one batch are removed, the rows
    of another are written."""
    batches = _Batches(slot_id)
    lanes = await asyncio.gather(*(_lane(cleaner, batches) for _ in range(cleaner.lanes)))
    return sum(lanes, Cleaned())


@dataclass(slots=True)
class _Batches:
    """How far the lanes have come; one at a time takes the next batch."""

    slot_id: str | None
    last: ExpiredFile | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def next_batch(self, transaction: Transaction) -> list[ExpiredFile]:
        async with self.lock:
            batch = await media.expired(transaction, self.slot_id, self.last, BATCH_FILES)
            self.last = batch[-1] if batch else self.last
            return batch


async def _lane(cleaner: Cleaner, batches: _Batches) -> Cleaned:
    total = Cleaned()
    while True:
        started = time.monotonic()
        async with cleaner.db.transaction() as transaction:
            batch = await batches.next_batch(transaction)
            gone = await in_thread(cleaner.threads.disk, _unlink, cleaner.media, batch)
            await media.mark_cleaned(transaction, [file.id for file in gone])
        if not batch:
            return total
        total += _report(cleaner, "expired files", batch, gone)
        await _let_shots_pass(cleaner, started)


async def _let_shots_pass(cleaner: Cleaner, started: float) -> None:
    """Nobody waits for a cleanup, and somebody for every shot."""
    if await cleanup.must_wait(cleaner.db):
        await asyncio.sleep(RESTS * (time.monotonic() - started))


async def _removed(cleaner: Cleaner, task: str, strays: Sequence[Stray]) -> Cleaned:
    gone = await in_thread(cleaner.threads.disk, _unlink, cleaner.media, strays)
    return _report(cleaner, task, strays, gone)


def _report(cleaner: Cleaner, task: str, batch: Sequence[File], gone: Sequence[File]) -> Cleaned:
    size = sum(file.bytes for file in gone)
    done = Cleaned(files=len(gone), bytes=size, failed=len(batch) - len(gone))
    cleaner.tell(task, done)
    return done


def _unlink(media: Media, batch: Sequence[F]) -> list[F]:
    """Those of the files that are gone now. Blocks. Raises `StorageError` when the folder went
    away meanwhile."""
    media.check()
    gone, root = [], str(media.root)
    for file in batch:
        try:
            os.unlink(f"{root}/{file.path}")
        except FileNotFoundError:
            pass
        except OSError as error:
            log.error("cleanup.not_removed", path=file.path, error=error.strerror)
            continue
        gone.append(file)
    return gone


async def _rows(cleaner: Cleaner, task: str, remove: Remove) -> Cleaned:
    """Remove rows batch by batch until there are none left."""
    total = Cleaned()
    while True:
        started = time.monotonic()
        removed = Cleaned(rows=await remove(cleaner))
        cleaner.tell(task, removed)
        total += removed
        if removed.rows < BATCH_ROWS:
            return total
        await _let_shots_pass(cleaner, started)


ROWS: Mapping[str, Remove] = {
    "jobs": lambda one: cleanup.jobs(one.db, one.config.job_retention_days, BATCH_ROWS),
    "audit": lambda one: cleanup.audit(one.db, one.config.job_retention_days, BATCH_ROWS),
    "gallery links": lambda one: cleanup.shares(one.db, BATCH_ROWS),
    "sessions": lambda one: cleanup.sessions(one.db, BATCH_ROWS),
    "failed passwords": lambda one: cleanup.throttles(one.db, BATCH_ROWS),
    "turns": lambda one: cleanup.turns(one.db, BATCH_ROWS),
    "worker leases": lambda one: cleanup.leases(one.db, BATCH_ROWS),
}
TASKS: Mapping[str, Task] = {
    "jobs of dead processes": _dead_jobs,
    "temporary files": _temporary_files,
    "expired files": _expired_files,
    "orphan files": _orphan_files,
    **{name: partial(_rows, task=name, remove=remove) for name, remove in ROWS.items()},
}
