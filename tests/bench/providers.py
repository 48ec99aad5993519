"""How many pictures a moody provider leaves, with a fallback and without, and what they cost.

The window is 10 s, the shortest there is; a picture takes 2 s, as 10 of the 48 usual ones.
"""

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median

import photos
from figures import Figure
from ingest import (
    DUE_SECONDS,
    MEBIBYTE,
    WINDOW_SECONDS,
    deadline_errors,
    forget_peak,
    peak_bytes,
)
from load import SLOTS, Answer, at_once, in_parallel, run, shoot
from psycopg.types.json import Jsonb
from rig import Service
from stage import Stage

LATENCY_SECONDS = 2.0
CAMERAS = 15
MOODS = {"hang": 0.2, "503": 0.2, "no_image": 0.1, "ok": 0.5}
SEED = 56
TRIES = 3
CAP_MEBIBYTES = 96
SETTLE_SECONDS = 0.5
FALLBACK = {"provider": "openai", "operation": "image_edit", "settings": {"prompt": "Snow"}}
PHOTO = photos.jpeg()


@dataclass(frozen=True)
class Size:
    """How often things are done."""

    shots: int
    retried: int
    hanging: int
    endless: int
    warm_ups: int = 5


FULL = Size(shots=300, retried=30, hanging=15, endless=24)
QUICK = Size(shots=60, retried=10, hanging=5, endless=8)


def moods(stage: Stage, size: Size) -> Iterator[Figure]:
    """The same moods of the first provider, with a fallback that is well and without one."""
    told = ", ".join(f"{share:.0%} {mood}" for mood, share in MOODS.items())
    how = f"{size.shots} shots by {CAMERAS} cameras, window {WINDOW_SECONDS} s, {told}"
    for name, fallback, least in (("with a fallback", FALLBACK, 99.0), ("without one", None, None)):
        statuses, calls = _run_moods(stage, size.shots, fallback)
        delivered = statuses[200]
        ends = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
        yield Figure(
            name=f"delivered {name}",
            value=100 * delivered / size.shots,
            unit="%",
            limit=least,
            at_most=False,
            how=f"{how}: {ends}",
        )
        yield Figure(
            name=f"provider calls per delivered picture, {name}",
            value=calls / delivered,
            unit="calls",
            limit=2 if fallback else None,
            how="every call is an attempt in the journal",
        )


def _run_moods(
    stage: Stage, shots: int, fallback: dict[str, object] | None
) -> tuple[Counter[int], int]:
    """How the shots were answered, and how many calls they took."""
    _start_afresh(stage, fallback)
    dice = random.Random(SEED)
    outcomes = dice.choices([*MOODS], [*MOODS.values()], k=3 * shots)
    stage.sandbox.dial(outcomes, latency_s=LATENCY_SECONDS)
    stage.sandbox.dial(latency_s=LATENCY_SECONDS, provider="openai")
    with stage.service() as service:
        answers = run(in_parallel(CAMERAS, shots, partial(_shot, service)))
    calls = len(stage.sandbox.calls())
    [journal] = stage.tables.rows("select sum(attempt_count) as attempts from job_history")
    assert journal["attempts"] == calls, f"{journal['attempts']} attempts for {calls} calls"
    return Counter(answer.status for answer in answers), calls


def retries(stage: Stage, size: Size) -> Iterator[Figure]:
    """A device that sends its shot again and again, while the first is under way and after it."""
    _start_afresh(stage, FALLBACK)
    stage.sandbox.dial(latency_s=LATENCY_SECONDS)

    async def order(number: int) -> list[Answer]:
        async def send(_try: int) -> Answer:
            return await _shot(service, number, key=f"order {number}")

        return [*await at_once(TRIES, send), await send(TRIES)]

    with stage.service() as service:
        orders = run(in_parallel(CAMERAS, size.retried, order))
    assert all(answer.status == 200 for answers in orders for answer in answers)
    yield Figure(
        name="provider calls per retried device request",
        value=len(stage.sandbox.calls()) / size.retried,
        unit="calls",
        limit=1,
        how=f"{size.retried} orders, each sent {TRIES} times at once and once more when done",
    )


def deadlines(stage: Stage, size: Size) -> Iterator[Figure]:
    """How exactly the window closes when neither plan has an answer."""
    _start_afresh(stage, FALLBACK)
    for provider in ("gemini", "openai"):
        stage.sandbox.dial(["hang"], provider=provider)
    with stage.service() as service:
        errors = deadline_errors(service, size.hanging, pause=0)
    yield Figure(
        name="504 of two hanging providers, worst error",
        value=max(errors) * 1000,
        unit="ms",
        limit=150,
        how=f"{size.hanging} shots at once, each answer due after {DUE_SECONDS:g} s",
    )


def oversize(stage: Stage, size: Size) -> Iterator[Figure]:
    """An answer that does not end is refused at the cap, and its memory used again."""
    _start_afresh(stage, None)
    with stage.service() as service:
        run(in_parallel(1, size.warm_ups, partial(_shot, service)))
        stage.sandbox.dial(["huge"])
        before = service.memory_bytes
        forget_peak(service.pid)
        after = [_refuse_endless(stage, service) for _ in range(size.endless)]
        growth = peak_bytes(service.pid) - before
    how = f"{size.endless} answers one after the other, each refused at {CAP_MEBIBYTES} MiB"
    yield Figure(
        name="peak memory of an endless answer",
        value=growth / MEBIBYTE,
        unit="MiB",
        limit=2 * CAP_MEBIBYTES,
        how=f"VmHWM less RSS before; {how}",
    )
    half = size.endless // 2
    yield Figure(
        name="what endless answers leave behind",
        value=(median(after[half:]) - median(after[:half])) / MEBIBYTE,
        unit="MiB",
        limit=16,
        how=f"median RSS {SETTLE_SECONDS:g} s after each, second half less first; {how}",
    )


def _refuse_endless(stage: Stage, service: Service) -> int:
    """The memory of the service a moment later; its breaker never sees five in a row."""
    stage.tables.execute("delete from breaker")
    assert run(_shot(service, 0)).status == 502
    time.sleep(SETTLE_SECONDS)
    return service.memory_bytes


def _start_afresh(stage: Stage, fallback: dict[str, object] | None) -> None:
    stage.sandbox.reset()
    for table in ("media_object", "job_history", "breaker"):
        stage.tables.execute(f"delete from {table}")
    stage.tables.execute(
        "update slot set sync_response_seconds = %s, fallback = %s",
        WINDOW_SECONDS,
        Jsonb(fallback) if fallback else None,
    )


async def _shot(service: Service, number: int, key: str | None = None) -> Answer:
    return await shoot(service.url, PHOTO, SLOTS[number % len(SLOTS)], key)


MEASUREMENTS = (moods, retries, deadlines, oversize)
