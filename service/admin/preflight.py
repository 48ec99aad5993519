"""Preflight: everything an event needs, tried before the doors open.

Each check is told on a line of its own as soon as it ends, so that whoever waits sees how far it is
and no proxy takes the silence for the end.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from service.admin import preflight_checks as checks
from service.admin.preflight_checks import Finding, Prepared
from service.errors import NotFound, PhotoslotError
from service.http import guards, json_body
from service.queries import audit, slots
from service.queries.slots import Slot
from service.shots import test_shot
from service.state import State

SHOTS_AT_ONCE = 4

log = structlog.get_logger()


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """With `shots` every active slot takes a test photo, which costs what a shot costs."""

    shots: bool = True


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to find out; `subject` is the slot or the provider it is about, `name` the
    slot's."""

    check: str
    find: Callable[[], Awaitable[Finding]]
    subject: str | None = None
    name: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"check": self.check, "subject": self.subject, "name": self.name}


@dataclass(slots=True)
class ShotQueue:
    """Test shots wait here until it is their turn; when whoever asked has left, none begins."""

    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SHOTS_AT_ONCE))
    is_over: bool = False


# A shot that was begun is paid for: it goes on to its end, also when whoever asked has left.
_running: set["asyncio.Task[Any]"] = set()


async def run(request: Request[State]) -> Response:
    """`POST /api/preflight`: a line of JSON for the plan, one for each check, one for the light."""
    state, wanted = request.state, await json_body.read_json(request, Wanted)
    active = [slot for slot in await slots.all(state["db"]) if slot.is_active]
    queue = ShotQueue()
    planned = await _checks(request, active, queue if wanted.shots else None)
    admin, address = guards.admin(request), guards.address(request)
    details = {"shots": wanted.shots}
    await audit.add(state["db"], admin, address, "preflight", "all", details)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_lines(planned, queue), 200, headers, "application/x-ndjson")


async def prove(request: Request[State]) -> Response:
    """`GET /public/proof/{nonce}`: a signature only this service can give: whoever asked by the
    public address knows whom it leads to."""
    nonce = request.path_params["nonce"]
    if len(nonce) != 2 * checks.NONCE_BYTES:
        raise NotFound()
    return json_body.answer({"proof": checks.proof_of(request.state, nonce)})


async def _checks(
    request: Request[State], active: Sequence[Slot], queue: ShotQueue | None
) -> list[Check]:
    """Everything that will be looked at; the slots take a shot when there is a `queue` for it."""
    state = request.state
    ready = [await checks.prepare(state, slot) for slot in active]
    ordered = [plan for slot in ready for plan in slot.plans]
    named = sorted({plan.provider for slot in active for plan in slot.plans})
    return [
        Check("database", partial(checks.database, state)),
        Check("clock", partial(checks.clock, state)),
        Check("disk", partial(checks.disk, state)),
        Check("public_url", partial(checks.public_url, state)),
        Check("passwords", partial(checks.passwords, active)),
        Check("window", partial(checks.window, ready)),
        *(
            Check("provider", partial(checks.provider, state, name, ordered), name)
            for name in named
        ),
        *(
            Check("slot", partial(_slot, request, slot, queue), slot.in_force.id, slot.name)
            for slot in ready
        ),
    ]


async def _slot(request: Request[State], slot: Prepared, queue: ShotQueue | None) -> Finding:
    """Whether the slot could take a shot, or how it took one."""
    if slot.problem:
        return Finding.of(slot.problem)
    if queue is None:
        return checks.unless_fallback(slot)
    async with queue.free:
        if queue.is_over:
            return Finding("failed", "given_up")
        return checks.shot_finding(
            slot, await test_shot.take(request.state, slot.in_force, guards.address(request))
        )


async def _lines(planned: Sequence[Check], queue: ShotQueue) -> AsyncIterator[bytes]:
    """The plan, the findings in the order in which they are found, the light."""
    tasks = [asyncio.create_task(_find(check)) for check in planned]
    _running.update(tasks)
    for task in tasks:
        task.add_done_callback(_running.discard)
    found: list[Finding] = []
    try:
        yield _line({"checks": [check.as_json() for check in planned]})
        for ended in asyncio.as_completed(tasks):
            check, finding = await ended
            found.append(finding)
            yield _line(check.as_json() | asdict(finding))
        yield _line(_light(found))
    finally:
        queue.is_over = True


def _line(content: object) -> bytes:
    return msgspec.json.encode(content) + b"\n"


def _light(found: Sequence[Finding]) -> dict[str, Any]:
    statuses = [finding.status for finding in found]
    return {
        "ready": "failed" not in statuses,
        "failed": statuses.count("failed"),
        "warnings": statuses.count("warning"),
        "provider_calls": sum(finding.figures.get("provider_calls", 0) for finding in found),
    }


async def _find(check: Check) -> tuple[Check, Finding]:
    try:
        return check, await check.find()
    except PhotoslotError as error:
        return check, Finding.of(error)
    except Exception:
        log.exception("preflight.broken", check=check.check, subject=check.subject)
        return check, Finding.of(PhotoslotError())
