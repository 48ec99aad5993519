"""The button that removes what is over: expired files go, everything else stays."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import photos
import pytest
from admin import Admin, signed_in
from camera import Camera
from conftest import MakeService
from rig import Service
from tables import Disk, Execute, Rows

MANY = 1200
NOTHING = {"files": 0, "bytes": 0, "rows": 0, "failed": 0, "interrupted": 0, "adopted": 0}


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


def clean(admin: Admin, slot_id: str | None = None) -> dict[str, int]:
    path = f"/api/slots/{slot_id}/cleanup" if slot_id else "/api/cleanup"
    answer = admin.post(path)
    assert answer.status_code == 200, answer.text
    told: dict[str, int] = answer.json()
    return told


def expire(execute: Execute, *job_ids: str) -> int:
    """The time of these jobs' files is over."""
    return execute(
        "update media_object set expires_at = now() where job_id = any(%s::uuid[])", list(job_ids)
    )


def fill(execute: Execute, rows: Rows, service: Service, count: int) -> list[Path]:
    """So many expired results with their files."""
    execute(
        "with job as ("
        " insert into job_history (id, slot_id, slot_version, status, provider, operation,"
        " created_at, finished_at, client_address, total_ms, stored)"
        " select gen_random_uuid(), 'slot-001', 1, 'done', 'gemini', 'image_edit', at, at,"
        " '10.0.0.1', 8000, true"
        " from generate_series(1, %s) as n,"
        " lateral (select now() - make_interval(days => 4, secs => n)) t(at)"
        " returning id, finished_at)"
        " insert into media_object (kind, job_id, path, mime, bytes, sha256, width, height,"
        " created_at, expires_at)"
        " select 'result', id, 'results/' || id || '.jpg', 'image/jpeg', 9, '', 640, 480,"
        " finished_at, finished_at + interval '72 hours' from job",
        count,
    )
    paths = [service.media_root / row["path"] for row in rows("select path from media_object")]
    for path in paths:
        path.write_bytes(b"a picture")
    return paths


def test_expired_files_are_removed(
    admin: Admin, camera: Camera, rows: Rows, execute: Execute, disk: Disk
) -> None:
    shot = camera.shoot()
    job_id = shot.headers["x-job-id"]
    url = f"{admin.service.url}/public/results/{job_id}"
    assert httpx.get(f"{url}/preview", trust_env=False).status_code == 200
    [sizes] = rows("select sum(bytes)::integer as bytes from media_object")
    assert expire(execute, job_id) == 2

    told = clean(admin)

    assert told == NOTHING | {"files": 2, "bytes": sizes["bytes"]}
    assert disk("results", "previews", "temp") == []
    assert {row["cleaned_at"] is None for row in rows("select cleaned_at from media_object")} == {
        False
    }
    assert httpx.get(url, trust_env=False).status_code == 410


def test_what_has_time_left_is_kept(admin: Admin, camera: Camera, rows: Rows, disk: Disk) -> None:
    shot = camera.shoot()

    assert clean(admin) == NOTHING

    assert len(disk("results")) == 1
    assert [row["cleaned_at"] for row in rows("select cleaned_at from media_object")] == [None]
    kept = httpx.get(shot.headers["link"].partition(">")[0][1:], trust_env=False)
    assert kept.content == shot.content


def test_a_slot_cleans_only_its_own(
    admin: Admin, camera: Camera, execute: Execute, disk: Disk
) -> None:
    one = camera.shoot(slot="slot-001").headers["x-job-id"]
    other = camera.shoot(slot="slot-002").headers["x-job-id"]
    assert expire(execute, one, other) == 2

    assert clean(admin, "slot-002")["files"] == 1

    assert [Path(path).stem for path in disk("results")] == [one]
    assert clean(admin, "slot-002")["files"] == 0
    assert clean(admin, "slot-001")["files"] == 1
    assert disk("results") == []


@pytest.mark.parametrize("slot_id", ["slot-999", "%00", "SLOT-001"])
def test_a_slot_nobody_knows_is_not_cleaned(admin: Admin, slot_id: str) -> None:
    answer = admin.post(f"/api/slots/{slot_id}/cleanup")

    assert (answer.status_code, answer.headers["x-failure-reason"]) == (404, "slot_not_found")


def test_templates_are_never_cleaned(
    admin: Admin, rows: Rows, execute: Execute, disk: Disk
) -> None:
    files = {"file": ("style.jpg", photos.jpeg(text="style"), "image/jpeg")}
    template = admin.post("/api/template-media", files=files).json()["id"]
    execute("update media_object set created_at = now() - interval '2 years'")

    assert clean(admin)["files"] == 0

    assert len(disk("templates")) == 1
    assert rows("select cleaned_at from media_object") == [{"cleaned_at": None}]
    assert admin.get(f"/api/template-media/{template}").status_code == 200


def test_a_second_time_there_is_nothing_left(
    admin: Admin, camera: Camera, execute: Execute
) -> None:
    expire(execute, camera.shoot().headers["x-job-id"])

    assert [clean(admin)["files"] for _ in range(3)] == [1, 0, 0]


def test_a_file_that_is_gone_already_is_fine(
    admin: Admin, camera: Camera, rows: Rows, execute: Execute, disk: Disk
) -> None:
    expire(execute, camera.shoot().headers["x-job-id"])
    [lost] = disk("results")
    (admin.service.media_root / lost).unlink()

    told = clean(admin)

    assert (told["files"], told["failed"]) == (1, 0)
    assert rows("select 1 from media_object where cleaned_at is null") == []


def test_a_folder_in_the_way_is_logged_and_left(
    admin: Admin, camera: Camera, rows: Rows, execute: Execute, disk: Disk
) -> None:
    stuck, free = (camera.shoot().headers["x-job-id"] for _ in range(2))
    expire(execute, stuck, free)
    [row] = rows("select path from media_object where job_id = %s", stuck)
    in_the_way = admin.service.media_root / row["path"]
    in_the_way.unlink()
    in_the_way.mkdir()
    try:
        told = clean(admin)
        line = admin.service.wait_log("cleanup.not_removed")
    finally:
        in_the_way.rmdir()

    assert (told["files"], told["failed"]) == (1, 1)
    assert line["path"] == row["path"]
    left = rows("select job_id from media_object where cleaned_at is null")
    assert [str(row["job_id"]) for row in left] == [stuck]
    assert clean(admin)["files"] == 1


def test_many_files_go_in_batches(admin: Admin, rows: Rows, execute: Execute, disk: Disk) -> None:
    fill(execute, rows, admin.service, MANY)

    assert clean(admin) == NOTHING | {"files": MANY, "bytes": 9 * MANY}

    assert disk("results") == []
    assert rows("select 1 from media_object where cleaned_at is null") == []


def test_a_file_that_cannot_go_does_not_keep_the_others(
    admin: Admin, rows: Rows, execute: Execute, disk: Disk
) -> None:
    paths = fill(execute, rows, admin.service, MANY)
    stuck = sorted(paths)[:3]
    for path in stuck:
        path.unlink()
        path.mkdir()
    try:
        told = clean(admin)
    finally:
        for path in stuck:
            path.rmdir()

    assert (told["files"], told["failed"]) == (MANY - 3, 3)
    assert disk("results") == []


def test_two_at_once_share_the_work(
    admin: Admin, make_service: MakeService, rows: Rows, execute: Execute, disk: Disk
) -> None:
    second = make_service()
    fill(execute, rows, second, MANY)

    with signed_in(second) as there, ThreadPoolExecutor() as threads:
        told = list(threads.map(clean, (admin, there, admin, there)))

    assert sum(one["files"] for one in told) == MANY
    assert {one["failed"] for one in told} == {0}
    assert disk("results") == []
    assert rows("select 1 from media_object where cleaned_at is null") == []


def test_a_download_goes_on_while_its_file_is_removed(
    admin: Admin, camera: Camera, execute: Execute
) -> None:
    shot = camera.shoot()
    link = shot.headers["link"].partition(">")[0][1:]
    with httpx.stream("GET", link, trust_env=False) as download:
        pieces = download.iter_bytes(1000)
        first = next(pieces)
        expire(execute, shot.headers["x-job-id"])
        assert clean(admin)["files"] == 1
        rest = b"".join(pieces)

    assert first + rest == shot.content
    assert httpx.get(link, trust_env=False).status_code == 410


def test_a_cleanup_is_in_the_audit(admin: Admin, camera: Camera, execute: Execute) -> None:
    expire(execute, camera.shoot().headers["x-job-id"])
    told = clean(admin, "slot-001")
    clean(admin)

    entries = admin.get("/api/audit?action=cleanup").json()["entries"]

    assert [(entry["actor"], entry["target"]) for entry in entries] == [
        ("serg", "all"),
        ("serg", "slot-001"),
    ]
    assert entries[1]["details"] == told
