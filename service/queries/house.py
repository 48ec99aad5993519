"""The processes of the house, and its schema."""

import asyncpg

from service.db import Database, Session
from service.queries.jobs import SETTLED_SECONDS


async def worker_lifeline(session: Session, worker: int) -> None:
    """Take the lock that tells every process that this one lives."""
    await session.run("worker_lifeline", worker)


async def workers_alive(db: Database) -> set[int] | None:
    """The processes that live; None just after PostgreSQL started, when nobody can know."""
    row = await db.one("workers_alive", SETTLED_SECONDS)
    assert row is not None
    return set(row["workers"]) if row["settled"] else None


async def house_schema(db: Database) -> str | None:
    """The newest migration of this database, such as `0001.first-light`; None before the first."""
    try:
        migration: str | None = await db.value("house_schema")
    except asyncpg.UndefinedTableError:
        return None
    return migration
