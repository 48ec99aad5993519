"""Cleanup of what is over: expired pictures and previews, stale photos, jobs whose process died,
files that no row names, rows past their time. For cron, every 15 minutes; safe beside the service
and beside itself.

It reads the service's environment. The summary is a sentence on a terminal, else a JSON line like
the service's. Exit codes: 0 all is clean, or another cleanup is at work; 1 something could not be
removed, or the database or the folder cannot be used and nothing has changed; 2 wrong use or
configuration.
"""

import argparse
import asyncio
import os
import socket
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime

import msgspec

from service import config as configuration
from service.config import Config, ConfigError
from service.errors import PhotoslotError
from service.logs import printable, set_up_logging
from service.queries import cleanup, installation
from service.storage.database import Connection, open_database
from service.storage.media import Media
from service.storage.schema import misfit
from service.threads import Threads
from service.upkeep.cleanup import Cleaned, Cleaner, clean, due
from service.upkeep.kept_session import keep_session
from service.upkeep.media_owner import owned

LANES = 2
# Nobody waits for it: a batch may take its time, and the disk need not be told of each.
STATEMENT_SECONDS = 60.0
NICENESS = 10
SYSLOG = "/dev/log"
# RFC 5424, 6.2.1: the facility of cron, two severities.
CRON, ERROR, INFO = 9, 3, 6
REFRESH_SECONDS = 0.2


class Refused(Exception):
    """Nothing has changed; the message says why."""


def main(arguments: list[str]) -> int:
    """Clean once; gives the exit code."""
    asked = _parse(arguments)
    try:
        config = configuration.from_environment()
    except ConfigError as error:
        return _complain(str(error), 2)
    set_up_logging(config.log_level)
    os.nice(NICENESS)
    started = time.monotonic()
    try:
        cleaned = asyncio.run(_run(config, asked))
    except (Refused, PhotoslotError) as error:
        words = f"{error} {getattr(error, 'private', '')}".strip()
        _tell_syslog(asked, ERROR, words)
        return _complain(words, 1)
    if cleaned is None:
        return _report(asked, "another cleanup is at work", {"event": "cleanup.already_running"})
    seconds = time.monotonic() - started
    _report(asked, _sentence(cleaned, seconds, asked.dry_run), _line(cleaned, seconds, asked))
    return 1 if cleaned.failed else 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/cleanup", description="Removes what is over.")
    parser.add_argument("--dry-run", action="store_true", help="only say what there is to do")
    parser.add_argument("--verbose", action="store_true", help="show each kind of work")
    parser.add_argument("--syslog", action="store_true", help="send the summary to syslog as well")
    return parser.parse_args(arguments)


async def _run(config: Config, asked: argparse.Namespace) -> Cleaned | None:
    """What was cleaned; None when somebody else is at it."""
    async with AsyncExitStack() as ending:
        if not asked.dry_run and not await _is_first(config, ending):
            return None
        db = await ending.enter_async_context(
            open_database(
                config.database_url,
                LANES,
                statement_seconds=STATEMENT_SECONDS,
                synchronous_commit="off",
            )
        )
        if problem := misfit(await installation.migrations(db)):
            raise Refused(f"the schema of the database {problem}")
        threads, progress = Threads(), Progress(asked.verbose)
        ending.callback(progress.end)
        ending.callback(threads.shutdown)
        media = await owned(db, Media(config.media_root))
        cleaner = Cleaner(config, db, media, threads, lanes=LANES, tell=progress.add)
        return await (due(cleaner) if asked.dry_run else clean(cleaner))


async def _is_first(config: Config, ending: AsyncExitStack) -> bool:
    """Whether nobody else cleans; then the lock that says so is held until `ending`. When its
    session is lost it is taken anew, and meanwhile the work goes on: it is safe beside another."""
    is_first: bool | None = None

    async def take(connection: Connection) -> None:
        nonlocal is_first
        is_free = await cleanup.lock(connection)
        is_first = is_free if is_first is None else is_first

    async def give_back(_connection: Connection) -> None:
        """It goes with the session."""

    await ending.enter_async_context(
        keep_session("cleanup.lock", config.database_url, take, give_back)
    )
    return bool(is_first)


class Progress:
    """What is being done, for who looks on: a line per kind of work, on a terminal as it grows."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._task = ""
        self._done = Cleaned()
        self._shown = 0.0

    def add(self, task: str, cleaned: Cleaned) -> None:
        """One more batch."""
        if task != self._task:
            self.end()
            self._task, self._done = task, Cleaned()
        self._done += cleaned
        if (
            self._wanted
            and sys.stderr.isatty()
            and time.monotonic() > self._shown + REFRESH_SECONDS
        ):
            self._shown = time.monotonic()
            sys.stderr.write(f"\r{self._words()}")
            sys.stderr.flush()

    def end(self) -> None:
        """The work at hand is done."""
        if self._wanted and self._task:
            start = "\r" if sys.stderr.isatty() else ""
            print(f"{start}{self._words()}", file=sys.stderr, flush=True)

    def _words(self) -> str:
        counts = {name: count for name, count in asdict(self._done).items() if count}
        told = ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "nothing"
        return f"{self._task}: {told}"


def _sentence(cleaned: Cleaned, seconds: float, dry: bool) -> str:
    return (
        f"{'would remove' if dry else 'removed'} {cleaned.files} files ({cleaned.bytes} bytes) and "
        f"{cleaned.rows} rows; ended {cleaned.interrupted} and adopted {cleaned.adopted} jobs of "
        f"dead processes; {cleaned.failed} failures; {seconds:.1f} s"
    )


def _line(cleaned: Cleaned, seconds: float, asked: argparse.Namespace) -> dict[str, object]:
    counts = asdict(cleaned)
    return {"event": "cleanup", "dry_run": asked.dry_run, **counts, "seconds": round(seconds, 3)}


def _report(asked: argparse.Namespace, sentence: str, line: dict[str, object]) -> int:
    level = "error" if line.get("failed") else "info"
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    stamped = msgspec.json.encode({**line, "level": level, "timestamp": moment}).decode()
    print(sentence if sys.stdout.isatty() else stamped, flush=True)
    _tell_syslog(asked, ERROR if line.get("failed") else INFO, sentence)
    return 0


def _tell_syslog(asked: argparse.Namespace, severity: int, sentence: str) -> None:
    if not asked.syslog:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.connect(SYSLOG)
            log.send(
                f"<{CRON * 8 + severity}>photoslot-cleanup[{os.getpid()}]: {sentence}".encode()
            )
    except OSError as error:
        _complain(f"syslog cannot be reached: {error.strerror}", 0)


def _complain(message: str, code: int) -> int:
    print(printable(f"bin/cleanup: {message.strip()}"), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
