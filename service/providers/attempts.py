"""Provider calls of one shot, each noted as an attempt: after a failure it is decided here whether
to call the same provider once more or to give up.

A provider says with its failure how often and after what pause its call may be repeated
(`ProviderFailure`); what is left of the window decides whether it is.
"""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx

from service.counters import MAYBE_BILLED_TWICE, count_attempt, expect_models, model_label
from service.errors import (
    ImageTooLarge,
    InvalidImage,
    PhotoslotError,
    ProviderBadResponse,
    ProviderFailure,
    ProviderTimeout,
    ProviderUnavailable,
    UnsupportedMediaType,
)
from service.pictures.inspect import ImageInfo, inspect
from service.pictures.prepare import Photo, without_metadata
from service.providers.base import Order, Pace, Picture, Plan, Ready, unexpected
from service.threads import in_thread

# No call is begun with less than this: it would be money for nothing.
MIN_ATTEMPT_SECONDS = 5.0
OVERLOAD_PAUSE_SECONDS = 1.0
SHORT_PAUSE_SECONDS = 0.2
JITTER = 0.25

MIN_RESULT_SIDE = 16
MAX_RESULT_PIXELS = 100_000_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of a provider as the journal keeps it. `started_ms` counts from the first call."""

    provider: str
    model: str
    outcome: str
    started_ms: int
    ms: int
    maybe_billed: bool = False
    usage: Mapping[str, Any] = field(default_factory=dict)
    tokens: int | None = None
    cost_microusd: int | None = None
    details: str | None = None


@dataclass(frozen=True, slots=True)
class Edited:
    """A usable picture: its bytes upright and without metadata, and the plan that made it."""

    data: bytes
    info: ImageInfo
    plan: Plan


@dataclass(frozen=True, slots=True)
class CallContext:
    """What all calls of one shot share. `link` and `pace` are those of an `Order`. `failed` is told
    of every failed call and its seconds, between two calls: it may ask the database. Every call is
    added to `attempts`, also when it raises; they count from `began` (loop time). Nothing is called
    once more unless `holds_lease`: the shot may be under way in another process."""

    client: httpx.AsyncClient
    threads: ThreadPoolExecutor
    link: Callable[[Photo], str]
    pace: Pace
    failed: Callable[[Plan, ProviderFailure, float], Awaitable[None]]
    holds_lease: Callable[[], bool]
    began: float
    attempts: list[Attempt]


async def edit(context: CallContext, ready: Ready, until: float) -> Edited:
    """Have the photo edited by one plan before `until` (loop time): its call, repeated as long as
    that makes sense. Raises the last failure."""
    began = _now()
    for repeated in itertools.count():
        started = _now()
        try:
            return await _call(context, ready, until)
        except ProviderFailure as failure:
            now = _now()
            await context.failed(ready.plan, failure, now - started)
            pause = pause_before_repeat(
                failure, repeated, took=now - started, spent=now - began, left=until - _now()
            )
            if pause is None:
                raise
            await asyncio.sleep(pause)
            if not context.holds_lease():
                raise
    raise AssertionError


def pause_before_repeat(
    failure: ProviderFailure, repeated: int, *, took: float, spent: float, left: float
) -> float | None:
    """How long to wait before a failed call is made again at the same provider; None when it is
    not. In seconds: the failed call `took` so long, the plan has `spent` and has `left` so much.

    The next call is expected to take as long as the failed one, and never less than an attempt."""
    if repeated >= failure.repeats or _is_lost(failure):
        return None
    if isinstance(failure, ProviderTimeout) and left < spent:
        return None
    pause = _pause(failure, repeated) * random.uniform(1, 1 + JITTER)
    return pause if left > pause + max(took, MIN_ATTEMPT_SECONDS) else None


def _is_lost(failure: ProviderFailure) -> bool:
    """The order went out and nothing came back: it may be drawn and billed at this very moment."""
    return failure.maybe_billed and isinstance(failure, ProviderUnavailable | ProviderTimeout)


def _pause(failure: ProviderFailure, repeated: int) -> float:
    if failure.wait_seconds is not None:
        return failure.wait_seconds
    overloaded = isinstance(failure, ProviderUnavailable | ProviderTimeout)
    return OVERLOAD_PAUSE_SECONDS * 2.0**repeated if overloaded else SHORT_PAUSE_SECONDS


async def _call(context: CallContext, ready: Ready, until: float) -> Edited:
    """One call, noted however it ends. Whatever a driver raises is a failure of its provider:
    another one may still make the picture."""
    plan, attempts = ready.plan, context.attempts
    if attempts and attempts[-1].maybe_billed:
        label = model_label(attempts[-1].provider, attempts[-1].model)
        MAYBE_BILLED_TWICE.labels(attempts[-1].provider, label).inc()
    expect_models(plan.provider.name, (plan.model, *plan.provider.models))
    order = Order(
        *(plan.operation, plan.settings, ready.photo, ready.templates, until),
        *(context.link, context.pace),
    )
    started = _now()
    picture: Picture | None = None
    failure: PhotoslotError | None = None
    try:
        async with asyncio.timeout_at(until) as window:
            picture = await plan.provider.edit(context.client, plan.account, order)
            data, info = await _usable(picture.data, context.threads, plan)
            return Edited(data, info, plan)
    except PhotoslotError as error:
        failure = error
        raise
    except Exception as error:
        if window.expired():
            private = f"cut off after {_now() - started:.1f} s"
            failure = ProviderTimeout(private=private, maybe_billed=True)
        else:
            failure = unexpected(plan.provider.name, plan.model, error)
        raise failure from error
    finally:
        attempt = _noted(plan, picture, failure, started - context.began, _now() - started)
        attempts.append(attempt)
        count_attempt(**asdict(attempt))


async def _usable(data: bytes, threads: ThreadPoolExecutor, plan: Plan) -> tuple[bytes, ImageInfo]:
    """A picture worth handing on: decodable, of sane size, upright and bare."""
    try:
        info = await in_thread(threads, inspect, data, MAX_RESULT_PIXELS)
        if min(info.width, info.height) < MIN_RESULT_SIDE:
            raise _bad_picture(plan, f"a picture of {info.width}x{info.height}")
        if info.has_metadata or info.mime == "image/heic":
            data = await in_thread(threads, without_metadata, data)
            info = await in_thread(threads, inspect, data, MAX_RESULT_PIXELS)
        return data, info
    except (UnsupportedMediaType, InvalidImage, ImageTooLarge) as error:
        raise _bad_picture(plan, f"the picture is unusable: {error.details}") from error


def _bad_picture(plan: Plan, private: str) -> ProviderBadResponse:
    repeats = plan.provider.repeats_of_bad_pictures
    return ProviderBadResponse(private=private, repeats=repeats, maybe_billed=True)


def _noted(
    plan: Plan,
    picture: Picture | None,
    failure: PhotoslotError | None,
    since_first: float,
    seconds: float,
) -> Attempt:
    """Without a picture or a failure the call was interrupted: nobody knows what became of it."""
    is_interrupted = picture is None and failure is None
    refused = failure if isinstance(failure, ProviderFailure) else None
    told = picture or refused
    return Attempt(
        provider=plan.provider.name,
        model=picture.model if picture else plan.model,
        outcome=failure.reason if failure else "interrupted" if is_interrupted else "ok",
        started_ms=round(since_first * 1000),
        ms=round(seconds * 1000),
        maybe_billed=is_interrupted or (refused is not None and refused.maybe_billed),
        usage=told.usage if told else {},
        tokens=told.tokens if told else None,
        cost_microusd=told.cost_microusd if told else None,
        details=failure.private if failure else None,
    )


def as_rows(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """Attempts as the JSON array of `job_history.attempts`."""
    return [asdict(attempt) for attempt in attempts]


def _now() -> float:
    return asyncio.get_running_loop().time()
