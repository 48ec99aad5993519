"""After a failure: once more, or never again, by what failed and by what is left of the window."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from camera import Camera
from conftest import MakeService
from rig import Sandbox, Service, until
from tables import ChangeSlot, Disk, Rows

from service.errors import (
    ProviderBadResponse,
    ProviderError,
    ProviderFailure,
    ProviderNoImage,
    ProviderQuota,
    ProviderTimeout,
    ProviderUnavailable,
)
from service.providers.attempts import JITTER, MIN_ATTEMPT_SECONDS, pause_before_repeat

MODEL = "gemini-nano-banana-2.1"
# What a busy machine was seen to add to two connects of 2 s, and a little more.
BUSY_SECONDS = 3.0


@pytest.mark.parametrize(
    ("failure", "repeated", "took", "left", "pause"),
    [
        (ProviderUnavailable(repeats=2), 0, 0.1, 40, 1),
        (ProviderUnavailable(repeats=2), 1, 0.1, 40, 2),
        (ProviderUnavailable(repeats=2), 2, 0.1, 40, None),
        (ProviderUnavailable(repeats=2, wait_seconds=0.3), 0, 0.1, 40, 0.3),
        (ProviderUnavailable(), 0, 0.1, 40, None),
        (ProviderNoImage(repeats=2, maybe_billed=True), 1, 1.2, 40, 0.2),
        (ProviderBadResponse(repeats=1, maybe_billed=True), 0, 1.2, 40, 0.2),
        (ProviderError(repeats=1), 0, 1.2, 40, 0.2),
        (ProviderQuota(repeats=1, wait_seconds=30), 0, 0.1, 44, 30),
        # The pause and one more attempt do not fit.
        (ProviderQuota(repeats=1, wait_seconds=30), 0, 0.1, 34, None),
        (ProviderNoImage(repeats=2), 0, 0.1, MIN_ATTEMPT_SECONDS, None),
        # Nor does a call as long as the failed one.
        (ProviderNoImage(repeats=2), 0, 20, 19, None),
        # The order went out and nothing came back.
        (ProviderUnavailable(repeats=2, maybe_billed=True), 0, 0.1, 40, None),
        (ProviderTimeout(repeats=1, maybe_billed=True), 0, 0.1, 40, None),
        # The provider gave up by itself: once more only in the first half.
        (ProviderTimeout(repeats=1), 0, 10, 20, 1),
        (ProviderTimeout(repeats=1), 0, 20, 19, None),
    ],
)
def test_a_repeat_follows_the_failure_and_the_time_that_is_left(
    failure: ProviderFailure, repeated: int, took: float, left: float, pause: float | None
) -> None:
    found = pause_before_repeat(failure, repeated, took=took, spent=took, left=left)

    if pause is None:
        assert found is None
    else:
        assert found is not None
        assert pause <= found <= pause * (1 + JITTER)


@pytest.mark.parametrize(
    ("dialled", "outcomes", "pauses_ms"),
    [
        (["no_image", "no_image", "ok"], ["provider_no_image", "provider_no_image", "ok"], 200),
        (["503", "ok"], ["provider_unavailable", "ok"], 1000),
        (["429_minute", "ok"], ["provider_quota", "ok"], 1500),
        (["garbage", "ok"], ["provider_bad_response", "ok"], 200),
        (["tiny", "ok"], ["provider_bad_response", "ok"], 200),
    ],
)
def test_what_comes_and_goes_is_called_again(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk, dialled: list[str],
    outcomes: list[str], pauses_ms: int,
) -> None:  # fmt: skip
    sandbox.dial(dialled)

    answer = camera.shoot()

    assert answer.status_code == 200, answer.text
    [row] = rows("select * from job_history")
    assert (row["status"], row["attempt_count"]) == ("done", len(outcomes))
    assert [attempt["outcome"] for attempt in row["attempts"]] == outcomes
    assert len(sandbox.calls()) == len(outcomes)
    for before, after in zip(row["attempts"], row["attempts"][1:], strict=False):
        assert after["started_ms"] >= before["started_ms"] + before["ms"] + pauses_ms - 2
    assert row["tokens"] == sum(attempt["tokens"] or 0 for attempt in row["attempts"])
    assert (len(disk("results")), disk("temp")) == (1, [])


@pytest.mark.parametrize(
    ("outcome", "status", "reason", "calls"),
    [
        ("no_image", 502, "provider_no_image", 3),
        ("reset", 503, "provider_unavailable", 1),
        ("429_minute:30", 503, "provider_quota", 1),
    ],
)
def test_what_does_not_pass_ends_before_the_window(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows, disk: Disk, outcome: str,
    status: int, reason: str, calls: int,
) -> None:  # fmt: skip
    slot("slot-001", sync_response_seconds=20)
    sandbox.dial([outcome])

    answer = camera.shoot()

    assert (answer.status_code, answer.headers["x-failure-reason"]) == (status, reason)
    if outcome == "429_minute:30":
        assert answer.headers["retry-after"] == "30"
    [row] = rows("select * from job_history")
    assert (row["status"], row["failure_reason"]) == ("failed", reason)
    assert [attempt["outcome"] for attempt in row["attempts"]] == [reason] * calls
    assert len(sandbox.calls()) == calls
    assert disk("temp", "results") == []


@pytest.mark.slow
def test_with_too_little_left_the_first_failure_stands(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows
) -> None:
    slot("slot-001", sync_response_seconds=10)
    sandbox.dial(["503"], latency_s=4.5)

    answer = camera.shoot()

    assert answer.headers["x-failure-reason"] == "provider_unavailable"
    assert len(sandbox.calls()) == 1
    [row] = rows("select attempts from job_history")
    assert len(row["attempts"]) == 1


def test_calls_are_recorded_one_by_one_and_those_that_may_be_paid_twice_are_counted(
    camera: Camera, service: Service, slot: ChangeSlot, sandbox: Sandbox, rows: Rows
) -> None:
    fallback = {"provider": "openai", "operation": "image_edit", "settings": {"prompt": "Snow"}}
    slot("slot-001", fallback=fallback)
    sandbox.dial(["reset", "no_image", "ok", "content_blocked", "bad_key", "ok"])
    before = paid_twice(service)

    answers = [camera.shoot() for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200] * 5
    made_by = [answer.headers["x-provider"] for answer in answers]
    assert made_by == ["openai", "gemini", "openai", "openai", "gemini"]
    [told] = rows("select sum(attempt_count) as attempts from job_history")
    assert told["attempts"] == len(sandbox.calls()) == 9
    # Lost on its way, without an image, declined.
    assert paid_twice(service) - before == 3


@contextmanager
def black_hole() -> Iterator[str]:
    """An address that never answers: its queue of connections is full."""
    with socket.socket() as hole, socket.socket() as first, socket.socket() as second:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        yield f"http://127.0.0.1:{hole.getsockname()[1]}"


@pytest.mark.slow
def test_a_provider_that_is_not_reached_is_given_up_within_five_seconds(
    make_service: MakeService, slot: ChangeSlot, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    openai = {"provider": "openai", "settings": {"prompt": "Snow"}}
    slot("slot-002", **openai)
    slot("slot-003", fallback={**openai, "operation": "image_edit"})
    with black_hole() as hole, ThreadPoolExecutor() as threads:
        answers: list[httpx.Response] = []
        for urls in (
            {"GEMINI_BASE_URL": "http://nobody.invalid", "OPENAI_BASE_URL": hole},
            # No TLS there.
            {"GEMINI_BASE_URL": sandbox.url.replace("http:", "https:")},
        ):
            camera = Camera(make_service(**urls).url)
            answers += threads.map(
                lambda one, c=camera: c.shoot(slot=one), ("slot-001", "slot-002")
            )
        saved = camera.shoot(slot="slot-003")

    unknown, silent, insecure, reached = answers
    for answer in (unknown, silent, insecure):
        assert (answer.status_code, answer.headers["x-failure-reason"]) == (
            503,
            "provider_unavailable",
        )
        assert answer.elapsed.total_seconds() < 5 + BUSY_SECONDS
    assert reached.status_code == saved.status_code == 200
    assert saved.headers["x-provider"] == "openai"
    stored = rows("select * from job_history where status = 'failed' order by created_at")
    counts = sorted(row["attempt_count"] for row in stored)
    assert counts == [2, 3, 3]
    assert not any(one["maybe_billed"] for row in stored for one in row["attempts"])
    assert disk("temp") == []


@pytest.mark.slow
def test_a_hundred_shots_at_once_all_have_their_connection(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, execute: Callable[..., int], rows: Rows
) -> None:
    execute("update slot set max_in_flight = 100, sync_response_seconds = 30")
    execute("update settings set value = '{\"gemini\": 100}' where key = 'provider_max_in_flight'")
    sandbox.dial(hold=True)
    shots: list[Future[httpx.Response]] = []

    def all_wait() -> bool:
        return len(sandbox.calls()) == len(shots)

    with ThreadPoolExecutor(100) as threads:
        while len(shots) < 100:
            shots += [threads.submit(camera.shoot) for _ in range(10)]
            until(all_wait, f"{len(shots)} shots are at the provider", 20)
        sandbox.release()

    assert [shot.result().status_code for shot in shots] == [200] * 100
    assert rows("select sum(attempt_count) as calls from job_history") == [{"calls": 100}]


def paid_twice(service: Service) -> float:
    """Calls that may be charged although another one followed, by the service's own count."""
    lines = httpx.get(f"{service.url}/metrics", trust_env=False).text.splitlines()
    name = "photoslot_maybe_billed_twice_total"
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))
