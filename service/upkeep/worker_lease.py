"""Worker lease: how every process knows which others live.

A process holds an advisory lock under its worker number and a row that says until when it lives
unless it says so again (`worker_lease`). It is alive while either lasts: the lock bears a process
that stands still, the lease one whose connection is lost until it has made another. When it dies,
even by `kill -9`, PostgreSQL drops the lock with the connection and nobody renews the lease:
whoever meets a job or a temporary file of that worker then knows that nobody works on it any more.

All times are PostgreSQL's own, but for what a process knows of its own lease.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.errors import DatabaseUnavailable
from service.queries import workers
from service.storage.database import Connection
from service.upkeep.kept_session import keep_session

# More than `kept_session.WORST_SECONDS`, and no more than a device's retry can wait.
LEASE_SECONDS = 6.0
MAX_WORKER = 2**31 - 1


class WorkerLease:
    """The life of this process under its worker number, as others see it."""

    def __init__(self) -> None:
        self.worker = secrets.randbelow(MAX_WORKER) + 1
        self._ends = 0.0

    def is_held(self) -> bool:
        """False when others may have declared this process dead: its jobs may be under way
        elsewhere. Counted from before the last renewal was sent."""
        return asyncio.get_running_loop().time() < self._ends

    async def renew(self, connection: Connection) -> None:
        """Live on. Raises `DatabaseUnavailable` when the first life sign is not taken."""
        sent = asyncio.get_running_loop().time()
        if await workers.renew(connection, self.worker, LEASE_SECONDS):
            self._ends = sent + LEASE_SECONDS
        elif not self._ends:
            raise DatabaseUnavailable(private="PostgreSQL had no time for the worker lease")

    async def end(self, connection: Connection) -> None:
        """What this process has left is nobody's from now on."""
        await workers.end(connection, self.worker)


@asynccontextmanager
async def open_worker_lease(url: str) -> AsyncIterator[WorkerLease]:
    """Live under a new worker number until the block ends. Raises `DatabaseUnavailable` when the
    lease cannot be had at first."""
    lease = WorkerLease()
    async with keep_session("lifeline", url, lease.renew, lease.end):
        yield lease
