"""Slot health: whether a shot would find somebody to edit it, and if not, why.

By what is known without asking anybody: keys, breakers, how the slot's last shot went. A wrong key
or an unknown model makes the slot red, never the service.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from service.config import ProviderAccount
from service.errors import NotConfigured, ProviderAuth, ProviderError
from service.monitoring.provider_health import ModelHealth
from service.providers import registry
from service.queries import breakers, slots
from service.queries.breakers import Breaker
from service.queries.slots import Slot, SlotPlan, SlotShot
from service.state import State

MODEL_ENDS = "model_ends"


@dataclass(frozen=True, slots=True)
class Health:
    """`off`: cameras are refused. `bad`: no shot is edited until somebody does something, or the
    provider is back. `warn`: only the fallback works, or the provider ends the model soon. `reason`
    is a word of `failure_reason`, or `model_ends`."""

    status: Literal["ok", "warn", "bad", "off"]
    reason: str | None = None
    details: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the health of all slots is judged by."""

    accounts: Mapping[str, ProviderAccount]
    breakers: Mapping[tuple[str, str], Breaker]
    shots: Mapping[str, SlotShot]
    standings: Mapping[tuple[str, str | None], ModelHealth]


async def of_slots(state: State, wanted: Sequence[Slot]) -> list[Health]:
    """The health of each of these slots."""
    found = await breakers.all(state["db"])
    shots = await slots.last_shots(state["db"])
    known = Known(
        accounts=state["provider_keys"].accounts(),
        breakers={(one.provider, one.model): one for one in found},
        shots={one.slot_id: one for one in shots},
        standings={(one.provider, one.model): one for one in state["checks"].providers.peek()},
    )
    return [_health(slot, known) for slot in wanted]


def _health(slot: Slot, known: Known) -> Health:
    if not slot.is_active:
        return Health("off")
    if not slot.has_ingest_password:
        return Health("bad", NotConfigured.reason, "This slot has no ingest password.")
    shot = known.shots.get(slot.id)
    plan, *fallbacks = slot.plans
    trouble = _trouble(plan, known) or _refused_order(slot, shot)
    if trouble is None:
        return _last_day(plan, known) or Health("ok")
    is_saved = any(_trouble(fallback, known) is None for fallback in fallbacks) and (
        shot is None or shot.status == "done"
    )
    return replace(trouble, status="warn") if is_saved else trouble


def _trouble(plan: SlotPlan, known: Known) -> Health | None:
    """What keeps a plan from being run, whatever the photo."""
    try:
        model = _model(plan, known)
    except NotConfigured as problem:
        return Health("bad", problem.reason, problem.details)
    breaker = known.breakers.get((plan.provider, model))
    if breaker is None or not breaker.failures:
        return _refused_key(known.standings.get((plan.provider, model)))
    if breaker.opened_at is None and breaker.reason != ProviderAuth.reason:
        return None
    since = breaker.opened_at or breaker.failed_at
    return Health("bad", breaker.reason, breaker.details, since)


def _refused_key(standing: ModelHealth | None) -> Health | None:
    """A key that stopped working is noticed before a shot is, by a ping."""
    if standing is None or standing.reason != ProviderAuth.reason:
        return None
    return Health("bad", standing.reason, standing.details, standing.since)


def _model(plan: SlotPlan, known: Known) -> str:
    """The model a plan orders. Raises `NotConfigured`."""
    ordered = (plan.provider, plan.operation, plan.settings)
    return registry.plan(*ordered, (), known.accounts).model


def _last_day(plan: SlotPlan, known: Known) -> Health | None:
    """A warning that the provider ends the model soon."""
    model = _model(plan, known)
    standing = known.standings.get((plan.provider, model))
    if standing is None or not standing.ends_soon:
        return None
    details = f"The provider ends {model} on {standing.shutdown_date}."
    return Health("warn", MODEL_ENDS, details, standing.since)


def _refused_order(slot: Slot, shot: SlotShot | None) -> Health | None:
    """The provider refuses what the slot orders, such as a model it does not have."""
    if shot is None or (shot.provider, shot.outcome) != (slot.provider, ProviderError.reason):
        return None
    return Health("bad", shot.outcome, shot.details, shot.created_at)
