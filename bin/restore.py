"""Restore of a backup into an empty installation: bin/restore ARCHIVE.

The archive is read and compared whole before anything is written. The database must have no tables
and MEDIA_ROOT no files: an installation in use is never overwritten. The tables come in one
transaction; when that fails the files are taken away again. Rows whose file is not in the archive
are marked as removed, so that no row promises what is not there.

Exit codes: 0 done, 1 not done, 2 wrong use.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import archive
import pgtools
import psycopg

from service.config import (
    ConfigError,
    database_url_from_environment,
    media_root_from_environment,
)
from service.errors import PhotoslotError
from service.queries import installation, media
from service.storage.database import open_database


class Refused(Exception):
    """Nothing has changed; the message says why."""


def restore(url: str, media_root: Path, path: Path) -> str:
    """Fill the empty installation; gives a sentence on what is in it now. Raises `Refused`,
    `archive.Broken`, `pgtools.ToolFailed`, `OSError`, `PhotoslotError`."""
    sums = archive.check(path)
    pg_restore = pgtools.find("pg_restore", pgtools.server_version(url))
    asyncio.run(_refuse_a_full_house(url, media_root))
    with tempfile.TemporaryDirectory(prefix="photoslot-restore-") as folder, _or_none(media_root):
        dump = Path(folder) / archive.DUMP
        archive.unpack(path, sums, lambda name: _place(name, media_root, dump))
        missing = [UUID(row.id) for row in archive.rows(dump, pg_restore) if _is_missing(row, sums)]
        _fill(pg_restore, url, dump)
    asyncio.run(_settle(url, missing))
    return f"{len(sums) - 1} files; {len(missing)} that were not in the backup count as removed"


async def _refuse_a_full_house(url: str, media_root: Path) -> None:
    if media_root.is_dir() and any(path.is_file() for path in media_root.rglob("*")):
        raise Refused(f"there are files in {media_root}: restore into an empty folder")
    async with open_database(url, size=1) as db:
        if not await installation.is_empty(db):
            raise Refused("there are tables in the database: restore into an empty one")


@contextmanager
def _or_none(media_root: Path) -> Iterator[None]:
    """What the block put there is taken away again when it fails."""
    try:
        yield
    except BaseException:
        for name in archive.FOLDERS:
            shutil.rmtree(media_root / name, ignore_errors=True)
        raise


def _place(name: str, media_root: Path, dump: Path) -> Path:
    return dump if name == archive.DUMP else media_root / name.removeprefix(archive.MEDIA)


def _is_missing(row: archive.Row, sums: dict[str, str]) -> bool:
    is_promised = row.kind != "source" and not row.is_cleaned
    return is_promised and archive.MEDIA + row.path not in sums


def _fill(pg_restore: Path, url: str, dump: Path) -> None:
    """All tables or none. They belong to the user of DATABASE_URL, whoever owned them."""
    manner = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    pgtools.run(pg_restore, url, *manner, "--no-password", str(dump))


async def _settle(url: str, missing: list[UUID]) -> None:
    """The first start gives the folder the mark of this installation."""
    async with open_database(url, size=1) as db, db.transaction() as transaction:
        await media.mark_cleaned(transaction, missing)
        await installation.unmark_folder(transaction)


def main(arguments: list[str]) -> int:
    """Run the command; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="bin/restore", description="Brings a backup into an empty database and folder."
    )
    parser.add_argument("archive", type=Path, help="what bin/backup wrote")
    path = parser.parse_args(arguments).archive
    try:
        url, media_root = database_url_from_environment(), media_root_from_environment()
        summary = restore(url, media_root, path)
    except ConfigError as error:
        return _complain(str(error), 2)
    except archive.Broken as error:
        return _complain(f"{path} cannot be used: {error}", 1)
    except psycopg.OperationalError as error:
        return _complain(f"the database cannot be reached: {error}", 1)
    except PhotoslotError as error:
        return _complain(f"{error.details} {error.private or ''}", 1)
    except (Refused, pgtools.ToolFailed, OSError) as error:
        return _complain(str(error), 1)
    print(f"restored {path}: {summary}")
    return 0


def _complain(message: str, code: int) -> int:
    print(f"bin/restore: {message.strip()}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
