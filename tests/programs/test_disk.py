"""A service whose MEDIA_ROOT is a disk of its own: unmounted under it, and full."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import httpx
import photos
import pytest
from camera import Camera
from conftest import StartService
from rig import Process, Sandbox, Service, spawn, until
from tables import Rows

IN_A_NAMESPACE = ("unshare", "--mount")


@pytest.fixture(autouse=True)
def _may_mount(service: Service) -> None:
    """The common service has its folder already: those here have others, on the same database."""
    if os.geteuid() or subprocess.run([*IN_A_NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a disk")


def behind(
    mount: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    log_path: Path,
    folder: Path,
) -> Process:
    """Start a command that alone sees a disk at its MEDIA_ROOT; `mount` puts it there."""
    script = f'set -e; cd /; {mount} "$MEDIA_ROOT"; cd "$OLDPWD"; exec "$@"'
    wrapped = [*IN_A_NAMESPACE, "sh", "-c", script, "sh", *command]
    return spawn(wrapped, environment, log_path, folder)


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="photoslot-disk-") as folder:
        yield Path(folder)


def health(service: Service) -> str:
    answer = httpx.get(f"{service.url}/healthz", trust_env=False)
    media: str = answer.json()["checks"]["media"]
    return media


def test_a_disk_that_is_unmounted_and_mounted_again_has_lost_nothing(
    _start_service: StartService, sandbox: Sandbox, rows: Rows, tmp_path: Path, root: Path
) -> None:
    mount = f"mount --bind '{tmp_path}'"
    service = _start_service({"MEDIA_ROOT": str(root)}, start=partial(behind, mount))
    try:
        shot = Camera(service.wait_ready().url).shoot()
        url = f"{service.url}/public/results/{shot.headers['x-job-id']}"

        inside(service, "umount", "--lazy", str(root))
        shown = [httpx.get(address, trust_env=False) for address in (url, f"{url}/preview")]
        refused = Camera(service.url).shoot()
        until(lambda: health(service) == "storage_error", "health sees it")
        assert [answer.status_code for answer in (*shown, refused)] == [503] * 3
        assert refused.json()["failure_reason"] == "storage_error"
        assert list(root.iterdir()) == []

        inside(service, "mount", "--bind", str(tmp_path), str(root))
        until(lambda: health(service) == "ok", "the disk is back")
        assert httpx.get(url, trust_env=False).content == shot.content
        assert httpx.get(f"{url}/preview", trust_env=False).status_code == 200
        assert Camera(service.url).shoot().status_code == 200
        assert rows("select id from media_object where cleaned_at is not null") == []
    finally:
        service.stop()


def inside(service: Service, *command: str) -> None:
    """Run a command that sees the disks of a service."""
    enter = ["nsenter", f"--target={service.pid}", "--mount", *command]
    subprocess.run(enter, check=True, timeout=20)


def test_a_full_disk_without_a_reserve_is_told_and_no_cut_photo_is_sent(
    _start_service: StartService, sandbox: Sandbox, rows: Rows, root: Path
) -> None:
    photo = photos.big_jpeg(1.0)
    # The photo as it comes has room, the photo as it would be sent has not.
    mount = f"mount -t tmpfs -o size={len(photo) * 3 // 2} none"
    environment: dict[str, str | None] = {"MEDIA_ROOT": str(root), "MIN_FREE_DISK_MB": "0"}
    service = _start_service(environment, start=partial(behind, mount))
    try:
        answer = Camera(service.wait_listening().url).shoot(photo)
    finally:
        service.stop()

    assert (answer.status_code, answer.json()["failure_reason"]) == (507, "storage_full")
    assert sandbox.calls() == []
    [row] = rows("select status, failure_reason from job_history")
    assert row == {"status": "failed", "failure_reason": "storage_full"}
