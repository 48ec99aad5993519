"""Devices: what a studio camera sends, as an HTTP client and byte by byte on a socket."""

import hashlib
import itertools
import socket
import struct
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import photos

BOUNDARY = "------------293582696224464412345678"
PASSWORD = "open sesame"
SHOT_SECONDS = 70.0
WIRE_SECONDS = 10.0
PIECE = 65536

_shots = itertools.count(1)


def breeze_fields(photo: bytes, shot: int | None = None) -> dict[str, str]:
    """The text fields of a captured Breeze request, in its order; a new shot each time, so that
    two of them never count as one order and its retry."""
    number = next(_shots) if shot is None else shot
    return {
        "time": str(1_760_000_000 + number),
        "user_id": "1",
        "id": f"063012001234{number:06}.",
        "profile": r"C:\Users\Studio\Documents\DSLR Remote Pro\profile.xml",
        "status": r"C:\Users\Studio\Pictures\status.txt",
        "hash": hashlib.sha1(photo).hexdigest(),
        "name": "STUDIO-PC",
        "model": "Windows",
        "version": "3.30.2",
    }


def part(name: str, value: str | bytes, filename: str | None = None, mime: str = "") -> bytes:
    """One part of a multipart body, from its boundary to its line end."""
    raw = value.encode() if isinstance(value, str) else value
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    head = [f"--{BOUNDARY}", disposition, *([f"Content-Type: {mime}"] if mime else [])]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + raw + b"\r\n"


@dataclass(frozen=True)
class Camera:
    """A camera of the studio that knows the address of a service and the password."""

    url: str
    _wires: "list[Wire]" = field(default_factory=list)

    def shoot(
        self,
        photo: bytes | None = None,
        slot: str = "slot-001",
        *,
        password: str | None = PASSWORD,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        filename: str = "IMG_0003.JPG",
        content_type: str = "image/jpeg",
        field: str = "fileToUpload",
        password_last: bool = False,
        timeout: float = SHOT_SECONDS,
        path: str = "/api/ingest/{slot}",
    ) -> httpx.Response:
        """Send a shot and wait for the answer. `fields` are sent instead of Breeze's own; the
        same ones twice are a retry. `password=None` sends none."""
        body, mime = self.multipart(
            photo,
            password=password,
            fields=fields,
            filename=filename,
            content_type=content_type,
            field=field,
            password_last=password_last,
        )
        return httpx.post(
            self.url + path.format(slot=slot),
            content=body,
            headers={"content-type": mime, **(headers or {})},
            timeout=timeout,
            trust_env=False,
        )

    def shoot_slowly(self, slot: str, seconds: float) -> "Answer":
        """A shot whose upload takes so long, on a raw socket."""
        body, mime = self.multipart()
        head = self.request(body, mime, slot, expect=False)
        with self.wire() as wire:
            wire.send(head)
            if seconds:
                wire.send_slowly(body, piece=len(body) // 10, pause=seconds / 10)
            else:
                wire.send(body)
            return wire.answer()

    def burst(self, count: int, **shot: Any) -> list[httpx.Response]:
        """Send `count` shots at once; the answers in the order of sending."""
        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(lambda _: self.shoot(**shot), range(count)))

    def multipart(
        self,
        photo: bytes | None = None,
        *,
        password: str | None = PASSWORD,
        fields: Mapping[str, str] | None = None,
        filename: str = "IMG_0003.JPG",
        content_type: str = "image/jpeg",
        field: str = "fileToUpload",
        password_last: bool = False,
    ) -> tuple[bytes, str]:
        """The body of a shot as Breeze builds it, and its Content-Type: text fields, password,
        file; with `password_last` the password comes after the file."""
        data = photos.jpeg() if photo is None else photo
        texts = breeze_fields(data) if fields is None else fields
        pieces = [part(name, value) for name, value in texts.items()]
        pieces.append(part(field, data, filename, content_type))
        if password is not None:
            pieces.insert(len(pieces) - (not password_last), part("password", password))
        body = b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()
        return body, f"multipart/form-data; boundary={BOUNDARY}"

    def request(
        self,
        body: bytes,
        mime: str,
        slot: str = "slot-001",
        *,
        expect: bool = True,
        version: str = "1.1",
        length: int | None = None,
        chunked: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The head of a Breeze request, byte by byte, ended by its empty line. `length` is the
        length it declares, which need not be true."""
        lines = [f"POST /api/ingest/{slot} HTTP/{version}", f"host: {self.url.split('//')[1]}"]
        lines.append(f"content-type: {mime}")
        if chunked:
            lines.append("transfer-encoding: chunked")
        else:
            lines.append(f"content-length: {len(body) if length is None else length}")
        if expect:
            lines.append("expect: 100-continue")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        return "\r\n".join([*lines, "", ""]).encode()

    def wire(self) -> "Wire":
        """A fresh connection to the service; it ends with the test at the latest."""
        host, port = self.url.split("//")[1].split(":")
        self._wires.append(Wire(host, int(port)))
        return self._wires[-1]

    def switch_off(self) -> None:
        """Hang up every connection."""
        for wire in self._wires:
            wire.close()


@dataclass
class Answer:
    """An answer as it came over the wire; `seconds` since the first byte was sent."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    seconds: float = 0.0

    @property
    def reason(self) -> str | None:
        """The machine-readable reason of a refusal."""
        return self.headers.get("x-failure-reason")


@dataclass
class Wire:
    """A connection that sends and reads what a test says, byte by byte."""

    host: str
    port: int
    interim: list[tuple[int, float]] = field(default_factory=list)
    _received: bytes = b""
    _started: float | None = None

    def __post_init__(self) -> None:
        self._socket = socket.create_connection((self.host, self.port), WIRE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, *pieces: bytes) -> None:
        """Send the pieces one after the other."""
        if self._started is None:
            self._started = time.monotonic()
        for piece in pieces:
            self._socket.sendall(piece)

    def send_slowly(self, data: bytes, piece: int, pause: float) -> None:
        """Send `data` in pieces with a pause after each."""
        for start in range(0, len(data), piece):
            self.send(data[start : start + piece])
            time.sleep(pause)

    def send_chunked(self, data: bytes, piece: int = PIECE, *, end: bool = True) -> None:
        """Send `data` in HTTP chunks; without `end` the last, empty one is left out."""
        for start in range(0, len(data), piece):
            chunk = data[start : start + piece]
            self.send(b"%x\r\n" % len(chunk) + chunk + b"\r\n")
        if end:
            self.send(b"0\r\n\r\n")

    def wait_continue(self, seconds: float = WIRE_SECONDS) -> float:
        """Wait for `100 Continue`; the seconds it took since the first byte was sent."""
        head = self._read_head(seconds)
        assert head.status == 100, f"{head.status} instead of 100 Continue: {head.headers}"
        self.interim.append((head.status, head.seconds))
        return head.seconds

    def answer(self, seconds: float = SHOT_SECONDS) -> Answer:
        """Read one whole answer; interim ones are noted in `interim` with their time. Fails with
        `ConnectionError` when the connection ends before."""
        head = self._read_head(seconds)
        while 100 <= head.status < 200:
            self.interim.append((head.status, head.seconds))
            head = self._read_head(seconds)
        if "content-length" in head.headers:
            head.body = self._read_exactly(int(head.headers["content-length"]), seconds)
        elif head.headers.get("transfer-encoding") == "chunked":
            head.body = self._read_chunks(seconds)
        else:
            head.body = self._read_to_end(seconds)
        head.seconds = self._elapsed()
        return head

    def is_closed(self, seconds: float = WIRE_SECONDS) -> bool:
        """Whether the service ends the connection within `seconds`, with nothing more to say."""
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def end_sending(self) -> None:
        """Say that nothing more comes, and go on listening."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection as a pulled cable and a reboot do: a TCP reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _elapsed(self) -> float:
        return time.monotonic() - (self._started or time.monotonic())

    def _read_head(self, seconds: float) -> Answer:
        raw = self._read_until(b"\r\n\r\n", seconds).decode("latin-1")
        first, *lines = raw.rstrip("\r\n").split("\r\n")
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        return Answer(int(first.split(" ", 2)[1]), headers, seconds=self._elapsed())

    def _read_chunks(self, seconds: float) -> bytes:
        body = b""
        while size := int(self._read_until(b"\r\n", seconds).split(b";")[0], 16):
            body += self._read_exactly(size + 2, seconds)[:-2]
        self._read_until(b"\r\n", seconds)
        return body

    def _read_until(self, mark: bytes, seconds: float) -> bytes:
        while mark not in self._received:
            self._receive(seconds)
        found, _, self._received = self._received.partition(mark)
        return found + mark

    def _read_exactly(self, count: int, seconds: float) -> bytes:
        while len(self._received) < count:
            self._receive(seconds)
        found, self._received = self._received[:count], self._received[count:]
        return found

    def _read_to_end(self, seconds: float) -> bytes:
        self._socket.settimeout(seconds)
        while piece := self._socket.recv(PIECE):
            self._received += piece
        found, self._received = self._received, b""
        return found

    def _receive(self, seconds: float) -> None:
        self._socket.settimeout(seconds)
        piece = self._socket.recv(PIECE)
        if not piece:
            raise ConnectionError(f"the connection ended after {self._received[-200:]!r}")
        self._received += piece
