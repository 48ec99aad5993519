"""Application state: what lives as long as the process, every handler's `request.state`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypedDict

import httpx

from service.config import Config
from service.counters import IN_FLIGHT
from service.crypto import PasswordMemory
from service.errors import Overloaded, ShuttingDown, StorageFull
from service.monitoring.checks import Checks
from service.site import Web
from service.storage.accounts import Admins, ProviderKeys
from service.storage.database import Database
from service.storage.media import Media
from service.threads import Threads


@dataclass(slots=True)
class Intake:
    """How much this process has under way: the brake before a body is read."""

    config: Config
    media: Media
    in_flight: int = 0
    reserved_bytes: int = 0
    shutting_down: bool = False

    @contextmanager
    def admit(self, expected_bytes: int) -> Iterator[None]:
        """Count one shot and reserve its place on the disk while the block runs.

        Raises `ShuttingDown`, `Overloaded`, `StorageFull`, `StorageError`."""
        self._check(expected_bytes)
        self.in_flight += 1
        self.reserved_bytes += expected_bytes
        IN_FLIGHT.inc()
        try:
            yield
        finally:
            self.in_flight -= 1
            self.reserved_bytes -= expected_bytes
            IN_FLIGHT.dec()

    def _check(self, expected_bytes: int) -> None:
        if self.shutting_down:
            raise ShuttingDown()
        if self.in_flight >= self.config.max_in_flight:
            raise Overloaded()
        wanted = self.reserved_bytes + expected_bytes
        if wanted > self.config.max_spool_mb * 1024**2:
            raise Overloaded("Too many bytes are being uploaded at once.")
        if self.media.free_bytes() - wanted < self.config.min_free_disk_mb * 1024**2:
            raise StorageFull()


class State(TypedDict):
    """The lifespan's gift to `Request[State]`."""

    config: Config
    db: Database
    media: Media
    client: httpx.AsyncClient
    threads: Threads
    passwords: PasswordMemory
    intake: Intake
    worker: int
    admins: Admins
    provider_keys: ProviderKeys
    nobody_hash: str
    web: Web
    checks: Checks
