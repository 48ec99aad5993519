"""HTTP client of the drivers: a body streamed from files, an answer read up to a cap, httpx's
errors turned into ours."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import httpx
import msgspec
import pybase64

from service.errors import ProviderBadResponse, ProviderUnavailable

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
    in memory whole. Iterating starts over from the files."""

    pieces: Sequence[bytes | Path | AsBase64 | Slice]

    @property
    def length(self) -> int:
        """The exact number of bytes, for Content-Length."""
        return sum(_length(piece) for piece in self.pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
            elif isinstance(piece, AsBase64):
                for block in _blocks(piece.path):
                    yield pybase64.b64encode(block)
            elif isinstance(piece, Slice):
                for block in _blocks(piece.path, piece.start, piece.length):
                    yield block
            else:
                for block in _blocks(piece):
                    yield block


def _blocks(path: Path, start: int = 0, length: int = sys.maxsize) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(min(BLOCK_BYTES, length)):
            length -= len(block)
            yield block


def _length(piece: bytes | Path | AsBase64 | Slice) -> int:
    if isinstance(piece, bytes):
        return len(piece)
    if isinstance(piece, Slice):
        return piece.length
    if isinstance(piece, AsBase64):
        return (piece.path.stat().st_size + 2) // 3 * 4
    return piece.stat().st_size


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
            private=_words(error), repeats=repeats, wait_seconds=RECONNECT_SECONDS
        ) from error
    except httpx.HTTPError as error:
        raise ProviderUnavailable(private=_words(error), maybe_billed=orders) from error


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
    """Seconds of a `Retry-After`, spelt as a number or as a date (RFC 9110); None without one."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def decode(answer: ProviderResponse, kind: type[T]) -> T:
    """The JSON of a good answer. Raises `ProviderBadResponse`: it may be billed, and is worth one
    repeat."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.MsgspecError as error:
        private = f"not the JSON we know: {error}"
        raise ProviderBadResponse(private=private, repeats=1, maybe_billed=True) from error


def decode_base64(raw: msgspec.Raw) -> bytes:
    """A picture out of its JSON string of base64, without making a Python string of it. The
    URL-safe alphabet is understood too. Raises `ProviderBadResponse`."""
    try:
        data = _decoded(raw)
    except msgspec.MsgspecError as error:
        private = f"broken base64: {error}"
        raise ProviderBadResponse(private=private, repeats=1, maybe_billed=True) from error
    if not data:
        raise ProviderBadResponse(private="a picture of 0 bytes", repeats=1, maybe_billed=True)
    return data


def _decoded(raw: msgspec.Raw) -> bytes:
    try:
        return msgspec.json.decode(raw, type=bytes)
    except msgspec.ValidationError:
        return msgspec.json.decode(bytes(raw).translate(URL_SAFE), type=bytes)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:MAX_QUOTED]
