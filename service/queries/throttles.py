"""Throttles: failed tries, counted for every process."""

from collections.abc import Sequence

from service.storage.database import Database
from service.throttle import Throttle


async def count(db: Database, subject: bytes, limit: Throttle) -> int | None:
    """Count one try of `subject`: how many it has inside the window, this one among them. None when
    it is shut out; then nothing is counted."""
    failures: int | None = await db.value(
        "throttle_count", subject, limit.tries, limit.window_seconds, limit.block_seconds
    )
    return failures


async def blocked_seconds(db: Database, subjects: Sequence[bytes]) -> int | None:
    """Whole seconds until the last of the subjects is let in again; None when all are."""
    seconds: int | None = await db.value("throttle_blocked_seconds", subjects)
    return seconds


async def forgive(db: Database, subject: bytes) -> None:
    """Forget what was counted against `subject`."""
    await db.run("throttle_forgive", subject)


async def take_back(db: Database, subject: bytes) -> None:
    """Take back one try of `subject`, and a block that it was part of."""
    await db.run("throttle_take_back", subject)
