"""JSON in and out: bodies and queries checked against typed structures, answers by msgspec."""

from collections.abc import Iterator
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from service.errors import InvalidFields, InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from service.faults import Fault
from service.http import negotiation
from service.state import State

MAX_JSON_BYTES = 256 * 1024

T = TypeVar("T")


async def read_json(request: Request[State], kind: type[T]) -> T:
    """The request's JSON body as `kind`.

    Raises `UnsupportedMediaType`, `PayloadTooLarge`, `InvalidRequest` for what is not JSON and
    `InvalidFields` for what does not fit."""
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType("Send application/json.")
    negotiation.refuse_coding(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise PayloadTooLarge(f"The body is larger than {MAX_JSON_BYTES // 1024} KB.")
    return decode(bytes(body), kind)


def decode(body: bytes | str, kind: type[T], prefix: str = "") -> T:
    """JSON text as `kind`. Raises `InvalidRequest`, `InvalidFields`."""
    try:
        decoded = msgspec.json.decode(body, type=kind)
        # PostgreSQL keeps no NUL, neither in a text nor in a jsonb.
        if nul := next(_nuls(msgspec.to_builtins(decoded), prefix), None):
            raise InvalidFields([Fault.of(nul, "nul")])
        return decoded
    except msgspec.ValidationError as error:
        raise InvalidFields([Fault.read(error, prefix)]) from None
    except (msgspec.MsgspecError, RecursionError):
        raise InvalidRequest("The body is not JSON, or nested too deeply.") from None
    except UnicodeDecodeError:
        raise InvalidRequest("The body is not UTF-8.") from None


def _nuls(value: Any, path: str) -> Iterator[str]:
    """The paths of texts with a NUL, or next to a name with one."""
    if isinstance(value, str) and "\0" in value:
        yield path
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nuls(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            place = ".".join(step for step in (path, name.replace("\0", "\ufffd")) if step)
            yield from [place] if "\0" in name else _nuls(item, place)


def query(request: Request[State], kind: type[T]) -> T:
    """The query string as `kind`. Raises `InvalidFields`."""
    given = {name: without_nul(value) for name, value in request.query_params.items()}
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidFields([Fault.read(error, "")]) from None


def slot_id(request: Request[State]) -> str:
    """The slot id of the path. Where it has a NUL, which PostgreSQL refuses, something else that no
    slot is called."""
    text: str = request.path_params["slot_id"]
    return without_nul(text)


def without_nul(text: str) -> str:
    """Text that matches nothing where it had a NUL: PostgreSQL keeps none."""
    return text.replace("\0", "\ufffd")


def job_id(request: Request[State]) -> UUID | None:
    """The job id of the path; None unless it is spelt as we spell it."""
    text: str = request.path_params["job_id"]
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None


def answer(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer that is never cached."""
    return Response(
        msgspec.json.encode(content),
        status,
        {"Cache-Control": "no-store"} | (headers or {}),
        "application/json",
    )
