"""Statistics over a window of time. Tests never count."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from service.storage.database import Runner

FIRST_STEP_MS = 50.0
STEP_RATIO = 1.2


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of shots by outcome, times of the done ones; `slot_id` None is all slots together."""

    slot_id: str | None
    shots: int
    done: int
    failed: int
    timeout: int
    p50_ms: int | None
    p95_ms: int | None
    attempts: int
    tokens: int
    cost_microusd: int


@dataclass(frozen=True, slots=True)
class HourTotals:
    """Sums of whole hours; `latency` counts done shots by step of duration (see `duration_of`)."""

    slot_id: str
    done: int
    failed: int
    timeout: int
    attempts: int
    tokens: int
    cost_microusd: int
    latency: Sequence[int]


@dataclass(frozen=True, slots=True)
class HourPoint:
    """One step of a series made of whole hours."""

    at: datetime
    done: int
    failed: int
    timeout: int
    latency: Sequence[int]


@dataclass(frozen=True, slots=True)
class Reason:
    """How many shots failed for a reason."""

    reason: str
    shots: int


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a series."""

    at: datetime
    done: int
    failed: int
    timeout: int
    p50_ms: int | None
    p95_ms: int | None


@dataclass(frozen=True, slots=True)
class SlotNow:
    """How a slot stands at this moment; its last picture may be shown until it expires."""

    id: str
    name: str
    is_active: bool
    provider: str
    sync_response_seconds: int
    in_flight: int
    last_success_at: datetime | None
    last_success_job_id: UUID | None
    last_picture_expires_at: datetime | None
    last_failure_at: datetime | None
    last_failure_reason: str | None


@dataclass(frozen=True, slots=True)
class Storage:
    """Files of one kind that are kept now."""

    kind: str
    files: int
    bytes: int


async def totals(db: Runner, since: datetime, until: datetime) -> list[Totals]:
    """The figures of all slots together and those of each slot that had shots."""
    return [Totals(**row) for row in await db.many("stats_totals", since, until)]


async def hours(db: Runner, since: datetime, until: datetime) -> list[HourTotals]:
    """Each slot's sums from a whole hour on."""
    return [HourTotals(**row) for row in await db.many("stats_hours", since, until)]


async def hour_series(
    db: Runner, since: datetime, until: datetime, step_seconds: int, slot_id: str | None
) -> list[HourPoint]:
    """Steps of a window of whole hours, those without a shot left out."""
    rows = await db.many("stats_hour_series", since, until, float(step_seconds), slot_id)
    return [HourPoint(**row) for row in rows]


def duration_of(latency: Sequence[int], share: float) -> int | None:
    """The duration in milliseconds below which `share` of the counted shots stayed; None without
    any. Exact to the step, a fifth, and estimated evenly inside it. The steps are those of the
    database's `latency_step`."""
    wanted = share * sum(latency)
    if not wanted:
        return None
    seen = 0
    for number, shots in enumerate(latency):
        if seen + shots >= wanted:
            upper = FIRST_STEP_MS * STEP_RATIO**number
            lower = upper / STEP_RATIO if number else 0.0
            return round(lower + (upper - lower) * (wanted - seen) / shots)
        seen += shots
    return None


async def reasons(
    db: Runner, since: datetime, until: datetime, slot_id: str | None
) -> list[Reason]:
    """Why shots failed, the most frequent reason first."""
    return [Reason(**row) for row in await db.many("stats_reasons", since, until, slot_id)]


async def series(
    db: Runner, since: datetime, until: datetime, step_seconds: int, slot_id: str | None
) -> list[Point]:
    """Steps of a window, those without a shot left out."""
    rows = await db.many("stats_series", since, until, float(step_seconds), slot_id)
    return [Point(**row) for row in rows]


async def slots_now(db: Runner) -> list[SlotNow]:
    """Every slot at this moment."""
    return [SlotNow(**row) for row in await db.many("stats_slots_now")]


async def storage(db: Runner) -> list[Storage]:
    """What is kept, by kind."""
    return [Storage(**row) for row in await db.many("stats_storage")]
