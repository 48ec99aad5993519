"""Hashing line: a bounded queue before the one thread that hashes passwords."""

import asyncio
import bisect
import itertools
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

from service.counters import PASSWORD_CHECKS
from service.errors import Overloaded
from service.threads import in_thread

P = ParamSpec("P")
T = TypeVar("T")

# At some 40 ms each, whoever is in the line is looked at within two seconds.
MAX_WAITING = 32


class HashingLine:
    """Who has failed least is next, so that a right password does not wait behind guesses; when the
    line is full, who has failed most leaves it. `who` names it in the metric."""

    def __init__(self, pool: ThreadPoolExecutor, who: str) -> None:
        self._pool = pool
        self._hashed = PASSWORD_CHECKS.labels(who)
        self._is_busy = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    async def run(self, failures: int, work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """Run `work` in the thread when it is its turn, for somebody who has failed so often.
        Raises `Overloaded`."""
        async with self._turn(failures):
            self._hashed.inc()
            return await in_thread(self._pool, work, *args, **more)

    @asynccontextmanager
    async def _turn(self, failures: int) -> AsyncIterator[None]:
        if self._is_busy:
            await self._wait(failures)
        self._is_busy = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, failures: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        place = (failures, next(self._numbers), turn)
        bisect.insort(self._waiting, place)
        if len(self._waiting) > MAX_WAITING:
            _, _, last = self._waiting.pop()
            if not last.done():
                last.set_exception(Overloaded("Too many passwords are waiting to be verified."))
        try:
            await turn
        except asyncio.CancelledError:
            if place in self._waiting:
                self._waiting.remove(place)
            elif not turn.cancelled() and turn.exception() is None:
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """The thread goes from hand to hand: nobody who has just come may take it in between."""
        while self._waiting:
            _, _, turn = self._waiting.pop(0)
            if not turn.done():
                turn.set_result(None)
                return
        self._is_busy = False
