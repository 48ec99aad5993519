"""Metrics endpoint: what the processes counted, and gauges of the installation as a whole.

The gauges come from the database and the disk. They are the same whichever process or
host is scraped: over several of them take the largest, not the sum.
"""

import asyncio
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from starlette.requests import Request
from starlette.responses import Response

from service import config, counters
from service.errors import NotFound, ProviderAuth, Unauthorized
from service.http import guards
from service.monitoring.checks import DatabaseCheck, MediaCheck, Usage
from service.monitoring.provider_health import UNKNOWN, ModelHealth
from service.queries.installation import InstallationStatus
from service.queries.slots import SlotUse
from service.queries.stats import Storage
from service.state import State
from service.threads import in_thread

VERSION_FILE = Path(__file__).parent.parent.parent / "spec" / "VERSION.json"
KINDS = ("source", "result", "preview", "template")
MEGABYTE = 1024**2

Values = Mapping[str, float] | float


async def show(request: Request[State]) -> Response:
    """`GET /metrics`: Prometheus text, for insiders only."""
    state, checks = request.state, request.state["checks"]
    if not guards.is_insider(request):
        raise Unauthorized() if state["config"].metrics_token else NotFound()
    database, media, usage = await asyncio.gather(
        checks.database.get(), checks.media.get(), checks.usage.get()
    )
    reserve = state["config"].min_free_disk_mb * MEGABYTE
    sources = state["provider_keys"].sources()
    gauges = ServiceGauges(database, media, usage, reserve, sources, checks.providers.peek())
    disk, shared = state["threads"].disk, config.shared_metrics()
    text = await in_thread(disk, counters.exposition, shared, gauges)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@dataclass(frozen=True, slots=True, eq=False)
class ServiceGauges:
    """The installation as Prometheus collects it; a registry keeps it by identity."""

    database: DatabaseCheck
    media: MediaCheck
    usage: Usage | None
    reserve_bytes: int
    key_sources: Mapping[str, str | None]
    standings: tuple[ModelHealth, ...]

    def collect(self) -> Iterator[Metric]:
        """Every family; those of a database or disk that does not answer are left out."""
        yield self._build()
        yield _gauge("database_up", "The database answers.", self.database.reason == "ok")
        yield _gauge("media_up", "Photos can be kept.", self.media.reason == "ok")
        yield from self._disk()
        yield from self._providers()
        if self.usage is not None:
            yield from _storage(self.usage.storage)
            yield from _slots(self.usage.slots)
            yield from _installation(self.usage.now)

    def _build(self) -> Metric:
        labels = ("version", "python", "schema")
        family = GaugeMetricFamily("photoslot_build_info", "What runs here.", labels=labels)
        schema = self.database.schema or ""
        family.add_metric([VERSION, platform.python_version(), schema], 1)
        return family

    def _disk(self) -> Iterator[Metric]:
        if space := self.media.space:
            yield _gauge("disk_free_bytes", "Free on the disk of MEDIA_ROOT.", space.free_bytes)
            yield _gauge("disk_size_bytes", "Size of the disk of MEDIA_ROOT.", space.size_bytes)
            yield _gauge("disk_free_files", "Files the disk has room for.", space.free_files)
        yield _gauge(
            "disk_reserve_bytes", "Below so much free no shot is taken.", self.reserve_bytes
        )

    def _providers(self) -> Iterator[Metric]:
        """Of a provider with several models the worst counts."""
        seen = [one for one in self.standings if one.reason != UNKNOWN]
        names = {one.provider for one in seen}
        ill = {one.provider for one in seen if one.reason != "ok"}
        shut = {one.provider for one in seen if one.reason == ProviderAuth.reason}
        keys = {name: source is not None for name, source in self.key_sources.items()}
        up = {name: name not in ill for name in names}
        rejected = {name: name in shut for name in names}
        yield _gauge("provider_configured", "There is a key for it.", keys, "provider")
        yield _gauge("provider_up", "Its last call or ping was good.", up, "provider")
        yield _gauge("provider_key_rejected", "It refuses our key.", rejected, "provider")
        ends = GaugeMetricFamily(
            "photoslot_model_shutdown_timestamp_seconds",
            "When the provider ends a model that is ordered.",
            labels=["provider", "model"],
        )
        for one in self.standings:
            if one.shutdown_date and one.model:
                midnight = datetime.combine(one.shutdown_date, time(), UTC)
                ends.add_metric([one.provider, one.model], midnight.timestamp())
        yield ends


def _storage(storage: tuple[Storage, ...]) -> Iterator[Metric]:
    known = {one.kind: one for one in storage}
    files = {kind: known[kind].files if kind in known else 0 for kind in KINDS}
    size = {kind: known[kind].bytes if kind in known else 0 for kind in KINDS}
    yield _gauge("media_files", "Files that are kept, by kind.", files, "kind")
    yield _gauge("media_bytes", "Bytes of files that are kept, by kind.", size, "kind")


def _slots(slots: tuple[SlotUse, ...]) -> Iterator[Metric]:
    limited = [slot for slot in slots if slot.daily_limit is not None]
    active = {slot.id: slot.is_active for slot in slots}
    yield _gauge("slot_active", "The slot takes shots.", active, "slot")
    window = {slot.id: slot.window_seconds for slot in slots}
    yield _gauge("slot_window_seconds", "The slot's answer window.", window, "slot")
    in_flight = {slot.id: slot.in_flight for slot in slots}
    yield _gauge("slot_in_flight", "Shots at work in all processes.", in_flight, "slot")
    most = {slot.id: slot.max_in_flight for slot in slots}
    yield _gauge("slot_max_in_flight", "Shots that may be at work.", most, "slot")
    today = {slot.id: slot.shots_today for slot in limited}
    yield _gauge("slot_daily_shots", "Shots of the day that count.", today, "slot")
    limit = {slot.id: slot.daily_limit or 0 for slot in limited}
    yield _gauge("slot_daily_limit", "Shots a day that may count.", limit, "slot")


def _installation(now: InstallationStatus) -> Iterator[Metric]:
    yield _gauge("overdue_shots", "Pending shots whose window is over.", now.overdue_shots)
    yield _gauge("shut_out_subjects", "Shut out for failed passwords.", now.shut_out)
    yield _gauge(
        "cleanup_last_success_timestamp_seconds",
        "When a cleanup last removed all there was; 0 for never.",
        _unix(now.cleanup_succeeded_at),
    )
    yield _gauge(
        "cleanup_last_run_timestamp_seconds",
        "When a cleanup last ended, however it did; 0 for never.",
        _unix(now.cleanup_ended_at),
    )
    yield _gauge("cleanup_duration_seconds", "Of the last cleanup.", now.cleanup_seconds)
    yield _gauge(
        "cleanup_failures", "What the last cleanup could not remove.", now.cleanup_failures
    )
    yield _gauge(
        "cleanup_backlog_seconds",
        "For how long the longest expired file has waited for its removal.",
        (
            max(0.0, datetime.now(UTC).timestamp() - _unix(now.first_expiry))
            if now.first_expiry
            else 0
        ),
    )
    for name, what, total in (
        ("removed_files", "Files", now.removed_files),
        ("removed_bytes", "Bytes of files", now.removed_bytes),
        ("removed_rows", "Rows", now.removed_rows),
    ):
        yield CounterMetricFamily(
            f"photoslot_cleanup_{name}", f"{what} all cleanups removed.", value=total
        )


def _gauge(name: str, about: str, values: Values, label: str | None = None) -> Metric:
    """A family with one value, or with one for each value of its label."""
    if isinstance(values, Mapping):
        family = GaugeMetricFamily(f"photoslot_{name}", about, labels=[label or ""])
        for key, value in values.items():
            family.add_metric([key], value)
        return family
    return GaugeMetricFamily(f"photoslot_{name}", about, value=values)


def _unix(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0


def _version() -> str:
    version: str = msgspec.json.decode(VERSION_FILE.read_bytes())["version"]
    return version


VERSION = _version()
