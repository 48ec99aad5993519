"""Backup archive: a plain tar that is complete, or says that it is not.

`database.dump` (pg_dump's custom format), then every kept file under `media/`, then SHA256SUMS over
all of them. `tar -xf` and `sha256sum -c SHA256SUMS` do by hand what `check` does here.
"""

import hashlib
import io
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pgtools

DUMP = "database.dump"
SUMS = "SHA256SUMS"
MEDIA = "media/"
FOLDERS = ("results", "previews", "templates")
PIECE = 1024**2
TABLE = "media_object"


class Broken(Exception):
    """This is not a whole backup; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `media_object` as the dump has it."""

    id: str
    kind: str
    path: str
    sha256: str
    expires_at: str
    is_cleaned: bool


@dataclass(slots=True)
class Writer:
    """Adds members and remembers their sums."""

    tar: tarfile.TarFile
    sums: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, path: Path) -> str:
        """Add a file; gives its SHA-256. Raises `OSError`, nothing being added when it is gone."""
        with path.open("rb") as file:
            member = self.tar.gettarinfo(arcname=name, fileobj=file)
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            hashing = _Hashing(file)
            self.tar.addfile(member, hashing)
        self.sums[name] = hashing.digest.hexdigest()
        return self.sums[name]

    def finish(self) -> None:
        """Write the sums, the last member."""
        text = "".join(f"{digest}  {name}\n" for name, digest in self.sums.items()).encode()
        member = tarfile.TarInfo(SUMS)
        member.size, member.mode, member.mtime = len(text), 0o600, int(time.time())
        self.tar.addfile(member, io.BytesIO(text))


def check(path: Path) -> dict[str, str]:
    """The sums of a whole archive by name, once every byte was read and compared.
    Raises `Broken`, `OSError`."""
    found: dict[str, str] = {}
    sums: dict[str, str] | None = None
    with _a_whole_tar():
        for name, file in _members(path):
            if name == SUMS:
                sums = _read_sums(file)
            else:
                found[name] = _digest(file)
    if sums is None:
        raise Broken(f"it has no {SUMS}: it was cut off, or is no backup of this program")
    for name in [*sums, *found]:
        if found.get(name) != sums.get(name):
            raise Broken(f"{name} is not as {SUMS} has it")
    if DUMP not in found:
        raise Broken(f"it has no {DUMP}")
    return sums


def unpack(path: Path, sums: Mapping[str, str], place: Callable[[str], Path]) -> None:
    """Write every member to where `place` puts its name; raises `Broken` when one is no longer what
    it was when it was checked, `OSError`."""
    with _a_whole_tar():
        for name, file in _members(path):
            if name != SUMS and _copy(file, place(name)) != sums.get(name):
                raise Broken(f"{name} changed while it was read")


def rows(dump: Path, pg_restore: Path) -> Iterator[Row]:
    """What the dump says of files."""
    return (_row(cells) for cells in _table(dump, pg_restore, TABLE))


def installation_id(dump: Path, pg_restore: Path) -> str | None:
    """Which installation was dumped; None for one that had no id yet."""
    found = [cells["id"] for cells in _table(dump, pg_restore, "house")]
    return found[0] if found else None


def _table(dump: Path, pg_restore: Path, name: str) -> Iterator[dict[str, str]]:
    """The rows of a table as COPY writes them, by column."""
    command = [str(pg_restore), "--data-only", f"--table={name}", "--file=-", str(dump)]
    columns: list[str] | None = None
    for line in pgtools.lines(command):
        if line.startswith(f"COPY public.{name} ("):
            columns = line.split("(", 1)[1].split(")", 1)[0].split(", ")
        elif line == "\\.":
            columns = None
        elif columns is not None:
            yield dict(zip(columns, line.split("\t"), strict=True))


def _row(cells: Mapping[str, str]) -> Row:
    return Row(
        id=cells["id"],
        kind=cells["kind"],
        path=cells["path"],
        sha256=cells["sha256"].removeprefix("\\\\x"),
        expires_at=cells["expires_at"],
        is_cleaned=cells["cleaned_at"] != "\\N",
    )


def _members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Every member with its content; only files with names a backup has, each once."""
    seen = set()
    with tarfile.open(path, "r|") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is None or not _is_ours(member.name) or member.name in seen:
                raise Broken(f"{member.name!r} does not belong into a backup")
            seen.add(member.name)
            yield member.name, content


@contextmanager
def _a_whole_tar() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError) as error:
        raise Broken(f"it is not a whole tar file: {error}") from error


def _copy(file: IO[bytes], target: Path) -> str:
    """Write what is read to a new file; gives its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    reading = _Hashing(file)
    with target.open("xb") as copy:
        while piece := reading.read(PIECE):
            copy.write(piece)
    return reading.digest.hexdigest()


def _is_ours(name: str) -> bool:
    if name in (DUMP, SUMS):
        return True
    parts = name.removeprefix(MEDIA).split("/")
    plain = all(part not in ("", ".", "..") and "\\" not in part for part in parts)
    return name.startswith(MEDIA) and plain and len(parts) > 1 and parts[0] in FOLDERS


def _read_sums(file: IO[bytes]) -> dict[str, str]:
    text = file.read().decode("utf-8", "replace")
    pairs = (line.split("  ", 1) for line in text.splitlines())
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}


def _digest(file: IO[bytes]) -> str:
    hashing = _Hashing(file)
    while hashing.read(PIECE):
        continue
    return hashing.digest.hexdigest()


class _Hashing:
    """A file that hashes what is read from it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.digest.update(piece)
        return piece
