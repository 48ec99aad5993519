"""bin/dev as a developer meets it: the real script, its database, its sandbox, its service."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import embedded
import httpx
import psutil
import pytest
from devhome import DevHome
from PIL import Image
from rig import ROOT, Program, free_port, until

pytestmark = pytest.mark.slow

READY_SECONDS = 90.0

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the line to paste is curl's")


class Dev(Program):
    """bin/dev in a terminal of its own."""

    def __init__(self, folder: Path, number: int, **environment: str) -> None:
        self.folder = folder
        self.port = int(environment.get("PORT") or free_port())
        self.address = f"http://127.0.0.1:{self.port}"
        given = {"PORT": str(self.port), "SANDBOX_PORT": str(free_port()), "DEV_HOME": str(folder)}
        super().__init__(
            [str(ROOT / "bin" / "dev")], given | environment, folder / f"terminal-{number}.txt"
        )

    def wait_ready(self) -> "Dev":
        ready = f"ready {self.address}"
        self.wait_until(lambda: ready in self.output.splitlines(), ready, READY_SECONDS)
        return self

    def press_ctrl_c(self) -> None:
        """What a terminal does: the signal goes to everything in its foreground."""
        os.killpg(self.pid, signal.SIGINT)

    def line(self, words: str) -> str:
        """The line of its output with these words in it."""
        return next(line.strip() for line in self.output.splitlines() if words in line)

    def children(self) -> dict[str, int]:
        """The pids of the programs it started, by name."""
        noted: list[dict[str, Any]] = json.loads((self.folder / "children.json").read_text())
        return {child["name"]: child["pid"] for child in noted}

    def hang_up_provider(self) -> None:
        """Let the next call to the provider wait for ever."""
        sandbox = self.line(" simulated ").rsplit(" ", 1)[-1]
        dial = {"provider": "gemini", "outcomes": ["hang"]}
        httpx.put(f"{sandbox}/_sandbox/dials", json=dial, trust_env=False).raise_for_status()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A DEV_HOME; the database in it is made once for all tests of this file."""
    # Not under pytest's own folder: that one is private to its user, and PostgreSQL may be another.
    folder = Path(tempfile.mkdtemp(prefix="photoslot-dev-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def dev(folder: Path) -> Iterator[Callable[..., Dev]]:
    """`dev(**environment)` starts bin/dev; nothing of it outlives the test."""
    started: list[Dev] = []

    def start(**environment: str) -> Dev:
        started.append(Dev(folder, len(started), **environment))
        return started[-1]

    yield start
    for one in started:
        one.stop(90)
    DevHome(folder).end_leftovers()
    server = embedded.running(folder / "postgres")
    if server is not None:
        server.send_signal(signal.SIGQUIT)
        server.wait(20)


def nothing_runs(folder: Path, *ports: int) -> bool:
    """Whether no program of this service is left."""
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return False
    return embedded.running(folder / "postgres") is None


@needs_curl
def test_the_printed_curl_line_takes_a_shot_and_a_second_service_is_refused_in_words(
    dev: Callable[..., Dev], tmp_path: Path
) -> None:
    service = dev().wait_ready()
    line = service.line("curl ")
    pasted = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=70
    )
    assert pasted.returncode == 0, pasted.stderr
    assert "200 OK" in pasted.stdout
    edited = (tmp_path / "edited.jpg").read_bytes()
    assert edited != (service.folder / "sample.jpg").read_bytes()
    Image.open(io.BytesIO(edited)).verify()
    job_id = next(
        line.split()[1] for line in pasted.stdout.splitlines() if line.startswith("x-job-id:")
    )
    kept = httpx.get(f"{service.address}/public/results/{job_id}", trust_env=False)
    assert kept.content == edited
    until(lambda: job_id in service.output, "a line about the shot in the terminal")

    second = dev()
    assert second.wait(30) == 2
    assert f"already running here: pid {service.pid}, {service.address}" in second.output
    assert httpx.get(f"{service.address}/healthz", trust_env=False).status_code == 200

    service.press_ctrl_c()
    assert service.wait(30) == 0
    assert nothing_runs(service.folder, service.port)


def test_it_starts_again_with_its_secrets_after_it_was_killed(dev: Callable[..., Dev]) -> None:
    first = dev().wait_ready()
    left = first.children()
    first.kill()
    assert all(psutil.pid_exists(pid) for pid in left.values())

    second = dev(PORT=str(first.port)).wait_ready()
    assert not any(psutil.pid_exists(pid) for pid in left.values())
    assert set(second.children()) == set(left)
    assert second.line("ingest password") == first.line("ingest password")
    assert (second.folder / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert second.stop() == 0
    assert nothing_runs(second.folder, second.port)


def test_a_taken_port_is_said_before_anything_starts(dev: Callable[..., Dev]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        service = dev(PORT=str(other.getsockname()[1]))
        assert service.wait(30) == 2
    assert f"port {service.port} cannot be used" in service.output
    assert nothing_runs(service.folder)


@pytest.mark.parametrize("port", ["0", "65536", "8000 ", "http"])
def test_a_wrong_port_is_said_in_words(dev: Callable[..., Dev], folder: Path, port: str) -> None:
    service = Program(
        [str(ROOT / "bin" / "dev")],
        {"PORT": port, "DEV_HOME": str(folder)},
        folder / "terminal-port.txt",
    )
    assert service.wait(30) == 2
    assert "PORT must be a number from 1 to 65535" in service.output


@needs_curl
def test_ctrl_c_lets_a_shot_in_hand_end(dev: Callable[..., Dev], tmp_path: Path) -> None:
    service = dev().wait_ready()
    with (tmp_path / "answer").open("wb") as answer:
        shot = subprocess.Popen(["bash", "-c", service.line("curl ")], cwd=tmp_path, stdout=answer)
        until(lambda: list((service.folder / "media" / "temp").iterdir()), "a shot at the provider")
        service.press_ctrl_c()
        assert service.wait(30) == 0
        assert shot.wait(10) == 0
    assert b"200 OK" in (tmp_path / "answer").read_bytes()


@needs_curl
def test_a_second_ctrl_c_ends_everything_at_once(dev: Callable[..., Dev], tmp_path: Path) -> None:
    service = dev().wait_ready()
    service.hang_up_provider()
    shot = subprocess.Popen(
        ["bash", "-c", service.line("curl ")],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: list((service.folder / "media" / "temp").iterdir()), "a shot at the provider")
    service.press_ctrl_c()
    service.wait_until(lambda: "stopping" in service.output, "it heard the first one")
    service.press_ctrl_c()
    assert service.wait(10) == 130
    assert shot.wait(10) != 0
    until(lambda: nothing_runs(service.folder, service.port), "everything has ended")


@pytest.mark.parametrize("name", ["sandbox", "service"])
def test_a_program_that_dies_is_reported_and_ends_the_rest(
    dev: Callable[..., Dev], name: str
) -> None:
    service = dev().wait_ready()
    os.kill(service.children()[name], signal.SIGKILL)
    assert service.wait(30) == 1
    assert f"the {name} ended with code -9" in service.output
    assert str(service.folder / "logs" / f"{name}.log") in service.output
    assert nothing_runs(service.folder, service.port)


@needs_curl
def test_a_server_of_ones_own_and_a_password_of_ones_own(
    dev: Callable[..., Dev], empty_database: str, tmp_path: Path
) -> None:
    password = "@my; own=\"pass\\word' <1>"
    service = dev(DATABASE_URL=empty_database, DEV_INGEST_PASSWORD=password).wait_ready()
    assert embedded.running(service.folder / "postgres") is None
    pasted = subprocess.run(
        ["bash", "-c", service.line("curl ")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=70,
    )
    assert "200 OK" in pasted.stdout, pasted
    assert service.stop() == 0
