"""Who may post how much: passwords, the throttle, and every limit of a slot and of the service."""

import re
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import photos
import pytest
from admin import Admin, ensure_account
from camera import PASSWORD, Answer, Camera
from conftest import MakeService
from rig import Sandbox, Service, until
from tables import ChangeSlot, Disk, Execute, Rows

from service.intake import CHECKED_BYTES, MAX_STRANGERS_OF_NETWORK
from service.throttle import INGEST

WRONG = "wrong password"
ELSEWHERE = "127.0.0.2"
# Where nobody who knows the password was before.
STRANGERS, NEWCOMERS = "127.0.0.3", "127.0.0.4"
# So many without a password of one network are heard at once.
AT_ONCE = MAX_STRANGERS_OF_NETWORK - 5
OUTCOMES = "select slot_id, status, failure_reason from job_history order by failure_reason"


def test_shots_within_every_limit_are_taken_side_by_side(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    sandbox.dial(latency_s=0.3)

    answers = camera.burst(4)

    assert [answer.status_code for answer in answers] == [200] * 4
    assert rows("select status, count(*) from job_history group by 1") == [
        {"status": "done", "count": 4}
    ]
    assert (len(disk("results")), disk("temp")) == (4, [])


@pytest.mark.parametrize("password", [WRONG, "", None, PASSWORD + " ", "x" * 1024**2])
def test_a_wrong_password_is_refused_and_leaves_nothing(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk, password: str | None
) -> None:
    answer = camera.shoot(password=password)

    assert_refused(answer, 401, "invalid_password")
    assert answer.json()["job_id"] is None
    assert_nothing_happened(sandbox, rows, disk)
    assert rows("select failures from login_throttle") == [{"failures": 1}]


def test_a_wrong_password_is_refused_after_the_file_too(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    answer = camera.shoot(password=WRONG, password_last=True)

    assert_refused(answer, 401, "invalid_password")
    assert_nothing_happened(sandbox, rows, disk)


def test_a_right_password_among_the_fields_does_not_mend_a_wrong_header(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    answer = camera.shoot(headers={"X-Ingest-Password": WRONG})

    assert_refused(answer, 401, "invalid_password")
    assert_nothing_happened(sandbox, rows, disk)


def test_a_wrong_password_is_refused_before_the_file_has_arrived(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    body, mime = camera.multipart(photos.jpeg() + bytes(4_000_000), password=WRONG)
    with camera.wire() as wire:
        wire.send(camera.request(body, mime, expect=False), body[:100_000])
        answer = wire.answer()

    assert (answer.status, answer.reason) == (401, "invalid_password")
    assert_nothing_happened(sandbox, rows, disk)


def test_a_wrong_password_in_the_header_is_refused_before_the_body(
    camera: Camera, rows: Rows
) -> None:
    answer = asked_before_sending(camera, headers={"X-Ingest-Password": WRONG})

    assert_refused_unsent(answer, 401, "invalid_password")
    assert rows("select failures from login_throttle") == [{"failures": 1}]


def test_a_slot_without_a_password_is_closed_and_not_open(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    slot("slot-001", ingest_password_hash=None)

    assert_refused_unsent(asked_before_sending(camera), 503, "not_configured")
    for password in (None, "", PASSWORD):
        answer = camera.shoot(password=password)
        assert_refused(answer, 503, "not_configured")
        assert int(answer.headers["retry-after"]) > 0
    assert_nothing_happened(sandbox, rows, disk)


def test_a_provider_without_a_key_is_not_called(
    make_service: MakeService, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    camera = Camera(make_service(GEMINI_API_KEY=None).url)

    assert_refused(camera.shoot(), 503, "not_configured")

    assert_failed("not_configured", rows)
    assert disk("temp", "results") == []
    assert sandbox.calls() == []


def test_settings_that_do_not_fit_the_operation_are_not_sent(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows
) -> None:
    slot("slot-001", settings={"prompt": "Snow", "aspect_ratio": "1:17"})

    assert_refused(camera.shoot(), 503, "not_configured")

    assert_failed("not_configured", rows)
    assert sandbox.calls() == []


def test_too_many_wrong_passwords_shut_out_that_address_from_that_slot(
    camera: Camera, service: Service, rows: Rows
) -> None:
    wrong = [shoot_from(STRANGERS, camera, WRONG) for _ in range(INGEST.tries)]
    assert {answer.status_code for answer in wrong} == {401}

    shut_out = shoot_from(STRANGERS, camera)

    assert_refused(shut_out, 429, "rate_limited")
    assert 0 < int(shut_out.headers["retry-after"]) <= INGEST.block_seconds
    assert shoot_from(STRANGERS, camera, slot="slot-002").status_code == 200
    assert shoot_from(ELSEWHERE, camera).status_code == 200
    addresses = rows("select distinct client_address from job_history order by 1")
    assert [row["client_address"] for row in addresses] == [ELSEWHERE, STRANGERS]


def test_who_is_shut_out_is_refused_before_the_body(camera: Camera, service: Service) -> None:
    for _ in range(INGEST.tries):
        assert shoot_from(NEWCOMERS, camera, WRONG).status_code == 401

    body, mime = camera.multipart()
    head = camera.request(body, mime)
    with socket.create_connection(("127.0.0.1", service.port), 10, (NEWCOMERS, 0)) as wire:
        wire.sendall(head)
        assert wire.recv(65536).startswith(b"HTTP/1.1 429 ")


@pytest.mark.parametrize("how", ["field", "field behind the file", "header", "slot-002"])
def test_who_shares_an_address_with_a_guesser_is_let_in_with_a_password_that_fitted_before(
    camera: Camera, rows: Rows, how: str
) -> None:
    slot = "slot-002" if how == "slot-002" else "slot-001"
    assert camera.shoot().status_code == 200
    camera.burst(INGEST.tries, photo=b"x", password=WRONG, slot=slot)
    assert_refused(camera.shoot(password=WRONG, slot=slot), 429, "rate_limited")
    before = rows("select failures, blocked_until from login_throttle")

    if how == "header":
        answer = camera.shoot(password=None, headers={"X-Ingest-Password": PASSWORD})
    else:
        answer = camera.shoot(slot=slot, password_last="behind" in how)

    assert answer.status_code == 200, answer.text
    assert_refused(camera.shoot(password=None, slot=slot), 429, "rate_limited")
    assert_refused(
        camera.shoot(password=None, headers={"X-Ingest-Password": WRONG}, slot=slot),
        *(429, "rate_limited"),
    )
    assert rows("select failures, blocked_until from login_throttle") == before


def test_a_guesser_elsewhere_learns_nothing_from_a_password_that_is_remembered(
    make_service: MakeService,
) -> None:
    camera = Camera(make_service().url)
    assert camera.shoot().status_code == 200
    for _ in range(INGEST.tries):
        assert shoot_from(STRANGERS, camera, WRONG).status_code == 401

    assert_refused(shoot_from(STRANGERS, camera), 429, "rate_limited")
    assert camera.shoot().status_code == 200


def test_wrong_passwords_at_once_are_counted_before_they_are_hashed(
    service: Service, camera: Camera, rows: Rows
) -> None:
    before = hashed(service)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        guesses = [f"guess {n}" for n in range(120)]
        shoot = partial(camera.shoot, b"x")
        answers = list(threads.map(lambda guess: shoot(password=guess), guesses))

    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {401: INGEST.tries, 429: 120 - INGEST.tries}
    assert hashed(service) - before == INGEST.tries
    assert rows("select failures from login_throttle") == [{"failures": INGEST.tries}]


def test_two_processes_count_wrong_passwords_together_before_they_hash_them(
    service: Service, make_service: MakeService
) -> None:
    services = [service, make_service()]
    cameras = [Camera(one.url) for one in services]
    before = sum(map(hashed, services))

    with ThreadPoolExecutor(AT_ONCE) as threads:
        shots = [partial(cameras[n % 2].shoot, b"x", password=f"guess {n}") for n in range(80)]
        answers = [one.result() for one in [threads.submit(shot) for shot in shots]]

    assert sum(answer.status_code == 401 for answer in answers) == INGEST.tries
    assert sum(map(hashed, services)) - before == INGEST.tries


def test_cameras_that_begin_at_once_after_a_start_are_hashed_once_and_count_nothing(
    make_service: MakeService, rows: Rows
) -> None:
    service = make_service()
    camera = Camera(service.url)

    answers = camera.burst(INGEST.tries + 10, photo=b"no photo")

    assert {answer.status_code for answer in answers} <= {415, 429}
    assert "rate_limited" not in {answer.headers.get("x-failure-reason") for answer in answers}
    assert hashed(service) == 1
    assert rows("select failures from login_throttle") == []


def test_an_admin_signs_in_while_wrong_ingest_passwords_are_hashed(
    service: Service, camera: Camera
) -> None:
    ensure_account(service)
    slots = [f"slot-{n:03}" for n in range(1, 16)]
    with ThreadPoolExecutor(60) as threads, Admin(service) as admin:
        guesses = [
            threads.submit(camera.shoot, b"x", slot, password=f"guess {n} at {slot}")
            for slot in slots
            for n in range(4)
        ]
        until(lambda: any(one.done() for one in guesses), "they are looked at")
        answer = admin.login()
        waiting = sum(not one.done() for one in guesses)
        refused = [one.result().status_code for one in guesses]

    assert answer.status_code == 200
    assert waiting > 0, "it waited behind all of them"
    assert set(refused) <= {401, 503}


def test_who_was_shut_out_is_let_in_again(camera: Camera, rows: Rows, execute: Execute) -> None:
    camera.burst(INGEST.tries, photo=b"x", password=WRONG)
    assert_refused(camera.shoot(password=WRONG), 429, "rate_limited")
    assert rows("select failures from login_throttle") == [{"failures": INGEST.tries}]

    execute("update login_throttle set blocked_until = now()")

    assert_refused(camera.shoot(b"x", password=WRONG), 401, "invalid_password")


def test_failures_of_long_ago_do_not_count(camera: Camera, rows: Rows, execute: Execute) -> None:
    camera.shoot(b"x", password=WRONG)
    execute(
        "update login_throttle set failures = %s, window_started_at = now() - interval '1 hour'",
        INGEST.tries - 1,
    )

    camera.shoot(b"x", password=WRONG)

    assert rows("select failures from login_throttle") == [{"failures": 1}]
    assert camera.shoot().status_code == 200


def test_a_disabled_slot_is_refused_before_the_body(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    slot("slot-001", is_active=False)

    assert_refused_unsent(asked_before_sending(camera), 404, "slot_disabled")
    assert_refused(camera.shoot(), 404, "slot_disabled")
    assert_nothing_happened(sandbox, rows, disk)


@pytest.mark.parametrize("unknown", ["slot-016", "slot-1", "SLOT-001", "0", "slot-001'--", "слот"])
def test_an_unknown_slot_is_refused_before_the_body(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk, unknown: str
) -> None:
    quoted = str(httpx.URL(f"http://service/{unknown}").raw_path, "ascii").lstrip("/")

    assert_refused_unsent(asked_before_sending(camera, quoted), 404, "slot_not_found")
    assert_refused(camera.shoot(slot=unknown), 404, "slot_not_found")
    assert_nothing_happened(sandbox, rows, disk)


def test_one_shot_more_than_a_slot_takes_at_once_is_refused(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    slot("slot-001", max_in_flight=2)

    answers = sandbox.hold([camera.shoot] * 3, ended=1)

    [refused] = [answer for answer in answers if answer.status_code != 200]
    assert_refused(refused, 429, "slot_busy")
    assert int(refused.headers["retry-after"]) > 0
    assert [row["failure_reason"] for row in rows(OUTCOMES)] == ["slot_busy", None, None]
    assert (len(disk("results")), disk("temp")) == (2, [])
    assert len(sandbox.calls()) == 2


def test_a_slot_is_free_again_when_its_shots_have_ended(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox
) -> None:
    slot("slot-001", max_in_flight=1)
    sandbox.dial(["400", "ok"])

    assert [camera.shoot().status_code for _ in range(3)] == [502, 200, 200]


def test_a_full_slot_leaves_the_others_alone(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox
) -> None:
    slot("slot-001", max_in_flight=1)
    sandbox.dial(latency_s=1.0)

    with ThreadPoolExecutor() as threads:
        first = threads.submit(camera.shoot)
        wait_for_calls(sandbox, 1)
        other = camera.shoot(slot="slot-002")

    assert (first.result().status_code, other.status_code) == (200, 200)


def test_two_processes_keep_the_limit_of_a_slot_together(
    camera: Camera, make_service: MakeService, slot: ChangeSlot, sandbox: Sandbox, rows: Rows
) -> None:
    slot("slot-001", max_in_flight=3)
    cameras = [camera, Camera(make_service().url)] * 4

    answers = sandbox.hold([one.shoot for one in cameras], ended=5)

    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 5
    assert len(sandbox.calls()) == 3
    assert rows("select count(*) from job_history where failure_reason = 'slot_busy'") == [
        {"count": 5}
    ]


def test_a_provider_takes_only_so_many_shots_of_all_slots(
    camera: Camera, execute: Execute, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    execute(
        "update settings set value = %s::jsonb where key = 'provider_max_in_flight'",
        '{"gemini": 1, "openai": 60}',
    )
    shots = [partial(camera.shoot, slot=name) for name in ("slot-001", "slot-002")]

    answers = sandbox.hold(shots, ended=1)

    [refused] = [answer for answer in answers if answer.status_code != 200]
    assert_refused(refused, 429, "provider_busy")
    assert int(refused.headers["retry-after"]) > 0
    assert [row["failure_reason"] for row in rows(OUTCOMES)] == ["provider_busy", None]
    assert len(disk("results")) == len(sandbox.calls()) == 1


def test_a_service_at_its_limit_refuses_before_the_body(
    make_service: MakeService, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    camera = Camera(make_service(MAX_IN_FLIGHT="1").url)
    sandbox.dial(hold=True)

    with ThreadPoolExecutor() as threads:
        first = threads.submit(camera.shoot)
        wait_for_calls(sandbox, 1)
        unsent = asked_before_sending(camera)
        sent = camera.shoot()
        sandbox.release()

    assert_refused_unsent(unsent, 503, "overloaded")
    assert int(unsent.headers["retry-after"]) > 0
    assert_refused(sent, 503, "overloaded")
    assert first.result().status_code == 200
    assert [row["status"] for row in rows(OUTCOMES)] == ["done"]
    assert (len(disk("results")), disk("temp")) == (1, [])
    assert camera.shoot().status_code == 200, "its place was not given back"


def test_a_service_refuses_more_bytes_than_it_can_spool_as_they_arrive(
    make_service: MakeService, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    camera = Camera(make_service(MAX_SPOOL_MB="1").url)

    photo = photos.jpeg() + bytes(1024**2 + CHECKED_BYTES)
    assert_refused(camera.shoot(photo), 503, "overloaded")
    assert (sandbox.calls(), disk()) == ([], [])
    assert [camera.shoot().status_code for _ in range(3)] == [200] * 3


def test_a_full_disk_refuses_before_the_body(
    make_service: MakeService, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    service = make_service(ready=False, MIN_FREE_DISK_MB="9999999").wait_listening()
    camera = Camera(service.url)

    assert_refused_unsent(asked_before_sending(camera), 507, "storage_full")
    assert_refused(camera.shoot(), 507, "storage_full")
    assert_nothing_happened(sandbox, rows, disk)


def test_two_that_race_for_the_last_shot_of_the_day(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    slot("slot-001", daily_limit=1)

    answers = sandbox.hold([camera.shoot] * 2, ended=1)

    [refused] = [answer for answer in answers if answer.status_code != 200]
    assert_refused(refused, 429, "quota_exceeded")
    assert 0 < int(refused.headers["retry-after"]) <= 24 * 3600
    assert [row["failure_reason"] for row in rows(OUTCOMES)] == ["quota_exceeded", None]
    assert (len(disk("results")), disk("temp")) == (1, [])
    assert len(sandbox.calls()) == 1


def test_the_daily_limit_counts_neither_failures_nor_yesterday(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, execute: Execute
) -> None:
    slot("slot-001", daily_limit=1)
    sandbox.dial(["400", "ok"])

    statuses = [camera.shoot().status_code for _ in range(3)]
    execute("update job_history set created_at = created_at - interval '1 day'")

    assert statuses == [502, 200, 429]
    assert camera.shoot().status_code == 200


def asked_before_sending(
    camera: Camera,
    slot: str = "slot-001",
    *,
    photo: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """The answer to a camera that waits for `100 Continue` before it sends its shot."""
    body, mime = camera.multipart(photo)
    with camera.wire() as wire:
        wire.send(camera.request(body, mime, slot, headers=headers))
        answer = wire.answer()
        assert wire.interim == [], "it was told to go on"
        assert wire.is_closed()
        return answer


def hashed(service: Service) -> float:
    """How many passwords of cameras this service has hashed so far."""
    text = httpx.get(f"{service.url}/metrics", trust_env=False).text
    found = re.search(r'^photoslot_password_checks_total{who="camera"} (\S+)$', text, re.M)
    return float(found[1]) if found else 0.0


def shoot_from(
    address: str, camera: Camera, password: str = PASSWORD, slot: str = "slot-001"
) -> httpx.Response:
    """A shot of a camera with that address."""
    body, mime = camera.multipart(password=password)
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(transport=transport, trust_env=False) as client:
        url = f"{camera.url}/api/ingest/{slot}"
        return client.post(url, content=body, headers={"content-type": mime}, timeout=30)


def wait_for_calls(sandbox: Sandbox, count: int) -> None:
    """Wait until the provider has been called so often."""
    until(lambda: len(sandbox.calls()) >= count, f"{count} provider calls")


def assert_refused(answer: httpx.Response, status: int, reason: str) -> None:
    """The one shape of every refusal, with its reason and job in the headers too."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"status", "failure_reason", "details", "job_id"}
    assert body["status"] == ("timeout" if status == 504 else "error")
    assert body["failure_reason"] == answer.headers["x-failure-reason"] == reason
    assert body["job_id"] == answer.headers.get("x-job-id")


def assert_refused_unsent(answer: Answer, status: int, reason: str) -> None:
    """A refusal read by a camera that has sent its request's head only."""
    assert (answer.status, answer.reason) == (status, reason)
    assert answer.seconds < 2


def assert_nothing_happened(sandbox: Sandbox, rows: Rows, disk: Disk) -> None:
    """No row, no file, no call."""
    assert rows("select id from job_history") == []
    assert disk("temp", "results", "previews") == []
    assert sandbox.calls() == []


def assert_failed(reason: str, rows: Rows) -> None:
    """Exactly one row, ended for this reason."""
    assert rows(OUTCOMES) == [{"slot_id": "slot-001", "status": "failed", "failure_reason": reason}]
