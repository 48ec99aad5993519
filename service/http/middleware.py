"""ASGI middleware around every route."""

import asyncio

import structlog
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs
from service.errors import PhotoslotError

LINGER_SECONDS = 2.0
LINGER_BYTES = 8 * 1024**2

log = structlog.get_logger()


class UnexpectedErrors:
    """Answers what nobody foresaw with a 500 that never shows its text; the log has the stack."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception as error:
            log.exception("unexpected_error", error=type(error).__name__)
            if started:
                raise
            answer = PhotoslotError()
            answer.job_id = logs.line_of(scope).get("job_id")
            logs.note(scope, reason=answer.reason)
            response = JSONResponse(answer.body(), answer.status, answer.all_headers())
            await response(scope, receive, send)


class LingeringClose:
    """Lets a client read an answer that is given before its upload has ended.

    A socket closed while bytes are still arriving is reset, and the reset discards the answer on
    the client's side. So the answer goes out, a bounded amount of the upload is read away, then the
    connection ends. A client that waits for `100 Continue` has nothing under way: it is answered
    at once and never uploads.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        body = _Body(receive, waits_for_continue=_expects_continue(scope))
        early = False

        async def send_then_linger(message: Message) -> None:
            nonlocal early
            if message["type"] == "http.response.start" and not body.ended:
                early = True
                headers = [*message.get("headers", []), (b"connection", b"close")]
                message = {**message, "headers": headers}
            last = message["type"] == "http.response.body" and not message.get("more_body")
            if not (last and early and body.is_arriving):
                await send(message)
                return
            await send({**message, "more_body": True})
            await body.drain()
            await send({"type": "http.response.body"})

        await self._app(scope, body.receive, send_then_linger)


class _Body:
    """The request's body as far as the application has read it."""

    def __init__(self, receive: Receive, *, waits_for_continue: bool) -> None:
        self._receive = receive
        self._waits_for_continue = waits_for_continue
        self.ended = False

    @property
    def is_arriving(self) -> bool:
        return not self.ended and not self._waits_for_continue

    async def receive(self) -> Message:
        self._waits_for_continue = False
        message = await self._receive()
        self.ended = not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Read away what still arrives, within both limits."""
        drained = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self.ended and drained < LINGER_BYTES:
                    drained += len((await self.receive()).get("body", b""))
        except TimeoutError:
            return


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def _expects_continue(scope: Scope) -> bool:
    return any(
        name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"]
    )
