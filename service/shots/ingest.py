"""The cameras' door: which slot, is it open, does the password fit, is this a retry."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from service import queries
from service.counters import CLIENT_CLOSED
from service.crypto import digest
from service.errors import (
    ClientClosed,
    InvalidPassword,
    NotConfigured,
    RateLimited,
    SlotDisabled,
    SlotNotFound,
)
from service.http import guards
from service.http.multipart import Upload, boundary_of, receive_upload
from service.queries import IngestSlot
from service.shots import edit
from service.shots.edit import MEGABYTE, Shot
from service.state import State
from service.storage.media import Workbench
from service.throttle import INGEST

MAX_IDEMPOTENCY_KEY = 255


async def receive(request: Request[State]) -> Response:
    """`POST /api/ingest/{slot_id}`: the picture, or the one reason why there is none."""
    arrived = asyncio.get_running_loop().time()
    slot = await _find_slot(request)
    boundary = boundary_of(request.headers.get("content-type"))
    shot = edit.arrive(request, slot, "device", arrived)

    async def read(shot: Shot, bench: Workbench) -> Upload:
        upload = await _receive_known(request, shot, boundary, bench)
        shot.idempotency_key = _idempotency_key(request, upload)
        return upload

    return await edit.take(request, shot, read)


async def _find_slot(request: Request[State]) -> IngestSlot:
    """Everything that can be refused by the slot alone."""
    state, slot_id = request.state, request.path_params["slot_id"]
    if "\0" in slot_id:
        raise SlotNotFound()
    slot = await queries.slot_for_ingest(
        state["db"], slot_id, _subject(request, slot_id), state["config"].result_ttl_hours
    )
    if slot is None:
        raise SlotNotFound()
    if not slot.is_active:
        raise SlotDisabled()
    if slot.blocked_seconds:
        raise RateLimited(retry_after=slot.blocked_seconds)
    if slot.ingest_password_hash is None:
        raise NotConfigured("This slot has no password yet. An admin has to set one.")
    return slot


def _subject(request: Request[State], slot_id: str) -> bytes:
    """Whom failed passwords count against: one mis-set camera must not shut out the other slots'
    cameras behind the same address."""
    return digest("ingest", slot_id, guards.address(request))


async def _receive_known(
    request: Request[State], shot: Shot, boundary: bytes, bench: Workbench
) -> Upload:
    """The body of a sender who knows the password; every failure to know it is counted."""
    try:
        upload = await _receive(request, shot, boundary, bench)
        if not shot.is_known:
            raise InvalidPassword()
        return upload
    except InvalidPassword:
        subject = _subject(request, shot.slot.id)
        await queries.throttle_count(request.state["db"], subject, INGEST)
        raise
    except ClientClosed:
        CLIENT_CLOSED.inc()
        raise


async def _receive(
    request: Request[State], shot: Shot, boundary: bytes, bench: Workbench
) -> Upload:
    """Read the body; the password is checked where it comes, in the header or among the fields."""
    state, slot = request.state, shot.slot

    async def check(password: str) -> None:
        if not await state["passwords"].verify(password, slot.ingest_password_hash or ""):
            raise InvalidPassword()
        shot.is_known = True

    if header := request.headers.get("x-ingest-password"):
        await check(header)
    return await receive_upload(
        request.receive,
        boundary=boundary,
        target=bench.path("upload"),
        max_file_bytes=slot.size_limit_mb * MEGABYTE,
        until=shot.upload_by,
        threads=state["threads"].disk,
        on_password=check,
        progress=shot.progress,
    )


def _idempotency_key(request: Request[State], upload: Upload) -> bytes | None:
    """What makes two requests the same order. A shot with neither a key nor a device `time` is
    always a new one."""
    key = request.headers.get("idempotency-key", "").strip()[:MAX_IDEMPOTENCY_KEY]
    if key:
        return digest("key", key)
    if device_time := upload.fields.get("time"):
        return digest("shot", upload.fields.get("id", ""), device_time, upload.sha256)
    return None
