"""Transport of an answer: at the right moment, in full, dripping, cut, reset or never."""

import asyncio
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from service.sandbox.calls import Call

DRIP_INTERVAL_S = 1.0
_LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; `chunks` go in place of the body and without a Content-Length."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    chunks: Callable[[], Iterator[bytes]] | None = None
    manner: "Manner | None" = None


class Refusal(Exception):
    """The request itself is at fault."""

    def answer(self) -> Answer:
        """The refusal in its provider's words."""
        raise NotImplementedError


class ClientLeft(Exception):
    """The client closed the connection before the answer was complete."""


class Line:
    """One client's connection while it is being answered."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, call: Call, arrived: float):
        self._send = send
        self._call = call
        self._arrived = arrived
        self._transport: asyncio.Transport | None = scope.get("state", {}).get("transport")
        self._gone = asyncio.ensure_future(_disconnect(receive))

    @property
    def transport(self) -> asyncio.Transport:
        """What lies below HTTP; only the sandbox's own server hands it on."""
        if self._transport is None:
            raise RuntimeError("This outcome needs the sandbox's own server: run it as a process.")
        return self._transport

    async def wait_until(self, moment: float) -> None:
        """Wait for a `time.monotonic()` moment; `ClientLeft` when the client goes first."""
        await self.pause(0)
        # uvloop's timers are whole milliseconds and may ring early.
        while (left := moment - time.monotonic()) > 0:
            await self.pause(left)

    async def pause(self, seconds: float | None) -> None:
        """Wait so long, for ever with None; `ClientLeft` when the client goes first."""
        await asyncio.wait({self._gone}, timeout=seconds)
        if self._gone.done():
            raise ClientLeft

    async def wait_open(self, gate: asyncio.Event) -> None:
        """Wait until the gate is set; `ClientLeft` when the client goes first."""
        opened = asyncio.ensure_future(gate.wait())
        try:
            await asyncio.wait({self._gone, opened}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            opened.cancel()
        await self.pause(0)

    async def head(self, answer: Answer, length: int | None) -> None:
        """Send the status line and the headers."""
        self.note(answer.status)
        headers = dict(answer.headers)
        if length is not None:
            headers["content-length"] = str(length)
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": raw})

    async def body(self, chunk: bytes, more: bool = False) -> None:
        """Send a piece of the body; `ClientLeft` when nobody is there any more."""
        if self._gone.done():
            raise ClientLeft
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})

    def note(self, status: int) -> None:
        """Write into the call that its answer starts now."""
        self._call.status = status
        self._call.latency_s = round(time.monotonic() - self._arrived, 4)

    def close(self) -> None:
        """Stop listening for the client's departure."""
        self._gone.cancel()

    async def gone(self) -> None:
        """Wait until the connection is down."""
        await asyncio.wait({self._gone})


Manner = Callable[[Line, Answer], Awaitable[None]]


@dataclass(frozen=True)
class Delivery:
    """An ASGI application that sends one answer `latency_s` after the request arrived, and not
    before the gate is set.

    `arrived` is a `time.monotonic()` moment. The call learns whether the client stayed.
    """

    answer: Answer
    call: Call
    arrived: float
    latency_s: float = 0.0
    drip: bool = False
    gate: asyncio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        line = Line(scope, receive, send, self.call, self.arrived)
        try:
            await line.wait_until(self.arrived + self.latency_s)
            if self.gate:
                await line.wait_open(self.gate)
            await self._manner()(line, self.answer)
        except ClientLeft:
            self.call.client_disconnected = True
        finally:
            line.close()

    def _manner(self) -> Manner:
        if self.answer.chunks is not None:
            return streaming
        return self.answer.manner or (dripping if self.drip else plainly)


async def plainly(line: Line, answer: Answer) -> None:
    """Send the whole answer with its length."""
    await line.head(answer, len(answer.body))
    await line.body(answer.body)


async def streaming(line: Line, answer: Answer) -> None:
    """Send chunk after chunk as fast as they are read, until the client leaves."""
    await line.head(answer, None)
    for chunk in answer.chunks() if answer.chunks else ():
        await line.body(chunk, more=True)
        await asyncio.sleep(0)
    await line.body(b"")


async def dripping(line: Line, answer: Answer) -> None:
    """Send the head at once and the body a byte a second."""
    await line.head(answer, len(answer.body))
    for byte in _single_bytes(answer.body):
        await line.body(byte, more=True)
        await line.pause(DRIP_INTERVAL_S)
    await line.body(b"")


async def dripping_head(line: Line, answer: Answer) -> None:
    """Send even the status line a byte a second: no read timeout notices, only a deadline."""
    line.note(answer.status)
    for byte in _single_bytes(_head_bytes(answer)):
        line.transport.write(byte)
        await line.pause(DRIP_INTERVAL_S)
    line.transport.write(answer.body)
    line.transport.close()
    await line.gone()


async def never(line: Line, answer: Answer) -> None:
    """Say nothing until the client leaves."""
    await line.pause(None)


async def reset(line: Line, answer: Answer) -> None:
    """Reset the TCP connection instead of answering."""
    _linger_zero(line.transport)
    line.transport.abort()
    await line.gone()


async def cut(line: Line, answer: Answer) -> None:
    """Promise the whole body, send half of it and close."""
    await line.head(answer, len(answer.body))
    await line.body(answer.body[: len(answer.body) // 2], more=True)
    line.transport.close()
    await line.gone()


async def two_lengths(line: Line, answer: Answer) -> None:
    """Promise two lengths at once."""
    await _raw(
        line, answer, _head_bytes(answer).replace(b"\r\n\r\n", b"\r\ncontent-length: 3\r\n\r\n")
    )


async def headless(line: Line, answer: Answer) -> None:
    """Send a body where the status line should be."""
    await _raw(line, answer, b"")


async def _raw(line: Line, answer: Answer, head: bytes) -> None:
    line.note(answer.status)
    line.transport.write(head + answer.body)
    line.transport.close()
    await line.gone()


async def read_body(request: Request, limit: int) -> tuple[bytes | None, int]:
    """The body and its length; None instead of a body over `limit` bytes.

    Such a body is still read to its end, or the client would meet a reset instead of a refusal.
    Raises `ClientLeft` when the client leaves in the middle.
    """
    chunks: list[bytes] = []
    length = 0
    try:
        async for chunk in request.stream():
            length += len(chunk)
            if length <= limit:
                chunks.append(chunk)
    except ClientDisconnect as left:
        raise ClientLeft from left
    return (b"".join(chunks) if length <= limit else None), length


def _head_bytes(answer: Answer) -> bytes:
    status = HTTPStatus(answer.status)
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _linger_zero(transport: asyncio.Transport) -> None:
    """With SO_LINGER at zero a close sends RST; set on a duplicate, it holds for both."""
    descriptor = os.dup(transport.get_extra_info("socket").fileno())
    with socket.socket(fileno=descriptor) as duplicate:
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)


def _single_bytes(body: bytes) -> Iterator[bytes]:
    return (body[index : index + 1] for index in range(len(body)))


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
