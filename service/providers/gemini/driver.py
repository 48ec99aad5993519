"""Google Gemini: `generateContent` with the photo inline, or lent when it is too large for that.

Wire facts are those of the Gemini API reference (generateContent, image generation guide, all of
2026) unless a comment names another source.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec

from service.config import ProviderAccount
from service.errors import (
    ContentBlocked,
    ProviderBadResponse,
    ProviderError,
    ProviderFailure,
)
from service.pictures.prepare import Photo
from service.providers.base import Operation, Order, Picture, PingResult, Provider, guidance
from service.providers.gemini.files import lent, too_large
from service.providers.gemini.refusals import no_image, refusal
from service.providers.gemini.settings import (
    MODELS,
    Settings,
    check,
    cost_microusd,
    model_of,
    shutdown_date,
)
from service.providers.http import (
    MAX_QUOTED,
    AsBase64,
    Body,
    Slice,
    decode,
    decode_base64,
    get,
    post,
)
from service.providers.usage import figures, tokens

API_VERSION = "v1beta"
# Asked to write or explain something, models now and then answer in words alone.
IMAGE_ONLY = "Answer with the finished image only."
SAFETY = "safety_"
MODEL_VERSION = re.compile(r"[A-Za-z0-9._/-]{1,100}")


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
    usage_metadata: msgspec.Raw = msgspec.Raw(b"null")
    model_version: str | None = None


class _Listed(msgspec.Struct, rename="camel"):
    supported_generation_methods: list[str] = []


async def edit(client: httpx.AsyncClient, account: ProviderAccount, order: Order) -> Picture:
    """Have Gemini edit one photo. Raises `ProviderFailure`."""
    settings = order.settings
    assert isinstance(settings, Settings)
    photos = [order.photo, *(template.photo for template in order.templates)]
    async with lent(client, account, too_large(photos)) as uris:
        answer = await post(
            client,
            f"{_url(account, settings.model)}:generateContent",
            _body(settings, order, photos, uris),
            {"x-goog-api-key": account.api_key, "Content-Type": "application/json"},
        )
    if answer.status != 200:
        raise refusal(answer)
    generated = decode(answer, _Generated)
    usage = figures(generated.usage_metadata)
    total = tokens(usage.get("totalTokenCount"))
    model = _named(generated.model_version) or settings.model
    try:
        data = _last_image(generated)
    except ProviderFailure as failure:
        failure.note_usage(usage, total, cost_microusd(model, usage, has_picture=False))
        raise
    return Picture(data, model, usage, total, cost_microusd(model, usage))


async def ping(client: httpx.AsyncClient, account: ProviderAccount, model: str) -> PingResult:
    """Ask for a model: it must be there for this key, and generate. A model may be listed and
    refuse orders all the same, so a good result promises little and a bad one much."""
    ends = shutdown_date(model)
    try:
        answer = await get(client, _url(account, model), {"x-goog-api-key": account.api_key})
        if answer.status != 200:
            raise refusal(answer)
        if "generateContent" not in decode(answer, _Listed).supported_generation_methods:
            raise ProviderError(private=f"{model} does not take generateContent")
    except ProviderFailure as failure:
        return replace(PingResult.of(failure), shutdown_date=ends)
    return PingResult(ok=True, shutdown_date=ends)


def _named(version: str | None) -> str | None:
    """The model that answered, if it is a name as models have them."""
    return version if version and MODEL_VERSION.fullmatch(version) else None


def _url(account: ProviderAccount, model: str) -> str:
    return f"{account.base_url}/{API_VERSION}/models/{model}"


def _body(
    settings: Settings, order: Order, photos: Sequence[Photo], uris: Mapping[Path, str]
) -> Body:
    """The customer's photo, then the templates in their order, then our words, then the admin's.
    The base64 never passes through a JSON encoder: it is streamed between two pieces of ready
    JSON."""
    pieces: list[bytes | Path | AsBase64 | Slice] = [b'{"contents":[{"role":"user","parts":[']
    for photo in photos:
        pieces += _image(photo, uris.get(photo.path))
    pieces.append(msgspec.json.encode({"text": f"{guidance(order)} {IMAGE_ONLY}"}) + b",")
    pieces.append(msgspec.json.encode({"text": settings.prompt}))
    pieces.append(b']}],"generationConfig":' + msgspec.json.encode(_config(settings)))
    pieces.append(b',"safetySettings":' + msgspec.json.encode(_safety(settings)) + b"}")
    return Body(pieces)


def _image(photo: Photo, uri: str | None) -> list[bytes | AsBase64]:
    if uri is not None:
        part = {"fileData": {"mimeType": photo.mime, "fileUri": uri}}
        return [msgspec.json.encode(part) + b","]
    mime = msgspec.json.encode(photo.mime)
    start = b'{"inlineData":{"mimeType":' + mime + b',"data":"'
    return [start, AsBase64(photo.path), b'"}},']


def _config(settings: Settings) -> dict[str, Any]:
    wishes = {"aspectRatio": settings.aspect_ratio, "imageSize": settings.image_size}
    image = {name: wish for name, wish in wishes.items() if wish}
    config: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
    return config | ({"imageConfig": image} if image else {})


def _safety(settings: Settings) -> list[dict[str, str]]:
    return [
        {
            "category": f"HARM_CATEGORY_{name.removeprefix(SAFETY).upper()}",
            "threshold": getattr(settings, name),
        }
        for name in settings.__struct_fields__
        if name.startswith(SAFETY)
    ]


def _last_image(generated: _Generated) -> bytes:
    """The last picture that is no thought and can be read: drafts may come before it, unmarked."""
    candidate = _candidate(generated)
    parts = (candidate.content.parts if candidate.content else None) or []
    images = [
        part.inline_data
        for part in parts
        if part.inline_data
        and not part.thought
        and (part.inline_data.mime_type or "image/").startswith("image/")
    ]
    unreadable = None
    for image in reversed(images):
        try:
            return decode_base64(image.data)
        except ProviderBadResponse as error:
            unreadable = unreadable or error
    said = " ".join(part.text for part in parts if part.text and not part.thought)
    raise unreadable or no_image(candidate.finish_reason, candidate.finish_message or said)


def _candidate(generated: _Generated) -> _Candidate:
    feedback = generated.prompt_feedback
    if feedback and feedback.block_reason:
        private = f"blockReason {feedback.block_reason[:MAX_QUOTED]}"
        raise ContentBlocked(private=private, maybe_billed=True)
    if generated.candidates is None:
        private = "an answer without candidates"
        raise ProviderBadResponse(private=private, repeats=2, maybe_billed=True)
    return (generated.candidates or [_Candidate()])[0]


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
    model_of=model_of,
    check=check,
    repeats_of_bad_pictures=1,
    models=MODELS,
)
