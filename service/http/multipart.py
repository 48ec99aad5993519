"""Multipart upload: a body with a photo, read in one pass, text fields into memory, one file onto
the disk.

The parser finds parts while bytes arrive; the file is hashed and written in batches by a thread;
every limit is enforced at the byte that breaks it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from python_multipart.multipart import parse_options_header
from starlette.requests import Request
from starlette.types import Receive

from service.crypto import Digest
from service.errors import (
    ClientClosed,
    InvalidRequest,
    UnsupportedMediaType,
    UploadTimeout,
)
from service.http import negotiation
from service.http.form import MAX_FIELD_BYTES, MAX_FIELDS, PASSWORD, Form, Progress, too_large
from service.http.multipart_parser import MAX_PART_HEADERS, MultipartParser
from service.http.spool import Spool
from service.state import State

MAX_OVERHEAD_BYTES = MAX_FIELDS * (MAX_FIELD_BYTES + MAX_PART_HEADERS * 256)
MAX_BOUNDARY_BYTES = 200
BATCH_BYTES = 1024 * 1024
STALL_SECONDS = 15.0
# How long a complete form waits for what its length still promises.
EPILOGUE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Upload:
    """One parsed body. `fields` are text in arrival order, `sha256` is the file's."""

    fields: dict[str, str]
    bytes: int
    sha256: Digest
    filename: str


def boundary_of(content_type: str | None) -> bytes:
    """The boundary a `Content-Type` names. Raises `UnsupportedMediaType`, `InvalidRequest`."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise UnsupportedMediaType()
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= MAX_BOUNDARY_BYTES:
        raise InvalidRequest("The multipart boundary is missing or too long.")
    return boundary


def expected_bytes(request: Request[State], max_file_bytes: int) -> int:
    """How many bytes the body may bring: what it declares, else the most its file may be. Raises
    `PayloadTooLarge`."""
    declared = request.headers.get("content-length")
    if declared is None:
        return max_file_bytes
    if int(declared) > max_file_bytes + MAX_OVERHEAD_BYTES:
        raise too_large(max_file_bytes)
    return int(declared)


async def receive_upload(
    request: Request[State],
    *,
    boundary: bytes,
    target: Path,
    max_file_bytes: int,
    until: float,
    progress: Progress,
    on_bytes: Callable[[int], None] | None = None,
    on_password: Callable[[str], Awaitable[None]] | None = None,
) -> Upload:
    """Read the whole body: its file goes to `target`. `on_bytes` is told how many more have come,
    `on_password` is awaited as soon as that field is complete; both may refuse. `until` is loop
    time.

    Raises `InvalidRequest`, `PayloadTooLarge`, `UnsupportedMediaType`, `UploadTimeout`,
    `ClientClosed`, `StorageFull`, `StorageError`, and what `on_bytes` and `on_password` raise."""
    negotiation.refuse_coding(request)
    form, threads = Form(progress, max_file_bytes), request.state["threads"].disk
    parser, body_bytes, asked, more = MultipartParser(boundary, form), 0, False, True
    try:
        async with asyncio.timeout_at(until), Spool(target, threads) as spool:
            while more:
                chunk, more = await _next_chunk(request.receive, parser)
                if on_bytes:
                    on_bytes(len(chunk))
                body_bytes += len(chunk)
                if body_bytes > max_file_bytes + MAX_OVERHEAD_BYTES:
                    raise too_large(max_file_bytes)
                parser.feed(chunk)
                if on_password and not asked and PASSWORD in progress.fields:
                    asked = True
                    await on_password(progress.fields[PASSWORD])
                if form.waiting_bytes >= BATCH_BYTES or not more:
                    await spool.write(form.take_file_data())
            _check_end(parser)
            filename = form.finish()
            return Upload(progress.fields, progress.bytes, await spool.sha256(), filename)
    except TimeoutError:
        raise UploadTimeout() from None


async def _next_chunk(receive: Receive, parser: MultipartParser) -> tuple[bytes, bool]:
    """What arrives next, and whether more will. A device whose form is complete, but for which its
    declared length still wants some bytes, has sent everything it has: it gets its picture."""
    try:
        async with asyncio.timeout(EPILOGUE_SECONDS if parser.has_ended else STALL_SECONDS):
            message = await receive()
    except TimeoutError:
        if parser.has_ended:
            return b"", False
        raise UploadTimeout(f"Nothing arrived for {STALL_SECONDS:.0f} seconds.") from None
    if message["type"] == "http.disconnect":
        raise ClientClosed()
    return message.get("body", b""), message.get("more_body", False)


def _check_end(parser: MultipartParser) -> None:
    """Whether the body that has ended was whole."""
    if not parser.has_begun:
        raise InvalidRequest("The body does not have the boundary that its Content-Type names.")
    if not parser.has_ended:
        raise InvalidRequest(
            "The multipart body ends before its last boundary. Is it cut, or Content-Length short?"
        )
