"""A provider that fails: the right answer, the truth in the row, nothing left, nobody waiting."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from camera import Camera, Wire
from conftest import MakeService
from rig import Sandbox, Service, free_port, until
from tables import ChangeSlot, Disk, Rows

WINDOW_SECONDS = 10
RESERVE_SECONDS = 1
LATEST_SECONDS = 0.5

UNAVAILABLE = (503, "provider_unavailable")
QUOTA = (503, "provider_quota")
AUTH = (503, "provider_auth")
ERROR = (502, "provider_error")
NO_IMAGE = (502, "provider_no_image")
BAD_RESPONSE = (502, "provider_bad_response")
BLOCKED = (422, "content_blocked")

FAILURES = {
    "503": UNAVAILABLE,
    "500": UNAVAILABLE,
    "502_html": UNAVAILABLE,
    "reset": UNAVAILABLE,
    "cut_body": UNAVAILABLE,
    "429": QUOTA,
    "quota": QUOTA,
    "429_day": QUOTA,
    "429_limit0": QUOTA,
    "bad_key": AUTH,
    "leaked_key": AUTH,
    "billing_off": AUTH,
    "401": AUTH,
    "403": AUTH,
    "400": ERROR,
    "404": ERROR,
    "no_image": NO_IMAGE,
    "text_only": NO_IMAGE,
    "thought_only": NO_IMAGE,
    "content_blocked": BLOCKED,
    "block:SAFETY": BLOCKED,
    "block:PROHIBITED_CONTENT": BLOCKED,
    "finish:PROHIBITED_CONTENT": BLOCKED,
    "garbage": BAD_RESPONSE,
    "html_200": BAD_RESPONSE,
    "empty_body": BAD_RESPONSE,
    "truncated_json": BAD_RESPONSE,
    "no_candidates": BAD_RESPONSE,
    "null_candidates": BAD_RESPONSE,
    "broken_base64": BAD_RESPONSE,
    "not_an_image": BAD_RESPONSE,
    "empty_image": BAD_RESPONSE,
    "cut_image": BAD_RESPONSE,
    "html_image": BAD_RESPONSE,
    "svg": BAD_RESPONSE,
    "pdf": BAD_RESPONSE,
    "tiny": BAD_RESPONSE,
    "bomb_png": BAD_RESPONSE,
    "huge": BAD_RESPONSE,
    "gzip_bomb": BAD_RESPONSE,
    "redirect": BAD_RESPONSE,
}
CALLED_ONCE = (AUTH, ERROR, BLOCKED)


@pytest.mark.parametrize("outcome", ["text_before", "text_after", "thoughts", "drafts", "no_usage"])
def test_a_picture_in_odd_company_is_found(
    camera: Camera, sandbox: Sandbox, rows: Rows, outcome: str
) -> None:
    plain = camera.shoot()
    sandbox.dial([outcome])

    answer = camera.shoot()

    assert answer.status_code == 200, answer.text
    assert answer.content == plain.content
    assert rows("select distinct status from job_history") == [{"status": "done"}]


@pytest.mark.parametrize("outcome", FAILURES)
def test_every_failure_has_its_answer_and_leaves_nothing(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk, outcome: str
) -> None:
    status, reason = FAILURES[outcome]
    sandbox.dial([outcome])

    answer = camera.shoot()

    assert_refused(answer, status, reason)
    assert ("retry-after" in answer.headers) == (status == 503)
    [row] = rows("select * from job_history")
    assert str(row["id"]) == answer.headers["x-job-id"]
    assert (row["status"], row["failure_reason"]) == ("failed", reason)
    assert row["finished_at"] is not None
    assert row["provider_ms"] is not None
    assert len(row["attempts"]) == len(sandbox.calls())
    assert row["attempts"][-1]["outcome"] == reason
    assert disk("temp", "results", "previews") == []
    assert rows("select kind from media_object") == []
    if FAILURES[outcome] in CALLED_ONCE:
        assert len(sandbox.calls()) == 1


@pytest.mark.parametrize("outcome", ["503", "bad_key", "400", "text_only"])
def test_the_words_of_the_provider_are_for_admins_only(
    camera: Camera, sandbox: Sandbox, rows: Rows, outcome: str
) -> None:
    words = {
        "503": "The model is overloaded.",
        "bad_key": "API key not valid.",
        "400": "The sandbox was asked for a 400.",
        "text_only": "I can describe this picture",
    }
    sandbox.dial([outcome])

    answer = camera.shoot()

    assert words[outcome] not in answer.text
    [row] = rows("select failure_details, attempts from job_history")
    assert words[outcome] in row["failure_details"]
    assert words[outcome] in row["attempts"][-1]["details"]


@pytest.mark.parametrize(
    ("outcome", "maybe_billed"),
    [
        ("503", False),
        ("429_day", False),
        ("bad_key", False),
        ("400", False),
        ("reset", True),
        ("cut_body", True),
        ("no_image", True),
        ("truncated_json", True),
        ("broken_base64", True),
        ("not_an_image", True),
        ("huge", True),
    ],
)
def test_the_row_says_whether_the_call_may_be_billed(
    camera: Camera, sandbox: Sandbox, rows: Rows, outcome: str, maybe_billed: bool
) -> None:
    sandbox.dial([outcome])

    camera.shoot()

    [row] = rows("select attempts from job_history")
    assert row["attempts"][-1]["maybe_billed"] is maybe_billed


@pytest.mark.parametrize("outcome", ["huge", "gzip_bomb"])
def test_an_endless_answer_is_cut_off(
    camera: Camera, service: Service, sandbox: Sandbox, outcome: str
) -> None:
    sandbox.dial([outcome])

    assert_refused(camera.shoot(), *BAD_RESPONSE)

    until(lambda: sandbox.calls()[0]["client_disconnected"], "the connection is closed")


def test_a_provider_that_nobody_reaches_is_unavailable_at_once(
    make_service: MakeService, rows: Rows, disk: Disk
) -> None:
    service = make_service(GEMINI_BASE_URL=f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()

    answer = Camera(service.url).shoot()

    assert time.monotonic() - started < 5
    assert_refused(answer, *UNAVAILABLE)
    assert int(answer.headers["retry-after"]) > 0
    [row] = rows("select status, failure_reason, attempts from job_history")
    assert (row["status"], row["failure_reason"]) == ("failed", "provider_unavailable")
    assert row["attempts"][-1]["maybe_billed"] is False
    assert disk("temp", "results") == []


@pytest.mark.slow
def test_the_window_bounds_every_call_however_slow(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    plans = {
        "slot-001": "[sandbox outcome=hang] Snow",
        "slot-002": "[sandbox outcome=slow_headers] Snow",
        "slot-003": "[sandbox outcome=slow_body] Snow",
        "slot-004": "[sandbox outcome=hang] Snow after a slow upload",
        "slot-005": f"[sandbox latency={WINDOW_SECONDS - 2}] Snow just in time",
    }
    for slot_id, prompt in plans.items():
        slot(slot_id, settings={"prompt": prompt}, sync_response_seconds=WINDOW_SECONDS)

    with ThreadPoolExecutor() as threads:
        answers = [
            threads.submit(camera.shoot_slowly, slot_id, 2.0 if slot_id == "slot-004" else 0.0)
            for slot_id in plans
        ]
    *late, in_time = [answer.result() for answer in answers]

    assert in_time.status == 200
    for answer in late:
        assert (answer.status, answer.reason) == (504, "provider_timeout")
        assert b'"status":"timeout"' in answer.body
        waited = answer.seconds - (WINDOW_SECONDS - RESERVE_SECONDS)
        assert -0.05 < waited < LATEST_SECONDS
    stored = rows("select * from job_history order by slot_id")
    assert [row["status"] for row in stored] == ["timeout"] * 4 + ["done"]
    for row in stored[:4]:
        assert row["failure_reason"] == "provider_timeout"
        assert row["finished_at"] < row["deadline_at"]
        [attempt] = row["attempts"]
        assert (attempt["outcome"], attempt["maybe_billed"]) == ("provider_timeout", True)
    # The pause of 2 s, less the moment in which a busy service came to look at the request.
    assert stored[3]["upload_ms"] >= 1900
    assert disk("temp") == []
    assert disk("results") == [row["path"] for row in rows("select path from media_object")]
    hung = [call for call in sandbox.calls() if call["outcome"] != "ok"]
    assert len(hung) == 4
    until(
        lambda: [call["client_disconnected"] for call in sandbox.calls()].count(True) == 4,
        "every hung connection is closed",
    )


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset], ids=["closed", "reset"])
def test_a_device_that_leaves_while_the_provider_works_gets_its_picture_kept(
    camera: Camera,
    service: Service,
    sandbox: Sandbox,
    rows: Rows,
    disk: Disk,
    leave: Callable[[Wire], None],
) -> None:
    sandbox.dial(latency_s=1.0)

    leave_at_the_provider(camera, sandbox, leave)

    row = wait_for_end(rows)
    assert (row["status"], row["stored"], row["delivered"]) == ("done", True, False)
    assert (len(disk("results")), disk("temp")) == (1, [])
    assert len(sandbox.calls()) == 1
    assert not sandbox.calls()[0]["client_disconnected"]
    shown = httpx.get(f"{service.url}/public/results/{row['id']}", trust_env=False)
    assert shown.content == (service.media_root / disk("results")[0]).read_bytes()
    line = service.wait_log("shot", job_id=str(row["id"]))
    assert line["delivered"] is False


def test_a_device_that_leaves_does_not_hide_a_failure(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    sandbox.dial(["content_blocked"], latency_s=1.0)

    leave_at_the_provider(camera, sandbox, Wire.close)

    row = wait_for_end(rows)
    assert (row["status"], row["failure_reason"]) == ("failed", "content_blocked")
    until(lambda: disk("temp", "results") == [], "the source is removed")


def leave_at_the_provider(camera: Camera, sandbox: Sandbox, leave: Callable[[Wire], None]) -> None:
    """Send a shot and hang up once the provider works on it."""
    body, mime = camera.multipart()
    wire = camera.wire()
    wire.send(camera.request(body, mime, expect=False), body)
    until(sandbox.calls, "the provider is called")
    leave(wire)


def wait_for_end(rows: Rows) -> dict[str, Any]:
    """The one job, once it has ended."""
    found = until(lambda: rows("select * from job_history where status <> 'pending'"), "an end")
    assert len(found) == 1
    return found[0]


def assert_refused(answer: httpx.Response, status: int, reason: str) -> None:
    """The one shape of every refusal, with its reason and job in the headers too."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"status", "failure_reason", "details", "job_id"}
    assert body["status"] == ("timeout" if status == 504 else "error")
    assert body["failure_reason"] == answer.headers["x-failure-reason"] == reason
    assert body["job_id"] == answer.headers.get("x-job-id")
