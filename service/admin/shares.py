"""Shares API: the links that open galleries, made, listed and revoked."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from service.errors import InvalidFields, NotFound
from service.faults import Fault
from service.http import guards, json_body, links
from service.queries import audit, shares, slots
from service.queries.shares import Share
from service.state import State

MAX_SHARES_LISTED = 500

Hours = Annotated[int, msgspec.Meta(ge=1, le=24 * 90)]
Label = Annotated[str, msgspec.Meta(max_length=120)]


class NewShare(msgspec.Struct, forbid_unknown_fields=True):
    """A link to one slot's gallery, or to all when `slot_id` is null."""

    slot_id: str | None = None
    label: Label = ""
    hours: Hours = 72


async def add(request: Request[State]) -> Response:
    """`POST /api/shares`: a signed, expiring link."""
    state, given = request.state, await json_body.read_json(request, NewShare)
    expires_at = datetime.now(UTC) + timedelta(hours=given.hours)
    if given.slot_id is not None:
        if await slots.by_id(state["db"], given.slot_id) is None:
            raise InvalidFields([Fault.of("slot_id", "unknown_slot")])
    admin, address = guards.admin(request), guards.address(request)
    async with state["db"].transaction() as transaction:
        share = await shares.add(
            transaction, uuid4(), given.slot_id, given.label, admin, expires_at
        )
        await audit.add(
            transaction, admin, address, "share.add", str(share.id), {"slot_id": share.slot_id}
        )
    return json_body.answer(_as_json(state, share), 201)


async def list_shares(request: Request[State]) -> Response:
    """`GET /api/shares`: newest first."""
    found = await shares.newest(request.state["db"], MAX_SHARES_LISTED)
    return json_body.answer({"shares": [_as_json(request.state, share) for share in found]})


async def revoke(request: Request[State]) -> Response:
    """`DELETE /api/shares/{id}`: the link stops at once; a second time changes nothing."""
    state, share_id = request.state, request.path_params["share_id"]
    async with state["db"].transaction() as transaction:
        if await shares.by_id(transaction, share_id) is None:
            raise NotFound("There is no such share.")
        if await shares.revoke(transaction, share_id):
            admin, address = guards.admin(request), guards.address(request)
            await audit.add(transaction, admin, address, "share.revoke", str(share_id), {})
    return Response(status_code=204)


def _as_json(state: State, share: Share) -> dict[str, Any]:
    return asdict(share) | links.share_urls(state["config"], share)
