"""Error handler: every refusal in the one JSON shape, or as a page for a person's browser."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from service import logs
from service.counters import REFUSALS
from service.errors import InvalidRequest, MethodNotAllowed, NotFound, PhotoslotError
from service.http import pages


async def refuse(request: Request[Any], error: Exception) -> Response:
    """The answer to a request that failed, with one counter and a reason in the request's line."""
    answer = error if isinstance(error, PhotoslotError) else _from_http(request, error)
    REFUSALS.labels(answer.reason).inc()
    logs.note(request, reason=answer.reason, why=answer.private)
    shown = pages.refusal(request, answer)
    return shown or JSONResponse(answer.body(), answer.status, answer.all_headers())


def _from_http(request: Request[Any], error: Exception) -> PhotoslotError:
    """Starlette's own 404 and 405, with their headers."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        not_allowed = MethodNotAllowed()
        not_allowed.headers["Allow"] = ", ".join(_allowed(request))
        return not_allowed
    kinds: dict[int, type[PhotoslotError]] = {404: NotFound}
    answer = kinds.get(error.status_code, InvalidRequest)()
    answer.headers.update(error.headers or {})
    return answer


def _allowed(request: Request[Any]) -> list[str]:
    """Every method of a path (RFC 9110, 15.5.6): Starlette names those of one route."""
    methods: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods
    return sorted(methods)
