"""ASGI middleware around every route."""

import structlog
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs
from service.errors import PhotoslotError

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


class CloseEarly:
    """Ends the connection after an answer that is given before its request has ended: the rest of
    the body would stand before the next request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        ended = False

        async def receive_and_note() -> Message:
            nonlocal ended
            message = await receive()
            ended = not message.get("more_body", False)
            return message

        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start" and not ended:
                headers = [*message.get("headers", []), (b"connection", b"close")]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive_and_note, send_and_close)


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
