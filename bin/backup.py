"""Backup of database and pictures into one archive: bin/backup FOLDER.

The dump comes first, and the files it speaks of are packed after it. A picture made meanwhile is in
neither; one that was removed meanwhile is left out, and bin/restore says so in its row. Pictures
whose time is over are left out as well. What is in SECRETS_DIR and in the environment is not in a
backup: who has the archive must not have the keys.

The folder must bear the mark of the database, before and after: of a disk that is not mounted it
would be a backup of nothing. It reads what it wrote before it gives it its name. Exit codes: 0
done, 1 not done, 2 wrong use.
"""

import argparse
import asyncio
import os
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path

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
from service.queries import installation
from service.storage.database import open_database
from service.storage.media import Media
from service.upkeep.media_owner import check_folder

# The migration that brought the mark.
MARKED_SINCE = "0004.which-house"


def back_up(url: str, media_root: Path, folder: Path) -> tuple[Path, str]:
    """Write `photoslot-TIME.tar` into `folder`; gives its path and a sentence on what is in it.
    Raises `pgtools.ToolFailed`, `archive.Broken`, `OSError`, `psycopg.OperationalError`,
    `StorageError`."""
    version = pgtools.server_version(url)
    asyncio.run(_check_folder(url, media_root))
    pg_dump, pg_restore = (pgtools.find(name, version) for name in ("pg_dump", "pg_restore"))
    target = folder / f"photoslot-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar"
    dump, aside = target.with_suffix(".dump.part"), target.with_suffix(".tar.part")
    try:
        for path in (dump, aside):
            path.touch(mode=0o600, exist_ok=False)
        pgtools.run(pg_dump, url, "--format=custom", "--no-password", f"--file={dump}")
        summary = _pack(aside, dump, list(archive.rows(dump, pg_restore)), media_root)
        archive.check(aside)
        asyncio.run(_check_folder(url, media_root))
        aside.rename(target)
        _sync(folder)
    finally:
        dump.unlink(missing_ok=True)
        aside.unlink(missing_ok=True)
    return target, f"{summary}, {target.stat().st_size / 1024**2:.1f} MB"


async def _check_folder(url: str, media_root: Path) -> None:
    """Raises `StorageError` unless the folder is this database's. A service that never started has
    marked none."""
    media = Media(media_root)
    async with open_database(url, size=1) as db:
        if MARKED_SINCE not in await installation.migrations(db):
            return
        if (await installation.folder(db)).folder_marked_at or media.mark():
            await check_folder(db, media)


def _pack(aside: Path, dump: Path, rows: list[archive.Row], media_root: Path) -> str:
    """Pack the dump and the files its rows speak of; gives the counts in words."""
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
    gone = 0
    with aside.open("wb") as file:
        with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            writer = archive.Writer(tar)
            writer.add(archive.DUMP, dump)
            for row in rows:
                if is_kept(row, now):
                    gone += not _add(writer, row, media_root)
            writer.finish()
        file.flush()
        os.fsync(file.fileno())
    return f"{len(writer.sums) - 1} files ({gone} named by a row are missing)"


def is_kept(row: archive.Row, now: str) -> bool:
    """Whether the row's file is there for somebody. `now` is written as in the dump, in UTC."""
    is_over = row.expires_at != "\\N" and row.expires_at < now
    return row.kind != "source" and not row.is_cleaned and not is_over


def _add(writer: archive.Writer, row: archive.Row, media_root: Path) -> bool:
    """Whether the file was there. One that is not what its row says is packed as it is and told."""
    try:
        digest = writer.add(archive.MEDIA + row.path, media_root / row.path)
    except FileNotFoundError:
        return False
    if digest != row.sha256:
        _complain(f"{row.path} is not what was stored: a damaged disk?", 0)
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main(arguments: list[str]) -> int:
    """Run the command; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="bin/backup", description="Writes database and pictures into one archive."
    )
    parser.add_argument("folder", type=Path, help="where photoslot-TIME.tar is written")
    folder = parser.parse_args(arguments).folder
    try:
        url, media_root = database_url_from_environment(), media_root_from_environment()
        if not folder.is_dir():
            return _complain(f"{folder} is not a folder", 2)
        target, summary = back_up(url, media_root, folder)
    except ConfigError as error:
        return _complain(str(error), 2)
    except psycopg.OperationalError as error:
        return _complain(f"the database cannot be reached: {error}", 1)
    except PhotoslotError as error:
        return _complain(f"nothing was kept: {error} {error.private or ''}", 1)
    except (pgtools.ToolFailed, archive.Broken, OSError) as error:
        return _complain(f"nothing was kept: {error}", 1)
    print(f"{target}: {summary}")
    return 0


def _complain(message: str, code: int) -> int:
    print(printable(f"bin/backup: {message.strip()}"), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
