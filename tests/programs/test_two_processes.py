"""One start of two processes is as right as one, and so are two services on one database and
folder.

What each limit, lock and setting does across processes stands with it; here they meet.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import photos
import psutil
import pytest
from admin import signed_in
from camera import Camera, breeze_fields
from conftest import MakeService
from rig import Sandbox, Service, until
from tables import ChangeSlot, Disk, Rows

LIMIT = 3
BURST = 10
SLOW_SECONDS = 5.0


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """Two processes behind one port; the kernel hands each connection to either."""
    service = make_service(WEB_CONCURRENCY="2")
    until(lambda: len(service.workers) == 2, "both processes serve", 30)
    return service


def outcomes(rows: Rows) -> Counter[tuple[str, str | None]]:
    found = rows("select status, failure_reason from job_history")
    return Counter((row["status"], row["failure_reason"]) for row in found)


def listens(process: psutil.Process) -> bool:
    return any(one.status == psutil.CONN_LISTEN for one in process.net_connections("tcp"))


@pytest.mark.slow
def test_limits_and_retries_hold_between_the_processes_of_one_start(
    service: Service, sandbox: Sandbox, slot: ChangeSlot, rows: Rows, threads: ThreadPoolExecutor
) -> None:
    slot("slot-001", max_in_flight=LIMIT)
    sandbox.dial(latency_s=SLOW_SECONDS)
    camera = Camera(service.url)

    codes = Counter(answer.status_code for answer in camera.burst(BURST))
    assert codes == {200: LIMIT, 429: BURST - LIMIT}

    fields = breeze_fields(photos.jpeg())
    same = [threads.submit(camera.shoot, fields=fields, slot="slot-002") for _ in range(BURST)]
    answers = [shot.result() for shot in same]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(sandbox.calls()) == LIMIT + 1
    assert outcomes(rows) == {("done", None): LIMIT + 1, ("failed", "slot_busy"): BURST - LIMIT}


@pytest.mark.slow
def test_a_stop_lets_the_shots_of_every_process_end(
    service: Service,
    sandbox: Sandbox,
    rows: Rows,
    disk: Disk,
    threads: ThreadPoolExecutor,
) -> None:
    sandbox.dial(hold=True)
    camera = Camera(service.url)
    pending = "select worker from job_history where status = 'pending'"
    running = []
    workers = [psutil.Process(pid) for pid in service.workers]
    for number, other in enumerate(workers, 1):
        # Whichever process wakes first takes a connection: this shot is for the one left awake.
        other.suspend()
        running.append(threads.submit(camera.shoot, slot=f"slot-{number:03}"))
        until(lambda: len(rows(pending)) == len(running), "one more shot is in flight")
        other.resume()
    assert len({row["worker"] for row in rows(pending)}) == 2

    service.signal(signal.SIGTERM)
    until(lambda: not any(map(listens, workers)), "both have stopped to listen")
    sandbox.release()

    assert {shot.result().status_code for shot in running} == {200}
    assert service.wait() == 0
    assert outcomes(rows) == {("done", None): 2}
    assert disk("temp") == []
    assert "Traceback" not in service.output


def test_a_gallery_link_taken_back_in_one_service_is_refused_in_the_other(
    make_service: MakeService,
) -> None:
    here, there = make_service(), make_service()
    with signed_in(here) as admin:
        share = admin.post("/api/shares", json={"slot_id": "slot-001"}).json()
        link = httpx.URL(share["url"])
        asked = f"{there.url}{link.raw_path.decode()}"
        assert httpx.get(asked, trust_env=False).status_code == 200
        assert admin.delete(f"/api/shares/{share['id']}").status_code == 204

    answer = httpx.get(asked, trust_env=False)

    assert (answer.status_code, answer.json()["failure_reason"]) == (403, "share_invalid")
