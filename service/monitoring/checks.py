"""Health checks beside the shots: whether one could be taken, how full everything is.

Nothing here runs by itself: somebody asks, and is told what the last look saw.
"""

from dataclasses import dataclass

from service.config import Config
from service.errors import PhotoslotError, StorageFull
from service.monitoring.cached_check import CachedCheck
from service.monitoring.provider_health import ProviderHealth
from service.queries import installation, slots, stats
from service.queries.installation import InstallationStatus
from service.queries.slots import SlotUse
from service.queries.stats import Storage
from service.storage.database import Database
from service.storage.media import Media, Space
from service.storage.schema import misfit
from service.threads import Threads, in_thread

HEALTH_SECONDS = 1.0
USAGE_SECONDS = 10.0
NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True)
class DatabaseCheck:
    """`reason` is ok, `schema_mismatch`, or why the database cannot be used; `schema` is the newest
    migration it has."""

    reason: str
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class MediaCheck:
    """`reason` is ok, or why no photo can be kept; the room on its disk as far as it is known."""

    reason: str
    space: Space | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What the database knows of the installation: kept files, slots in use, upkeep."""

    storage: tuple[Storage, ...]
    slots: tuple[SlotUse, ...]
    now: InstallationStatus


@dataclass(frozen=True, slots=True)
class Checks:
    """A cached check for each thing that is looked at; `usage` is None while the database is away.
    The health of providers never keeps anybody waiting."""

    database: CachedCheck[DatabaseCheck]
    media: CachedCheck[MediaCheck]
    usage: CachedCheck[Usage | None]
    providers: ProviderHealth


def open_checks(
    config: Config, db: Database, media: Media, threads: Threads, providers: ProviderHealth
) -> Checks:
    """The checks of a process."""

    async def database() -> DatabaseCheck:
        return await _look_at_database(db)

    async def folder() -> MediaCheck:
        return await in_thread(threads.disk, _look_at_media, media, config.min_free_disk_mb)

    async def usage() -> Usage | None:
        return await _read_usage(db, config.timezone)

    return Checks(
        CachedCheck(database, fresh_seconds=HEALTH_SECONDS, silent=DatabaseCheck(NO_ANSWER)),
        CachedCheck(folder, fresh_seconds=HEALTH_SECONDS, silent=MediaCheck(NO_ANSWER)),
        CachedCheck(usage, fresh_seconds=USAGE_SECONDS, silent=None),
        providers,
    )


async def _look_at_database(db: Database) -> DatabaseCheck:
    try:
        applied = await installation.migrations(db)
    except PhotoslotError as error:
        return DatabaseCheck(error.reason)
    return DatabaseCheck("schema_mismatch" if misfit(applied) else "ok", max(applied, default=None))


def _look_at_media(media: Media, min_free_mb: int) -> MediaCheck:
    """Blocks."""
    try:
        media.prepare()
        media.probe()
        reason = "ok"
    except PhotoslotError as error:
        reason = error.reason
    try:
        space = media.space()
    except PhotoslotError:
        return MediaCheck(reason)
    if reason == "ok" and space.free_bytes < min_free_mb * 1024**2:
        reason = StorageFull.reason
    return MediaCheck(reason, space)


async def _read_usage(db: Database, timezone: str) -> Usage | None:
    try:
        return Usage(
            tuple(await stats.storage(db)),
            tuple(await slots.usage(db, timezone)),
            await installation.status(db),
        )
    except PhotoslotError:
        return None
