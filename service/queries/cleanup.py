"""Cleanup: rows that go, and files that no row names. A coroutine that removes takes one batch
and gives the number of rows it removed."""

from collections.abc import Sequence
from dataclasses import dataclass

from service import throttle
from service.queries.jobs import INTERRUPT_GRACE_SECONDS, SETTLED_SECONDS
from service.storage.database import Connection, Runner

# A turn is a matter of seconds; a day later nobody waits behind it.
TURN_SECONDS = 24 * 3600.0
# A lease that ran out says nothing any more; for a day it tells who looks when a process died.
LEASE_SECONDS = 24 * 3600.0
# As long as the longest window: a shot that came then may still be at work.
SHOTS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Due:
    """What a cleanup would remove now: expired files with their bytes, rows, and jobs to end."""

    files: int
    bytes: int
    rows: int
    interrupted: int


async def lock(connection: Connection) -> bool:
    """Whether nobody else cleans; then others wait until this connection ends."""
    free: bool = await connection.value("cleanup_lock")
    return free


async def must_wait(db: Runner) -> bool:
    """Whether shots are being taken now."""
    shots: bool = await db.value("cleanup_must_wait", SHOTS_SECONDS)
    return shots


async def due(db: Runner, days: int) -> Due:
    """What there is to do, with jobs and audit kept for so many `days`."""
    row = await db.one(
        "cleanup_due",
        *(days, throttle.LONGEST_SECONDS, TURN_SECONDS),
        *(INTERRUPT_GRACE_SECONDS, SETTLED_SECONDS, LEASE_SECONDS),
    )
    assert row is not None
    return Due(**row)


async def unknown(db: Runner, paths: Sequence[str]) -> list[str]:
    """Those of the paths that no row names."""
    return [row["path"] for row in await db.many("cleanup_unknown", paths)]


async def jobs(db: Runner, days: int, limit: int) -> int:
    """Jobs older than `days` whose files are gone."""
    return await db.run("cleanup_jobs", days, limit)


async def audit(db: Runner, days: int, limit: int) -> int:
    """Entries of the audit older than `days`."""
    return await db.run("cleanup_audit", days, limit)


async def shares(db: Runner, limit: int) -> int:
    """Gallery links whose time is over."""
    return await db.run("cleanup_shares", limit)


async def sessions(db: Runner, limit: int) -> int:
    """Ended sessions that have expired as well."""
    return await db.run("cleanup_sessions", limit)


async def throttles(db: Runner, limit: int) -> int:
    """Failed passwords that no longer count."""
    return await db.run("cleanup_throttles", throttle.LONGEST_SECONDS, limit)


async def leases(db: Runner, limit: int) -> int:
    """Leases of processes that died long ago."""
    return await db.run("cleanup_leases", LEASE_SECONDS, limit)


async def turns(db: Runner, limit: int) -> int:
    """Turns at a provider that are long over."""
    return await db.run("cleanup_turns", TURN_SECONDS, limit)
