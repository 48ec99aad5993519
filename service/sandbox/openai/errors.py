"""OpenAI's error envelope (`Error` of its API description) and the refusals the sandbox speaks."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from service.sandbox.wire import Answer, Refusal

JSON = {"content-type": "application/json"}

INVALID = "invalid_request_error"
USER_ERROR = "image_generation_user_error"
KEYS = "You can find your API key at https://platform.openai.com/account/api-keys."
SAFETY = (
    "Your request was rejected by the safety system. If you believe this is an error, contact us "
    "at help.openai.com and include the request ID. safety_violations=[sexual]."
)
NO_MONEY = "You exceeded your current quota, please check your plan and billing details."
KINDS = {
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again in 1s."),
    500: ("server_error", None, "The server had an error while processing your request. Sorry!"),
    503: (
        *("service_unavailable_error", "server_is_overloaded"),
        "The server is currently overloaded. Please try again later.",
    ),
}


class ApiError(Refusal):
    """A refusal in OpenAI's words. `more` are further keys of the error object."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = INVALID,
        code: str | None = None,
        param: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"message": message, "type": kind, "param": param, "code": code, **more}
        self.headers = dict(headers or {})

    def answer(self) -> Answer:
        body = msgspec.json.encode({"error": self.error})
        return Answer(self.status, body, JSON | self.headers)


def bad_key(key: str) -> ApiError:
    """A wrong key, which the service repeats in part."""
    shown = f"{key[:4]}***{key[-2:]}"
    return ApiError(401, f"Incorrect API key provided: {shown}. {KEYS}", code="invalid_api_key")


def no_key() -> ApiError:
    """No key at all."""
    return ApiError(401, f"You didn't provide an API key. {KEYS}")


def unknown_model(name: str, shut_down: str | None = None) -> ApiError:
    """A model that never was, is no more, or is not for this key."""
    if shut_down:
        message = f"The model `{name}` was shut down on {shut_down}."
    else:
        message = f"The model `{name}` does not exist or you do not have access to it."
    return ApiError(404, message, code="model_not_found")


def unverified(model: str) -> ApiError:
    """An organisation that has not shown who it is."""
    return ApiError(403, f"Your organization must be verified to use the model `{model}`.")


def unknown(param: str) -> ApiError:
    """A field that the endpoint does not have."""
    return ApiError(400, f"Unknown parameter: '{param}'.", code="unknown_parameter", param=param)


def missing(param: str) -> ApiError:
    """A required field that is not there."""
    message = f"Missing required parameter: '{param}'."
    return ApiError(400, message, code="missing_required_parameter", param=param)


def invalid(param: str, message: str, code: str = "invalid_value") -> ApiError:
    """A field whose value is not taken."""
    return ApiError(400, message, code=code, param=param)


def not_among(param: str, value: str, taken: Iterable[str]) -> ApiError:
    """A value that is not one of those that are taken."""
    known = ", ".join(f"'{one}'" for one in taken)
    return invalid(param, f"Invalid value: '{value}'. Supported values are: {known}.")


def unsupported_mimetype(param: str, mime: str) -> ApiError:
    """A file that is not declared as one of the three formats."""
    return invalid(
        param,
        f"Invalid file '{param}': unsupported mimetype ('{mime}'). Supported file formats are "
        "'image/jpeg', 'image/png', and 'image/webp'.",
        "unsupported_file_mimetype",
    )


def moderated(stage: str) -> ApiError:
    """Refused for what is, or came to be, in the picture."""
    details = {"moderation_stage": stage, "categories": ["sexual"]}
    return ApiError(400, SAFETY, USER_ERROR, "moderation_blocked", moderation_details=details)


def without_money(code: str, status: int = 429) -> ApiError:
    """An account that has spent what it may."""
    return ApiError(status, NO_MONEY, "insufficient_quota", code)


def rate_limited(headers: Mapping[str, str] | None = None) -> ApiError:
    """Too many requests for the moment."""
    kind, code, message = KINDS[429]
    return ApiError(429, message, kind, code, headers=headers)


def status_error(status: int) -> ApiError:
    """Any HTTP status in the envelope, with OpenAI's words where they are known."""
    default = ("server_error" if status >= 500 else INVALID, None, "")
    kind, code, message = KINDS.get(status, default)
    return ApiError(status, message or f"The sandbox was asked for a {status}.", kind, code)
