"""For machines: is it alive, can it take a shot."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service import guards
from service.state import State


async def livez(_request: Request[State]) -> Response:
    """`GET /livez`: the process answers."""
    return JSONResponse({"status": "ok"})


async def healthz(request: Request[State]) -> Response:
    """`GET /healthz`: 200 when a shot can be taken, 503 when it cannot. Reasons for insiders only.

    Answers at once: what does not answer by then is judged by its last outcome."""
    watch = request.state["watch"]
    database, media = await asyncio.gather(watch.database.now(), watch.media.now())
    checks = {"database": database.reason, "media": media.reason}
    good = all(outcome == "ok" for outcome in checks.values())
    body: dict[str, object] = {"status": "ok" if good else "error"}
    if guards.is_insider(request):
        body["checks"] = checks
    return JSONResponse(body, 200 if good else 503, headers={"Cache-Control": "no-store"})
