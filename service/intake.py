"""Intake: what uploads may take of this process, of its disk and its places, while they arrive.

Who has shown a slot's password has MAX_IN_FLIGHT places and MAX_SPOOL_MB. Until then everybody is
a stranger, and strangers have a share of their own: whoever has shown nothing takes nothing from
those who have. Nobody is turned away for it: where it is too small the one goes that has brought
least for its time, of the network that has most.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from service.config import Config
from service.counters import IN_FLIGHT, STRANGERS
from service.errors import Overloaded, ShuttingDown, StorageFull
from service.storage.media import Media
from service.throttle import network

MAX_STRANGERS = 100
MAX_STRANGERS_OF_NETWORK = 30
# Of MAX_SPOOL_MB.
SHARE_OF_STRANGERS = 0.25
SHARE_OF_NETWORK = 0.125
# Looking at the disk and at all uploads costs some microseconds: not for every packet.
CHECKED_BYTES = 256 * 1024
# Nobody goes before it could send what it came with.
FIRST_SECONDS = 2.0
MB = 1024**2


@dataclass(slots=True, eq=False)
class Visit:
    """One upload: a stranger's until `show`. `bytes` are those that have arrived."""

    intake: "Intake"
    network: str
    began: float
    limit: asyncio.Timeout
    bytes: int = 0
    is_stranger: bool = True
    _checked: int = 0

    def show(self) -> None:
        """Its sender has shown the password. Raises `Overloaded` when all places are taken."""
        if self.is_stranger:
            self.intake.admit(self)

    def take(self, count: int) -> None:
        """So many more bytes are here. Raises `Overloaded`, `StorageFull`, `StorageError`."""
        self.bytes += count
        if self.bytes - self._checked >= CHECKED_BYTES:
            self._checked = self.bytes
            self.intake.check_bytes(self)

    def rate(self, now: float) -> float:
        """Bytes a second so far."""
        return self.bytes / max(now - self.began, FIRST_SECONDS)


@dataclass(slots=True)
class Intake:
    """What is under way in this process."""

    config: Config
    media: Media
    shutting_down: bool = False
    _visits: set[Visit] = field(default_factory=set)
    _in_flight: int = 0

    @asynccontextmanager
    async def visit(self, address: str, declared_bytes: int) -> AsyncIterator[Visit]:
        """Let somebody at `address` begin an upload of so many bytes.

        Raises `ShuttingDown`, `Overloaded`, `StorageFull`, `StorageError`; in the block
        `Overloaded` too, when a stranger has to make room for others."""
        self._check(declared_bytes)
        async with self._making_room() as limit:
            visit = Visit(self, network(address), _now(), limit)
            self._visits.add(visit)
            STRANGERS.inc()
            try:
                self._bound_strangers(visit.network)
                yield visit
            finally:
                self._visits.discard(visit)
                if visit.is_stranger:
                    STRANGERS.dec()
                else:
                    self._in_flight -= 1
                    IN_FLIGHT.dec()

    def admit(self, visit: Visit) -> None:
        """Give a visit one of the places. Raises `Overloaded`."""
        self._check_places()
        visit.is_stranger = False
        self._in_flight += 1
        STRANGERS.dec()
        IN_FLIGHT.inc()

    def check_bytes(self, visit: Visit) -> None:
        """Raises `Overloaded`, `StorageFull`, `StorageError`."""
        limit = self.config.max_spool_mb * MB
        if sum(one.bytes for one in self._visits) > limit:
            raise Overloaded("Too many bytes are being uploaded at once.")
        if self.media.free_bytes() < self.config.min_free_disk_mb * MB:
            raise StorageFull()
        if visit.is_stranger:
            self._bound_strangers(visit.network)

    @asynccontextmanager
    async def _making_room(self) -> AsyncIterator[asyncio.Timeout]:
        limit = asyncio.timeout(None)
        try:
            async with limit:
                yield limit
        except TimeoutError:
            if not limit.expired():
                raise
            raise Overloaded("Too many send at once without a password. Send it first.") from None

    def _check(self, declared_bytes: int) -> None:
        if self.shutting_down:
            raise ShuttingDown()
        self._check_places()
        if self.media.free_bytes() - declared_bytes < self.config.min_free_disk_mb * MB:
            raise StorageFull()

    def _check_places(self) -> None:
        if self._in_flight >= self.config.max_in_flight:
            raise Overloaded()

    def _bound_strangers(self, of_network: str) -> None:
        """Let one stranger go for every limit that is passed: the network's, then all."""
        spool = self.config.max_spool_mb * MB
        strangers = [one for one in self._visits if one.is_stranger and not one.limit.when()]
        theirs = [one for one in strangers if one.network == of_network]
        if _is_over(theirs, MAX_STRANGERS_OF_NETWORK, spool * SHARE_OF_NETWORK):
            _let_go(theirs)
        elif _is_over(strangers, MAX_STRANGERS, spool * SHARE_OF_STRANGERS):
            [(busiest, _)] = Counter(one.network for one in strangers).most_common(1)
            _let_go([one for one in strangers if one.network == busiest])


def _is_over(strangers: list[Visit], most: int, most_bytes: float) -> bool:
    return len(strangers) > most or sum(one.bytes for one in strangers) > most_bytes


def _let_go(strangers: list[Visit]) -> None:
    """The slowest goes, among those that had their first moment, else the oldest."""
    now = _now()
    settled = [one for one in strangers if now - one.began > FIRST_SECONDS]
    slowest = min(settled, key=lambda one: one.rate(now), default=None)
    goes = slowest or min(strangers, key=lambda one: one.began)
    goes.limit.reschedule(now)


def _now() -> float:
    return asyncio.get_running_loop().time()
