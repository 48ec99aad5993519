"""Kept session: a connection outside the pool, for locks and leases, that is asked every second
whether it still works and is made anew when it does not answer.

A connection can be lost in silence: after a failover, or when a firewall forgets it, nobody sends a
FIN or a RST, and who only waits for its end waits for ever.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import structlog

from service.errors import DatabaseUnavailable
from service.storage.database import Connection, open_connection

BEAT_SECONDS = 1.0
CONNECT_SECONDS = 1.0
# PostgreSQL gives a statement up before we give the connection up.
STATEMENT_SECONDS = 0.8
ANSWER_SECONDS = 1.0
RECONNECT_SECONDS = 0.5
# Who starts on a busy machine is not sent away at once.
FIRST_TRIES = 3
# From one good answer to the next, when the connection is lost right after the first and the first
# try to make it anew fails too.
WORST_SECONDS = (
    BEAT_SECONDS
    + ANSWER_SECONDS
    + CONNECT_SECONDS
    + RECONNECT_SECONDS
    + CONNECT_SECONDS
    + ANSWER_SECONDS
)

Ask = Callable[[Connection], Awaitable[None]]

log = structlog.get_logger()


@asynccontextmanager
async def keep_session(name: str, url: str, ask: Ask, end: Ask) -> AsyncIterator[None]:
    """Have `ask` asked over one connection when it is made and every `BEAT_SECONDS`, and `end` in
    the end, while the block runs. Its first answer is waited for; raises `DatabaseUnavailable` when
    it cannot be had. `name` begins the names of its log events."""
    asked, ending = asyncio.Event(), asyncio.Event()
    keeping = asyncio.create_task(_keep(name, url, ask, end, asked, ending))
    answered = asyncio.create_task(asked.wait())
    try:
        await asyncio.wait([keeping, answered], return_when=asyncio.FIRST_COMPLETED)
        if keeping.done():
            keeping.result()
        yield
    finally:
        ending.set()
        answered.cancel()
        await asyncio.wait([keeping], timeout=WORST_SECONDS)
        keeping.cancel()
        await asyncio.wait([keeping, answered])


async def _keep(
    name: str, url: str, ask: Ask, end: Ask, asked: asyncio.Event, ending: asyncio.Event
) -> None:
    failures = 0
    while not ending.is_set():
        try:
            async with _session(url) as connection:
                while not ending.is_set():
                    await ask(connection)
                    asked.set()
                    failures = 0
                    await _rest(ending, BEAT_SECONDS)
                await end(connection)
                return
        except DatabaseUnavailable as error:
            failures += 1
            if asked.is_set():
                log.warning(f"{name}.{'lost' if failures == 1 else 'not_made'}", why=error.private)
            elif failures == FIRST_TRIES:
                raise
        except Exception:
            if not asked.is_set():
                raise
            # Whatever it was, a process without its session is taken for dead.
            failures += 1
            log.exception(f"{name}.failed")
        await _rest(ending, RECONNECT_SECONDS)


def _session(url: str) -> AbstractAsyncContextManager[Connection]:
    # What is said here is true until a crash and no longer: no renewal waits for the disk.
    return open_connection(
        url,
        connect_seconds=CONNECT_SECONDS,
        answer_seconds=ANSWER_SECONDS,
        statement_timeout=str(int(STATEMENT_SECONDS * 1000)),
        synchronous_commit="off",
    )


async def _rest(ending: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(ending.wait(), seconds)
