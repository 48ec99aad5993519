"""Migrations: moves the database that DATABASE_URL names between the versions of its schema.

The versions are `migrations/NNNN.slug.sql`, each undone by its `NNNN.slug.rollback.sql`. A version
and the note that it is in force are committed together, so a migration that was interrupted has
not happened.

`up` stops before the first that takes something away (`NNNN.contract-slug.sql`), unless the
database is empty: processes of the version before are still at work. `contract` applies those too,
once no such process is left. Exit codes: 0 done, 1 the database is away or refused, 2 wrong use.
"""

import argparse
import glob
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg
import yoyo

from service.config import ConfigError, database_url_from_environment
from service.logs import printable
from service.storage.schema import MIGRATIONS, is_contraction

NOTHING = "nothing"
# One migration at a time per database: any constant does, as long as it never changes.
TURN = 0x70686F746F736C6F
TURN_SECONDS = 60
CONNECT_SECONDS = 10
# A migration that waits for a table makes every shot behind it wait too.
TABLE_LOCK_SECONDS = 3


class Refused(Exception):
    """The schema stays as it was; the message says why."""


class WrongUse(Exception):
    """What was asked for does not exist."""


def migrate(url: str, folder: Path = MIGRATIONS, *, contract: bool = True) -> list[str]:
    """Apply what is missing; the ids of what was applied, oldest first. Without `contract` only
    what older processes can live with. Raises `psycopg.OperationalError` when the database is away,
    else `Refused`."""
    with _turn(url, folder) as (backend, known):
        missing = list(backend.to_apply(known))
        if not contract and len(missing) < len(known):
            missing = list(takewhile(lambda migration: not is_contraction(migration.id), missing))
        for migration in missing:
            _move(backend, migration, "apply")
        return [migration.id for migration in missing]


def roll_back(url: str, to: str | None = None, folder: Path = MIGRATIONS) -> list[str]:
    """Undo what is newer than the migration `to` (`nothing` undoes all), or only the newest one;
    the ids of what was undone, newest first."""
    with _turn(url, folder) as (backend, known):
        if to not in (None, NOTHING) and to not in [migration.id for migration in known]:
            raise WrongUse(f"there is no migration {to}")
        applied = list(backend.to_rollback(known))
        undone = applied[:1] if to is None else [m for m in applied if to == NOTHING or m.id > to]
        for migration in undone:
            _move(backend, migration, "rollback")
        return [migration.id for migration in undone]


def status(url: str, folder: Path = MIGRATIONS) -> dict[str, str]:
    """Every migration by id: `applied`, `missing`, or `unknown` where the database is newer than
    this checkout."""
    with _turn(url, folder) as (backend, known):
        applied = set(backend.get_applied_migration_hashes())
        states = {m.id: "applied" if m.hash in applied else "missing" for m in known}
        rows = backend.execute("select migration_id from _yoyo_migration").fetchall()
        return dict(sorted(({id: "unknown" for (id,) in rows} | states).items()))


@contextmanager
def _turn(url: str, folder: Path) -> Iterator[tuple[Any, Any]]:
    """The database for ourselves, as yoyo sees it, and the migrations in the folder.

    yoyo's own lock is a row that outlives a killed process; ours ends with its connection, and
    whoever holds ours may clear theirs.
    """
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            connection.execute(f"set lock_timeout = '{TURN_SECONDS}s'")
            connection.execute("select pg_advisory_lock(%s)", [TURN])
            with yoyo.get_backend(_yoyo_url(url)) as backend:
                backend.break_lock()
                backend.ensure_internal_schema_updated()
                yield backend, yoyo.read_migrations(glob.escape(str(folder)))
    except psycopg.errors.LockNotAvailable as error:
        raise Refused(f"another migration is still at work after {TURN_SECONDS} s") from error


def _yoyo_url(url: str) -> str:
    """The same database in yoyo's words: its plain `postgresql://` is psycopg2, not installed."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    query["options"] = f"{query.get('options', '')} -c lock_timeout={TABLE_LOCK_SECONDS}s".strip()
    return parts._replace(
        scheme="postgresql+psycopg", query=urlencode(query, quote_via=quote)
    ).geturl()


def _move(backend: Any, migration: Any, direction: str) -> None:
    migration.load()
    try:
        if not migration.use_transactions:
            {"apply": backend.apply_one, "rollback": backend.rollback_one}[direction](migration)
            return
        with backend.transaction():
            migration.process_steps(backend, direction)
            mark = {"apply": backend.mark_one, "rollback": backend.unmark_one}[direction]
            # yoyo's journal wants the names of user and host; a container may have neither.
            mark(migration, log=False)
    except psycopg.errors.LockNotAvailable as error:
        raise Refused(
            f"{migration.id}: a table was in use for longer than {TABLE_LOCK_SECONDS} s; "
            "nothing changed, try again"
        ) from error
    except psycopg.DatabaseError as error:
        raise Refused(f"{migration.id}: {error}") from error


def main(arguments: list[str]) -> int:
    """Run one command; gives the exit code."""
    asked = _parse(arguments)
    try:
        _run(asked, database_url_from_environment())
    except (ConfigError, WrongUse) as error:
        return _complain(str(error), 2)
    except Refused as error:
        return _complain(str(error), 1)
    except psycopg.OperationalError as error:
        return _complain(f"the database cannot be reached: {error}", 1)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/migrate", description="Moves the schema of the database DATABASE_URL names."
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("up", help="apply what older processes can live with (the default)")
    commands.add_parser("contract", help="apply everything, once no older process runs")
    down = commands.add_parser("down", help="undo the newest migration")
    down.add_argument("--to", metavar="ID", help=f"undo all that is newer than ID, or `{NOTHING}`")
    commands.add_parser("status", help="list the migrations and whether they are applied")
    return parser.parse_args(arguments)


def _run(asked: argparse.Namespace, url: str) -> None:
    if asked.command == "status":
        for migration, state in status(url).items():
            print(f"{state:8} {migration}")
    elif asked.command == "down":
        for migration in roll_back(url, asked.to):
            print(f"undone   {migration}")
    else:
        for migration in migrate(url, contract=asked.command == "contract"):
            print(f"applied  {migration}")
        for migration, state in status(url).items():
            if state == "missing":
                print(f"waits    {migration} (bin/migrate contract, once no older process runs)")


def _complain(message: str, code: int) -> int:
    print(printable(f"bin/migrate: {message.strip()}"), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
