"""The functions and triggers in `sql/functions/`, each as it is today, against what the migrations
make."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from service.storage.database import SQL_FOLDER, Statement, load_statements

pytestmark = pytest.mark.anyio

FILES = sorted((SQL_FOLDER / "functions").glob("*.sql"))
CREATED = re.compile(r"^create or replace (?:function|trigger) (\w+)", re.M)
# An overloaded function is there twice.
DEFINED = """
select proname as name, pg_get_functiondef(oid) as definition from pg_proc
where pronamespace = 'public'::regnamespace and prokind <> 'a'
union all
select tgname, pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
order by 1, 2
"""
ARGUMENTS = """
select coalesce(proargnames[1:pronargs], '{}') from pg_proc
where pronamespace = 'public'::regnamespace and proname = $1
"""

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@pytest.fixture
async def connection(
    database_url: str,
) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """In a transaction that leaves nothing behind."""
    connection = await asyncpg.connect(database_url)
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


async def defined(connection: "asyncpg.Connection[asyncpg.Record]") -> list[tuple[str, str]]:
    return [(row["name"], row["definition"]) for row in await connection.fetch(DEFINED)]


async def test_every_function_and_trigger_has_its_file(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    assert [name for name, _ in await defined(connection)] == [path.stem for path in FILES]


@each_file
async def test_a_file_is_what_the_migrations_make(
    path: Path, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    migrated = await defined(connection)

    await connection.execute(path.read_text())

    assert await defined(connection) == migrated


@each_file
def test_it_has_the_name_of_what_it_makes_and_makes_nothing_else(path: Path) -> None:
    assert CREATED.findall(path.read_text()) == [path.stem]


@each_file
async def test_it_says_what_it_is_for_and_names_its_parameters(
    path: Path, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    lines = path.read_text().split("create or replace", 1)[0].splitlines()
    comment = " ".join(line.removeprefix("--").strip() for line in lines)
    parameters = await connection.fetchval(ARGUMENTS, path.stem) or []

    assert all(line.startswith("-- ") for line in lines)
    assert re.match(r"[A-Z].{15,}\.(\s|$)", comment), f"no sentence: {comment!r}"
    assert set(parameters) <= set(re.findall(r"\w+", comment))


@pytest.mark.parametrize("statement", load_statements().values(), ids=lambda one: one.name)
def test_a_statement_that_calls_one_says_where_it_stands(statement: Statement) -> None:
    called = {path.stem for path in FILES} & set(re.findall(r"\b(\w+)\(", statement.text))

    assert called == set(re.findall(r"functions/(\w+)\.sql", statement.comment))


def test_they_are_no_statements_of_the_query_layer(tmp_path: Path) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions/noun.sql").write_text("-- name: noun_verb\n-- What for.\nselect 1;\n")

    assert load_statements(tmp_path) == {}
