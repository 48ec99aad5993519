"""What runs beside the shots: strangers at the door, cleanup at a million expired files, health and
metrics at a million jobs, and how a service recovers from a killed process."""

import os
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import httpx
import photos
import strangers
from camera import Camera, breeze_fields
from figures import Figure
from filling import fill
from ingest import peak_bytes
from load import run, shoot
from rig import ROOT, SIGNING_KEY, Service, until
from stage import Stage

from service.upkeep.worker_lease import LEASE_SECONDS

DAYS = 120
LATENCY_SECONDS = 0.2
PHOTO_BYTES = 4_000_000
SLOT = "slot-015"
FILL_SECONDS = 300
ASKED_MS = 20
# What a machine is asked for over HTTP; the service's figures grow old in ten seconds meanwhile.
ASK_PAUSE_SECONDS = 0.1
PICTURE = b"a picture of a few bytes"
KILLED_SHOTS = 20
# A killed process lives until its lease has run out.
RETRY_SECONDS = LEASE_SECONDS + 3.0
CLEANUP_SECONDS = 600
MEBIBYTE = 1024**2


@dataclass(frozen=True)
class Size:
    """How much there is to clean and how often things are asked for."""

    jobs: int
    files: int
    asked: int
    shots: int


FULL = Size(jobs=1_000_000, files=100_000, asked=150, shots=60)
QUICK = Size(jobs=100_000, files=20_000, asked=50, shots=20)


def filling(stage: Stage, size: Size) -> Iterator[Figure]:
    """How long it takes to fill the service."""
    started = time.perf_counter()
    fill(stage.tables.url, size.jobs, DAYS, "fill_expired")
    [row] = stage.tables.rows("select count(*) as files from media_object")
    yield Figure(
        name=f"{size.jobs:,} jobs",
        value=time.perf_counter() - started,
        unit="s",
        limit=FILL_SECONDS,
        how=f"with {row['files']:,} expired files in the database and none on the disk",
    )


def asking(stage: Stage, size: Size) -> Iterator[Figure]:
    """What Prometheus and the probe of a load balancer wait for."""
    with stage.service() as service, httpx.Client(base_url=service.url, trust_env=False) as client:
        for path in ("/metrics", "/healthz"):
            client.get(path).raise_for_status()
            taken = [_seconds(client, path) for _ in range(size.asked)]
            yield Figure(
                name=f"GET {path}, p95",
                value=_percentile(taken, 95) * 1000,
                unit="ms",
                limit=ASKED_MS,
                how=f"{size.asked} times; median {statistics.median(taken) * 1000:.1f} ms, "
                f"longest {max(taken) * 1000:.1f} ms",
            )


def _seconds(client: httpx.Client, path: str) -> float:
    time.sleep(ASK_PAUSE_SECONDS)
    started = time.perf_counter()
    client.get(path).raise_for_status()
    return time.perf_counter() - started


def cleaning(stage: Stage, size: Size) -> Iterator[Figure]:
    """bin/cleanup: beside shots for a while, then alone with rows, then with files."""
    stage.sandbox.dial(latency_s=LATENCY_SECONDS)
    photo = photos.big_jpeg(8, target_bytes=PHOTO_BYTES)
    with stage.service() as service:
        before = _shots(service, photo, size.shots)
        with _cleanup(stage, service) as (_process, running):
            beside = _shots(service, photo, size.shots)
        after = _shots(service, photo, size.shots)
        yield _added(before + after, beside)
        yield from _speed("while shots are taken", "rows", running, 3_000)
        _shots_are_long_ago(stage)
        rows = _clean(stage, service)
        yield from _speed("rows", "rows", rows, 20_000)
        yield _memory(rows)
        _lay_out(stage, service, size.files)
        files = _clean(stage, service)
        yield from _speed("files", "files on the disk", files, 5_000)
        assert not [one for one in (service.media_root / "results").rglob("*") if one.is_file()]


@dataclass
class Run:
    """One run of bin/cleanup: what it removed, how long it took, the most memory it had."""

    files: int = 0
    seconds: float = 0.0
    bytes: int = 0


@contextmanager
def _cleanup(stage: Stage, service: Service) -> "Iterator[tuple[subprocess.Popen[bytes], Run]]":
    """bin/cleanup runs while the block does; then it is ended, if it has not by itself."""
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": stage.tables.url,
        "MEDIA_ROOT": str(service.media_root),
        "PUBLIC_BASE_URL": service.url,
        "JWT_SIGNING_KEY": SIGNING_KEY,
    }
    done, left = Run(), "select count(*) as files from media_object where cleaned_at is null"
    [before] = stage.tables.rows(left)
    started = time.perf_counter()
    with subprocess.Popen([ROOT / "bin" / "cleanup"], env=environment) as process:
        try:
            yield process, done
        finally:
            process.terminate()
    done.seconds = time.perf_counter() - started
    [after] = stage.tables.rows(left)
    done.files = before["files"] - after["files"]


def _clean(stage: Stage, service: Service) -> Run:
    """All there is."""
    with _cleanup(stage, service) as (process, done):
        while process.poll() is None:
            # One that has just ended has no memory any more.
            with suppress(FileNotFoundError, ProcessLookupError, StopIteration):
                done.bytes = max(done.bytes, peak_bytes(process.pid))
            time.sleep(0.05)
    assert process.returncode == 0, "bin/cleanup failed"
    return done


def _speed(what: str, of_what: str, done: Run, limit: int) -> Iterator[Figure]:
    yield Figure(
        name=f"cleanup, {what}",
        value=done.files / done.seconds,
        unit="/s",
        limit=limit,
        at_most=False,
        how=f"{done.files:,} {of_what} in {done.seconds:.1f} s, the start of the command included",
    )


def _memory(done: Run) -> Figure:
    return Figure(
        name="cleanup, memory",
        value=done.bytes / MEBIBYTE,
        unit="MiB",
        limit=64,
        how="VmHWM of bin/cleanup",
    )


def _added(alone: Sequence[float], beside: Sequence[float]) -> Figure:
    return Figure(
        name="added latency of shots beside a cleanup",
        value=(statistics.median(beside) - LATENCY_SECONDS) * 1000,
        floor=(statistics.median(alone) - LATENCY_SECONDS) * 1000,
        unit="ms",
        limit=1.1,
        how=f"median of {len(beside)} shots of 4 MB, against {len(alone)} before and after it; "
        f"longest {max(beside) - LATENCY_SECONDS:.3f} s against {max(alone) - LATENCY_SECONDS:.3f}",
    )


def _shots(service: Service, photo: bytes, count: int) -> list[float]:
    """Seconds of each, after some that fill caches."""
    return [_shot(service, photo) for _ in range(count + 5)][5:]


def _shot(service: Service, photo: bytes) -> float:
    answer = run(shoot(service.url, photo, SLOT))
    assert answer.status == 200, answer.head
    return answer.seconds


def _shots_are_long_ago(stage: Stage) -> None:
    """The cleanup has the service for itself."""
    stage.tables.execute(
        "update job_history set created_at = created_at - interval '1 hour'"
        " where created_at > now() - interval '10 minutes'"
    )


def _lay_out(stage: Stage, service: Service, count: int) -> None:
    """So many cleaned files are there again."""
    rows = stage.tables.rows(
        "update media_object set cleaned_at = null where id in ("
        " select id from media_object where kind = 'result' and cleaned_at is not null limit %s)"
        " returning path",
        count,
    )
    for row in rows:
        path = service.media_root / row["path"]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(PICTURE)
    stage.tables.execute(
        "update media_object set expires_at = now() where cleaned_at is null and kind <> 'template'"
    )


def recovery(stage: Stage, _size: Size) -> Iterator[Figure]:
    """A process is killed with shots in flight: their devices try again, then cron comes."""
    stage.sandbox.dial(latency_s=30)
    stage.tables.execute("delete from media_object")
    pending = "select 1 from job_history where status = 'pending'"
    with stage.service() as first, stage.service(MEDIA_ROOT=str(first.media_root)) as second:
        shots = [breeze_fields(photos.jpeg(), shot=number) for number in range(KILLED_SHOTS)]
        with ThreadPoolExecutor(KILLED_SHOTS) as threads:
            lost = [threads.submit(Camera(first.url).shoot, fields=fields) for fields in shots]
            until(lambda: len(stage.tables.rows(pending)) == KILLED_SHOTS, "all are in flight", 30)
            first.kill()
            assert all(shot.exception() for shot in lost)
            stage.sandbox.dial()
            retried = list(threads.map(partial(_retry, second), shots))
        yield Figure(
            name=f"retries after a kill with {KILLED_SHOTS} shots in flight",
            value=max(retried),
            unit="s",
            limit=RETRY_SECONDS,
            how="the longest, all at once at another process, from a provider that answers at once",
        )
        _clean(stage, second)
        left = len(stage.tables.rows(pending)) + len(list((second.media_root / "temp").iterdir()))
        yield Figure(
            name="left after the next cleanup",
            value=left,
            unit="",
            limit=0,
            how="jobs that are still pending and temporary files",
        )


def _retry(service: Service, fields: dict[str, str]) -> float:
    started = time.perf_counter()
    answer = Camera(service.url).shoot(fields=fields)
    assert answer.status_code == 200, answer.text
    return time.perf_counter() - started


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


MEASUREMENTS = (*strangers.MEASUREMENTS, filling, asking, cleaning, recovery)
