"""Installation: its schema and clock, its media folder, how it stands."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from service.queries.jobs import INTERRUPT_GRACE_SECONDS
from service.storage.database import Database, Runner


@dataclass(frozen=True, slots=True)
class InstallationStatus:
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
    """Which installation this is, and since when its media folder bears its mark."""

    id: UUID
    folder_marked_at: datetime | None


async def migrations(db: Database) -> list[str]:
    """The migrations this database has, such as `0001.first-light`; empty before the first."""
    try:
        rows = await db.many("installation_migrations")
    except asyncpg.UndefinedTableError:
        return []
    return [row["migration_id"] for row in rows]


async def clock(db: Database) -> datetime:
    """The time of the database's clock."""
    now: datetime = await db.value("installation_clock")
    return now


async def status(db: Database) -> InstallationStatus:
    """How the installation stands: pending shots, throttles, the last cleanup."""
    row = await db.one("installation_status", INTERRUPT_GRACE_SECONDS)
    assert row is not None
    return InstallationStatus(**row)


async def is_empty(db: Database) -> bool:
    """Whether the database has no tables at all."""
    empty: bool = await db.value("installation_is_empty")
    return empty


async def folder(db: Runner) -> Folder:
    """This installation and its folder."""
    row = await db.one("installation_folder")
    assert row is not None
    return Folder(**row)


async def mark_folder(db: Runner) -> None:
    """Remember that the folder is marked."""
    await db.run("installation_mark_folder")


async def unmark_folder(db: Runner) -> None:
    """The next start marks the folder anew."""
    await db.run("installation_unmark_folder")


async def record_cleanup(
    db: Runner, *, seconds: float, failures: int, files: int, size: int, rows: int
) -> None:
    """Remember how a cleanup of everything went; `size` in bytes."""
    await db.run("installation_record_cleanup", seconds, failures, files, size, rows)
