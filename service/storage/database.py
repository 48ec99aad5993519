"""Database: the connection pool, and the loader of named statements.

A statement lives in `sql/<noun>.sql`: a line `-- name: noun_verb`, comments that say what it is for
and what its parameters are, then PostgreSQL with native `$1`. The query layer runs it by that name.
What asyncpg raises when the database is away, full or locked leaves here as `DatabaseUnavailable`.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from service.errors import DatabaseUnavailable

SQL_FOLDER = Path(__file__).parent.parent.parent / "sql"
CONNECT_SECONDS = 1.5
ACQUIRE_SECONDS = 1.8
STATEMENT_SECONDS = 1.7
# PostgreSQL gives a statement up before we do: without its word the line is dead.
WORD_SECONDS = 0.1
LOCK_TIMEOUT_MS = 1500
# PostgreSQL looks after us too: a client it cannot reach any more loses its session, with the locks
# and the transaction it held, after some 5 seconds, and a firewall has no time to forget a
# connection. Over a Unix socket they mean nothing.
KEEPALIVES = {
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "5000",
}
SESSION_SETTINGS = KEEPALIVES | {
    "application_name": "photoslot",
    "lock_timeout": str(LOCK_TIMEOUT_MS),
    "timezone": "UTC",
}

_STATEMENT = re.compile(r"^-- name: (?P<name>\w+)\n(?P<text>.*?)(?=^-- name: |\Z)", re.M | re.S)
_WRITES = re.compile(r"^\s*(insert|update|delete)\b|\b(insert into|delete from|for update)\b", re.M)

# Raised for a connection that has heard the server's farewell and not yet its end
# (https://github.com/MagicStack/asyncpg/issues/1069).
OUT_OF_STEP = asyncpg.InternalClientError
AWAY = (
    OSError,
    TimeoutError,
    OUT_OF_STEP,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresSystemError,
)
BROKEN_CONNECTION = (
    OUT_OF_STEP,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    ConnectionError,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One named statement; `writes` is true unless repeating it is harmless."""

    name: str
    comment: str
    text: str

    @property
    def writes(self) -> bool:
        return _WRITES.search(self.text) is not None


def load_statements(folder: Path = SQL_FOLDER) -> dict[str, Statement]:
    """Every statement of the files in `folder` itself, by name; raises `ValueError` for a name used
    twice."""
    statements: dict[str, Statement] = {}
    for path in sorted(folder.glob("*.sql")):
        for name, body in _STATEMENT.findall(path.read_text()):
            if name in statements:
                raise ValueError(f"statement {name} is defined twice, again in {path.name}")
            comment, text = _split_comment(body)
            statements[name] = Statement(name, comment, text)
    return statements


def _split_comment(body: str) -> tuple[str, str]:
    lines = body.strip().splitlines()
    first = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    comment = " ".join(line.removeprefix("--").strip() for line in lines[:first])
    return comment, "\n".join(lines[first:]).rstrip(";")


class Connection:
    """Runs statements on one connection."""

    def __init__(self, connection: Any, statements: Mapping[str, Statement]) -> None:
        self._connection = connection
        self._statements = statements

    async def one(self, name: str, *args: object) -> asyncpg.Record | None:
        """The only row, or None."""
        row: asyncpg.Record | None = await self._connection.fetchrow(
            self._statements[name].text, *args
        )
        return row

    async def many(self, name: str, *args: object) -> list[asyncpg.Record]:
        """All rows."""
        rows: list[asyncpg.Record] = await self._connection.fetch(
            self._statements[name].text, *args
        )
        return rows

    async def value(self, name: str, *args: object) -> Any:
        """The first column of the only row, or None."""
        return await self._connection.fetchval(self._statements[name].text, *args)

    async def run(self, name: str, *args: object) -> int:
        """Run a statement without a result; gives the number of rows it touched."""
        tag = await self._connection.execute(self._statements[name].text, *args)
        last = tag.split()[-1]
        return int(last) if last.isdigit() else 0


class Transaction(Connection):
    """Statements that happen together or not at all."""


class Database:
    """The pool. A connection is held for one statement, or for one short transaction."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self.statements = load_statements()

    async def one(self, name: str, *args: object) -> asyncpg.Record | None:
        """The only row, or None."""
        row: asyncpg.Record | None = await self._on_some_connection("one", name, args)
        return row

    async def many(self, name: str, *args: object) -> list[asyncpg.Record]:
        """All rows."""
        rows: list[asyncpg.Record] = await self._on_some_connection("many", name, args)
        return rows

    async def value(self, name: str, *args: object) -> Any:
        """The first column of the only row, or None."""
        return await self._on_some_connection("value", name, args)

    async def run(self, name: str, *args: object) -> int:
        """Run a statement without a result; gives the number of rows it touched."""
        touched: int = await self._on_some_connection("run", name, args)
        return touched

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A `Transaction`; it holds its connection until it ends."""
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                with _no_waiting_for(connection):
                    async with connection.transaction():
                        yield Transaction(connection, self.statements)
        except AWAY as error:
            raise _unavailable(error) from error

    def busy(self) -> int:
        """Connections in use now."""
        return self._pool.get_size() - self._pool.get_idle_size()

    def connections(self) -> tuple[int, int]:
        """Connections in use and at rest."""
        return self.busy(), self._pool.get_idle_size()

    async def _on_some_connection(self, verb: str, name: str, args: tuple[object, ...]) -> Any:
        """After a restart of PostgreSQL the pool may still hold dead connections: a statement
        that only reads is tried once more on another one."""
        try:
            try:
                return await self._try(verb, name, args)
            except BROKEN_CONNECTION:
                if self.statements[name].writes:
                    raise
                await self._pool.expire_connections()
                return await self._try(verb, name, args)
        except AWAY as error:
            raise _unavailable(error) from error

    async def _try(self, verb: str, name: str, args: tuple[object, ...]) -> Any:
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
            with _no_waiting_for(connection):
                try:
                    return await getattr(Connection(connection, self.statements), verb)(name, *args)
                except TimeoutError:
                    # The others are as dead as this one, and would cost a shot each.
                    await self._pool.expire_connections()
                    raise


Runner = Database | Transaction


@asynccontextmanager
async def open_database(
    url: str, size: int, *, statement_seconds: float = STATEMENT_SECONDS, **settings: str
) -> AsyncIterator[Database]:
    """A `Database` over at most `size` connections, with more settings of PostgreSQL for each of
    them; raises `DatabaseUnavailable`."""
    try:
        pool = await asyncpg.create_pool(
            url,
            min_size=min(2, size),
            max_size=size,
            timeout=CONNECT_SECONDS,
            command_timeout=statement_seconds,
            max_inactive_connection_lifetime=60,
            init=_prepare_connection,
            reset=_keep_session,
            server_settings=SESSION_SETTINGS
            | {"statement_timeout": str(int((statement_seconds - WORD_SECONDS) * 1000))}
            | settings,
        )
    except AWAY as error:
        raise _unavailable(error) from error
    try:
        yield Database(pool)
    finally:
        pool.terminate()


@asynccontextmanager
async def open_connection(
    url: str, *, connect_seconds: float, answer_seconds: float, **settings: str
) -> AsyncIterator[Connection]:
    """One connection outside the pool, for what a session holds, with more settings of PostgreSQL.
    Whoever does not hear its answer in time raises, as for every other loss,
    `DatabaseUnavailable`."""
    try:
        connection = await asyncpg.connect(
            url,
            timeout=connect_seconds,
            command_timeout=answer_seconds,
            server_settings=SESSION_SETTINGS | settings,
        )
    except AWAY as error:
        raise _unavailable(error) from error
    try:
        yield Connection(connection, load_statements())
    except AWAY as error:
        raise _unavailable(error) from error
    finally:
        connection.terminate()


@contextmanager
def _no_waiting_for(connection: Any) -> Iterator[None]:
    """A statement that is given up ends its connection: handed back to the pool, it would be waited
    for until the server has confirmed the cancel, and a silent server never does. A connection out
    of step is of no use to the next one either."""
    try:
        yield
    except (TimeoutError, asyncio.CancelledError, OUT_OF_STEP):
        connection.terminate()
        raise


async def _prepare_connection(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=msgspec.json.decode,
    )


async def _keep_session(_connection: Any) -> None:
    """No statement leaves session state behind, so the reset between two users of a connection,
    a round trip, is left out."""


def _unavailable(error: BaseException) -> DatabaseUnavailable:
    return DatabaseUnavailable(private=f"{type(error).__name__}: {error}")
