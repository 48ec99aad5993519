"""What is shipped to run the service on: units that systemd understands, numbers that fit
together, a container whose steps are done here without a container."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import httpx
import photos
import pytest
from camera import PASSWORD, Camera
from conftest import MakeService
from documents import read_yaml
from rig import ROOT, Program, Sandbox, Service, free_port
from tables import Tables

from service.__main__ import KEEP_ALIVE_SECONDS, SHUTDOWN_SECONDS
from service.http.multipart import MAX_OVERHEAD_BYTES
from service.upkeep import cleanup

DEPLOY = ROOT / "deploy"
UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")])
# systemd's own measure of what a service could do to its host, 0 to 100.
EXPOSURE = 15
LARGEST_SLOT_MB = 2048
MB = 1024**2
INSTALL = "python3 -m venv .venv && .venv/bin/pip install"
# What is done to an image and cannot be done to a plain folder.
NOT_HERE = ("apt-get", "useradd")


def number(pattern: str, name: str) -> int:
    """The number in the only line of a shipped file that fits."""
    (found,) = re.findall(pattern, (DEPLOY / name).read_text(), re.MULTILINE)
    return int(found)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units for the service in this checkout; the template as the one on port 8000."""
    for unit in UNITS:
        text = unit.read_text().replace("/opt/photoslot", str(ROOT))
        (tmp_path / unit.name.replace("@", "@8000")).write_text(text)
    return tmp_path


def systemd_analyze(*arguments: str, units: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments],
        cwd=units,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_systemd_understands_every_unit(units: Path) -> None:
    done = systemd_analyze("verify", *(f"./{path.name}" for path in units.iterdir()), units=units)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_a_service_can_do_little_to_its_host(units: Path) -> None:
    for path in units.glob("*.service"):
        done = systemd_analyze(
            *("security", "--offline=true", f"--threshold={EXPOSURE}", f"./{path.name}"),
            units=units,
        )
        assert done.returncode == 0, done.stdout[-200:]


def test_every_wait_is_longer_than_the_one_inside_it() -> None:
    assert number(r"^TimeoutStopSec=(\d+)$", "photoslot@.service") > SHUTDOWN_SECONDS
    assert number(r"stop_grace_period: (\d+)s", "compose.yaml") > SHUTDOWN_SECONDS
    for patience in ("proxy_read_timeout", "proxy_send_timeout"):
        longest = number(rf"{patience} (\d+)s;", "nginx.conf")
        assert cleanup.LONGEST_WINDOW_SECONDS < SHUTDOWN_SECONDS < longest
    assert number(r"^    keepalive_timeout 2(\d)s;", "nginx.conf") + 20 < KEEP_ALIVE_SECONDS
    head_seconds = number(r"client_header_timeout (\d+)s;", "nginx.conf")
    assert number(r"HEAD_SECONDS:-(\d+)", "rolling-restart") > head_seconds
    body_megabytes = number(r"client_max_body_size (\d+)m;", "nginx.conf")
    assert body_megabytes * MB >= LARGEST_SLOT_MB * MB + MAX_OVERHEAD_BYTES


def test_every_variable_that_is_set_is_one_the_service_reads() -> None:
    example = (ROOT / ".env.example").read_text()
    known = set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)) | {"MALLOC_ARENA_MAX"}
    set_here = set(compose()["x-photoslot"]["environment"]) | set(Image().environment)
    for path in DEPLOY.glob("*.service"):
        for line in re.findall(r"^Environment=(.*)$", path.read_text(), re.MULTILINE):
            set_here |= {word.split("=")[0] for word in line.split()}
    assert {name.removesuffix("_FILE") for name in set_here} <= known


# Containers


def compose() -> dict[str, dict[str, dict[str, object]]]:
    found: dict[str, dict[str, dict[str, object]]] = read_yaml(DEPLOY / "compose.yaml")
    return found


class Image:
    """The Containerfile, step by step."""

    def __init__(self) -> None:
        text = (DEPLOY / "Containerfile").read_text()
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        self.steps = [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]
        self.environment = dict(pair.split("=", 1) for pair in shlex.split(self.only("ENV")))

    def only(self, word: str) -> str:
        (rest,) = [rest for name, rest in self.steps if name == word]
        return rest

    def build(self, folder: Path) -> None:
        """Copy and run in `folder` what the image copies and runs in its WORKDIR."""
        for word, rest in self.steps:
            if word == "COPY":
                *sources, target = rest.split()
                for source in sources:
                    _copy(ROOT / source, folder / target)
            elif word == "RUN" and INSTALL in rest:
                _install(folder)
            elif word == "RUN":
                assert rest.startswith(NOT_HERE), f"{rest}: what does it do in a plain folder?"


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _install(folder: Path) -> None:
    """A virtual environment with the packages of requirements.lock and no other, lent by this one:
    downloading them takes longer than all other tests of this file."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    (packages,) = (folder / ".venv" / "lib").glob("*/site-packages")
    lock = (folder / "requirements.lock").read_text()
    for name, version in re.findall(
        r"^([a-z0-9.-]+)==(\S+)(?= \\| ; (?!.*win32))", lock, re.MULTILINE
    ):
        found = metadata.distribution(name)
        assert found.version == version
        for top in {Path(path.parts[0]) for path in found.files or () if path.parts[0] != ".."}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(found.locate_file(top))))


def test_the_image_installs_what_is_locked_and_nothing_else() -> None:
    (install,) = [rest for word, rest in Image().steps if word == "RUN" and INSTALL in rest]
    assert "--no-deps --require-hashes --only-binary :all: -r requirements.lock" in install


def test_the_image_does_not_run_as_root_and_says_how_it_is() -> None:
    words = [word for word, _ in Image().steps]
    assert Image().only("USER") == "photoslot"
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert "/healthz" in Image().only("HEALTHCHECK")


@pytest.mark.slow
def test_the_steps_of_the_image_make_a_service_that_takes_shots(
    tmp_path: Path, tables: Tables, sandbox: Sandbox
) -> None:
    image, folder = Image(), tmp_path / "image"
    folder.mkdir()
    image.build(folder)
    python, *program = json.loads(image.only("ENTRYPOINT"))
    service = Service(
        tmp_path / "log",
        database_url=tables.url,
        home=tmp_path,
        provider_url=sandbox.url,
        environment={"MALLOC_ARENA_MAX": image.environment["MALLOC_ARENA_MAX"], "PYTHONPATH": ""},
        python=str(folder / python),
        program=program,
        folder=folder,
    )
    try:
        check = image.only("HEALTHCHECK").split("CMD ")[1].replace("8000", str(service.port))

        def is_healthy() -> bool:
            return (
                subprocess.run(check, shell=True, cwd=folder, capture_output=True).returncode == 0
            )

        service.wait_until(is_healthy, "its health check is content")
        assert Camera(service.url).shoot().status_code == 200
        assert httpx.get(f"{service.url}/login", trust_env=False).status_code == 200
    finally:
        service.stop()
    for command in ("migrate", "backup", "restore", "admin", "cleanup"):
        shown = subprocess.run([folder / "bin" / command, "--help"], capture_output=True)
        assert shown.returncode == 0, command


# A camera on a cable


def test_the_hook_of_gphoto2_waits_for_the_service_and_never_orders_twice(
    make_service: MakeService, sandbox: Sandbox, tmp_path: Path
) -> None:
    port = free_port()
    photo, password = tmp_path / "IMG 1.JPG", tmp_path / "password"
    photo.write_bytes(photos.jpeg())
    password.write_text(f"{PASSWORD}\n")
    environment = {
        "ACTION": "download",
        "ARGUMENT": str(photo),
        "PHOTOSLOT_URL": f"http://127.0.0.1:{port}/api/ingest/slot-001",
        "PHOTOSLOT_PASSWORD_FILE": str(password),
    }
    hook = Program([str(DEPLOY / "gphoto2-hook.sh")], environment, tmp_path / "log")
    try:
        make_service(ready=False, PORT=str(port))
        assert hook.wait() == 0, hook.output
    finally:
        hook.stop()
    edited = tmp_path / "IMG 1.edited.jpg"
    assert edited.read_bytes().startswith(b"\xff\xd8")

    subprocess.run([DEPLOY / "gphoto2-hook.sh"], env={**os.environ, **environment}, check=True)
    assert len(sandbox.calls()) == 1

    password.write_text("another")
    wrong = subprocess.run(
        [DEPLOY / "gphoto2-hook.sh"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert wrong.returncode == 1
    assert "401 invalid_password" in wrong.stderr
