"""What strangers take from those who have shown a password: shots, sign-ins, health, memory."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import photos
from admin import ADMIN, ADMIN_PASSWORD, ensure_account
from camera import Camera
from figures import Figure
from load import run, shoot
from rig import ROOT, Service, inherited
from stage import Stage

ATTACKS = Path(__file__).with_name("attacks.py")
SUPPORT = ROOT / "tests" / "support"
LATENCY_SECONDS = 1.0
PHOTO_BYTES = 4_000_000
SLOT = "slot-015"
OTHER_SLOT = "slot-001"
STRANGERS = 300
CODES = 20
GUESSES = 200
HASHED = 25
HEADS = 8
HEAD_SECONDS = 5.0
GIVEN_BACK_SECONDS = 2.0
SLOWER = 1.2
MEBIBYTE = 1024**2


@contextmanager
def attacked(service: Service, kind: str, count: int, path: str) -> Iterator[None]:
    """So many strangers are at the door while the block runs."""
    port = str(urlsplit(service.url).port)
    here = {**inherited(), "PYTHONPATH": f"{ROOT}:{SUPPORT}"}
    command = [sys.executable, str(ATTACKS), kind, str(count), port, path]
    with subprocess.Popen(command, env=here, stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == b"all have begun\n"
            yield
        finally:
            process.kill()


def slow_connections(stage: Stage, size: Any) -> Iterator[Figure]:
    """Strangers that announce a large photo and send a byte at a time."""
    with _shooting(stage) as (service, photo):
        _shots(service, photo, 2)
        alone = _shots(service, photo, size.shots // 2)
        with attacked(service, "drip", STRANGERS, f"/api/ingest/{OTHER_SLOT}"):
            beside = _shots(service, photo, size.shots)
        alone += _shots(service, photo, size.shots // 2)
    yield _slower(f"{STRANGERS} strangers on slow connections", alone, beside)


def qr_codes(stage: Stage, size: Any) -> Iterator[Figure]:
    """Guests that ask for the QR code of one picture without a pause."""
    with _shooting(stage) as (service, photo):
        answer = Camera(service.url).shoot(photos.jpeg(), SLOT)
        path = f"/public/results/{answer.headers['x-job-id']}/qr"
        _shots(service, photo, 2)
        alone = _shots(service, photo, size.shots // 2)
        with attacked(service, "look", CODES, path):
            beside = _shots(service, photo, size.shots)
        alone += _shots(service, photo, size.shots // 2)
    yield _slower(f"{CODES} clients on a QR code", alone, beside)


def wrong_passwords(stage: Stage, _size: Any) -> Iterator[Figure]:
    """Wrong passwords of cameras, all at once, and an admin who signs in meanwhile."""
    with stage.service() as service, httpx.Client(base_url=service.url, trust_env=False) as http:
        ensure_account(service)
        before = _hashed(http)
        with attacked(service, "guess", GUESSES, f"/api/ingest/{OTHER_SLOT}"):
            started = time.perf_counter()
            body = {"username": ADMIN, "password": ADMIN_PASSWORD}
            http.post("/api/login", json=body, timeout=60).raise_for_status()
            seconds = time.perf_counter() - started
            time.sleep(1)
            hashed = _hashed(http) - before
    how = f"{GUESSES} strangers guess as fast as they can"
    yield Figure("sign-in beside wrong passwords", seconds, "s", 1, how)
    yield Figure("passwords hashed", hashed, "", HASHED, f"{how}, in the first seconds")


def _hashed(http: httpx.Client) -> float:
    lines = http.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(HASHED_METRIC))


HASHED_METRIC = 'photoslot_password_checks_total{who="camera"}'


def endless_heads(stage: Stage, _size: Any) -> Iterator[Figure]:
    """Heads that never end."""
    with stage.service() as service, httpx.Client(base_url=service.url, trust_env=False) as http:
        http.get("/livez").raise_for_status()
        before, most, waited = service.memory_bytes, 0, list[float]()
        with attacked(service, "never-end", HEADS, "/"):
            end = time.monotonic() + HEAD_SECONDS
            while time.monotonic() < end:
                started = time.perf_counter()
                http.get("/livez").raise_for_status()
                waited.append(time.perf_counter() - started)
                most = max(most, service.memory_bytes)
                time.sleep(0.02)
        time.sleep(GIVEN_BACK_SECONDS)
        left = service.memory_bytes - before
    how = f"{len(waited)} times in {HEAD_SECONDS:g} s"
    p95 = statistics.quantiles(waited, n=20)[-1]
    yield Figure(f"GET /livez beside {HEADS} endless heads, p95", p95 * 1000, "ms", 100, how)
    yield Figure("memory they take", (most - before) / MEBIBYTE, "MiB", 50, "RSS, the most seen")
    yield Figure("memory they keep", left / MEBIBYTE, "MiB", 50, "RSS when they are gone")


@contextmanager
def _shooting(stage: Stage) -> Iterator[tuple[Service, bytes]]:
    stage.sandbox.dial(latency_s=LATENCY_SECONDS)
    with stage.service() as service:
        yield service, photos.big_jpeg(8, target_bytes=PHOTO_BYTES)


def _shots(service: Service, photo: bytes, count: int) -> list[float]:
    return [_shot(service, photo) for _ in range(count)]


def _shot(service: Service, photo: bytes) -> float:
    answer = run(shoot(service.url, photo, SLOT))
    assert answer.status == 200, answer.head
    return answer.seconds


def _slower(what: str, alone: Sequence[float], beside: Sequence[float]) -> Figure:
    return Figure(
        name=f"shots beside {what}",
        value=statistics.median(beside) * 1000,
        floor=statistics.median(alone) * 1000,
        unit="ms",
        limit=SLOWER,
        how=f"median of {len(beside)} shots of 4 MB with a provider of {LATENCY_SECONDS:g} s, "
        f"against {len(alone)} without them; longest {max(beside):.2f} s, {max(alone):.2f} s",
    )


MEASUREMENTS = (slow_connections, qr_codes, wrong_passwords, endless_heads)
