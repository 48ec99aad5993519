"""Galleries: the newest pictures of a slot or of all, for guests who have a share's link."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from service.crypto import digest
from service.errors import (
    RateLimited,
    ShareInvalid,
    SlotNotFound,
)
from service.http import guards, json_body, links
from service.http.file_response import code_response
from service.queries import gallery, shares, throttles
from service.queries.gallery import GalleryRow
from service.queries.shares import Share
from service.state import State
from service.throttle import GALLERY, network

MAX_TOKEN = 300

Token = Annotated[str, msgspec.Meta(max_length=MAX_TOKEN)]


class CodeQuery(msgspec.Struct, forbid_unknown_fields=True):
    share: Token = ""


class GalleryQuery(CodeQuery, forbid_unknown_fields=True):
    limit: Annotated[int, msgspec.Meta(ge=1, le=50)] = 10


async def show_slot(request: Request[State]) -> Response:
    """`GET /public/slots/{slot_id}?share=`: the newest pictures of one slot."""
    slot_id = json_body.slot_id(request)
    asked = await _check(request, slot_id)
    found = await gallery.page(request.state["db"], slot_id, asked.limit)
    if not found:
        raise SlotNotFound()
    return _gallery(_grouped(request.state, found)[0])


async def show_all(request: Request[State]) -> Response:
    """`GET /public/slots?share=`: the newest pictures of every slot."""
    asked = await _check(request, None)
    found = await gallery.page(request.state["db"], None, asked.limit)
    return _gallery({"slots": _grouped(request.state, found)})


async def show_code(request: Request[State]) -> Response:
    """`GET /public/shares/qr?share=`: a QR code of the gallery's page, for who has its link."""
    await request.state["codes"].wait_turn()
    share = await _share(request, json_body.query(request, CodeQuery).share)
    url = links.share_urls(request.state["config"], share)["page_url"]
    headers = {
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }
    return await code_response(request, url, share.expires_at, headers)


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
    `RateLimited` for an address that asks too often: each link we signed is counted for itself, all
    guesses together, so that no guess shuts a link out."""
    state, sender = request.state, network(guards.address(request))
    share_id = links.share_id_of(state["config"], token)
    subject = digest("gallery", str(share_id or ""), sender)
    if await throttles.count(state["db"], subject, GALLERY) is None:
        seconds = await throttles.blocked_seconds(state["db"], [subject])
        raise RateLimited("Too many requests from this address.", retry_after=seconds or 1)
    share = await shares.by_id(state["db"], share_id) if share_id else None
    if share is None or share.revoked_at or share.expires_at <= datetime.now(UTC):
        raise ShareInvalid()
    return share


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
        if row.job_id is None or row.path is None or state["media"].is_missing(row.path):
            continue
        url = links.result_url(base, row.job_id)
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
