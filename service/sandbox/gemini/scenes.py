"""Answers with status 200: pictures in company, and every kind of no picture."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from service.sandbox.gemini.answers import (
    Json,
    as_thought,
    complete,
    image_part,
    refusal_usage,
    respond,
    text_part,
    usage,
)
from service.sandbox.gemini.request import ImageRequest
from service.sandbox.wire import Answer, Manner

HERE_IT_IS = "Here is your edited picture."
THINKING = "**Planning the edit** I look at the photo and consider light, colours and framing."
POLITE_REFUSAL = "I can describe this picture, but I did not draw a new one."
OTHER_MODEL = "gemini-another-image-model"
DRAFTS = 2

MADE_UP_REASON = "SOMETHING_NEW"
BLOCK_REASONS = (
    *("SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY"),
    *("MODEL_ARMOR", "JAILBREAK", MADE_UP_REASON),
)
FINISH_REASONS = (
    *("STOP", "MAX_TOKENS"),
    *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_OTHER", "NO_IMAGE", "IMAGE_RECITATION"),
    *("SAFETY", "RECITATION", "OTHER", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
    *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"),
    *("MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE"),
    *("ESCALATION", "PUP_LIMITED_DISABLED", "CONTINUATION", "MODEL_ARMOR", MADE_UP_REASON),
)
FINISH_MESSAGES = {
    "IMAGE_OTHER": "Unable to show the generated image. You will not be charged for this request.",
    "IMAGE_SAFETY": "Unable to show the generated image because it may violate a safety policy.",
    "IMAGE_PROHIBITED_CONTENT": "Unable to show the generated image because of the interests of "
    "third-party content providers.",
}

DEFAULT_SHAPE = "no_content"
SHAPES: dict[str, Callable[[ImageRequest], Json]] = {
    DEFAULT_SHAPE: lambda order: {},
    "empty_content": lambda order: {"content": {}},
    "role_only": lambda order: {"content": {"role": "model"}},
    "null_parts": lambda order: {"content": {"role": "model", "parts": None}},
    "empty_parts": lambda order: {"content": {"role": "model", "parts": []}},
    "text": lambda order: {"content": {"role": "model", "parts": [text_part(POLITE_REFUSAL)]}},
    "image": lambda order: {"content": {"role": "model", "parts": [final(order)]}},
}


def final(order: ImageRequest) -> Json:
    """The part that carries the finished picture."""
    return image_part(order, order.picture())


def plain(order: ImageRequest, mime: str | None = None) -> Answer:
    """Just the picture; only words when no image was asked for."""
    if "IMAGE" not in order.modalities:
        return text_only(order)
    return complete(order, image_part(order, order.picture(mime), mime))


def text_before(order: ImageRequest) -> Answer:
    """Words, then the picture."""
    return complete(order, text_part(HERE_IT_IS), final(order))


def text_after(order: ImageRequest) -> Answer:
    """The picture, then words."""
    return complete(order, final(order), text_part(HERE_IT_IS))


def thoughts_then_final(order: ImageRequest) -> Answer:
    """Thinking in words and in a draft, both flagged, then the picture."""
    thinking = as_thought(text_part(THINKING))
    return complete(order, thinking, as_thought(_draft(order, 1)), final(order))


def thought_only(order: ImageRequest) -> Answer:
    """Thinking that led to nothing."""
    parts = (as_thought(text_part(THINKING)), as_thought(_draft(order, 1)))
    return complete(order, *parts, finish="NO_IMAGE", images=0)


def unflagged_drafts(order: ImageRequest) -> Answer:
    """Drafts that look like finished pictures; only the last one is."""
    drafts = [_draft(order, number + 1) for number in range(DRAFTS)]
    return complete(order, *drafts, final(order), images=DRAFTS + 1)


def without_usage(order: ImageRequest) -> Answer:
    """The picture and no token counts."""
    candidate = {**SHAPES["image"](order), "finishReason": "STOP"}
    return respond(order, candidates=[candidate])


HUGE_USAGE = {"totalTokenCount": 10**26, "candidatesTokenCount": 10**26, "promptTokenCount": -1}
ODD_USAGE = {
    "totalTokenCount": -5,
    "candidatesTokenCount": 1.5e300,
    "candidatesTokensDetails": [None, {"modality": "\0", "tokenCount": "many"}],
    "\0": {"a": {"b": {"c": {"d": 1}}}},
}


def counted(order: ImageRequest, figures: Json) -> Answer:
    """The picture with these token counts, from a model without a name."""
    candidate = {**SHAPES["image"](order), "finishReason": "STOP"}
    unnamed = replace(order, model=replace(order.model, name="\0 " * 200))
    return respond(unnamed, candidates=[candidate], usageMetadata=figures)


def spelt(order: ImageRequest, text: str) -> Answer:
    """This text where the picture's base64 should be."""
    return complete(order, {"inlineData": {"mimeType": "image/png", "data": text}})


def other_model(order: ImageRequest) -> Answer:
    """The picture, drawn by another model than the one that was asked."""
    return plain(replace(order, model=replace(order.model, name=OTHER_MODEL)))


def sent(order: ImageRequest, manner: Manner) -> Answer:
    """The picture, sent in another manner."""
    return replace(plain(order), manner=manner)


def text_only(order: ImageRequest) -> Answer:
    """A polite refusal that ended well."""
    return complete(order, text_part(POLITE_REFUSAL), images=0)


def finished(order: ImageRequest, reason: str, shape: str = DEFAULT_SHAPE) -> Answer:
    """A candidate with a finish reason and one of the shapes of nothing (or an image after all)."""
    candidate: Json = {**SHAPES[shape](order), "finishReason": reason, "index": 0}
    if reason in FINISH_MESSAGES:
        candidate["finishMessage"] = FINISH_MESSAGES[reason]
    if reason == "CONTINUATION":
        candidate["continuationToken"] = "c2FuZGJveA=="
    counts = usage(order) if shape == "image" else refusal_usage(order)
    return respond(order, candidates=[candidate], usageMetadata=counts)


def blocked(order: ImageRequest, reason: str) -> Answer:
    """The prompt was refused: no candidates at all."""
    feedback = {"blockReason": reason}
    return respond(order, promptFeedback=feedback, usageMetadata=refusal_usage(order))


def without_candidates(order: ImageRequest, **fields: Any) -> Answer:
    """No candidate and no reason why."""
    return respond(order, **fields, usageMetadata=refusal_usage(order))


def data(order: ImageRequest, raw: bytes, mime: str) -> Answer:
    """These bytes in place of the picture, under that name."""
    return complete(order, image_part(order, raw, mime))


def cut_image(order: ImageRequest) -> Answer:
    """The first half of the picture's file."""
    raw = order.picture()
    return complete(order, image_part(order, raw[: len(raw) // 2]))


def without_mime(order: ImageRequest) -> Answer:
    """The picture without its type."""
    return complete(order, {"inlineData": {"data": order.picture()}})


def broken_base64(order: ImageRequest) -> Answer:
    """Base64 with foreign characters in it."""
    blob = {"mimeType": "image/png", "data": "iVBORw0KGgo*** not base64 ***"}
    return complete(order, {"inlineData": blob})


def truncated_json(order: ImageRequest) -> Answer:
    """The first half of a good answer, as if it were all of it."""
    answer = plain(order)
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def _draft(order: ImageRequest, number: int) -> Json:
    return image_part(order, order.picture(note=f" · draft {number}"))
