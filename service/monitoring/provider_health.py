"""Provider health: keys, reach and last day of the models that active slots order.

Real calls are looked at first, those of every process: their outcomes are in the circuit breakers.
Only a model nobody has called lately is pinged, one of each provider a minute. Nothing runs by
itself, and who asks never waits for a provider.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx

from service.config import ProviderAccount
from service.errors import NotConfigured, PhotoslotError
from service.monitoring.cached_check import CachedCheck
from service.providers import registry
from service.providers.base import PingResult, Plan
from service.providers.ping import ping
from service.queries import breakers, slots
from service.queries.breakers import Breaker
from service.queries.slots import Slot
from service.storage.accounts import ProviderKeys
from service.storage.database import Database

LOOK_SECONDS = 60.0
PING_SECONDS = 10.0
# A model that works all day long is still asked once when it ends.
ASK_FOR_END = timedelta(days=1)
MODEL_ENDS_SOON = timedelta(days=30)
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """How one model of a provider stands: `reason` is ok, one of our failure reasons, or unknown
    before anything is; `details` are the provider's words for admins, `since` when it was seen."""

    provider: str
    model: str | None
    reason: str = UNKNOWN
    details: str | None = None
    since: datetime | None = None
    shutdown_date: date | None = None

    @property
    def ends_soon(self) -> bool:
        """Whether the provider ends the model within MODEL_ENDS_SOON."""
        last = self.shutdown_date
        return last is not None and last <= (datetime.now(UTC) + MODEL_ENDS_SOON).date()


@dataclass(frozen=True, slots=True)
class _Pinged:
    """The last ping of a model, and with which account."""

    at: datetime
    account: ProviderAccount
    result: PingResult


class ProviderHealth:
    """Keeps what was found out between two looks."""

    def __init__(
        self,
        db: Database,
        client: httpx.AsyncClient,
        keys: ProviderKeys,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._db, self._client, self._keys = db, client, keys
        self._pinged: dict[tuple[str, str], _Pinged] = {}
        self._check: CachedCheck[tuple[ModelHealth, ...]] = CachedCheck(
            self.look, fresh_seconds=look_seconds, silent=()
        )

    def peek(self) -> tuple[ModelHealth, ...]:
        """What is known now; an old view is renewed behind the back of who asks."""
        return self._check.peek() or ()

    async def look(self) -> tuple[ModelHealth, ...]:
        """Look now, and ping whom nothing was heard of lately."""
        try:
            accounts = self._keys.accounts()
            active = [slot for slot in await slots.all(self._db) if slot.is_active]
            found = await breakers.all(self._db)
        except PhotoslotError:
            return ()
        plans, unfit = _ordered(active, accounts)
        traffic = {(one.provider, one.model): one for one in found}
        await asyncio.gather(*(self._ping(plan) for plan in self._due(plans, traffic)))
        models = (self._health_of(plan, traffic.get(_key(plan))) for plan in plans)
        return (*models, *unfit)

    def _due(self, plans: Sequence[Plan], traffic: Mapping[Any, Breaker]) -> Iterator[Plan]:
        """Of each provider the model nothing was heard of for longest, if that is long enough."""
        now = datetime.now(UTC)
        waiting: dict[str, tuple[datetime, Plan]] = {}
        for plan in plans:
            heard = self._heard(plan, traffic.get(_key(plan)), now)
            name = plan.provider.name
            is_due = now - heard >= timedelta(seconds=plan.provider.ping_seconds)
            if is_due and (name not in waiting or heard < waiting[name][0]):
                waiting[name] = heard, plan
        return iter([plan for _, plan in waiting.values()])

    def _heard(self, plan: Plan, breaker: Breaker | None, now: datetime) -> datetime:
        """When anything was last heard of a model; never, if its end was not asked for of late."""
        pinged = self._last_ping(plan)
        if pinged is None or now - pinged.at >= ASK_FOR_END:
            return datetime.min.replace(tzinfo=UTC)
        return max([pinged.at, *_moments(breaker)])

    async def _ping(self, plan: Plan) -> None:
        result = await ping(self._client, plan.provider, plan.account, plan.model, PING_SECONDS)
        self._pinged[_key(plan)] = _Pinged(datetime.now(UTC), plan.account, result)

    def _last_ping(self, plan: Plan) -> _Pinged | None:
        """Another key or address makes the old ping worthless."""
        pinged = self._pinged.get(_key(plan))
        return pinged if pinged and pinged.account == plan.account else None

    def _health_of(self, plan: Plan, breaker: Breaker | None) -> ModelHealth:
        """By the call or the ping, whichever came last."""
        pinged = self._last_ping(plan)
        provider, model = _key(plan)
        ends = pinged.result.shutdown_date if pinged else None
        called = max(_moments(breaker), default=None)
        if breaker and called and (pinged is None or called > pinged.at):
            is_good = not breaker.failures
            reason, details = ("ok", None) if is_good else (breaker.reason, breaker.details)
            return ModelHealth(provider, model, reason or UNKNOWN, details, called, ends)
        if pinged is None:
            return ModelHealth(provider, model)
        result = pinged.result
        reason = "ok" if result.ok else result.reason or UNKNOWN
        return ModelHealth(provider, model, reason, result.details, pinged.at, ends)


def _ordered(
    slots: Iterable[Slot], accounts: Mapping[str, ProviderAccount]
) -> tuple[list[Plan], list[ModelHealth]]:
    """One plan for each model the slots order, and the providers that cannot be asked."""
    plans: dict[tuple[str, str], Plan] = {}
    unfit: dict[str, ModelHealth] = {}
    for slot in slots:
        for ordered in slot.plans:
            name = ordered.provider
            try:
                plan = registry.plan(name, ordered.operation, ordered.settings, (), accounts)
                plans[_key(plan)] = plan
            except NotConfigured as problem:
                unfit[name] = ModelHealth(name, None, problem.reason, problem.details)
    known = {provider for provider, _ in plans}
    return list(plans.values()), [one for name, one in unfit.items() if name not in known]


def _key(plan: Plan) -> tuple[str, str]:
    return plan.provider.name, plan.model


def _moments(breaker: Breaker | None) -> list[datetime]:
    """When calls of a model ended, well or badly; failures that were forgiven do not count."""
    if breaker is None:
        return []
    failed = breaker.failed_at if breaker.failures else None
    return [at for at in (breaker.succeeded_at, failed) if at]
