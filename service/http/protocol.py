"""HTTP protocol: uvicorn's on a strict parser, with limits on how long a client may take and an end
of the connection that loses no answer."""

import asyncio
from asyncio import Transport
from http import HTTPStatus
from typing import Any, cast

import msgspec
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from service import logs
from service.counters import REFUSALS
from service.errors import (
    HeadTooLarge,
    InvalidRequest,
    NotImplementedHere,
    PhotoslotError,
    UriTooLong,
    VersionNotSupported,
)
from service.http.connections import Connections, speaks_for_many
from service.http.parser import Parser
from service.throttle import network

HEAD_SECONDS = 10.0
SEND_SECONDS = 60.0
LINGER_SILENCE_SECONDS = 5.0
LINGER_SECONDS = 60.0

# Those of this process: it has one listening socket.
_open = Connections()
log = structlog.get_logger()


class PatientProtocol(H11Protocol):
    """Closes a connection that has not sent a whole request head HEAD_SECONDS after its first byte,
    and one that has not read its answer, or the next piece of it, for SEND_SECONDS.

    uvicorn only limits the silence between two requests: half a header line, or the empty line some
    clients send after a body (RFC 9112, 2.2), would be held for ever
    (https://github.com/Kludex/uvicorn/issues/157).

    An answer given before its request has ended can be read by a client that just goes on sending:
    a socket closed while bytes arrive is reset, and the reset discards the answer on the client's
    side. So only our half is closed, and what arrives is read away until the client ends it too, is
    silent for LINGER_SILENCE_SECONDS, or LINGER_SECONDS have passed (RFC 9112, 9.6).

    A client that has closed its half after a whole request waits for its answer and gets it (RFC
    9293, 3.6)."""

    conn: Parser

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn = Parser()
        self._timers = _Timers(self.loop)
        self._is_lingering = False
        self._has_ended = False

    @property
    def is_idle(self) -> bool:
        """Nobody waits for an answer on this connection."""
        return self._cycle is None or self._cycle.response_complete

    @property
    def _cycle(self) -> RequestResponseCycle | None:
        """uvicorn's own is None before the first request, whatever it says."""
        return self.cycle

    def connection_made(self, transport: Any) -> None:
        super().connection_made(cast(Transport, _GentleTransport(transport, self._close)))
        self._socket = transport
        self._timers.start("head", HEAD_SECONDS, self.give_up)
        address, _ = self.client or ("unknown", 0)
        self.network = network(address)
        self.speaks_for_many = speaks_for_many(address, self._proxies())
        self.idle_since = self.loop.time()
        _open.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timers.stop_all()
        self._has_ended = True
        _open.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_lingering:
            self._timers.start("silence", LINGER_SILENCE_SECONDS, self.give_up)
            return
        if self.is_idle and not self._timers.is_running("head"):
            self._timers.start("head", HEAD_SECONDS, self.give_up)
        super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        if not self.is_idle:
            self._timers.stop("head")
            if not self.flow.write_paused:
                self._timers.stop("send")

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own says so
        """True keeps our half open, for the answer that is still to come."""
        self._has_ended = True
        return not self._is_lingering and not self.is_idle and self.conn.has_whole_request

    def timeout_keep_alive_handler(self) -> None:
        self.give_up()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._limit_sending()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._limit_sending()

    def on_response_complete(self) -> None:
        self.idle_since = self.loop.time()
        super().on_response_complete()
        self._limit_sending()
        if self._has_ended and self.is_idle:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP is refused in the one JSON shape too, unless an answer is already under
        way."""
        error = REFUSED.get(self.conn.refused_with, InvalidRequest)(private=msg)
        cycle = None if self.is_idle else self.cycle
        if cycle is None or not cycle.response_started:
            REFUSALS.labels(error.reason).inc()
            self.transport.write(self._refusal(error))
        if cycle:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def give_up(self) -> None:
        """End the connection now; what the client still sends is lost, and so may be an answer."""
        self._socket.close()
        self._limit_sending()

    def shutdown(self) -> None:
        """The service stops: who only goes on sending what is refused holds it up no longer."""
        if self._is_lingering:
            self.give_up()
        else:
            super().shutdown()

    def _should_upgrade(self) -> bool:
        """No other protocol is spoken here, and who offers one goes on with this one (RFC 9110,
        7.8)."""
        return False

    def _close(self) -> None:
        """End the connection so that the client can read what it was sent."""
        if self._has_ended or self._is_lingering or not self.conn.is_arriving:
            self._socket.close()
            return
        self._is_lingering = True
        self._timers.stop("head")
        self._timers.start("silence", LINGER_SILENCE_SECONDS, self.give_up)
        self._timers.start("linger", LINGER_SECONDS, self.give_up)
        self._socket.write_eof()
        self.flow.resume_reading()

    def _refusal(self, error: PhotoslotError) -> bytes:
        """The answer on the wire; its line of the log names the same request id."""
        request_id = logs.new_request_id()
        address = self.client[0] if self.client else None
        fields = {"status": error.status, "reason": error.reason, "why": error.private}
        log.info("request.refused", request_id=request_id, address=address, **fields)
        body = msgspec.json.encode(error.body())
        headers = error.all_headers() | {
            "X-Request-Id": request_id,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        phrase = HTTPStatus(error.status).phrase
        return f"HTTP/1.1 {error.status} {phrase}\r\n{head}\r\n".encode() + body

    def _proxies(self) -> list[str]:
        trusted = self.config.forwarded_allow_ips or []
        return trusted.split(",") if isinstance(trusted, str) else trusted

    def _limit_sending(self) -> None:
        """An answer's end is less than what makes uvicorn pause, and a closed connection waits for
        it to be read too."""
        self._timers.stop("send")
        if self.transport.get_write_buffer_size():
            self._timers.start("send", SEND_SECONDS, self._abort_if_unread)

    def _abort_if_unread(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()


REFUSED: dict[int, type[PhotoslotError]] = {
    414: UriTooLong,
    431: HeadTooLarge,
    501: NotImplementedHere,
    505: VersionNotSupported,
}


class _GentleTransport:
    """A transport that is closed by its protocol's `_close`."""

    def __init__(self, transport: Any, close: Any) -> None:
        self._transport = transport
        self._is_closing = False
        self._close = close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        self._is_closing = True
        self._close()

    def is_closing(self) -> bool:
        return self._is_closing or self._transport.is_closing()


class _Timers:
    """The deadlines of one connection, by name; one that is started again begins anew."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running: dict[str, asyncio.TimerHandle] = {}

    def start(self, name: str, seconds: float, act: Any) -> None:
        self.stop(name)
        self._running[name] = self._loop.call_later(seconds, act)

    def stop(self, name: str) -> None:
        if timer := self._running.pop(name, None):
            timer.cancel()

    def stop_all(self) -> None:
        for name in list(self._running):
            self.stop(name)

    def is_running(self, name: str) -> bool:
        return name in self._running
