"""Preflight checks: each finds out one thing that an event needs, and says how it ended."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from service.crypto import is_seal, seal
from service.errors import NotConfigured, PhotoslotError, ProviderBusy, SlotBusy
from service.monitoring.provider_health import MODEL_ENDS_SOON
from service.providers.base import Plan
from service.providers.http import NotJson, get, read_json
from service.providers.ping import ping
from service.queries import installation, slots
from service.queries.slots import IngestSlot, Slot
from service.shots import plans
from service.shots.test_shot import TestShot
from service.state import State

SALT = "photoslot.proof"
NONCE_BYTES = 16
LOOKUP_SECONDS = 5.0
# The database's clock ends windows and pictures, this machine's begins them.
CLOCK_WARNING_MS, CLOCK_FAILED_MS = 1000, 5000
LOW_DISK_BYTES = 2 * 1024**3
SLOW_SHARE = 0.7
# How much longer than the longest window a proxy in front has to wait.
PROXY_MARGIN_SECONDS = 5
LOOPBACK = ("localhost", "127.0.0.1", "::1")

FindingStatus = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """How a check ended, why in a word and for admins in a sentence, and its figures."""

    status: FindingStatus = "ok"
    reason: str | None = None
    details: str | None = None
    figures: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, error: PhotoslotError, **figures: Any) -> "Finding":
        """A check that failed so."""
        return cls("failed", error.reason, error.private or error.details, figures)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A slot as a shot would meet it: its plans, or why it has none."""

    name: str
    in_force: IngestSlot
    plans: Sequence[Plan]
    problem: NotConfigured | None = None


async def prepare(state: State, slot: Slot) -> Prepared:
    ttl_hours = state["config"].result_ttl_hours
    in_force = await slots.for_ingest(state["db"], slot.id, b"", ttl_hours)
    assert in_force is not None, "slots are never removed"
    try:
        return Prepared(slot.name, in_force, await plans.plans_of(state, in_force))
    except NotConfigured as problem:
        return Prepared(slot.name, in_force, [], problem)


async def database(state: State) -> Finding:
    seen = await state["checks"].database.get()
    if seen.reason != "ok":
        return Finding("failed", seen.reason, figures={"schema": seen.schema})
    return Finding(figures={"schema": seen.schema})


async def clock(state: State) -> Finding:
    """Half of the way there and back is nobody's fault."""
    before = datetime.now(UTC)
    theirs = await installation.clock(state["db"])
    after = datetime.now(UTC)
    return clock_finding(theirs - (before + (after - before) / 2))


def clock_finding(skew: timedelta) -> Finding:
    """What a clock that goes before (or after) ours by so much means."""
    skew_ms = round(skew / timedelta(milliseconds=1))
    if abs(skew_ms) >= CLOCK_WARNING_MS:
        status: FindingStatus = "failed" if abs(skew_ms) >= CLOCK_FAILED_MS else "warning"
        return Finding(status, "clock_differs", figures={"skew_ms": skew_ms})
    return Finding(figures={"skew_ms": skew_ms})


async def disk(state: State) -> Finding:
    seen = await state["checks"].media.get()
    if seen.reason != "ok" or seen.space is None:
        return Finding("failed", seen.reason)
    return disk_finding(seen.space.free_bytes, state["config"].min_free_disk_mb * 1024**2)


def disk_finding(free_bytes: int, min_free_bytes: int) -> Finding:
    """What so much room means, when shots are refused below the least."""
    figures = {"free_bytes": free_bytes, "min_free_bytes": min_free_bytes}
    if free_bytes - min_free_bytes < LOW_DISK_BYTES:
        return Finding("warning", "disk_low", figures=figures)
    return Finding(figures=figures)


async def public_url(state: State) -> Finding:
    """Ask this service by its public address over a connection of its own, as a guest's phone
    would."""
    config = state["config"]
    base, nonce = config.public_base_url, secrets.token_hex(NONCE_BYTES)
    url = f"{base}/public/proof/{nonce}"
    started = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            answer = await get(state["client"], url, {"Connection": "close"})
    except (PhotoslotError, TimeoutError) as error:
        details = error.private if isinstance(error, PhotoslotError) else None
        return Finding("failed", "public_url_unreachable", details, {"url": base})
    figures = {"url": base, "ms": round((asyncio.get_running_loop().time() - started) * 1000)}
    if not is_seal(config.jwt_signing_keys, SALT, nonce, _proof(answer.body)):
        details = f"HTTP {answer.status}"
        return Finding("failed", "public_url_leads_elsewhere", details, figures)
    address = urlsplit(base)
    if address.hostname in LOOPBACK:
        return Finding("warning", "public_url_is_local", figures=figures)
    if address.scheme != "https":
        return Finding("warning", "public_url_is_not_https", figures=figures)
    return Finding(figures=figures)


class _Proof(msgspec.Struct):
    proof: str = ""


def _proof(body: bytes) -> str:
    try:
        found: _Proof = read_json(body, _Proof)
    except NotJson:
        return ""
    return found.proof


async def passwords(active: Sequence[Slot]) -> Finding:
    missing = [slot.id for slot in active if not slot.has_ingest_password]
    if missing:
        return Finding("failed", "passwords_missing", figures={"slots": missing})
    return Finding()


async def window(slots: Sequence[Prepared]) -> Finding:
    """What has to wait longer than the longest window; nobody can look at it from here."""
    if not slots:
        return Finding("failed", "no_active_slot")
    longest = max(slot.in_force.sync_response_seconds for slot in slots)
    proxy = longest + PROXY_MARGIN_SECONDS
    return Finding(figures={"longest_seconds": longest, "proxy_seconds": proxy})


async def provider(state: State, name: str, plans: Sequence[Plan]) -> Finding:
    """Its key, and every model that is ordered from it."""
    account = state["provider_keys"].accounts().get(name)
    if account is None or not account.api_key:
        return Finding("failed", NotConfigured.reason)
    asked = {plan.model: plan.provider for plan in plans if plan.provider.name == name}
    figures = {"models": sorted(asked)}
    client = state["client"]
    results = await asyncio.gather(
        *(ping(client, asked[model], account, model, LOOKUP_SECONDS) for model in asked)
    )
    for result in results:
        if not result.ok:
            return Finding("failed", result.reason, result.details, figures)
    ends = [result.shutdown_date for result in results if result.shutdown_date]
    if ends and min(ends) <= (datetime.now(UTC) + MODEL_ENDS_SOON).date():
        return Finding("warning", "model_ends", figures=figures | {"shutdown_date": min(ends)})
    return Finding(figures=figures)


def unless_fallback(slot: Prepared) -> Finding:
    first = slot.plans[0]
    ordered = (slot.in_force.provider, slot.in_force.operation)
    if (first.provider.name, first.operation) == ordered:
        return Finding()
    return Finding("warning", "fallback_only")


def shot_finding(slot: Prepared, shot: TestShot) -> Finding:
    """What a test shot that went so means for the slot."""
    window = slot.in_force.sync_response_seconds
    figures = {
        "job_id": shot.job_id,
        "total_ms": shot.total_ms,
        "window_seconds": window,
        "provider": shot.provider,
        "provider_calls": shot.provider_calls,
    }
    failure = shot.failure
    if failure:
        finding = Finding.of(failure, **figures)
        # A camera is at work there: the slot is well.
        is_busy = isinstance(failure, SlotBusy | ProviderBusy)
        return replace(finding, status="warning") if is_busy else finding
    if shot.stumble:
        return Finding("warning", shot.stumble, figures=figures)
    if shot.total_ms > SLOW_SHARE * window * 1000:
        return Finding("warning", "slow", figures=figures)
    return replace(unless_fallback(slot), figures=figures)


def proof_of(state: State, nonce: str) -> str:
    """A signature only this service can give."""
    return seal(state["config"].jwt_signing_keys, SALT, nonce)
