"""A shot from the admin's browser: the way of every shot, and nobody else's business."""

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import photos
import pytest
from admin import Admin, signed_in
from camera import Camera
from PIL import Image
from rig import Sandbox, Service
from tables import ChangeSlot, Disk, Rows

URL = "/api/slots/slot-001/test-run"


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


def take_test_shot(
    admin: Admin,
    change: object = None,
    photo: bytes | None = None,
    *,
    headers: dict[str, str] | None = None,
    change_last: bool = False,
) -> httpx.Response:
    """Send a test shot; `change` is what is not saved yet, as an object or as raw text."""
    file = ("file", ("test.jpg", photos.jpeg() if photo is None else photo, "image/jpeg"))
    text = change if isinstance(change, str) else json.dumps(change)
    parts: list[Any] = [file] if change is None else [("change", (None, text)), file]
    return admin.post(URL, files=parts[::-1] if change_last else parts, headers=headers)


# The name is the endpoint's; it is a helper, not a claim.
take_test_shot.__test__ = False  # type: ignore[attr-defined]


def paths(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    assert answer.json()["failure_reason"] == "invalid_fields"
    return [error["path"] for error in answer.json()["errors"]]


def test_it_answers_with_the_edited_picture(admin: Admin) -> None:
    answer = take_test_shot(admin)

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-provider"] == "gemini"
    assert "server-timing" in answer.headers
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.format == "JPEG"


def test_json_tells_of_it(admin: Admin) -> None:
    answer = take_test_shot(admin, headers={"accept": "application/json"})

    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "done"


def test_its_row_says_that_it_is_a_test(admin: Admin, rows: Rows) -> None:
    answer = take_test_shot(admin)

    [row] = rows("select id, slot_id, source, status, attempt_count from job_history")
    assert (str(row["id"]), row["slot_id"]) == (answer.headers["x-job-id"], "slot-001")
    assert (row["source"], row["status"], row["attempt_count"]) == ("test", "done", 1)


def test_it_needs_no_password_and_no_active_slot(
    admin: Admin, slot: ChangeSlot, camera: Camera
) -> None:
    slot("slot-001", is_active=False, ingest_password_hash=None)

    assert camera.shoot().status_code == 404
    assert take_test_shot(admin).status_code == 200


@pytest.mark.parametrize("change_last", [False, True])
def test_unsaved_settings_are_tried_and_not_saved(
    admin: Admin, sandbox: Sandbox, camera: Camera, change_last: bool
) -> None:
    before = admin.get("/api/slots/slot-001").json()

    tried = take_test_shot(admin, {"settings": {"prompt": "Unsaved"}}, change_last=change_last)
    camera.shoot()

    assert tried.status_code == 200, tried.text
    first, second = sandbox.calls()
    assert first["prompt"] == "Unsaved"
    assert second["prompt"] == before["settings"]["prompt"]
    assert admin.get("/api/slots/slot-001").json() == before


def test_an_unsaved_template_is_tried(admin: Admin, sandbox: Sandbox) -> None:
    files = {"file": ("s.png", photos.png(300, 200), "image/png")}
    media_id = admin.post("/api/template-media", files=files).json()["id"]
    change = {
        "operation": "style_transfer",
        "templates": [{"role": "style", "media_id": media_id}],
    }

    assert take_test_shot(admin, change).status_code == 200
    [call] = sandbox.calls()
    assert [image["width"] for image in call["images"]] == [640, 300]


def test_an_unsaved_side_is_tried(admin: Admin, sandbox: Sandbox) -> None:
    assert take_test_shot(admin, {"max_side_px": 256}).status_code == 200

    [call] = sandbox.calls()
    assert max(call["images"][0]["width"], call["images"][0]["height"]) == 256


def test_an_unsaved_window_is_tried(admin: Admin, rows: Rows) -> None:
    take_test_shot(admin, {"sync_response_seconds": 12})

    [row] = rows("select deadline_at - created_at as window from job_history")
    assert row["window"].total_seconds() == 12


@pytest.mark.slow
def test_an_unsaved_window_ends_a_provider_that_is_silent(
    admin: Admin, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    sandbox.dial(["hang"])

    answer = take_test_shot(admin, {"sync_response_seconds": 10})

    assert (answer.status_code, answer.json()["failure_reason"]) == (504, "provider_timeout")
    assert answer.elapsed.total_seconds() == pytest.approx(9, abs=1)
    assert rows("select source, status from job_history") == [
        {"source": "test", "status": "timeout"}
    ]
    assert disk() == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"settings": {"prompt": ""}}, ["settings.prompt"]),
        ({"provider": "nobody"}, ["provider"]),
        ({"operation": "grow"}, ["operation"]),
        ({"operation": "style_transfer"}, ["templates"]),
        ({"max_side_px": 100}, ["max_side_px"]),
        ({"settings": {"prompt": 1}, "max_side_px": 100}, ["settings.prompt", "max_side_px"]),
    ],
)
def test_unsaved_settings_are_checked_like_saved_ones(
    admin: Admin, sandbox: Sandbox, rows: Rows, disk: Disk, change: object, expected: list[str]
) -> None:
    assert paths(take_test_shot(admin, change)) == expected
    assert sandbox.calls() == []
    assert rows("select 1 from job_history") == []
    assert disk() == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": "x"}, "name"),
        ({"version": 1}, "version"),
        ({"sync_response_seconds": 61}, "sync_response_seconds"),
        ({"settings": []}, "settings"),
        ({"settings": {"prompt": "a\0b"}}, "settings.prompt"),
    ],
)
def test_what_a_test_cannot_change_is_named(admin: Admin, change: object, path: str) -> None:
    [found] = paths(take_test_shot(admin, change))
    assert found.removeprefix("change.") == path


@pytest.mark.parametrize("text", ["{", "no json", '{"settings": {"a": ' + "[" * 9_000])
def test_a_change_that_is_no_json_is_refused(admin: Admin, sandbox: Sandbox, text: str) -> None:
    answer = take_test_shot(admin, text)

    assert (answer.status_code, answer.json()["failure_reason"]) == (400, "invalid_request")
    assert sandbox.calls() == []


@pytest.mark.parametrize(
    ("photo", "status", "reason"),
    [
        (photos.html(), 415, "unsupported_media_type"),
        (photos.cut(photos.jpeg()), 415, "invalid_image"),
        (photos.png_flood(), 413, "image_too_large"),
        (b"", 400, "invalid_request"),
    ],
)
def test_its_photo_is_checked_like_a_shot(
    admin: Admin, sandbox: Sandbox, disk: Disk, photo: bytes, status: int, reason: str
) -> None:
    answer = take_test_shot(admin, photo=photo)

    assert (answer.status_code, answer.json()["failure_reason"]) == (status, reason)
    assert sandbox.calls() == []
    assert disk() == []


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [
        ("bad_key", 503, "provider_auth"),
        ("content_blocked", 422, "content_blocked"),
        ("garbage", 502, "provider_bad_response"),
        ("quota", 503, "provider_quota"),
    ],
)
def test_a_providers_refusal_is_told_and_kept(
    admin: Admin, sandbox: Sandbox, rows: Rows, disk: Disk, outcome: str, status: int, reason: str
) -> None:
    sandbox.dial([outcome])

    answer = take_test_shot(admin)

    assert (answer.status_code, answer.json()["failure_reason"]) == (status, reason)
    assert rows("select source, status, failure_reason from job_history") == [
        {"source": "test", "status": "failed", "failure_reason": reason}
    ]
    assert disk() == []


def test_it_stands_in_line_like_every_shot(
    admin: Admin, camera: Camera, slot: ChangeSlot, sandbox: Sandbox
) -> None:
    slot("slot-001", daily_limit=1)
    assert camera.shoot().status_code == 200

    answer = take_test_shot(admin)

    assert (answer.status_code, answer.json()["failure_reason"]) == (429, "quota_exceeded")


def test_an_unknown_slot_has_no_tests(admin: Admin) -> None:
    files = {"file": ("a.jpg", photos.jpeg(), "image/jpeg")}
    answer = admin.post("/api/slots/slot-099/test-run", files=files)
    json_answer = admin.post(URL, json={})

    assert (answer.status_code, answer.json()["failure_reason"]) == (404, "slot_not_found")
    assert json_answer.json()["failure_reason"] == "unsupported_media_type"


def test_every_test_is_a_new_order(admin: Admin, sandbox: Sandbox) -> None:
    photo = photos.jpeg()

    ids = {take_test_shot(admin, photo=photo).headers["x-job-id"] for _ in range(2)}

    assert len(ids) == 2
    assert len(sandbox.calls()) == 2


def test_its_picture_is_not_public(admin: Admin) -> None:
    answer = take_test_shot(admin)
    job_id = answer.headers["x-job-id"]

    assert "link" not in answer.headers
    with Admin(admin.service) as guest:
        for path in (f"/public/results/{job_id}", f"/public/results/{job_id}/preview"):
            refused = guest.get(path)
            unknown = guest.get(path.replace(job_id, "00000000-0000-4000-8000-000000000000"))
            assert refused.status_code == 404
            assert refused.json() == unknown.json()
        told = guest.get(f"/api/jobs/{job_id}").json()
    assert told.get("result_url") is None
    in_json = take_test_shot(admin, headers={"accept": "application/json"}).json()
    assert in_json.get("result_url") is None


def test_it_is_not_in_a_gallery(admin: Admin, camera: Camera) -> None:
    shown = camera.shoot().headers["x-job-id"]
    tested = take_test_shot(admin).headers["x-job-id"]
    share = admin.post("/api/shares", json={"slot_id": "slot-001"})
    assert share.is_success, share.text
    token = str(share.json()["url"]).split("share=")[1]

    gallery = admin.get(f"/public/slots/slot-001?share={token}")

    assert gallery.status_code == 200, gallery.text
    assert shown in gallery.text
    assert tested not in gallery.text


def test_it_is_not_counted_as_traffic(admin: Admin, camera: Camera, sandbox: Sandbox) -> None:
    camera.shoot()
    before = [admin.get(path).json() for path in ("/api/stats", "/api/stats/slots")]
    assert before[0]["shots"] == 1

    take_test_shot(admin)
    sandbox.dial(["garbage"])
    take_test_shot(admin)

    after = [admin.get(path).json() for path in ("/api/stats", "/api/stats/slots")]
    assert counted(after) == counted(before)


def counted(figures: list[Any]) -> list[tuple[str, Any]]:
    """Every figure about shots in an answer, by its name."""
    names = {"shots", "done", "failed", "timeout", "attempts", "tokens", "cost_microusd"}
    found: list[tuple[str, Any]] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                if name in names and not isinstance(item, dict | list):
                    found.append((name, item))
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(figures)
    assert ("done", 1) in found
    return found


def test_it_stands_in_the_journal_as_a_test(admin: Admin, camera: Camera) -> None:
    camera.shoot()
    tested = take_test_shot(admin).headers["x-job-id"]

    told = admin.get("/api/jobs?source=test").json()

    assert tested in json.dumps(told)
    assert len(next(v for v in told.values() if isinstance(v, list))) == 1


def test_a_stranger_uploads_nothing(service: Service, disk: Disk) -> None:
    with Admin(service) as stranger:
        answer = take_test_shot(stranger)

    assert (answer.status_code, answer.json()["failure_reason"]) == (401, "unauthorized")
    assert disk() == []
