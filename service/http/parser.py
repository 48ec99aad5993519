"""HTTP parser of a connection: h11's, which is strict, with bounds on what it collects.

A request is refused where two readers could disagree on its end (RFC 9112 6.3, 11.2), where its
head has no end, and where it is cut into crumbs.
"""

import re

import h11
from h11._readers import ContentLengthReader

MAX_HEAD_BYTES = 64 * 1024
# As Apache's LimitRequestFields: each costs far more to parse than it costs to send.
MAX_HEAD_LINES = 100
# A chunked body may have so many chunks, and beyond them one for so many bytes.
FREE_CHUNKS = 4096
MIN_CHUNK_BYTES = 64
HEAD_END = re.compile(rb"\n\r?\n")
# `http://host/path` is a target too (RFC 9112 3.2.2); its host replaces the header.
ABSOLUTE_TARGET = re.compile(rb"(?i:https?)://([^/?#]*)(.*)", re.DOTALL)


class Parser(h11.Connection):
    """What one client sends, as h11's events. `next_event` raises `h11.RemoteProtocolError` for
    what is no request of HTTP/1.0 or 1.1; its `error_status_hint` is the status to answer with,
    also as `refused_with`."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self.refused_with = 400
        self._in_head = True
        self._head_lines = 0
        self._head_bytes = 0
        self._last = b""
        self._chunks = 0
        self._body_bytes = 0
        self._passed_by = b""

    @property
    def has_whole_request(self) -> bool:
        """The request under way has come to its end."""
        return self.their_state not in (h11.IDLE, h11.SEND_BODY, h11.ERROR)

    @property
    def is_arriving(self) -> bool:
        """Something that was not read to its end may still be on its way."""
        return self.their_state in (h11.SEND_BODY, h11.ERROR) or bool(self.trailing_data[0])

    def receive_data(self, data: bytes) -> None:
        if self.their_state is h11.MUST_CLOSE:
            return
        if self._in_head:
            if not self.trailing_data[0]:
                # The empty line some clients send after a body (RFC 9112, 2.2).
                data = data.lstrip(b"\r\n")
            self._measure_head(data)
        elif isinstance(self._reader, ContentLengthReader) and not self.trailing_data[0]:
            data = self._pass_by(self._reader, data)
        if data:
            super().receive_data(data)

    def start_next_cycle(self) -> None:
        """Begin anew with what has arrived behind the request before."""
        super().start_next_cycle()
        rest, _ = self.trailing_data
        Parser.__init__(self)
        self.receive_data(rest)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        if self.their_state is h11.MUST_CLOSE:
            return h11.PAUSED
        if self._passed_by:
            data, self._passed_by = self._passed_by, b""
            return h11.Data(data=data)
        try:
            if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
                raise h11.RemoteProtocolError("the head is too long", 431)
            if self._in_head and self._head_lines > MAX_HEAD_LINES:
                raise h11.RemoteProtocolError("too many header fields", 431)
            return self._checked(super().next_event())
        except h11.RemoteProtocolError as error:
            self.refused_with = self._status(error)
            raise

    def _pass_by(self, reader: ContentLengthReader, data: bytes) -> bytes:
        """The bytes of a body whose length is known need no parser: h11's buffer would copy each of
        them four times. What is behind them is given back."""
        self._passed_by += data[: reader._remaining]
        rest = data[reader._remaining :]
        reader._remaining -= len(data) - len(rest)
        self.client_is_waiting_for_100_continue = False
        return rest

    def _checked(
        self, event: h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]
    ) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        if isinstance(event, h11.Request):
            self._in_head = False
            _check_version(event)
            _check_framing(event)
            return _in_origin_form(event)
        if isinstance(event, h11.Data):
            self._count_chunk(event)
        return event

    def _measure_head(self, data: bytes) -> None:
        """Before it is parsed, also one that comes whole; what is behind its end is the body's."""
        joined = self._last + data
        end = HEAD_END.search(joined)
        until = end.start() if end else len(joined)
        self._head_lines += joined.count(b"\n", len(self._last), until)
        self._head_bytes += max(0, until - len(self._last))
        self._last = joined[-3:]

    def _count_chunk(self, event: h11.Data) -> None:
        self._chunks += event.chunk_start
        self._body_bytes += len(event.data)
        if self._chunks > FREE_CHUNKS + self._body_bytes // MIN_CHUNK_BYTES:
            raise h11.RemoteProtocolError("the chunks of the body are too small", 400)

    def _status(self, error: h11.RemoteProtocolError) -> int:
        is_target = self._in_head and b"\n" not in self.trailing_data[0][:MAX_HEAD_BYTES]
        return 414 if error.error_status_hint == 431 and is_target else error.error_status_hint


def _check_version(request: h11.Request) -> None:
    if request.http_version not in (b"1.0", b"1.1"):
        raise h11.RemoteProtocolError("this is not HTTP/1.0 or HTTP/1.1", 505)


def _check_framing(request: h11.Request) -> None:
    """A sender that frames a body in two ways hopes for two readings of it (RFC 9112 6.1, 6.3)."""
    names = {name for name, _ in request.headers}
    if b"transfer-encoding" not in names:
        return
    if b"content-length" in names:
        raise h11.RemoteProtocolError("Content-Length beside Transfer-Encoding", 400)
    if request.http_version == b"1.0":
        raise h11.RemoteProtocolError("Transfer-Encoding in HTTP/1.0", 400)


def _in_origin_form(request: h11.Request) -> h11.Request:
    absolute = ABSOLUTE_TARGET.fullmatch(request.target)
    if absolute is None:
        return request
    host, path = absolute.groups()
    headers = [(name, value) for name, value in request.headers if name != b"host"]
    return h11.Request(
        method=request.method,
        target=path if path.startswith(b"/") else b"/" + path,
        headers=[*headers, (b"host", host)],
        http_version=request.http_version,
    )
