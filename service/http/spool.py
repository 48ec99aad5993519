"""Spool: an upload's file on its way to the disk, hashed and written by a thread while the next
bytes arrive."""

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from service.storage.media import create, disk_errors, write_all
from service.threads import in_thread


class Spool:
    """The file on disk, one batch at a time in a thread. Raises `StorageFull`, `StorageError`."""

    def __init__(self, target: Path, threads: ThreadPoolExecutor) -> None:
        self._target = target
        self._threads = threads
        self._hash = hashlib.sha256()
        self._file: BinaryIO
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Spool":
        # Not in a thread: opening takes microseconds, and a folder that is gone is noticed before
        # the device has sent its photo.
        self._file = create(self._target)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._writing is not None:
            await asyncio.wait([self._writing])
        with disk_errors():
            self._file.close()

    async def write(self, batch: Sequence[memoryview | bytearray]) -> None:
        """Hand a batch to the thread; waits for the one before."""
        await self._settle()
        self._writing = asyncio.create_task(in_thread(self._threads, self._append, batch))

    async def sha256(self) -> bytes:
        """The digest of everything written."""
        await self._settle()
        return self._hash.digest()

    async def _settle(self) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)

    def _append(self, batch: Sequence[memoryview | bytearray]) -> None:
        for piece in batch:
            self._hash.update(piece)
            write_all(self._file, piece)
