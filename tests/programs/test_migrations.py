"""bin/migrate on real databases: forth, back, interrupted, two at once."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import migrate
import psycopg
import pytest

from service.storage import schema as fit

NAMES = [path.name for path in sorted(migrate.MIGRATIONS.glob("*.sql"))]
FORTH = [name for name in NAMES if not name.endswith(".rollback.sql")]
IDS = [name.removesuffix(".sql") for name in FORTH]

# The last migration that is applied while the service stands still.
LAST_WITH_A_GAP = "0005.attempts.sql"
# What code that is still at work may need.
TAKES_AWAY = re.compile(
    r"\bdrop (table|column|function|view|type|sequence|trigger)\b|\brename\b|\bset not null\b"
    r"|\balter column \w+ (set data )?type\b",
    re.IGNORECASE,
)

# All of the schema that PostgreSQL can put into words, a line each, without yoyo's own tables.
SCHEMA = """
with ours as (
    select oid, relname, relkind from pg_class
    where relnamespace = 'public'::regnamespace and relname !~ 'yoyo'
)
select concat_ws(' ', 'relation', relname, relkind) from ours
union all
select concat_ws(
    ' ', 'column', c.relname,
    -- the place among those that are left: a dropped column keeps its number
    row_number() over (partition by c.oid order by a.attnum), a.attname,
    format_type(a.atttypid, a.atttypmod),
    a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid)
)
from ours c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
union all
select concat_ws(' ', 'constraint', c.relname, k.conname, pg_get_constraintdef(k.oid))
from ours c join pg_constraint k on k.conrelid = c.oid
union all
select pg_get_indexdef(i.indexrelid) from ours c join pg_index i on i.indrelid = c.oid
union all
select pg_get_triggerdef(t.oid)
from ours c join pg_trigger t on t.tgrelid = c.oid and not t.tgisinternal
union all
select pg_get_functiondef(oid) from pg_proc
where pronamespace = 'public'::regnamespace and prokind <> 'a'
union all
select concat_ws(' ', 'type', typname, typtype) from pg_type
where typnamespace = 'public'::regnamespace and typname !~ 'yoyo'
union all
select concat_ws(
    ' ', 'comment', c.relname,
    (select attname from pg_attribute where attrelid = c.oid and attnum = o.objsubid), o.description
)
from ours c join pg_description o on o.objoid = c.oid and o.classoid = 'pg_class'::regclass
order by 1
"""


def schema(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [line for (line,) in connection.execute(SCHEMA).fetchall()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two small migrations of our own."""
    (tmp_path / "0001.cat.sql").write_text("-- depends:\ncreate table cat (id int);\n")
    (tmp_path / "0001.cat.rollback.sql").write_text("drop table cat;\n")
    (tmp_path / "0002.dog.sql").write_text(
        "-- depends: 0001.cat\ncreate table dog (id int);\nalter table cat add column name text;\n"
    )
    (tmp_path / "0002.dog.rollback.sql").write_text(
        "alter table cat drop column name;\ndrop table dog;\n"
    )
    return tmp_path


@pytest.fixture
def locked_cat(empty_database: str, folder: Path) -> Iterator[None]:
    """A table that somebody reads in a long transaction."""
    (folder / "0002.dog.sql").rename(folder / "later")
    migrate.migrate(empty_database, folder)
    (folder / "later").rename(folder / "0002.dog.sql")
    with psycopg.connect(empty_database) as reader:
        reader.execute("select * from cat")
        yield


def test_it_brings_an_empty_database_to_todays_schema(empty_database: str) -> None:
    assert migrate.migrate(empty_database) == IDS
    assert migrate.migrate(empty_database) == []
    assert set(migrate.status(empty_database).values()) == {"applied"}


def test_up_down_up_leaves_the_same_schema(empty_database: str) -> None:
    migrate.migrate(empty_database)
    complete = schema(empty_database)
    for depth in range(1, len(IDS) + 1):
        to = [migrate.NOTHING, *IDS][len(IDS) - depth]
        assert migrate.roll_back(empty_database, to) == IDS[-depth:][::-1]
        assert migrate.migrate(empty_database) == IDS[-depth:]
        assert schema(empty_database) == complete


def test_all_the_way_down_leaves_nothing(empty_database: str) -> None:
    migrate.migrate(empty_database)
    migrate.roll_back(empty_database, migrate.NOTHING)
    assert schema(empty_database) == []


@pytest.mark.parametrize("number, name", list(enumerate(FORTH, start=1)))
def test_each_has_its_number_its_way_back_and_names_the_one_before(number: int, name: str) -> None:
    assert re.fullmatch(rf"{number:04}\.[a-z0-9]+(-[a-z0-9]+)*\.sql", name)
    assert name.replace(".sql", ".rollback.sql") in NAMES
    depends = re.search(r"^-- depends:(.*)$", (migrate.MIGRATIONS / name).read_text(), re.MULTILINE)
    assert depends is not None
    assert depends[1].split() == IDS[number - 2 : number - 1]


@pytest.mark.parametrize("name", NAMES)
def test_each_waits_for_a_table_only_shortly(name: str) -> None:
    assert "set local lock_timeout" in (migrate.MIGRATIONS / name).read_text()


def test_only_a_contraction_takes_something_away() -> None:
    takes_away = {
        name for name in FORTH if TAKES_AWAY.search((migrate.MIGRATIONS / name).read_text())
    }
    assert LAST_WITH_A_GAP in takes_away
    later = {name for name in takes_away if name > LAST_WITH_A_GAP}
    assert {name for name in later if not fit.is_contraction(name)} == set()


def test_up_stops_before_a_contraction_which_is_asked_for_afterwards(
    empty_database: str, folder: Path
) -> None:
    migrate.migrate(empty_database, folder)
    (folder / "0003.contract-dog.sql").write_text("-- depends: 0002.dog\ndrop table dog;\n")
    (folder / "0004.cow.sql").write_text(
        "-- depends: 0003.contract-dog\ncreate table cow (id int);\n"
    )
    assert migrate.migrate(empty_database, folder, contract=False) == []
    assert migrate.migrate(empty_database, folder) == ["0003.contract-dog", "0004.cow"]


def test_an_empty_database_has_nobody_to_wait_for(empty_database: str, folder: Path) -> None:
    (folder / "0003.contract-dog.sql").write_text("-- depends: 0002.dog\ndrop table dog;\n")
    assert migrate.migrate(empty_database, folder, contract=False)[-1] == "0003.contract-dog"


def test_the_command_says_what_waits_for_the_old_processes(
    empty_database: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    migrate.migrate(empty_database, folder)
    (folder / "0003.contract-dog.sql").write_text("-- depends: 0002.dog\ndrop table dog;\n")
    monkeypatch.setenv("DATABASE_URL", empty_database)
    for function in (migrate.migrate, migrate.status):
        monkeypatch.setattr(function, "__defaults__", (folder,))
    assert migrate.main(["up"]) == 0
    assert "waits    0003.contract-dog" in capsys.readouterr().out
    assert migrate.main(["contract"]) == 0
    assert capsys.readouterr().out.splitlines() == ["applied  0003.contract-dog"]


def test_a_migration_that_fails_has_not_happened(empty_database: str, folder: Path) -> None:
    broken = folder / "0002.dog.sql"
    broken.write_text(broken.read_text() + "select nonsense;\n")
    with pytest.raises(migrate.Refused, match=r"0002\.dog: .*nonsense"):
        migrate.migrate(empty_database, folder)
    assert migrate.status(empty_database, folder) == {"0001.cat": "applied", "0002.dog": "missing"}
    assert not [line for line in schema(empty_database) if "dog" in line]


def test_it_does_not_wait_long_for_a_table_in_use(
    empty_database: str, folder: Path, locked_cat: None
) -> None:
    with pytest.raises(migrate.Refused, match="in use"):
        migrate.migrate(empty_database, folder)
    assert migrate.status(empty_database, folder)["0002.dog"] == "missing"


def test_of_two_at_once_the_second_finds_nothing_to_do(empty_database: str, folder: Path) -> None:
    start = threading.Barrier(2)

    def apply() -> list[str]:
        start.wait(10)
        return migrate.migrate(empty_database, folder)

    with ThreadPoolExecutor(2) as threads:
        done = [run.result(30) for run in [threads.submit(apply), threads.submit(apply)]]
    assert sorted(done) == [[], ["0001.cat", "0002.dog"]]


def test_a_killed_migration_does_not_block_the_next(empty_database: str, folder: Path) -> None:
    migrate.status(empty_database, folder)
    with psycopg.connect(empty_database) as connection:
        connection.execute("insert into yoyo_lock (locked, ctime, pid) values (1, now(), 1)")
    assert migrate.migrate(empty_database, folder) == ["0001.cat", "0002.dog"]


def test_down_undoes_the_newest_or_what_is_newer_than_one(
    empty_database: str, folder: Path
) -> None:
    migrate.migrate(empty_database, folder)
    assert migrate.roll_back(empty_database, folder=folder) == ["0002.dog"]
    assert migrate.roll_back(empty_database, "0001.cat", folder) == []
    assert migrate.roll_back(empty_database, migrate.NOTHING, folder) == ["0001.cat"]
    with pytest.raises(migrate.WrongUse, match="no migration 0003"):
        migrate.roll_back(empty_database, "0003.cow", folder)


def test_status_names_what_a_newer_checkout_applied(empty_database: str, folder: Path) -> None:
    migrate.migrate(empty_database, folder)
    (folder / "0002.dog.sql").unlink()
    assert migrate.status(empty_database, folder) == {"0001.cat": "applied", "0002.dog": "unknown"}


def test_the_command_is_quiet_when_there_is_nothing_to_do(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)
    assert migrate.main([]) == 0
    assert capsys.readouterr().out.splitlines() == [f"applied  {name}" for name in IDS]
    assert migrate.main(["up"]) == 0
    assert capsys.readouterr().out == ""
    assert migrate.main(["status"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"applied  {name}" for name in IDS]
    assert migrate.main(["down", "--to", migrate.NOTHING]) == 0
    assert capsys.readouterr().out.splitlines() == [f"undone   {name}" for name in IDS[::-1]]


@pytest.mark.parametrize(
    "url, code, words",
    [
        ("", 2, "DATABASE_URL is required"),
        ("mysql://user:hidden@somewhere/else", 2, "DATABASE_URL must be a postgresql:// URL"),
        ("postgresql://user:hidden@127.0.0.1:1/nobody", 1, "cannot be reached"),
    ],
)
def test_the_command_says_what_is_wrong(
    url: str,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert migrate.main([]) == code
    said = capsys.readouterr().err
    assert words in said
    assert "hidden" not in said


def test_the_command_refuses_an_unknown_migration(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)
    assert migrate.main(["down", "--to", "0099.unknown"]) == 2
    assert "there is no migration 0099.unknown" in capsys.readouterr().err
