"""Results: a job's picture for as long as it is kept or until its guest takes it back, its small
preview, the QR code that takes it to a phone.

A picture is gone from the second it expires, whether or not its file is still there. Nothing here
tells an unknown job from one that has no picture to show.
"""

import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from service.crypto import digest
from service.errors import (
    DeleteKeyInvalid,
    InvalidImage,
    RangeNotSatisfiable,
    ResultExpired,
    ResultNotFound,
    Unauthorized,
)
from service.http import guards, json_body, links
from service.http.file_response import (
    FileAnswer,
    code_response,
    ignore_range,
    is_known,
)
from service.pictures.prepare import preview
from service.queries import audit, jobs, media
from service.queries.jobs import Job
from service.queries.media import KeptFile
from service.state import State
from service.storage.media import EXTENSIONS, disk_errors
from service.threads import in_thread

KEY_HEADER = "x-delete-key"
RANGE = re.compile(r"^bytes=(?P<first>\d{0,18})-(?P<last>\d{0,18})$")
GUARDS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Robots-Tag": "noindex",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
}


async def show(request: Request[State]) -> Response:
    """`GET /public/results/{job_id}`: the picture; `?download=1` as an attachment."""
    job = await _job(request)
    result = await _visible(request, job)
    files = request.state["media"]
    if not files.has_whole(result.path, result.bytes):
        await media.mark_gone(request.state["db"], job.id, "result")
        raise ResultExpired()
    path = files.path(result.path)
    disposition = "attachment" if request.query_params.get("download") == "1" else "inline"
    return _file(request, path, result, f"{job.id}.{EXTENSIONS[result.mime]}", disposition)


async def show_preview(request: Request[State]) -> Response:
    """`GET /public/results/{job_id}/preview`: a small WebP, made when it is first asked for."""
    job = await _job(request)
    small = await _preview(request.state, job, await _visible(request, job))
    path = request.state["media"].path(small.path)
    return _file(request, path, small, f"{job.id}-preview.webp", "inline")


async def show_code(request: Request[State]) -> Response:
    """`GET /public/results/{job_id}/qr`: a QR code of the picture's page; with the delete key the
    key is in the code too."""
    await request.state["codes"].wait_turn()
    job, config = await _job(request), request.state["config"]
    result = _current(job)
    headers = GUARDS | {"Vary": KEY_HEADER}
    if KEY_HEADER not in request.headers:
        return await code_response(
            request, links.page_url(config, job.id), result.expires_at, headers
        )
    _check_key(request)
    code = await request.state["codes"].draw(links.owner_url(config, job.id))
    headers["Cache-Control"] = "no-store"
    return Response(code, headers=headers, media_type="image/svg+xml")


async def remove(request: Request[State]) -> Response:
    """`DELETE /public/results/{job_id}`: the guest takes the picture back. Its files go, and of its
    row stays what is counted."""
    state = request.state
    _check_key(request)
    job = await _job(request)
    _current(job)
    async with state["db"].transaction() as transaction:
        if not await media.lock_result(transaction, job.id):
            raise ResultExpired()
        paths = await media.forget(transaction, job.id)
        await jobs.forget(transaction, job.id)
        await audit.add(
            transaction, "guest", guards.address(request), "result.delete", str(job.id), {}
        )
        await in_thread(state["threads"].disk, state["media"].remove, paths)
    return Response(status_code=204)


def _check_key(request: Request[State]) -> None:
    job_id, given = json_body.job_id(request), request.headers.get(KEY_HEADER, "")
    if job_id is None:
        raise ResultNotFound()
    if not links.is_delete_key(request.state["config"], job_id, given):
        raise DeleteKeyInvalid()


async def _job(request: Request[State]) -> Job:
    job_id = json_body.job_id(request)
    job = await jobs.by_id(request.state["db"], job_id) if job_id else None
    if job is None:
        raise ResultNotFound()
    return job


def _current(job: Job) -> KeptFile:
    """The job's picture if the public may see it. A test is no public picture."""
    if job.is_test:
        raise ResultNotFound()
    return _kept(job)


async def _visible(request: Request[State], job: Job) -> KeptFile:
    """The job's picture if who asks may see it: that of a test is for admins."""
    is_admins = job.is_test and await _is_admin(request)
    return _kept(job) if is_admins else _current(job)


async def _is_admin(request: Request[State]) -> bool:
    if not guards.carries_session(request):
        return False
    try:
        return bool(await guards.session_of(request))
    except Unauthorized:
        return False


def _kept(job: Job) -> KeptFile:
    if job.status != "done" or job.result is None:
        raise ResultNotFound()
    if job.is_over:
        raise ResultExpired()
    return job.result


async def _preview(state: State, job: Job, result: KeptFile) -> KeptFile:
    """The kept preview, or a new one. Two makers at once write the same bytes to the same name."""
    files, db = state["media"], state["db"]
    known = await media.preview(db, job.id)
    if known and files.has_whole(known.path, known.bytes):
        width, height = result.width, result.height
        return KeptFile(
            known.path, "image/webp", known.bytes, known.sha256, width, height, result.expires_at
        )
    if not files.has_whole(result.path, result.bytes):
        await media.mark_gone(db, job.id, "result")
        raise ResultExpired()
    try:
        with disk_errors():
            data, width, height = await in_thread(
                state["threads"].images, preview, files.path(result.path)
            )
    except InvalidImage:
        raise ResultNotFound() from None
    path, sha256 = await in_thread(
        state["threads"].disk, files.keep, "previews", job.id, "image/webp", data
    )
    made = KeptFile(path, "image/webp", len(data), sha256, width, height, result.expires_at)
    await media.add_preview(db, job.id, made)
    if await media.preview(db, job.id) is None:
        # The guest took the picture back while this was made.
        await in_thread(state["threads"].disk, files.remove, [path])
        raise ResultExpired()
    return made


def _one_range(request: Request[State], size: int) -> None:
    """Leave only a `Range` that asks for one stretch of the file. Raises `RangeNotSatisfiable` for
    a stretch beyond its end."""
    asked = RANGE.match(request.headers.get("range", ""))
    first, last = (asked["first"], asked["last"]) if asked else ("", "")
    backwards = bool(first and last) and int(first) > int(last)
    if asked is None or backwards or not (first or last):
        ignore_range(request)
    elif (first and int(first) >= size) or (not first and int(last) == 0):
        raise RangeNotSatisfiable(size)


def _file(
    request: Request[State], path: Path, kept: KeptFile, name: str, disposition: str
) -> Response:
    etag = f'"{digest(kept.sha256, kept.path).hex()[:32]}"'
    # A browser asks each time whether the picture is still there: its guest may take it back.
    headers = GUARDS | {"Cache-Control": "private, no-cache", "ETag": etag}
    if is_known(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    _one_range(request, kept.bytes)
    return FileAnswer(
        path,
        headers=headers,
        media_type=kept.mime,
        filename=name,
        content_disposition_type=disposition,
    )
