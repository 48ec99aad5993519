"""The disk of MEDIA_ROOT goes away under a running service: an empty folder, or another one, lies
in its place. Nothing is called gone, nothing is made there, and all is as before once it is back.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import photos
import pytest
from admin import Admin, signed_in
from camera import Camera
from rig import Sandbox, Service, until
from tables import ChangeSlot, Execute, Rows

from service.storage.media import MARK

Away = Callable[[Path], None]


def empty(root: Path) -> None:
    """What lies under a disk that is not mounted."""


def with_folders(root: Path) -> None:
    """The same, with folders that somebody made there."""
    for name in ("temp", "results", "previews", "templates"):
        (root / name).mkdir()


def of_another(root: Path) -> None:
    """The disk of another installation."""
    with_folders(root)
    (root / MARK).write_text(f"{uuid4()}\n")


@contextmanager
def away(root: Path, instead: Away = empty) -> Iterator[None]:
    """The folder is elsewhere while the block runs; nothing may have been made in its place."""
    elsewhere = root.with_name("elsewhere")
    root.rename(elsewhere)
    root.mkdir()
    try:
        instead(root)
        before = sorted(root.rglob("*"))
        yield
        assert sorted(root.rglob("*")) == before
    finally:
        shutil.rmtree(root)
        elsewhere.rename(root)


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


def assert_storage_error(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["failure_reason"]) == (503, "storage_error")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("instead", [empty, with_folders, of_another])
def test_pictures_are_not_gone_with_their_disk(
    service: Service, camera: Camera, admin: Admin, rows: Rows, instead: Away
) -> None:
    shots = [camera.shoot() for _ in range(3)]
    urls = [f"{service.url}/public/results/{shot.headers['x-job-id']}" for shot in shots]
    assert httpx.get(f"{urls[0]}/preview", trust_env=False).status_code == 200
    added = admin.post("/api/template-media", files={"file": ("style.png", photos.png())})
    template = f"/api/template-media/{added.json()['id']}"
    share = admin.post("/api/shares", json={"hours": 1}).json()
    gallery = f"{service.url}/public/slots?share={share['url'].partition('share=')[2]}"
    assert httpx.get(gallery, trust_env=False).status_code == 200, share

    with away(service.media_root, instead):
        for url in (*urls, *(f"{url}/preview" for url in urls), gallery):
            assert_storage_error(httpx.get(url, trust_env=False))
        for address in (template, f"{template}/preview"):
            assert_storage_error(admin.get(address))

    assert rows("select id from media_object where cleaned_at is not null") == []
    for url, shot in zip(urls, shots, strict=True):
        assert httpx.get(url, trust_env=False).content == shot.content
        assert httpx.get(f"{url}/preview", trust_env=False).status_code == 200
    assert admin.get(template).status_code == 200
    assert admin.get(f"{template}/preview").status_code == 200
    assert httpx.get(gallery, trust_env=False).status_code == 200


@pytest.mark.parametrize("instead", [empty, with_folders, of_another])
def test_a_shot_is_refused_before_its_body_and_goes_to_no_other_disk(
    service: Service, camera: Camera, sandbox: Sandbox, rows: Rows, instead: Away
) -> None:
    body, mime = camera.multipart()
    with away(service.media_root, instead):
        with camera.wire() as wire:
            wire.send(camera.request(body, mime))
            answer = wire.answer()
        assert (answer.status, answer.reason) == (503, "storage_error")
        assert wire.interim == []
        until(lambda: health(service) == "storage_error", "health has seen it")
    assert rows("select id from job_history") == []
    assert sandbox.calls() == []

    until(lambda: health(service) == "ok", "the disk is back")
    assert camera.shoot().status_code == 200


def health(service: Service) -> str:
    answer = httpx.get(f"{service.url}/healthz", trust_env=False)
    media: str = answer.json()["checks"]["media"]
    assert (answer.status_code == 200) == (media == "ok")
    return media


def test_a_retry_is_not_paid_again(service: Service, camera: Camera, sandbox: Sandbox) -> None:
    headers = {"idempotency-key": "once"}
    first = camera.shoot(headers=headers)

    with away(service.media_root):
        assert_storage_error(camera.shoot(headers=headers))

    again = camera.shoot(headers=headers)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert len(sandbox.calls()) == 1


def test_nothing_is_removed_that_cannot_be(
    service: Service, camera: Camera, admin: Admin, rows: Rows
) -> None:
    shot = camera.shoot()
    url = f"{service.url}/public/results/{shot.headers['x-job-id']}"
    key = {"x-delete-key": shot.headers["x-page-url"].partition("#")[2]}
    added = admin.post("/api/template-media", files={"file": ("style.png", photos.png())})
    template = f"/api/template-media/{added.json()['id']}"

    with away(service.media_root):
        assert_storage_error(httpx.delete(url, headers=key, trust_env=False))
        assert_storage_error(admin.delete(template))
        other = {"file": ("style.png", photos.png(99, 99))}
        assert_storage_error(admin.post("/api/template-media", files=other))

    assert rows("select id from media_object where cleaned_at is not null") == []
    assert httpx.get(url, trust_env=False).content == shot.content
    assert admin.get(template).status_code == 200


def test_a_slot_with_a_template_is_not_misconfigured(
    service: Service, camera: Camera, admin: Admin, slot: ChangeSlot, sandbox: Sandbox
) -> None:
    added = admin.post("/api/template-media", files={"file": ("style.png", photos.png())})
    use = [{"role": "style", "media_id": added.json()["id"]}]
    slot("slot-001", operation="style_transfer", settings={"prompt": "Snow"}, templates=use)
    assert camera.shoot().status_code == 200
    [path] = (service.media_root / "templates").rglob("*.png")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])

    cut = camera.shoot()

    path.write_bytes(whole)
    assert_storage_error(cut)
    assert len(sandbox.calls()) == 1
    assert camera.shoot().status_code == 200


def test_a_picture_that_is_not_whole_is_not_shown(
    service: Service, camera: Camera, rows: Rows, execute: Execute
) -> None:
    headers = {"idempotency-key": "once"}
    shot = camera.shoot(headers=headers)
    url = f"{service.url}/public/results/{shot.headers['x-job-id']}"
    [path] = (service.media_root / "results").rglob("*.*")
    path.write_bytes(shot.content[: len(shot.content) // 2])

    for address in (url, f"{url}/preview"):
        assert_storage_error(httpx.get(address, trust_env=False))
    assert_storage_error(camera.shoot(headers=headers))

    path.write_bytes(shot.content)
    assert httpx.get(url, trust_env=False).content == shot.content
    assert camera.shoot(headers=headers).content == shot.content
