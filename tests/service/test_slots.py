"""Slots as admins read, change and restore them, and as the next shot meets them."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from admin import ADMIN, Admin, sign_in, signed_in
from camera import PASSWORD, Camera
from conftest import MakeService
from rig import Sandbox, Service
from tables import Rows, Tables

URL = "/api/slots/slot-001"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
FALLBACK = {
    "provider": "gemini",
    "operation": "image_edit",
    "settings": {"prompt": "As a plain drawing"},
    "templates": [],
}
FIELDS = {
    *("id", "name", "provider", "operation", "settings", "templates", "fallback", "output"),
    *("is_active", "size_limit_mb", "max_in_flight", "daily_limit", "sync_response_seconds"),
    *("max_side_px", "version", "updated_at", "updated_by", "has_ingest_password"),
    "health",
}


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


@pytest.fixture
def colleague(service: Service) -> Iterator[Admin]:
    with signed_in(service, "igor") as admin:
        yield admin


def read(admin: Admin, slot_id: str = "slot-001") -> dict[str, Any]:
    answer = admin.get(f"/api/slots/{slot_id}")
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def change(admin: Admin, version: int = 1, **fields: object) -> httpx.Response:
    return admin.put(URL, {"version": version, **fields})


def saved(admin: Admin, version: int = 1, **fields: object) -> dict[str, Any]:
    answer = change(admin, version, **fields)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def paths(answer: httpx.Response) -> list[str]:
    """The fields a refusal names."""
    assert answer.status_code == 422, answer.text
    told = answer.json()
    assert told["failure_reason"] == "invalid_fields"
    assert all(set(error) == {"path", "code", "params", "message"} for error in told["errors"])
    return [error["path"] for error in told["errors"]]


@contextmanager
def held(tables: Tables, statement: str) -> Iterator[None]:
    """What a session at a terminal does to others that forgets to commit."""
    with psycopg.connect(tables.url) as connection:
        connection.execute(statement.encode())
        yield
        connection.rollback()


# Reading


def test_the_list_has_all_fifteen(admin: Admin) -> None:
    slots = admin.get("/api/slots").json()["slots"]

    assert [slot["id"] for slot in slots] == [f"slot-{n:03}" for n in range(1, 16)]
    assert slots[0] == read(admin)


def test_a_slot_tells_everything_but_the_password(admin: Admin) -> None:
    answer = admin.get(URL)

    assert set(answer.json()) == FIELDS
    assert answer.json()["has_ingest_password"] is True
    assert answer.headers["cache-control"] == "no-store"
    assert "argon2" not in answer.text


@pytest.mark.parametrize(
    "slot_id", ["slot-016", "slot-1", "SLOT-001", "slot-001%00", "'; drop table slot; --", "😀"]
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_there_is_no_other_slot(admin: Admin, method: str, slot_id: str) -> None:
    body = {"json": {"version": 1}} if method == "PUT" else {}

    answer = admin.request(method, f"/api/slots/{slot_id}", **body)

    assert (answer.status_code, answer.json()["failure_reason"]) == (404, "slot_not_found")


# Changing


def test_a_change_is_a_new_version_with_who_and_when(admin: Admin) -> None:
    before = read(admin)

    after = saved(admin, name="Entrance", settings={"prompt": "As a comic"}, max_in_flight=7)

    assert after == read(admin)
    assert (after["name"], after["max_in_flight"]) == ("Entrance", 7)
    assert after["settings"] == {"prompt": "As a comic"}
    assert (after["version"], after["updated_by"]) == (2, ADMIN)
    age = datetime.now(UTC) - datetime.fromisoformat(after["updated_at"])
    assert timedelta(0) <= age < timedelta(minutes=1)
    same = FIELDS - {"name", "settings", "max_in_flight", "version", "updated_at", "updated_by"}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}


def test_every_writable_field_is_written(admin: Admin) -> None:
    wanted: dict[str, Any] = {
        "name": "All",
        "provider": "gemini",
        "operation": "image_edit",
        "settings": {"prompt": "x", "aspect_ratio": "3:4", "image_size": "2K"},
        "templates": [],
        "fallback": FALLBACK,
        "output": {},
        "is_active": False,
        "size_limit_mb": 2048,
        "max_in_flight": 1000,
        "daily_limit": 1_000_000,
        "sync_response_seconds": 60,
        "max_side_px": 8192,
    }

    after = saved(admin, **wanted)

    assert {name: after[name] for name in wanted} == wanted


def test_what_may_be_empty_can_be_emptied(admin: Admin) -> None:
    saved(admin, fallback=FALLBACK, daily_limit=5, sync_response_seconds=20)

    after = saved(admin, 2, fallback=None, daily_limit=None, sync_response_seconds=None)

    assert (after["fallback"], after["daily_limit"], after["sync_response_seconds"]) == (None,) * 3


def test_what_a_read_gives_may_be_sent_back(admin: Admin) -> None:
    saved(admin, fallback=FALLBACK, daily_limit=5)
    before = read(admin)

    after = admin.put(URL, before)

    assert after.status_code == 200, after.text
    moved = {"version", "updated_at", "updated_by"}
    assert {k: v for k, v in after.json().items() if k not in moved} == {
        k: v for k, v in before.items() if k not in moved
    }
    assert after.json()["version"] == 3


def test_what_is_not_writable_is_not_taken_from_a_change(admin: Admin) -> None:
    after = saved(admin, id="slot-009", updated_by="mallory", updated_at="2001-01-01T00:00:00Z")

    assert (after["id"], after["updated_by"]) == ("slot-001", ADMIN)
    assert not after["updated_at"].startswith("2001")
    assert read(admin, "slot-009")["version"] == 1


@pytest.mark.parametrize("version", [0, 1, 3, -1, 10**12, 10**30])
def test_a_stale_version_is_told_the_current_one(admin: Admin, rows: Rows, version: int) -> None:
    saved(admin, name="First")

    answer = change(admin, version, name="Second")

    assert answer.status_code == 409
    assert answer.json()["failure_reason"] == "version_conflict"
    assert answer.json()["version"] == 2
    assert read(admin)["name"] == "First"
    assert len(rows("select 1 from slot_version where slot_id = 'slot-001'")) == 2


def test_of_two_admins_at_once_one_is_refused(admin: Admin, colleague: Admin) -> None:
    for round_ in range(5):
        version = 1 + round_

        def save(who: Admin, version: int = version) -> int:
            return change(who, version, name=f"By {who.token}"[:50]).status_code

        with ThreadPoolExecutor(6) as threads:
            statuses = list(threads.map(save, [admin, colleague] * 3))

        assert sorted(statuses) == [200] + [409] * 5
    assert read(admin)["version"] == 6


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"provider": "nobody"}, ["provider"]),
        ({"provider": 1}, ["provider"]),
        ({"provider": None}, ["provider"]),
        ({"operation": "grow"}, ["operation"]),
        ({"settings": {}}, ["settings.prompt"]),
        ({"settings": {"prompt": ""}}, ["settings.prompt"]),
        ({"settings": {"prompt": 7}}, ["settings.prompt"]),
        ({"settings": {"prompt": "x" * 16_001}}, ["settings.prompt"]),
        ({"settings": {"prompt": "x", "colour": "red"}}, ["settings.colour"]),
        ({"settings": {"prompt": "x", "model": "../admin"}}, ["settings.model"]),
        ({"settings": {"prompt": "x", "image_size": "8K"}}, ["settings.image_size"]),
        ({"settings": {"prompt": "x", "aspect_ratio": "5:1"}}, ["settings.aspect_ratio"]),
        ({"settings": {"prompt": "x", "image_size": "512"}}, ["settings.image_size"]),
        (
            {"settings": {"prompt": "x", "model": "gemini-3-pro-image-preview"}},
            ["settings.model"],
        ),
        (
            {
                "fallback": {
                    "provider": "gemini",
                    "operation": "image_edit",
                    "settings": {
                        "prompt": "x",
                        "model": "gemini-3-pro-image",
                        "aspect_ratio": "1:8",
                    },
                }
            },
            ["fallback.settings.aspect_ratio"],
        ),
        ({"settings": []}, ["settings"]),
        ({"settings": None}, ["settings"]),
        ({"templates": {}}, ["templates"]),
        ({"templates": [{}]}, ["templates[0].role"]),
        ({"templates": [{"role": "style"}]}, ["templates[0].media_id"]),
        ({"templates": [{"role": "style", "media_id": "1"}]}, ["templates[0].media_id"]),
        (
            {"templates": [{"role": "style", "media_id": UNKNOWN_ID, "x": 1}]},
            ["templates[0].x"],
        ),
        (
            {"templates": [{"role": "style", "media_id": UNKNOWN_ID}]},
            ["templates[0].media_id"],
        ),
        (
            {"templates": [{"role": "frame", "media_id": UNKNOWN_ID}]},
            ["templates[0].role", "templates[0].media_id"],
        ),
        ({"operation": "style_transfer"}, ["templates"]),
        ({"operation": "identity_transfer"}, ["templates"]),
        ({"fallback": {}}, ["fallback.provider"]),
        ({"fallback": {**FALLBACK, "provider": "nobody"}}, ["fallback.provider"]),
        ({"fallback": {**FALLBACK, "operation": "grow"}}, ["fallback.operation"]),
        ({"fallback": {**FALLBACK, "settings": {}}}, ["fallback.settings.prompt"]),
        ({"fallback": {**FALLBACK, "settings": {"prompt": 1}}}, ["fallback.settings.prompt"]),
        ({"fallback": {**FALLBACK, "operation": "style_transfer"}}, ["fallback.templates"]),
        (
            {"fallback": {**FALLBACK, "templates": [{"role": "x", "media_id": UNKNOWN_ID}]}},
            ["fallback.templates[0].role", "fallback.templates[0].media_id"],
        ),
        ({"fallback": {**FALLBACK, "fallback": FALLBACK}}, ["fallback.fallback"]),
        ({"output": {"format": "png"}}, ["output.format"]),
        ({"name": ""}, ["name"]),
        ({"name": "x" * 121}, ["name"]),
        ({"name": None}, ["name"]),
        ({"is_active": "yes"}, ["is_active"]),
        ({"size_limit_mb": 0}, ["size_limit_mb"]),
        ({"size_limit_mb": 2049}, ["size_limit_mb"]),
        ({"size_limit_mb": 1.5}, ["size_limit_mb"]),
        ({"size_limit_mb": "50"}, ["size_limit_mb"]),
        ({"size_limit_mb": 10**30}, ["size_limit_mb"]),
        ({"max_in_flight": 0}, ["max_in_flight"]),
        ({"max_in_flight": 1001}, ["max_in_flight"]),
        ({"max_in_flight": True}, ["max_in_flight"]),
        ({"daily_limit": 0}, ["daily_limit"]),
        ({"daily_limit": 1_000_001}, ["daily_limit"]),
        ({"sync_response_seconds": 9}, ["sync_response_seconds"]),
        ({"sync_response_seconds": 61}, ["sync_response_seconds"]),
        ({"max_side_px": -1}, ["max_side_px"]),
        ({"max_side_px": 255}, ["max_side_px"]),
        ({"max_side_px": 8193}, ["max_side_px"]),
        ({"ingest_password": "1234567"}, ["ingest_password"]),
        ({"ingest_password": "Password1"}, ["ingest_password"]),
        ({"ingest_password": "x" * 201}, ["ingest_password"]),
        ({"ingest_password": "a password\n"}, ["ingest_password"]),
        ({"ingest_password": " a password"}, ["ingest_password"]),
        ({"ingest_password": "a word\u0085"}, ["ingest_password"]),
        ({"ingest_password": "a pass\tword"}, ["ingest_password"]),
        ({"ingest_password": None}, ["ingest_password"]),
        ({"ingest_password_hash": "$argon2id$"}, ["ingest_password_hash"]),
        ({"colour": "red"}, ["colour"]),
        ({"version": "1"}, ["version"]),
        ({"version": 1.5}, ["version"]),
        ({"version": None}, ["version"]),
    ],
)
def test_a_field_that_does_not_fit_is_named(
    admin: Admin, rows: Rows, fields: dict[str, object], expected: list[str]
) -> None:
    before = read(admin)

    answer = admin.put(URL, {"version": 1, **fields})

    assert paths(answer) == expected
    assert read(admin) == before
    assert len(rows("select 1 from slot_version where slot_id = 'slot-001'")) == 1
    assert rows("select 1 from audit_log where action like 'slot%'") == []


def test_every_fault_is_named_at_once(admin: Admin) -> None:
    answer = change(
        admin,
        settings={"prompt": ""},
        fallback={**FALLBACK, "operation": "grow"},
        max_side_px=100,
        output={"x": 1},
    )

    assert set(paths(answer)) == {
        *("settings.prompt", "fallback.operation", "max_side_px", "output.x"),
    }


def test_settings_are_those_of_the_provider_in_the_same_change(admin: Admin) -> None:
    answer = change(admin, provider="nobody", settings={"anything": 1})

    assert paths(answer) == ["provider"]


def test_a_change_without_its_version_is_refused(admin: Admin) -> None:
    assert paths(admin.put(URL, {"name": "x"})) == ["version"]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "invalid_request"),
        (b"{", 400, "invalid_request"),
        (b'{"version": 1,}', 400, "invalid_request"),
        (b'{"version": 1, "name": "\xff"}', 400, "invalid_request"),
        (b'{"version": 1, "name": "\\ud800"}', 400, "invalid_request"),
        (b'{"version": NaN}', 400, "invalid_request"),
        (b'{"version": 1, "settings": ' + b'{"a":' * 40_000, 400, "invalid_request"),
        (b'{"version": 1, "output": {"a": ' + b"[" * 9_000 + b"]" * 9_000 + b"}}", 4, ""),
        (b"[]", 422, "invalid_fields"),
        (b'"text"', 422, "invalid_fields"),
        (b'{"version": 1, "name": "' + b"x" * 262_144 + b'"}', 413, "payload_too_large"),
    ],
)
def test_a_strange_body_is_refused(admin: Admin, body: bytes, status: int, reason: str) -> None:
    answer = admin.request("PUT", URL, content=body, headers={"content-type": "application/json"})

    assert str(answer.status_code).startswith(str(status)), answer.text
    assert answer.json()["failure_reason"].startswith(reason)


def test_only_json_changes_a_slot(admin: Admin) -> None:
    answer = admin.request("PUT", URL, content=b'{"version":1}')

    assert (answer.status_code, answer.json()["failure_reason"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "</script><script>alert(1)</script>",
        "'); drop table slot; --",
        "$1 %s {0} \\ \" '",
        "Вход 😀 \u202e\u200b",
        "\r\nSet-Cookie: a=b",
    ],
)
def test_text_is_kept_as_it_is(admin: Admin, rows: Rows, text: str) -> None:
    after = saved(admin, name=text, settings={"prompt": text})

    assert (after["name"], after["settings"]["prompt"]) == (text, text)
    [row] = rows("select name, settings from slot where id = 'slot-001'")
    assert row == {"name": text, "settings": {"prompt": text}}
    assert admin.get(URL).headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": "a\0b"}, "name"),
        ({"settings": {"prompt": "a\0b"}}, "settings.prompt"),
        ({"fallback": {**FALLBACK, "settings": {"prompt": "\0"}}}, "fallback.settings.prompt"),
        ({"ingest_password": "a\0bcdefg"}, "ingest_password"),
    ],
)
def test_a_nul_is_refused_not_stumbled_over(
    admin: Admin, fields: dict[str, object], path: str
) -> None:
    assert paths(change(admin, **fields)) == [path]


def test_every_change_is_audited_without_its_secrets(admin: Admin, rows: Rows) -> None:
    saved(admin, name="New", ingest_password="a secret of its own")
    saved(admin, 2, name="New")

    kept = rows(
        "select actor, address, action, target, details from audit_log"
        " where action = 'slot.change' order by id"
    )
    usual = {
        "actor": ADMIN,
        "address": "127.0.0.1",
        "action": "slot.change",
        "target": "slot-001",
    }
    assert kept == [
        {**usual, "details": {"version": 2, "changed": ["name", "ingest_password"]}},
        {**usual, "details": {"version": 3, "changed": []}},
    ]


# History


def test_history_keeps_every_version(admin: Admin, colleague: Admin) -> None:
    saved(admin, name="Second")
    saved(colleague, 2, name="Third")

    told = admin.get(f"{URL}/versions").json()

    assert told["next_before"] is None
    assert [(one["version"], one["created_by"]) for one in told["versions"]] == [
        (3, "igor"),
        (2, ADMIN),
        (1, "migration 0001"),
    ]
    assert [one["snapshot"]["name"] for one in told["versions"]] == [
        "Third",
        "Second",
        "Slot 1",
    ]
    assert "argon2" not in admin.get(f"{URL}/versions").text
    assert "ingest_password" not in admin.get(f"{URL}/versions").text


def test_history_comes_in_pages(admin: Admin, tables: Tables) -> None:
    tables.execute(
        "insert into slot_version (slot_id, version, snapshot, created_by)"
        " select slot_id, n, snapshot, 'test' from slot_version, generate_series(2, 121) as n"
        " where slot_id = 'slot-001'"
    )
    seen: list[int] = []
    query = ""
    while True:
        told = admin.get(f"{URL}/versions{query}").json()
        seen += [one["version"] for one in told["versions"]]
        assert len(told["versions"]) <= 50
        if told["next_before"] is None:
            break
        query = f"?before={told['next_before']}"

    assert seen == list(range(121, 0, -1))


@pytest.mark.parametrize("before", ["0", "-1", "x", "", "1e3", "99999999999999999999"])
def test_a_strange_page_is_refused_or_empty(admin: Admin, before: str) -> None:
    answer = admin.get(f"{URL}/versions?before={before}")

    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 422:
        assert paths(answer) == ["before"]


def test_restore_makes_a_new_version_like_the_old_one(admin: Admin, rows: Rows) -> None:
    first = read(admin)
    saved(admin, name="Second", settings={"prompt": "x"}, daily_limit=3, fallback=FALLBACK)

    answer = admin.post(f"{URL}/versions/1/restore")

    assert answer.status_code == 200, answer.text
    restored = answer.json()
    moved = {"version", "updated_at", "updated_by"}
    assert {k: v for k, v in restored.items() if k not in moved} == {
        k: v for k, v in first.items() if k not in moved
    }
    assert (restored["version"], restored["updated_by"]) == (3, ADMIN)
    [row] = rows("select details from audit_log where action = 'slot.restore'")
    assert row["details"]["from_version"] == 1
    assert row["details"]["version"] == 3


def test_restore_leaves_the_password_alone(admin: Admin, camera: Camera) -> None:
    saved(admin, ingest_password="its own password")

    admin.post(f"{URL}/versions/1/restore")

    assert camera.shoot(password="its own password").status_code == 200


@pytest.mark.parametrize("number", ["2", "0", "99999999999999999999"])
def test_a_version_that_never_was_cannot_be_restored(admin: Admin, number: str) -> None:
    answer = admin.post(f"{URL}/versions/{number}/restore")

    assert (answer.status_code, answer.json()["failure_reason"]) == (404, "not_found")


def test_a_version_that_no_longer_fits_is_not_restored(admin: Admin, tables: Tables) -> None:
    saved(admin, name="Second")
    tables.execute(
        "update slot_version set snapshot = jsonb_set(snapshot, '{provider}', '\"gone\"')"
        " where slot_id = 'slot-001' and version = 1"
    )

    assert paths(admin.post(f"{URL}/versions/1/restore")) == ["provider"]
    assert read(admin)["version"] == 2


def test_two_restores_at_once_make_no_version_twice(admin: Admin, rows: Rows) -> None:
    saved(admin, name="Second")

    with ThreadPoolExecutor(6) as threads:
        statuses = list(
            threads.map(lambda _: admin.post(f"{URL}/versions/1/restore").status_code, range(6))
        )

    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    assert read(admin)["version"] == 2 + statuses.count(200)


# In force


def test_a_change_holds_at_the_next_shot_in_every_process(
    service: Service, make_service: MakeService, sandbox: Sandbox
) -> None:
    here, there = service, make_service()
    camera = Camera(there.url)
    assert camera.shoot().status_code == 200
    with sign_in(here) as admin:
        saved(admin, settings={"prompt": "As an oil painting"})

        assert camera.shoot().status_code == 200
        assert sandbox.calls()[-1]["prompt"] == "As an oil painting"
        saved(admin, 2, is_active=False)
        assert camera.shoot().json()["failure_reason"] == "slot_disabled"


def test_a_slots_own_window_overrides_the_services(
    admin: Admin, camera: Camera, rows: Rows
) -> None:
    saved(admin, sync_response_seconds=20)

    camera.shoot()
    camera.shoot(slot="slot-002")

    windows = rows("select slot_id, deadline_at - created_at as window from job_history")
    assert {row["slot_id"]: row["window"].total_seconds() for row in windows} == {
        "slot-001": 20,
        "slot-002": 48,
    }


def test_limits_hold_at_the_next_shot(admin: Admin, camera: Camera) -> None:
    saved(admin, daily_limit=1)

    assert camera.shoot().status_code == 200
    assert camera.shoot().json()["failure_reason"] == "quota_exceeded"


def test_a_slots_own_password_lets_only_its_cameras_in(
    admin: Admin, camera: Camera, service: Service
) -> None:
    after = saved(admin, ingest_password="its own password")

    assert "its own password" not in json.dumps(after)
    assert camera.shoot(password=PASSWORD).status_code == 401
    assert camera.shoot(password="its own password").status_code == 200
    assert camera.shoot(slot="slot-002", password="its own password").status_code == 401
    assert camera.shoot(slot="slot-002", password=PASSWORD).status_code == 200
    assert "its own password" not in service.output


def test_a_refused_change_leaves_the_password_alone(admin: Admin, camera: Camera) -> None:
    assert change(admin, ingest_password="its own password", operation="x").status_code == 422
    assert change(admin, 9, ingest_password="its own password").status_code == 409

    assert camera.shoot(password=PASSWORD).status_code == 200


@pytest.mark.parametrize(
    "lock",
    [
        "update slot set name = 'held' where id = 'slot-001'",
        "select * from slot where id = 'slot-001' for update",
    ],
)
def test_a_held_slot_refuses_the_admin_and_not_the_camera(
    admin: Admin, camera: Camera, tables: Tables, lock: str
) -> None:
    with held(tables, lock):
        started = time.monotonic()
        answer = change(admin, name="Mine")
        waited = time.monotonic() - started
        shot = camera.shoot()

    assert (answer.status_code, answer.json()["failure_reason"]) == (503, "database_unavailable")
    assert "retry-after" in answer.headers
    assert waited < 4
    assert shot.status_code == 200
    assert "x-result-stored" not in shot.headers
    assert change(admin, name="Mine").status_code == 200
