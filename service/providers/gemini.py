"""Google Gemini: `generateContent` with the photo inline.

Wire facts are those of the Gemini API reference (generateContent, image generation guide, error
table, all of 2026) unless a comment names another source.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

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
    ProviderNoImage,
    ProviderQuota,
    ProviderTimeout,
    ProviderUnavailable,
)
from service.providers.base import Operation, Order, Picture, Provider, Pulse
from service.providers.wire import (
    MAX_QUOTED,
    Answer,
    AsBase64,
    Body,
    decode_base64,
    get,
    maybe_billed,
    post,
)

API_VERSION = "v1beta"
DEFAULT_MODEL = "gemini-nano-banana-2.1"
# 100 MB a request, counted as base64, with room for the text.
MAX_INLINE_BYTES = 95 * 1000**2
MAX_PROMPT = 16_000


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    prompt: float
    text: float
    image: float


# Google's price page of autumn 2026. Estimates: an unknown model has no price here.
PRICES = {
    "gemini-nano-banana-2.1": Price(1.5, 7.5, 30),
    "gemini-3-pro-image": Price(2, 12, 120),
    "gemini-3.1-flash-lite-image": Price(0.25, 0.25, 30),
    "gemini-2.5-flash-image": Price(0.3, 2.5, 30),
}

Ratio = Literal[
    "1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9",
    "1:4", "4:1", "1:8", "8:1",
]  # fmt: skip


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Settings of every operation. Without a ratio the result follows the photo."""

    prompt: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_PROMPT)]
    model: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9.-]{1,80}$")] = DEFAULT_MODEL
    aspect_ratio: Ratio | None = None
    image_size: Literal["512", "1K", "2K", "4K"] | None = None


class _Inline(msgspec.Struct, rename="camel"):
    mime_type: str | None = None
    data: msgspec.Raw = msgspec.Raw(b'""')


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    inline_data: _Inline | None = None
    thought: bool | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Generated(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: dict[str, Any] | None = None
    model_version: str | None = None


class _Listed(msgspec.Struct, rename="camel"):
    supported_generation_methods: list[str] = []


BLOCKED = frozenset(
    {
        *("SAFETY", "IMAGE_SAFETY", "PROHIBITED_CONTENT", "IMAGE_PROHIBITED_CONTENT", "BLOCKLIST"),
        *("SPII", "RECITATION", "IMAGE_RECITATION", "ESCALATION", "LANGUAGE", "IMAGE_OTHER"),
    }
)
EMPTY = frozenset({None, "", "STOP", "NO_IMAGE", "FINISH_REASON_UNSPECIFIED"})
CUT = frozenset(
    {
        *("MAX_TOKENS", "CONTINUATION", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"),
        *("TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
    }
)


async def edit(client: httpx.AsyncClient, account: ProviderAccount, order: Order) -> Picture:
    """Have Gemini edit one photo. Raises `ProviderFailure`, or `PayloadTooLarge` for a photo that
    does not fit into one request."""
    settings = msgspec.convert(order.settings, Settings, from_attributes=True)
    answer = await post(
        client,
        f"{account.base_url}/{API_VERSION}/models/{settings.model}:generateContent",
        _body(settings, order),
        {"x-goog-api-key": account.api_key, "Content-Type": "application/json"},
    )
    if answer.status != 200:
        raise _refusal(answer)
    generated = _decode(answer)
    usage = generated.usage_metadata or {}
    model = generated.model_version or settings.model
    return Picture(
        data=_last_image(generated),
        model=model,
        usage=usage,
        tokens=_number(usage.get("totalTokenCount")),
        cost_microusd=_cost(model, usage),
    )


async def ping(client: httpx.AsyncClient, account: ProviderAccount, model: str) -> Pulse:
    """Ask for a model: it must be there for this key, and generate. A model may be listed and
    refuse orders all the same, so a good pulse promises little and a bad one much."""
    url = f"{account.base_url}/{API_VERSION}/models/{model}"
    try:
        answer = await get(client, url, {"x-goog-api-key": account.api_key})
        if answer.status != 200:
            raise _refusal(answer)
        if "generateContent" not in _listed(answer).supported_generation_methods:
            raise ProviderError(private=f"{model} does not take generateContent")
    except ProviderFailure as failure:
        return Pulse.of(failure)
    return Pulse(ok=True)


def _listed(answer: Answer) -> _Listed:
    try:
        return msgspec.json.decode(answer.body, type=_Listed)
    except msgspec.MsgspecError as error:
        raise ProviderBadResponse(private=f"not the JSON we know: {error}") from error


def _body(settings: Settings, order: Order) -> Body:
    """Customer's photo, then templates in their order, then the text. The base64 never passes
    through a JSON encoder: it is streamed between two pieces of ready JSON."""
    pieces: list[Any] = [b'{"contents":[{"role":"user","parts":[']
    for photo in (order.photo, *(template.photo for template in order.templates)):
        mime = msgspec.json.encode(photo.mime)
        pieces += [
            b'{"inlineData":{"mimeType":' + mime + b',"data":"',
            AsBase64(photo.path),
            b'"}},',
        ]
    text = msgspec.json.encode({"text": settings.prompt})
    pieces.append(text + b']}],"generationConfig":' + msgspec.json.encode(_config(settings)) + b"}")
    body = Body(pieces)
    if body.length > MAX_INLINE_BYTES:
        raise PayloadTooLarge(
            "The photo is too large to be sent untouched; set max_side_px of this slot."
        )
    return body


def _config(settings: Settings) -> dict[str, Any]:
    wishes = {"aspectRatio": settings.aspect_ratio, "imageSize": settings.image_size}
    image = {name: wish for name, wish in wishes.items() if wish}
    config: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
    return config | ({"imageConfig": image} if image else {})


def _decode(answer: Answer) -> _Generated:
    try:
        return msgspec.json.decode(answer.body, type=_Generated)
    except msgspec.MsgspecError as error:
        raise maybe_billed(ProviderBadResponse(private=f"not the JSON we know: {error}")) from error


def _last_image(generated: _Generated) -> bytes:
    """The last picture that is not a thought: drafts may come before it, unmarked."""
    if generated.prompt_feedback and generated.prompt_feedback.block_reason:
        raise ContentBlocked(private=f"blockReason {generated.prompt_feedback.block_reason}")
    if generated.candidates is None:
        raise maybe_billed(ProviderBadResponse(private="an answer without candidates"))
    candidate = (generated.candidates or [_Candidate()])[0]
    parts = (candidate.content.parts if candidate.content else None) or []
    images = [
        part.inline_data
        for part in parts
        if part.inline_data
        and not part.thought
        and (part.inline_data.mime_type or "image/").startswith("image/")
    ]
    if not images:
        raise maybe_billed(_no_image(candidate, parts))
    return decode_base64(images[-1].data)


def _no_image(candidate: _Candidate, parts: list[_Part]) -> ProviderFailure:
    reason = candidate.finish_reason
    said = " ".join(part.text for part in parts if part.text and not part.thought)
    private = f"finishReason {reason}: {candidate.finish_message or said}"[:MAX_QUOTED]
    if reason in BLOCKED:
        return ContentBlocked(private=private)
    if reason in EMPTY:
        return ProviderNoImage(private=private)
    if reason in CUT:
        return ProviderBadResponse(private=private)
    if reason == "PUP_LIMITED_DISABLED":
        return ProviderAuth(private=private)
    return ProviderError(private=private)


def _refusal(answer: Answer) -> ProviderFailure:
    """A status other than 200. A bad key is a 400 here, told apart by its ErrorInfo."""
    error = _error_of(answer.body)
    private = f"HTTP {answer.status} {error.get('status', '')}: {error.get('message', '')}"
    private = private[:MAX_QUOTED]
    if answer.status == 400:
        auth = "API_KEY_INVALID" in str(error) or _is_about_billing(error)
        return (ProviderAuth if auth else ProviderError)(private=private)
    if answer.status in (401, 403):
        return ProviderAuth(private=private)
    if answer.status == 504 and error.get("status") == "DEADLINE_EXCEEDED":
        return ProviderTimeout(private=private)
    if answer.status == 429:
        return ProviderQuota(private=private)
    if answer.status >= 500 or answer.status == 408:
        return ProviderUnavailable(private=private)
    if answer.status < 400:
        return ProviderBadResponse(private=private)
    return ProviderError(private=private)


def _error_of(body: bytes) -> dict[str, Any]:
    """The error object, also out of a list of one; empty for HTML from a proxy."""
    try:
        decoded = msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return {"message": body[:MAX_QUOTED].decode(errors="replace")}
    if isinstance(decoded, list):
        decoded = decoded[0] if decoded else {}
    error = decoded.get("error") if isinstance(decoded, dict) else None
    return error if isinstance(error, dict) else {}


def _is_about_billing(error: dict[str, Any]) -> bool:
    words = str(error.get("message", "")).lower()
    precondition = error.get("status") == "FAILED_PRECONDITION"
    return precondition and ("billing" in words or "location" in words or "country" in words)


def _cost(model: str, usage: dict[str, Any]) -> int | None:
    """The estimated price in millionths of a US dollar; None for a model without a known price.
    Any figure may be missing."""
    price = PRICES.get(model)
    if price is None:
        return None
    details = usage.get("candidatesTokensDetails") or []
    images = sum(
        _number(detail.get("tokenCount")) or 0
        for detail in details
        if isinstance(detail, dict) and detail.get("modality") == "IMAGE"
    )
    prompt = _number(usage.get("promptTokenCount")) or 0
    drawn = _number(usage.get("candidatesTokenCount")) or 0
    thought = _number(usage.get("thoughtsTokenCount")) or 0
    text = max(0, drawn - images) + thought
    return round(prompt * price.prompt + images * price.image + text * price.text)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _model_of(settings: msgspec.Struct) -> str:
    return str(getattr(settings, "model", DEFAULT_MODEL))


PROVIDER = Provider(
    name="gemini",
    edit=edit,
    ping=ping,
    operations={
        "image_edit": Operation(Settings, optional_roles=("background", "style")),
        "style_transfer": Operation(Settings, roles=("style",)),
        "identity_transfer": Operation(Settings, roles=("face",), optional_roles=("background",)),
    },
    accepts=frozenset({"image/jpeg", "image/png", "image/webp", "image/heic"}),
    model_of=_model_of,
)
