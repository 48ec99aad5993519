"""Secret files under SECRETS_DIR, small JSON: admins' accounts and provider keys.

Mode 0600, replaced whole, so that a reader sees the old text or the new one. A reader looks at the
file's stamp each time: what one process or command writes holds in every process at once.
"""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from service.errors import StorageError

Content = Mapping[str, Any]


class SecretFile:
    """One such file; a missing one reads as `{}`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._content: Content = {}

    def read(self) -> Content:
        """What the file says now. Raises `StorageError` when it cannot be read."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp != self._stamp:
                self._content = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Any])
                self._stamp = stamp
        except FileNotFoundError:
            self._stamp, self._content = None, {}
        except (OSError, msgspec.MsgspecError) as error:
            raise StorageError(private=f"{self._path.name}: {type(error).__name__}") from error
        return self._content

    def change(self, edit: Callable[[Content], Content]) -> None:
        """Replace the content by `edit` of what it is; of two changes at once the second waits.
        Raises `StorageError`."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                self._replace(msgspec.json.encode(edit(self.read())))
        except OSError as error:
            raise StorageError(private=f"{self._path.name}: {error.strerror}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._path.parent / f".{self._path.name}.lock").open("w") as lock:
            os.fchmod(lock.fileno(), 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _replace(self, data: bytes) -> None:
        descriptor, aside = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(data) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            Path(aside).rename(self._path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
