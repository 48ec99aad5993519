"""What is seen of the house beside its shots: whether one could be taken, how full everything is.

Nothing here runs by itself: somebody asks, and is told what the last look saw.
"""

from dataclasses import dataclass

from service.config import Config
from service.errors import PhotoslotError, StorageFull
from service.monitoring.cached_check import Glance
from service.monitoring.provider_health import Pulses
from service.queries import installation, slots, stats
from service.queries.installation import HouseNow
from service.queries.slots import SlotUse
from service.queries.stats import Storage
from service.storage.database import Database
from service.storage.media import Media, Space
from service.storage.schema import misfit
from service.threads import Threads, in_thread

HEALTH_SECONDS = 1.0
FIGURES_SECONDS = 10.0
NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True)
class DatabaseSight:
    """`reason` is ok, `schema_mismatch`, or why the database cannot be used; `schema` is the newest
    migration it has."""

    reason: str
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class MediaSight:
    """`reason` is ok, or why no photo can be kept; the room on its disk as far as it is known."""

    reason: str
    space: Space | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What the database knows of the house."""

    storage: tuple[Storage, ...]
    slots: tuple[SlotUse, ...]
    now: HouseNow


@dataclass(frozen=True, slots=True)
class Watch:
    """One glance for each thing that is looked at; `figures` is None while the database is away.
    The pulses of providers never keep anybody waiting."""

    database: Glance[DatabaseSight]
    media: Glance[MediaSight]
    figures: Glance[Figures | None]
    pulses: Pulses


def open_watch(
    config: Config, db: Database, media: Media, threads: Threads, pulses: Pulses
) -> Watch:
    """Watch a house."""

    async def database() -> DatabaseSight:
        return await _look_at_database(db)

    async def folder() -> MediaSight:
        return await in_thread(threads.disk, _look_at_media, media, config.min_free_disk_mb)

    async def figures() -> Figures | None:
        return await _read_figures(db, config.timezone)

    return Watch(
        Glance(database, fresh_seconds=HEALTH_SECONDS, silent=DatabaseSight(NO_ANSWER)),
        Glance(folder, fresh_seconds=HEALTH_SECONDS, silent=MediaSight(NO_ANSWER)),
        Glance(figures, fresh_seconds=FIGURES_SECONDS, silent=None),
        pulses,
    )


async def _look_at_database(db: Database) -> DatabaseSight:
    try:
        applied = await installation.migrations(db)
    except PhotoslotError as error:
        return DatabaseSight(error.reason)
    return DatabaseSight("schema_mismatch" if misfit(applied) else "ok", max(applied, default=None))


def _look_at_media(media: Media, min_free_mb: int) -> MediaSight:
    """Blocks."""
    try:
        media.prepare()
        reason = "ok"
    except PhotoslotError as error:
        reason = error.reason
    try:
        space = media.space()
    except PhotoslotError:
        return MediaSight(reason)
    if reason == "ok" and space.free_bytes < min_free_mb * 1024**2:
        reason = StorageFull.reason
    return MediaSight(reason, space)


async def _read_figures(db: Database, timezone: str) -> Figures | None:
    try:
        return Figures(
            tuple(await stats.storage(db)),
            tuple(await slots.usage(db, timezone)),
            await installation.status(db),
        )
    except PhotoslotError:
        return None
