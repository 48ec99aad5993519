"""Worker lock: how every process knows which others live.

A process holds one advisory lock under its worker number, on a connection of its own. When it dies,
even by `kill -9`, PostgreSQL drops the connection and with it the lock, and whoever meets a job or
a temporary file of that worker knows that nobody works on it any more.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from service.errors import DatabaseUnavailable
from service.queries import workers
from service.storage.database import open_connection

RECONNECT_SECONDS = 0.5
MAX_WORKER = 2**31 - 1

log = structlog.get_logger()


@asynccontextmanager
async def open_worker_lock(url: str) -> AsyncIterator[int]:
    """Live under a new worker number until the block ends; a lost connection is made anew.
    Raises `DatabaseUnavailable` when it cannot be made at first."""
    worker = secrets.randbelow(MAX_WORKER) + 1
    holding = asyncio.Event()
    task = asyncio.create_task(_hold(url, worker, holding))
    held = asyncio.create_task(holding.wait())
    try:
        await asyncio.wait([task, held], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield worker
    finally:
        held.cancel()
        task.cancel()
        await asyncio.wait([task, held])


async def _hold(url: str, worker: int, holding: asyncio.Event) -> None:
    while True:
        ended = asyncio.Event()
        try:
            async with open_connection(url, ended.set) as connection:
                await workers.lock(connection, worker)
                holding.set()
                await ended.wait()
            log.warning("lifeline.lost", worker=worker)
        except DatabaseUnavailable as error:
            if not holding.is_set():
                raise
            log.warning("lifeline.not_made", worker=worker, why=error.private)
            await asyncio.sleep(RECONNECT_SECONDS)
