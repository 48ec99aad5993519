import asyncio
import hashlib
import shlex
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from camera import BOUNDARY, part
from rig import ROOT
from starlette.requests import Request
from starlette.types import Message, Receive

from service.errors import (
    ClientClosed,
    InvalidPassword,
    InvalidRequest,
    PayloadTooLarge,
    StorageError,
    UnsupportedMediaType,
    UploadTimeout,
)
from service.http.disposition import MAX_NAME_BYTES
from service.http.form import (
    MAX_FIELD_BYTES,
    MAX_FIELDS,
    MIN_VIEW_BYTES,
    Form,
    Progress,
    as_password,
)
from service.http.multipart import (
    BATCH_BYTES,
    MAX_BOUNDARY_BYTES,
    MAX_OVERHEAD_BYTES,
    STALL_SECONDS,
    Upload,
    boundary_of,
    receive_upload,
)
from service.http.multipart_parser import (
    MAX_PADDING_BYTES,
    MAX_PART_HEADER_BYTES,
    MAX_PART_HEADERS,
    MAX_PREAMBLE_BYTES,
)
from service.threads import Threads

pytestmark = pytest.mark.anyio

PHOTO = bytes(range(256)) * 4 + b"\r\n--" + BOUNDARY.encode()[:-1] + b"\r\n-- end"
END = f"--{BOUNDARY}--\r\n".encode()
PASSWORD_PART = part("password", "open sesame")
FILE_PART = part("fileToUpload", PHOTO, "IMG_0003.JPG", "image/jpeg")
GOOD = part("time", "1760000001") + PASSWORD_PART + FILE_PART + END
CHUNK = 64 * 1024


@dataclass
class Wire:
    """What a test lets arrive, as the server hands it over: the chunks, then the end of the body,
    unless the device hangs up or goes silent there."""

    chunks: Iterable[bytes]
    then: str = "end"
    asked: int = 0
    _left: Iterator[bytes] | None = None

    async def receive(self) -> Message:
        self.asked += 1
        self._left = iter(self.chunks) if self._left is None else self._left
        for chunk in self._left:
            return {"type": "http.request", "body": chunk, "more_body": True}
        if self.then == "silence":
            await asyncio.Event().wait()
        if self.then == "disconnect":
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}


def request_of(receive: Receive, threads: Threads) -> Request[Any]:
    """What the parser reads from: a body, and the threads that write it down."""
    return Request({"type": "http", "headers": [], "state": {"threads": threads}}, receive)


@dataclass
class Desk:
    """Takes uploads to a file of this test and writes down what it was asked."""

    target: Path
    threads: Threads
    passwords: list[str] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)

    async def take(
        self,
        *chunks: bytes,
        wire: Wire | None = None,
        max_file_bytes: int = 1024**2,
        seconds: float = 30.0,
        boundary: bytes = BOUNDARY.encode(),
        on_password: Callable[[str], Awaitable[None]] | None = None,
    ) -> Upload:
        self.target.unlink(missing_ok=True)
        self.passwords, self.progress = [], Progress()

        async def note(password: str) -> None:
            self.passwords.append(password)
            if on_password:
                await on_password(password)

        return await receive_upload(
            request_of((wire or Wire(chunks)).receive, self.threads),
            boundary=boundary,
            target=self.target,
            max_file_bytes=max_file_bytes,
            until=asyncio.get_running_loop().time() + seconds,
            on_password=note,
            progress=self.progress,
        )


@pytest.fixture
async def desk(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Desk]:
    threads = Threads()
    yield Desk(tmp_path / "upload", threads)
    threads.shutdown()


async def refuse(_password: str) -> None:
    raise InvalidPassword()


def parts(*middle: bytes) -> bytes:
    """A good body with something between its password and its file."""
    return PASSWORD_PART + b"".join(middle) + FILE_PART + END


def raw_part(disposition: str | bytes, value: bytes = b"value", *headers: bytes) -> bytes:
    raw = disposition.encode() if isinstance(disposition, str) else disposition
    lines = [b"--" + BOUNDARY.encode(), b"Content-Disposition: " + raw, *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + value + b"\r\n"


async def test_a_body_becomes_fields_and_a_file(desk: Desk) -> None:
    upload = await desk.take(GOOD)

    assert upload.fields == {"time": "1760000001", "password": "open sesame"}
    assert upload.filename == "IMG_0003.JPG"
    assert upload.bytes == len(PHOTO)
    assert upload.sha256 == hashlib.sha256(PHOTO).digest()
    assert desk.target.read_bytes() == PHOTO
    assert desk.passwords == ["open sesame"]


async def test_the_body_may_be_split_anywhere(desk: Desk) -> None:
    body = part("id", "1") + PASSWORD_PART + part("image", b"\r\n--\r\n-\r", "a.jpg") + END

    for at in range(len(body) + 1):
        upload = await desk.take(body[:at], body[at:])
        assert upload.fields == {"id": "1", "password": "open sesame"}
        assert desk.target.read_bytes() == b"\r\n--\r\n-\r"
        assert upload.sha256 == hashlib.sha256(b"\r\n--\r\n-\r").digest()


async def test_the_body_may_come_byte_by_byte(desk: Desk) -> None:
    upload = await desk.take(*(GOOD[at : at + 1] for at in range(len(GOOD))))

    assert upload.sha256 == hashlib.sha256(PHOTO).digest()
    assert desk.target.read_bytes() == PHOTO


@pytest.mark.parametrize("name", ["fileToUpload", "file", "image", "media"])
async def test_the_file_may_have_any_of_four_names(desk: Desk, name: str) -> None:
    assert (await desk.take(PASSWORD_PART, part(name, PHOTO, "x"), END)).bytes == len(PHOTO)


async def test_the_password_may_come_last(desk: Desk) -> None:
    upload = await desk.take(FILE_PART, PASSWORD_PART, END)

    assert desk.passwords == ["open sesame"]
    assert upload.bytes == len(PHOTO)


async def test_a_body_without_password_asks_nobody(desk: Desk) -> None:
    await desk.take(FILE_PART, END)

    assert desk.passwords == []


async def test_a_wrong_password_ends_it_before_the_file_comes(desk: Desk) -> None:
    wire = Wire([PASSWORD_PART, FILE_PART[:100], *[b"x" * CHUNK] * 100])

    with pytest.raises(InvalidPassword):
        await desk.take(wire=wire, on_password=refuse)

    assert wire.asked <= 2
    assert desk.target.stat().st_size == 0


async def test_a_wrong_password_after_the_file_ends_it_too(desk: Desk) -> None:
    with pytest.raises(InvalidPassword):
        await desk.take(FILE_PART, PASSWORD_PART, END, on_password=refuse)

    assert desk.passwords == ["open sesame"]


async def test_a_password_of_a_megabyte_is_wrong(desk: Desk) -> None:
    wire = Wire([part("password", b"x" * MAX_FIELD_BYTES)[:-2], *[b"x" * CHUNK] * 16])

    with pytest.raises(InvalidPassword):
        await desk.take(wire=wire)

    assert (desk.passwords, wire.asked) == ([], 2)


async def test_a_file_of_exactly_the_limit_is_taken(desk: Desk) -> None:
    assert (await desk.take(GOOD, max_file_bytes=len(PHOTO))).bytes == len(PHOTO)


async def test_a_file_over_the_limit_is_refused_at_that_byte(desk: Desk) -> None:
    wire = Wire([PASSWORD_PART, FILE_PART, *[b"x" * CHUNK] * 100])

    with pytest.raises(PayloadTooLarge):
        await desk.take(wire=wire, max_file_bytes=len(PHOTO) - 1)

    assert wire.asked == 2


async def test_bytes_that_belong_to_no_field_are_limited_too(desk: Desk) -> None:
    """A part that nobody wants, and what follows the last boundary, are thrown away: but not for
    ever."""
    endless = [b"x" * CHUNK] * (2 + (MAX_OVERHEAD_BYTES + 1024) // CHUNK)

    for start in (part("unknown", b"", "thing.bin")[:-2], GOOD):
        with pytest.raises(PayloadTooLarge):
            await desk.take(start, *endless, max_file_bytes=1024)


async def test_64_parts_are_taken_and_not_one_more(desk: Desk) -> None:
    fields = [part(f"{{survey{number}}}", "yes") for number in range(MAX_FIELDS - 1)]

    upload = await desk.take(parts(*fields[:-1]))
    assert len(upload.fields) == MAX_FIELDS - 1
    with pytest.raises(InvalidRequest, match="more than 64 fields"):
        await desk.take(parts(*fields))


async def test_a_field_of_16_kb_is_taken_and_not_a_byte_more(desk: Desk) -> None:
    upload = await desk.take(parts(part("note", b"n" * MAX_FIELD_BYTES)))
    assert upload.fields["note"] == "n" * MAX_FIELD_BYTES

    with pytest.raises(InvalidRequest, match="'note' is longer"):
        await desk.take(parts(part("note", b"n" * (MAX_FIELD_BYTES + 1))))


async def test_16_headers_of_a_part_are_taken_and_not_one_more(desk: Desk) -> None:
    headers = [b"X-Header-%d: x" % number for number in range(MAX_PART_HEADERS)]

    upload = await desk.take(parts(raw_part('form-data; name="note"', b"value", *headers[:-1])))
    assert upload.fields["note"] == "value"
    with pytest.raises(InvalidRequest):
        await desk.take(parts(raw_part('form-data; name="note"', b"value", *headers)))


async def test_a_header_of_4_kb_is_taken_and_a_longer_one_is_not(desk: Desk) -> None:
    fits, long = (b"X-Long: " + b"x" * (MAX_PART_HEADER_BYTES + more) for more in (-100, 1))

    await desk.take(parts(raw_part('form-data; name="note"', b"value", fits)))
    with pytest.raises(InvalidRequest):
        await desk.take(parts(raw_part('form-data; name="note"', b"value", long)))


async def test_a_header_without_end_is_refused_while_it_arrives(desk: Desk) -> None:
    wire = Wire([f"--{BOUNDARY}\r\nX-Long: ".encode(), *[b"x" * CHUNK] * 100])

    with pytest.raises(InvalidRequest):
        await desk.take(wire=wire)

    assert wire.asked == 2


async def test_a_name_of_256_bytes_is_taken_and_a_longer_one_is_not(desk: Desk) -> None:
    assert "n" * MAX_NAME_BYTES in (await desk.take(parts(part("n" * MAX_NAME_BYTES, "x")))).fields

    with pytest.raises(InvalidRequest):
        await desk.take(parts(part("n" * (MAX_NAME_BYTES + 1), "x")))


@pytest.mark.parametrize(
    "disposition", ["form-data", 'form-data; name=""', 'attachment; name="x"', 'name="x"', ""]
)
async def test_a_part_without_a_usable_name_is_refused(desk: Desk, disposition: str) -> None:
    with pytest.raises(InvalidRequest, match="no usable name"):
        await desk.take(parts(raw_part(disposition)))


async def test_a_second_file_is_refused(desk: Desk) -> None:
    for name in ("fileToUpload", "image"):
        with pytest.raises(InvalidRequest, match="two files"):
            await desk.take(parts(part(name, b"other", "b.jpg")))


async def test_a_file_under_another_name_is_thrown_away(desk: Desk) -> None:
    upload = await desk.take(parts(part("attachment", b"other", "b.txt")))

    assert upload.fields == {"password": "open sesame"}
    assert desk.target.read_bytes() == PHOTO


async def test_a_second_password_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidRequest, match="two passwords"):
        await desk.take(parts(PASSWORD_PART))


async def test_of_other_fields_the_first_counts(desk: Desk) -> None:
    upload = await desk.take(parts(part("id", "1"), part("id", "2")))

    assert upload.fields["id"] == "1"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (PASSWORD_PART + END, "There is no file"),
        (END, "There is no file"),
        (PASSWORD_PART + part("file", "text") + END, "file was sent as text"),
        (PASSWORD_PART + part("fileToUpload", "", "empty.jpg") + END, "The file is empty"),
        (b"", "does not have the boundary"),
        (GOOD[: -len(END)], "ends before its last boundary"),
        (GOOD[: -len(END) + 4], "ends before its last boundary"),
        (GOOD[:-4], "ends before its last boundary"),
        (GOOD[: len(GOOD) // 2], "ends before its last boundary"),
        (b"this is not multipart", "does not have the boundary"),
        (GOOD.replace(BOUNDARY.encode(), b"other"), "does not have the boundary"),
        (b"x" * (MAX_PREAMBLE_BYTES + 1) + b"\r\n" + GOOD, "is not in its first 65536 bytes"),
        (f"--{BOUNDARY}--".encode(), "There is no file"),
        (PASSWORD_PART + part("file", b"", "") + END, "There is no file"),
        (parts(raw_part("form-data", b"", b"Bad Header: x")), "."),
    ],
)
async def test_a_body_that_is_no_shot_is_refused_with_the_reason(
    desk: Desk, body: bytes, sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        await desk.take(body)


async def test_what_follows_the_last_boundary_is_ignored(desk: Desk) -> None:
    upload = await desk.take(GOOD, b"epilogue\r\n" + PASSWORD_PART + FILE_PART)

    assert upload.bytes == len(PHOTO)
    assert desk.target.read_bytes() == PHOTO


PREAMBLE = b"This is a message of several parts.\r\n--not the boundary\r\n"
EMPTY_PART = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="note"\r\n\r\n'.encode()
FOLDED = f"--{BOUNDARY}\r\nContent-Disposition: form-data;\r\n".encode()


def padded(body: bytes, padding: bytes = b" \t ") -> bytes:
    """White space behind every boundary but the last."""
    line = f"--{BOUNDARY}".encode()
    return body.replace(line + b"\r\n", line + padding + b"\r\n")


@pytest.mark.parametrize(
    "body",
    [
        *(PREAMBLE + GOOD, b"\r\n" + GOOD, b"\r\n\r\n" + GOOD, b"\n--\n\r\n" + GOOD),
        *(b"-" * 70 + b"\r\n" + GOOD, f"--{BOUNDARY}x\r\n".encode() + GOOD),
        (b"\r\n" * (MAX_PREAMBLE_BYTES // 2)) + GOOD,
        *(padded(GOOD), padded(GOOD, b"\t" * MAX_PADDING_BYTES)),
        *(GOOD + b"epilogue", GOOD[:-2] + b" \t\r\n", GOOD[:-2], GOOD[:-2] + b"epilogue"),
        GOOD + PASSWORD_PART + FILE_PART,
        *(EMPTY_PART + GOOD, PASSWORD_PART + EMPTY_PART + FILE_PART + END),
        *(GOOD[: -len(END)] + EMPTY_PART + end for end in (END, END[:-2], padded(END))),
        GOOD[: -len(END)] + EMPTY_PART[:-2] + END,
        GOOD[: -len(END)] + EMPTY_PART[:-2] + END[:-2],
        PASSWORD_PART + FOLDED + b'\tname="file"; filename="a.jpg"\r\n\r\n' + PHOTO + b"\r\n" + END,
        PASSWORD_PART
        + FOLDED
        + b' name="file";\r\n \r\n  filename="a.jpg"\r\nContent-Type:\r\n image/jpeg\r\n\r\n'
        + PHOTO
        + b"\r\n"
        + END,
    ],
    ids=range(23),
)
async def test_whatever_rfc_2046_allows_is_taken(desk: Desk, body: bytes) -> None:
    """Preambles, white space behind boundaries, epilogues, parts without a body, folded headers:
    at every place of a cut around a boundary."""
    upload = await desk.take(body)

    assert desk.target.read_bytes() == PHOTO
    assert upload.fields["password"] == "open sesame"
    assert upload.fields.get("note", "") == ""
    assert set(upload.fields) <= {"time", "password", "note"}


async def test_a_folded_name_is_one_name(desk: Desk) -> None:
    folded = raw_part('form-data; name="two\r\n words"', b"value")

    assert (await desk.take(parts(folded))).fields["two words"] == "value"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (padded(GOOD, b" " * (MAX_PADDING_BYTES + 1)), "spaces follow a boundary"),
        (padded(GOOD, b" x"), "something else than the end of its line"),
        (FOLDED[: FOLDED.index(b"Content")] + b" folded: x\r\n", "begin with white space"),
        (FOLDED + b" \r\n" * MAX_PART_HEADER_BYTES, "is longer than 4096 bytes"),
        (FOLDED + b" " + b"x" * MAX_PART_HEADER_BYTES + b"\r\n", "is longer than 4096 bytes"),
    ],
)
async def test_what_no_rule_allows_is_refused(desk: Desk, body: bytes, sentence: str) -> None:
    for chunks in ([body], [body[at : at + 1] for at in range(len(body))]):
        with pytest.raises(InvalidRequest, match=sentence):
            await desk.take(*chunks)


async def test_an_empty_file_input_beside_the_photo_is_no_file(desk: Desk) -> None:
    empty = part("image", b"", "", "application/octet-stream")

    for chunks in ([empty, GOOD], [PASSWORD_PART, FILE_PART, empty, part("file", b"", ""), END]):
        assert (await desk.take(*chunks)).filename == "IMG_0003.JPG"
        assert desk.target.read_bytes() == PHOTO


async def test_a_second_file_without_a_name_is_still_one(desk: Desk) -> None:
    with pytest.raises(InvalidRequest, match="two files"):
        await desk.take(parts(part("image", b"x", "")))


@pytest.mark.parametrize("mime", ["image/jpeg", "Image/HEIC; x=y", "application/octet-stream"])
async def test_a_file_without_a_file_name_is_told_by_its_type(desk: Desk, mime: str) -> None:
    """RFC 7578, 4.2: a file's name is not required."""
    body = raw_part('form-data; name="file"', PHOTO, f"Content-Type: {mime}".encode())

    assert (await desk.take(PASSWORD_PART, body, END)).filename == ""
    assert desk.target.read_bytes() == PHOTO


@pytest.mark.parametrize("encoding", ["binary", "8bit", "BINARY"])
async def test_an_encoding_that_changes_nothing_is_taken(desk: Desk, encoding: str) -> None:
    header = f"Content-Transfer-Encoding: {encoding}".encode()
    body = raw_part('form-data; name="file"; filename="a.jpg"', PHOTO, header)

    assert (await desk.take(PASSWORD_PART, body, END)).bytes == len(PHOTO)


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x" * 3000])
async def test_a_file_in_a_transfer_encoding_is_refused_in_words(desk: Desk, encoding: str) -> None:
    header = f"Content-Transfer-Encoding: {encoding}".encode()
    body = raw_part('form-data; name="file"; filename="a.jpg"', PHOTO, header)

    with pytest.raises(UnsupportedMediaType, match=encoding[:40]):
        await desk.take(PASSWORD_PART, body, END)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n"])
async def test_a_password_that_was_read_from_a_file_fits_with_its_line_end(
    desk: Desk, end: str
) -> None:
    await desk.take(part("password", f"open sesame{end}"), FILE_PART, END)

    assert desk.passwords == ["open sesame"]


@pytest.mark.parametrize(
    ("raw", "password"),
    [
        ("Пароль".encode(), "Пароль"),
        ("schön".encode(), "schön"),
        ("schön".encode("latin-1"), "schön"),
        ("schön\r\n".encode("latin-1"), "schön"),
        (b" in side ", " in side "),
        (b"", ""),
    ],
)
def test_a_password_is_utf_8_or_latin_1(raw: bytes, password: str) -> None:
    assert as_password(raw) == password


async def test_a_complete_form_does_not_wait_for_what_its_length_promises(desk: Desk) -> None:
    """A length that is some bytes too large: the device waits for its picture and sends nothing."""
    started = asyncio.get_running_loop().time()

    upload = await desk.take(wire=Wire([GOOD[:-2]], then="silence"))

    assert upload.bytes == len(PHOTO)
    assert asyncio.get_running_loop().time() - started < STALL_SECONDS / 2


def test_a_photo_in_tiny_chunks_takes_little_memory() -> None:
    """Each view on a chunk of one byte would take two hundred."""
    form, size = Form(Progress(), BATCH_BYTES), 10 * MIN_VIEW_BYTES
    form.begin({b"content-disposition": b'form-data; name="file"; filename="a.jpg"'})

    tracemalloc.start()
    try:
        for number in range(size):
            form.take(memoryview(b"%d" % (number % 10)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert form.waiting_bytes == size == sum(map(len, form.take_file_data()))
    assert peak < 4 * size


@pytest.mark.parametrize("at", [0, len(PASSWORD_PART), len(GOOD) // 2, len(GOOD)])
async def test_a_device_that_hangs_up_is_noticed(desk: Desk, at: int) -> None:
    with pytest.raises(ClientClosed):
        await desk.take(wire=Wire([GOOD[:at]], then="disconnect"))


async def test_a_device_that_goes_silent_is_given_up_in_time(desk: Desk) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()

    with pytest.raises(UploadTimeout):
        await desk.take(wire=Wire([GOOD[:-30]], then="silence"), seconds=0.2)

    assert 0.2 <= loop.time() - started < 2
    assert desk.progress.fields == {"time": "1760000001", "password": "open sesame"}
    assert desk.progress.bytes > 0


async def test_a_device_that_drips_is_given_up_in_time(desk: Desk) -> None:
    async def drip() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    wire = Wire([PASSWORD_PART, FILE_PART[:200]])

    async def receive() -> Message:
        return await (wire.receive() if wire.asked < 2 else drip())

    with pytest.raises(UploadTimeout):
        await receive_upload(
            request_of(receive, desk.threads),
            boundary=BOUNDARY.encode(),
            target=desk.target,
            max_file_bytes=1024**2,
            until=asyncio.get_running_loop().time() + 0.3,
            on_password=refuse_nobody,
            progress=desk.progress,
        )


async def refuse_nobody(_password: str) -> None:
    return None


async def test_who_gives_up_waits_for_the_thread_that_still_writes(desk: Desk) -> None:
    """Else it would write on to a file that its owner has removed."""
    free = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield PASSWORD_PART
        for _ in range(4):
            desk.threads.disk.submit(free.wait, 30)
        yield FILE_PART[:200]
        yield from [b"x" * CHUNK] * (BATCH_BYTES // CHUNK)

    wire = Wire(chunks(), then="silence")
    taking = asyncio.create_task(desk.take(wire=wire, max_file_bytes=10 * BATCH_BYTES))
    async with asyncio.timeout(5):
        while wire.asked < 3 + BATCH_BYTES // CHUNK:
            await asyncio.sleep(0)

    taking.cancel()
    ended, _ = await asyncio.wait([taking], timeout=0.2)
    free.set()
    assert ended == set()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert desk.target.stat().st_size > BATCH_BYTES


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('filename=".."', ".."),
        ('filename="../../x.jpg"', "../../x.jpg"),
        ('filename="/etc/passwd"', "/etc/passwd"),
        ('filename="a\0b.jpg"', "ab.jpg"),
        ('filename="' + "n" * 300 + '.jpg"', "n" * 300 + ".jpg"),
        ('filename="CON.jpg"', "CON.jpg"),
        ('filename="снимок 🖼.jpg"', "снимок 🖼.jpg"),
        ('filename="\u202egpj.exe"', "\u202egpj.exe"),
        ('filename=""', ""),
        ("filename=plain.jpg", "plain.jpg"),
    ],
)
async def test_a_file_may_have_any_name(desk: Desk, disposition: str, name: str) -> None:
    body = raw_part(f'form-data; name="file"; {disposition}', PHOTO)

    upload = await desk.take(PASSWORD_PART, body, END)

    assert upload.filename == name
    assert desk.target.read_bytes() == PHOTO
    assert list(desk.target.parent.iterdir()) == [desk.target]


async def test_a_name_in_an_unknown_encoding_is_still_text(desk: Desk) -> None:
    body = raw_part('form-data; name="file"; filename="снимок.jpg"'.encode("cp1251"), PHOTO)

    upload = await desk.take(PASSWORD_PART, body, END)

    assert upload.filename.endswith(".jpg")
    assert upload.filename.encode().decode() == upload.filename


@pytest.mark.parametrize("value", ["filename*=UTF-8''%D1%84.jpg", "FileName*=utf-8''x.jpg"])
async def test_an_extended_file_name_makes_a_file_as_well(desk: Desk, value: str) -> None:
    upload = await desk.take(
        PASSWORD_PART, raw_part(f'form-data; name="file"; {value}', PHOTO), END
    )

    assert upload.bytes == len(PHOTO)
    assert desk.target.read_bytes() == PHOTO


async def test_a_field_in_an_unknown_encoding_is_still_text(desk: Desk) -> None:
    odd = "имя".encode("cp1251") + b"\xed\xa0\x80"

    upload = await desk.take(parts(part("name", odd), part("ключ", "значение")))

    assert upload.fields["name"].encode().decode() == upload.fields["name"]
    assert upload.fields["ключ"] == "значение"


@pytest.mark.parametrize(
    "content_type",
    [
        f"multipart/form-data; boundary={BOUNDARY}",
        f'multipart/form-data; boundary="{BOUNDARY}"',
        f"Multipart/Form-Data;BOUNDARY={BOUNDARY}; charset=utf-8",
    ],
)
def test_the_content_type_names_the_boundary(content_type: str) -> None:
    assert boundary_of(content_type) == BOUNDARY.encode()


@pytest.mark.parametrize(
    "content_type",
    [
        *(None, "", "application/json", "application/x-www-form-urlencoded"),
        *("multipart/mixed; boundary=x", "multipart/form-data-x; boundary=x", "image/jpeg"),
    ],
)
def test_another_content_type_is_not_supported(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        boundary_of(content_type)


@pytest.mark.parametrize(
    "boundary", ["", "; boundary=", '; boundary=""', "; boundary=" + "x" * (MAX_BOUNDARY_BYTES + 1)]
)
def test_a_boundary_that_is_missing_or_too_long_is_refused(boundary: str) -> None:
    with pytest.raises(InvalidRequest, match="boundary"):
        boundary_of(f"multipart/form-data{boundary}")


async def test_the_longest_boundary_is_taken(desk: Desk) -> None:
    longest = "b" * MAX_BOUNDARY_BYTES
    body = GOOD.replace(BOUNDARY.encode(), longest.encode())

    boundary = boundary_of(f"multipart/form-data; boundary={longest}")

    assert (await desk.take(body, boundary=boundary)).fields["password"] == "open sesame"


async def test_a_file_that_is_there_already_is_never_overwritten(desk: Desk) -> None:
    desk.target.write_bytes(b"somebody else's")

    with pytest.raises(StorageError):
        await receive_upload(
            request_of(Wire([GOOD]).receive, desk.threads),
            boundary=BOUNDARY.encode(),
            target=desk.target,
            max_file_bytes=1024**2,
            until=asyncio.get_running_loop().time() + 10,
            on_password=refuse_nobody,
            progress=Progress(),
        )

    assert desk.target.read_bytes() == b"somebody else's"


# A process of its own: a limit on file sizes, and a file system, hold for a whole process.
SPOOL_4_MB = """
import asyncio, resource, signal, sys
from pathlib import Path
from typing import Any
from service.errors import PhotoslotError
from service.threads import Threads
from service.http.form import Progress
from service.http.multipart import receive_upload
from starlette.requests import Request

async def main(target, boundary):
    part = 'Content-Disposition: form-data; name="file"; filename="a.jpg"'
    chunks = [f"--{boundary}\\r\\n{part}\\r\\n\\r\\n".encode(), *[b"x" * 2**16] * 64]
    async def receive():
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}
    loop, threads = asyncio.get_running_loop(), Threads()
    scope = {"type": "http", "headers": [], "state": {"threads": threads}}
    try:
        await receive_upload(
            Request(scope, receive), boundary=boundary.encode(), target=Path(target),
            max_file_bytes=2**30, until=loop.time() + 30, on_password=None, progress=Progress(),
        )
    except PhotoslotError as failure:
        print(failure.reason, failure.private)
    threads.shutdown()

target, boundary, limit = sys.argv[1:]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
asyncio.run(main(target, boundary))
"""


def spool_4_mb(target: Path, limit: int, *prefix: str) -> str:
    """Take an upload of 4 MB in a process of its own; what it said of the failure."""
    ended = subprocess.run(
        [*prefix, sys.executable, "-c", SPOOL_4_MB, str(target), BOUNDARY, str(limit)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.stderr, ended.returncode) == ("", 0)
    return ended.stdout.strip()


def test_a_full_disk_ends_the_upload(tmp_path: Path) -> None:
    in_a_namespace = ("unshare", "--user", "--map-root-user", "--mount")
    if subprocess.run([*in_a_namespace, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    mount = f"mount -t tmpfs -o size=1m none {shlex.quote(str(tmp_path))}"

    said = spool_4_mb(
        tmp_path / "upload", -1, *in_a_namespace, "sh", "-c", f'{mount} && exec "$@"', "sh"
    )

    assert said == "storage_full OSError: No space left on device"


def test_a_file_that_cannot_be_written_any_further_ends_the_upload(tmp_path: Path) -> None:
    assert spool_4_mb(tmp_path / "upload", 2**20) == "storage_error OSError: File too large"


async def test_a_big_file_passes_through_little_memory(desk: Desk) -> None:
    size = 64 * 1024**2
    head, tail = part("file", b"?", "big.jpg").split(b"?")
    block = b"x" * CHUNK
    await desk.take(GOOD)

    tracemalloc.start()
    try:
        wire = Wire(big_body(head, block, size, tail))
        upload = await desk.take(wire=wire, max_file_bytes=size)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert upload.bytes == desk.target.stat().st_size == size
    desk.target.unlink()
    assert peak < 6 * BATCH_BYTES


def big_body(head: bytes, block: bytes, size: int, tail: bytes) -> Iterator[bytes]:
    yield PASSWORD_PART + head
    for _ in range(size // len(block)):
        yield block
    yield tail + END
