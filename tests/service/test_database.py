import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from conftest import OUR_POOL
from psycopg.conninfo import conninfo_to_dict
from rig import free_port, until
from tables import Rows, Tables

from service.errors import DatabaseUnavailable
from service.storage.database import Database, load_statements, open_database

pytestmark = pytest.mark.anyio


# Two seconds are promised; a busy machine gets a little more.
AWAY_SECONDS = 2.5
# After so many the loop has read all that has arrived.
TURNS = 6
# Of `db` alone: the service of the run has its own in the same database.
OUR_CONNECTIONS = (
    "select pid from pg_stat_activity where application_name = %s and datname = current_database()"
)
LOOK = ("slot_for_ingest", "slot-001", b"subject", 72)
COUNT_A_FAILURE = ("throttle_count", b"subject", 20, 60.0, 60.0)


@contextmanager
def locked(url: str, table: str) -> Iterator[None]:
    """Nobody else can read or write the table while the block runs."""
    with psycopg.connect(url) as connection:
        connection.execute(f"lock table {table} in access exclusive mode".encode())
        yield


def waiting_backend(tables: Tables) -> int:
    """The connection of `db` that waits for a lock, once there is one."""
    query = f"{OUR_CONNECTIONS} and wait_event_type = 'Lock'"
    found: int = until(lambda: tables.rows(query, OUR_POOL), "a statement waits")[0]["pid"]
    return found


def terminate(tables: Tables, pid: int) -> None:
    # False also when it has just ended by itself, as those of the pool of the test before.
    tables.rows("select pg_terminate_backend(%s, 5000)", pid)
    alive = "select pid from pg_stat_activity where pid = %s"
    until(lambda: not tables.rows(alive, pid), f"the connection {pid} has ended")


def end_all_connections(tables: Tables) -> int:
    pids = [row["pid"] for row in tables.rows(OUR_CONNECTIONS, OUR_POOL)]
    for pid in pids:
        terminate(tables, pid)
    return len(pids)


async def hear_of_it(turns: int) -> None:
    """Let the event loop read this much of a server's farewell: its last words come before its end
    of the connection does."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def cut_off_while_waiting(db: Database, tables: Tables, table: str, call: Any) -> Any:
    """Run `call` while `table` is locked, end its connection, then free the table."""
    running = asyncio.ensure_future(call)
    with locked(tables.url, table):
        pid = await asyncio.to_thread(waiting_backend, tables)
        await asyncio.to_thread(terminate, tables, pid)
    return await running


@asynccontextmanager
async def proxy(url: str) -> AsyncIterator[tuple[str, asyncio.Server]]:
    """The same database behind a port of our own, which can be closed."""
    where = conninfo_to_dict(url)
    host, port = str(where["host"]), int(where.get("port") or 5432)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(ConnectionError):  # either side may hang up on the other
            while data := await reader.read(65536):
                writer.write(data)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await (
            asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
            if host.startswith("/")
            else asyncio.open_connection(host, port)
        )
        await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    ours = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1], "sslmode": "disable"}
    try:
        yield f"postgresql:///{where['dbname']}?{urlencode({**where, **ours})}", server
    finally:
        server.close()


async def test_one_many_value_and_run_give_what_they_promise(db: Database) -> None:
    row = await db.one(*LOOK)
    assert row is not None and row["id"] == "slot-001"
    assert await db.one("slot_for_ingest", "slot-999", b"subject", 72) is None
    assert [row["id"] for row in await db.many(*LOOK)] == ["slot-001"]
    assert await db.value(*LOOK) == "slot-001"
    assert await db.value("slot_for_ingest", "slot-999", b"subject", 72) is None
    assert await db.run(*COUNT_A_FAILURE) == 1
    assert await db.run("job_mark_undelivered", "00000000-0000-4000-8000-000000000000") == 0


async def test_jsonb_goes_in_and_comes_out_as_python(db: Database, tables: Tables) -> None:
    tables.change_slot("slot-001", settings={"prompt": 'день "one"\n', "numbers": [1, 2.5, None]})

    row = await db.one(*LOOK)

    assert row is not None
    assert row["settings"] == {"prompt": 'день "one"\n', "numbers": [1, 2.5, None]}


async def test_a_transaction_happens_whole(db: Database, rows: Rows) -> None:
    async with db.transaction() as transaction:
        await transaction.run(*COUNT_A_FAILURE)
        await transaction.run(*COUNT_A_FAILURE)

    assert rows("select failures from login_throttle") == [{"failures": 2}]


async def test_a_transaction_that_fails_leaves_nothing(db: Database, rows: Rows) -> None:
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as transaction:
            await transaction.run(*COUNT_A_FAILURE)
            raise ZeroDivisionError

    assert rows("select failures from login_throttle") == []
    assert db.busy() == 0


async def test_a_reading_statement_survives_a_lost_connection(db: Database, tables: Tables) -> None:
    row = await cut_off_while_waiting(db, tables, "slot", db.one(*LOOK))

    assert row["id"] == "slot-001"


async def test_a_writing_statement_is_never_repeated(db: Database, tables: Tables) -> None:
    with pytest.raises(DatabaseUnavailable):
        await cut_off_while_waiting(db, tables, "login_throttle", db.run(*COUNT_A_FAILURE))

    assert tables.rows("select failures from login_throttle") == []
    assert await db.run(*COUNT_A_FAILURE) == 1


async def test_a_transaction_on_a_lost_connection_is_unavailable(
    db: Database, tables: Tables
) -> None:
    async def count() -> None:
        async with db.transaction() as transaction:
            await transaction.run(*COUNT_A_FAILURE)

    with pytest.raises(DatabaseUnavailable):
        await cut_off_while_waiting(db, tables, "login_throttle", count())


@pytest.mark.parametrize("turns", range(TURNS))
async def test_all_idle_connections_may_die_at_once(
    db: Database, tables: Tables, turns: int
) -> None:
    await asyncio.gather(*(db.one(*LOOK) for _ in range(8)))

    assert end_all_connections(tables) > 1
    await hear_of_it(turns)

    found = await asyncio.gather(*(db.one(*LOOK) for _ in range(8)))
    assert [row["id"] for row in found if row] == ["slot-001"] * 8


@pytest.mark.parametrize("turns", range(TURNS))
async def test_a_connection_may_die_between_two_statements(
    db: Database, tables: Tables, turns: int
) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with db.transaction() as transaction:
            await transaction.run(*COUNT_A_FAILURE)
            end_all_connections(tables)
            await hear_of_it(turns)
            await transaction.run(*COUNT_A_FAILURE)

    assert db.busy() == 0
    assert tables.rows("select failures from login_throttle") == []
    assert await db.value(*LOOK) == "slot-001"
    assert await db.run(*COUNT_A_FAILURE) == 1


async def test_a_lock_held_by_somebody_else_is_not_waited_for_for_long(
    db: Database, tables: Tables
) -> None:
    with locked(tables.url, "slot"):
        with pytest.raises(DatabaseUnavailable) as raised:
            await asyncio.wait_for(db.one(*LOOK), 4.0)

    assert "LockNotAvailable" in (raised.value.private or "")


async def test_a_pool_that_stays_empty_is_unavailable(database_url: str) -> None:
    async with open_database(database_url, size=1) as db:
        async with db.transaction():
            started = time.monotonic()
            with pytest.raises(DatabaseUnavailable):
                await db.one(*LOOK)
    assert time.monotonic() - started < AWAY_SECONDS


async def test_nobody_listens(database_url: str) -> None:
    started = time.monotonic()

    with pytest.raises(DatabaseUnavailable) as raised:
        async with open_database(f"postgresql://somebody@127.0.0.1:{free_port()}/photoslot", 2):
            raise AssertionError("it opened")

    assert time.monotonic() - started < AWAY_SECONDS
    assert "127.0.0.1" not in raised.value.details


async def test_somebody_listens_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            async with open_database(
                f"postgresql://somebody@127.0.0.1:{silent.getsockname()[1]}/photoslot", 2
            ):
                raise AssertionError("it opened")

    assert time.monotonic() - started < AWAY_SECONDS


async def test_a_database_that_is_not_there_is_unavailable(database_url: str) -> None:
    name = re.search(r"photoslot_test_\w+", database_url)
    assert name is not None

    with pytest.raises(DatabaseUnavailable):
        async with open_database(database_url.replace(name[0], "no_such_database"), 2):
            raise AssertionError("it opened")


async def test_the_server_goes_away_under_an_open_pool(tables: Tables) -> None:
    async with (
        proxy(tables.url) as (url, server),
        open_database(url, size=2, application_name=OUR_POOL) as db,
    ):
        assert await db.value(*LOOK) == "slot-001"
        server.close()
        end_all_connections(tables)
        for call in (db.one(*LOOK), db.run(*COUNT_A_FAILURE)):
            started = time.monotonic()
            with pytest.raises(DatabaseUnavailable):
                await call
            assert time.monotonic() - started < AWAY_SECONDS


def test_the_loader_reads_name_comment_and_text(tmp_path: Path) -> None:
    (tmp_path / "noun.sql").write_text(
        "-- name: noun_first\n-- What it is for.\n-- $1 id\nselect $1\n-- inside\n;\n\n"
        "-- name: noun_second\n-- Another.\ndelete from noun;\n"
    )

    statements = load_statements(tmp_path)

    assert list(statements) == ["noun_first", "noun_second"]
    assert statements["noun_first"].comment == "What it is for. $1 id"
    assert statements["noun_first"].text.split() == ["select", "$1", "--", "inside"]
    assert statements["noun_second"].text == "delete from noun"
    assert [statement.writes for statement in statements.values()] == [False, True]


@pytest.mark.parametrize("second", ["noun.sql", "other.sql"])
def test_the_loader_refuses_a_name_used_twice(tmp_path: Path, second: str) -> None:
    statement = "-- name: noun_first\n-- What for.\nselect 1;\n"
    (tmp_path / "noun.sql").write_text(statement)
    with (tmp_path / second).open("a") as file:
        file.write(statement)

    with pytest.raises(ValueError, match=f"noun_first is defined twice, again in {second}"):
        load_statements(tmp_path)


@pytest.mark.parametrize(
    ("text", "writes"),
    [
        ("select 1", False),
        ("with a as (select 1) select * from a", False),
        ("insert into slot values (1)", True),
        ("update slot set version = 2", True),
        ("with gone as (\n    delete from slot returning id\n)\nselect id from gone", True),
        ("with done as (\n    update slot set version = 2\n)\nselect 1", True),
        ("select id from slot for update", True),
    ],
)
def test_a_statement_knows_whether_it_writes(tmp_path: Path, text: str, writes: bool) -> None:
    (tmp_path / "noun.sql").write_text(f"-- name: noun_verb\n-- What for.\n{text};\n")

    assert load_statements(tmp_path)["noun_verb"].writes is writes
