"""Error handler: every refusal in the one JSON shape, or as a page for a person's browser."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service import logs
from service.counters import REFUSALS
from service.errors import InvalidRequest, MethodNotAllowed, NotFound, PhotoslotError
from service.http import pages


async def refuse(request: Request[Any], error: Exception) -> Response:
    """The answer to a request that failed, with one counter and a reason in the request's line."""
    answer = error if isinstance(error, PhotoslotError) else _from_http(error)
    REFUSALS.labels(answer.reason).inc()
    logs.note(request, reason=answer.reason, why=answer.private)
    shown = pages.refusal(request, answer)
    return shown or JSONResponse(answer.body(), answer.status, answer.all_headers())


def _from_http(error: Exception) -> PhotoslotError:
    """Starlette's own 404 and 405, with their headers."""
    assert isinstance(error, HTTPException)
    kinds: dict[int, type[PhotoslotError]] = {404: NotFound, 405: MethodNotAllowed}
    answer = kinds.get(error.status_code, InvalidRequest)()
    answer.headers.update(error.headers or {})
    return answer
