"""The audit: who signed in and who changed what, readable page by page."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import photos
import pytest
from admin import ADMIN, ADMIN_PASSWORD, Admin, ensure_account, signed_in
from rig import Service
from tables import Execute, Rows


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service, anew=True) as admin:
        yield admin


def page(admin: Admin, **params: Any) -> dict[str, Any]:
    answer = admin.get("/api/audit", params=params)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def actions(admin: Admin, **params: Any) -> list[str]:
    return [entry["action"] for entry in page(admin, **params)["entries"]]


def write(execute: Execute, count: int) -> None:
    """So many entries of two admins, of two actions."""
    execute(
        "insert into audit_log (actor, address, action, target)"
        " select 'admin-' || n %% 2, '10.0.0.1', 'action-' || n %% 3, n::text"
        " from generate_series(1, %s) as n",
        count,
    )


def test_a_sign_in_is_an_entry(admin: Admin) -> None:
    [entry] = page(admin)["entries"]

    assert set(entry) == {"id", "at", "actor", "address", "action", "target", "details"}
    assert (entry["actor"], entry["action"]) == (ADMIN, "auth.login.success")
    assert entry["address"] == "127.0.0.1"
    age = datetime.now(UTC) - datetime.fromisoformat(entry["at"])
    assert 0 <= age.total_seconds() < 60


def test_a_failed_sign_in_is_an_entry_without_the_password(
    admin: Admin, service: Service, rows: Rows
) -> None:
    ensure_account(service)
    with Admin(service) as stranger:
        assert stranger.login(ADMIN, "not the password").status_code == 401
        assert stranger.login("nobody", ADMIN_PASSWORD).status_code == 401

    entries = page(admin, action="auth.login.failure")["entries"]

    assert [entry["actor"] for entry in entries] == ["nobody", ADMIN]
    assert {entry["details"]["reason"] for entry in entries} == {"invalid_credentials"}
    written = str(rows("select * from audit_log"))
    assert "not the password" not in written
    assert ADMIN_PASSWORD not in written


def test_every_change_is_an_entry(admin: Admin) -> None:
    slot = admin.get("/api/slots/slot-001").json()
    changed = admin.put("/api/slots/slot-001", {"version": slot["version"], "name": "Entrance"})
    assert changed.status_code == 200, changed.text
    assert admin.post("/api/slots/slot-001/versions/1/restore").status_code == 200
    settings = admin.get("/api/settings").json()
    ttl = {"version": settings["version"], "result_ttl_hours": 24}
    assert admin.put("/api/settings", ttl).status_code == 200
    files = {"file": ("style.jpg", photos.jpeg(text="style"), "image/jpeg")}
    template = admin.post("/api/template-media", files=files).json()["id"]
    assert admin.delete(f"/api/template-media/{template}").status_code == 204
    share = admin.post("/api/shares", json={"hours": 1}).json()["id"]
    assert admin.delete(f"/api/shares/{share}").status_code == 204
    assert admin.post("/api/cleanup").status_code == 200

    entries = page(admin)["entries"]

    assert [(entry["action"], entry["target"]) for entry in entries[::-1]] == [
        ("auth.login.success", ADMIN),
        ("slot.change", "slot-001"),
        ("slot.restore", "slot-001"),
        ("settings.change", "settings"),
        ("template.add", template),
        ("template.remove", template),
        ("share.add", share),
        ("share.revoke", share),
        ("cleanup", "all"),
    ]
    assert {entry["actor"] for entry in entries} == {ADMIN}
    details = {entry["action"]: entry["details"] for entry in entries}
    assert details["slot.change"] == {"version": 2, "changed": ["name"]}
    assert details["slot.restore"]["from_version"] == 1


def test_a_refused_change_is_no_entry(admin: Admin) -> None:
    assert admin.put("/api/slots/slot-001", {"version": 99, "name": "x"}).status_code == 409
    assert admin.put("/api/slots/slot-001", {"version": 1, "name": ""}).status_code == 422
    assert admin.post("/api/shares", json={"hours": 0}).status_code == 422

    assert actions(admin) == ["auth.login.success"]


def test_a_look_is_no_entry(admin: Admin) -> None:
    for path in ("/api/slots", "/api/settings", "/api/jobs", "/api/audit", "/api/stats"):
        assert admin.get(path).status_code == 200

    assert actions(admin) == ["auth.login.success"]


def test_a_password_set_for_a_slot_is_an_entry_without_it(admin: Admin, rows: Rows) -> None:
    change = {"version": 1, "ingest_password": "a new word for cameras"}
    assert admin.put("/api/slots/slot-001", change).status_code == 200

    [entry] = page(admin, action="slot.change")["entries"]

    assert entry["details"]["changed"] == ["ingest_password"]
    assert "a new word for cameras" not in str(rows("select * from audit_log"))


def test_pages_have_no_gap_and_no_repeat(admin: Admin, execute: Execute) -> None:
    write(execute, 10)

    seen, before = [], None
    while True:
        told = page(admin, limit=4, **({"before": before} if before else {}))
        seen.append([entry["id"] for entry in told["entries"]])
        execute(
            "insert into audit_log (actor, address, action, target) values ('x', 'x', 'x', 'x')"
        )
        if (before := told["next_before"]) is None:
            break

    flat = [number for one in seen for number in one]
    assert [len(one) for one in seen] == [4, 4, 3]
    assert flat == sorted(set(flat), reverse=True)


def test_a_page_that_is_just_full_has_nothing_below(admin: Admin, execute: Execute) -> None:
    write(execute, 3)

    told = page(admin, limit=4)

    assert (len(told["entries"]), told["next_before"]) == (4, None)


def test_filters_let_through_what_they_name(admin: Admin, execute: Execute) -> None:
    write(execute, 12)

    assert [e["target"] for e in page(admin, actor="admin-1")["entries"]] == [
        "11",
        "9",
        "7",
        "5",
        "3",
        "1",
    ]
    assert [e["target"] for e in page(admin, action="action-0")["entries"]] == ["12", "9", "6", "3"]
    both = page(admin, actor="admin-0", action="action-0", limit=1)
    assert [entry["target"] for entry in both["entries"]] == ["12"]
    rest = page(admin, actor="admin-0", action="action-0", before=both["next_before"])
    assert [entry["target"] for entry in rest["entries"]] == ["6"]
    assert page(admin, actor="nobody")["entries"] == []


@pytest.mark.parametrize("name", ["actor", "action"])
@pytest.mark.parametrize("value", ["%00", "serg%00", "' or 1=1 --", "%F0%9F%98%80"])
def test_no_text_breaks_a_filter(admin: Admin, name: str, value: str) -> None:
    answer = admin.get(f"/api/audit?{name}={value}")

    assert (answer.status_code, answer.json()["entries"]) == (200, [])


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "before=x",
        "before=1.5",
        "before=99999999999999999999",
        "before=9223372036854775808",
        "before=-99999999999999999999",
        "page=2",
    ],
)
def test_a_query_nobody_understands_is_refused(admin: Admin, query: str) -> None:
    answer = admin.get(f"/api/audit?{query}")

    assert (answer.status_code, answer.headers["x-failure-reason"]) == (422, "invalid_fields")
    assert [error["path"] for error in answer.json()["errors"]] == [query.partition("=")[0]]


def test_nobody_can_write_or_remove_an_entry(admin: Admin, service: Service) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = admin.request(method, "/api/audit")
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert httpx.get(f"{service.url}/api/audit", trust_env=False).status_code == 401
