"""Child processes of bin/dev: each in a session of its own, so that a Ctrl-C in the terminal
reaches bin/dev alone and the programs end in order."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
LAST_LINES = 15
FOLLOW_SECONDS = 0.2
NOT_SHOWN = ("timestamp", "level", "event", "exception", "request_id", "method", "address")
CLOCK_TOLERANCE_SECONDS = 1.0


class ChildDied(Exception):
    """A program ended by itself; the message has its last words."""


@dataclass(frozen=True)
class Child:
    """A program that runs; `log` has all it prints."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def check(self) -> None:
        """Raises `ChildDied` if it has ended."""
        code = self.process.returncode
        if code is not None:
            raise ChildDied(f"the {self.name} ended with code {code}:\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of its log, and where the rest is."""
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join([*lines, f"(all of it: {self.log})"])


@asynccontextmanager
async def child(
    name: str,
    module: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    patience_seconds: float,
    remember: Callable[[str, int], None],
) -> AsyncIterator[Child]:
    """`python -m module` for as long as the block runs; at its end it is asked to stop and, when
    it has not after `patience_seconds`, killed. `remember` is told name and pid."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *module),
            cwd=ROOT,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    remember(name, process.pid)
    try:
        yield Child(name, process, log)
    finally:
        if process.returncode is None:
            process.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                await process.wait()
        end_session(process.pid)
        await process.wait()


async def first_to_end(children: Sequence[Child]) -> None:
    """Wait until one of them ends by itself; raises its `ChildDied`."""
    waiting = [asyncio.create_task(one.process.wait()) for one in children]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    for one in children:
        one.check()


def started_at(pid: int) -> float | None:
    """When the process started, in seconds since 1970; None when there is none."""
    try:
        started: float = psutil.Process(pid).create_time()
        return started
    except psutil.NoSuchProcess:
        return None


def end_leftover(pid: int, started: float, patience_seconds: float = 5.0) -> bool:
    """End the session a killed bin/dev left behind, unless its number has a new owner; whether
    there was anything to end."""
    now = started_at(pid)
    if now is not None and abs(now - started) > CLOCK_TOLERANCE_SECONDS:
        return False
    left = list(_session(pid))
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    psutil.wait_procs(left, patience_seconds)
    end_session(pid)
    return bool(left)


def end_session(pid: int) -> None:
    """Kill whatever is left of the session `pid` led."""
    for process in _session(pid):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _session(leader: int) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                yield process


async def follow(log: Path, show: Callable[[str], None]) -> None:
    """Show what a log has and gets, one readable line each; never ends by itself."""
    with log.open(errors="replace") as lines:
        rest = ""
        while True:
            rest += lines.read()
            *whole, rest = rest.split("\n")
            for line in whole:
                readable = _readable(line)
                if readable:
                    show(readable)
            await asyncio.sleep(FOLLOW_SECONDS)


def _readable(line: str) -> str | None:
    """A shot in few words, a warning or error as it stands, nothing for the rest. What is not a
    JSON line, such as the traceback of a module that cannot be imported, is shown whole."""
    try:
        said: dict[str, Any] = json.loads(line)
    except ValueError:
        return line
    clock = datetime.now().strftime("%H:%M:%S")
    if said.get("event") == "shot":
        took = f"{said.get('ms', 0) / 1000:.1f} s"
        why = said.get("reason") or said.get("job_id") or ""
        return _one_line(f"{clock}  {said.get('slot')}  {said.get('status')}  {took}  {why}")
    if said.get("level") in ("warning", "error", "critical"):
        rest = " ".join(f"{name}={said[name]}" for name in said if name not in NOT_SHOWN)
        cause = str(said.get("exception", "")).rsplit("\n", 1)[-1]
        return _one_line(f"{clock}  {said['level']}: {said.get('event')} {rest} {cause}".rstrip())
    return None


def _one_line(words: str) -> str:
    """What a stranger sent must not look like a line of ours."""
    return words.replace("\n", "\\n")
