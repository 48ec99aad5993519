"""For machines: is it alive, can it take a shot, what does it count."""

from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service import queries
from service.errors import PhotoslotError
from service.state import State
from service.threads import in_thread

MIGRATIONS = Path(__file__).parent.parent / "migrations"


async def livez(_request: Request[State]) -> Response:
    """`GET /livez`: the process answers."""
    return JSONResponse({"status": "ok"})


async def healthz(request: Request[State]) -> Response:
    """`GET /healthz`: 200 when a shot can be taken, 503 when it cannot. Reasons, no details."""
    checks = {"database": await _database(request.state), "media": await _media(request.state)}
    good = all(outcome == "ok" for outcome in checks.values())
    body = {"status": "ok" if good else "error", "checks": checks}
    return JSONResponse(body, 200 if good else 503, headers={"Cache-Control": "no-store"})


async def metrics(_request: Request[State]) -> Response:
    """`GET /metrics`: Prometheus text of this process."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _database(state: State) -> str:
    try:
        found = await queries.house_schema(state["db"])
    except PhotoslotError as error:
        return error.reason
    return "ok" if found == newest_migration() else "schema_mismatch"


async def _media(state: State) -> str:
    try:
        await in_thread(state["threads"].disk, state["media"].prepare)
    except PhotoslotError as error:
        return error.reason
    return "ok"


def newest_migration() -> str:
    """The migration this code was written for."""
    names = sorted(path.name.removesuffix(".sql") for path in MIGRATIONS.glob("*.sql"))
    return [name for name in names if not name.endswith(".rollback")][-1]
