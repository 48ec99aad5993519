"""Statistics over a window of time, for all slots together and for each. Tests never count."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from service.http import json_body
from service.queries import journal, stats
from service.queries.journal import JobFilter
from service.queries.stats import HourTotals, Point, Totals, duration_of
from service.state import State
from service.storage.database import Database

MIN_WINDOW_SECONDS = 5 * 60
MAX_WINDOW_SECONDS = 30 * 24 * 3600
MAX_EXACT_SECONDS = 3 * 3600
HOUR = 3600
STEPS = (10, 60, 300, 900, 3600, 6 * 3600, 24 * 3600)
MAX_POINTS = 120
RECENT_FAILURES = 20
SUMMED = ("done", "failed", "timeout", "attempts", "tokens", "cost_microusd")

Window = Annotated[int, msgspec.Meta(ge=MIN_WINDOW_SECONDS, le=MAX_WINDOW_SECONDS)]


class WindowQuery(msgspec.Struct, forbid_unknown_fields=True):
    """`window` in seconds up to now."""

    window: Window = 24 * 3600


class StatsQuery(WindowQuery):
    """All slots, or one."""

    slot_id: str | None = None


async def show(request: Request[State]) -> Response:
    """`GET /api/stats`: all slots, or one, with a series for charts and recent failures."""
    db, asked = request.state["db"], json_body.query(request, StatsQuery)
    slot_id = asked.slot_id or None
    span = Span.up_to_now(asked.window)
    totals = await _totals(db, span)
    failed = JobFilter(slot_id=slot_id, since=span.since, until=span.until)
    reasons = await stats.reasons(db, span.since, span.until, slot_id)
    failures = await journal.failures(db, failed, RECENT_FAILURES)
    return json_body.answer(
        {
            "from": span.since,
            "until": span.until,
            "slot_id": slot_id,
            **_figures(totals.get(slot_id)),
            "reasons": [asdict(reason) for reason in reasons],
            "step_seconds": span.step,
            "series": [asdict(point) for point in await _series(db, span, slot_id)],
            "recent_failures": [asdict(row) for row in failures],
            "storage": [asdict(kind) for kind in await stats.storage(db)],
        }
    )


async def show_slots(request: Request[State]) -> Response:
    """`GET /api/stats/slots`: every slot's figures and how it stands now, in two statements."""
    db, asked = request.state["db"], json_body.query(request, WindowQuery)
    span = Span.up_to_now(asked.window)
    totals = await _totals(db, span)
    slots = [asdict(slot) | _figures(totals.get(slot.id)) for slot in await stats.slots_now(db)]
    return json_body.answer({"from": span.since, "until": span.until, "slots": slots})


@dataclass(frozen=True, slots=True)
class Span:
    """A window of time. A long one begins with a whole hour: its figures are sums of hours."""

    since: datetime
    until: datetime
    step: int

    @classmethod
    def up_to_now(cls, seconds: int) -> "Span":
        until = datetime.now(UTC)
        since = until - timedelta(seconds=seconds)
        step = next(step for step in STEPS if seconds / step <= MAX_POINTS)
        if seconds <= MAX_EXACT_SECONDS:
            return cls(since, until, step)
        return cls(since.replace(minute=0, second=0, microsecond=0), until, max(step, HOUR))

    @property
    def is_exact(self) -> bool:
        return (self.until - self.since).total_seconds() <= MAX_EXACT_SECONDS


async def _totals(db: Database, span: Span) -> dict[str | None, Totals]:
    """Figures by slot; those of all slots under None."""
    if span.is_exact:
        exact = await stats.totals(db, span.since, span.until)
        return {row.slot_id: row for row in exact}
    hours = await stats.hours(db, span.since, span.until)
    return {row.slot_id: _summed(row.slot_id, [row]) for row in hours} | {
        None: _summed(None, hours)
    }


def _summed(slot_id: str | None, rows: Sequence[HourTotals]) -> Totals:
    latency = [sum(step) for step in zip(*(row.latency for row in rows), strict=True)]
    sums = {name: sum(getattr(row, name) for row in rows) for name in SUMMED}
    return Totals(
        slot_id=slot_id,
        shots=sums["done"] + sums["failed"] + sums["timeout"],
        p50_ms=duration_of(latency, 0.5),
        p95_ms=duration_of(latency, 0.95),
        **sums,
    )


async def _series(db: Database, span: Span, slot_id: str | None) -> list[Point]:
    if span.is_exact:
        return await stats.series(db, span.since, span.until, span.step, slot_id)
    hours = await stats.hour_series(db, span.since, span.until, span.step, slot_id)
    return [
        Point(
            *(hour.at, hour.done, hour.failed, hour.timeout),
            p50_ms=duration_of(hour.latency, 0.5),
            p95_ms=duration_of(hour.latency, 0.95),
        )
        for hour in hours
    ]


def _figures(totals: Totals | None) -> dict[str, Any]:
    """A row of totals with its shares; shares of nothing are null."""
    row = totals or Totals(None, 0, 0, 0, 0, None, None, 0, 0, 0)
    ended = row.done + row.failed + row.timeout
    figures = {key: value for key, value in asdict(row).items() if key != "slot_id"}
    cost = figures.pop("cost_microusd")
    return figures | {
        "success_share": row.done / ended if ended else None,
        "timeout_share": row.timeout / ended if ended else None,
        "attempts_per_done": row.attempts / row.done if row.done else None,
        "cost_usd": cost / 1_000_000,
    }
