"""The test database: read it, change it, bring it back to how the migrations left it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from graphlib import TopologicalSorter
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from pytest_postgresql.janitor import DatabaseJanitor

Connection = psycopg.Connection[dict[str, Any]]
# What tests are given, under the names of the fixtures: `rows`, `execute`, `slot`, `disk`.
Rows = Callable[..., list[dict[str, Any]]]
Execute = Callable[..., int]
ChangeSlot = Callable[..., None]
Disk = Callable[..., list[str]]

FOREIGN_KEYS = """
    select c.relname as name, r.relname as refers_to
    from pg_class c
    left join pg_constraint k on k.conrelid = c.oid and k.contype = 'f' and k.confrelid <> c.oid
    left join pg_class r on r.oid = k.confrelid
    where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
      and c.relname !~ '^_?yoyo'
"""

SWOLLEN = """
    select relname::text from pg_class
    where relkind = 'r' and relnamespace = 'public'::regnamespace and pg_relation_size(oid) > {}
"""
RESTORE = "select * from pg_temp.restore_tables() as name"
# A table of more has dead rows that every look at it would pass again.
SWOLLEN_BYTES = 512 * 1024


@contextmanager
def new_database(server_url: str) -> Iterator[str]:
    """The URL of an empty database that lives as long as the block."""
    server = conninfo_to_dict(server_url)
    name = f"photoslot_test_{uuid4().hex[:12]}"
    janitor = DatabaseJanitor(
        user=str(server.get("user") or "postgres"),
        host=str(server.get("host") or "127.0.0.1"),
        port=server.get("port") or 5432,
        password=str(server.get("password") or "") or None,
        dbname=name,
    )
    with janitor:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()


class Tables:
    """The rows behind a service. Each call is a transaction of its own on one connection, which is
    made anew when a test has cut it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._restoring: sql.Composed | None = None
        self._connection = self._connect()

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def rows(self, query: str, *args: object) -> list[dict[str, Any]]:
        """All rows of a query; parameters are `%s`."""
        return self._alive().execute(query.encode(), args or None).fetchall()

    def execute(self, statement: str, *args: object) -> int:
        """Run one statement; the number of rows it touched."""
        return self._alive().execute(statement.encode(), args or None).rowcount

    def change_slot(self, slot_id: str, **columns: object) -> None:
        """Set columns of a slot's row; dicts and lists become jsonb."""
        values = [Jsonb(v) if isinstance(v, dict | list) else v for v in columns.values()]
        assignments = sql.SQL(", ").join(
            sql.SQL("{} = %s").format(sql.Identifier(name)) for name in columns
        )
        statement = sql.SQL("update slot set {} where id = %s").format(assignments)
        changed = self._alive().execute(statement, [*values, slot_id]).rowcount
        assert changed == 1, f"there is no slot {slot_id}"

    def remember(self) -> None:
        """Take what is in the tables now as what `restore` brings back."""
        found = self.rows(FOREIGN_KEYS)
        parents: dict[str, set[str]] = {row["name"]: set() for row in found}
        for row in found:
            if row["refers_to"]:
                parents[row["name"]].add(row["refers_to"])
        kept = {}
        for name in TopologicalSorter(parents).static_order():
            query = sql.SQL("select {} as rows").format(_content(name))
            kept[name] = self.rows(query.as_string())[0]["rows"]
        self._restoring = _restoring(kept)
        self._connection.execute(self._restoring)

    def restore(self) -> None:
        """Empty every table and put back what `remember` found, in one round trip."""
        try:
            swollen = self._connection.execute(RESTORE).fetchall()
        except psycopg.OperationalError:
            self._reconnect()
            swollen = self._connection.execute(RESTORE).fetchall()
        for row in swollen:
            self._connection.execute(sql.SQL("vacuum {}").format(sql.Identifier(row["name"])))

    def _alive(self) -> Connection:
        try:
            self._connection.execute("select")
        except psycopg.OperationalError:
            self._reconnect()
        return self._connection

    def _reconnect(self) -> None:
        self._connection.close()
        self._connection = self._connect()

    def _connect(self) -> Connection:
        connection = psycopg.connect(self.url, row_factory=dict_row, autocommit=True)
        if self._restoring:
            connection.execute(self._restoring)
        return connection


def _content(table: str) -> sql.Composed:
    """All rows of a table as one value, null when there is none."""
    return sql.SQL("(select jsonb_agg(to_jsonb(t) order by to_jsonb(t)) from {} t)").format(
        sql.Identifier(table)
    )


def _restoring(kept: dict[str, Any]) -> sql.Composed:
    """The function of a connection that makes these, in the order of their foreign keys, the
    contents of the tables, and names those that are swollen. Those with rows are left alone as long
    as none of them has changed."""
    contents = {name: rows for name, rows in kept.items() if rows}
    changed = sql.SQL(" or ").join(
        sql.SQL("{} is distinct from {}").format(_content(name), sql.Literal(Jsonb(rows)))
        for name, rows in contents.items()
    )
    delete = {
        name: sql.SQL("delete from {};").format(sql.Identifier(name)) for name in reversed(kept)
    }
    insert = [
        sql.SQL(
            "insert into {table} overriding system value"
            " select * from jsonb_populate_recordset(null::{table}, {rows});"
        ).format(table=sql.Identifier(name), rows=sql.Literal(Jsonb(rows)))
        for name, rows in contents.items()
    ]
    body = sql.SQL("begin if {} then {} else {} end if; return query {}; end").format(
        changed,
        sql.SQL("").join([*delete.values(), *insert]),
        sql.SQL("").join(statement for name, statement in delete.items() if name not in contents),
        sql.SQL(SWOLLEN).format(sql.Literal(SWOLLEN_BYTES)),
    )
    return sql.SQL(
        "create function pg_temp.restore_tables() returns setof text language plpgsql as {}"
    ).format(sql.Literal(body.as_string()))
