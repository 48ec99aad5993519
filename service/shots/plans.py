"""What a shot orders, and what its calls need of the house: a place in flight, the photo as the
provider takes it, the breaker told how it went.

A slot's fallback is a complete second plan. A plan that cannot run at all, for want of a key say,
is left out; only when none is left the shot is refused.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from service import providers, queries
from service.crypto import digest
from service.errors import (
    DatabaseUnavailable,
    NotConfigured,
    PhotoslotError,
    ProviderAuth,
    ProviderBadResponse,
    ProviderFailure,
    ProviderQuota,
    ProviderTimeout,
    ProviderUnavailable,
)
from service.http.multipart import Upload
from service.pictures.images import ImageInfo, Photo, prepare
from service.providers import Attempt, House, Plan, Ready
from service.providers.base import Template
from service.queries import Candidate, IngestSlot
from service.shots import provider_links
from service.state import State
from service.storage.media import Workbench
from service.threads import in_thread

# A call that was cut off sooner says more about the window than about the provider.
TELLING_TIMEOUT_SECONDS = 10.0
# A database that does not answer must not eat up the window.
NOTE_SECONDS = 0.5
# What a provider does wrong whatever it is asked for.
OWN_FAULTS = (
    ProviderUnavailable,
    ProviderTimeout,
    ProviderAuth,
    ProviderQuota,
    ProviderBadResponse,
)

log = structlog.get_logger()


async def plans_of(state: State, slot: IngestSlot) -> list[Plan]:
    """The plans of a slot that can run, the first one first. Raises `NotConfigured` when there is
    none, with what is wrong with the first."""
    ordered = [
        {"provider": slot.provider, "operation": slot.operation, "settings": slot.settings}
        | {"templates": slot.templates},
        *([slot.fallback] if slot.fallback else []),
    ]
    images = await _templates(state, ordered)
    found: list[Plan] = []
    problems: list[NotConfigured] = []
    for order in ordered:
        try:
            found.append(_plan(state, order, images))
        except NotConfigured as problem:
            problems.append(problem)
    if not found:
        raise problems[0]
    return found


async def _templates(state: State, orders: Sequence[Mapping[str, Any]]) -> dict[UUID, Photo]:
    ids = [UUID(use["media_id"]) for order in orders for use in order.get("templates", ())]
    return {
        found.id: Photo(
            state["media"].path(found.path), found.mime, found.width, found.height, found.bytes
        )
        for found in (await queries.template_by_ids(state["db"], ids) if ids else [])
    }


def _plan(state: State, order: Mapping[str, Any], images: Mapping[UUID, Photo]) -> Plan:
    """One plan with its templates, in the order the slot has them."""
    uses = [(use["role"], images.get(UUID(use["media_id"]))) for use in order.get("templates", ())]
    templates = [Template(role, image) for role, image in uses if image and image.path.is_file()]
    if len(templates) < len(uses):
        raise NotConfigured("A template of this slot is missing. An admin has to set it anew.")
    accounts = state["provider_keys"].accounts()
    return providers.plan(
        order["provider"], order["operation"], order.get("settings", {}), templates, accounts
    )


def candidates(slot: IngestSlot, plans: Sequence[Plan]) -> list[Candidate]:
    """The plans as a claim asks for their places."""
    limits = slot.provider_max_in_flight or {}
    return [
        Candidate(plan.provider.name, plan.operation, plan.model, limits.get(plan.provider.name))
        for plan in plans
    ]


@dataclass(frozen=True, slots=True)
class Source:
    """The photo as it came, and how it may leave: where it lies, what it is, how large."""

    bench: Workbench
    upload: Upload
    info: ImageInfo
    max_side_px: int


async def make_ready(state: State, plan: Plan, source: Source, made: Photo | None = None) -> Ready:
    """The photo and the templates as they leave the house for this plan's provider; `made` is the
    photo as another provider took it."""
    fits = made and made.mime in plan.provider.accepts
    photo = made if made and fits else await _photo(state, plan, source)
    templates = [
        await _fitting(state, plan, source.bench, number, template)
        for number, template in enumerate(plan.templates)
    ]
    return Ready(plan, photo, templates)


async def _photo(state: State, plan: Plan, source: Source) -> Photo:
    """Untouched where the slot wants that and it can be."""
    accepts, info, bench = plan.provider.accepts, source.info, source.bench
    upload = bench.path("upload")
    if source.max_side_px == 0 and info.mime in accepts:
        return Photo(upload, info.mime, info.width, info.height, source.upload.bytes)
    images, target = state["threads"].images, bench.path(f"{plan.provider.name}-photo")
    return await in_thread(images, prepare, upload, target, source.max_side_px, accepts)


async def _fitting(
    state: State, plan: Plan, bench: Workbench, number: int, template: Template
) -> Template:
    """A template in a type the provider takes, turned into one for this shot if need be."""
    photo, accepts = template.photo, plan.provider.accepts
    if photo.mime not in accepts:
        target = bench.path(f"{plan.provider.name}-template-{number}")
        photo = await in_thread(state["threads"].images, prepare, photo.path, target, 0, accepts)
    return Template(template.role, photo)


def house_for(
    state: State,
    job_id: UUID,
    slot: IngestSlot,
    source: Source,
    first: Ready,
    closes_at: datetime,
    attempts: Sequence[Attempt],
) -> House:
    """What the calls of this shot need, whose window closes at `closes_at`."""
    return House(
        client=state["client"],
        threads=state["threads"].images,
        link=partial(provider_links.link, state, ends_at=closes_at),
        turn=partial(_turn, state),
        enter=partial(_enter, state, job_id, slot, source, first.photo, attempts),
        failed=partial(_note_failure, state),
    )


async def _turn(state: State, api_key: str, pace: float) -> float:
    """Seconds until a provider's next free moment for this key, whichever process asks. While the
    database is away every call only waits for itself: what is ordered has to be fetched."""
    try:
        async with asyncio.timeout(NOTE_SECONDS):
            return await queries.turn_take(state["db"], digest("turn", api_key), pace)
    except (DatabaseUnavailable, TimeoutError) as error:
        log.error("turn.not_taken", why=str(error))
        return pace


async def _enter(
    state: State,
    job_id: UUID,
    slot: IngestSlot,
    source: Source,
    made: Photo,
    attempts: Sequence[Attempt],
    plan: Plan,
) -> Ready | None:
    """Move the job to the plan's provider, and make ready what it takes. Whatever is in the way, a
    database that cannot say whether there is room or a full disk, the fallback is just not called.
    """
    [candidate] = candidates(slot, [plan])
    rows = providers.as_rows(attempts)
    ready: Ready | None = None
    try:
        refusal = await queries.job_move(state["db"], job_id, candidate, rows, state["worker"])
        if refusal is None:
            ready = await make_ready(state, plan, source, made)
    except PhotoslotError as error:
        refusal = error.reason
    log.info("fallback", job_id=str(job_id), provider=plan.provider.name, refusal=refusal)
    return ready


async def _note_failure(state: State, plan: Plan, failure: ProviderFailure, seconds: float) -> None:
    """Tell the breaker. A refusal of this very order proves that the provider works."""
    db, provider, model = state["db"], plan.provider.name, plan.model
    if isinstance(failure, ProviderTimeout) and seconds < TELLING_TIMEOUT_SECONDS:
        return
    try:
        async with asyncio.timeout(NOTE_SECONDS):
            if isinstance(failure, OWN_FAULTS):
                reason, details = failure.reason, failure.private
                await queries.breaker_fail(db, provider, model, reason, details, seconds)
            else:
                await queries.breaker_mend(db, provider, model)
    except (DatabaseUnavailable, TimeoutError) as error:
        log.error("breaker.not_noted", provider=provider, model=model, why=str(error))
