"""The house itself: its processes, its schema, how it stands."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from service.queries.jobs import INTERRUPT_GRACE_SECONDS, SETTLED_SECONDS
from service.storage.database import Database, Runner, Session


@dataclass(frozen=True, slots=True)
class HouseNow:
    """The last cleanup (`removed_*` by all of them together), shots that nobody seems to work on,
    subjects shut out for failed passwords, and the first time of a file that is still there."""

    cleanup_ended_at: datetime | None
    cleanup_succeeded_at: datetime | None
    cleanup_seconds: float
    cleanup_failures: int
    removed_files: int
    removed_bytes: int
    removed_rows: int
    overdue_shots: int
    shut_out: int
    first_expiry: datetime | None


@dataclass(frozen=True, slots=True)
class Folder:
    """Which house this is, and since when its media folder bears its mark."""

    id: UUID
    folder_marked_at: datetime | None


@dataclass(frozen=True, slots=True)
class SlotUse:
    """What a slot may do and how much of it is used; `shots_today` only counts under a limit."""

    id: str
    provider: str
    is_active: bool
    window_seconds: int
    max_in_flight: int
    in_flight: int
    daily_limit: int | None
    shots_today: int


async def worker_lifeline(session: Session, worker: int) -> None:
    """Take the lock that tells every process that this one lives."""
    await session.run("worker_lifeline", worker)


async def workers_alive(db: Database) -> set[int] | None:
    """The processes that live; None just after PostgreSQL started, when nobody can know."""
    row = await db.one("workers_alive", SETTLED_SECONDS)
    assert row is not None
    return set(row["workers"]) if row["settled"] else None


async def house_migrations(db: Database) -> list[str]:
    """The migrations this database has, such as `0001.first-light`; empty before the first."""
    try:
        rows = await db.many("house_migrations")
    except asyncpg.UndefinedTableError:
        return []
    return [row["migration_id"] for row in rows]


async def house_clock(db: Database) -> datetime:
    """The time of the database's clock."""
    now: datetime = await db.value("house_clock")
    return now


async def house_now(db: Database) -> HouseNow:
    """How the house stands."""
    row = await db.one("house_now", INTERRUPT_GRACE_SECONDS)
    assert row is not None
    return HouseNow(**row)


async def house_slots(db: Database, timezone: str) -> list[SlotUse]:
    """Every slot's limits and use; a day begins at midnight in `timezone`."""
    return [SlotUse(**row) for row in await db.many("house_slots", timezone)]


async def house_is_empty(db: Database) -> bool:
    """Whether the database has no tables at all."""
    empty: bool = await db.value("house_is_empty")
    return empty


async def house_folder(db: Runner) -> Folder:
    """This house and its folder."""
    row = await db.one("house_folder")
    assert row is not None
    return Folder(**row)


async def house_mark_folder(db: Runner) -> None:
    """Remember that the folder is marked."""
    await db.run("house_mark_folder")


async def house_unmark_folder(db: Runner) -> None:
    """The next start marks the folder anew."""
    await db.run("house_unmark_folder")


async def house_cleaned(
    db: Runner, *, seconds: float, failures: int, files: int, size: int, rows: int
) -> None:
    """Remember how a cleanup of everything went; `size` in bytes."""
    await db.run("house_cleaned", seconds, failures, files, size, rows)
