"""The table of OpenAI's outcomes: each name and the function that answers so."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from service.sandbox import junk, wire
from service.sandbox.failures import TROUBLES
from service.sandbox.openai import answers, errors
from service.sandbox.openai.errors import ApiError
from service.sandbox.openai.request import EditRequest
from service.sandbox.wire import Answer

Failure = Callable[[str], Answer]
Scene = Callable[[EditRequest], Answer]

SOON_S = 1.5
LATE_S = 30
HTTP_ERRORS = range(400, 600)

MONEY = (
    *("insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded"),
    *("project_spend_limit_exceeded", "organization_usage_limit_exceeded"),
    *("billing_hard_limit_reached", "billing_not_active"),
)
MONEY_STATUSES = ("429", "400")
STAGES = ("input", "output", "unknown")

REFUSALS: dict[str, Callable[[str], ApiError]] = {
    "bad_key": lambda model: errors.bad_key("sk-somebody"),
    "address": lambda model: ApiError(401, "Your IP is not authorized.", code="ip_not_authorized"),
    "not_a_member": lambda model: ApiError(
        401, "You must be a member of an organization to use the API."
    ),
    "country": lambda model: ApiError(
        403,
        "Country, region, or territory not supported",
        "request_forbidden",
        "unsupported_country_region_territory",
    ),
    "unverified": errors.unverified,
    "unknown_model": errors.unknown_model,
    "shut_down": lambda model: errors.unknown_model(model, "2026-10-23"),
    "content_blocked": lambda model: errors.moderated("output"),
    "content_policy": lambda model: ApiError(400, errors.SAFETY, code="content_policy_violation"),
    "quota": lambda model: errors.without_money("credit_balance_exhausted"),
    "429_wait_ms": lambda model: errors.rate_limited({"retry-after-ms": f"{SOON_S * 1000:g}"}),
    "429_wait": lambda model: errors.rate_limited({"retry-after": f"{LATE_S}"}),
    "429_wait_date": lambda model: errors.rate_limited({"retry-after": _in(LATE_S)}),
    "429_never": lambda model: errors.rate_limited(
        {"x-should-retry": "false", "retry-after-ms": "10"}
    ),
    "slow_down": lambda model: ApiError(429, "Slow down.", "rate_limit_error", "slow_down"),
}

SCENES: dict[str, Scene] = {
    "ok": answers.plain,
    "jpeg": lambda order: answers.plain(order, "image/jpeg"),
    "png": lambda order: answers.plain(order, "image/png"),
    "webp": lambda order: answers.plain(order, "image/webp"),
    "other_format": answers.other_format,
    "no_usage": answers.without_usage,
    "huge_usage": lambda order: answers.counted(order, answers.HUGE_USAGE),
    "odd_usage": lambda order: answers.counted(order, answers.ODD_USAGE),
    "odd_base64": lambda order: answers.respond(order, data=[{"b64_json": "abcde"}]),
    "slow_headers": lambda order: answers.sent(order, wire.dripping_head),
    "slow_body": lambda order: answers.sent(order, wire.dripping),
    "cut_body": lambda order: answers.sent(order, wire.cut),
    "truncated_json": answers.truncated_json,
    "no_image": answers.respond,
    "null_data": lambda order: answers.respond(order, data=None),
    "empty_data": lambda order: answers.respond(order, data=[]),
    "no_base64": lambda order: answers.respond(order, data=[{}]),
    "null_base64": lambda order: answers.respond(order, data=[{"b64_json": None}]),
    "broken_base64": answers.broken_base64,
    "empty_image": lambda order: answers.raw(order, b""),
    "not_an_image": lambda order: answers.raw(order, junk.TEXT),
    "html_image": lambda order: answers.raw(order, junk.HTML),
    "svg": lambda order: answers.raw(order, junk.SVG),
    "pdf": lambda order: answers.raw(order, junk.PDF),
    "tiny": lambda order: answers.raw(order, junk.png(1, 1)),
    "bomb_png": lambda order: answers.raw(order, junk.bomb_png()),
    "cut_image": answers.cut_image,
}

NAMES = [
    *SCENES,
    *REFUSALS,
    *TROUBLES,
    "400…599 (any HTTP status)",
    f"moderation:<{'|'.join(STAGES)}>",
    f"money:<{'|'.join(MONEY)}>[:<{'|'.join(MONEY_STATUSES)}>]",
]


def knows(outcome: str) -> bool:
    """Whether the outcome can be dialled."""
    return outcome in SCENES or failure(outcome) is not None


def failure(outcome: str) -> Failure | None:
    """An outcome that any request can meet, the free ones too."""
    if outcome in TROUBLES:
        return lambda model: TROUBLES[outcome]
    refusal = REFUSALS.get(outcome) or _family(outcome)
    return (lambda model: refusal(model).answer()) if refusal else None


def perform(outcome: str, order: EditRequest) -> Answer:
    """The answer to an order under a known outcome. Blocking: it draws."""
    failing = failure(outcome)
    return failing(order.model.name) if failing else SCENES[outcome](order)


def _family(outcome: str) -> Callable[[str], ApiError] | None:
    family, _, rest = outcome.partition(":")
    code, _, status = rest.partition(":")
    if outcome.isdecimal() and len(outcome) == 3 and int(outcome) in HTTP_ERRORS:
        return lambda model: errors.status_error(int(outcome))
    if family == "moderation" and rest in STAGES:
        return lambda model: errors.moderated(rest)
    if family == "money" and code in MONEY and status in ("", *MONEY_STATUSES):
        return lambda model: errors.without_money(code, int(status or 429))
    return None


def _in(seconds: float) -> str:
    """An HTTP date so many seconds from now."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
