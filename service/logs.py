"""Logs: JSON lines for operators, the request id, one line per request.

The access log is pure ASGI middleware, so it sees what really went over the wire. A handler adds to
its line by `note`; a shot's line is named `shot`.
"""

import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Mapping
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SILENT = ("/healthz", "/livez", "/metrics")
REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
MAX_LOGGED_PATH = 200
# What a terminal obeys or what turns the order of letters: C0 but for tab and line feed, DEL and C1
# (ECMA-48), lone surrogates, invisible and bidirectional format characters (Unicode category Cf).
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def set_up_logging(level: str) -> None:
    """JSON lines on standard output, also for what libraries log."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(_as_line),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(_as_line),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def printable(text: str) -> str:
    """Text from outside that may be shown on a terminal: what a terminal would obey is escaped as
    in JSON."""
    return UNPRINTABLE.sub(_escaped, text)


def _as_line(event: object, **options: Any) -> str:
    """A log line as JSON that any terminal may show; JSON itself escapes C0 alone."""
    return printable(json.dumps(event, ensure_ascii=False, **options))


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


class AccessLog:
    """Access log: ASGI middleware that gives everything inside a request id, and writes one line at
    the end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = structlog.get_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        line: dict[str, Any] = {}
        scope["line"] = line
        status = 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_and_note)
            finally:
                seconds = time.perf_counter() - started
                self._write(scope, line, status, seconds)

    def _write(self, scope: Scope, line: dict[str, Any], status: int, seconds: float) -> None:
        if scope["path"] in SILENT and status < 500:
            return
        level = "info" if status < 400 else "warning" if status < 500 else "error"
        client = scope.get("client")
        getattr(self._log, level)(
            line.pop("event", "request"),
            method=scope["method"],
            path=line.pop("path", scope["path"])[:MAX_LOGGED_PATH],
            status=status,
            ms=round(seconds * 1000, 1),
            address=client[0] if client else None,
            **line,
        )


def line_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request's one log line; of a `Request` or of its scope."""
    line: dict[str, Any] = request["line"]
    return line


def note(request: Mapping[str, Any], **fields: object) -> None:
    """Add fields to a request's log line: `path` takes the place of the address, `event` that of
    the line's name."""
    line_of(request).update(fields)


def new_request_id() -> str:
    """Request id of a request that brought none: 16 hexadecimal digits."""
    return secrets.token_hex(8)


def _request_id(scope: Scope) -> str:
    """The caller's `X-Request-Id` when it is well formed, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.match(value.decode("latin-1")):
            given: str = value.decode("latin-1")
            return given
    return new_request_id()
