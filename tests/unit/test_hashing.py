"""The line before the thread that hashes passwords: who is next, who has to leave."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.errors import Overloaded
from service.hashing import MAX_WAITING, HashingLine

pytestmark = pytest.mark.anyio


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


class Held:
    """Work that lasts until it is let go, and the order in which others were done."""

    def __init__(self, line: HashingLine) -> None:
        self.line = line
        self.done: list[str] = []
        self._gate = threading.Event()

    async def begin(self) -> "asyncio.Task[bool]":
        """The thread is busy."""
        started = asyncio.Event()
        loop = asyncio.get_running_loop()

        def work() -> bool:
            loop.call_soon_threadsafe(started.set)
            return self._gate.wait(10)

        task = asyncio.create_task(self.line.run(0, work))
        await started.wait()
        return task

    async def join(self, name: str, failures: int) -> "asyncio.Task[None]":
        """Somebody who has failed so often is in the line."""
        task = asyncio.create_task(self.line.run(failures, self.done.append, name))
        await asyncio.sleep(0)
        return task

    def let_go(self) -> None:
        self._gate.set()


async def test_who_has_failed_least_is_next(pool: ThreadPoolExecutor) -> None:
    held = Held(HashingLine(pool, "test"))
    first = await held.begin()
    joined = [
        await held.join(name, failures)
        for name, failures in (("guess 7", 7), ("guess 8", 8), ("camera", 1), ("other camera", 1))
    ]

    held.let_go()
    await asyncio.gather(first, *joined)

    assert held.done == ["camera", "other camera", "guess 7", "guess 8"]


async def test_who_has_failed_most_leaves_a_full_line(pool: ThreadPoolExecutor) -> None:
    held = Held(HashingLine(pool, "test"))
    first = await held.begin()
    guesses = [await held.join(f"guess {n}", n) for n in range(2, MAX_WAITING + 2)]
    assert not any(guess.done() for guess in guesses)

    camera = await held.join("camera", 1)
    one_more = await held.join("one more", 99)

    for refused in (guesses.pop(), one_more):
        with pytest.raises(Overloaded):
            await refused
    held.let_go()
    await asyncio.gather(first, camera, *guesses)
    assert (held.done[0], len(held.done)) == ("camera", MAX_WAITING)


async def test_who_gives_up_holds_nobody_up(pool: ThreadPoolExecutor) -> None:
    held = Held(HashingLine(pool, "test"))
    first = await held.begin()
    gone, stays = await held.join("gone", 1), await held.join("stays", 2)

    gone.cancel()
    held.let_go()
    await asyncio.gather(first, stays)

    assert held.done == ["stays"]
    assert await held.line.run(0, len, "free again") == 10


async def test_who_gives_up_just_before_his_turn_holds_nobody_up(
    pool: ThreadPoolExecutor,
) -> None:
    held = Held(HashingLine(pool, "test"))
    async with held.line._turn(0):
        gone, stays = await held.join("gone", 1), await held.join("stays", 2)
        gone.cancel()

    await asyncio.wait_for(stays, 10)

    assert held.done == ["stays"]


async def test_who_gives_up_when_it_is_his_turn_passes_it_on(pool: ThreadPoolExecutor) -> None:
    held = Held(HashingLine(pool, "test"))
    async with held.line._turn(0):
        gone, stays = await held.join("gone", 1), await held.join("stays", 2)
    gone.cancel()

    await asyncio.wait_for(stays, 10)

    assert held.done == ["stays"]
    assert await held.line.run(0, len, "free again") == 10


async def test_a_failure_frees_the_thread(pool: ThreadPoolExecutor) -> None:
    line = HashingLine(pool, "test")

    with pytest.raises(ValueError):
        await line.run(0, int, "no number")

    assert await line.run(0, int, "7") == 7
