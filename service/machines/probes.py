"""Health probes: is the process alive, can it take a shot."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.errors import PhotoslotError
from service.http import guards
from service.monitoring.checks import DatabaseCheck, MediaCheck
from service.monitoring.provider_health import UNKNOWN, ModelHealth
from service.state import State

# Who asks for details must not wait longer for them than for the answer.
SESSION_SECONDS = 0.1


async def livez(_request: Request[State]) -> Response:
    """`GET /livez`: the process answers."""
    return JSONResponse({"status": "ok"})


async def healthz(request: Request[State]) -> Response:
    """`GET /healthz`: 200 when a shot can be taken, 503 when it cannot; `degraded` when not every
    provider that is ordered from is well. Details for insiders and admins only.

    Answers at once: what does not answer by then is judged by its last outcome."""
    checks = request.state["checks"]
    database, media = await asyncio.gather(checks.database.get(), checks.media.get())
    standings = checks.providers.peek()
    good = database.reason == media.reason == "ok"
    ill = any(one.reason not in ("ok", UNKNOWN) for one in standings)
    body: dict[str, object] = {"status": ("degraded" if ill else "ok") if good else "error"}
    if guards.is_insider(request) or await _is_admin(request):
        body |= _details(database, media, standings)
    return JSONResponse(body, 200 if good else 503, headers={"Cache-Control": "no-store"})


def _details(
    database: DatabaseCheck, media: MediaCheck, standings: tuple[ModelHealth, ...]
) -> dict[str, object]:
    """Reasons and figures; a provider is as well as its worst model."""
    worst: dict[str, str] = {}
    for one in standings:
        if worst.get(one.provider, "ok") == "ok":
            worst[one.provider] = one.reason
    checks = {"database": database.reason, "media": media.reason, "providers": worst}
    free = media.space.free_bytes if media.space else None
    return {"checks": checks, "schema": database.schema, "free_bytes": free}


async def _is_admin(request: Request[State]) -> bool:
    if not guards.carries_session(request):
        return False
    try:
        async with asyncio.timeout(SESSION_SECONDS):
            await guards.session_of(request)
    except (PhotoslotError, TimeoutError):
        return False
    return True
