"""Counters and histograms of a process for Prometheus. Several processes of one start keep
their counts in files they share, so that whichever of them is scraped tells for all.

What belongs to the installation and not to a process is not counted but read from the database.
"""

import asyncio
import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

# Prometheus has no use for the times at which counters were made.
disable_created_metrics()

SHOT_BUCKETS = (
    *(0.05, 0.1, 0.25, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 35, 40, 45, 48, 50, 55),
    60,
)
ADDED_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10)
UPLOAD_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60)
LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
LAG_EVERY_SECONDS = 0.1
OTHER_MODEL = "other"
LOOK_AT_MACHINE_EVERY = 20

SHOTS = Counter(
    "photoslot_shots",
    "Shots by slot, provider and how they ended: done, or the reason why not.",
    ("slot", "provider", "outcome"),
)
REFUSALS = Counter("photoslot_refusals", "Refused requests of any kind by reason.", ("reason",))
SHOT_SECONDS = Histogram(
    "photoslot_shot_seconds",
    "Arrival to answer, by status: done, failed or timeout.",
    ("slot", "status"),
    buckets=SHOT_BUCKETS,
)
UPLOAD_SECONDS = Histogram(
    "photoslot_upload_seconds", "Arrival to the photo's last byte.", buckets=UPLOAD_BUCKETS
)
PROVIDER_SECONDS = Histogram(
    "photoslot_provider_seconds", "Time of one provider call.", ("provider",), buckets=SHOT_BUCKETS
)
ADDED_SECONDS = Histogram(
    "photoslot_added_seconds",
    "Time of a shot that was neither upload nor provider.",
    buckets=ADDED_BUCKETS,
)
IN_FLIGHT = Gauge(
    "photoslot_in_flight",
    "Shots in hand, uploads of known senders included.",
    multiprocess_mode="livesum",
)
STRANGERS = Gauge(
    "photoslot_strangers",
    "Uploads whose sender has not shown a password yet.",
    multiprocess_mode="livesum",
)
ATTEMPTS = Counter(
    "photoslot_attempts", "Provider calls by outcome.", ("provider", "model", "outcome")
)
MAYBE_BILLED = Counter(
    "photoslot_maybe_billed_attempts",
    "Provider calls without a picture that may be charged all the same.",
    ("provider", "model"),
)
MAYBE_BILLED_TWICE = Counter(
    "photoslot_maybe_billed_twice",
    "Provider calls that may be charged although another one followed for the same shot.",
    ("provider", "model"),
)
TOKENS = Counter("photoslot_tokens", "Tokens by the provider's own count.", ("provider", "model"))
COST = Counter(
    "photoslot_cost_dollars", "Estimated price of all calls in US dollars.", ("provider", "model")
)
UNSTORED = Counter("photoslot_unstored_results", "Pictures answered but not kept.")
UNDELIVERED = Counter("photoslot_undelivered_results", "Pictures whose device had gone.")
REPLAYS = Counter("photoslot_replays", "Retries answered with the picture of the first request.")
PASSWORD_CHECKS = Counter(
    "photoslot_password_checks", "Passwords that were hashed to see whether they fit.", ("who",)
)
LOGINS = Counter("photoslot_logins", "Tries to sign in by outcome.", ("outcome",))
CLIENT_CLOSED = Counter("photoslot_client_closed_upload", "Devices that hung up while sending.")
LOOP_LAG = Histogram(
    "photoslot_loop_lag_seconds",
    f"How late the event loop came to a timer of {LAG_EVERY_SECONDS:g} s.",
    buckets=LAG_BUCKETS,
)
DB_CONNECTIONS = Gauge(
    "photoslot_db_connections",
    "Connections of the database pool: busy and idle.",
    ("state",),
    multiprocess_mode="livesum",
)
DB_MAX_CONNECTIONS = Gauge(
    "photoslot_db_max_connections",
    "How many connections the database pool may have.",
    multiprocess_mode="livesum",
)
RESIDENT_BYTES = Gauge(
    "photoslot_resident_memory_bytes", "Memory of the processes.", multiprocess_mode="livesum"
)
OPEN_FILES = Gauge(
    "photoslot_open_files", "Open files and sockets of the processes.", multiprocess_mode="livesum"
)


_expected_models: set[tuple[str, str]] = set()


def expect_models(provider: str, models: Iterable[str]) -> None:
    """From now on these models are told apart. Every name makes series of its own that are never
    given up, so a name that only stands in an answer is none."""
    _expected_models.update((provider, model) for model in models)


def model_label(provider: str, model: str) -> str:
    """The label of a model: its name when it was expected, else `other`."""
    return model if (provider, model) in _expected_models else OTHER_MODEL


def count_attempt(
    *,
    provider: str,
    model: str,
    outcome: str,
    ms: int,
    maybe_billed: bool,
    tokens: int | None,
    cost_microusd: int | None,
    **_more: object,
) -> None:
    """Count one call of a provider."""
    label = model_label(provider, model)
    PROVIDER_SECONDS.labels(provider).observe(ms / 1000)
    ATTEMPTS.labels(provider, label, outcome).inc()
    MAYBE_BILLED.labels(provider, label).inc(maybe_billed)
    TOKENS.labels(provider, label).inc(tokens or 0)
    COST.labels(provider, label).inc((cost_microusd or 0) / 1_000_000)


def exposition(shared: Path | None, gauges: Collector) -> bytes:
    """Everything in Prometheus' text format: what the processes counted, and `gauges`. `shared` is
    the folder where several of them count; None for one alone."""
    counts = _text(_SharedCounts(shared)) if shared else generate_latest(REGISTRY)
    return counts + _text(gauges)


def _text(collector: Collector) -> bytes:
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry)


class _SharedCounts:
    """The counts of every process, also of those that ended; gauges only of the living."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        files = [str(path) for path in self._folder.glob("*.db") if _is_of_use(path)]
        metrics: Iterable[Metric] = MultiProcessCollector.merge(files)
        return metrics


def _is_of_use(path: Path) -> bool:
    """A process that is just starting makes its files empty."""
    is_dead_gauge = path.name.startswith("gauge_live") and not _lives(path.stem.rpartition("_")[2])
    return not is_dead_gauge and path.stat().st_size > 0


def _lives(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()


async def watch_process(connections: Callable[[], tuple[int, int]]) -> None:
    """Look at this process for as long as it lives: how late its event loop is, how many of its
    database `connections` are busy and idle, what it takes of the machine."""
    loop = asyncio.get_running_loop()
    for tick in itertools.count():
        due = loop.time() + LAG_EVERY_SECONDS
        await asyncio.sleep(LAG_EVERY_SECONDS)
        LOOP_LAG.observe(max(0.0, loop.time() - due))
        for state, number in zip(("busy", "idle"), connections(), strict=True):
            DB_CONNECTIONS.labels(state).set(number)
        if tick % LOOK_AT_MACHINE_EVERY == 0:
            RESIDENT_BYTES.set(_resident_bytes())
            OPEN_FILES.set(len(os.listdir("/proc/self/fd")))


def _resident_bytes() -> int:
    """Linux, proc(5): the second number of statm is in pages."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
