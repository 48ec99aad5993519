"""A model that fails again and again is skipped, and looked at from time to time."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from admin import Admin, signed_in
from camera import Camera
from conftest import MakeService
from rig import Sandbox, Service
from tables import ChangeSlot, Execute, Rows

from service.queries import breakers
from service.queries.breakers import OPENING_FAILURES
from service.storage.database import Database

MODEL = "gemini-nano-banana-2.1"
FALLBACK = {"provider": "openai", "operation": "image_edit", "settings": {"prompt": "Snow"}}


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


def fail_often(camera: Camera, sandbox: Sandbox, outcome: str = "bad_key") -> None:
    """As many failed shots as open the breaker; then the provider is well again."""
    sandbox.dial([outcome])
    for _ in range(OPENING_FAILURES):
        assert camera.shoot().status_code in (422, 503)
    sandbox.reset()


def breaker(rows: Rows, model: str = MODEL) -> dict[str, Any]:
    [row] = rows("select * from breaker where model = %s", model)
    return row


def probe_now(execute: Execute) -> None:
    """As if the pause were over."""
    assert execute("update breaker set probe_at = now() where opened_at is not null") == 1


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("bad_key", "provider_auth"),
        ("429_day", "provider_quota"),
        ("reset", "provider_unavailable"),
    ],
)
def test_a_model_that_failed_five_times_in_a_row_is_not_called(
    camera: Camera, sandbox: Sandbox, rows: Rows, outcome: str, reason: str
) -> None:
    fail_often(camera, sandbox, outcome)

    answer = camera.shoot()

    assert (answer.status_code, answer.headers["x-failure-reason"]) == (503, reason)
    assert 20 < int(answer.headers["retry-after"]) <= 30
    assert sandbox.calls() == []
    [row] = rows("select * from job_history order by created_at desc limit 1")
    assert (row["status"], row["failure_reason"], row["attempts"]) == ("failed", reason, [])
    assert "again and again" in row["failure_details"]
    assert breaker(rows)["reason"] == reason


def test_the_fallback_begins_at_once_and_other_models_go_on(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows
) -> None:
    fail_often(camera, sandbox)
    slot("slot-001", fallback=FALLBACK)
    slot("slot-002", settings={"prompt": "Snow", "model": "gemini-3-pro-image"})

    assert camera.shoot().headers["x-provider"] == "openai"
    assert camera.shoot(slot="slot-002").headers["x-provider"] == "gemini"

    stored = rows("select provider, attempts from job_history where status = 'done'")
    assert sorted(row["provider"] for row in stored) == ["gemini", "openai"]
    assert [len(row["attempts"]) for row in stored] == [1, 1]


def test_of_many_shots_in_two_processes_one_looks_whether_it_is_back(
    make_service: MakeService, sandbox: Sandbox, rows: Rows, execute: Execute
) -> None:
    cameras = [Camera(make_service().url) for _ in range(2)]
    fail_often(cameras[0], sandbox)
    probe_now(execute)

    answers = sandbox.hold([camera.shoot for camera in cameras * 2], ended=3)

    assert sorted(answer.status_code for answer in answers) == [200, 503, 503, 503]
    assert len(sandbox.calls()) == 1
    assert breaker(rows)["opened_at"] is None
    assert [camera.shoot().status_code for camera in cameras] == [200, 200]


def test_a_look_that_fails_is_followed_by_another_pause(
    camera: Camera, sandbox: Sandbox, rows: Rows, execute: Execute
) -> None:
    fail_often(camera, sandbox)
    opened = breaker(rows)["opened_at"]
    probe_now(execute)
    sandbox.dial(["bad_key"])

    assert camera.shoot().headers["x-failure-reason"] == "provider_auth"
    assert camera.shoot().headers["x-failure-reason"] == "provider_auth"

    assert len(sandbox.calls()) == 1
    assert breaker(rows)["opened_at"] == opened


@pytest.mark.parametrize("outcome", ["content_blocked", "400"])
def test_a_refusal_of_the_order_proves_that_the_model_works(
    camera: Camera, sandbox: Sandbox, rows: Rows, outcome: str
) -> None:
    sandbox.dial(["bad_key"] * (OPENING_FAILURES - 1) + [outcome, "bad_key", "ok"])
    for _ in range(OPENING_FAILURES + 1):
        camera.shoot()

    assert breaker(rows)["failures"] == 1
    assert camera.shoot().status_code == 200
    assert breaker(rows)["failures"] == 0


@pytest.mark.anyio
async def test_a_call_that_began_before_the_last_answer_is_no_news(
    db: Database, rows: Rows
) -> None:
    """Calls that hang end together, long after others were served."""
    await breakers.mend(db, "gemini", MODEL)

    for _ in range(OPENING_FAILURES):
        await breakers.fail(db, "gemini", MODEL, "provider_timeout", None, 40.0)
    assert breaker(rows)["failures"] == 0

    for _ in range(OPENING_FAILURES):
        await breakers.fail(db, "gemini", MODEL, "provider_timeout", None, 0.0)
    assert breaker(rows)["opened_at"] is not None


def test_a_window_that_was_too_short_is_not_held_against_it(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows
) -> None:
    slot("slot-001", sync_response_seconds=10, fallback=FALLBACK)
    sandbox.dial(["hang"])

    assert camera.shoot().headers["x-provider"] == "openai"

    assert rows("select * from breaker where provider = 'gemini'") == []


def test_a_retry_is_answered_although_its_provider_is_skipped(
    camera: Camera, sandbox: Sandbox, rows: Rows
) -> None:
    shot: dict[str, Any] = {"headers": {"idempotency-key": "the same order"}}
    first = camera.shoot(**shot)
    fail_often(camera, sandbox)

    again = camera.shoot(**shot)

    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"


def test_a_new_key_is_tried_at_once(
    camera: Camera, admin: Admin, sandbox: Sandbox, rows: Rows
) -> None:
    fail_often(camera, sandbox)
    version = admin.get("/api/settings").json()["version"]

    saved = admin.put("/api/settings", {"version": version, "provider_keys": {"gemini": ""}})

    assert saved.status_code == 200, saved.text
    assert camera.shoot().status_code == 200


def health(admin: Admin, slot_id: str = "slot-001") -> dict[str, Any]:
    [slot] = [one for one in admin.get("/api/slots").json()["slots"] if one["id"] == slot_id]
    assert slot["health"] == admin.get(f"/api/slots/{slot_id}").json()["health"]
    told: dict[str, Any] = slot["health"]
    return told


def models(admin: Admin) -> dict[str, dict[str, Any]]:
    providers = admin.get("/api/providers").json()["providers"]
    [gemini] = [one for one in providers if one["name"] == "gemini"]
    return {one["model"]: one for one in gemini["models"]}


def test_admins_see_what_is_skipped_since_when_and_why(
    camera: Camera, admin: Admin, sandbox: Sandbox
) -> None:
    assert models(admin) == {}
    assert health(admin) == {"status": "ok", "reason": None, "details": None, "since": None}
    fail_often(camera, sandbox, "429_day")

    told = models(admin)[MODEL]
    assert (told["state"], told["failures"]) == ("skipped", OPENING_FAILURES)
    assert told["reason"] == "provider_quota"
    assert told["failed_at"] < told["probe_at"]
    found = health(admin)
    assert (found["status"], found["reason"]) == ("bad", "provider_quota")
    assert found["since"] == told["opened_at"]
    assert "quota" in found["details"]


def test_a_wrong_key_makes_its_slots_red_and_a_fallback_makes_them_yellow(
    camera: Camera, service: Service, admin: Admin, slot: ChangeSlot, sandbox: Sandbox
) -> None:
    slot("slot-002", **FALLBACK)
    slot("slot-003", fallback=FALLBACK)
    slot("slot-004", is_active=False)
    slot("slot-005", ingest_password_hash=None)
    sandbox.dial(["bad_key"])
    camera.shoot()

    found = {slot_id: health(admin, slot_id) for slot_id in (f"slot-00{n}" for n in range(1, 6))}

    assert [one["status"] for one in found.values()] == ["bad", "ok", "warn", "off", "bad"]
    assert found["slot-001"]["reason"] == found["slot-003"]["reason"] == "provider_auth"
    assert "API key not valid" in found["slot-001"]["details"]
    assert found["slot-005"]["reason"] == "not_configured"
    assert models(admin)[MODEL]["state"] == "failing"
    assert httpx.get(f"{service.url}/healthz", trust_env=False).status_code == 200
    sandbox.reset()
    camera.shoot()
    assert health(admin)["status"] == "ok"
    assert models(admin)[MODEL]["state"] == "working"


def test_an_unknown_model_makes_its_slot_red_and_no_other(
    camera: Camera, admin: Admin, slot: ChangeSlot, sandbox: Sandbox
) -> None:
    unknown = {"prompt": "Snow", "model": "gemini-of-tomorrow"}
    slot("slot-001", settings=unknown)
    slot("slot-002", settings=unknown, fallback=FALLBACK)
    for slot_id in ("slot-001", "slot-002"):
        camera.shoot(slot=slot_id)

    red, yellow, green = (health(admin, f"slot-00{n}") for n in (1, 2, 3))

    assert (red["status"], red["reason"]) == ("bad", "provider_error")
    assert "gemini-of-tomorrow is not found" in red["details"]
    assert (yellow["status"], yellow["reason"]) == ("warn", "provider_error")
    assert green["status"] == "ok"
    version = admin.get("/api/slots/slot-001").json()["version"]
    saved = admin.put("/api/slots/slot-001", {"version": version, "settings": {"prompt": "Snow"}})
    assert saved.json()["health"]["status"] == "ok"


def test_a_missing_key_makes_the_slot_red(make_service: MakeService, sandbox: Sandbox) -> None:
    with signed_in(make_service(GEMINI_API_KEY=None)) as admin:
        found = health(admin)

    assert (found["status"], found["reason"]) == ("bad", "not_configured")
    assert "API key for gemini" in found["details"]
