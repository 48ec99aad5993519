"""Ingest password: one request's try at a slot's.

A try is counted before it is hashed, for every process at once, and given back when it fitted; a
password this process remembers costs neither. While a sender is shut out, a network that a right
password came from before is still heard: who shares it with a guesser is let in, and nothing is
hashed or counted.
"""

from service.crypto import Digest, digest
from service.errors import InvalidPassword, Overloaded, RateLimited
from service.queries import throttles
from service.queries.slots import IngestSlot
from service.state import State
from service.throttle import INGEST, network


def subject_of(slot_id: str, address: str) -> Digest:
    """Whom failed passwords count against: one mis-set camera must not shut out the other slots'
    cameras behind the same address."""
    return digest("ingest", slot_id, network(address))


class IngestPassword:
    """What a sender at `address` may try at a slot that has a password."""

    def __init__(self, state: State, slot: IngestSlot, address: str) -> None:
        self._db, self._memory = state["db"], state["passwords"]
        self._slot = slot
        self._hash = slot.ingest_password_hash or ""
        self._network = network(address)
        self._subject = subject_of(slot.id, address)
        self._is_counted = False

    def refuse_if_shut_out(self) -> None:
        """Refuse before the body is read. Raises `RateLimited`."""
        if self._slot.blocked_seconds and not self._memory.has_met(self._hash, self._network):
            raise RateLimited(retry_after=self._slot.blocked_seconds)

    async def check(self, password: str) -> None:
        """Raises `InvalidPassword`, `RateLimited`, `Overloaded`."""
        if not self._memory.remembers(password, self._hash):
            async with self._memory.one_at_a_time(password, self._hash):
                if not self._memory.remembers(password, self._hash):
                    await self._verify(password)
        self._memory.meet(self._hash, self._network)

    async def count(self) -> int:
        """Count one try; how many there are now. Raises `RateLimited`."""
        failures = await throttles.count(self._db, self._subject, INGEST)
        if failures is None:
            seconds = await throttles.blocked_seconds(self._db, [self._subject])
            raise RateLimited(retry_after=seconds or 1)
        self._is_counted = True
        return failures

    async def count_once(self) -> None:
        """Count a body without a password, or one that was too long to be read, like a wrong one.
        Raises `RateLimited`."""
        if not self._is_counted:
            await self.count()

    async def _verify(self, password: str) -> None:
        failures = await self.count()
        try:
            fits = await self._memory.verify(password, self._hash, failures)
        except Overloaded:
            await throttles.take_back(self._db, self._subject)
            raise
        if not fits:
            raise InvalidPassword()
        await throttles.take_back(self._db, self._subject)
