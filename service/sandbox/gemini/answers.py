"""Bodies of generateContent answers (Gemini API, GenerateContentResponse reference)."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from service.sandbox.gemini.errors import JSON
from service.sandbox.gemini.request import ImageRequest
from service.sandbox.wire import Answer

Json = dict[str, Any]

CHARACTERS_PER_TOKEN = 4
SIGNATURE_BYTES = 48


def complete(order: ImageRequest, *parts: Json, finish: str = "STOP", images: int = 1) -> Answer:
    """200 with one candidate that carries these parts."""
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}
    return respond(order, candidates=[candidate], usageMetadata=usage(order, parts, images))


def respond(order: ImageRequest, **fields: Any) -> Answer:
    """200 with these top-level fields, and the two that every answer has."""
    body = {
        **fields,
        "modelVersion": order.model.name,
        "responseId": _digest(order, "response").hex()[:22],
    }
    return Answer(200, msgspec.json.encode(body), JSON)


def image_part(order: ImageRequest, raw: bytes, mime: str | None = None) -> Json:
    """A finished image; msgspec writes the bytes as standard base64."""
    blob = {"mimeType": mime or order.model.output_mime, "data": raw}
    return {"inlineData": blob, "thoughtSignature": _signature(order)}


def text_part(text: str) -> Json:
    """Words."""
    return {"text": text}


def as_thought(part: Json) -> Json:
    """The same part inside the thinking: flagged, and without a signature."""
    kept = {name: value for name, value in part.items() if name != "thoughtSignature"}
    return {**kept, "thought": True}


def usage(order: ImageRequest, parts: Sequence[Json] = (), images: int = 1) -> Json:
    """Token counts of an answer: what `images` images, its texts and its thinking cost."""
    image_tokens = order.model.output_tokens(order.image_size) * images
    text_tokens = sum(_tokens(part["text"]) for part in parts if "text" in part)
    details = [{"modality": "IMAGE", "tokenCount": image_tokens}] if images else []
    return _usage(order, image_tokens + text_tokens, details)


def refusal_usage(order: ImageRequest) -> Json:
    """Token counts without an image: the candidates' count merely repeats the thoughts'."""
    return _usage(order, None, [])


def _usage(order: ImageRequest, candidates: int | None, details: list[Json]) -> Json:
    words = _tokens(order.guidance) + _tokens(order.prompt)
    pictures = order.model.input_image_tokens * len(order.images)
    thoughts = 120 + _digest(order, "thoughts")[0] if order.model.thinking else 0
    shown = {"promptTokenCount": words + pictures}
    shown["candidatesTokenCount"] = thoughts if candidates is None else candidates
    shown["totalTokenCount"] = words + pictures + (candidates or 0) + thoughts
    prompt = [{"modality": "TEXT", "tokenCount": words}]
    if pictures:
        prompt.append({"modality": "IMAGE", "tokenCount": pictures})
    result: Json = {**shown, "promptTokensDetails": prompt}
    if details:
        result["candidatesTokensDetails"] = details
    if thoughts:
        result["thoughtsTokenCount"] = thoughts
    return result


def _tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def _signature(order: ImageRequest) -> bytes:
    return (_digest(order, "signature") * 2)[:SIGNATURE_BYTES]


def _digest(order: ImageRequest, purpose: str) -> bytes:
    images = [image.facts.sha256 for image in order.images]
    said = (purpose, order.model.name, order.guidance, order.prompt, images)
    return hashlib.sha256(repr(said).encode()).digest()
