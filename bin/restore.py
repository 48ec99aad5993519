"""Restore of a backup into an empty installation: bin/restore ARCHIVE.

The archive is read and compared whole before anything is written. The database must have no tables
and MEDIA_ROOT no files: an installation in use is never overwritten. Rows whose file is not in the
archive are marked as removed, so that no row promises what is not there.

All or nothing: a note in MEDIA_ROOT names the archive before the first file is there, all files are
on the disk before the tables come, in one transaction, and the note goes last. The service does not
start beside the note. Whenever this program is cut off, running it again with the same archive ends
the work: what is there of the files is taken away while there are no tables, and with the tables
only what was left to do is done. When it fails by itself the files are taken away again.

Exit codes: 0 done, 1 not done, 2 wrong use.
"""

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
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
from service.logs import printable
from service.queries import installation, media
from service.storage.database import open_database
from service.storage.media import UNFINISHED

DUMP = f"{UNFINISHED}.dump"
# What the note says behind the archive's digest once only the note itself is left to remove.
SETTLED = " settled"


class Refused(Exception):
    """Nothing has changed; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where it is restored to, and the note that it is under way."""

    url: str
    root: Path

    @property
    def dump(self) -> Path:
        return self.root / DUMP

    @property
    def note(self) -> Path:
        return self.root / UNFINISHED

    def noted(self) -> str | None:
        """Which archive was begun with here, by its digest; None when none was."""
        return self.note.read_text(errors="replace").strip() if self.note.exists() else None

    def write_note(self, text: str) -> None:
        """Note how far it has come."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.note.write_text(f"{text}\n")
        os.sync()

    def end(self) -> None:
        """Everything is where it belongs."""
        self.dump.unlink(missing_ok=True)
        self.note.unlink()

    def clear(self) -> None:
        """Take away what a restore put here, the note last."""
        for name in archive.FOLDERS:
            shutil.rmtree(self.root / name, ignore_errors=True)
        self.dump.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def restore(url: str, media_root: Path, path: Path) -> str:
    """Fill the empty installation, or end what an earlier run of the same archive began; gives a
    sentence on what is in it now. Raises `Refused`, `archive.Broken`, `pgtools.ToolFailed`,
    `OSError`, `PhotoslotError`."""
    sums = archive.check(path)
    pg_restore = pgtools.find("pg_restore", pgtools.server_version(url))
    target = Target(url, media_root)
    digest = _digest(sums)
    noted, has_tables = target.noted(), asyncio.run(_has_tables(url))
    if has_tables and noted == f"{digest}{SETTLED}":
        target.end()
        return f"{len(sums) - 1} files; an earlier run had done all but say so"
    if not has_tables:
        _refuse_files(target, noted)
        with _or_none(target):
            target.clear()
            target.write_note(digest)
            archive.unpack(path, sums, lambda name: _place(name, target))
            os.sync()
            _fill(pg_restore, target)
    elif noted != digest or not target.dump.exists():
        _refuse_tables(noted, digest)
    else:
        asyncio.run(_refuse_another(target, pg_restore))
    missing = [row for row in archive.rows(target.dump, pg_restore) if _is_missing(row, sums)]
    asyncio.run(_settle(url, [UUID(row.id) for row in missing]))
    target.write_note(f"{digest}{SETTLED}")
    target.end()
    return f"{len(sums) - 1} files; {len(missing)} that were not in the backup count as removed"


def _digest(sums: Mapping[str, str]) -> str:
    """What tells this archive from every other."""
    return sha256("".join(sorted(f"{name} {sums[name]}\n" for name in sums)).encode()).hexdigest()


async def _has_tables(url: str) -> bool:
    async with open_database(url, size=1) as db:
        return not await installation.is_empty(db)


def _refuse_files(target: Target, noted: str | None) -> None:
    """Files that no restore put there are somebody's."""
    if noted is None and any(path.is_file() for path in target.root.rglob("*")):
        raise Refused(f"there are files in {target.root}: restore into an empty folder")


def _refuse_tables(noted: str | None, digest: str) -> None:
    if noted is None:
        raise Refused("there are tables in the database: restore into an empty one")
    if noted != digest:
        raise Refused(
            "a restore of another archive was cut off here: end it with that one, or empty both "
            "the database and the folder"
        )
    raise Refused(
        "there are tables in the database, and the restore that was cut off here had not come to "
        "them: empty the database"
    )


async def _refuse_another(target: Target, pg_restore: Path) -> None:
    """The tables must be those of the archive that was begun with."""
    async with open_database(target.url, size=1) as db:
        known = str((await installation.folder(db)).id)
    if known != archive.installation_id(target.dump, pg_restore):
        raise Refused("the tables in the database are not those of this archive: empty it")


@contextmanager
def _or_none(target: Target) -> Iterator[None]:
    """What the block put there is taken away again when it fails, unless the tables came all the
    same: a connection may be lost just as they are there."""
    try:
        yield
    except BaseException:
        with suppress(PhotoslotError):
            if not asyncio.run(_has_tables(target.url)):
                target.clear()
        raise


def _place(name: str, target: Target) -> Path:
    return target.dump if name == archive.DUMP else target.root / name.removeprefix(archive.MEDIA)


def _is_missing(row: archive.Row, sums: Mapping[str, str]) -> bool:
    is_promised = row.kind != "source" and not row.is_cleaned
    return is_promised and archive.MEDIA + row.path not in sums


def _fill(pg_restore: Path, target: Target) -> None:
    """All tables or none. They belong to the user of DATABASE_URL, whoever owned them."""
    manner = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    pgtools.run(pg_restore, target.url, *manner, "--no-password", str(target.dump))


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
    print(printable(f"bin/restore: {message.strip()}"), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
