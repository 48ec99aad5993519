"""Refusals of Gemini: its statuses, finish reasons and details as our failures.

By the Gemini API's error table and enumerations of 2026. A failure that comes and goes is worth
`repeats`, one that needs an admin is not.
"""

import re
from typing import Any

from service.errors import (
    ContentBlocked,
    ProviderAuth,
    ProviderBadResponse,
    ProviderError,
    ProviderFailure,
    ProviderNoImage,
    ProviderQuota,
    ProviderTimeout,
    ProviderUnavailable,
    clamped_wait,
)
from service.providers.http import (
    MAX_QUOTED,
    NotJson,
    ProviderResponse,
    quoted,
    read_json,
    retry_after,
    words,
)

BLOCKED = frozenset(
    {
        *("SAFETY", "IMAGE_SAFETY", "PROHIBITED_CONTENT", "IMAGE_PROHIBITED_CONTENT", "BLOCKLIST"),
        *("SPII", "RECITATION", "IMAGE_RECITATION", "ESCALATION", "LANGUAGE"),
    }
)
EMPTY = frozenset({None, "", "STOP", "NO_IMAGE", "FINISH_REASON_UNSPECIFIED"})
CUT = frozenset(
    {
        *("MAX_TOKENS", "CONTINUATION", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"),
        *("TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
    }
)
DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)s")
# Of an error that tells which limit was reached; a real one has some kilobytes.
MAX_SEARCHED = 64 * 1024
HOPELESS_QUOTA = re.compile(r"PerDay|limit: 0(?![\d.])|free_?tier", re.IGNORECASE)
COUNTRY_OR_MONEY = re.compile(r"billing|location|country", re.IGNORECASE)


def no_image(finish_reason: str | None, said: str) -> ProviderFailure:
    """A 200 whose candidate carries no picture; it may be billed all the same."""
    private = f"finishReason {finish_reason}: {said}"[:MAX_QUOTED]
    if finish_reason in BLOCKED:
        return ContentBlocked(private=private, maybe_billed=True)
    # Drawn and then withheld: the same order passes at times.
    if finish_reason == "IMAGE_OTHER":
        return ContentBlocked(private=private, repeats=1, maybe_billed=True)
    if finish_reason in EMPTY:
        return ProviderNoImage(private=private, repeats=2, maybe_billed=True)
    if finish_reason in CUT:
        return ProviderBadResponse(private=private, maybe_billed=True)
    # The account is limited for violations of Google's policies.
    if finish_reason == "PUP_LIMITED_DISABLED":
        return ProviderAuth(private=private, maybe_billed=True)
    return ProviderError(private=private, repeats=1, maybe_billed=True)


def refusal(answer: ProviderResponse) -> ProviderFailure:
    """A status other than 200. A bad key is a 400 here, told apart by its ErrorInfo; what failed
    with 429 or 5xx is not billed."""
    error = _error_of(answer.body)
    status = answer.status
    told = f"{words(error.get('status'))}: {words(error.get('message'))}"
    private = f"HTTP {status} {told}"[:MAX_QUOTED]
    if status == 400:
        return _bad_request(error, private)
    if status in (401, 403):
        return ProviderAuth(private=private)
    if status == 429:
        return _quota(answer, error, private)
    if status == 504 and error.get("status") == "DEADLINE_EXCEEDED":
        return ProviderTimeout(private=private, repeats=1)
    if status >= 500 or status == 408:
        repeats = 2 if status in (500, 503) else 1
        wait = retry_after(answer.headers)
        return ProviderUnavailable(private=private, repeats=repeats, wait_seconds=wait)
    if status >= 400:
        return ProviderError(private=private)
    # A 2xx without the body it promises may have cost something; a redirect is our configuration.
    return ProviderBadResponse(
        private=private, repeats=int(status < 300), maybe_billed=status < 300
    )


def _bad_request(error: dict[str, Any], private: str) -> ProviderFailure:
    """400: our order, our key, our account, or a file that is not ready yet."""
    message = words(error.get("message"))
    if any(info.get("reason") == "API_KEY_INVALID" for info in _details(error, "ErrorInfo")):
        return ProviderAuth(private=private)
    if error.get("status") != "FAILED_PRECONDITION":
        return ProviderError(private=private)
    if COUNTRY_OR_MONEY.search(message):
        return ProviderAuth(private=private)
    return ProviderError(private=private, repeats=int("not in an ACTIVE state" in message))


def _quota(answer: ProviderResponse, error: dict[str, Any], private: str) -> ProviderFailure:
    """429: too many calls a minute passes, a used up day or an account without a quota does not.
    Without a time to wait it is taken for the latter."""
    waits = [_seconds(info.get("retryDelay")) for info in _details(error, "RetryInfo")]
    known = [wait for wait in (*waits, retry_after(answer.headers)) if wait is not None]
    wait = max(known, default=None)
    said = answer.body[:MAX_SEARCHED].decode(errors="replace")
    hopeless = wait is None or HOPELESS_QUOTA.search(said)
    return ProviderQuota(private=private, repeats=0 if hopeless else 1, wait_seconds=wait)


def _seconds(duration: object) -> float | None:
    """A protobuf duration in JSON, such as `37s` or `1.5s`."""
    found = DURATION.fullmatch(duration) if isinstance(duration, str) else None
    return clamped_wait(float(found[1])) if found else None


def _details(error: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The entries of one google.rpc type."""
    details = error.get("details")
    return [
        detail
        for detail in (details if isinstance(details, list) else [])
        if isinstance(detail, dict) and words(detail.get("@type")).endswith(f".{kind}")
    ]


def _error_of(body: bytes) -> dict[str, Any]:
    """The error object, also out of a list of one; empty for HTML from a proxy."""
    try:
        decoded = read_json(body)
    except NotJson:
        return {"message": quoted(body)}
    if isinstance(decoded, list):
        decoded = decoded[0] if decoded else {}
    error = decoded.get("error") if isinstance(decoded, dict) else None
    return error if isinstance(error, dict) else {}
