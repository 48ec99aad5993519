"""Slots API: read, change, history, restore, a test shot, its own cleanup."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from service import logs
from service.admin import slot_fields, slot_health
from service.admin.slot_fields import SlotChange, TestChange
from service.crypto import hash_password
from service.errors import NotFound, SlotNotFound, VersionConflict
from service.http import guards, json_body
from service.http.multipart import boundary_of, expected_bytes, receive_upload
from service.queries import audit, slots, templates
from service.queries.slots import IngestSlot, Slot, SlotVersion
from service.shots import edit, picture_response
from service.shots.shot import arrive
from service.state import State
from service.threads import in_thread
from service.upkeep import cleanup

VERSIONS_PER_PAGE = 50
MAX_VERSION = 2**31 - 1


class VersionsQuery(msgspec.Struct, forbid_unknown_fields=True):
    before: Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)] | None = None


async def list_slots(request: Request[State]) -> Response:
    """`GET /api/slots`: all of them, each with how it stands."""
    found = await slots.all(request.state["db"])
    return json_body.answer({"slots": await _slots_as_json(request, found)})


async def show(request: Request[State]) -> Response:
    """`GET /api/slots/{id}`."""
    return await _answer(request)


async def change(request: Request[State]) -> Response:
    """`PUT /api/slots/{id}`: in force from the next shot on, in every process."""
    state = request.state
    given = await json_body.read_json(request, SlotChange)
    current = await _slot(request)
    if given.version != current.version:
        raise VersionConflict(current.version)
    fields = slot_fields.merged(slot_fields.writable(current), given)
    password_hash = None
    if given.ingest_password is not msgspec.UNSET:
        password = given.ingest_password
        slot_fields.check_password(password)
        password_hash = await in_thread(state["threads"].sign_ins, hash_password, password)
    await _save(request, current, fields, "slot.change", password_hash)
    return await _answer(request)


async def list_versions(request: Request[State]) -> Response:
    """`GET /api/slots/{id}/versions`: newest first; `?before=` the last one of a page goes on."""
    slot = await _slot(request)
    before = json_body.query(request, VersionsQuery).before
    found = await slots.version_page(request.state["db"], slot.id, before, VERSIONS_PER_PAGE + 1)
    page = found[:VERSIONS_PER_PAGE]
    more = len(found) > len(page)
    return json_body.answer(
        {
            "versions": [_as_json(version) for version in page],
            "next_before": page[-1].version if more else None,
        }
    )


def _as_json(version: SlotVersion) -> dict[str, Any]:
    """A version with what can be restored of it."""
    snapshot = {name: version.snapshot[name] for name in slot_fields.WRITABLE}
    return asdict(version) | {"snapshot": snapshot}


async def restore(request: Request[State]) -> Response:
    """`POST /api/slots/{id}/versions/{n}/restore`: a new version like an old one."""
    current = await _slot(request)
    number = min(request.path_params["version"], MAX_VERSION)
    wanted = await slots.version_by_number(request.state["db"], current.id, number)
    if wanted is None:
        raise NotFound("This slot has no such version.")
    old = {name: wanted.snapshot[name] for name in slot_fields.WRITABLE}
    await _save(request, current, old, "slot.restore", None, {"from_version": number})
    return await _answer(request)


async def test_shot(request: Request[State]) -> Response:
    """`POST /api/slots/{id}/test-run`: one shot from the browser, by the way of every shot; a form
    field `change` (JSON) tries settings that are not saved."""
    arrived = asyncio.get_running_loop().time()
    state = request.state
    slot = await slots.for_ingest(
        state["db"], json_body.slot_id(request), b"", state["config"].result_ttl_hours
    )
    if slot is None:
        raise SlotNotFound()
    boundary = boundary_of(request.headers.get("content-type"))
    shot = arrive(slot, "test", arrived, guards.address(request), logs.line_of(request))
    expected = expected_bytes(request, slot.max_bytes)
    async with edit.admit(state, shot, expected, is_known=True) as temp:
        upload = await receive_upload(
            request,
            boundary=boundary,
            target=temp.path("upload"),
            max_file_bytes=slot.max_bytes,
            until=shot.upload_by,
            progress=shot.progress,
            on_bytes=shot.visit.take,
        )
        if text := upload.fields.pop("change", None):
            shot.slot = await _unsaved(state, slot, text)
        shot.is_authenticated = True
        shot.received(upload)
        with picture_response.watch(request) as device:
            result = await edit.edit(state, shot, upload, temp, device.is_there)
            return picture_response.answer(request, result, device)


async def clean(request: Request[State]) -> Response:
    """`POST /api/slots/{id}/cleanup`: remove this slot's expired files now."""
    slot = await _slot(request)
    return await _clean(request, slot.id)


async def clean_all(request: Request[State]) -> Response:
    """`POST /api/cleanup`: what bin/cleanup does, now."""
    return await _clean(request, None)


async def _clean(request: Request[State], slot_id: str | None) -> Response:
    state = request.state
    cleaner = cleanup.cleaner_of(state)
    if slot_id is None:
        cleaned = await cleanup.clean(cleaner)
    else:
        cleaned = await cleanup.clean_slot(cleaner, slot_id)
    details = asdict(cleaned)
    await _audit(request, "cleanup", slot_id or "all", details)
    return json_body.answer(details)


async def _answer(request: Request[State]) -> Response:
    """The slot as it is now."""
    [slot] = await _slots_as_json(request, [await _slot(request)])
    return json_body.answer(slot)


async def _slots_as_json(request: Request[State], found: Sequence[Slot]) -> list[dict[str, Any]]:
    healths = await slot_health.of_slots(request.state, found)
    return [
        asdict(slot) | {"health": asdict(how)} for slot, how in zip(found, healths, strict=True)
    ]


async def _slot(request: Request[State]) -> Slot:
    slot = await slots.by_id(request.state["db"], json_body.slot_id(request))
    if slot is None:
        raise SlotNotFound()
    return slot


async def _save(
    request: Request[State],
    current: Slot,
    fields: dict[str, Any],
    action: str,
    password_hash: str | None,
    details: dict[str, Any] | None = None,
) -> None:
    """Check and write a new version, its password and its audit entry together."""
    admin, address = guards.admin(request), guards.address(request)
    async with request.state["db"].transaction() as transaction:
        await templates.lock(transaction)
        await slot_fields.check(transaction, fields)
        version = await slots.update(transaction, current.id, current.version, fields, admin)
        if version is None:
            latest = await slots.by_id(transaction, current.id)
            raise VersionConflict(latest.version if latest else current.version)
        changed = sorted(k for k, v in fields.items() if v != getattr(current, k))
        noted = {"version": version, "changed": changed} | (details or {})
        if password_hash is not None:
            await slots.set_ingest_password(transaction, current.id, password_hash)
            noted["changed"] = [*changed, "ingest_password"]
        await audit.add(transaction, admin, address, action, current.id, noted)


async def _audit(
    request: Request[State], action: str, target: str, details: dict[str, Any]
) -> None:
    await audit.add(
        request.state["db"],
        guards.admin(request),
        guards.address(request),
        action,
        target,
        details,
    )


async def _unsaved(state: State, slot: IngestSlot, text: str) -> IngestSlot:
    """The slot as it would be after an unsaved change."""
    change = json_body.decode(text, TestChange, "change")
    current = await slots.by_id(state["db"], slot.id)
    if current is None:
        raise SlotNotFound()
    fields = slot_fields.merged(slot_fields.writable(current), change)
    await slot_fields.check(state["db"], fields)
    names = ("provider", "operation", "settings", "templates", "fallback", "output", "max_side_px")
    window = fields["sync_response_seconds"] or slot.sync_response_seconds
    return replace(slot, sync_response_seconds=window, **{name: fields[name] for name in names})
