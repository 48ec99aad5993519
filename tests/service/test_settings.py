"""What admins change for the whole service while shots go on."""

import json
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
from admin import ADMIN, Admin, secrets_dir, sign_in, signed_in
from camera import PASSWORD, Camera
from conftest import MakeService
from rig import Sandbox, Service, until
from tables import Rows

URL = "/api/settings"
# The sandbox refuses it as the provider refuses a mistyped key.
BAD_KEY = "wrong-and-never-to-be-seen"
GOOD_KEY = "sandbox"
NEW_PASSWORD = "everybody's new one"


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


def read(admin: Admin) -> dict[str, Any]:
    answer = admin.get(URL)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def change(admin: Admin, **fields: object) -> httpx.Response:
    """Change settings as they are now."""
    return admin.put(URL, {"version": read(admin)["version"], **fields})


def saved(admin: Admin, **fields: object) -> dict[str, Any]:
    answer = change(admin, **fields)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_settings_tell_what_is_in_force(admin: Admin) -> None:
    told = read(admin)

    changes = told.pop("changes")
    assert isinstance(told.pop("ingest_password_set"), bool)
    assert told == {
        "version": 2,
        "sync_response_seconds": 48,
        "result_ttl_hours": 72,
        "provider_max_in_flight": {"gemini": 60, "openai": 60, "turbotext": 8},
        "provider_keys": {name: "environment" for name in ("gemini", "openai", "turbotext")},
    }
    assert changes["sync_response_seconds"]["updated_by"] == "migration 0001"


def test_the_answer_is_not_kept_by_anybody(admin: Admin) -> None:
    assert admin.get(URL).headers["cache-control"] == "no-store"


def test_a_change_is_in_force_and_signed(admin: Admin, camera: Camera, rows: Rows) -> None:
    before = read(admin)

    after = saved(admin, sync_response_seconds=30, result_ttl_hours=5)

    assert after == read(admin)
    assert (after["sync_response_seconds"], after["result_ttl_hours"]) == (30, 5)
    assert after["version"] > before["version"]
    assert after["changes"]["result_ttl_hours"]["updated_by"] == ADMIN
    camera.shoot()
    [job] = rows("select deadline_at - created_at as window, finished_at from job_history")
    [media] = rows("select expires_at from media_object where kind = 'result'")
    assert job["window"].total_seconds() == 30
    kept = (media["expires_at"] - job["finished_at"]).total_seconds()
    assert kept == pytest.approx(5 * 3600, abs=10)
    [audit] = rows("select actor, details from audit_log where action = 'settings.change'")
    assert audit == {
        "actor": ADMIN,
        "details": {"changed": ["result_ttl_hours", "sync_response_seconds"]},
    }


def test_one_providers_limit_leaves_the_others(admin: Admin) -> None:
    after = saved(admin, provider_max_in_flight={"gemini": 3})

    assert after["provider_max_in_flight"] == {"gemini": 3, "openai": 60, "turbotext": 8}


def test_a_change_holds_at_once_in_every_process(
    service: Service, make_service: MakeService, sandbox: Sandbox
) -> None:
    here, there = service, make_service()
    camera = Camera(there.url)
    with sign_in(here) as admin, Admin(there, admin.token) as same_admin:
        assert camera.shoot().status_code == 200

        saved(admin, ingest_password=NEW_PASSWORD, provider_max_in_flight={"gemini": 2})

        assert camera.shoot(password=PASSWORD).status_code == 401
        assert camera.shoot(password=NEW_PASSWORD).status_code == 200
        assert read(same_admin) == read(admin)
        shots = [partial(camera.shoot, password=NEW_PASSWORD)] * 3
        statuses = [one.status_code for one in sandbox.hold(shots, ended=1)]
        assert sorted(statuses) == [200, 200, 429]


def test_an_ingest_password_opens_every_slot(admin: Admin, camera: Camera, rows: Rows) -> None:
    admin.put("/api/slots/slot-002", {"version": 1, "ingest_password": "its own password"})

    after = saved(admin, ingest_password=NEW_PASSWORD)

    assert after["ingest_password_set"] is True
    assert len(rows("select distinct ingest_password_hash from slot")) == 1
    assert camera.shoot(slot="slot-001", password=NEW_PASSWORD).status_code == 200
    assert camera.shoot(slot="slot-002", password=NEW_PASSWORD).status_code == 200
    assert camera.shoot(slot="slot-002", password="its own password").status_code == 401
    assert after["changes"]["ingest_password"]["updated_by"] == ADMIN


def test_a_provider_key_is_in_force_at_once_everywhere(make_service: MakeService) -> None:
    services = make_service(), make_service(GEMINI_API_KEY=None)
    cameras = [Camera(service.url) for service in services]
    assert [camera.shoot().status_code for camera in cameras] == [200, 503]
    with sign_in(services[0]) as admin:
        saved(admin, provider_keys={"gemini": BAD_KEY})
        reasons = [camera.shoot().json()["failure_reason"] for camera in cameras]
        assert reasons == ["provider_auth"] * 2

        after = saved(admin, provider_keys={"gemini": GOOD_KEY})
        assert after["provider_keys"]["gemini"] == "settings"
        assert [camera.shoot().status_code for camera in cameras] == [200, 200]

        after = saved(admin, provider_keys={"gemini": ""})
        assert after["provider_keys"]["gemini"] == "environment"
        assert [camera.shoot().status_code for camera in cameras] == [200, 503]


def test_a_running_call_keeps_its_key(admin: Admin, camera: Camera, sandbox: Sandbox) -> None:
    sandbox.dial(latency_s=1.5)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(camera.shoot)
        until(sandbox.calls, "the provider is asked")
        saved(admin, provider_keys={"gemini": BAD_KEY})

        assert camera.shoot().json()["failure_reason"] == "provider_auth"
        assert running.result().status_code == 200


def test_secrets_go_in_and_never_come_out(
    admin: Admin, camera: Camera, service: Service, rows: Rows
) -> None:
    answer = change(admin, provider_keys={"gemini": BAD_KEY}, ingest_password=NEW_PASSWORD)
    failed = camera.shoot(password=NEW_PASSWORD)
    job = admin.get(f"/api/jobs/{failed.headers['x-job-id']}")
    told = [answer, failed, job, *(admin.get(path) for path in (URL, "/api/providers"))]
    told += [admin.get("/api/audit"), httpx.get(f"{service.url}/metrics", trust_env=False)]
    tables = [
        row["name"]
        for row in rows("select tablename as name from pg_tables" " where schemaname = 'public'")
    ]
    kept = "".join(
        json.dumps(rows(f'select to_jsonb(t)::text as row from "{name}" t')) for name in tables
    )

    for secret in (BAD_KEY, NEW_PASSWORD):
        assert not [one.url for one in told if secret in one.text]
        assert secret not in kept
        assert secret not in service.output


def test_keys_lie_in_a_file_only_the_owner_may_read(admin: Admin, service: Service) -> None:
    saved(admin, provider_keys={"gemini": GOOD_KEY, "openai": "another"})

    path = secrets_dir(service) / "provider_keys.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"gemini": GOOD_KEY, "openai": "another"}
    strangers = [p.name for p in path.parent.iterdir() if p.name.startswith(".provider_keys")]
    assert strangers == [".provider_keys.json.lock"]


def test_a_key_of_one_provider_leaves_the_others(admin: Admin) -> None:
    saved(admin, provider_keys={"openai": "one"})

    after = saved(admin, provider_keys={"turbotext": "two"})

    assert after["provider_keys"] == {
        "gemini": "environment",
        "openai": "settings",
        "turbotext": "settings",
    }


def test_a_stale_version_is_told_the_current_one(admin: Admin) -> None:
    stale = read(admin)["version"]
    current = saved(admin, result_ttl_hours=5)["version"]

    answer = admin.put(URL, {"version": stale, "result_ttl_hours": 6})

    assert (answer.status_code, answer.json()["failure_reason"]) == (409, "version_conflict")
    assert answer.json()["version"] == current
    assert read(admin)["result_ttl_hours"] == 5


def test_of_two_admins_at_once_one_is_refused(admin: Admin, rows: Rows) -> None:
    version = read(admin)["version"]

    def save(hours: int) -> int:
        return admin.put(URL, {"version": version, "result_ttl_hours": hours}).status_code

    with ThreadPoolExecutor(4) as threads:
        statuses = list(threads.map(save, (1, 2, 3, 4)))

    assert sorted(statuses) == [200, 409, 409, 409]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"sync_response_seconds": 9}, "sync_response_seconds"),
        ({"sync_response_seconds": 61}, "sync_response_seconds"),
        ({"sync_response_seconds": None}, "sync_response_seconds"),
        ({"sync_response_seconds": "48"}, "sync_response_seconds"),
        ({"sync_response_seconds": 30.5}, "sync_response_seconds"),
        ({"result_ttl_hours": 0}, "result_ttl_hours"),
        ({"result_ttl_hours": 10**12}, "result_ttl_hours"),
        ({"provider_max_in_flight": {"gemini": 0}}, "provider_max_in_flight"),
        ({"provider_max_in_flight": {"nobody": 5}}, "provider_max_in_flight.nobody"),
        ({"provider_max_in_flight": [1]}, "provider_max_in_flight"),
        ({"ingest_password": "1234567"}, "ingest_password"),
        ({"ingest_password": "sunshine"}, "ingest_password"),
        ({"ingest_password": ""}, "ingest_password"),
        ({"ingest_password": "a password\n"}, "ingest_password"),
        ({"ingest_password": "a password "}, "ingest_password"),
        ({"ingest_password": "a\0bcdefg"}, "ingest_password"),
        ({"ingest_password": None}, "ingest_password"),
        ({"provider_keys": {"nobody": "key"}}, "provider_keys.nobody"),
        ({"provider_keys": {"gemini": "two words"}}, "provider_keys"),
        ({"provider_keys": {"gemini": "line\r\nbreak"}}, "provider_keys"),
        ({"provider_keys": {"gemini": "ключ"}}, "provider_keys"),
        ({"provider_keys": {"gemini": "k" * 501}}, "provider_keys"),
        ({"provider_keys": {"gemini": None}}, "provider_keys"),
        ({"provider_keys": "key"}, "provider_keys"),
        ({"colour": "red"}, "colour"),
        ({"version": "2"}, "version"),
    ],
)
def test_what_does_not_fit_changes_nothing(
    admin: Admin, camera: Camera, service: Service, fields: dict[str, object], path: str
) -> None:
    before = read(admin)
    right = {"version": before["version"], "result_ttl_hours": 9}
    if "ingest_password" not in fields:
        right["ingest_password"] = NEW_PASSWORD

    answer = admin.put(URL, {**right, **fields})

    assert answer.status_code == 422, answer.text
    [error] = answer.json()["errors"]
    assert error["path"].split("[")[0].startswith(path)
    assert read(admin) == before
    assert camera.shoot(password=PASSWORD).status_code == 200
    assert not (secrets_dir(service) / "provider_keys.json").exists()


def test_a_change_without_its_version_is_refused(admin: Admin) -> None:
    answer = admin.put(URL, {"result_ttl_hours": 5})

    assert [error["path"] for error in answer.json()["errors"]] == ["version"]


def test_when_the_key_cannot_be_written_nothing_changes(
    admin: Admin, camera: Camera, service: Service, rows: Rows
) -> None:
    before = read(admin)
    in_the_way = secrets_dir(service) / ".provider_keys.json.lock"
    in_the_way.unlink(missing_ok=True)
    in_the_way.mkdir()
    try:
        answer = change(
            admin,
            ingest_password=NEW_PASSWORD,
            provider_keys={"gemini": BAD_KEY},
            result_ttl_hours=9,
        )
    finally:
        in_the_way.rmdir()

    assert (answer.status_code, answer.json()["failure_reason"]) == (503, "storage_error")
    assert read(admin) == before
    assert camera.shoot(password=PASSWORD).status_code == 200
    assert rows("select 1 from audit_log where action = 'settings.change'") == []


def test_a_damaged_key_file_is_told_and_not_guessed(
    admin: Admin, camera: Camera, service: Service
) -> None:
    path = secrets_dir(service) / "provider_keys.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, b'{"gemini": ')
    os.close(descriptor)

    assert admin.get(URL).json()["failure_reason"] == "storage_error"
    assert camera.shoot().json()["failure_reason"] == "storage_error"


def test_providers_describe_their_operations(admin: Admin) -> None:
    told = admin.get("/api/providers").json()["providers"]

    gemini = next(one for one in told if one["name"] == "gemini")
    assert (gemini["configured"], gemini["key_source"]) == (True, "environment")
    assert "image/heic" in gemini["accepts"]
    operations = {one["name"]: one for one in gemini["operations"]}
    assert set(operations) == {"image_edit", "style_transfer", "identity_transfer"}
    assert operations["style_transfer"]["required_roles"] == ["style"]
    assert operations["identity_transfer"]["optional_roles"] == ["background"]
    schema = json.dumps(operations["image_edit"]["settings_schema"])
    assert all(name in schema for name in ("prompt", "aspect_ratio", "maxLength", "image_size"))


def test_a_provider_without_a_key_is_not_configured(make_service: MakeService) -> None:
    with sign_in(make_service(GEMINI_API_KEY=None)) as admin:
        told = {one["name"]: one for one in admin.get("/api/providers").json()["providers"]}
        assert (told["gemini"]["configured"], told["gemini"]["key_source"]) == (False, None)
        saved(admin, provider_keys={"gemini": GOOD_KEY})
        told = {one["name"]: one for one in admin.get("/api/providers").json()["providers"]}
        assert (told["gemini"]["configured"], told["gemini"]["key_source"]) == (True, "settings")
