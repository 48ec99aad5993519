"""Ingest: a camera's shot. Which slot, is it open, does the password fit, is this a retry."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from service import logs
from service.counters import CLIENT_CLOSED
from service.crypto import digest
from service.errors import (
    ClientClosed,
    InvalidPassword,
    NotConfigured,
    SlotDisabled,
    SlotNotFound,
)
from service.http import guards, json_body
from service.http.form import as_password
from service.http.multipart import Upload, boundary_of, expected_bytes, receive_upload
from service.queries import slots
from service.queries.slots import IngestSlot
from service.shots import edit, picture_response
from service.shots.ingest_password import IngestPassword, subject_of
from service.shots.shot import Shot, arrive
from service.state import State
from service.storage.media import TempFiles

MAX_IDEMPOTENCY_KEY = 255


async def receive(request: Request[State]) -> Response:
    """`POST /api/ingest/{slot_id}`: the picture, or the one reason why there is none."""
    arrived = asyncio.get_running_loop().time()
    slot = await _find_slot(request)
    boundary = boundary_of(request.headers.get("content-type"))
    shot = arrive(slot, "device", arrived, guards.address(request), logs.line_of(request))
    async with edit.admit(request.state, shot, expected_bytes(request, slot.max_bytes)) as temp:
        upload = await _receive_authenticated(request, shot, boundary, temp)
        shot.received(upload, _idempotency_key(request, upload))
        with picture_response.watch(request) as device:
            result = await edit.edit(request.state, shot, upload, temp, device.is_there)
            return picture_response.answer(request, result, device)


async def _find_slot(request: Request[State]) -> IngestSlot:
    """Everything that can be refused by the slot alone."""
    state, slot_id = request.state, json_body.slot_id(request)
    address = guards.address(request)
    slot = await slots.for_ingest(
        state["db"], slot_id, subject_of(slot_id, address), state["config"].result_ttl_hours
    )
    if slot is None:
        raise SlotNotFound()
    if not slot.is_active:
        raise SlotDisabled()
    IngestPassword(state, slot, address).refuse_if_shut_out()
    if slot.ingest_password_hash is None:
        raise NotConfigured("This slot has no password yet. An admin has to set one.")
    return slot


async def _receive_authenticated(
    request: Request[State], shot: Shot, boundary: bytes, temp: TempFiles
) -> Upload:
    """The body of a sender who knows the password; every failure to know it is counted."""
    password = IngestPassword(request.state, shot.slot, shot.address)
    try:
        upload = await _receive(request, shot, boundary, temp, password)
        if not shot.is_authenticated:
            raise InvalidPassword()
        return upload
    except InvalidPassword:
        await password.count_once()
        raise
    except ClientClosed:
        CLIENT_CLOSED.inc()
        raise


async def _receive(
    request: Request[State],
    shot: Shot,
    boundary: bytes,
    temp: TempFiles,
    password: IngestPassword,
) -> Upload:
    """Read the body; the password is checked where it comes, in the header or among the fields."""

    async def check(given: str) -> None:
        await password.check(given)
        shot.visit.show()
        shot.is_authenticated = True

    if header := request.headers.get("x-ingest-password"):
        await check(as_password(header.encode("latin-1")))
    return await receive_upload(
        request,
        boundary=boundary,
        target=temp.path("upload"),
        max_file_bytes=shot.slot.max_bytes,
        until=shot.upload_by,
        on_bytes=shot.visit.take,
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
