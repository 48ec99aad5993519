"""HTTP client of the drivers: a body streamed from files, an answer read up to a cap, httpx's
errors turned into ours."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import httpx
import msgspec
import pybase64

from service.errors import (
    ProviderBadResponse,
    ProviderUnavailable,
    StorageError,
    clamped_wait,
)
from service.storage.media import disk_errors

# Two connects and the pause between them take less than 5 seconds.
CONNECT_SECONDS = 2.0
RECONNECT_SECONDS = 0.3
MAX_ANSWER_BYTES = 96 * 1024**2
MAX_LOOKUP_BYTES = 1024**2
BLOCK_BYTES = 3 * 128 * 1024
MAX_QUOTED = 300
URL_SAFE = bytes.maketrans(b"-_", b"+/")

T = TypeVar("T")

# What happens before a byte of the request is sent, and how often it is worth another try.
NOT_SENT = {
    httpx.ConnectError: 2,
    httpx.ConnectTimeout: 1,
    httpx.PoolTimeout: 1,
    httpx.UnsupportedProtocol: 0,
}

_afterwards: WeakKeyDictionary[httpx.AsyncClient, set[asyncio.Task[None]]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """A provider's whole answer."""

    status: int
    headers: httpx.Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class AsBase64:
    """A file that goes out as base64."""

    path: Path


@dataclass(frozen=True, slots=True)
class Slice:
    """`length` bytes of a file from `start` on."""

    path: Path
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Body:
    """A request body made of text and files; a file goes out a block at a time, so a photo is never
    in memory whole. Iterating starts over from the files. A file is sent as long as it was when the
    body was made: making and iterating raise `StorageError` for one that cannot be read so."""

    pieces: Sequence[bytes | Path | AsBase64 | Slice]
    _sizes: Sequence[int] = field(init=False)

    def __post_init__(self) -> None:
        with disk_errors():
            object.__setattr__(self, "_sizes", [_size(piece) for piece in self.pieces])

    @property
    def length(self) -> int:
        """The exact number of bytes, for Content-Length."""
        pairs = zip(self.pieces, self._sizes, strict=True)
        return sum((s + 2) // 3 * 4 if isinstance(piece, AsBase64) else s for piece, s in pairs)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece, size in zip(self.pieces, self._sizes, strict=True):
            if isinstance(piece, bytes):
                yield piece
            elif isinstance(piece, AsBase64):
                for block in _blocks(piece.path, 0, size):
                    yield pybase64.b64encode(block)
            elif isinstance(piece, Slice):
                for block in _blocks(piece.path, piece.start, size):
                    yield block
            else:
                for block in _blocks(piece, 0, size):
                    yield block


def _blocks(path: Path, start: int, length: int) -> Iterator[bytes]:
    """So many bytes of a file, block by block. A cut photo would be refused by the provider, and
    the provider blamed for it: it is not sent to its end."""
    with disk_errors():
        file = path.open("rb")
    with file:
        file.seek(start)
        while length:
            with disk_errors():
                block = file.read(min(BLOCK_BYTES, length))
            if not block:
                raise StorageError(private=f"{path.name} ends {length} bytes too soon")
            length -= len(block)
            yield block


def _size(piece: bytes | Path | AsBase64 | Slice) -> int:
    """How many bytes of it are read."""
    if isinstance(piece, bytes):
        return len(piece)
    if isinstance(piece, Slice):
        return piece.length
    return (piece.path if isinstance(piece, AsBase64) else piece).stat().st_size


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file of a multipart form. Field and name are ours: they are written as they are."""

    field: str
    name: str
    mime: str
    path: Path


def form(texts: Mapping[str, str], files: Sequence[FilePart]) -> tuple[Body, str]:
    """A multipart form, texts first, and its media type (RFC 7578)."""
    boundary = secrets.token_hex(16)
    pieces: list[bytes | Path] = []
    for name, text in texts.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        pieces.append(f"{head}{text}\r\n".encode())
    for file in files:
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{file.field}"; '
            f'filename="{file.name}"\r\nContent-Type: {file.mime}\r\n\r\n'
        )
        pieces += [head.encode(), file.path, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return Body(pieces), f"multipart/form-data; boundary={boundary}"


@asynccontextmanager
async def open_client(max_connections: int) -> AsyncIterator[httpx.AsyncClient]:
    """The client of all drivers. It only limits the connect: the window bounds everything else,
    because httpx's read timeout starts anew with every byte of a dripping server. What was left
    to be done `afterwards` is done before it closes."""
    async with httpx.AsyncClient(
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=32),
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": "photoslot", "Accept-Encoding": "identity"},
    ) as client:
        yield client
        await asyncio.gather(*_afterwards.get(client, ()))


def afterwards(client: httpx.AsyncClient, work: Coroutine[Any, Any, None]) -> None:
    """Do something with the client that nobody waits for; `work` limits its own time."""
    task = asyncio.create_task(work)
    tasks = _afterwards.setdefault(client, set())
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def post(
    client: httpx.AsyncClient, url: str, body: Body, headers: Mapping[str, str]
) -> ProviderResponse:
    """POST a body; see `send`."""
    headers = {**headers, "Content-Length": str(body.length)}
    request = client.build_request("POST", url, content=body.__aiter__(), headers=headers)
    return await send(client, request, orders=True)


async def get(client: httpx.AsyncClient, url: str, headers: Mapping[str, str]) -> ProviderResponse:
    """GET what costs nothing, a small answer; see `send`."""
    return await send(client, client.build_request("GET", url, headers=headers), MAX_LOOKUP_BYTES)


async def send(
    client: httpx.AsyncClient,
    request: httpx.Request,
    max_bytes: int = MAX_ANSWER_BYTES,
    orders: bool = False,
) -> ProviderResponse:
    """Send a request and read the answer up to `max_bytes`; one that `orders` a picture may be
    billed from the moment it is on its way. Never follows a redirect.

    Raises `ProviderUnavailable` and `ProviderBadResponse`."""
    try:
        response = await client.send(request, stream=True)
        try:
            body = await _read(response, max_bytes, orders)
            return ProviderResponse(response.status_code, response.headers, body)
        finally:
            await response.aclose()
    except tuple(NOT_SENT) as error:
        repeats = NOT_SENT[type(error)]
        raise ProviderUnavailable(
            private=_told(error), repeats=repeats, wait_seconds=RECONNECT_SECONDS
        ) from error
    except httpx.HTTPError as error:
        raise ProviderUnavailable(private=_told(error), maybe_billed=orders) from error


async def _read(response: httpx.Response, max_bytes: int, orders: bool) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        private = "compressed although we asked for identity"
        raise ProviderBadResponse(private=private, maybe_billed=orders)
    # One growing block, which goes back to the system whole; a list of chunks would not.
    received = bytearray()
    async for chunk in response.aiter_raw():
        received += chunk
        if len(received) > max_bytes:
            private = "the answer is larger than the cap"
            raise ProviderBadResponse(private=private, maybe_billed=orders)
    return bytes(received)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a `Retry-After`, spelt as a number or as a date (RFC 9110, 10.2.3), a day at most;
    None without one."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return clamped_wait(float(text))
    try:
        return clamped_wait((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


class NotJson(Exception):
    """What was sent is not the JSON that was expected; the message says why."""


def read_json(data: bytes | msgspec.Raw, kind: Any = Any) -> Any:
    """A stranger's JSON as `kind`. Raises `NotJson` whatever is wrong with it: grammar or shape, a
    number out of range, text that is not UTF-8, more levels than anybody reads."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError) as error:
        raise NotJson(f"{error}"[:MAX_QUOTED]) from error


def decode(answer: ProviderResponse, kind: type[T]) -> T:
    """The JSON of a good answer. Raises `ProviderBadResponse`: it may be billed, and is worth one
    repeat."""
    try:
        found: T = read_json(answer.body, kind)
    except NotJson as error:
        private = f"not the JSON we know: {error}"
        raise ProviderBadResponse(private=private, repeats=1, maybe_billed=True) from error
    return found


def words(said: object) -> str:
    """What a provider said in any type, as text of at most MAX_QUOTED characters; empty for nothing
    and for what cannot be written down."""
    if said is None or isinstance(said, str):
        return (said or "")[:MAX_QUOTED]
    try:
        return msgspec.json.encode(said)[:MAX_QUOTED].decode(errors="replace")
    except (ValueError, RecursionError, OverflowError):
        return ""


def quoted(body: bytes) -> str:
    """The beginning of a body nobody understands."""
    return body[:MAX_QUOTED].decode(errors="replace")


def decode_base64(raw: msgspec.Raw) -> bytes:
    """A picture out of its JSON string of base64, without making a Python string of it. The
    URL-safe alphabet is understood too. Raises `ProviderBadResponse`."""
    try:
        data = _decoded(raw)
    except NotJson as error:
        private = f"broken base64: {error}"
        raise ProviderBadResponse(private=private, repeats=1, maybe_billed=True) from error
    if not data:
        raise ProviderBadResponse(private="a picture of 0 bytes", repeats=1, maybe_billed=True)
    return data


def _decoded(raw: msgspec.Raw) -> bytes:
    try:
        data: bytes = read_json(raw, bytes)
    except NotJson:
        data = read_json(bytes(raw).translate(URL_SAFE), bytes)
    return data


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:MAX_QUOTED]
