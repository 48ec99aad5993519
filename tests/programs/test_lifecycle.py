"""Processes that stop, die, share a service, or lose their database or their disk."""

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import photos
import pytest
from camera import Answer, Camera, breeze_fields
from conftest import MakeService
from line import Line
from rig import Sandbox, Service, until
from tables import ChangeSlot, Disk, Execute, Rows

from service.upkeep.worker_lease import LEASE_SECONDS

# The services of this run alone: its server may be that of others too.
CONNECTED = (
    "select pid from pg_stat_activity"
    " where application_name = 'photoslot' and datname = current_database()"
)
WINDOW_SECONDS = 10
# What a busy machine may add between this camera's clock and the service's.
LATE_SECONDS = 1.0
AWAY_SECONDS = 2.0
HEALTH_SECONDS = 5.0
# From the end of a process until its lease has run out, or until one that has started since may
# say so, and what follows.
HEALED_SECONDS = LEASE_SECONDS + 3.0


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


def shoot_all(
    threads: ThreadPoolExecutor, service: Service, count: int, slots: int = 5, **shot: Any
) -> list["Future[httpx.Response]"]:
    """Send shots at once, spread over slots."""
    camera = Camera(service.url)
    return [
        threads.submit(camera.shoot, slot=f"slot-{number % slots + 1:03}", **shot)
        for number in range(count)
    ]


def wait_pending(rows: Rows, count: int) -> None:
    query = "select id from job_history where status = 'pending'"
    until(lambda: len(rows(query)) == count, f"{count} shots are in flight")


def outcomes(rows: Rows) -> list[tuple[str, str | None]]:
    """Status and reason of every job, oldest first."""
    found = rows("select status, failure_reason from job_history order by created_at, id")
    return [(row["status"], row["failure_reason"]) for row in found]


def refusal(answer: httpx.Response | Answer) -> tuple[int, str]:
    """Status and reason of a refusal, once it has the shape of every refusal."""
    is_wire = isinstance(answer, Answer)
    body = json.loads(answer.body if is_wire else answer.content)
    assert set(body) == {"status", "failure_reason", "details", "job_id"}
    assert answer.headers["x-failure-reason"] == body["failure_reason"]
    return (answer.status if is_wire else answer.status_code), body["failure_reason"]


def wait_health(service: Service, *, status: int, database: str = "ok", media: str = "ok") -> None:
    """Wait until /healthz says so: its checks lag a little behind."""

    def asked() -> bool:
        answer = httpx.get(f"{service.url}/healthz", trust_env=False)
        checks = answer.json()["checks"]
        return (answer.status_code, checks["database"], checks["media"]) == (
            status,
            database,
            media,
        )

    until(asked, f"/healthz says {status}, database {database}, media {media}", HEALTH_SECONDS)


# Stopping


def test_sigterm_lets_running_shots_finish_and_takes_no_new_ones(
    make_service: MakeService,
    sandbox: Sandbox,
    threads: ThreadPoolExecutor,
    rows: Rows,
    disk: Disk,
) -> None:
    service = make_service()
    sandbox.dial(hold=True)
    running = shoot_all(threads, service, 5)
    wait_pending(rows, 5)
    body, mime = Camera(service.url).multipart()
    with ExitStack() as open_wires:
        early = [open_wires.enter_context(Camera(service.url).wire()) for _ in range(3)]
        service.signal(signal.SIGTERM)
        for _ in range(6):
            with suppress(ConnectionError):
                wire = (
                    early.pop() if early else open_wires.enter_context(Camera(service.url).wire())
                )
                wire.send(Camera(service.url).request(body, mime))
                assert refusal(wire.answer()) == (503, "shutting_down")
                assert wire.interim == []
        assert not any(shot.done() for shot in running)
        sandbox.release()
    assert [shot.result().status_code for shot in running] == [200] * 5
    assert service.wait() == 0
    assert outcomes(rows) == [("done", None)] * 5
    assert len(disk("results")) == 5
    assert disk("temp") == []
    assert len(sandbox.calls()) == 5
    assert "Traceback" not in service.output


def test_a_service_at_rest_stops_at_once(make_service: MakeService) -> None:
    service = make_service()
    started = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - started < 3


# Dying


def test_what_a_killed_process_left_is_healed_at_the_next_start(
    make_service: MakeService,
    settled: None,
    sandbox: Sandbox,
    threads: ThreadPoolExecutor,
    rows: Rows,
    disk: Disk,
) -> None:
    first = make_service()
    sandbox.dial(latency_s=30)
    fields = breeze_fields(photos.jpeg())
    running = shoot_all(threads, first, 5, fields=fields)
    wait_pending(rows, 5)
    with Camera(first.url).wire() as uploading:
        body, mime = Camera(first.url).multipart(photos.jpeg(2000, 1500))
        uploading.send(Camera(first.url).request(body, mime, "slot-006"), body[:100_000])
        until(lambda: len(disk("temp")) >= 6, "a sixth shot is uploading")
        first.kill()
    for shot in running:
        with pytest.raises(httpx.TransportError):
            shot.result()
    assert outcomes(rows) == [("pending", None)] * 5
    assert disk("temp") != []

    second = make_service()
    healed = [("failed", "interrupted")] * 5
    until(lambda: outcomes(rows) == healed, "its lease has run out", HEALED_SECONDS)
    until(lambda: disk() == [], "its files are gone")
    calls = [call for row in rows("select attempts from job_history") for call in row["attempts"]]
    assert [(call["outcome"], call["maybe_billed"]) for call in calls] == [
        ("interrupted", True)
    ] * 5
    assert rows("select id from media_object where kind = 'source'") == []
    assert rows("select id from job_history where finished_at is null") == []

    sandbox.dial()
    started = time.monotonic()
    retry = Camera(second.url).shoot(fields=fields)
    assert retry.status_code == 200
    assert "idempotent-replayed" not in retry.headers
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("again", ["the same shot", "a new shot"])
def test_the_next_shot_works_when_the_lease_of_a_killed_process_has_run_out(
    make_service: MakeService,
    settled: None,
    sandbox: Sandbox,
    slot: ChangeSlot,
    threads: ThreadPoolExecutor,
    rows: Rows,
    execute: Execute,
    again: str,
) -> None:
    slot("slot-001", max_in_flight=1)
    first, second = make_service(), make_service()
    sandbox.dial(latency_s=30)
    fields = breeze_fields(photos.jpeg())
    lost = threads.submit(Camera(first.url).shoot, fields=fields)
    wait_pending(rows, 1)
    first.kill()
    with pytest.raises(httpx.TransportError):
        lost.result()

    sandbox.dial()
    started = time.monotonic()
    camera = Camera(second.url)
    if again == "the same shot":
        assert camera.shoot(fields=fields).status_code == 200
    else:
        until(lambda: camera.shoot().status_code == 200, "there is a place", HEALED_SECONDS)
        execute("delete from job_history where failure_reason = 'slot_busy'")
    assert time.monotonic() - started < HEALED_SECONDS
    assert outcomes(rows) == [("failed", "interrupted"), ("done", None)]


def test_a_retry_that_waits_for_a_process_that_is_killed_takes_over(
    make_service: MakeService,
    settled: None,
    sandbox: Sandbox,
    threads: ThreadPoolExecutor,
    rows: Rows,
) -> None:
    first, second = make_service(), make_service()
    sandbox.dial(latency_s=30)
    fields = breeze_fields(photos.jpeg())
    lost = threads.submit(Camera(first.url).shoot, fields=fields)
    wait_pending(rows, 1)
    retry = threads.submit(Camera(second.url).shoot, fields=fields)
    asked = f"{CONNECTED} and query ~ %s"
    until(lambda: rows(asked, r"where job\.id = \$1"), "the retry waits for the first")
    sandbox.dial()
    first.kill()
    with pytest.raises(httpx.TransportError):
        lost.result()
    assert retry.result(timeout=10).status_code == 200
    assert outcomes(rows) == [("failed", "interrupted"), ("done", None)]


def test_a_process_that_starts_leaves_the_shots_of_a_living_one_alone(
    make_service: MakeService,
    settled: None,
    sandbox: Sandbox,
    threads: ThreadPoolExecutor,
    rows: Rows,
    disk: Disk,
) -> None:
    first = make_service()
    sandbox.dial(hold=True)
    running = shoot_all(threads, first, 3)
    wait_pending(rows, 3)
    make_service()
    assert len(disk("temp")) >= 3
    sandbox.release()
    assert [shot.result().status_code for shot in running] == [200] * 3
    assert outcomes(rows) == [("done", None)] * 3


# Two processes in one service


def test_one_order_sent_to_two_processes_at_once_is_made_once(
    make_service: MakeService, sandbox: Sandbox, threads: ThreadPoolExecutor, rows: Rows, disk: Disk
) -> None:
    services = make_service(), make_service()
    sandbox.dial(latency_s=0.5)
    fields = breeze_fields(photos.jpeg())
    sent = [
        threads.submit(Camera(service.url).shoot, fields=fields)
        for service in services
        for _ in range(4)
    ]
    answers = [shot.result() for shot in sent]
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["x-job-id"] for answer in answers}) == 1
    replayed = [answer.headers.get("idempotent-replayed") for answer in answers]
    assert sorted(replayed, key=str) == [None] + ["true"] * 7
    assert len(sandbox.calls()) == 1
    assert outcomes(rows) == [("done", None)]
    assert len(disk()) == 1


# Few connections


def test_a_pool_of_two_connections_serves_twenty_slow_shots_at_once(
    make_service: MakeService, sandbox: Sandbox, threads: ThreadPoolExecutor, rows: Rows
) -> None:
    before = len(rows(CONNECTED))
    service = make_service(DB_POOL_SIZE="2")
    sandbox.dial(hold=True)
    running = shoot_all(threads, service, 20, slots=10)
    until(lambda: len(sandbox.calls()) == 20, "all have reached the provider", 20)
    wait_pending(rows, 20)
    busy = rows(f"{CONNECTED} and state <> 'idle'")
    lock_and_pool = 1 + 2
    assert len(rows(CONNECTED)) - before <= lock_and_pool
    assert busy == []
    sandbox.release()
    assert [shot.result().status_code for shot in running] == [200] * 20
    assert outcomes(rows) == [("done", None)] * 20


# The database goes away


@pytest.mark.parametrize("fail", [Line.cut, Line.silence])
def test_without_the_database_a_shot_is_refused_before_its_body_until_it_is_back(
    make_service: MakeService,
    line: Line,
    rows: Rows,
    disk: Disk,
    sandbox: Sandbox,
    fail: Callable[[Line], None],
) -> None:
    service = make_service(DATABASE_URL=line.url)
    camera = Camera(service.url)
    assert camera.shoot().status_code == 200
    fail(line)
    seconds = []
    for _ in range(3):
        body, mime = camera.multipart()
        with camera.wire() as wire:
            wire.send(camera.request(body, mime))
            answer = wire.answer()
        assert refusal(answer) == (503, "database_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert wire.interim == []
        seconds.append(answer.seconds)
    assert max(seconds) < AWAY_SECONDS
    wait_health(service, status=503, database="database_unavailable")

    line.mend()
    until(lambda: camera.shoot().status_code == 200, "shots are taken again", 5)
    wait_health(service, status=200)
    assert outcomes(rows) == [("done", None)] * 2
    assert len(sandbox.calls()) == 2
    assert disk("temp") == []


def test_a_cut_of_the_line_to_the_database_between_shots_goes_unnoticed(
    make_service: MakeService, line: Line, settled: None, threads: ThreadPoolExecutor, rows: Rows
) -> None:
    service = make_service(DATABASE_URL=line.url)
    warm = shoot_all(threads, service, 10)
    assert {shot.result().status_code for shot in warm} == {200}
    line.cut()
    line.mend()
    again = shoot_all(threads, service, 10)
    assert [shot.result().status_code for shot in again] == [200] * 10
    assert outcomes(rows) == [("done", None)] * 20


def test_connections_that_were_lost_in_silence_cost_one_refusal(
    make_service: MakeService, line: Line, threads: ThreadPoolExecutor, sandbox: Sandbox
) -> None:
    service = make_service(DATABASE_URL=line.url)
    sandbox.dial(hold=True)
    warm = shoot_all(threads, service, 10)
    until(lambda: len(sandbox.calls()) == 10, "all are under way")
    sandbox.release()
    assert {shot.result().status_code for shot in warm} == {200}
    line.forget()
    again = [Camera(service.url).shoot().status_code for _ in range(4)]
    assert again in ([503, 200, 200, 200], [200] * 4)


@pytest.mark.slow
def test_a_picture_is_handed_out_although_the_database_died_while_it_was_made(
    make_service: MakeService,
    lines: Callable[[], Line],
    sandbox: Sandbox,
    slot: ChangeSlot,
    threads: ThreadPoolExecutor,
    rows: Rows,
    disk: Disk,
) -> None:
    cut, silent = lines(), lines()
    services = [make_service(DATABASE_URL=line.url) for line in (cut, silent)]
    for slot_id in ("slot-001", "slot-002"):
        slot(slot_id, sync_response_seconds=WINDOW_SECONDS)
    sandbox.dial(hold=True)

    def shoot(service: Service, slot_id: str) -> tuple[httpx.Response, float]:
        started = time.monotonic()
        answer = Camera(service.url).shoot(slot=slot_id)
        return answer, time.monotonic() - started

    shots = [
        threads.submit(shoot, *shot)
        for shot in zip(services, ("slot-001", "slot-002"), strict=True)
    ]
    wait_pending(rows, 2)
    until(lambda: len(sandbox.calls()) == 2, "the provider works")
    cut.cut()
    silent.silence()
    sandbox.release()
    for shot in shots:
        answer, seconds = shot.result()
        assert answer.status_code == 200
        assert answer.headers["x-result-stored"] == "no"
        assert answer.headers["content-type"] == "image/jpeg"
        assert seconds < WINDOW_SECONDS + LATE_SECONDS
    for service in services:
        assert service.is_running
        assert service.wait_log("shot")["ms"] < WINDOW_SECONDS * 1000
    assert disk("temp") == []


@pytest.mark.parametrize("fail", [Line.cut, Line.silence])
def test_a_picture_is_stored_when_the_database_is_back_inside_the_window(
    make_service: MakeService,
    line: Line,
    sandbox: Sandbox,
    slot: ChangeSlot,
    threads: ThreadPoolExecutor,
    rows: Rows,
    disk: Disk,
    fail: Callable[[Line], None],
) -> None:
    slot("slot-001", sync_response_seconds=WINDOW_SECONDS)
    service = make_service(DATABASE_URL=line.url)
    sandbox.dial(hold=True)
    shot = threads.submit(Camera(service.url).shoot)
    wait_pending(rows, 1)
    until(sandbox.calls, "the provider works")
    fail(line)
    sandbox.release()
    until(lambda: disk("results"), "the picture has come")
    service.wait_log("job.not_finished")
    line.mend()
    answer = shot.result()
    assert answer.status_code == 200
    assert "x-result-stored" not in answer.headers
    assert outcomes(rows) == [("done", None)]
    result = httpx.get(
        f"{service.url}/public/results/{answer.headers['x-job-id']}", trust_env=False
    )
    assert result.content == answer.content


# The disk goes away


def test_a_picture_that_cannot_be_kept_goes_to_the_device_all_the_same(
    make_service: MakeService, tmp_path: Path, sandbox: Sandbox, rows: Rows
) -> None:
    service = make_service(MEDIA_ROOT=str(tmp_path / "media"))
    results = service.media_root / "results"
    shutil.rmtree(results)
    results.write_text("in the way")
    fields = breeze_fields(photos.jpeg())
    camera = Camera(service.url)
    answer = camera.shoot(fields=fields)

    assert answer.status_code == 200
    assert answer.headers["x-result-stored"] == "no"
    assert answer.headers["content-type"] == "image/jpeg"
    (row,) = rows("select * from job_history")
    assert (row["status"], row["stored"], row["delivered"]) == ("done", False, True)
    assert rows("select id from media_object") == []
    assert list((service.media_root / "temp").iterdir()) == []
    shown = httpx.get(f"{service.url}/public/results/{row['id']}", trust_env=False)
    assert shown.status_code == 404
    wait_health(service, status=503, media="storage_error")

    results.unlink()
    wait_health(service, status=200)
    assert "x-result-stored" not in camera.shoot().headers


@pytest.mark.parametrize("gone", ["temp", "."], ids=["temp", "the whole folder"])
def test_without_its_folder_a_shot_is_refused_before_its_body_until_it_is_back(
    make_service: MakeService, tmp_path: Path, sandbox: Sandbox, rows: Rows, gone: str
) -> None:
    service = make_service(MEDIA_ROOT=str(tmp_path / "media"))
    folder = (service.media_root / gone).resolve()
    folder.rename(tmp_path / "away")
    folder.write_text("in the way")
    camera = Camera(service.url)
    body, mime = camera.multipart()
    with camera.wire() as wire:
        wire.send(camera.request(body, mime))
        answer = wire.answer()
    assert refusal(answer) == (503, "storage_error")
    assert wire.interim == []
    assert rows("select id from job_history") == []
    wait_health(service, status=503, media="storage_error")

    folder.unlink()
    (tmp_path / "away").rename(folder)
    wait_health(service, status=200)
    assert camera.shoot().status_code == 200
    assert len(sandbox.calls()) == 1
