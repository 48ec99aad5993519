"""Statistics: what an admin reads against rows made by hand, and what the database counts."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import photos
import pytest
from admin import Admin, signed_in
from camera import Camera
from conftest import MakeService
from psycopg.types.json import Jsonb
from rig import Sandbox, Service, spelt, until
from tables import Execute, Rows

from service.queries.stats import duration_of

MakeJob = Callable[..., str]

BENCH = Path(__file__).parent.parent / "bench"
HOUR, DAY = 3600, 24 * 3600
STEP = 1.2


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


@pytest.fixture
def job(execute: Execute) -> MakeJob:
    """`job(age=60, status="failed", ...)` writes one ended job, `age` seconds old; gives its id."""

    def make(age: float = 60, **columns: Any) -> str:
        job_id, created_at = str(uuid4()), datetime.now(UTC) - timedelta(seconds=age)
        row = {
            "id": job_id,
            "slot_id": "slot-001",
            "slot_version": 1,
            "status": "done",
            "provider": "gemini",
            "operation": "image_edit",
            "created_at": created_at,
            "finished_at": created_at + timedelta(seconds=8),
            "client_address": "10.0.0.1",
            "total_ms": 8000,
            **columns,
        }
        names = ", ".join(row)
        places = ", ".join(["%s"] * len(row))
        execute(f"insert into job_history ({names}) values ({places})", *row.values())
        return job_id

    return make


def figures(admin: Admin, path: str = "/api/stats", **params: Any) -> dict[str, Any]:
    answer = admin.get(path, params=params)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def counted(rows: Rows) -> dict[str, int]:
    """What the trigger has counted of the whole service."""
    [sums] = rows(
        "select coalesce(sum(done), 0)::integer as done,"
        " coalesce(sum(failed), 0)::integer as failed,"
        " coalesce(sum(timeout), 0)::integer as timeout from shot_hour"
    )
    return sums


def test_outcomes_and_their_shares_are_counted(admin: Admin, job: MakeJob) -> None:
    for _ in range(7):
        job()
    job(status="failed", failure_reason="provider_no_image")
    job(status="failed", failure_reason="slot_busy")
    job(status="timeout", failure_reason="provider_timeout")

    told = figures(admin, window=HOUR)

    assert (told["shots"], told["done"], told["failed"], told["timeout"]) == (10, 7, 2, 1)
    assert (told["success_share"], told["timeout_share"]) == (0.7, 0.1)


@pytest.mark.parametrize("window", [HOUR, DAY])
def test_a_service_without_shots_has_no_shares(admin: Admin, window: int) -> None:
    told = figures(admin, window=window)

    assert told["shots"] == 0
    empty = ("success_share", "timeout_share", "p50_ms", "p95_ms", "attempts_per_done")
    assert [told[name] for name in empty] == [None] * 5
    assert (told["cost_usd"], told["tokens"], told["series"]) == (0, 0, [])
    assert (told["reasons"], told["recent_failures"]) == ([], [])


def test_times_of_a_short_window_are_exact(admin: Admin, job: MakeJob) -> None:
    for number in range(1, 21):
        job(total_ms=number * 1000 + 7)
    job(status="timeout", failure_reason="provider_timeout", total_ms=47000)

    told = figures(admin, window=HOUR)

    assert (told["p50_ms"], told["p95_ms"]) == (10_007, 19_007)


def test_times_of_a_long_window_are_right_within_a_step(admin: Admin, job: MakeJob) -> None:
    times = sorted(300 + 37 * number**2 for number in range(1, 41))
    for number, total_ms in enumerate(times):
        job(age=4 * HOUR + number, total_ms=total_ms)
    job(age=5 * HOUR, status="timeout", failure_reason="provider_timeout", total_ms=47000)

    told = figures(admin, window=DAY)

    for share, name in ((0.5, "p50_ms"), (0.95, "p95_ms")):
        exact = times[round(len(times) * share) - 1]
        assert exact / STEP <= told[name] <= exact * STEP


@pytest.mark.parametrize("milliseconds", [0, 1, 49, 50, 51, 60, 61, 72, 73, 8000, 47_000, 60_000])
def test_a_duration_is_told_from_its_step_within_a_fifth(rows: Rows, milliseconds: int) -> None:
    [found] = rows("select latency_step(%s) as step", milliseconds)
    latency = [0] * 40
    latency[found["step"] - 1] = 100

    told = duration_of(latency, 1.0)

    assert told is not None
    assert milliseconds <= told <= max(50, milliseconds * STEP + 1)


def test_tests_never_count(admin: Admin, job: MakeJob, rows: Rows) -> None:
    job(source="test", attempt_count=3, cost_microusd=5)
    job(source="test", status="failed", failure_reason="provider_auth")
    job(age=5 * HOUR, source="test")

    for window in (HOUR, DAY):
        told = figures(admin, window=window)
        assert (told["shots"], told["attempts"], told["cost_usd"]) == (0, 0, 0)
        assert (told["series"], told["reasons"], told["recent_failures"]) == ([], [], [])
        slots = figures(admin, "/api/stats/slots", window=window)["slots"]
        assert {slot["shots"] for slot in slots} == {0}
        assert {slot["last_success_at"] for slot in slots} == {None}
        assert {slot["last_failure_at"] for slot in slots} == {None}
    assert rows("select 1 from shot_hour") == []


@pytest.mark.parametrize("window", [HOUR, DAY])
def test_attempts_tokens_and_cost_are_summed(admin: Admin, job: MakeJob, window: int) -> None:
    job(attempt_count=1, tokens=1400, cost_microusd=39_000)
    job(attempt_count=3, tokens=2800, cost_microusd=78_500)
    job(attempt_count=2, status="failed", failure_reason="provider_no_image", tokens=100)

    told = figures(admin, window=window)

    assert (told["attempts"], told["tokens"], told["cost_usd"]) == (6, 4300, 0.1175)
    assert told["attempts_per_done"] == 3.0


def test_a_shot_outside_the_window_does_not_count(admin: Admin, job: MakeJob) -> None:
    job(age=HOUR - 30)
    job(age=HOUR + 30)

    assert figures(admin, window=HOUR)["shots"] == 1


def test_a_long_window_begins_with_a_whole_hour(admin: Admin, job: MakeJob) -> None:
    told = figures(admin, window=DAY)
    since = datetime.fromisoformat(told["from"])
    age = (datetime.now(UTC) - since).total_seconds()
    job(age=age - 1)
    job(age=age + 1)

    assert (since.minute, since.second, since.microsecond) == (0, 0, 0)
    assert DAY <= age < DAY + HOUR + 60
    assert figures(admin, window=DAY)["shots"] == 1


@pytest.mark.parametrize("window", [HOUR, DAY])
def test_the_figures_of_one_slot_are_its_own(admin: Admin, job: MakeJob, window: int) -> None:
    job(slot_id="slot-001", total_ms=1000)
    failed = job(slot_id="slot-002", status="failed", failure_reason="content_blocked")

    one, other, idle = (
        figures(admin, window=window, slot_id=f"slot-00{number}") for number in (1, 2, 3)
    )

    assert (one["slot_id"], one["shots"], one["done"], one["reasons"]) == ("slot-001", 1, 1, [])
    assert (other["shots"], other["failed"], other["p50_ms"]) == (1, 1, None)
    assert other["reasons"] == [{"reason": "content_blocked", "shots": 1}]
    assert [row["id"] for row in other["recent_failures"]] == [failed]
    assert [point["failed"] for point in other["series"]] == [1]
    assert (idle["shots"], idle["series"], idle["recent_failures"]) == (0, [], [])


@pytest.mark.parametrize("window", [HOUR, DAY])
def test_every_slot_has_its_line(admin: Admin, job: MakeJob, window: int) -> None:
    job(slot_id="slot-001")
    job(slot_id="slot-002", status="timeout", failure_reason="provider_timeout")

    slots = figures(admin, "/api/stats/slots", window=window)["slots"]

    assert [slot["id"] for slot in slots] == [f"slot-{n:03}" for n in range(1, 16)]
    shown = [(s["done"], s["timeout"], s["success_share"]) for s in slots[:3]]
    assert shown == [(1, 0, 1.0), (0, 1, 0.0), (0, 0, None)]


@pytest.mark.parametrize(
    ("window", "step", "age"), [(300, 10, 130), (HOUR, 60, 1800), (DAY, HOUR, 7 * HOUR)]
)
def test_a_series_has_even_steps_and_leaves_out_empty_ones(
    admin: Admin, job: MakeJob, window: int, step: int, age: int
) -> None:
    job(age=age, total_ms=4000)
    job(age=age, status="failed", failure_reason="provider_auth")

    told = figures(admin, window=window)

    assert told["step_seconds"] == step
    since = datetime.fromisoformat(told["from"])
    starts = [(datetime.fromisoformat(point["at"]) - since) for point in told["series"]]
    assert all(start.total_seconds() % step == 0 for start in starts)
    assert sum(point["done"] for point in told["series"]) == 1
    assert sum(point["failed"] for point in told["series"]) == 1
    [point] = [point for point in told["series"] if point["done"]]
    assert all(4000 / STEP <= point[name] <= 4000 * STEP for name in ("p50_ms", "p95_ms"))


@pytest.mark.parametrize("window", [5 * 60, 3 * HOUR, 3 * HOUR + 1, DAY, 7 * DAY, 30 * DAY])
def test_a_series_is_short_enough_for_a_chart(admin: Admin, window: int) -> None:
    assert window / figures(admin, window=window)["step_seconds"] <= 120


@pytest.mark.parametrize("window", ["299", str(30 * DAY + 1), "0", "-1", "1.5", "day", "", "%00"])
def test_a_window_out_of_bounds_is_refused(admin: Admin, window: str) -> None:
    for path in ("/api/stats", "/api/stats/slots"):
        answer = admin.get(f"{path}?window={window}")
        assert (answer.status_code, answer.headers["x-failure-reason"]) == (422, "invalid_fields")
        assert [error["path"] for error in answer.json()["errors"]] == ["window"]


@pytest.mark.parametrize("slot_id", ["slot-999", "%00", "'; drop table slot; --", "ż"])
def test_a_slot_nobody_knows_has_no_shots(admin: Admin, slot_id: str) -> None:
    assert figures(admin, f"/api/stats?slot_id={slot_id}")["shots"] == 0


def test_the_most_frequent_reason_comes_first(admin: Admin, job: MakeJob) -> None:
    for reason, count in (("provider_auth", 1), ("slot_busy", 3), ("content_blocked", 1)):
        for _ in range(count):
            job(status="failed", failure_reason=reason)

    assert figures(admin, window=HOUR)["reasons"] == [
        {"reason": "slot_busy", "shots": 3},
        {"reason": "content_blocked", "shots": 1},
        {"reason": "provider_auth", "shots": 1},
    ]


def test_recent_failures_are_the_newest(admin: Admin, job: MakeJob) -> None:
    ids = [
        job(age=300 - number, status="failed", failure_reason="provider_error")
        for number in range(25)
    ]
    job(age=10)

    told = figures(admin, window=HOUR)["recent_failures"]

    assert [row["id"] for row in told] == ids[:4:-1]


def test_a_slot_tells_its_last_success_and_failure(admin: Admin, job: MakeJob, rows: Rows) -> None:
    job(age=900, stored=True)
    success = job(age=600, stored=True)
    job(age=500, stored=False)
    job(age=400, status="failed", failure_reason="provider_auth")
    failure = job(age=300, status="timeout", failure_reason="provider_timeout")

    slot = figures(admin, "/api/stats/slots")["slots"][0]

    [row] = rows("select finished_at from job_history where id = %s", success)
    assert slot["last_success_job_id"] == success
    assert slot["last_success_at"] == spelt(row["finished_at"])
    [row] = rows("select created_at from job_history where id = %s", failure)
    assert slot["last_failure_at"] == spelt(row["created_at"])
    assert slot["last_failure_reason"] == "provider_timeout"


def test_a_slot_tells_its_window_and_how_long_its_last_picture_lasts(
    admin: Admin, camera: Camera, slot: Callable[..., None], execute: Execute
) -> None:
    camera.shoot(slot="slot-001")
    slot("slot-002", sync_response_seconds=20)

    def told() -> list[dict[str, Any]]:
        slots: list[dict[str, Any]] = figures(admin, "/api/stats/slots")["slots"][:2]
        return slots

    assert [one["sync_response_seconds"] for one in told()] == [48, 20]
    assert told()[0]["last_picture_expires_at"] > spelt(datetime.now(UTC))
    execute("update media_object set expires_at = now()")
    assert [one["last_picture_expires_at"] for one in told()] == [None, None]
    assert told()[0]["last_success_job_id"] is not None


def test_shots_in_flight_are_those_inside_their_window(
    admin: Admin, camera: Camera, sandbox: Sandbox, job: MakeJob
) -> None:
    job(status="pending", finished_at=None, deadline_at=datetime.now(UTC), worker=1)
    sandbox.dial(latency_s=2)

    def in_flight() -> list[int]:
        slots = figures(admin, "/api/stats/slots")["slots"]
        return [slot["in_flight"] for slot in slots]

    assert in_flight() == [0] * 15
    with ThreadPoolExecutor() as threads:
        running = [threads.submit(camera.shoot, slot="slot-002") for _ in range(2)]
        until(lambda: in_flight() == [0, 2, *[0] * 13], "two shots in flight")
    assert [shot.result().status_code for shot in running] == [200, 200]
    assert in_flight() == [0] * 15


def test_storage_is_what_is_kept_now(admin: Admin, camera: Camera, execute: Execute) -> None:
    pictures = [camera.shoot() for _ in range(3)]
    first = pictures[0].headers["x-job-id"]
    assert httpx.get(f"{admin.service.url}/public/results/{first}/preview", trust_env=False)
    gone = pictures[2].headers["x-job-id"]
    assert execute("update media_object set cleaned_at = now() where job_id = %s", gone) == 1

    told = {kind.pop("kind"): kind for kind in figures(admin)["storage"]}

    assert told["result"] == {"files": 2, "bytes": sum(len(p.content) for p in pictures[:2])}
    assert told["preview"]["files"] == 1
    assert set(told) == {"result", "preview"}


def test_a_real_shot_is_in_the_figures_at_once(admin: Admin, camera: Camera) -> None:
    assert camera.shoot().status_code == 200

    for window in (HOUR, DAY):
        told = figures(admin, window=window)
        assert (told["shots"], told["done"], told["attempts"]) == (1, 1, 1)
        assert told["cost_usd"] > 0
        assert told["p50_ms"] > 0


def test_a_finished_shot_is_counted_once(camera: Camera, rows: Rows) -> None:
    assert camera.shoot().status_code == 200

    assert counted(rows) == {"done": 1, "failed": 0, "timeout": 0}
    [hour] = rows("select * from shot_hour")
    [job] = rows("select * from job_history")
    assert hour["hour"] == job["created_at"].replace(minute=0, second=0, microsecond=0)
    assert (hour["attempts"], hour["tokens"]) == (job["attempt_count"], job["tokens"])
    assert hour["cost_microusd"] == job["cost_microusd"]
    assert (sum(hour["latency"]), len(hour["latency"])) == (1, 40)


def test_a_shot_that_fails_at_the_provider_is_counted_once(
    camera: Camera, sandbox: Sandbox, rows: Rows
) -> None:
    sandbox.dial(["400"])
    assert camera.shoot().status_code == 502

    assert counted(rows) == {"done": 0, "failed": 1, "timeout": 0}
    [hour] = rows("select attempts, latency from shot_hour")
    assert hour == {"attempts": 1, "latency": [0] * 40}


def test_a_shot_that_fails_before_its_claim_is_counted_once(camera: Camera, rows: Rows) -> None:
    assert camera.shoot(photos.cut(photos.jpeg())).status_code == 415

    assert counted(rows) == {"done": 0, "failed": 1, "timeout": 0}


def test_a_claim_that_is_refused_is_counted_once(
    camera: Camera, slot: Callable[..., None], rows: Rows
) -> None:
    slot("slot-001", daily_limit=1)

    assert [camera.shoot().status_code for _ in range(2)] == [200, 429]
    assert counted(rows) == {"done": 1, "failed": 1, "timeout": 0}


@pytest.mark.slow
def test_a_shot_out_of_time_is_counted_once(
    camera: Camera, sandbox: Sandbox, slot: Callable[..., None], rows: Rows
) -> None:
    slot("slot-001", sync_response_seconds=10)
    sandbox.dial(["hang"])

    assert camera.shoot().status_code == 504
    assert counted(rows) == {"done": 0, "failed": 0, "timeout": 1}


def test_an_interrupted_shot_is_counted_once(
    make_service: MakeService, job: MakeJob, rows: Rows
) -> None:
    long_ago = datetime.now(UTC) - timedelta(seconds=600)
    job(age=660, status="pending", finished_at=None, deadline_at=long_ago, worker=1, total_ms=None)
    assert counted(rows) == {"done": 0, "failed": 0, "timeout": 0}

    for _ in range(2):
        make_service()

    assert rows("select 1 from job_history where failure_reason = 'interrupted'")
    assert counted(rows) == {"done": 0, "failed": 1, "timeout": 0}


def test_a_retry_that_is_answered_again_is_not_counted_again(camera: Camera, rows: Rows) -> None:
    fields = {"time": "1760000000", "id": "7"}
    assert [camera.shoot(fields=fields).status_code for _ in range(2)] == [200, 200]

    assert counted(rows) == {"done": 1, "failed": 0, "timeout": 0}


def test_what_changes_after_the_end_is_not_counted_again(
    job: MakeJob, execute: Execute, rows: Rows
) -> None:
    job_id = job(delivered=True)
    execute("update job_history set delivered = false where id = %s", job_id)
    execute("update job_history set status = 'done', attempts = %s", Jsonb([{}]))

    assert counted(rows) == {"done": 1, "failed": 0, "timeout": 0}


@pytest.mark.parametrize("photo", [photos.jpeg(), photos.cut(photos.jpeg())])
def test_a_test_shot_is_counted_nowhere(admin: Admin, rows: Rows, photo: bytes) -> None:
    files = {"file": ("photo.jpg", photo, "image/jpeg")}
    answer = admin.post("/api/slots/slot-001/test-run", files=files)

    assert answer.status_code in (200, 415)
    assert [row["source"] for row in rows("select source from job_history")] == ["test"]
    assert rows("select 1 from shot_hour") == []


def test_shots_that_end_at_once_are_all_counted(camera: Camera, rows: Rows) -> None:
    answers = camera.burst(4)

    assert {answer.status_code for answer in answers} == {200}
    assert counted(rows)["done"] == 4


def test_the_hours_the_bench_fills_are_what_the_trigger_counts(
    execute: Execute, rows: Rows
) -> None:
    everything = "select * from shot_hour order by hour, slot_id"
    execute((BENCH / "fill_jobs.sql").read_text(), 4000, 3)
    by_trigger = rows(everything)
    execute("delete from shot_hour")

    execute((BENCH / "fill_hours.sql").read_text())

    assert rows(everything) == by_trigger
    assert len(by_trigger) > 500
    [sums] = rows("select sum(done + failed + timeout) as shots from shot_hour")
    assert sums == rows("select count(*) as shots from job_history where source = 'device'")[0]
