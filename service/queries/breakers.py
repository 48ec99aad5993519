"""Circuit breakers: whether a provider's model is called at all, the same for every process."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.storage.database import Database, Runner

# So many failures in a row open a breaker; then one call goes through after each pause.
OPENING_FAILURES = 5
PROBE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """How the calls of one model went lately. It is open, and its calls are skipped, since
    `opened_at`; `probe_at` is when the next one is let through."""

    provider: str
    model: str
    failures: int
    reason: str | None
    details: str | None
    failed_at: datetime | None
    succeeded_at: datetime | None
    opened_at: datetime | None
    probe_at: datetime | None


async def fail(
    db: Database, provider: str, model: str, reason: str, details: str | None, seconds: float
) -> None:
    """Count a call that failed after so many seconds."""
    await db.run(
        "breaker_fail",
        *(provider, model, reason, details, seconds, OPENING_FAILURES, PROBE_SECONDS),
    )


async def mend(db: Database, provider: str, model: str) -> None:
    """Close it: the model has answered. `jobs.finish` does this too."""
    await db.run("breaker_mend", provider, model)


async def forget(db: Runner, providers: Sequence[str]) -> None:
    """Close those of these providers, whatever they did."""
    await db.run("breaker_forget", providers)


async def all(db: Runner) -> list[Breaker]:
    """All of them."""
    return [Breaker(**row) for row in await db.many("breaker_all")]
