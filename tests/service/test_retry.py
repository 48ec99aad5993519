"""A camera that sends its shot again: the same picture once more, and never a second bill."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import photos
import pytest
from admin import Admin, signed_in
from camera import PASSWORD, Camera, breeze_fields
from conftest import MakeService
from rig import Sandbox, Service, until
from tables import ChangeSlot, Disk, Execute, Rows

PHOTO = photos.jpeg(text="retry")
FIELDS = breeze_fields(PHOTO)
OTHER_PHOTO = photos.jpeg(text="another")
KEY = {"Idempotency-Key": "0b9f6b1c-order-7"}


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


def test_the_retry_of_a_done_shot_gets_the_same_picture(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    first = camera.shoot(PHOTO, fields=FIELDS)
    again = camera.shoot(PHOTO, fields=FIELDS)

    assert first.status_code == 200, first.text
    assert_replays(again, first)
    assert again.headers["cache-control"] == "no-store"
    assert again.headers["link"] == first.headers["link"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert_one_picture_was_made(sandbox, rows, disk)


def test_a_retry_may_ask_for_json(camera: Camera) -> None:
    first = camera.shoot(PHOTO, fields=FIELDS, headers={"accept": "application/json"})
    again = camera.shoot(PHOTO, fields=FIELDS, headers={"accept": "application/json"})

    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()


def test_the_retry_of_a_running_shot_waits_for_it(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    sandbox.dial(latency_s=1.0)

    first, again = overlapping(camera, camera, sandbox)

    assert "idempotent-replayed" not in first.headers
    assert_replays(again, first)
    assert_one_picture_was_made(sandbox, rows, disk)


def test_of_many_at_once_only_one_is_paid_for(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    sandbox.dial(latency_s=0.5)

    answers = camera.burst(5, photo=PHOTO, fields=FIELDS)

    [first] = [answer for answer in answers if "idempotent-replayed" not in answer.headers]
    for again in answers:
        if again is not first:
            assert_replays(again, first)
    assert_one_picture_was_made(sandbox, rows, disk)


def test_a_retry_at_another_process_waits_for_the_first_one(
    camera: Camera, make_service: MakeService, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    elsewhere = Camera(make_service().url)
    sandbox.dial(latency_s=1.0)

    first, again = overlapping(camera, elsewhere, sandbox)

    assert_replays(again, first)
    assert_replays(elsewhere.shoot(PHOTO, fields=FIELDS), first)
    assert_one_picture_was_made(sandbox, rows, disk)


def test_both_processes_at_once_pay_only_once(
    camera: Camera, make_service: MakeService, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    cameras = [camera, Camera(make_service().url)] * 3
    sandbox.dial(latency_s=0.5)

    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(lambda one: one.shoot(PHOTO, fields=FIELDS), cameras))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 5
    assert_one_picture_was_made(sandbox, rows, disk)


def test_a_retry_on_a_full_slot_joins_the_running_shot(
    camera: Camera, sandbox: Sandbox, slot: ChangeSlot, rows: Rows, disk: Disk
) -> None:
    slot("slot-001", max_in_flight=1, daily_limit=1)
    sandbox.dial(latency_s=1.0)

    first, again = overlapping(camera, camera, sandbox)

    assert_replays(again, first)
    assert_one_picture_was_made(sandbox, rows, disk)


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [("content_blocked", 422, "content_blocked"), ("400", 502, "provider_error")],
)
def test_the_retry_of_a_running_shot_shares_its_failure(
    camera: Camera,
    sandbox: Sandbox,
    rows: Rows,
    disk: Disk,
    outcome: str,
    status: int,
    reason: str,
) -> None:
    sandbox.dial([outcome, "ok"], latency_s=1.0)

    first, again = overlapping(camera, camera, sandbox)

    assert (first.status_code, first.json()["failure_reason"]) == (status, reason)
    assert (again.status_code, again.json()) == (status, first.json())
    assert len(sandbox.calls()) == 1
    assert statuses(rows) == ["failed"]
    assert disk("temp", "results") == []


def test_the_retry_of_a_failed_shot_is_a_new_order(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    sandbox.dial(["400", "ok"])

    failed = camera.shoot(PHOTO, fields=FIELDS)
    again = camera.shoot(PHOTO, fields=FIELDS)

    assert (failed.status_code, again.status_code) == (502, 200)
    assert "idempotent-replayed" not in again.headers
    assert again.headers["x-job-id"] != failed.headers["x-job-id"]
    assert len(sandbox.calls()) == 2
    assert statuses(rows) == ["failed", "done"]
    assert (len(disk("results")), disk("temp")) == (1, [])


def test_the_same_photo_with_a_new_time_is_a_new_order(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    camera.shoot(PHOTO, fields=FIELDS)
    again = camera.shoot(PHOTO, fields={**FIELDS, "time": "1770000000"})

    assert_made_anew(again, sandbox, rows, disk)


def test_the_same_photo_of_another_device_is_a_new_order(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    camera.shoot(PHOTO, fields=FIELDS)
    again = camera.shoot(PHOTO, fields={**FIELDS, "id": "another"})

    assert_made_anew(again, sandbox, rows, disk)


def test_another_photo_of_the_same_time_is_a_new_order(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    camera.shoot(PHOTO, fields=FIELDS)
    again = camera.shoot(OTHER_PHOTO, fields=FIELDS)

    assert_made_anew(again, sandbox, rows, disk)


def test_the_same_shot_to_another_slot_is_a_new_order(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    camera.shoot(PHOTO, "slot-001", fields=FIELDS, headers=KEY)
    again = camera.shoot(PHOTO, "slot-002", fields=FIELDS, headers=KEY)

    assert_made_anew(again, sandbox, rows, disk)


@pytest.mark.parametrize("headers", [{}, KEY], ids=["by time", "by key"])
def test_the_same_shot_to_a_changed_slot_is_a_new_order(
    camera: Camera,
    sandbox: Sandbox,
    slot: ChangeSlot,
    execute: Execute,
    rows: Rows,
    disk: Disk,
    headers: dict[str, str],
) -> None:
    camera.shoot(PHOTO, fields=FIELDS, headers=headers)
    execute("""insert into slot_version (slot_id, version, snapshot, created_by)
               values ('slot-001', 2, '{}', 'serg')""")
    slot("slot-001", version=2, settings={"prompt": "Snow"})

    again = camera.shoot(PHOTO, fields=FIELDS, headers=headers)

    assert_made_anew(again, sandbox, rows, disk)
    assert [call["prompt"] for call in sandbox.calls()][1] == "Snow"


NOT_ORDERED = {
    "name": {"name": "By the door"},
    "limits": {"max_in_flight": 9, "daily_limit": 900, "size_limit_mb": 40},
    "window": {"sync_response_seconds": 60},
    "password": {"ingest_password": PASSWORD},
    "closed": {"is_active": False},
}
ORDERED = {
    "prompt": {"settings": {"prompt": "Snow"}},
    "model": {"settings": {"prompt": "Rain", "model": "gemini-3-pro-image"}},
    "size": {"max_side_px": 1024},
    "fallback": {
        "fallback": {
            "provider": "openai",
            "operation": "image_edit",
            "settings": {"prompt": "Rain"},
        }
    },
}


def change(admin: Admin, **fields: object) -> int:
    """Save a new version of slot-001 as the page does; the number of the one before."""
    version: int = admin.get("/api/slots/slot-001").json()["version"]
    answer = admin.put("/api/slots/slot-001", json={"version": version, **fields})
    assert answer.status_code == 200, answer.text
    return version


@pytest.mark.parametrize("changed", NOT_ORDERED.values(), ids=list(NOT_ORDERED))
@pytest.mark.parametrize("headers", [{}, KEY], ids=["by time", "by key"])
def test_a_change_of_what_is_not_ordered_leaves_a_retry_free(
    camera: Camera,
    admin: Admin,
    sandbox: Sandbox,
    rows: Rows,
    disk: Disk,
    changed: dict[str, object],
    headers: dict[str, str],
) -> None:
    first = camera.shoot(PHOTO, fields=FIELDS, headers=headers)
    change(admin, **changed)
    if "is_active" in changed:
        change(admin, is_active=True)

    assert_replays(camera.shoot(PHOTO, fields=FIELDS, headers=headers), first)
    assert_one_picture_was_made(sandbox, rows, disk)


@pytest.mark.parametrize("changed", ORDERED.values(), ids=list(ORDERED))
def test_a_change_of_what_is_ordered_makes_a_retry_a_new_order(
    camera: Camera, admin: Admin, sandbox: Sandbox, rows: Rows, disk: Disk, changed: dict[str, Any]
) -> None:
    camera.shoot(PHOTO, fields=FIELDS)
    change(admin, **changed)

    assert_made_anew(camera.shoot(PHOTO, fields=FIELDS), sandbox, rows, disk)


@pytest.mark.parametrize("back", ["restored", "changed back"])
@pytest.mark.parametrize("between", ["nothing", "a retry"])
def test_a_slot_that_orders_again_what_it_once_did_gives_the_picture_of_then(
    camera: Camera, admin: Admin, sandbox: Sandbox, back: str, between: str
) -> None:
    was = admin.get("/api/slots/slot-001").json()["settings"]
    first = camera.shoot(PHOTO, fields=FIELDS)
    version = change(admin, settings={"prompt": "Snow"})
    if between == "a retry":
        assert "idempotent-replayed" not in camera.shoot(PHOTO, fields=FIELDS).headers
    if back == "restored":
        path = f"/api/slots/slot-001/versions/{version}/restore"
        assert admin.post(path).status_code == 200
    else:
        change(admin, settings=was, name="Another")
    calls = len(sandbox.calls())

    assert_replays(camera.shoot(PHOTO, fields=FIELDS), first)
    assert len(sandbox.calls()) == calls


def test_the_retry_of_a_running_shot_joins_it_although_its_slot_was_renamed(
    camera: Camera, admin: Admin, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    sandbox.dial(hold=True)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(camera.shoot, PHOTO, fields=FIELDS)
        wait_for_calls(sandbox, 1)
        change(admin, name="By the door")
        again = threads.submit(camera.shoot, PHOTO, fields=FIELDS)
        asked = "select 1 from pg_stat_activity where query ~ %s and datname = current_database()"
        until(lambda: rows(asked, r"where job\.id = \$1"), "the retry waits for the first")
        sandbox.release()

    assert_replays(again.result(), first.result())
    assert_one_picture_was_made(sandbox, rows, disk)


@pytest.mark.parametrize("fields", [{}, {"id": "7"}, {"time": "", "id": "7"}])
def test_a_shot_without_key_and_time_is_always_new(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk, fields: dict[str, str]
) -> None:
    camera.shoot(PHOTO, fields=fields)
    again = camera.shoot(PHOTO, fields=fields)

    assert_made_anew(again, sandbox, rows, disk)


def test_a_key_makes_two_requests_one_order_whatever_their_fields(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    first = camera.shoot(PHOTO, fields={"time": "1"}, headers=KEY)
    again = camera.shoot(PHOTO, fields={"time": "2"}, headers=KEY)

    assert_replays(again, first)
    assert_one_picture_was_made(sandbox, rows, disk)


def test_another_key_is_a_new_order(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    camera.shoot(PHOTO, fields=FIELDS, headers=KEY)
    again = camera.shoot(PHOTO, fields=FIELDS, headers={"Idempotency-Key": "another"})

    assert_made_anew(again, sandbox, rows, disk)


def test_a_key_that_was_used_for_another_photo_is_refused(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    first = camera.shoot(PHOTO, headers=KEY)
    before = rows("select * from job_history")

    other = camera.shoot(OTHER_PHOTO, headers=KEY)

    assert_refused(other, 422, "idempotency_conflict")
    assert rows("select * from job_history") == before
    assert_one_picture_was_made(sandbox, rows, disk)
    assert_replays(camera.shoot(PHOTO, headers=KEY), first)


def test_a_key_of_a_running_shot_is_refused_for_another_photo(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    sandbox.dial(latency_s=1.0)

    with ThreadPoolExecutor() as threads:
        first = threads.submit(camera.shoot, PHOTO, headers=KEY)
        wait_for_calls(sandbox, 1)
        assert_refused(camera.shoot(OTHER_PHOTO, headers=KEY), 422, "idempotency_conflict")
        assert not first.done()

    assert first.result().status_code == 200
    assert_one_picture_was_made(sandbox, rows, disk)


def test_a_retry_needs_the_password_too(camera: Camera, sandbox: Sandbox) -> None:
    camera.shoot(PHOTO, fields=FIELDS)

    assert_refused(camera.shoot(PHOTO, fields=FIELDS, password="no"), 401, "invalid_password")
    assert len(sandbox.calls()) == 1


def test_a_camera_that_hung_up_gets_its_picture_at_the_retry(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    sandbox.dial(latency_s=1.0)
    body, mime = camera.multipart(PHOTO, fields=FIELDS)
    with camera.wire() as wire:
        wire.send(camera.request(body, mime, expect=False), body)
        wait_for_calls(sandbox, 1)

    again = camera.shoot(PHOTO, fields=FIELDS)

    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert_one_picture_was_made(sandbox, rows, disk)


def test_a_picture_is_replayed_after_a_restart(
    make_service: MakeService, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    service = make_service()
    first = Camera(service.url).shoot(PHOTO, fields=FIELDS)
    service.stop()

    again = Camera(make_service().url).shoot(PHOTO, fields=FIELDS)

    assert_replays(again, first)
    assert_one_picture_was_made(sandbox, rows, disk)


def test_a_picture_deleted_by_hand_is_ordered_anew(
    camera: Camera, service: Service, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    first = camera.shoot(PHOTO, fields=FIELDS)
    [path] = disk("results")
    (service.media_root / path).unlink()

    again = camera.shoot(PHOTO, fields=FIELDS)

    assert (first.status_code, again.status_code) == (200, 200)
    assert "idempotent-replayed" not in again.headers
    assert again.headers["x-job-id"] != first.headers["x-job-id"]
    assert len(sandbox.calls()) == 2
    assert statuses(rows) == ["done", "done"]
    gone = rows("select cleaned_at is not null as gone from media_object order by created_at")
    assert [row["gone"] for row in gone] == [True, False]
    assert (len(disk("results")), disk("temp")) == (1, [])


def test_a_picture_whose_time_is_over_is_ordered_anew(
    camera: Camera, execute: Execute, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    camera.shoot(PHOTO, fields=FIELDS)
    execute("update media_object set expires_at = now()")

    again = camera.shoot(PHOTO, fields=FIELDS)

    assert_made_anew(again, sandbox, rows, disk)


def test_a_replay_is_counted_as_one(camera: Camera, service: Service) -> None:
    camera.shoot(PHOTO, fields=FIELDS)
    before = replays(service)

    again = camera.shoot(PHOTO, fields=FIELDS)

    assert replays(service) - before == 1
    line = service.wait_log("shot", request_id=again.headers["x-request-id"])
    assert line["job_id"] == again.headers["x-job-id"]
    assert line["attempts"] == 0


def overlapping(one: Camera, other: Camera, sandbox: Sandbox) -> Sequence[httpx.Response]:
    """The answers to a shot, and to its retry that is sent while the provider works."""
    with ThreadPoolExecutor() as threads:
        first = threads.submit(one.shoot, PHOTO, fields=FIELDS)
        wait_for_calls(sandbox, 1)
        again = threads.submit(other.shoot, PHOTO, fields=FIELDS)
    return first.result(), again.result()


def wait_for_calls(sandbox: Sandbox, count: int) -> None:
    """Wait until the provider has been called so often."""
    until(lambda: len(sandbox.calls()) >= count, f"{count} provider calls")


def replays(service: Service) -> float:
    """How many replays the service has counted."""
    lines = httpx.get(f"{service.url}/metrics", trust_env=False).text.splitlines()
    [line] = [line for line in lines if line.startswith("photoslot_replays_total")]
    return float(line.split()[1])


def statuses(rows: Rows) -> list[str]:
    """How the jobs ended, in the order of their arrival."""
    return [row["status"] for row in rows("select status from job_history order by created_at")]


def assert_replays(again: httpx.Response, first: httpx.Response) -> None:
    """The same picture of the same job, and the word that it is a replay."""
    assert (first.status_code, again.status_code) == (200, 200), again.text
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["x-job-id"] == first.headers["x-job-id"]


def assert_one_picture_was_made(sandbox: Sandbox, rows: Rows, disk: Disk) -> None:
    """One call, one done row, one file."""
    assert len(sandbox.calls()) == 1
    assert statuses(rows) == ["done"]
    assert (len(disk("results")), disk("temp")) == (1, [])


def assert_made_anew(again: httpx.Response, sandbox: Sandbox, rows: Rows, disk: Disk) -> None:
    """After a first shot this one was an order of its own: two calls, rows and files."""
    assert again.status_code == 200, again.text
    assert "idempotent-replayed" not in again.headers
    assert len(sandbox.calls()) == 2
    assert statuses(rows) == ["done", "done"]
    assert (len(disk("results")), disk("temp")) == (2, [])


def assert_refused(answer: httpx.Response, status: int, reason: str) -> None:
    """The one shape of every refusal, with its reason and job in the headers too."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"status", "failure_reason", "details", "job_id"}
    assert body["status"] == ("timeout" if status == 504 else "error")
    assert body["failure_reason"] == answer.headers["x-failure-reason"] == reason
    assert body["job_id"] == answer.headers.get("x-job-id")
