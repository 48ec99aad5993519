"""How much the way of one shot costs in time and memory, beside the floor in the same run."""

import asyncio
import io
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import photos
from camera import Camera
from figures import Figure
from load import SLOTS, Answer, at_once, in_parallel, run, shoot
from rig import Service
from stage import Floor, Stage

LATENCY_SECONDS = 0.2
PHOTO_BYTES = 4_000_000
PARALLEL = 15
ADDED_RATIO = 1.3
LARGE_SIDE = 4170
LARGE_MEGABYTES = 50
HOLD_SECONDS = 8.0
SMALL_POOL = 2
SLOW_SHOTS = 20
SLOW_SECONDS = 3.0
WINDOW_SECONDS = 10
# One second of the window is kept back to store and to send.
DUE_SECONDS = WINDOW_SECONDS - 1.0
CROWD_SECONDS = 4.0
HEALTH_PAUSE_SECONDS = 0.02
MEBIBYTE = 1024**2


@dataclass(frozen=True)
class Size:
    """How often things are done."""

    warm_ups: int
    singles: int
    rounds: int
    shots_a_round: int
    large_shots: int
    continues: int
    hanging: int
    crowd: int
    arriving: int


FULL = Size(
    warm_ups=6,
    singles=60,
    rounds=6,
    shots_a_round=60,
    large_shots=10,
    continues=30,
    hanging=15,
    crowd=300,
    arriving=20,
)
QUICK = Size(
    warm_ups=3,
    singles=20,
    rounds=3,
    shots_a_round=30,
    large_shots=4,
    continues=10,
    hanging=5,
    crowd=100,
    arriving=8,
)


def speed(stage: Stage, size: Size) -> Iterator[Figure]:
    """Added latency and throughput, beside the floor's."""
    stage.sandbox.dial(latency_s=LATENCY_SECONDS)
    photo = photos.big_jpeg(8, target_bytes=PHOTO_BYTES)
    with stage.service() as service, stage.floor() as floor:
        for program in (service, floor):
            run(in_parallel(SMALL_POOL, size.warm_ups, partial(_shot, program.url, photo)))
        yield from _one_at_a_time(service, floor, photo, size)
        yield from _in_parallel(service, floor, photo, size)


def _one_at_a_time(service: Service, floor: Floor, photo: bytes, size: Size) -> Iterator[Figure]:
    """Shot by shot in turn, so that whatever slows the machine slows both."""
    seconds: dict[str, list[float]] = {service.url: [], floor.url: []}
    for number in range(size.singles):
        for url, taken in seconds.items():
            taken.append(run(_shot(url, photo, number)).seconds)
    how = f"{size.singles} shots of 4 MB each, service and floor in turn"
    kinds = {"mean": ADDED_RATIO, "median": ADDED_RATIO, "p95": ADDED_RATIO}
    yield from _added("1 at a time", seconds[service.url], seconds[floor.url], how, kinds)


def _in_parallel(service: Service, floor: Floor, photo: bytes, size: Size) -> Iterator[Figure]:
    """Round by round in turn. The median is shown and not judged: the floor takes some shots
    straight through and lets others wait, so its median says little about its work."""
    seconds: dict[str, list[float]] = {service.url: [], floor.url: []}
    spent = {service.url: 0.0, floor.url: 0.0}
    busy = {service.url: -service.cpu_seconds, floor.url: -floor.cpu_seconds}
    for _ in range(size.rounds):
        for url, taken in seconds.items():
            started = time.perf_counter()
            shot = partial(_shot, url, photo)
            answers = run(in_parallel(PARALLEL, size.shots_a_round, shot))
            spent[url] += time.perf_counter() - started
            taken += [answer.seconds for answer in answers]
    rounds = f"{size.rounds} rounds of {size.shots_a_round} shots, service and floor in turn"
    how = f"{PARALLEL} cameras on {PARALLEL} slots, {rounds}"
    kinds = {"mean": ADDED_RATIO, "median": None, "p95": ADDED_RATIO}
    yield from _added(
        f"{PARALLEL} in parallel", seconds[service.url], seconds[floor.url], how, kinds
    )
    shots = size.rounds * size.shots_a_round
    yield Figure(
        name=f"processor time a shot, {PARALLEL} in parallel",
        value=(busy[service.url] + service.cpu_seconds) / shots * 1000,
        floor=(busy[floor.url] + floor.cpu_seconds) / shots * 1000,
        unit="ms",
        limit=ADDED_RATIO,
        how="the same rounds, of the process itself; PostgreSQL's comes on top",
    )
    yield Figure(
        name=f"throughput, {PARALLEL} in parallel",
        value=shots / spent[service.url],
        floor=shots / spent[floor.url],
        unit="shots/s",
        limit=0.8,
        at_most=False,
        how="the same rounds",
    )


def _added(
    what: str,
    service: Sequence[float],
    floor: Sequence[float],
    how: str,
    kinds: Mapping[str, float | None],
) -> Iterator[Figure]:
    """One figure for each of `kinds`, with its limit."""
    for kind, limit in kinds.items():
        yield Figure(
            name=f"added latency, {what}, {kind}",
            value=(TYPICAL[kind](service) - LATENCY_SECONDS) * 1000,
            floor=(TYPICAL[kind](floor) - LATENCY_SECONDS) * 1000,
            unit="ms",
            limit=limit,
            how=how,
        )


def first_words(stage: Stage, size: Size) -> Iterator[Figure]:
    """How long a camera waits until it may send its photo."""
    stage.sandbox.dial()
    waited = []
    with stage.service() as service:
        camera = Camera(service.url)
        for _ in range(size.continues):
            body, mime = camera.multipart()
            with camera.wire() as wire:
                wire.send(camera.request(body, mime, expect=True))
                waited.append(wire.wait_continue())
                wire.send(body)
                assert wire.answer().status == 200
    yield Figure(
        name="100 Continue",
        value=max(waited) * 1000,
        unit="ms",
        limit=50,
        how=f"longest of {size.continues} waits on a raw socket",
    )


def memory(stage: Stage, size: Size) -> Iterator[Figure]:
    """What a large shot in flight costs, from its first byte to its picture."""
    photo = _large_photo()
    stage.sandbox.reset()
    with stage.service() as service:
        run(_shot(service.url, photos.jpeg(), 0))
        stage.sandbox.reset()
        stage.sandbox.dial(latency_s=HOLD_SECONDS)
        before = service.memory_bytes
        forget_peak(service.pid)
        run(at_once(size.large_shots, partial(_shot, service.url, photo)))
        growth = peak_bytes(service.pid) - before
    _check_together(stage, size.large_shots)
    yield Figure(
        name=f"peak memory per {LARGE_MEGABYTES} MB shot",
        value=growth / size.large_shots / MEBIBYTE,
        unit="MiB",
        limit=12,
        how=f"VmHWM less RSS before, {size.large_shots} shots in flight at once in a new process",
    )


def forget_peak(pid: int) -> None:
    """From now on the peak memory of a process counts anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_bytes(pid: int) -> int:
    """The most memory a process had since."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(
        int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")
    )


def _large_photo() -> bytes:
    """A PNG of nearly 50 MB: stored, not compressed."""
    file = io.BytesIO()
    photos.scene(LARGE_SIDE, LARGE_SIDE).save(file, "PNG", compress_level=0)
    photo = file.getvalue()
    assert (LARGE_MEGABYTES - 1) * MEBIBYTE < len(photo) <= LARGE_MEGABYTES * MEBIBYTE
    return photo


def small_pool(stage: Stage, _size: Size) -> Iterator[Figure]:
    """Nobody holds a database connection while a provider works."""
    stage.sandbox.reset()
    stage.sandbox.dial(latency_s=SLOW_SECONDS)
    with stage.service(DB_POOL_SIZE=str(SMALL_POOL)) as service:
        started = time.perf_counter()
        run(at_once(SLOW_SHOTS, partial(_shot, service.url, photos.jpeg())))
        longest = time.perf_counter() - started
    _check_together(stage, SLOW_SHOTS)
    yield Figure(
        name=f"{SLOW_SHOTS} slow shots, pool of {SMALL_POOL}",
        value=longest,
        unit="s",
        limit=2 * SLOW_SECONDS,
        how=f"until all have their picture, from a provider of {SLOW_SECONDS:g} s",
    )


def _check_together(stage: Stage, count: int) -> None:
    """The sandbox had all of these shots at one moment, so the service had too."""
    calls = stage.sandbox.calls(action="generate")
    assert len(calls) == count, f"{len(calls)} calls of the provider for {count} shots"
    first_answered = min(call["at"] + call["latency_s"] for call in calls)
    assert (
        max(call["at"] for call in calls) < first_answered
    ), "the shots were not in flight at once"


def deadlines(stage: Stage, size: Size) -> Iterator[Figure]:
    """How exactly the window closes when the provider says nothing."""
    stage.sandbox.dial(outcomes=["hang"])
    stage.tables.execute("update slot set sync_response_seconds = %s", WINDOW_SECONDS)
    try:
        with stage.service() as service:
            errors = deadline_errors(service, size.hanging, pause=0)
            yield Figure(
                name="504 of a hanging provider, worst error",
                value=max(errors) * 1000,
                unit="ms",
                limit=150,
                how=f"{size.hanging} shots at once, each answer due after {DUE_SECONDS:g} s",
            )
            errors = deadline_errors(service, size.crowd, pause=CROWD_SECONDS / size.crowd)
            yield Figure(
                name=f"504 with {size.crowd} shots in flight, p99 error",
                value=_percentile(errors, 99) * 1000,
                unit="ms",
                limit=250,
                how=f"{size.crowd} shots within {CROWD_SECONDS:g} s, one process, same window",
            )
    finally:
        stage.tables.execute("update slot set sync_response_seconds = null")


def deadline_errors(service: Service, count: int, pause: float) -> list[float]:
    """How far from its time each 504 came; the shots are posted `pause` seconds apart."""

    async def hang(number: int) -> Answer:
        await asyncio.sleep(number * pause)
        return await _shot(service.url, photos.jpeg(), number, expected=504)

    return [abs(answer.seconds - DUE_SECONDS) for answer in run(at_once(count, hang))]


def health(stage: Stage, size: Size) -> Iterator[Figure]:
    """Whether a busy service still says that it is well."""
    photo = _large_photo()
    stage.sandbox.dial(latency_s=LATENCY_SECONDS)
    with stage.service() as service, _watch_health(service.url) as waited:
        run(at_once(size.arriving, partial(_shot, service.url, photo)))
    yield Figure(
        name="/healthz while large shots arrive, p99",
        value=_percentile(waited, 99) * 1000,
        unit="ms",
        limit=50,
        how=f"{len(waited)} looks while {size.arriving} × {LARGE_MEGABYTES} MB arrive",
    )


@contextmanager
def _watch_health(url: str) -> Iterator[list[float]]:
    """Look at /healthz while the block runs, from a thread, so that a busy event loop of ours does
    not count as a slow answer; the seconds of each look."""
    over = threading.Event()
    waited: list[float] = []

    def watch() -> None:
        with httpx.Client(base_url=url, trust_env=False) as client:
            while not over.wait(HEALTH_PAUSE_SECONDS):
                started = time.perf_counter()
                client.get("/healthz").raise_for_status()
                waited.append(time.perf_counter() - started)

    with ThreadPoolExecutor(1) as threads:
        watching = threads.submit(watch)
        try:
            yield waited
        finally:
            over.set()
        watching.result()


async def _shot(url: str, photo: bytes, number: int, expected: int = 200) -> Answer:
    answer = await shoot(url, photo, SLOTS[number % len(SLOTS)])
    assert answer.status == expected, answer.head
    return answer


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


TYPICAL: Mapping[str, Callable[[Sequence[float]], float]] = {
    "mean": statistics.fmean,
    "median": statistics.median,
    "p95": partial(_percentile, percent=95),
}
MEASUREMENTS = (speed, first_words, memory, small_pool, deadlines, health)
