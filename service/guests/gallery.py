"""Galleries for guests, and the links that open them.

A link carries the share's id and expiry, signed with the house's keys, so that a stranger's guess
never reaches the database; what an admin took back is known there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Annotated, Any
from uuid import UUID, uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from service import queries
from service.crypto import digest, read_link, sign_link
from service.errors import (
    InvalidFields,
    NotFound,
    RateLimited,
    ShareInvalid,
    SlotNotFound,
)
from service.http import guards, json_body
from service.pictures.qr import qr_code
from service.queries import GalleryRow, Share
from service.shots.picture_response import result_url
from service.state import State
from service.throttle import GALLERY

SALT = "photoslot.share"
MAX_SHARES_LISTED = 500
MAX_TOKEN = 300

Hours = Annotated[int, msgspec.Meta(ge=1, le=24 * 90)]
Token = Annotated[str, msgspec.Meta(max_length=MAX_TOKEN)]
Label = Annotated[str, msgspec.Meta(max_length=120)]


class NewShare(msgspec.Struct, forbid_unknown_fields=True):
    """A link to one slot's gallery, or to all when `slot_id` is null."""

    slot_id: str | None = None
    label: Label = ""
    hours: Hours = 72


class CodeQuery(msgspec.Struct, forbid_unknown_fields=True):
    share: Token = ""


class GalleryQuery(CodeQuery, forbid_unknown_fields=True):
    limit: Annotated[int, msgspec.Meta(ge=1, le=50)] = 10


async def add_share(request: Request[State]) -> Response:
    """`POST /api/shares`: a signed, expiring link."""
    state, given = request.state, await json_body.read_json(request, NewShare)
    expires_at = datetime.now(UTC) + timedelta(hours=given.hours)
    if given.slot_id is not None:
        unknown = "\0" in given.slot_id
        if unknown or await queries.slot_by_id(state["db"], given.slot_id) is None:
            raise InvalidFields([{"path": "slot_id", "message": "There is no such slot"}])
    admin, address = guards.admin(request), guards.address(request)
    label = given.label.replace("\0", "")
    async with state["db"].transaction() as session:
        share = await queries.share_add(session, uuid4(), given.slot_id, label, admin, expires_at)
        await queries.audit_add(
            session, admin, address, "share.add", str(share.id), {"slot_id": share.slot_id}
        )
    return json_body.answer(_described(state, share), 201)


async def list_shares(request: Request[State]) -> Response:
    """`GET /api/shares`: newest first."""
    found = await queries.share_list(request.state["db"], MAX_SHARES_LISTED)
    return json_body.answer({"shares": [_described(request.state, share) for share in found]})


async def revoke_share(request: Request[State]) -> Response:
    """`DELETE /api/shares/{id}`: the link stops at once; a second time changes nothing."""
    state, share_id = request.state, request.path_params["share_id"]
    async with state["db"].transaction() as session:
        if await queries.share_by_id(session, share_id) is None:
            raise NotFound("There is no such share.")
        if await queries.share_revoke(session, share_id):
            admin, address = guards.admin(request), guards.address(request)
            await queries.audit_add(session, admin, address, "share.revoke", str(share_id), {})
    return Response(status_code=204)


async def show_slot(request: Request[State]) -> Response:
    """`GET /public/slots/{slot_id}?share=`: the newest pictures of one slot."""
    slot_id = request.path_params["slot_id"]
    asked = await _check(request, slot_id)
    if "\0" in slot_id:
        raise SlotNotFound()
    found = await queries.gallery_page(request.state["db"], slot_id, asked.limit)
    if not found:
        raise SlotNotFound()
    return _gallery(_grouped(request.state, found)[0])


async def show_all(request: Request[State]) -> Response:
    """`GET /public/slots?share=`: the newest pictures of every slot."""
    asked = await _check(request, None)
    found = await queries.gallery_page(request.state["db"], None, asked.limit)
    return _gallery({"slots": _grouped(request.state, found)})


async def show_code(request: Request[State]) -> Response:
    """`GET /public/shares/qr?share=`: a QR code of the gallery's page, for who has its link."""
    share = await _share(request, json_body.query(request, CodeQuery).share)
    code = qr_code(_urls(request.state, share)["page_url"])
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }
    return Response(code, headers=headers, media_type="image/svg+xml")


def _gallery(content: dict[str, Any]) -> Response:
    return json_body.answer(content, headers={"X-Robots-Tag": "noindex"})


async def _check(request: Request[State], slot_id: str | None) -> GalleryQuery:
    """A link for this gallery. Raises `ShareInvalid` for all else alike, `RateLimited`."""
    asked = json_body.query(request, GalleryQuery)
    share = await _share(request, asked.share)
    if share.slot_id not in (None, slot_id):
        raise ShareInvalid()
    return asked


async def _share(request: Request[State], token: str) -> Share:
    """A link that is ours, running and not taken back. Raises `ShareInvalid` for all else alike,
    `RateLimited` for an address that asks too often."""
    state = request.state
    subject = digest("gallery", guards.address(request))
    if not await queries.throttle_count(state["db"], subject, GALLERY):
        seconds = await queries.throttle_blocked(state["db"], [subject])
        raise RateLimited("Too many requests from this address.", retry_after=seconds or 1)
    share = await queries.share_by_id(state["db"], _share_id(state, token))
    if share is None or share.revoked_at or share.expires_at <= datetime.now(UTC):
        raise ShareInvalid()
    return share


def _share_id(state: State, token: str) -> UUID:
    try:
        share_id, expires = read_link(state["config"].jwt_signing_keys, SALT, token)
        if expires <= datetime.now(UTC).timestamp():
            raise ShareInvalid()
        return UUID(share_id)
    except (ValueError, TypeError, AttributeError):
        raise ShareInvalid() from None


def _described(state: State, share: Share) -> dict[str, Any]:
    return asdict(share) | _urls(state, share)


def _urls(state: State, share: Share) -> dict[str, str]:
    """Where a gallery is: its JSON, its page, the same as a slide show. The pages have the token
    as a fragment, which no server logs."""
    config = state["config"]
    base = config.public_base_url
    content = [str(share.id), int(share.expires_at.timestamp())]
    token = sign_link(config.jwt_signing_keys, SALT, content)
    place = f"/{share.slot_id}" if share.slot_id else ""
    return {
        "url": f"{base}/public/slots{place}?share={token}",
        "page_url": f"{base}/g{place}#{token}",
        "show_url": f"{base}/show{place}#{token}",
    }


def _grouped(state: State, found: Sequence[GalleryRow]) -> list[dict[str, Any]]:
    return [
        {"slot_id": slot_id, "name": name, "pictures": _pictures(state, rows)}
        for (slot_id, name), rows in groupby(found, key=lambda row: (row.slot_id, row.slot_name))
    ]


def _pictures(state: State, rows: Iterable[GalleryRow]) -> list[dict[str, Any]]:
    """Pictures whose file was removed by hand are hidden."""
    base = state["config"].public_base_url
    pictures = []
    for row in rows:
        if row.job_id is None or row.path is None or not state["media"].path(row.path).is_file():
            continue
        url = result_url(base, row.job_id)
        pictures.append(
            {
                "job_id": row.job_id,
                "finished_at": row.finished_at,
                "expires_at": row.expires_at,
                "mime": row.mime,
                "width": row.width,
                "height": row.height,
                "url": url,
                "preview_url": f"{url}/preview",
            }
        )
    return pictures
