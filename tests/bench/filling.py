"""A service that has worked for a while, made at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

HERE = Path(__file__).parent
LARGE = ("job_history", "media_object")


def fill(url: str, jobs: int, days: int, media: str = "fill_media") -> None:
    """So many jobs over so many days, and their files as the statement file `media` wants them.

    Without triggers, foreign keys and indexes: they would be most of the work."""
    with psycopg.connect(url) as connection:
        connection.execute("set session_replication_role = replica")
        with _without_indexes(connection):
            connection.execute(_text("fill_jobs"), [jobs, days])
            connection.execute(_text(media))
        connection.execute(_text("fill_hours"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum (analyze)")
        connection.execute("select pg_stat_reset()")


def _text(name: str) -> bytes:
    return (HERE / f"{name}.sql").read_bytes()


@contextmanager
def _without_indexes(connection: "psycopg.Connection[Any]") -> Iterator[None]:
    """The large tables lose their indexes for the block, but for the primary keys."""
    found = connection.execute(
        "select c.relname, pg_get_indexdef(c.oid) from pg_index i join pg_class c"
        " on c.oid = i.indexrelid"
        " where i.indrelid = any(%s::regclass[]) and not i.indisprimary",
        [list(LARGE)],
    ).fetchall()
    for name, _ in found:
        connection.execute(sql.SQL("drop index {}").format(sql.Identifier(name)))
    yield
    for _, definition in found:
        connection.execute(definition)
