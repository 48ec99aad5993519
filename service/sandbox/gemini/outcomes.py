"""The table of Gemini's outcomes: each name and the function that answers so."""

import re
from collections.abc import Callable

from service.sandbox import junk, wire
from service.sandbox.failures import TROUBLES
from service.sandbox.gemini import errors, scenes
from service.sandbox.gemini.files import FileMarker
from service.sandbox.gemini.request import ImageRequest
from service.sandbox.wire import Answer

Failure = Callable[[str], Answer]
Scene = Callable[[ImageRequest], Answer]

MINUTE_RETRY_S = 1.5
DAY_RETRY_S = 38_400
_LONG_MINUTE = re.compile(r"429_minute:(\d+(?:\.\d+)?)")
HTTP_ERRORS = range(400, 600)

# What an uploaded file goes through while such an outcome stays; orders are answered well.
FILES = {
    "file_processing": FileMarker(processing=2),
    "file_failed": FileMarker(processing=1, state="FAILED"),
}

FAILURES: dict[str, Failure] = {
    "bad_key": lambda model: errors.bad_key().answer(),
    "leaked_key": lambda model: errors.leaked_key().answer(),
    "billing_off": lambda model: errors.billing_off().answer(),
    "file_not_active": lambda model: errors.not_active("photo").answer(),
    "quota": lambda model: _exhausted("PerDay", model, 250),
    "429_day": lambda model: _exhausted("PerDay", model, 250, DAY_RETRY_S),
    "429_minute": lambda model: _exhausted("PerMinute", model, 10, MINUTE_RETRY_S),
    "429_limit0": lambda model: _exhausted("PerDay", model, 0, 37, tier="-FreeTier"),
}

SCENES: dict[str, Scene] = {
    "ok": scenes.plain,
    "jpeg": lambda order: scenes.plain(order, "image/jpeg"),
    "png": lambda order: scenes.plain(order, "image/png"),
    "webp": lambda order: scenes.plain(order, "image/webp"),
    "text_before": scenes.text_before,
    "text_after": scenes.text_after,
    "thoughts": scenes.thoughts_then_final,
    "drafts": scenes.unflagged_drafts,
    "no_usage": scenes.without_usage,
    "huge_usage": lambda order: scenes.counted(order, scenes.HUGE_USAGE),
    "odd_usage": lambda order: scenes.counted(order, scenes.ODD_USAGE),
    "odd_base64": lambda order: scenes.spelt(order, "abcde"),
    "other_model": scenes.other_model,
    "slow_headers": lambda order: scenes.sent(order, wire.dripping_head),
    "slow_body": lambda order: scenes.sent(order, wire.dripping),
    "cut_body": lambda order: scenes.sent(order, wire.cut),
    "truncated_json": scenes.truncated_json,
    "file_processing": scenes.plain,
    "file_failed": scenes.plain,
    "file_elsewhere": scenes.plain,
    "no_image": lambda order: scenes.finished(order, "NO_IMAGE"),
    "content_blocked": lambda order: scenes.finished(order, "IMAGE_SAFETY"),
    "text_only": scenes.text_only,
    "thought_only": scenes.thought_only,
    "no_candidates": lambda order: scenes.without_candidates(order),
    "null_candidates": lambda order: scenes.without_candidates(order, candidates=None),
    "empty_candidates": lambda order: scenes.without_candidates(order, candidates=[]),
    "broken_base64": scenes.broken_base64,
    "not_an_image": lambda order: scenes.data(order, junk.TEXT, "image/png"),
    "empty_image": lambda order: scenes.data(order, b"", "image/png"),
    "wrong_mime": lambda order: scenes.data(order, order.picture("image/jpeg"), "image/png"),
    "no_mime": scenes.without_mime,
    "html_image": lambda order: scenes.data(order, junk.HTML, "image/png"),
    "svg": lambda order: scenes.data(order, junk.SVG, "image/svg+xml"),
    "pdf": lambda order: scenes.data(order, junk.PDF, "image/png"),
    "tiny": lambda order: scenes.data(order, junk.png(1, 1), "image/png"),
    "bomb_png": lambda order: scenes.data(order, junk.bomb_png(), "image/png"),
    "cut_image": scenes.cut_image,
}

NAMES = [
    *SCENES,
    *FAILURES,
    *TROUBLES,
    "400…599 (any HTTP status)",
    "429_minute:<seconds to wait>",
    f"block:<{'|'.join(scenes.BLOCK_REASONS)}>",
    f"finish:<{'|'.join(scenes.FINISH_REASONS)}>[:<{'|'.join(scenes.SHAPES)}>]",
]


def knows(outcome: str) -> bool:
    """Whether the outcome can be dialled."""
    return outcome in SCENES or failure(outcome) is not None or _family(outcome) is not None


def failure(outcome: str) -> Failure | None:
    """An outcome that any request can meet, the free ones too."""
    if len(outcome) == 3 and outcome.isdecimal() and int(outcome) in HTTP_ERRORS:
        return lambda model: errors.status_error(int(outcome)).answer()
    if found := _LONG_MINUTE.fullmatch(outcome):
        return lambda model: _exhausted("PerMinute", model, 10, float(found[1]))
    if outcome in TROUBLES:
        return lambda model: TROUBLES[outcome]
    return FAILURES.get(outcome)


def perform(outcome: str, order: ImageRequest) -> Answer:
    """The answer to an order under a known outcome. Blocking: it draws."""
    failing = failure(outcome)
    if failing is not None:
        return failing(order.model.name)
    scene = SCENES.get(outcome) or _family(outcome)
    if scene is None:
        raise LookupError(outcome)
    return scene(order)


def _family(outcome: str) -> Scene | None:
    family, _, rest = outcome.partition(":")
    reason, _, shape = rest.partition(":")
    if family == "block" and reason in scenes.BLOCK_REASONS and not shape:
        return lambda order: scenes.blocked(order, reason)
    if family == "finish" and reason in scenes.FINISH_REASONS and shape in ("", *scenes.SHAPES):
        return lambda order: scenes.finished(order, reason, shape or scenes.DEFAULT_SHAPE)
    return None


def _exhausted(
    per: str, model: str, value: int, retry_s: float | None = None, tier: str = ""
) -> Answer:
    quota_id = f"GenerateRequests{per}PerProjectPerModel{tier}"
    return errors.exhausted(quota_id, model, value, retry_s).answer()
