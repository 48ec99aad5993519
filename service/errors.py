"""Errors: every way a request can be refused, as one family.

PhotoslotError                         500 internal_error
├── InvalidRequest                     400 invalid_request
├── InvalidPassword                    401 invalid_password
├── InvalidCredentials                 401 invalid_credentials
├── Unauthorized                       401 unauthorized
├── Forbidden                          403 forbidden
├── ShareInvalid                       403 share_invalid
├── DeleteKeyInvalid                   403 delete_key_invalid
├── NotFound                           404 not_found
│   ├── SlotNotFound                   404 slot_not_found
│   ├── SlotDisabled                   404 slot_disabled
│   ├── JobNotFound                    404 job_not_found
│   ├── ResultNotFound                 404 result_not_found
│   └── TemplateNotFound               404 template_not_found
├── MethodNotAllowed                   405 method_not_allowed
├── UploadTimeout                      408 upload_timeout
├── VersionConflict                    409 version_conflict
├── TemplateInUse                      409 template_in_use
├── ResultExpired                      410 result_expired
├── PayloadTooLarge                    413 payload_too_large
├── ImageTooLarge                      413 image_too_large
├── UnsupportedMediaType               415 unsupported_media_type
├── InvalidImage                       415 invalid_image
├── UriTooLong                         414 uri_too_long
├── RangeNotSatisfiable                416 range_not_satisfiable
├── IdempotencyConflict                422 idempotency_conflict
├── InvalidFields                      422 invalid_fields
├── HeadTooLarge                       431 head_too_large
├── NotImplementedHere                 501 not_implemented
├── VersionNotSupported                505 http_version_not_supported
├── TryLater                           429, 503 with Retry-After
│   ├── SlotBusy                       429 slot_busy
│   ├── ProviderBusy                   429 provider_busy
│   ├── RateLimited                    429 rate_limited
│   ├── QuotaExceeded                  429 quota_exceeded
│   ├── NotConfigured                  503 not_configured
│   ├── Overloaded                     503 overloaded
│   ├── DatabaseUnavailable            503 database_unavailable
│   ├── StorageError                   503 storage_error
│   ├── ShuttingDown                   503 shutting_down
│   └── Interrupted                    503 interrupted (the process that ran the shot died)
├── StorageFull                        507 storage_full
├── ClientClosed                       499 client_closed (never sent: nobody listens)
└── ProviderFailure                    what the AI service did
    ├── ContentBlocked                 422 content_blocked
    ├── ProviderError                  502 provider_error
    ├── ProviderNoImage                502 provider_no_image
    ├── ProviderBadResponse            502 provider_bad_response
    ├── ProviderUnavailable            503 provider_unavailable
    ├── ProviderQuota                  503 provider_quota
    ├── ProviderAuth                   503 provider_auth
    └── ProviderTimeout                504 provider_timeout
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from service.faults import Fault

RETRY_AFTER_SECONDS = 5
# The longest wait that is taken from a provider's word: it may name any number.
MAX_WAIT_SECONDS = 24 * 3600.0
# Words of a provider or of the disk, as the log and the journal keep them.
MAX_PRIVATE = 2000


class PhotoslotError(Exception):
    """Something went wrong on our side. The reference in X-Request-Id helps us find it."""

    status: ClassVar[int] = 500
    reason: ClassVar[str] = "internal_error"

    def __init__(self, details: str | None = None, *, private: str | None = None) -> None:
        """`details` is the sentence the caller reads (default: the class's docstring);
        `private` is for the log and the journal only."""
        self.details = details or _first_paragraph(type(self))
        # The journal keeps it, and PostgreSQL keeps no NUL.
        self.private = private and private[:MAX_PRIVATE].replace("\0", "\ufffd")
        self.job_id: str | None = None
        self.headers: dict[str, str] = {}
        super().__init__(self.details)

    @property
    def outcome(self) -> str:
        """The terminal status of a job that ends this way: `failed` or `timeout`."""
        return "timeout" if self.status == 504 else "failed"

    def body(self) -> dict[str, Any]:
        """The one JSON shape of every refusal; a class may add keys."""
        return {
            "status": "timeout" if self.status == 504 else "error",
            "failure_reason": self.reason,
            "details": self.details,
            "job_id": self.job_id,
        }

    def all_headers(self) -> dict[str, str]:
        """Reason, job and whatever the class adds, as response headers."""
        headers = {"X-Failure-Reason": self.reason, "Cache-Control": "no-store"} | self.headers
        return headers | ({"X-Job-Id": self.job_id} if self.job_id else {})


def _first_paragraph(cls: type) -> str:
    return " ".join((cls.__doc__ or cls.__name__).split("\n\n")[0].split())


class InvalidRequest(PhotoslotError):
    """The request could not be read."""

    status, reason = 400, "invalid_request"


class InvalidPassword(PhotoslotError):
    """The password of this slot is missing or wrong."""

    status, reason = 401, "invalid_password"


class InvalidCredentials(PhotoslotError):
    """The name or the password is wrong."""

    status, reason = 401, "invalid_credentials"


class Unauthorized(PhotoslotError):
    """Sign in first."""

    status, reason = 401, "unauthorized"

    def __init__(self, details: str | None = None, *, private: str | None = None) -> None:
        super().__init__(details, private=private)
        self.headers["WWW-Authenticate"] = "Bearer"


class Forbidden(PhotoslotError):
    """A browser sent this on behalf of another site."""

    status, reason = 403, "forbidden"


class ShareInvalid(PhotoslotError):
    """This gallery link does not work any more. Ask the studio for a new one."""

    status, reason = 403, "share_invalid"


class DeleteKeyInvalid(PhotoslotError):
    """This link shows the picture, but cannot delete it."""

    status, reason = 403, "delete_key_invalid"


class NotFound(PhotoslotError):
    """There is nothing at this address."""

    status, reason = 404, "not_found"


class SlotNotFound(NotFound):
    """There is no such slot: slots are slot-001 to slot-015."""

    reason = "slot_not_found"


class SlotDisabled(NotFound):
    """This slot is switched off. An admin can switch it on."""

    reason = "slot_disabled"


class JobNotFound(NotFound):
    """There is no job with this id."""

    reason = "job_not_found"


class ResultNotFound(NotFound):
    """There is no picture at this address."""

    reason = "result_not_found"


class TemplateNotFound(NotFound):
    """There is no such template."""

    reason = "template_not_found"


class MethodNotAllowed(PhotoslotError):
    """This address does not take this method."""

    status, reason = 405, "method_not_allowed"


class UploadTimeout(PhotoslotError):
    """The upload took so long that no time was left to edit the picture."""

    status, reason = 408, "upload_timeout"


class VersionConflict(PhotoslotError):
    """Somebody else has changed this in the meantime. Read it again, then change it."""

    status, reason = 409, "version_conflict"

    def __init__(self, version: int = 0) -> None:
        """`version` is the current one."""
        super().__init__()
        self.version = version

    def body(self) -> dict[str, Any]:
        return super().body() | {"version": self.version}


class TemplateInUse(PhotoslotError):
    """A slot, or a kept version of one, uses this template."""

    status, reason = 409, "template_in_use"


class ResultExpired(PhotoslotError):
    """This picture was kept for its time and is gone."""

    status, reason = 410, "result_expired"


class PayloadTooLarge(PhotoslotError):
    """The file is larger than this slot takes."""

    status, reason = 413, "payload_too_large"


class ImageTooLarge(PhotoslotError):
    """The picture has more pixels than this service takes."""

    status, reason = 413, "image_too_large"


class UnsupportedMediaType(PhotoslotError):
    """Send multipart/form-data with a JPEG, PNG, WebP or HEIC picture."""

    status, reason = 415, "unsupported_media_type"


class InvalidImage(PhotoslotError):
    """The picture is cut or broken."""

    status, reason = 415, "invalid_image"


class UriTooLong(PhotoslotError):
    """The address of the request is too long."""

    status, reason = 414, "uri_too_long"


class HeadTooLarge(PhotoslotError):
    """The head of the request has too many bytes or too many fields."""

    status, reason = 431, "head_too_large"


class NotImplementedHere(PhotoslotError):
    """The transfer coding of this request is not known here; chunked is."""

    status, reason = 501, "not_implemented"


class VersionNotSupported(PhotoslotError):
    """This is not HTTP/1.0 or HTTP/1.1."""

    status, reason = 505, "http_version_not_supported"


class RangeNotSatisfiable(PhotoslotError):
    """The picture is shorter than the range that was asked for."""

    status, reason = 416, "range_not_satisfiable"

    def __init__(self, size: int = 0) -> None:
        """`size` in bytes."""
        super().__init__()
        self.headers["Content-Range"] = f"bytes */{size}"


class IdempotencyConflict(PhotoslotError):
    """This Idempotency-Key was used before with another picture."""

    status, reason = 422, "idempotency_conflict"


class InvalidFields(PhotoslotError):
    """Some fields do not fit."""

    status, reason = 422, "invalid_fields"

    def __init__(self, errors: Sequence[Fault] = ()) -> None:
        """`errors`, one for each field that does not fit."""
        super().__init__("; ".join(f"{fault.path}: {fault.message}" for fault in errors))
        self.errors = errors

    def body(self) -> dict[str, Any]:
        return super().body() | {"errors": [asdict(fault) for fault in self.errors]}


class TryLater(PhotoslotError):
    """Try again later."""

    status, reason = 503, "overloaded"

    def __init__(
        self,
        details: str | None = None,
        *,
        private: str | None = None,
        retry_after: int = RETRY_AFTER_SECONDS,
    ) -> None:
        """`retry_after` in whole seconds."""
        super().__init__(details, private=private)
        self.headers["Retry-After"] = str(retry_after)


class SlotBusy(TryLater):
    """This slot already works on as many shots as it may."""

    status, reason = 429, "slot_busy"


class ProviderBusy(TryLater):
    """The AI provider already works on as many shots as it may."""

    status, reason = 429, "provider_busy"


class RateLimited(TryLater):
    """Too many wrong passwords from this address. Wait, then try the right one."""

    status, reason = 429, "rate_limited"


class QuotaExceeded(TryLater):
    """This slot has used its shots of the day."""

    status, reason = 429, "quota_exceeded"


class NotConfigured(TryLater):
    """This slot cannot take shots yet: an admin has to finish its configuration."""

    reason = "not_configured"


class Overloaded(TryLater):
    """The service works on as many shots as it can."""

    reason = "overloaded"


class DatabaseUnavailable(TryLater):
    """The database does not answer."""

    reason = "database_unavailable"


class StorageError(TryLater):
    """The folder for pictures cannot be used."""

    reason = "storage_error"


class ShuttingDown(TryLater):
    """The service is being restarted."""

    reason = "shutting_down"


class StorageFull(PhotoslotError):
    """The disk for pictures is full."""

    status, reason = 507, "storage_full"


class ClientClosed(PhotoslotError):
    """The device hung up while it was sending."""

    status, reason = 499, "client_closed"


class Interrupted(TryLater):
    """The process that worked on this shot was stopped. Send the shot again."""

    reason = "interrupted"


class ProviderFailure(PhotoslotError):
    """The AI provider could not edit this picture."""

    status, reason = 502, "provider_error"

    def __init__(
        self,
        details: str | None = None,
        *,
        private: str | None = None,
        repeats: int = 0,
        wait_seconds: float | None = None,
        maybe_billed: bool = False,
        **more: Any,
    ) -> None:
        """`repeats`: how often the same call may be repeated at the same provider, the window
        permitting; `wait_seconds`: how long the provider asked to wait before that, a day at most;
        `maybe_billed`: the call may have been charged although no picture came of it."""
        super().__init__(details, private=private, **more)
        self.repeats = repeats
        self.wait_seconds = clamped_wait(wait_seconds)
        self.maybe_billed = maybe_billed
        self.usage: Mapping[str, Any] = {}
        self.tokens: int | None = None
        self.cost_microusd: int | None = None

    def note_usage(
        self, usage: Mapping[str, Any], tokens: int | None, cost_microusd: int | None
    ) -> None:
        """Remember what the provider counted all the same: its own figures, tokens, and the
        estimated price in millionths of a US dollar."""
        self.usage, self.tokens, self.cost_microusd = usage, tokens, cost_microusd


class ContentBlocked(ProviderFailure):
    """The AI provider declines this picture. Take another one or change the style."""

    status, reason = 422, "content_blocked"


class ProviderError(ProviderFailure):
    """The AI provider refused the order. An admin finds its words in the journal."""

    reason = "provider_error"


class ProviderNoImage(ProviderFailure):
    """The AI provider answered without a picture."""

    reason = "provider_no_image"


class ProviderBadResponse(ProviderFailure):
    """The AI provider sent something that is not a usable picture."""

    reason = "provider_bad_response"


class _ProviderLater(ProviderFailure, TryLater):
    """The AI provider cannot work now."""

    def __init__(self, *args: Any, wait_seconds: float | None = None, **more: Any) -> None:
        """A device is told to wait as long as the provider told us to."""
        wait = max(RETRY_AFTER_SECONDS, math.ceil(clamped_wait(wait_seconds) or 0))
        super().__init__(*args, **{"wait_seconds": wait_seconds, "retry_after": wait, **more})


class ProviderUnavailable(_ProviderLater):
    """The AI provider cannot be reached or is overloaded."""

    status, reason = 503, "provider_unavailable"


class ProviderQuota(_ProviderLater):
    """The account at the AI provider has used what it may use."""

    status, reason = 503, "provider_quota"


class ProviderAuth(_ProviderLater):
    """The AI provider does not accept our key. An admin has to set a right one."""

    status, reason = 503, "provider_auth"


class ProviderTimeout(ProviderFailure):
    """The AI provider did not answer inside the window. The call may still be billed."""

    status, reason = 504, "provider_timeout"


def clamped_wait(seconds: float | None) -> float | None:
    """Seconds to wait as somebody else named them, from 0 to MAX_WAIT_SECONDS; None without a
    number."""
    if seconds is None or math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), MAX_WAIT_SECONDS)


def by_reason(reason: str) -> type[PhotoslotError]:
    """The class of a reason found in the journal; PhotoslotError for one nobody knows."""
    known = {cls.reason: cls for cls in family()}
    return known.get(reason, PhotoslotError)


def family(root: type[PhotoslotError] = PhotoslotError) -> list[type[PhotoslotError]]:
    """Every class that can be raised, each after its parents."""
    found = [] if root.__name__.startswith("_") else [root]
    for child in root.__subclasses__():
        found += [cls for cls in family(child) if cls not in found]
    return found
