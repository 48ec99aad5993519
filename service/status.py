"""For machines: is it alive, can it take a shot, what does it count."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service import queries
from service.errors import NotFound, PhotoslotError
from service.state import Check, State
from service.threads import in_thread

WAIT_SECONDS = 0.02
STALE_SECONDS = 5.0
LOOPBACK = ("127.0.0.1", "::1")
MIGRATIONS = Path(__file__).parent.parent / "migrations"


async def livez(_request: Request[State]) -> Response:
    """`GET /livez`: the process answers."""
    return JSONResponse({"status": "ok"})


async def healthz(request: Request[State]) -> Response:
    """`GET /healthz`: 200 when a shot can be taken, 503 when it cannot. Reasons, no details.

    Answers at once: what does not answer by then is judged by its last outcome."""
    state = request.state
    database, media = await asyncio.gather(
        _outcome(state, "database", _database), _outcome(state, "media", _media)
    )
    checks = {"database": database, "media": media}
    good = all(outcome == "ok" for outcome in checks.values())
    body = {"status": "ok" if good else "error", "checks": checks}
    return JSONResponse(body, 200 if good else 503, headers={"Cache-Control": "no-store"})


async def _outcome(state: State, name: str, check: Callable[[State], Awaitable[str]]) -> str:
    """The outcome of a check; who asks while it runs waits for the same one."""
    now = asyncio.get_running_loop().time()
    known = state["checks"].get(name)
    if known is None or known.task.done():
        task = asyncio.create_task(_run(state, check))
        known = state["checks"][name] = Check(now, task, known.task.result() if known else "")
    patience = WAIT_SECONDS if known.last else STALE_SECONDS
    await asyncio.wait([known.task], timeout=patience)
    if known.task.done():
        known.last = known.task.result()
    elif asyncio.get_running_loop().time() - known.started >= STALE_SECONDS:
        known.last = "no_answer"
    return known.last


async def _run(state: State, check: Callable[[State], Awaitable[str]]) -> str:
    try:
        return await check(state)
    except PhotoslotError as error:
        return error.reason


async def metrics(request: Request[State]) -> Response:
    """`GET /metrics`: Prometheus text of this process, for this host only."""
    local = request.client is not None and request.client.host in LOOPBACK
    if not local or "x-forwarded-for" in request.headers:
        raise NotFound()
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _database(state: State) -> str:
    found = await queries.house_schema(state["db"])
    return "ok" if found == newest_migration() else "schema_mismatch"


async def _media(state: State) -> str:
    await in_thread(state["threads"].disk, state["media"].prepare)
    return "ok"


def newest_migration() -> str:
    """The migration this code was written for."""
    names = sorted(path.name.removesuffix(".sql") for path in MIGRATIONS.glob("*.sql"))
    return [name for name in names if not name.endswith(".rollback")][-1]
