"""Template images: taken in, put to use, kept while used, removed."""

import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import photos
import pytest
from admin import ADMIN, Admin, signed_in
from camera import Camera
from PIL import Image
from rig import Sandbox, Service
from tables import Disk, Rows

URL = "/api/template-media"
SLOT = "/api/slots/slot-001"
NOWHERE = f"{URL}/00000000-0000-4000-8000-000000000000"


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


def upload(admin: Admin, data: bytes, name: str = "style.jpg", **parts: Any) -> httpx.Response:
    return admin.post(URL, files={"file": (name, data, "image/jpeg"), **parts})


def added(admin: Admin, data: bytes | None = None) -> str:
    answer = upload(admin, photos.jpeg(320, 200, text="style") if data is None else data)
    assert answer.status_code in (200, 201), answer.text
    template_id: str = answer.json()["id"]
    return template_id


def use(admin: Admin, *media_ids: str, version: int = 1, **fields: object) -> httpx.Response:
    """Put templates to use as the styles of a slot."""
    templates = [{"role": "style", "media_id": media_id} for media_id in media_ids]
    return admin.put(SLOT, {"version": version, "templates": templates, **fields})


def listed(admin: Admin) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.get(URL).json()["templates"]
    return found


@pytest.mark.parametrize(
    ("data", "mime"),
    [
        (photos.jpeg(320, 200), "image/jpeg"),
        (photos.png(320, 200), "image/png"),
        (photos.webp(320, 200), "image/webp"),
        (photos.heic(320, 200), "image/heic"),
    ],
    ids=["jpeg", "png", "webp", "heic"],
)
def test_an_upload_is_described_and_kept(admin: Admin, disk: Disk, data: bytes, mime: str) -> None:
    answer = upload(admin, data)

    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["mime"], told["width"], told["height"]) == (mime, 320, 200)
    assert told["bytes"] == len(data)
    assert "path" not in told
    [path] = disk("templates")
    assert told["id"] in path
    assert disk("temp") == []


def test_the_image_itself_can_be_read(admin: Admin) -> None:
    data = photos.png(320, 200)

    answer = admin.get(f"{URL}/{added(admin, data)}")

    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "private" in answer.headers["cache-control"]


def test_its_preview_is_a_small_webp(admin: Admin) -> None:
    template_id = added(admin, photos.big_jpeg(4))

    answer = admin.get(f"{URL}/{template_id}/preview")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    with Image.open(io.BytesIO(answer.content)) as preview:
        assert preview.format == "WEBP"
        assert max(preview.size) < 1000


def test_the_same_bytes_are_kept_once(admin: Admin, disk: Disk, rows: Rows) -> None:
    data = photos.jpeg(320, 200)

    first, again = upload(admin, data), upload(admin, data, "another-name.jpg")

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert len(disk("templates")) == 1
    [row] = rows("select kind, sha256, expires_at from media_object")
    assert row == {"kind": "template", "sha256": hashlib.sha256(data).digest(), "expires_at": None}
    assert len(rows("select 1 from audit_log where action = 'template.add'")) == 1


def test_the_same_bytes_at_once_are_kept_once(admin: Admin, disk: Disk) -> None:
    data = photos.jpeg(320, 200)
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: upload(admin, data), range(6)))

    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(disk("templates")) == 1


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (photos.html(), 415, "unsupported_media_type"),
        (photos.svg(), 415, "unsupported_media_type"),
        (photos.pdf(), 415, "unsupported_media_type"),
        (photos.gif(), 415, "unsupported_media_type"),
        (photos.cut(photos.jpeg()), 415, "invalid_image"),
        (photos.png_flood(), 413, "image_too_large"),
        (b"", 400, "invalid_request"),
        (photos.jpeg() + bytes(31 * 2**20), 413, "payload_too_large"),
    ],
    ids=["html", "svg", "pdf", "gif", "cut", "flood", "empty", "too large"],
)
def test_it_is_checked_like_a_shot(
    admin: Admin, disk: Disk, rows: Rows, data: bytes, status: int, reason: str
) -> None:
    answer = upload(admin, data)

    assert (answer.status_code, answer.json()["failure_reason"]) == (status, reason)
    assert disk("temp", "templates") == []
    assert rows("select 1 from media_object") == []


def test_two_files_or_none_are_refused(admin: Admin) -> None:
    two = upload(admin, photos.jpeg(), image=("b.jpg", photos.png(), "image/png"))
    none = admin.post(URL, files={"note": (None, "text")})
    json = admin.post(URL, json={})

    assert (two.status_code, none.status_code, json.status_code) == (400, 400, 415)


def test_the_list_tells_where_each_is_used(admin: Admin) -> None:
    used, unused = added(admin), added(admin, photos.png(100, 100))
    assert use(admin, used).status_code == 200
    fallback = {
        "provider": "gemini",
        "operation": "style_transfer",
        "settings": {"prompt": "x"},
        "templates": [{"role": "style", "media_id": used}],
    }
    saved = admin.put("/api/slots/slot-007", {"version": 1, "fallback": fallback})
    assert saved.status_code == 200, saved.text

    told = {one["id"]: one for one in listed(admin)}

    assert [one["id"] for one in listed(admin)] == [unused, used]
    assert (told[used]["used_by"], told[used]["kept_versions"]) == (["slot-001", "slot-007"], 2)
    assert (told[unused]["used_by"], told[unused]["kept_versions"]) == ([], 0)


def test_an_unused_one_is_removed_file_and_all(admin: Admin, disk: Disk, rows: Rows) -> None:
    template_id = added(admin)

    answer = admin.delete(f"{URL}/{template_id}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert disk("templates") == []
    assert listed(admin) == []
    assert admin.get(f"{URL}/{template_id}").status_code == 404
    assert admin.get(f"{URL}/{template_id}/preview").status_code == 404
    assert use(admin, template_id).json()["errors"][0]["path"] == "templates[0].media_id"
    audit = rows("select actor, target from audit_log where action = 'template.remove'")
    assert audit == [{"actor": ADMIN, "target": template_id}]


def test_the_same_bytes_may_come_back_after_a_removal(admin: Admin, disk: Disk) -> None:
    admin.delete(f"{URL}/{added(admin)}")

    template_id = added(admin)

    assert admin.get(f"{URL}/{template_id}").status_code == 200
    assert len(disk("templates")) == 1


def test_what_a_slot_uses_is_not_removed(admin: Admin, disk: Disk) -> None:
    template_id = added(admin)
    use(admin, template_id)

    answer = admin.delete(f"{URL}/{template_id}")

    assert (answer.status_code, answer.json()["failure_reason"]) == (409, "template_in_use")
    assert len(disk("templates")) == 1
    assert admin.get(f"{URL}/{template_id}").status_code == 200


def test_what_a_kept_version_used_is_not_removed(admin: Admin) -> None:
    template_id = added(admin)
    use(admin, template_id)
    use(admin, version=2)
    [told] = listed(admin)
    assert (told["used_by"], told["kept_versions"]) == ([], 1)

    assert admin.delete(f"{URL}/{template_id}").status_code == 409
    assert admin.post(f"{SLOT}/versions/2/restore").status_code == 200


@pytest.mark.parametrize("path", [NOWHERE, f"{NOWHERE}/preview"])
def test_there_is_nothing_at_another_id(admin: Admin, path: str) -> None:
    answer = admin.get(path)

    assert (answer.status_code, answer.json()["failure_reason"]) == (404, "template_not_found")


def test_what_is_not_there_cannot_be_removed(admin: Admin) -> None:
    assert admin.delete(NOWHERE).json()["failure_reason"] == "template_not_found"
    assert admin.delete(f"{URL}/not-an-id").status_code == 404
    template_id = added(admin)
    assert admin.delete(f"{URL}/{template_id}").status_code == 204
    assert admin.delete(f"{URL}/{template_id}").status_code == 404


def test_a_shots_picture_is_no_template(admin: Admin, camera: Camera, rows: Rows) -> None:
    camera.shoot()
    [row] = rows("select id from media_object where kind = 'result'")

    assert admin.get(f"{URL}/{row['id']}").status_code == 404
    assert admin.delete(f"{URL}/{row['id']}").status_code == 404
    assert use(admin, str(row["id"])).status_code == 422


def test_two_who_remove_it_at_once_do_not_stumble(admin: Admin, disk: Disk) -> None:
    for _ in range(5):
        template_id = added(admin)
        with ThreadPoolExecutor(4) as threads:
            answers = list(
                threads.map(lambda _, i=template_id: admin.delete(f"{URL}/{i}"), range(4))
            )

        statuses = sorted(answer.status_code for answer in answers)
        assert statuses.count(204) == 1, statuses
        assert set(statuses) <= {204, 404, 409}
    assert disk("templates") == []


def test_it_is_either_removed_or_put_to_use(admin: Admin, disk: Disk) -> None:
    version = 1
    for _ in range(8):
        template_id = added(admin, photos.jpeg(200 + version, 200))
        with ThreadPoolExecutor(2) as threads:
            saving = threads.submit(use, admin, template_id, version=version)
            removing = threads.submit(admin.delete, f"{URL}/{template_id}")
        outcome = (saving.result().status_code, removing.result().status_code)

        assert outcome in {(200, 409), (422, 204)}
        version += outcome[0] == 200
        assert admin.get(f"{URL}/{template_id}").status_code == {409: 200, 204: 404}[outcome[1]]


def test_a_style_reaches_the_provider_after_the_photo(
    admin: Admin, camera: Camera, sandbox: Sandbox
) -> None:
    style = photos.png(300, 200, text="style")
    saved = use(admin, added(admin, style), operation="style_transfer")
    assert saved.status_code == 200, saved.text

    shot = camera.shoot(photos.jpeg(640, 480))

    assert shot.status_code == 200, shot.text
    [call] = sandbox.calls()
    assert call["parts"] == ["image", "image", "text", "text"]
    photo, template = call["images"]
    assert (photo["width"], photo["height"]) == (640, 480)
    assert template["sha256"] == hashlib.sha256(style).hexdigest()
    assert template["mime"] == "image/png"


def test_templates_are_sent_in_the_slots_order(
    admin: Admin, camera: Camera, sandbox: Sandbox
) -> None:
    first, second = photos.jpeg(300, 200), photos.jpeg(200, 300)
    use(admin, added(admin, second), added(admin, first))

    assert camera.shoot().status_code == 200
    [call] = sandbox.calls()
    sizes = [(image["width"], image["height"]) for image in call["images"][1:]]
    assert sizes == [(200, 300), (300, 200)]


def test_a_template_whose_file_is_gone_is_told(
    admin: Admin, camera: Camera, service: Service, disk: Disk, sandbox: Sandbox
) -> None:
    template_id = added(admin)
    use(admin, template_id)
    [path] = disk("templates")
    (service.media_root / path).unlink()

    assert admin.get(f"{URL}/{template_id}").status_code == 404
    assert admin.get(f"{URL}/{template_id}/preview").status_code == 404
    shot = camera.shoot()
    assert shot.status_code == 503, shot.text
    assert shot.json()["failure_reason"] in ("not_configured", "storage_error")
    assert sandbox.calls() == []


def test_a_lost_file_comes_back_with_the_same_bytes(
    admin: Admin, service: Service, disk: Disk
) -> None:
    template_id = added(admin)
    (service.media_root / disk("templates")[0]).unlink()

    added(admin)

    assert admin.get(f"{URL}/{template_id}").status_code == 200


def test_templates_are_never_public(admin: Admin) -> None:
    template_id = added(admin)

    with Admin(admin.service) as stranger:
        for path in (f"{URL}/{template_id}", f"{URL}/{template_id}/preview", URL):
            assert stranger.get(path).status_code == 401
        assert stranger.get(f"/public/results/{template_id}").status_code == 404
        assert stranger.get(f"/public/results/{template_id}/preview").status_code == 404


def test_cleaning_up_spares_them(admin: Admin, disk: Disk) -> None:
    template_id = added(admin)

    assert admin.post("/api/cleanup").status_code == 200
    assert admin.get(f"{URL}/{template_id}").status_code == 200
