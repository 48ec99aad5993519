"""Picture response: a shot's picture on its way back to the device, as itself or as JSON, in
bounded time, and noting whether the device was still there."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service import logs
from service.config import Config
from service.counters import UNDELIVERED
from service.errors import DatabaseUnavailable
from service.http import json_body, negotiation
from service.http.links import owner_url, result_url
from service.queries import jobs
from service.queries.jobs import Stages
from service.shots.shot import ShotResult
from service.state import State
from service.storage.database import Database

SEND_TOTAL_SECONDS = 60.0
CHUNK_BYTES = 256 * 1024

log = structlog.get_logger()


class Device:
    """The other end of the connection, watched once its upload is complete."""

    def __init__(self, watcher: "asyncio.Task[None]") -> None:
        self._watcher = watcher

    def is_there(self) -> bool:
        """False once the device has hung up."""
        return not self._watcher.done()

    def forget(self) -> None:
        """Stop watching."""
        self._watcher.cancel()


@contextmanager
def watch(request: Request[State]) -> Iterator[Device]:
    """Checks for the device hanging up. Stops with an error in the block; otherwise the answer that
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


def answer(request: Request[State], result: ShotResult, device: Device) -> Response:
    """The picture itself, or a description of it for who asks for JSON rather than for it."""
    db, config = request.state["db"], request.state["config"]
    headers = _headers(config, result)
    if not negotiation.wants_json(request, result.mime):
        return PictureResponse(db, result, headers, device)
    device.forget()
    return json_body.answer(_as_json(config, result), headers=headers)


def _headers(config: Config, result: ShotResult) -> dict[str, str]:
    """What the device is told beside the picture; where it is kept, for everybody and for its guest
    alone, if it is."""
    headers = {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Job-Id": str(result.job_id),
        "Server-Timing": server_timing(result.stages),
    }
    if result.provider is None:
        headers["Idempotent-Replayed"] = "true"
    else:
        headers["X-Provider"] = result.provider
    if result.kept is None:
        headers["X-Result-Stored"] = "no"
    elif result.is_public:
        address = result_url(config.public_base_url, result.job_id)
        headers["Link"] = f'<{address}>; rel="canonical"'
        headers["X-Page-Url"] = owner_url(config, result.job_id)
    return headers


def server_timing(stages: Stages) -> str:
    """`Server-Timing` of the stages that were reached, in milliseconds."""
    reached = {
        "upload": stages.upload,
        "queue": stages.queue,
        "provider": stages.provider,
        "store": stages.store,
    }
    return ", ".join(f"{name};dur={ms}" for name, ms in reached.items() if ms is not None)


def _as_json(config: Config, result: ShotResult) -> dict[str, object]:
    is_shown = result.is_public and result.kept is not None
    return {
        "job_id": str(result.job_id),
        "status": "done",
        "result_url": result_url(config.public_base_url, result.job_id) if is_shown else None,
        "page_url": owner_url(config, result.job_id) if is_shown else None,
        "expires_at": result.kept.expires_at if result.kept else None,
        "mime": result.mime,
        "bytes": len(result.data),
        "width": result.width,
        "height": result.height,
    }


class PictureResponse(Response):
    """Sends a picture in blocks within SEND_TOTAL_SECONDS; a device that left is noted."""

    def __init__(
        self, db: Database, result: ShotResult, headers: dict[str, str], device: Device
    ) -> None:
        self.status_code = 200
        self.media_type = result.mime
        self.background = None
        self.body = result.data
        self.init_headers(headers)
        self._db = db
        self._job_id = result.job_id
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
        logs.note(scope, delivered=delivered)
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
        if not self._device.is_there():
            raise _DeviceGone

    async def _note_undelivered(self) -> None:
        UNDELIVERED.inc()
        try:
            await jobs.mark_undelivered(self._db, self._job_id)
        except DatabaseUnavailable as error:
            log.error("job.not_undelivered", job_id=str(self._job_id), why=error.private)


class _DeviceGone(Exception):
    """The device hung up before it had the whole picture."""
