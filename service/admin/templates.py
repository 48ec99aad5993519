"""Templates API: images of styles, backgrounds and faces that operations need beside the photo."""

import asyncio
from dataclasses import asdict
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import Response

from service.errors import TemplateInUse, TemplateNotFound
from service.http import guards, json_body
from service.http.file_response import whole_file
from service.http.form import Progress
from service.http.multipart import boundary_of, receive_upload
from service.pictures.inspect import inspect
from service.pictures.prepare import preview
from service.queries import audit, templates
from service.queries.templates import ListedTemplate, Template
from service.state import State
from service.storage.database import Transaction
from service.storage.media import disk_errors
from service.threads import in_thread

MAX_TEMPLATE_BYTES = 30 * 1024**2
UPLOAD_SECONDS = 60.0


async def add(request: Request[State]) -> Response:
    """`POST /api/template-media`: checked like a shot; the same bytes are kept once (200 instead
    of 201)."""
    state = request.state
    boundary = boundary_of(request.headers.get("content-type"))
    template_id = uuid4()
    with state["media"].temp_files(template_id, state["worker"]) as temp:
        path = temp.path("upload")
        upload = await receive_upload(
            request,
            boundary=boundary,
            target=path,
            max_file_bytes=MAX_TEMPLATE_BYTES,
            until=asyncio.get_running_loop().time() + UPLOAD_SECONDS,
            progress=Progress(),
        )
        pixels = state["config"].max_image_megapixels * 1_000_000
        with disk_errors():
            info = await in_thread(state["threads"].images, inspect, path, pixels)
        with disk_errors():
            data = await in_thread(state["threads"].disk, path.read_bytes)
    async with state["db"].transaction() as transaction:
        await templates.lock(transaction)
        known = await templates.by_digest(transaction, upload.sha256)
        if known is not None and not state["media"].is_missing(known.path):
            return json_body.answer(_as_json(known), 200)
        # A file that was lost comes back under its old id: what uses it works again.
        file_id = known.id if known else template_id
        kept, sha256 = await in_thread(
            state["threads"].disk, state["media"].keep, "templates", file_id, info.mime, data
        )
        if known is not None:
            return json_body.answer(_as_json(known), 200)
        await templates.add(transaction, template_id, kept, info, len(data), sha256)
        await _audit(request, transaction, "template.add", template_id)
        added = await templates.by_digest(transaction, sha256)
    assert added is not None
    return json_body.answer(_as_json(added), 201)


async def list_templates(request: Request[State]) -> Response:
    """`GET /api/template-media`: each with the slots that use it."""
    found = await templates.all(request.state["db"])
    return json_body.answer({"templates": [_as_json(template) for template in found]})


async def show(request: Request[State]) -> Response:
    """`GET /api/template-media/{id}`: the image itself."""
    template = await _template(request)
    path = request.state["media"].path(template.path)
    return whole_file(request, path, template.mime, GUARDS, gone=TemplateNotFound)


async def show_preview(request: Request[State]) -> Response:
    """`GET /api/template-media/{id}/preview`: a small WebP of it."""
    state, template = request.state, await _template(request)
    files = state["media"]
    if files.is_missing(template.path):
        raise TemplateNotFound()
    with disk_errors():
        data, _, _ = await in_thread(state["threads"].images, preview, files.path(template.path))
    return Response(data, media_type="image/webp", headers=GUARDS)


async def remove(request: Request[State]) -> Response:
    """`DELETE /api/template-media/{id}`: refused while a slot or a kept version uses it."""
    state, template = request.state, await _template(request)
    state["media"].check()
    async with state["db"].transaction() as transaction:
        await templates.lock(transaction)
        path = await templates.remove(transaction, template.id)
        if path is None:
            raise TemplateInUse()
        await _audit(request, transaction, "template.remove", template.id)
    await in_thread(state["threads"].disk, state["media"].remove, [path])
    return Response(status_code=204)


GUARDS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, max-age=86400, immutable",
}


async def _template(request: Request[State]) -> Template:
    found = await templates.by_ids(request.state["db"], [request.path_params["template_id"]])
    if not found:
        raise TemplateNotFound()
    return found[0]


def _as_json(template: Template | ListedTemplate) -> dict[str, object]:
    fields = asdict(template)
    del fields["path"]
    return fields


async def _audit(
    request: Request[State], transaction: Transaction, action: str, template_id: UUID
) -> None:
    admin, address = guards.admin(request), guards.address(request)
    await audit.add(transaction, admin, address, action, str(template_id), {})
