"""Multipart form: a body with a photo, read in one pass, text fields into memory, one file onto
the disk.

The parser finds parts while bytes arrive; the file is hashed and written in batches by a thread;
every limit is enforced at the byte that breaks it. python-multipart's errors end here.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request
from starlette.types import Receive

from service.crypto import Digest
from service.errors import (
    ClientClosed,
    InvalidPassword,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedMediaType,
    UploadTimeout,
)
from service.state import State
from service.storage.media import create, disk_errors
from service.threads import in_thread

FILE_FIELDS = ("fileToUpload", "file", "image", "media")
MAX_FIELDS = 64
MAX_FIELD_BYTES = 16 * 1024
MAX_NAME_BYTES = 256
MAX_PART_HEADERS = 16
MAX_PART_HEADER_BYTES = 4 * 1024
MAX_OVERHEAD_BYTES = MAX_FIELDS * (MAX_FIELD_BYTES + MAX_PART_HEADERS * 256)
MAX_BOUNDARY_BYTES = 200
BATCH_BYTES = 1024 * 1024
STALL_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Upload:
    """One parsed body. `fields` are text in arrival order, `sha256` is the file's."""

    fields: dict[str, str]
    bytes: int
    sha256: Digest
    filename: str


@dataclass(slots=True)
class Progress:
    """What is known of a body that may never end well: for the journal of a refused shot."""

    fields: dict[str, str] = field(default_factory=dict)
    bytes: int = 0


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

    Raises `InvalidRequest`, `PayloadTooLarge`, `UploadTimeout`, `ClientClosed`, `StorageFull`,
    `StorageError`, and what `on_bytes` and `on_password` raise."""
    form = _Form(progress, max_file_bytes)
    parser, threads = form.parser(boundary), request.state["threads"].disk
    try:
        async with asyncio.timeout_at(until), _Spool(target, threads) as spool:
            asked = False
            more = True
            while more:
                chunk, more = await _next_chunk(request.receive)
                if on_bytes:
                    on_bytes(len(chunk))
                form.take(parser, chunk)
                if on_password and not asked and "password" in progress.fields:
                    asked = True
                    await on_password(progress.fields["password"])
                if form.waiting_bytes >= BATCH_BYTES or not more:
                    await spool.write(form.take_file_data())
            filename = form.finish()
            return Upload(progress.fields, progress.bytes, await spool.sha256(), filename)
    except TimeoutError:
        raise UploadTimeout() from None


async def _next_chunk(receive: Receive) -> tuple[bytes, bool]:
    try:
        async with asyncio.timeout(STALL_SECONDS):
            message = await receive()
    except TimeoutError:
        raise UploadTimeout(f"Nothing arrived for {STALL_SECONDS:.0f} seconds.") from None
    if message["type"] == "http.disconnect":
        raise ClientClosed()
    return message.get("body", b""), message.get("more_body", False)


class _Form:
    """The parser's callbacks: where each byte of the body belongs."""

    def __init__(self, progress: Progress, max_file_bytes: int) -> None:
        self.waiting_bytes = 0
        self._waiting: list[memoryview] = []
        self._progress = progress
        self._max_file_bytes = max_file_bytes
        self._body_bytes = 0
        self._parts = 0
        self._filename: str | None = None
        self._ended = False
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = b""
        self._name = ""
        self._text: bytearray | None = None
        self._is_the_file = False

    def parser(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=MAX_PART_HEADERS,
            max_header_size=MAX_PART_HEADER_BYTES,
        )

    def take(self, parser: MultipartParser, chunk: bytes) -> None:
        """Parse the next bytes of the body."""
        self._body_bytes += len(chunk)
        if self._body_bytes > self._max_file_bytes + MAX_OVERHEAD_BYTES:
            raise too_large(self._max_file_bytes)
        try:
            parser.write(chunk)
        except FormParserError as error:
            raise InvalidRequest("The multipart body is malformed.", private=str(error)) from error

    def take_file_data(self) -> list[memoryview]:
        """What came of the file since the last time, as views on the chunks it came in: a photo is
        not copied on its way to the disk."""
        taken, self._waiting, self.waiting_bytes = self._waiting, [], 0
        return taken

    def finish(self) -> str:
        """The body is over: the file's name, or what is wrong. The parser itself is silent about
        a body without its last boundary; only `on_end` tells."""
        if not self._ended:
            raise InvalidRequest("The multipart body ends before its last boundary.")
        if self._filename is None:
            as_text = [name for name in FILE_FIELDS if name in self._progress.fields]
            if as_text:
                raise InvalidRequest(f"{as_text[0]} was sent as text, not as a file.")
            raise InvalidRequest(f"There is no file: send one as {', '.join(FILE_FIELDS)}.")
        if self._progress.bytes == 0:
            raise InvalidRequest("The file is empty.")
        return self._filename

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_FIELDS:
            raise InvalidRequest(f"The form has more than {MAX_FIELDS} fields.")
        self._disposition, self._text, self._is_the_file = b"", None, False

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or not 1 <= len(options.get(b"name", b"")) <= MAX_NAME_BYTES:
            raise InvalidRequest("A part of the form has no usable name.")
        self._name = as_text(options[b"name"])
        # `filename*` is not decoded by the parser; it still says that the part is a file.
        if b"filename" not in options and b"filename*=" not in self._disposition.lower():
            self._text = bytearray()
        elif self._name in FILE_FIELDS:
            if self._filename is not None:
                raise InvalidRequest("The form has two files; send one.")
            self._filename = as_text(options.get(b"filename", b""))
            self._is_the_file = True

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_the_file:
            self._progress.bytes += end - start
            if self._progress.bytes > self._max_file_bytes:
                raise too_large(self._max_file_bytes)
            self._waiting.append(memoryview(data)[start:end])
            self.waiting_bytes += end - start
        elif self._text is not None:
            self._text += data[start:end]
            if len(self._text) > MAX_FIELD_BYTES:
                if self._name == "password":
                    raise InvalidPassword()
                raise InvalidRequest(
                    f"The field {self._name[:40]!r} is longer than {MAX_FIELD_BYTES} bytes."
                )

    def _on_part_end(self) -> None:
        if self._text is None:
            return
        if self._name == "password" and "password" in self._progress.fields:
            raise InvalidRequest("The form has two passwords; send one.")
        self._progress.fields.setdefault(self._name, self._text.decode(errors="replace"))

    def _on_end(self) -> None:
        self._ended = True


class _Spool:
    """The file on disk: each batch is hashed and written by a thread while the next arrives."""

    def __init__(self, target: Path, threads: ThreadPoolExecutor) -> None:
        self._target = target
        self._threads = threads
        self._hash = hashlib.sha256()
        self._file: BinaryIO
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "_Spool":
        # Not in a thread: opening takes microseconds, and a folder that is gone is noticed before
        # the device has sent its photo.
        self._file = create(self._target)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._writing is not None:
            await asyncio.wait([self._writing])
        self._file.close()

    async def write(self, batch: list[memoryview]) -> None:
        """Hand a batch to the thread; waits for the one before."""
        await self._settle()
        self._writing = asyncio.create_task(in_thread(self._threads, self._append, batch))

    async def sha256(self) -> bytes:
        """The digest of everything written."""
        await self._settle()
        return self._hash.digest()

    async def _settle(self) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)

    def _append(self, batch: list[memoryview]) -> None:
        for piece in batch:
            self._hash.update(piece)
            with disk_errors():
                left = piece
                while left:
                    left = left[self._file.write(left) :]


def as_text(raw: bytes) -> str:
    """Text a device sent, as valid UTF-8 without NUL: PostgreSQL stores neither."""
    return raw.decode(errors="replace").replace("\0", "")


def too_large(max_file_bytes: int) -> PayloadTooLarge:
    """The refusal that names the limit."""
    return PayloadTooLarge(f"The file is larger than {max_file_bytes // 1024**2} MB.")
