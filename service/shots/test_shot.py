"""Test shot: the service's own photo takes the way of every shot, on an admin's behalf."""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from service.errors import PhotoslotError
from service.http.multipart import Upload
from service.pictures.sample_photo import sample_photo
from service.queries.slots import IngestSlot
from service.shots import edit
from service.shots.shot import arrive
from service.state import State
from service.storage.media import create, disk_errors, write_all
from service.threads import in_thread

FILENAME = "portrait.jpg"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class TestShot:
    """How it ended: who was called last and how often somebody was, how the first call ended if it
    was not the last, why there is no picture if there is none."""

    __test__ = False

    job_id: UUID
    total_ms: int
    provider: str | None
    provider_calls: int
    stumble: str | None
    failure: PhotoslotError | None


async def take(state: State, slot: IngestSlot, address: str) -> TestShot:
    """Take a test shot on a slot for somebody at `address`. It is a job of the journal with the
    source `test`; its picture is for admins only."""
    loop, line, failure = asyncio.get_running_loop(), dict[str, Any](), None
    photo = await in_thread(state["threads"].images, sample_photo)
    shot = arrive(slot, "test", loop.time(), address, line)
    shot.is_authenticated = True
    try:
        async with edit.admit(state, shot, len(photo), is_known=True) as temp:
            await in_thread(state["threads"].disk, _put, temp.path("upload"), photo)
            upload = Upload({}, len(photo), hashlib.sha256(photo).digest(), FILENAME)
            shot.received(upload)
            await edit.edit(state, shot, upload, temp, is_there=lambda: True)
    except PhotoslotError as error:
        failure = error
    log.info(line.pop("event", "shot"), reason=failure.reason if failure else None, **line)
    attempts = shot.attempts
    return TestShot(
        job_id=shot.job_id,
        total_ms=round((loop.time() - shot.arrived) * 1000),
        provider=attempts[-1].provider if attempts else None,
        provider_calls=len(attempts),
        stumble=attempts[0].outcome if len(attempts) > 1 else None,
        failure=failure,
    )


def _put(path: Path, data: bytes) -> None:
    with disk_errors(), create(path) as file:
        write_all(file, data)
