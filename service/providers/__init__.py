"""The AI providers: one file and one line here for each.

`edit()` runs a slot's plan inside what is left of the window and notes every call it makes.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx
import msgspec

from service.config import ProviderAccount
from service.errors import (
    ImageTooLarge,
    InvalidImage,
    NotConfigured,
    PhotoslotError,
    ProviderBadResponse,
    ProviderFailure,
    ProviderTimeout,
    UnsupportedMediaType,
)
from service.images import ImageInfo, Photo, inspect, without_metadata
from service.meters import count_attempt
from service.providers import gemini, openai
from service.providers.base import Order, Picture, Provider, Template, Turn
from service.threads import in_thread

REGISTRY: Mapping[str, Provider] = {
    provider.name: provider for provider in (gemini.PROVIDER, openai.PROVIDER)
}

MIN_RESULT_SIDE = 16
MAX_RESULT_PIXELS = 100_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a slot orders, checked: the driver, the operation, its typed settings."""

    provider: Provider
    account: ProviderAccount
    operation: str
    settings: msgspec.Struct
    templates: Sequence[Template]

    @property
    def model(self) -> str:
        return self.provider.model_of(self.settings)


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
    """A usable picture: its bytes upright and without metadata, and who made it."""

    data: bytes
    info: ImageInfo
    provider: str


def plan(
    provider: str,
    operation: str,
    settings: Mapping[str, Any],
    templates: Sequence[Template],
    accounts: Mapping[str, ProviderAccount],
) -> Plan:
    """Check a slot's plan. Raises `NotConfigured` for one that cannot run."""
    driver = REGISTRY.get(provider)
    if driver is None or operation not in driver.operations:
        raise NotConfigured(
            f"This slot's provider or operation is unknown: {provider} {operation}."
        )
    account = accounts[provider]
    if not account.api_key:
        raise NotConfigured(f"There is no API key for {provider}. An admin has to set it.")
    try:
        typed = msgspec.convert(settings, driver.operations[operation].settings)
    except msgspec.ValidationError as error:
        raise NotConfigured(f"The settings of this slot do not fit {operation}: {error}") from None
    for path, message in driver.check(typed, 1 + len(templates)):
        raise NotConfigured(f"The settings of this slot do not fit {provider}: {path}: {message}.")
    return Plan(driver, account, operation, typed, templates)


async def edit(
    plan: Plan,
    photo: Photo,
    *,
    client: httpx.AsyncClient,
    threads: ThreadPoolExecutor,
    deadline: float,
    link: Callable[[Photo], str],
    turn: Turn,
    attempts: list[Attempt],
) -> Edited:
    """Have the photo edited before `deadline` (loop time); `link` gives a provider that fetches its
    inputs their addresses, `turn` one that limits its calls the moment of each. Every call is added
    to `attempts`, also when this raises `ProviderFailure`."""
    order = Order(plan.operation, plan.settings, photo, plan.templates, deadline, link, turn)
    started = time.perf_counter()
    picture: Picture | None = None
    failure: PhotoslotError | None = None
    try:
        async with asyncio.timeout_at(deadline):
            picture = await plan.provider.edit(client, plan.account, order)
            data, info = await _usable(picture.data, threads)
            return Edited(data, info, plan.provider.name)
    except TimeoutError:
        failure = ProviderTimeout(maybe_billed=True)
        raise failure from None
    except PhotoslotError as error:
        failure = error
        raise
    finally:
        attempt = _attempt(plan, started, picture, failure)
        attempts.append(attempt)
        count_attempt(**asdict(attempt))


async def _usable(data: bytes, threads: ThreadPoolExecutor) -> tuple[bytes, ImageInfo]:
    """A picture worth handing on: decodable, of sane size, upright and bare."""
    try:
        info = await in_thread(threads, inspect, data, MAX_RESULT_PIXELS)
        if min(info.width, info.height) < MIN_RESULT_SIDE:
            raise ProviderBadResponse(private=f"a picture of {info.width}x{info.height}")
        if info.has_metadata or info.mime == "image/heic":
            data = await in_thread(threads, without_metadata, data)
            info = await in_thread(threads, inspect, data, MAX_RESULT_PIXELS)
        return data, info
    except (UnsupportedMediaType, InvalidImage, ImageTooLarge) as error:
        private = f"the picture is unusable: {error.details}"
        raise ProviderBadResponse(private=private, maybe_billed=True) from error


def _attempt(
    plan: Plan, started: float, picture: Picture | None, failure: PhotoslotError | None
) -> Attempt:
    return Attempt(
        provider=plan.provider.name,
        model=picture.model if picture else plan.model,
        outcome=failure.reason if failure else "ok" if picture else "interrupted",
        started_ms=0,
        ms=round((time.perf_counter() - started) * 1000),
        maybe_billed=isinstance(failure, ProviderFailure) and failure.maybe_billed,
        usage=picture.usage if picture else {},
        tokens=picture.tokens if picture else None,
        cost_microusd=picture.cost_microusd if picture else None,
        details=failure.private if failure else None,
    )


def as_rows(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """Attempts as the JSON array of `job_history.attempts`."""
    return [asdict(attempt) for attempt in attempts]
