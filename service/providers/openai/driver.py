"""OpenAI: `images/edits`, a multipart form with the photo and the templates streamed from files.

Wire facts are those of the OpenAI API reference (images, models, errors, deprecations, November
2026) unless a comment names another source.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import httpx
import msgspec

from service.config import ProviderAccount
from service.errors import (
    ContentBlocked,
    PayloadTooLarge,
    ProviderAuth,
    ProviderBadResponse,
    ProviderError,
    ProviderFailure,
    ProviderQuota,
    ProviderUnavailable,
)
from service.faults import Fault
from service.providers.base import (
    Operation,
    Order,
    Picture,
    PingResult,
    Provider,
    guidance,
)
from service.providers.http import (
    MAX_QUOTED,
    FilePart,
    NotJson,
    ProviderResponse,
    decode,
    decode_base64,
    form,
    get,
    post,
    quoted,
    read_json,
    retry_after,
)
from service.providers.openai.settings import Price, Settings, faults, model_of
from service.providers.usage import figures, tokens
from service.storage.media import EXTENSIONS

MAX_IMAGE_BYTES = 50 * 1000**2
ACCEPTS = frozenset({"image/jpeg", "image/png", "image/webp"})


class _Image(msgspec.Struct):
    b64_json: msgspec.Raw = msgspec.Raw(b"null")


class _Edited(msgspec.Struct):
    data: list[_Image] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Listed(msgspec.Struct):
    id: str
    shutdown_date: date | None = None


class _Moderation(msgspec.Struct):
    moderation_stage: str | None = None
    categories: list[str] | None = None


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    moderation_details: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def moderation(self) -> _Moderation:
        """Told by the service for some models only: nothing hangs on its shape."""
        try:
            found: _Moderation = read_json(self.moderation_details, _Moderation)
        except NotJson:
            return _Moderation()
        return found


class _Envelope(msgspec.Struct):
    error: _Error


BLOCKED = frozenset(
    {"moderation_blocked", "content_policy_violation", "image_content_policy_violation"}
)
# "Retrying does not restore access" (help.openai.com); the older ones come as 400 too.
MONEY = frozenset(
    {
        *("insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded"),
        *("project_spend_limit_exceeded", "organization_usage_limit_exceeded"),
        *("billing_hard_limit_reached", "billing_not_active"),
    }
)


# When it was blocked: what is drawn by then may be billed.
DRAWN = ("output", "unknown")
# Failures that pass: OpenAI may say that one of them is worth another try.
PASSING = (ProviderUnavailable, ProviderError)


async def edit(client: httpx.AsyncClient, account: ProviderAccount, order: Order) -> Picture:
    """Have OpenAI edit one photo. Raises `ProviderFailure`, or `PayloadTooLarge` for a photo
    that OpenAI does not take."""
    settings = order.settings
    assert isinstance(settings, Settings)
    body, media_type = form(_fields(settings, order), _files(order))
    answer = await post(
        client,
        f"{account.base_url}/v1/images/edits",
        body,
        _key(account) | {"Content-Type": media_type},
    )
    if not 200 <= answer.status < 300:
        raise _refusal(answer)
    edited = decode(answer, _Edited)
    usage = figures(edited.usage)
    told = (usage, tokens(usage.get("total_tokens")), _cost(model_of(settings.model).price, usage))
    try:
        return Picture(_picture(edited), settings.model, *told)
    except ProviderFailure as failure:
        failure.note_usage(*told)
        raise


async def ping(client: httpx.AsyncClient, account: ProviderAccount, model: str) -> PingResult:
    """Ask for a model: it must be there for this key, and tells the day it ends. Whether the
    organisation is verified and has money left only an order shows."""
    try:
        answer = await get(client, f"{account.base_url}/v1/models/{model}", _key(account))
        if answer.status != 200:
            raise _refusal(answer)
        return PingResult(ok=True, shutdown_date=decode(answer, _Listed).shutdown_date)
    except ProviderFailure as failure:
        return PingResult.of(failure)


def _fields(settings: Settings, order: Order) -> dict[str, str]:
    """Our words and the admin's, and the settings; what is left empty is not sent."""
    given = msgspec.structs.asdict(settings)
    given["prompt"] = f"{guidance(order)}\n\n{settings.prompt}"
    return {name: str(value) for name, value in given.items() if value is not None}


def _files(order: Order) -> list[FilePart]:
    """Customer's photo, then templates in their order, each under its role."""
    images = [("photo", order.photo), *((one.role, one.photo) for one in order.templates)]
    if max(photo.bytes for _, photo in images) >= MAX_IMAGE_BYTES:
        raise PayloadTooLarge("The photo is too large to be sent untouched; set max_side_px.")
    field = "image" if len(images) == 1 else "image[]"
    return [
        FilePart(field, f"{role}.{EXTENSIONS[photo.mime]}", photo.mime, photo.path)
        for role, photo in images
    ]


def _key(account: ProviderAccount) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.api_key}"}


def _picture(edited: _Edited) -> bytes:
    if not edited.data:
        raise ProviderBadResponse(private="no picture in `data`", repeats=1, maybe_billed=True)
    return decode_base64(edited.data[0].b64_json)


def _refusal(answer: ProviderResponse) -> ProviderFailure:
    """A status other than 2xx. Both kinds of 429 are told apart by their code."""
    error = _error_of(answer)
    kind, repeats = _judged(answer.status, error)
    if answer.headers.get("x-should-retry") == "false":
        repeats = 0
    elif answer.headers.get("x-should-retry") == "true" and kind in PASSING:
        repeats = 1
    return kind(
        private=_words(answer, error),
        repeats=repeats,
        wait_seconds=_asked_wait(answer.headers),
        maybe_billed=answer.status in (408, 504) or error.moderation.moderation_stage in DRAWN,
    )


def _judged(status: int, error: _Error) -> tuple[type[ProviderFailure], int]:
    """Which failure it is, and how often it is worth another try."""
    if error.code in BLOCKED:
        return ContentBlocked, 0
    if error.code in MONEY or error.type == "insufficient_quota":
        return ProviderQuota, 0
    if status in (401, 403):
        return ProviderAuth, 0
    if status == 429:
        return ProviderQuota, 1
    if status in (408, 409) or status >= 500:
        return ProviderUnavailable, 1
    return (ProviderBadResponse if status < 400 else ProviderError), 0


def _asked_wait(headers: httpx.Headers) -> float | None:
    milliseconds = re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", headers.get("retry-after-ms", ""))
    return float(milliseconds[0]) / 1000 if milliseconds else retry_after(headers)


def _error_of(answer: ProviderResponse) -> _Error:
    """The error object; of a proxy's page, its text."""
    try:
        found: _Envelope = read_json(answer.body, _Envelope)
    except NotJson:
        return _Error(message=quoted(answer.body))
    return found.error


def _words(answer: ProviderResponse, error: _Error) -> str:
    """What an admin reads of it. The message about a wrong key repeats a part of that key."""
    said = None if error.code == "invalid_api_key" else error.message
    parts = [
        f"HTTP {answer.status}",
        error.code or error.type,
        error.moderation.moderation_stage,
        ", ".join(error.moderation.categories or []),
        answer.headers.get("x-request-id"),
        said,
    ]
    return " | ".join(str(part) for part in parts if part)[:MAX_QUOTED]


def _cost(price: Price | None, usage: Mapping[str, Any]) -> int | None:
    """The estimated price in millionths of a US dollar; None for a model without a known price, or
    without figures. Every figure may be missing."""
    drawn = tokens(usage.get("output_tokens"))
    if price is None or drawn is None:
        return None
    given, made = _details(usage, "input"), _details(usage, "output")
    written = min(drawn, tokens(made.get("text_tokens")) or 0)
    return round(
        (tokens(given.get("text_tokens")) or 0) * price.text
        + (tokens(given.get("image_tokens")) or 0) * price.image
        + (drawn - written) * price.drawn
        + written * price.written
    )


def _details(usage: Mapping[str, Any], way: str) -> Mapping[str, Any]:
    found = usage.get(f"{way}_tokens_details")
    return found if isinstance(found, dict) else {}


def _model_name(settings: msgspec.Struct) -> str:
    assert isinstance(settings, Settings)
    return settings.model


def _check(settings: msgspec.Struct, images: int) -> Iterable[Fault]:
    """Fewer images than OpenAI's 16 fit into a plan, so their number is never too large."""
    assert isinstance(settings, Settings)
    return faults(settings, date.today())


PROVIDER = Provider(
    name="openai",
    edit=edit,
    ping=ping,
    operations={
        "image_edit": Operation(Settings, optional_roles=("background", "style")),
        "style_transfer": Operation(Settings, roles=("style",)),
        "identity_transfer": Operation(Settings, roles=("face",), optional_roles=("background",)),
    },
    accepts=ACCEPTS,
    model_of=_model_name,
    check=_check,
    repeats_of_bad_pictures=1,
)
