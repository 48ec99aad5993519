"""Media folder: the files under MEDIA_ROOT, where they lie, how they are kept, opened and removed.

`temp/` holds what a running shot needs and nothing else; `results/` and `previews/` hold what a row
of `media_object` names. A file gets its public name only when it is complete: written aside in
`temp/`, flushed to disk, renamed.

The folder bears the mark of its installation. Where the mark is missing, as under a disk that is
not mounted any more, nothing is made, written or removed, and nothing is called gone.
"""

import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import structlog

from service.errors import PhotoslotError, StorageError, StorageFull

FOLDERS = ("temp", "results", "previews", "templates")
# Says which database this folder belongs to.
MARK = ".photoslot-house"
# Stands in a folder into which a backup is being restored.
UNFINISHED = ".photoslot-restore"
FULL = (errno.ENOSPC, errno.EDQUOT)
log = structlog.get_logger()

EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/heic": "heic",
}


@dataclass(frozen=True, slots=True)
class Space:
    """Room on the disk of MEDIA_ROOT, for us."""

    free_bytes: int
    size_bytes: int
    free_files: int


@dataclass(frozen=True, slots=True)
class Media:
    """The media folder of one installation. Paths in rows are relative to `root`. `worker` is who
    writes in it; 0 for somebody whose life nobody can ask after. `owner` is the installation that
    its mark must name; None for a folder that needs no mark."""

    root: Path
    worker: int = 0
    owner: UUID | None = None

    def prepare(self) -> None:
        """Make the folders inside the folder that bears our mark. Raises `StorageFull`,
        `StorageError`."""
        self.check()
        with disk_errors():
            for folder in FOLDERS:
                (self.root / folder).mkdir(parents=True, exist_ok=True)

    def probe(self) -> None:
        """Write a file and take it away again. Raises `StorageFull`, `StorageError`."""
        self.check()
        with disk_errors():
            probe = self.root / "temp" / f".probe-{os.getpid()}"
            probe.write_bytes(b"photoslot")
            probe.unlink()

    def mark(self) -> str | None:
        """The id of the installation that owns this folder, None without one. Raises
        `StorageError`."""
        with disk_errors():
            try:
                return (self.root / MARK).read_text(errors="replace").strip()
            except FileNotFoundError:
                return None

    def check(self) -> None:
        """Raises `StorageError` in words unless the folder bears the mark of its owner; one small
        file is read."""
        found = self.mark() if self.owner else None
        if not self.owner or found == str(self.owner):
            return
        if found is None:
            private = (
                f"{self.root} has no {MARK}: is its disk mounted? If it surely is the folder of "
                f"this database, write {self.owner} into that file"
            )
        else:
            private = f"{self.root} belongs to another database, {found}; this one is {self.owner}"
        raise StorageError(
            "The folder for pictures is not the one of this database.", private=private
        )

    def set_mark(self) -> None:
        """Make this, which is nobody's, the folder of its owner. Raises `StorageFull`,
        `StorageError`."""
        with disk_errors():
            self.root.mkdir(parents=True, exist_ok=True)
            aside = self.root / f"{MARK}.{secrets.token_hex(4)}.part"
            try:
                with aside.open("x") as file:
                    file.write(f"{self.owner}\n")
                    file.flush()
                    os.fsync(file.fileno())
                aside.rename(self.root / MARK)
                _sync_folder(self.root)
            finally:
                aside.unlink(missing_ok=True)

    def is_missing(self, relative: str) -> bool:
        """Whether a row's file is gone from the folder that is ours. Raises `StorageError` when it
        is only the folder that is not there."""
        if self.path(relative).is_file():
            return False
        self.check()
        return True

    def has_whole(self, relative: str, size: int) -> bool:
        """Whether a row's file is there; False when it is gone from the folder that is ours. Raises
        `StorageError` when the folder is not there, or the file is not `size` bytes long."""
        try:
            with disk_errors():
                found = self.path(relative).stat().st_size
        except StorageError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            self.check()
            return False
        if found != size:
            raise damaged(relative, found, size)
        return True

    @contextmanager
    def temp_files(self, job_id: UUID, worker: int) -> Iterator["TempFiles"]:
        """The temporary files of one shot; they die with the block, in every ending. Their names
        tell the worker, so that what it leaves when it is killed can be told from what is in use.
        Raises `StorageError` before the block when the folder is not ours."""
        self.check()
        files = TempFiles(self.root / "temp", f"{job_id}.{worker}")
        try:
            yield files
        finally:
            files.clear()

    def keep(self, kind: str, job_id: UUID, mime: str, data: bytes) -> tuple[str, bytes]:
        """Write a complete file under its public name; gives its relative path and SHA-256.
        Blocks until the disk has it. Raises `StorageFull`, `StorageError`."""
        self.check()
        relative = f"{kind}/{str(job_id)[:2]}/{job_id}.{EXTENSIONS[mime]}"
        target = self.root / relative
        part = f"{job_id}.{self.worker}.{kind}.{secrets.token_hex(4)}.part"
        aside = self.root / "temp" / part
        with disk_errors():
            try:
                target.parent.mkdir(exist_ok=True)
                with aside.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                aside.rename(target)
                _sync_folder(target.parent)
            finally:
                aside.unlink(missing_ok=True)
        return relative, hashlib.sha256(data).digest()

    def path(self, relative: str) -> Path:
        """The absolute path of a row's file."""
        return self.root / relative

    def remove(self, relatives: Iterable[str]) -> None:
        """Remove files that may be gone already; raises `StorageError`."""
        self.check()
        with disk_errors():
            for relative in relatives:
                self.path(relative).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Free space for us on the disk of MEDIA_ROOT; raises `StorageError`."""
        with disk_errors():
            return shutil.disk_usage(self.root / "temp").free

    def space(self) -> Space:
        """The disk of MEDIA_ROOT; raises `StorageError`."""
        with disk_errors():
            found = os.statvfs(self.root)
        unit = found.f_frsize
        return Space(found.f_bavail * unit, found.f_blocks * unit, found.f_favail)

    def result_of(self, job_id: UUID) -> str | None:
        """The relative path of a job's result, whole as `keep` leaves it, if there is one."""
        stem = f"results/{str(job_id)[:2]}/{job_id}"
        names = (f"{stem}.{extension}" for extension in EXTENSIONS.values())
        return next((name for name in names if self.path(name).is_file()), None)

    def kept_files(self) -> Iterator[str]:
        """The relative path of every file under its public name, whether or not a row has it."""
        for folder in FOLDERS:
            if folder != "temp":
                yield from _walk(self.root / folder, folder)

    def list_temp(self) -> list[Path]:
        """What lies in `temp/` now."""
        with disk_errors():
            return [path for path in (self.root / "temp").iterdir() if path.is_file()]


def left_behind(files: Iterable[Path], alive: set[int] | None, stale_seconds: float) -> list[Path]:
    """Those temporary files nobody works on: their worker is not among the living, or, where
    nobody knows who lives, they have not changed for `stale_seconds`."""
    oldest = time.time() - stale_seconds
    return [path for path in files if _is_left_behind(path, alive, oldest)]


def _is_left_behind(path: Path, alive: set[int] | None, oldest: float) -> bool:
    worker = (path.name.split(".")[1:2] or ["0"])[0]
    if alive is not None and worker.isdigit() and int(worker):
        return int(worker) not in alive
    try:
        return path.stat().st_mtime < oldest
    except FileNotFoundError:
        return False


@dataclass(frozen=True, slots=True)
class TempFiles:
    """The temporary files of one shot, named after its job and its worker."""

    folder: Path
    stem: str
    purposes: set[str] = field(default_factory=set, compare=False)

    def path(self, purpose: str) -> Path:
        """`temp/{job}.{worker}.{purpose}`."""
        self.purposes.add(purpose)
        return self.folder / f"{self.stem}.{purpose}"

    def clear(self) -> None:
        """Remove every file of this shot that still exists."""
        for purpose in tuple(self.purposes):
            try:
                self.path(purpose).unlink(missing_ok=True)
            except OSError as error:
                log.error("media.remove_failed", file=f"{self.stem}.{purpose}", error=str(error))


def create(path: Path) -> BinaryIO:
    """A new file for writing, unbuffered; raises `StorageFull`, `StorageError`."""
    with disk_errors():
        return path.open("xb", buffering=0)


def write_all(file: BinaryIO, data: bytes | bytearray | memoryview) -> None:
    """Write all of `data`: a disk that is about to be full takes a part, and says nothing of it.
    Raises `StorageFull`, `StorageError`."""
    with disk_errors():
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn the disk's errors into ours."""
    try:
        yield
    except OSError as error:
        raise disk_failure(error) from error


def damaged(name: str, found: int, size: int) -> StorageError:
    """A file that is not as long as it was written: nobody is given a part of it."""
    return StorageError(private=f"{name} has {found} bytes instead of {size}: a damaged disk?")


def disk_failure(error: OSError) -> PhotoslotError:
    """`StorageFull` for a full disk or quota, `StorageError` for everything else."""
    cause = StorageFull if error.errno in FULL else StorageError
    return cause(private=f"{type(error).__name__}: {error.strerror}")


def _walk(folder: Path, relative: str) -> Iterator[str]:
    """Links are not followed."""
    with disk_errors(), os.scandir(folder) as entries:
        for entry in entries:
            path = f"{relative}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder / entry.name, path)
            else:
                yield path


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
