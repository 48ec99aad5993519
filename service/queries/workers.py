"""Workers: which processes of the service live."""

import asyncpg

from service.queries.jobs import SETTLED_SECONDS
from service.storage.database import Connection, Database


async def renew(connection: Connection, worker: int, seconds: float) -> bool:
    """Say that this process lives, and will for so many seconds unless it says so again. False
    when PostgreSQL answered that it had no time for it: the session and its lock are well."""
    try:
        held: bool = await connection.value("worker_renew", worker, seconds)
    except asyncpg.QueryCanceledError:
        return False
    return held


async def end(connection: Connection, worker: int) -> None:
    """Say that this process ends: its lease is over at once."""
    await connection.run("worker_end", worker)


async def alive(db: Database) -> set[int] | None:
    """The processes that live; None just after PostgreSQL started or failed over, and just after
    the first process did: then nobody can know."""
    living = await db.value("workers_alive", SETTLED_SECONDS)
    return None if living is None else set(living)
