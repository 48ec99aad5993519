"""Every statement of `sql/` against the migrated schema and against the code that uses it."""

import ast
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from service import queries
from service.storage.database import SQL_FOLDER, Statement, load_statements

pytestmark = pytest.mark.anyio

VERBS = ("one", "many", "value", "run")
PARAMETER = re.compile(r"\$\d+")
FILES = sorted(Path(queries.__file__).parent.glob("*.py"))
TREES = {path.stem: ast.parse(path.read_text()) for path in FILES}
STATEMENTS = load_statements()

each_statement = pytest.mark.parametrize(
    "statement", STATEMENTS.values(), ids=lambda statement: statement.name
)


class Use(NamedTuple):
    """One call such as `db.one("job_by_id", …)` in a function of a module of `queries`."""

    module: str
    statement: str
    verb: str
    function: str
    columns: frozenset[str] | None


def uses() -> Iterator[Use]:
    for module, function in functions():
        columns = columns_read(module, function)
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            if call.func.attr in VERBS:
                name = ast.literal_eval(call.args[0])
                yield Use(module, name, call.func.attr, function.name, columns)


def functions() -> Iterator[tuple[str, ast.AsyncFunctionDef]]:
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.AsyncFunctionDef):
                yield module, node


def columns_read(module: str, function: ast.AsyncFunctionDef) -> frozenset[str] | None:
    """The columns a function knows: the fields of the class it makes by `Class(**row)`, or its
    `row["column"]`s."""
    classes = import_module(f"{queries.__name__}.{module}")
    read: set[str] = set()
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name(id=name), keywords=[ast.keyword(arg=None)]):
                row_class = getattr(classes, name)
                assert is_dataclass(row_class)
                read |= {field.name for field in fields(row_class)}
            case ast.Subscript(value=ast.Name(id="row"), slice=ast.Constant(value=str(column))):
                read.add(column)
    return frozenset(read) if read else None


USES = list(uses())


@pytest.fixture
async def connection(
    database_url: str,
) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


@each_statement
async def test_a_statement_prepares_against_the_schema(
    statement: Statement, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    prepared = await connection.prepare(statement.text)

    wanted = {f"${n}" for n in range(1, len(prepared.get_parameters()) + 1)}
    assert set(PARAMETER.findall(statement.text)) == wanted


@each_statement
async def test_its_columns_are_what_its_function_reads(
    statement: Statement, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    [use] = {use for use in USES if use.statement == statement.name}
    prepared = await connection.prepare(statement.text)
    columns = [attribute.name for attribute in prepared.get_attributes()]

    if use.verb in ("one", "many"):
        assert sorted(columns) == sorted(use.columns or ())
    elif use.verb == "value":
        assert len(columns) == 1


@each_statement
def test_it_is_used_by_exactly_one_function(statement: Statement) -> None:
    assert len([use for use in USES if use.statement == statement.name]) == 1


@each_statement
def test_it_says_what_it_is_for_and_names_its_parameters(statement: Statement) -> None:
    sentence = PARAMETER.split(statement.comment)[0].strip()

    assert re.match(r"[A-Z].{15,}\.(\s|$)", sentence), f"no sentence: {sentence!r}"
    assert set(PARAMETER.findall(statement.comment)) == set(PARAMETER.findall(statement.text))


@each_statement
def test_its_name_is_its_noun_and_its_function_of_the_module_of_that_noun(
    statement: Statement,
) -> None:
    [use] = [use for use in USES if use.statement == statement.name]
    [file] = [
        path.stem
        for path in SQL_FOLDER.glob("*.sql")
        if f"-- name: {statement.name}\n" in path.read_text()
    ]

    assert use.module == file
    assert re.fullmatch(rf"{file.removesuffix('s')}s?_{use.function}", statement.name)


def test_a_file_of_statements_and_a_module_of_queries_bear_one_noun() -> None:
    assert {path.stem for path in SQL_FOLDER.glob("*.sql")} == set(TREES) - {"__init__"}


def test_the_package_of_the_modules_hands_nothing_on() -> None:
    [docstring] = TREES["__init__"].body

    assert ast.get_docstring(TREES["__init__"])
    assert isinstance(docstring, ast.Expr)


def test_every_used_statement_exists() -> None:
    assert {use.statement for use in USES} <= set(STATEMENTS)


def test_the_names_of_a_file_are_all_understood_by_the_loader() -> None:
    for path in SQL_FOLDER.glob("*.sql"):
        marks = [line for line in path.read_text().splitlines() if "name:" in line]
        assert [f"-- name: {name}" for name in STATEMENTS if f"-- name: {name}" in marks] == marks
