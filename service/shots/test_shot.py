"""A shot that nobody sent: the house takes a drawn portrait by the way of every shot."""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.types import Message

from service.errors import PhotoslotError
from service.http.multipart import Upload
from service.pictures.sample_photo import portrait
from service.queries import IngestSlot
from service.shots import edit
from service.shots.edit import Shot
from service.state import State
from service.storage.media import Workbench, create, disk_errors
from service.threads import in_thread

FILENAME = "portrait.jpg"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """How it ended: who was called last and how often somebody was, how the first call ended if it
    was not the last, why there is no picture if there is none."""

    job_id: UUID
    total_ms: int
    provider: str | None
    provider_calls: int
    stumble: str | None
    failure: PhotoslotError | None


async def rehearse(request: Request[State], slot: IngestSlot) -> Rehearsal:
    """Take a test shot on a slot on behalf of `request`. It is a job of the journal with the source
    `test`; its picture is for admins only."""
    loop, state = asyncio.get_running_loop(), request.state
    photo = await in_thread(state["threads"].images, portrait)
    inner = _as_if_sent(request, len(photo))
    shot = edit.arrive(inner, slot, "test", loop.time())
    failure = None

    async def read(shot: Shot, bench: Workbench) -> Upload:
        shot.is_known = True
        await in_thread(state["threads"].disk, _put, bench.path("upload"), photo)
        return Upload({}, len(photo), hashlib.sha256(photo).digest(), FILENAME)

    try:
        await edit.take(inner, shot, read)
    except PhotoslotError as error:
        failure = error
    line = inner.scope["line"]
    log.info(line.pop("event"), reason=failure.reason if failure else None, **line)
    attempts = shot.attempts
    return Rehearsal(
        job_id=shot.job_id,
        total_ms=round((loop.time() - shot.arrived) * 1000),
        provider=attempts[-1].provider if attempts else None,
        provider_calls=len(attempts),
        stumble=attempts[0].outcome if len(attempts) > 1 else None,
        failure=failure,
    )


def _as_if_sent(request: Request[State], length: int) -> Request[State]:
    """A request of its own for each shot, from the same place. It asks for words: the picture is
    kept, and nobody waits for its bytes."""
    headers = [(b"content-length", b"%d" % length), (b"accept", b"application/json")]
    return Request(dict(request.scope) | {"headers": headers, "line": {}}, _nothing_comes)


async def _nothing_comes() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("an event that nobody sets")


def _put(path: Path, data: bytes) -> None:
    with disk_errors(), create(path) as file:
        file.write(data)
