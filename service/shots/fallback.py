"""Fallback: the plans of one shot, asked one after the other inside the same window.

What the calls tell of a provider goes to its circuit breaker: after failures of its own a provider
is left alone for a while.
"""

import asyncio
from functools import partial

import structlog

from service.crypto import digest
from service.errors import (
    ContentBlocked,
    DatabaseUnavailable,
    PhotoslotError,
    ProviderAuth,
    ProviderBadResponse,
    ProviderFailure,
    ProviderQuota,
    ProviderTimeout,
    ProviderUnavailable,
)
from service.providers import attempts
from service.providers.attempts import MIN_ATTEMPT_SECONDS, CallContext, Edited, as_rows
from service.providers.base import Plan, Ready
from service.queries import breakers, jobs, paces
from service.shots import provider_links
from service.shots.plans import ShotPhoto, candidates, make_ready
from service.shots.shot import Shot, now
from service.state import State

# While a fallback waits, the first plan leaves it a third of the time, and at least one attempt and
# a moment to take its place, unless that would leave next to nothing for the first.
FALLBACK_SHARE = 1 / 3
HANDOVER_SECONDS = 0.5
MIN_FIRST_SECONDS = 2.0
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


async def edit(state: State, shot: Shot, photo: ShotPhoto, first: Ready) -> Edited:
    """Have the photo edited before the shot's `answer_by` by its first plan, which is `first`, or
    by the next one when that failed, enough time is left and there is a place for the shot.

    Raises the last failure, but a refusal of the photo itself (`ContentBlocked`) before any other.
    """
    context = _context(state, shot)
    failures: list[PhotoslotError] = []
    ready: Ready | None = first
    for waiting in (*shot.plans[1:], None):
        assert ready is not None
        until = _share(shot.answer_by) if waiting else shot.answer_by
        try:
            return await attempts.edit(context, ready, until)
        except PhotoslotError as failure:
            failures.append(failure)
        ready = await _hand_over(state, shot, photo, first, waiting) if waiting else None
        if ready is None:
            break
    raise next((one for one in failures if isinstance(one, ContentBlocked)), failures[-1])


def _context(state: State, shot: Shot) -> CallContext:
    return CallContext(
        client=state["client"],
        threads=state["threads"].images,
        link=partial(provider_links.link, state, ends_at=shot.closes_at),
        pace=partial(_pace, state),
        failed=partial(_note_failure, state),
        holds_lease=state["holds_lease"],
        began=now(),
        attempts=shot.attempts,
    )


def _share(deadline: float) -> float:
    """When a plan is cut off that has another one waiting behind it."""
    left = deadline - now()
    kept = max(left * FALLBACK_SHARE, MIN_ATTEMPT_SECONDS + HANDOVER_SECONDS)
    return deadline - kept if left - kept >= MIN_FIRST_SECONDS else deadline


async def _hand_over(
    state: State, shot: Shot, photo: ShotPhoto, first: Ready, plan: Plan
) -> Ready | None:
    """Move the job to the plan's provider, and make ready what it takes. Whatever is in the way,
    too little time, a lease that ran out, a database that cannot say whether there is room or a
    full disk, the fallback is just not called."""
    if shot.answer_by - now() < MIN_ATTEMPT_SECONDS or not state["holds_lease"]():
        return None
    [candidate] = candidates(shot.slot, [plan])
    rows = as_rows(shot.attempts)
    ready: Ready | None = None
    try:
        refusal = await jobs.move(state["db"], shot.job_id, candidate, rows, state["worker"])
        if refusal is None:
            ready = await make_ready(state, plan, photo, first.photo)
    except PhotoslotError as error:
        refusal = error.reason
    log.info("fallback", job_id=str(shot.job_id), provider=plan.provider.name, refusal=refusal)
    return ready if shot.answer_by - now() >= MIN_ATTEMPT_SECONDS else None


async def _pace(state: State, api_key: str, seconds: float) -> float:
    """Seconds until a provider's next free moment for this key, whichever process asks. While the
    database is away every call only waits for itself: what is ordered has to be fetched."""
    try:
        async with asyncio.timeout(NOTE_SECONDS):
            return await paces.take(state["db"], digest("turn", api_key), seconds)
    except (DatabaseUnavailable, TimeoutError) as error:
        log.error("turn.not_taken", why=str(error))
        return seconds


async def _note_failure(state: State, plan: Plan, failure: ProviderFailure, seconds: float) -> None:
    """Tell the circuit breaker. A refusal of this very order proves that the provider works."""
    db, provider, model = state["db"], plan.provider.name, plan.model
    if isinstance(failure, ProviderTimeout) and seconds < TELLING_TIMEOUT_SECONDS:
        return
    try:
        async with asyncio.timeout(NOTE_SECONDS):
            if isinstance(failure, OWN_FAULTS):
                reason, details = failure.reason, failure.private
                await breakers.fail(db, provider, model, reason, details, seconds)
            else:
                await breakers.mend(db, provider, model)
    except (DatabaseUnavailable, TimeoutError) as error:
        log.error("breaker.not_noted", provider=provider, model=model, why=str(error))
