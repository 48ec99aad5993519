"""Workers: which processes of the service live."""

from service.queries.jobs import SETTLED_SECONDS
from service.storage.database import Connection, Database


async def lock(connection: Connection, worker: int) -> None:
    """Take the lock that tells every process that this one lives."""
    await connection.run("worker_lock", worker)


async def alive(db: Database) -> set[int] | None:
    """The processes that live; None just after PostgreSQL started, when nobody can know."""
    row = await db.one("workers_alive", SETTLED_SECONDS)
    assert row is not None
    return set(row["workers"]) if row["settled"] else None
