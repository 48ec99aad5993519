"""The real programs under test: started as processes, watched, ended."""

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx
import psutil

ROOT = Path(__file__).parent.parent.parent
SERVICE = ("-m", "service")
START_SECONDS = 30.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.01
POLL_SHARE = 0.1
MAX_POLL_SECONDS = 0.1
# Below the ports Linux, macOS and Windows give to whoever connects.
FIRST_PORT, LAST_PORT = 20_000, 32_000
MOST_WORKERS = 16
SIGNING_KEY = "a signing key that only the tests have: 47 bytes"
# What a program may inherit; everything else it reads was given to it by a test.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")

T = TypeVar("T")


def spelt(moment: datetime) -> str:
    """A time as the service writes it in JSON."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def until(find: Callable[[], T | None], what: str, seconds: float = 10.0) -> T:
    """The first true thing `find` gives; fails naming `what` when none came in time. It looks less
    often the longer it takes."""
    started = time.monotonic()
    while not (found := find()):
        waited = time.monotonic() - started
        if waited > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(min(max(waited * POLL_SHARE, POLL_SECONDS), MAX_POLL_SECONDS))
    return found


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on. It is not one of those the system gives to
    whoever connects, so nobody has it before a program of this test listens there."""
    return next(port for port in _ports if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _shuffled_ports() -> Iterator[int]:
    """Ports for this process alone among those that share a run."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = list(range(FIRST_PORT + worker, LAST_PORT, MOST_WORKERS))
    random.shuffle(ports)
    return itertools.cycle(ports)


_ports = _shuffled_ports()


class Process(Protocol):
    """A running program: what a `Program` needs of `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, number: int) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class Start(Protocol):
    """Starts a command in a session of its own, with everything it prints in a file."""

    def __call__(
        self, command: Sequence[str], environment: Mapping[str, str], log_path: Path, folder: Path
    ) -> Process: ...


def inherited() -> dict[str, str]:
    """The environment every program has."""
    named = {name: os.environ[name] for name in INHERITED if name in os.environ}
    coverage = {name: value for name, value in os.environ.items() if "COVERAGE" in name}
    return {**named, **coverage, "PYTHONPATH": str(ROOT)}


def spawn(
    command: Sequence[str], environment: Mapping[str, str], log_path: Path, folder: Path
) -> Process:
    """Start a command as a shell does."""
    with log_path.open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


class Program:
    """A process in a session of its own, with everything it prints in the file `log_path`."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log_path: Path,
        folder: Path = ROOT,
        start: Start = spawn,
    ) -> None:
        self.log_path = log_path
        self.process = start(command, {**inherited(), **environment}, log_path, folder)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def cpu_seconds(self) -> float:
        """The time it has kept a processor busy, whatever else the machine did."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def output(self) -> str:
        """All it printed so far."""
        return self.log_path.read_text(errors="replace")

    def wait_until(
        self, find: Callable[[], T | None], what: str, seconds: float = START_SECONDS
    ) -> T:
        """Like `until`, but fails at once with its last words when the program ends."""

        def find_if_running() -> T | None:
            if not self.is_running:
                raise AssertionError(f"it ended before {what}:\n{self.output[-3000:]}")
            return find()

        return until(find_if_running, what, seconds)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Its exit code, once it has ended by itself."""
        return self.process.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        self.process.send_signal(number)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Ask it to end, and insist after `seconds`; its exit code."""
        if self.is_running:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return self.kill()
        finally:
            self._end_session()

    def kill(self) -> int:
        """End it without warning (SIGKILL), children included; its exit code."""
        self.process.kill()
        self._end_session()
        return self.process.wait()

    def _end_session(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


class Sandbox(Program):
    """The simulated providers, on a free port."""

    def __init__(self, log_path: Path) -> None:
        super().__init__(
            [sys.executable, "-m", "service.sandbox", "--host", "127.0.0.1", "--port", "0"],
            {},
            log_path,
        )
        self.url = self.wait_until(self._announced, "the sandbox is ready")
        self._http = httpx.Client(base_url=self.url, trust_env=False)

    def dial(
        self,
        outcomes: Sequence[str] = ("ok",),
        latency_s: float = 0.0,
        drip: bool = False,
        hold: bool = False,
        provider: str = "gemini",
    ) -> None:
        """Say what the next calls get: outcomes are used up in order, the last one stays. With
        `hold` no answer leaves until the provider's next dial."""
        dial = {
            "provider": provider,
            "outcomes": outcomes,
            "latency_s": latency_s,
            "drip": drip,
            "hold": hold,
        }
        answer = self._http.put("/_sandbox/dials", json=dial)
        assert answer.is_success, answer.text

    def release(self, provider: str = "gemini") -> None:
        """Let held answers go; from now on all is well."""
        self.dial(provider=provider)

    def hold(self, shots: Sequence[Callable[[], T]], *, ended: int) -> list[T]:
        """Take all these shots at once and hold their providers' answers until so many have ended,
        refused; then let the others end too. Their answers, in the order of the shots."""
        self.dial(hold=True)
        with ThreadPoolExecutor(len(shots)) as threads:
            taken = [threads.submit(shot) for shot in shots]
            try:
                until(lambda: sum(one.done() for one in taken) == ended, f"{ended} are refused", 20)
            finally:
                self.release()
            return [one.result() for one in taken]

    def reset(self) -> None:
        """Every provider answers well and has not been called."""
        assert self._http.post("/_sandbox/reset").is_success

    def calls(self, **filters: str) -> list[dict[str, Any]]:
        """What was ordered so far, oldest first."""
        answer = self._http.get("/_sandbox/calls", params=filters)
        assert answer.is_success, answer.text
        calls: list[dict[str, Any]] = answer.json()
        return calls

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        self._http.close()
        return super().stop(seconds)

    def _announced(self) -> str | None:
        lines = self.output.splitlines()
        found = [line.split()[-1] for line in lines if line.startswith("sandbox ready http")]
        return found[0] if found else None


class Service(Program):
    """The service, on a free port of 127.0.0.1 unless PORT names one, and the folder its pictures
    lie in. `environment` is added to what every service needs; None takes a variable away.
    `program` is what `python` runs in `folder`.
    """

    def __init__(
        self,
        log_path: Path,
        *,
        database_url: str,
        home: Path,
        provider_url: str,
        environment: Mapping[str, str | None],
        program: Sequence[str] = SERVICE,
        python: str = sys.executable,
        folder: Path = ROOT,
        start: Start = spawn,
    ) -> None:
        self.port = int(environment.get("PORT") or free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        wanted: dict[str, str | None] = {
            "PORT": str(self.port),
            "DATABASE_URL": database_url,
            "MEDIA_ROOT": str(home / "media"),
            "SECRETS_DIR": str(home / "secrets"),
            "PUBLIC_BASE_URL": self.url,
            "JWT_SIGNING_KEY": SIGNING_KEY,
            "MIN_FREE_DISK_MB": "1",
            "GEMINI_BASE_URL": provider_url,
            "OPENAI_BASE_URL": provider_url,
            "TURBOTEXT_BASE_URL": provider_url,
            "GEMINI_API_KEY": "sandbox",
            "OPENAI_API_KEY": "sandbox",
            "TURBOTEXT_API_KEY": "sandbox",
            **environment,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        self.environment = given
        self._log_start = 0
        self.media_root = Path(given.get("MEDIA_ROOT", home / "media"))
        super().__init__([python, *program], given, log_path, folder, start)

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its log lines so far, parsed; of the common service, those of this test."""
        with self.log_path.open("rb") as file:
            file.seek(self._log_start)
            lines = file.read().decode(errors="replace").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line[:1] == "{" and line[-2:] == "}\n"]

    def forget_log(self) -> None:
        """From now on `log` starts here."""
        self._log_start = self.log_path.stat().st_size

    def wait_ready(self) -> "Service":
        """Wait until /healthz answers 200."""
        self.wait_until(lambda: self._answers("/healthz"), "/healthz answers 200")
        return self

    def wait_listening(self) -> "Service":
        """Wait until it answers at all, well or not."""
        self.wait_until(lambda: self._answers("/livez"), "/livez answers 200")
        return self

    def wait_log(self, event: str, seconds: float = 10.0, **fields: object) -> dict[str, Any]:
        """The first line named `event` with these fields, when it is written."""

        def find() -> dict[str, Any] | None:
            for line in self.log:
                if line.get("event") == event and fields.items() <= line.items():
                    return line
            return None

        return until(find, f"a log line {event} {fields}", seconds)

    @property
    def memory_bytes(self) -> int:
        """Resident memory of the process now."""
        rss: int = psutil.Process(self.pid).memory_info().rss
        return rss

    @property
    def workers(self) -> list[int]:
        """The process ids of a start of several that serve already: they know the database."""
        found = []
        for child in psutil.Process(self.pid).children():
            with suppress(psutil.NoSuchProcess):
                found += [child.pid] if child.net_connections("all") else []
        return found

    def _answers(self, path: str) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        with closing(connection), suppress(OSError, HTTPException):
            connection.request("GET", path)
            return connection.getresponse().status == 200
        return False
