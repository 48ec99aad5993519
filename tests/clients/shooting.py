"""One client, one way: a shot and a refusal, and what is wrong with what the client has seen."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import photos
from camera import PASSWORD, breeze_fields
from clients.catalog import CANNOT_WORK, REFUSAL, SHOT, Client
from clients.proxies import Way
from clients.slow_line import slow_line
from rig import ROOT, Service, inherited
from stage import Stage

MB = 1000**2
PHOTO_BYTES = 4 * MB
REFUSED_BYTES = 6 * MB
LINE_BYTES_PER_SECOND = 2 * MB
CLIENT_SECONDS = 60
LAST_WORDS = 300
TAG = re.compile(r"<[^>]*>?")


@dataclass(frozen=True)
class Cell:
    """What a client saw: the status, 0 for none, after so many seconds, and what is wrong."""

    status: int
    seconds: float
    fault: str

    def __str__(self) -> str:
        told = f"{self.status or 'none'}, {self.seconds:.1f} s"
        return f"**{told}**" if self.fault else told


@dataclass(frozen=True)
class Seen:
    """What a client's program printed and left: `words` are its last ones when it failed."""

    version: str
    status: int
    type: str
    body: bytes
    words: str
    seconds: float


@dataclass(frozen=True)
class Studio:
    """The service with its sandbox, and the photos."""

    stage: Stage
    service: Service
    photo: Path
    large_photo: Path

    @classmethod
    def make(cls, stage: Stage, service: Service) -> "Studio":
        """With a photo of about 4 MB for a shot and one of about 6 MB for a refusal."""
        photo, large_photo = stage.folder / "photo.jpg", stage.folder / "large.jpg"
        photo.write_bytes(photos.big_jpeg(target_bytes=PHOTO_BYTES))
        large_photo.write_bytes(photos.big_jpeg(target_bytes=REFUSED_BYTES))
        return cls(stage, service, photo, large_photo)

    def shot(self, client: Client, command: Sequence[str], way: Way) -> tuple[Cell, str]:
        """A shot with the right password, and the client's version."""
        self.stage.sandbox.reset()
        seen = self._run(command, way, way.url, self.photo, PASSWORD)
        fault = self._fault_of_shot(seen)
        return _judged(seen, fault, (SHOT, client.name, way.name)), seen.version

    def refusal(self, client: Client, command: Sequence[str], way: Way, address: str) -> Cell:
        """A shot with a wrong password from another address on a slow line."""
        self.stage.sandbox.reset()
        self.service.forget_log()
        scheme, host, port = way.url.split(":")
        with slow_line(int(port), address, LINE_BYTES_PER_SECOND) as begin:
            url = f"{scheme}:{host}:{begin}"
            seen = self._run(command, way, url, self.large_photo, "not " + PASSWORD)
        fault = self._fault_of_refusal(seen, address)
        return _judged(seen, fault, (REFUSAL, client.name, way.name))

    def _run(self, command: Sequence[str], way: Way, url: str, photo: Path, password: str) -> Seen:
        out = self.stage.folder / "answer"
        out.unlink(missing_ok=True)
        texts = [f"{name}={value}" for name, value in breeze_fields(photo.read_bytes()).items()]
        started = time.monotonic()
        program = subprocess.Popen(
            [*command, f"{url}/api/ingest/slot-001", str(photo), password, str(out), *texts],
            cwd=ROOT,
            env=inherited() | way.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            said, words = program.communicate(timeout=CLIENT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            said, words = program.communicate()
            words = f"no end after {CLIENT_SECONDS} s"
        except BaseException:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()
            raise
        seconds = time.monotonic() - started
        version, _, answer = said.strip().partition("\n")
        status, _, kind = answer.strip().partition(" ")
        if program.returncode != 0:
            status, words = "", _last_line(words) or f"exit code {program.returncode}"
        body = out.read_bytes() if status and out.exists() else b""
        known = int(status) if status.isdigit() else 0
        return Seen(version, known, kind.partition(";")[0], body, words, seconds)

    def _fault_of_shot(self, seen: Seen) -> str:
        if seen.status != 200 or seen.type != "image/jpeg":
            return _said(seen)
        newest = "select id from job_history order by created_at desc limit 1"
        (job,) = self.stage.tables.rows(newest)
        kept = httpx.get(f"{self.service.url}/public/results/{job['id']}", trust_env=False)
        if seen.body != kept.content:
            return f"{len(seen.body)} bytes are not the {len(kept.content)} of the picture"
        calls = len(self.stage.sandbox.calls())
        return "" if calls == 1 else f"the provider was called {calls} times"

    def _fault_of_refusal(self, seen: Seen, address: str) -> str:
        if seen.status != 401 or seen.type != "application/json":
            return _said(seen)
        with suppress(ValueError):
            if json.loads(seen.body)["failure_reason"] == "invalid_password":
                line = self.service.wait_log("shot", status=401)
                known = line["address"]
                return "" if known == address else f"the service took it for one of {known}"
        return _said(seen)


def _judged(seen: Seen, fault: str, where: tuple[str, str, str]) -> Cell:
    """The cell of a table, client and way, where some faults are known."""
    impossible = CANNOT_WORK.get(where)
    if impossible:
        if not fault:
            fault = "it works, and stands among what cannot"
        elif seen.seconds > impossible.seconds:
            fault = f"knew it only after {seen.seconds:.0f} s: {fault}"
        else:
            fault = ""
    return Cell(seen.status, seen.seconds, fault)


def _said(seen: Seen) -> str:
    """What a client saw instead, in one line; what is no refusal is told by its type."""
    if not seen.status:
        return seen.words or "it said nothing"
    body = seen.body[:LAST_WORDS].decode(errors="replace") if seen.status >= 400 else ""
    return " ".join(f"{seen.status} {seen.type} {TAG.sub(' ', body)}".split())


def _last_line(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1][:LAST_WORDS] if lines else ""
