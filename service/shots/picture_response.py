"""How a picture goes back to the device: as itself or as JSON, in bounded time, and noting whether
the device was still there."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service import queries
from service.config import Config
from service.counters import UNDELIVERED
from service.crypto import is_seal, seal
from service.errors import DatabaseUnavailable
from service.http import json_body
from service.queries import Stages
from service.state import State
from service.storage.database import Database

SEND_TOTAL_SECONDS = 60.0
CHUNK_BYTES = 256 * 1024
DELETE_SALT = "photoslot.delete"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture in memory."""

    data: bytes
    mime: str
    width: int
    height: int


class Device:
    """The other end of the connection, watched once its upload is complete."""

    def __init__(self, watcher: "asyncio.Task[None]") -> None:
        self._watcher = watcher

    @property
    def is_there(self) -> bool:
        """False once the device has hung up."""
        return not self._watcher.done()

    def forget(self) -> None:
        """Stop watching."""
        self._watcher.cancel()


@contextmanager
def watch(request: Request[State]) -> Iterator[Device]:
    """Watch for the device hanging up. Stops with an error in the block; otherwise the answer that
    was made in it goes on watching while it is sent."""
    device = Device(asyncio.create_task(_until_disconnect(request.receive)))
    try:
        yield device
    except BaseException:
        device.forget()
        raise


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def headers(job_id: UUID) -> dict[str, str]:
    """The headers of every answer that carries a picture."""
    return {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Job-Id": str(job_id),
    }


def links(config: Config, job_id: UUID) -> dict[str, str]:
    """The headers that tell where a kept picture is: for everybody, and for its guest alone."""
    return {
        "Link": f'<{result_url(config.public_base_url, job_id)}>; rel="canonical"',
        "X-Page-Url": owner_url(config, job_id),
    }


def result_url(public_base_url: str, job_id: UUID) -> str:
    """The public link of a job's picture."""
    return f"{public_base_url}/public/results/{job_id}"


def page_url(config: Config, job_id: UUID) -> str:
    """The page of a job's picture, for whoever may see it."""
    return f"{config.public_base_url}/r/{job_id}"


def owner_url(config: Config, job_id: UUID) -> str:
    """The same page for the guest in the picture, with the key that deletes it. The key is a
    fragment: browsers keep it to themselves, so it never stands in a log."""
    key = seal(config.jwt_signing_keys, DELETE_SALT, str(job_id))
    return f"{page_url(config, job_id)}#{key}"


def is_delete_key(config: Config, job_id: UUID, given: str) -> bool:
    """Whether this key deletes the picture of this job."""
    return is_seal(config.jwt_signing_keys, DELETE_SALT, str(job_id), given)


def server_timing(stages: Stages) -> str:
    """`Server-Timing` of the stages that were reached, in milliseconds."""
    reached = {
        "upload": stages.upload,
        "queue": stages.queue,
        "provider": stages.provider,
        "store": stages.store,
    }
    return ", ".join(f"{name};dur={ms}" for name, ms in reached.items() if ms is not None)


def picture(
    request: Request[State],
    job_id: UUID,
    picture: Picture,
    headers: Mapping[str, str],
    expires_at: datetime | None,
    device: Device,
) -> Response:
    """The picture itself; with `Accept: application/json` a description of it."""
    db, config = request.state["db"], request.state["config"]
    if not _wants_json(request.headers.get("accept", "")):
        return PictureResponse(db, job_id, picture, headers, device)
    device.forget()
    public = expires_at is not None and "Link" in headers
    described = {
        "job_id": str(job_id),
        "status": "done",
        "result_url": result_url(config.public_base_url, job_id) if public else None,
        "page_url": owner_url(config, job_id) if public else None,
        "expires_at": expires_at,
        "mime": picture.mime,
        "bytes": len(picture.data),
        "width": picture.width,
        "height": picture.height,
    }
    return json_body.answer(described, headers=dict(headers))


def _wants_json(accept: str) -> bool:
    kinds = {part.split(";")[0].strip().lower() for part in accept.split(",")}
    return "application/json" in kinds and not any(kind.startswith("image/") for kind in kinds)


class PictureResponse(Response):
    """Sends a picture in blocks within SEND_TOTAL_SECONDS; a device that left is noted."""

    def __init__(
        self,
        db: Database,
        job_id: UUID,
        picture: Picture,
        headers: Mapping[str, str],
        device: Device,
    ) -> None:
        self.status_code = 200
        self.media_type = picture.mime
        self.background = None
        self.body = picture.data
        self.init_headers(headers)
        self._db = db
        self._job_id = job_id
        self._device = device

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(SEND_TOTAL_SECONDS):
                await self._send_blocks(send)
            delivered = True
        except (TimeoutError, _DeviceGone):
            delivered = False
        finally:
            self._device.forget()
        scope["line"]["delivered"] = delivered
        if not delivered:
            await self._note_undelivered()

    async def _send_blocks(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        blocks = memoryview(self.body)
        for start in range(0, len(blocks), CHUNK_BYTES):
            await self._check()
            block = bytes(blocks[start : start + CHUNK_BYTES])
            await send({"type": "http.response.body", "body": block, "more_body": True})
        await self._check()
        await send({"type": "http.response.body"})

    async def _check(self) -> None:
        """A write to a broken connection returns without yielding: two turns of the event loop let
        the transport notice, then the watcher."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if not self._device.is_there:
            raise _DeviceGone

    async def _note_undelivered(self) -> None:
        UNDELIVERED.inc()
        try:
            await queries.job_undelivered(self._db, self._job_id)
        except DatabaseUnavailable as error:
            log.error("job.not_undelivered", job_id=str(self._job_id), why=error.private)


class _DeviceGone(Exception):
    """The device hung up before it had the whole picture."""
