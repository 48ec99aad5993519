"""The lease of a process: whoever lives is not taken for dead, and nothing is paid for twice."""

import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import photos
import psycopg
import pytest
from camera import Camera, breeze_fields
from conftest import MakeService
from line import Line
from rig import ROOT, Sandbox, Service, until
from tables import ChangeSlot, Rows, Tables

from service.queries.jobs import SETTLED_SECONDS
from service.upkeep.kept_session import WORST_SECONDS
from service.upkeep.worker_lease import LEASE_SECONDS

KEYS = 5
# From the kill to the answer: the lease runs out, the next look of who waits, an edit.
HEALED_SECONDS = LEASE_SECONDS + 2.0
OURS = (
    "locktype = 'advisory' and granted"
    " and database = (select oid from pg_database where datname = current_database())"
)
WORKER_LOCK = f"{OURS} and classid = 1"
WORKER_LOCKS = f"select distinct objid from pg_locks where {WORKER_LOCK}"
CLEANUP_LOCK = f"select pid from pg_locks where {OURS} and classid = 6"
PENDING = "select worker from job_history where status = 'pending'"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


@pytest.fixture
def shots() -> list[dict[str, str]]:
    """What a camera tells of five shots, the same when it sends them again."""
    return [breeze_fields(photos.jpeg(), shot=number) for number in range(KEYS)]


def on_slots(shots: list[dict[str, str]]) -> list[tuple[str, dict[str, str]]]:
    return [(f"slot-{number:03}", fields) for number, fields in enumerate(shots, 1)]


def insist(service: Service, slot: str, fields: dict[str, str]) -> httpx.Response:
    """Send a shot again while the database is away, as a camera does."""
    camera, until_then = Camera(service.url), time.monotonic() + 2 * LEASE_SECONDS
    while True:
        answer = camera.shoot(slot=slot, fields=fields)
        if (
            answer.headers.get("x-failure-reason") != "database_unavailable"
            or time.monotonic() > until_then
        ):
            return answer


def send(
    threads: ThreadPoolExecutor, service: Service, shots: list[dict[str, str]]
) -> list["Future[httpx.Response]"]:
    return [threads.submit(insist, service, slot, fields) for slot, fields in on_slots(shots)]


def wait_pending(rows: Rows, count: int) -> int:
    """The worker of the last of so many shots in flight."""
    until(lambda: len(rows(PENDING)) == count, f"{count} shots are in flight")
    worker: int = rows(PENDING)[-1]["worker"]
    return worker


def wait_lease(rows: Rows, worker: int) -> None:
    """A database that was brought back to how it was has no leases for a moment."""
    lease = "select 1 from worker_lease where worker = %s"
    until(lambda: rows(lease, worker), "it has its lease")


def outcomes(rows: Rows) -> list[tuple[str, str | None]]:
    found = rows("select status, failure_reason from job_history order by created_at, id")
    return [(row["status"], row["failure_reason"]) for row in found]


def assert_made_once(
    first: list["Future[httpx.Response]"],
    again: list["Future[httpx.Response]"],
    sandbox: Sandbox,
    rows: Rows,
) -> None:
    """Everybody has the picture of the first, and each was ordered once."""
    made = [shot.result() for shot in first]
    assert [answer.status_code for answer in made] == [200] * KEYS
    assert ["x-result-stored" in answer.headers for answer in made] == [False] * KEYS
    for retry in again:
        answer = retry.result()
        assert (answer.status_code, answer.headers["idempotent-replayed"]) == (200, "true")
        assert answer.content in [one.content for one in made]
    assert len(sandbox.calls()) == KEYS
    assert outcomes(rows) == [("done", None)] * KEYS


def test_the_arithmetic_of_the_times() -> None:
    assert WORST_SECONDS < LEASE_SECONDS <= SETTLED_SECONDS


@pytest.mark.slow
def test_a_process_that_lost_its_connections_in_silence_is_not_taken_for_dead(
    make_service: MakeService,
    settled: None,
    line: Line,
    sandbox: Sandbox,
    threads: ThreadPoolExecutor,
    rows: Rows,
    shots: list[dict[str, str]],
) -> None:
    first, second = make_service(DATABASE_URL=line.url), make_service()
    sandbox.dial(hold=True)
    running = send(threads, first, shots)
    worker = wait_pending(rows, KEYS)
    wait_lease(rows, worker)

    line.forget()
    again = send(threads, second, shots)
    until(lambda: {"objid": worker} in rows(WORKER_LOCKS), "it has its lock again", LEASE_SECONDS)
    time.sleep(LEASE_SECONDS)
    again += send(threads, second, shots) + send(threads, first, shots)
    sandbox.release()

    assert_made_once(running, again, sandbox, rows)
    assert [line["event"] for line in first.log if "lifeline" in line["event"]] == ["lifeline.lost"]


@pytest.mark.slow
def test_when_all_lose_their_connections_nobody_is_taken_for_dead(
    make_service: MakeService,
    settled: None,
    line: Line,
    sandbox: Sandbox,
    threads: ThreadPoolExecutor,
    rows: Rows,
    shots: list[dict[str, str]],
) -> None:
    """As in a failover that takes longer than a lease."""
    first, second = (make_service(DATABASE_URL=line.url) for _ in range(2))
    sandbox.dial(hold=True)
    running = send(threads, first, shots)
    worker = wait_pending(rows, KEYS)
    wait_lease(rows, worker)

    line.lose()
    over = "select 1 from worker_lease where worker = %s and ends_at < now() - interval '1 second'"
    until(lambda: rows(over, worker), "its lease has run out", 2 * LEASE_SECONDS)
    assert {"objid": worker} not in rows(WORKER_LOCKS)
    # Not those of the line alone: no session is older than the new PostgreSQL.
    rows(f"select pg_terminate_backend(pid) from pg_locks where {WORKER_LOCK}")
    # The first is the last to come back.
    first.signal(signal.SIGSTOP)
    line.mend()
    again = send(threads, second, shots)
    time.sleep(LEASE_SECONDS / 2)
    first.signal(signal.SIGCONT)
    time.sleep(LEASE_SECONDS / 2)
    sandbox.release()

    assert_made_once(running, again, sandbox, rows)


@pytest.mark.slow
def test_a_process_that_stood_still_for_longer_than_its_lease_is_not_taken_for_dead(
    make_service: MakeService,
    settled: None,
    sandbox: Sandbox,
    threads: ThreadPoolExecutor,
    rows: Rows,
    shots: list[dict[str, str]],
) -> None:
    first, second = make_service(), make_service()
    sandbox.dial(hold=True)
    running = send(threads, first, shots)
    worker = wait_pending(rows, KEYS)
    wait_lease(rows, worker)

    first.signal(signal.SIGSTOP)
    again = send(threads, second, shots)
    over = "select 1 from worker_lease where worker = %s and ends_at < now() - interval '1 second'"
    until(lambda: rows(over, worker), "its lease has run out", 2 * LEASE_SECONDS)
    assert not any(retry.done() for retry in again)
    first.signal(signal.SIGCONT)
    sandbox.release()

    assert_made_once(running, again, sandbox, rows)


@pytest.mark.parametrize("again", ["waits", "comes later"])
def test_a_retry_of_a_killed_processs_shot_is_served_when_its_lease_has_run_out(
    make_service: MakeService,
    settled: None,
    sandbox: Sandbox,
    threads: ThreadPoolExecutor,
    rows: Rows,
    shots: list[dict[str, str]],
    again: str,
) -> None:
    first, second = make_service(), make_service()
    sandbox.dial(latency_s=30)
    running = send(threads, first, shots)
    wait_lease(rows, wait_pending(rows, KEYS))
    if again == "waits":
        retries = send(threads, second, shots)
    until(lambda: len(sandbox.calls()) == KEYS, "all are called")
    sandbox.dial()
    first.kill()
    killed = time.monotonic()
    if again != "waits":
        retries = send(threads, second, shots)
    assert all(isinstance(shot.exception(), httpx.TransportError) for shot in running)

    assert [retry.result().status_code for retry in retries] == [200] * KEYS
    assert time.monotonic() - killed < HEALED_SECONDS
    assert sorted(outcomes(rows)) == [("done", None)] * KEYS + [("failed", "interrupted")] * KEYS


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["ok", "503"])
def test_a_process_whose_lease_ran_out_makes_no_second_call(
    make_service: MakeService,
    settled: None,
    line: Line,
    sandbox: Sandbox,
    slot: ChangeSlot,
    threads: ThreadPoolExecutor,
    rows: Rows,
    outcome: str,
) -> None:
    """It is cut off from the database, others are not. A picture goes to the device; what failed
    is not ordered once more, as the retry at another process was."""
    slot("slot-001", sync_response_seconds=20)
    first, second = make_service(DATABASE_URL=line.url), make_service()
    fields = breeze_fields(photos.jpeg())
    sandbox.dial([outcome, "ok"], hold=True)
    lost = threads.submit(Camera(first.url).shoot, fields=fields)
    wait_lease(rows, wait_pending(rows, 1))
    until(lambda: len(sandbox.calls()) == 1, "it is called")

    line.lose()
    again = threads.submit(Camera(second.url).shoot, fields=fields)
    until(lambda: len(sandbox.calls()) == 2, "the retry was ordered anew", 2 * LEASE_SECONDS)
    sandbox.release()

    answer = lost.result()
    if outcome == "ok":
        assert (answer.status_code, answer.headers["x-result-stored"]) == (200, "no")
    else:
        assert (answer.status_code, answer.headers["x-failure-reason"]) == (
            503,
            "provider_unavailable",
        )
    assert again.result().status_code == 200
    assert len(sandbox.calls()) == 2
    assert outcomes(rows) == [("failed", "interrupted"), ("done", None)]
    [attempt] = rows("select attempts from job_history where status = 'failed'")[0]["attempts"]
    assert (attempt["outcome"], attempt["maybe_billed"]) == ("interrupted", True)


@pytest.mark.slow
def test_a_cleanup_whose_lock_was_lost_in_silence_takes_it_again(
    line: Line, tables: Tables, camera: Camera, service: Service
) -> None:
    job_id = camera.shoot().headers["x-job-id"]
    asleep = (
        "select 1 from pg_stat_activity"
        " where datname = current_database() and wait_event = 'PgSleep'"
    )
    tables.execute("update media_object set expires_at = now() where job_id = %s", job_id)
    # It is stopped in the middle of its work.
    tables.execute(
        "create function wait_for_us() returns trigger language plpgsql as"
        " $$ begin perform pg_sleep(60); return new; end $$"
    )
    tables.execute(
        "create trigger wait_for_us before update on media_object"
        " for each row execute function wait_for_us()"
    )
    try:
        with subprocess.Popen(
            [ROOT / "bin" / "cleanup"], env=service.environment | {"DATABASE_URL": line.url}
        ) as running:
            until(lambda: tables.rows(asleep), "it is at work", 30)
            [held] = tables.rows(CLEANUP_LOCK)
            line.forget()
            until(lambda: held not in tables.rows(CLEANUP_LOCK), "PostgreSQL lets go of it")
            until(lambda: tables.rows(CLEANUP_LOCK), "it holds it again", LEASE_SECONDS)
            running.kill()
    finally:
        tables.execute(f"select pg_terminate_backend(pid) {asleep.removeprefix('select 1')}")
        tables.execute("drop trigger wait_for_us on media_object")
        tables.execute("drop function wait_for_us()")


def test_a_process_that_ends_in_order_leaves_no_lease(
    make_service: MakeService, rows: Rows
) -> None:
    assert make_service().stop() == 0

    locks = {row["objid"] for row in rows(WORKER_LOCKS)}
    assert {row["worker"] for row in rows("select worker from worker_lease")} <= locks


@pytest.mark.slow
def test_a_process_whose_lease_is_not_renewed_takes_no_shot(
    make_service: MakeService, tables: Tables, sandbox: Sandbox
) -> None:
    camera = Camera(make_service().url)
    assert camera.shoot().status_code == 200

    with psycopg.connect(tables.url) as somebody:
        somebody.execute("lock table worker_lease in share mode")
        refused = until(
            lambda: (answer := camera.shoot()).status_code != 200 and answer,
            "its lease has run out",
            LEASE_SECONDS + 3,
        )
        calls = len(sandbox.calls())
        assert camera.shoot().status_code == refused.status_code == 503
        assert refused.headers["x-failure-reason"] == "database_unavailable"
        assert len(sandbox.calls()) == calls
    until(lambda: camera.shoot().status_code == 200, "it takes shots again", LEASE_SECONDS)
