"""Google's error envelope (google.rpc.Status as JSON) and the refusals the sandbox speaks."""

from collections.abc import Sequence
from typing import Any

import msgspec

from service.sandbox.wire import Answer, Refusal

JSON = {"content-type": "application/json; charset=UTF-8"}
SERVICE = "generativelanguage.googleapis.com"

RPC_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
MESSAGES = {
    500: "An internal error has occurred. Please retry.",
    503: "The model is overloaded. Please try again later.",
    504: "The request deadline expired before the answer was ready.",
}


class ApiError(Refusal):
    """A refusal in Google's words: HTTP status, message, RPC name, `google.rpc` details."""

    def __init__(
        self,
        status: int,
        message: str,
        rpc: str | None = None,
        details: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.rpc = rpc or RPC_NAMES.get(status, "UNKNOWN")
        self.details = list(details)

    def answer(self) -> Answer:
        """The error as it goes over the wire."""
        error: dict[str, Any] = {"code": self.status, "message": str(self), "status": self.rpc}
        if self.details:
            error["details"] = self.details
        return Answer(self.status, msgspec.json.encode({"error": error}), JSON)


def detail(kind: str, **fields: Any) -> dict[str, Any]:
    """One entry of `details`, a google.rpc message in its JSON form."""
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields}


def invalid(field: str, description: str) -> ApiError:
    """400 INVALID_ARGUMENT for one field (a dotted snake_case path, as Google writes it)."""
    return violations([(field, description)])


def violations(found: Sequence[tuple[str, str]]) -> ApiError:
    """400 INVALID_ARGUMENT that names every field at fault."""
    listed = [{"field": field, "description": text} for field, text in found]
    message = "\n".join(text for _, text in found)
    return ApiError(400, message, details=[detail("BadRequest", fieldViolations=listed)])


def bad_key() -> ApiError:
    """A missing or wrong key: a 400 at this API, not a 401."""
    message = "API key not valid. Please pass a valid API key."
    info = detail(
        "ErrorInfo",
        reason="API_KEY_INVALID",
        domain="googleapis.com",
        metadata={"service": SERVICE},
    )
    return ApiError(
        400, message, details=[info, detail("LocalizedMessage", locale="en-US", message=message)]
    )


def leaked_key() -> ApiError:
    """A key that Google found in public."""
    return ApiError(403, "Your API key was reported as leaked. Please use another API key.")


def billing_off() -> ApiError:
    """A project that may not use the API where it is, or does not pay."""
    message = "User location is not supported for the API use without a billing account linked."
    return ApiError(400, message, "FAILED_PRECONDITION")


def not_active(file_id: str) -> ApiError:
    """A file that is still being processed, or could not be."""
    message = f"The File {file_id} is not in an ACTIVE state and usage is not allowed."
    return ApiError(400, message, "FAILED_PRECONDITION")


def unknown_model(name: str, version: str, gone: bool) -> ApiError:
    """A model that never was, or is no more."""
    if gone:
        return ApiError(404, f"This model models/{name} is no longer available.")
    return ApiError(
        404,
        f"models/{name} is not found for API version {version}, or is not supported for "
        "generateContent. Call ListModels to see the list of available models and their "
        "supported methods.",
    )


def too_large(limit: int) -> ApiError:
    """A body over the limit."""
    return ApiError(400, f"Request payload size exceeds the limit: {limit} bytes.")


def status_error(status: int) -> ApiError:
    """Any HTTP status in the envelope, with Google's text where one is known."""
    return ApiError(status, MESSAGES.get(status, f"The sandbox was asked for a {status}."))


def exhausted(quota_id: str, model: str, value: int, retry_s: float | None = None) -> ApiError:
    """429 RESOURCE_EXHAUSTED; `retry_s` becomes a RetryInfo, as Google sends it."""
    metric = f"{SERVICE}/generate_content_requests"
    violation = {
        "quotaMetric": metric,
        "quotaId": quota_id,
        "quotaDimensions": {"location": "global", "model": model},
        "quotaValue": str(value),
    }
    link = {"description": "Learn more", "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}
    details = [detail("QuotaFailure", violations=[violation]), detail("Help", links=[link])]
    message = (
        "You exceeded your current quota, please check your plan and billing details.\n"
        f"* Quota exceeded for metric: {metric}, limit: {value}, model: {model}"
    )
    if retry_s is not None:
        details.append(detail("RetryInfo", retryDelay=f"{retry_s:g}s"))
        message += f"\nPlease retry in {retry_s:g}s."
    return ApiError(429, message, details=details)
