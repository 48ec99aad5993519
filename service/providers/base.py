"""Driver interface: what is ordered, what came back, what a provider can do."""

import traceback
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import msgspec
import structlog

from service.config import ProviderAccount
from service.errors import ProviderBadResponse, ProviderFailure
from service.faults import Fault
from service.pictures.prepare import Photo


@dataclass(frozen=True, slots=True)
class TemplateImage:
    """An admin's image in its role: style, background, face."""

    role: str
    photo: Photo


log = structlog.get_logger()

# Gemini takes 14 images in one request, and the photo is one of them.
MAX_TEMPLATES = 13

Pace = Callable[[str, float], Awaitable[float]]


async def at_once(_api_key: str, _pace: float) -> float:
    """The pace of a call that nobody limits."""
    return 0.0


@dataclass(frozen=True, slots=True)
class Order:
    """One call: the photo, the operation's settings, the templates in their order.

    `deadline` is loop time; whoever makes the call is cut off then, a driver only needs it to
    give up in time. `link` gives the address under which the provider may fetch a file of ours
    until the window closes, for providers that take no uploads. `pace` takes the next free moment
    for a call with an API key, so many seconds behind the one before it in any process, and gives
    the seconds until then; for providers that limit how often they are called."""

    operation: str
    settings: msgspec.Struct
    photo: Photo
    templates: Sequence[TemplateImage]
    deadline: float
    link: Callable[[Photo], str]
    pace: Pace = at_once


@dataclass(frozen=True, slots=True)
class Picture:
    """What a provider drew: the bytes, the model that really answered, its own usage figures, and
    what they come to: tokens, and the estimated price in millionths of a US dollar."""

    data: bytes
    model: str
    usage: Mapping[str, Any]
    tokens: int | None = None
    cost_microusd: int | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a provider can do. `settings` is the typed form of a slot's settings; `roles` are
    the templates it needs, `optional_roles` those it may have, `max_templates` how many it takes.
    """

    settings: type[msgspec.Struct]
    roles: tuple[str, ...] = ()
    optional_roles: tuple[str, ...] = ()
    max_templates: int = MAX_TEMPLATES


@dataclass(frozen=True, slots=True)
class PingResult:
    """How a provider stands, found out without an order: `reason` is one of our failure reasons,
    `details` the provider's own words (for admins), `shutdown_date` the day its model ends."""

    ok: bool
    reason: str | None = None
    shutdown_date: date | None = None
    details: str | None = None

    @classmethod
    def of(cls, failure: ProviderFailure) -> "PingResult":
        """The result of a provider that failed so."""
        return cls(False, failure.reason, details=failure.private)


def takes_all(settings: msgspec.Struct, images: int) -> Iterable[Fault]:
    """The check of a provider whose settings say everything by their types."""
    return ()


Check = Callable[[msgspec.Struct, int], Iterable[Fault]]
Edit = Callable[[httpx.AsyncClient, ProviderAccount, Order], Awaitable[Picture]]
Ping = Callable[[httpx.AsyncClient, ProviderAccount, str], Awaitable[PingResult]]


@dataclass(frozen=True, slots=True)
class Provider:
    """A driver: what it can do, and the picture types it takes (MIME).

    `edit` runs an order. `ping` asks for key, reach and a model by its id, costs nothing and gives
    every `ProviderFailure` as a `PingResult`; whoever calls it limits its time. `check` finds what
    the types of the settings cannot tell, given the number of images, the photo among them: what
    one model takes and another does not. `repeats_of_bad_pictures`: how often a call may be
    repeated whose picture was not usable. `ping_seconds`: how often a ping does no harm. `models`:
    whom an answer may name besides the model that was ordered."""

    name: str
    edit: Edit
    ping: Ping
    operations: Mapping[str, Operation]
    accepts: frozenset[str]
    model_of: Callable[[msgspec.Struct], str]
    check: Check = takes_all
    repeats_of_bad_pictures: int = 0
    ping_seconds: float = 60.0
    models: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a slot orders, checked: the driver, the operation, its typed settings."""

    provider: Provider
    account: ProviderAccount
    operation: str
    settings: msgspec.Struct
    templates: Sequence[TemplateImage]

    @property
    def model(self) -> str:
        """The model that is ordered; another one may answer."""
        return self.provider.model_of(self.settings)


@dataclass(frozen=True, slots=True)
class Ready:
    """A plan, the photo and its templates as the plan's provider takes them."""

    plan: Plan
    photo: Photo
    templates: Sequence[TemplateImage]


# What an operation wants done, in words: a wire that knows only images and text has none for it.
WISHES = {
    "image_edit": "Edit the photo.",
    "style_transfer": "Redraw the photo in the given style.",
    "identity_transfer": "Give the person in the photo the given face.",
}


def guidance(order: Order) -> str:
    """What is wanted and which image is what, so that a prompt need not say it."""
    shown = ["the photo", *(f"the {template.role}" for template in order.templates)]
    images = " ".join(f"Image {number}: {what}." for number, what in enumerate(shown, 1))
    return f"{WISHES[order.operation]} {images}"


def unexpected(provider: str, model: str, error: Exception) -> ProviderBadResponse:
    """An exception of a driver that is none of our errors, as its provider's failure: it sent what
    nobody was prepared for. Logged by its type and place, never by its words: they may quote a key.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    at = f"{Path(frames[-1].f_code.co_filename).name}:{frames[-1].f_lineno}" if frames else None
    kind = type(error).__name__
    log.error("provider.unexpected", provider=provider, model=model, error=kind, at=at)
    return ProviderBadResponse(private=f"an answer that led to {kind}", maybe_billed=True)
