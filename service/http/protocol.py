"""HTTP protocol: uvicorn's, with limits on how long a client may take."""

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import InvalidRequest

HEAD_SECONDS = 10.0
SEND_SECONDS = 60.0


class PatientProtocol(HttpToolsProtocol):
    """Closes a connection that has not sent a whole request head HEAD_SECONDS after its first byte,
    and one that has not read its answer, or the next piece of it, for SEND_SECONDS.

    uvicorn only limits the silence between two requests: half a header line, or the empty line some
    clients send after a body (RFC 9112, 2.2), would be held for ever
    (https://github.com/Kludex/uvicorn/issues/157)."""

    _head_timer: asyncio.TimerHandle | None = None
    _send_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_send_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing() or self._head_timer is not None:
            return
        if self.cycle.response_complete:
            self._start_timer()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_send_timer()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._start_send_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._start_send_timer()

    def on_message_begin(self) -> None:
        if not self.flow.write_paused:
            self._stop_send_timer()
        if self._head_timer is None:
            self._start_timer()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP is refused in the one JSON shape too."""
        refusal = InvalidRequest("This is not a valid HTTP request.", private=msg)
        body = msgspec.json.encode(refusal.body())
        headers = refusal.all_headers() | {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(f"HTTP/1.1 400 Bad Request\r\n{head}\r\n".encode() + body)
        self.transport.close()

    def _start_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _start_send_timer(self) -> None:
        """An answer's end is less than what makes uvicorn pause, and a closed connection waits for
        it to be read too."""
        self._stop_send_timer()
        if self.transport.get_write_buffer_size():
            self._send_timer = self.loop.call_later(SEND_SECONDS, self._abort_if_unread)

    def _abort_if_unread(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _stop_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
