"""Fixtures of every test: one PostgreSQL, one sandbox and one service for a run.

A test that uses any of them finds them as new: tables as the migrations left them with the ingest
password set, no files, dials and calls reset. Nothing connects beyond this machine.
"""

import functools
import gc
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import embedded
import guard
import psycopg
import pytest
from browser import Person, SharedBrowser
from camera import PASSWORD, Camera
from forked import Forks
from httpx._transports import default as _transports
from line import Line
from migrate import migrate
from playwright.sync_api import Browser
from rig import ROOT, SERVICE, Sandbox, Service, Start, spawn, until
from schedule import Pieces, slow_first
from tables import Tables, new_database

from service.crypto import hash_password
from service.queries.jobs import SETTLED_SECONDS
from service.storage.accounts import KEYS_FILE
from service.storage.database import Database, open_database
from service.storage.media import MARK

PROGRAM_SECONDS = 60.0
# What PostgreSQL calls the pool of an asynchronous test, to tell it from those of the services.
OUR_POOL = "a test of photoslot"
LOG_LINES = 30
# A service with one of these starts interpreters of its own, and its counters are others.
STARTS_INTERPRETERS = {"WEB_CONCURRENCY", "RELOAD"}

_browser = SharedBrowser()

guard.install()
# Each call outside a client reads all certificates of the world anew, 17 ms; no test needs one.
_transports.create_ssl_context = functools.cache(_transports.create_ssl_context)


class StartService(Protocol):
    """Starts a service with these variables more, or None for one less; `program` is what runs, in
    an interpreter of its own or forked."""

    def __call__(
        self,
        environment: dict[str, str | None],
        program: Sequence[str] = SERVICE,
        start: Start | None = None,
    ) -> Service: ...


class MakeService(Protocol):
    """Starts one more service beside the common one, on the same database and folder.
    Variables are added to its environment, None takes one away; with `ready=False` it is given
    at once, to see how it starts or fails."""

    def __call__(self, *, ready: bool = True, **environment: str | None) -> Service: ...


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server: that of TEST_DATABASE_URL, else the embedded one in a folder that
    ends with the run."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    # Not under pytest's own folder: that one is private to its user, and PostgreSQL may be another.
    folder = Path(tempfile.mkdtemp(prefix="photoslot-postgres-"))
    try:
        server = embedded.start(folder / "data")
        try:
            _hurry(server.get_uri())
            yield server.get_uri()
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _hurry(server_url: str) -> None:
    """What a server of tests keeps need not outlive the machine."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        for name in ("fsync", "full_page_writes"):
            connection.execute(f"alter system set {name} = off".encode())
        connection.execute("select pg_reload_conf()")


@pytest.fixture
def empty_database(postgres_url: str) -> Iterator[str]:
    """A database without a single table, for this test alone."""
    with new_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def database_url(postgres_url: str) -> Iterator[str]:
    """The database of the run, with today's schema."""
    with new_database(postgres_url) as url:
        migrate(url)
        yield url


@pytest.fixture(scope="session")
def _tables(database_url: str) -> Iterator[Tables]:
    tables = Tables(database_url)
    tables.execute("update slot set ingest_password_hash = %s", hash_password(PASSWORD))
    tables.remember()
    yield tables
    tables.close()


@pytest.fixture
def tables(_tables: Tables) -> Tables:
    """The run's database, as the migrations left it."""
    _tables.restore()
    return _tables


@pytest.fixture
def rows(tables: Tables) -> Callable[..., list[dict[str, Any]]]:
    """`rows(sql, *args)` gives all rows as dicts."""
    return tables.rows


@pytest.fixture
def execute(tables: Tables) -> Callable[..., int]:
    """`execute(sql, *args)` runs one statement and gives the number of rows it touched."""
    return tables.execute


@pytest.fixture
def settled(_service: Service, rows: Callable[..., list[dict[str, Any]]]) -> None:
    """The service of the run has been connected long enough to prove who of the others is dead."""
    is_known = "select living_workers(%s) is not null as known"
    until(lambda: rows(is_known, SETTLED_SECONDS)[0]["known"], "it is known who lives", 15)


@pytest.fixture
def slot(tables: Tables) -> Callable[..., None]:
    """`slot("slot-001", max_in_flight=2)` changes a slot's row."""
    return tables.change_slot


@pytest.fixture
async def db(anyio_backend: str, tables: Tables) -> AsyncIterator[Database]:
    """The service's own pool on the run's database, for asynchronous tests."""
    async with open_database(tables.url, size=4, application_name=OUR_POOL) as database:
        yield database


@pytest.fixture(scope="session")
def _sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path_factory.mktemp("sandbox") / "sandbox.log")
    yield sandbox
    sandbox.stop()


@pytest.fixture
def sandbox(_sandbox: Sandbox) -> Sandbox:
    """The simulated providers: they answer well and have not been called yet."""
    _sandbox.reset()
    return _sandbox


@pytest.fixture(scope="session")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="session")
def _forks(_home: Path) -> Iterator[Forks]:
    forks = Forks(_home / "forks.log")
    yield forks
    forks.stop()


class RunProgram(Protocol):
    """Runs a program of `bin/` to its end, with this text on its standard input. A variable of
    None is taken away."""

    def __call__(
        self, *arguments: str, text: str = "", **variables: str | None
    ) -> subprocess.CompletedProcess[str]: ...


ProgramOf = Callable[[str, Mapping[str, str]], RunProgram]


@pytest.fixture
def program_of(_forks: Forks) -> ProgramOf:
    """`program_of("admin", environment)` is `bin/admin` in this environment, forked."""

    def program_of(name: str, environment: Mapping[str, str]) -> RunProgram:
        def run(
            *arguments: str, text: str = "", **variables: str | None
        ) -> subprocess.CompletedProcess[str]:
            wanted = {**environment, **variables}
            given = {name: value for name, value in wanted.items() if value is not None}
            program = [str(ROOT / "bin" / f"{name}.py"), *arguments]
            return _forks.run(program, given, text, PROGRAM_SECONDS)

        return run

    return program_of


@pytest.fixture(scope="session")
def _start_service(_tables: Tables, _sandbox: Sandbox, _home: Path, _forks: Forks) -> StartService:
    numbers = itertools.count(1)

    def start_service(
        environment: dict[str, str | None],
        program: Sequence[str] = SERVICE,
        start: Start | None = None,
    ) -> Service:
        return Service(
            _home / f"service-{next(numbers)}.log",
            database_url=_tables.url,
            home=_home,
            provider_url=_sandbox.url,
            environment=environment,
            program=program,
            start=start or (spawn if STARTS_INTERPRETERS & environment.keys() else _forks.start),
        )

    return start_service


@pytest.fixture(scope="session")
def _service(_start_service: StartService) -> Iterator[Service]:
    service = _start_service({}, start=spawn)
    try:
        yield service.wait_ready()
    finally:
        service.stop()


@pytest.fixture
def forget_keys(_home: Path) -> None:
    """No provider key was set in the settings: they outlive a service."""
    (_home / "secrets" / KEYS_FILE).unlink(missing_ok=True)


@pytest.fixture
def service(_service: Service, tables: Tables, sandbox: Sandbox, forget_keys: None) -> Service:
    """The service of the run: no shot taken yet, nothing on its disk, keys by its environment."""
    assert _service.is_running, f"a test before this one ended it:\n{_service.output[-3000:]}"
    _empty(_service.media_root)
    _service.forget_log()
    return _service


@pytest.fixture
def make_service(
    _start_service: StartService,
    tables: Tables,
    sandbox: Sandbox,
    forget_keys: None,
    _home: Path,
) -> Iterator[MakeService]:
    """See `MakeService`; they are stopped after the test."""
    services: list[Service] = []
    _empty(_home / "media")

    def make(*, ready: bool = True, **environment: str | None) -> Service:
        service = _start_service(environment)
        services.append(service)
        return service.wait_ready() if ready else service

    yield make
    for service in services:
        service.stop()


@pytest.fixture
def lines(tables: Tables) -> Iterator[Callable[[], Line]]:
    """Gives new ways to the database; they end with the test."""
    made: list[Line] = []

    def make() -> Line:
        made.append(Line(tables.url))
        return made[-1]

    yield make
    for line in made:
        line.mend()
        line.cut()


@pytest.fixture
def line(lines: Callable[[], Line]) -> Line:
    """The way of a service to its database."""
    return lines()


@pytest.fixture
def camera(service: Service) -> Iterator[Camera]:
    """A camera that posts to the service of the run."""
    camera = Camera(service.url)
    yield camera
    camera.switch_off()


@pytest.fixture
def browser() -> Browser:
    """A headless Chromium, the same for tests that follow one another."""
    return _browser.open()


class MakePerson(Protocol):
    """Somebody with a browser; see `Person`."""

    def __call__(
        self, language: str = "en", theme: str = "light", screen: dict[str, int] = ...
    ) -> Person: ...


@pytest.fixture
def make_person(browser: Browser, service: Service) -> Iterator[MakePerson]:
    """Makes people with browsers of their own; none of their pages may have complained of anything
    when the test is over."""
    people: list[Person] = []

    def make(*args: Any, **options: Any) -> Person:
        people.append(Person(browser, service, *args, **options))
        return people[-1]

    yield make
    for person in people:
        person.leave()


@pytest.fixture
def admin_browser(make_person: MakePerson) -> Person:
    """A signed-in admin at a desk, reading English."""
    return make_person().sign_in()


@pytest.fixture
def disk(_home: Path) -> Callable[..., list[str]]:
    """`disk()` lists all files of shots and pictures, relative to the media folder."""

    def list_files(*folders: str) -> list[str]:
        root = _home / "media"
        wanted = folders or ("temp", "results")
        found = itertools.chain.from_iterable((root / name).rglob("*") for name in wanted)
        return sorted(str(path.relative_to(root)) for path in found if path.is_file())

    return list_files


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """The browser is closed before a test that does not use it."""
    if "browser" not in getattr(nextitem, "fixturenames", ()):
        _browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None]:
    """What is made for thousands of tests stays until the end: looking for garbage among it would
    cost seconds."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    """What a second run on another PostgreSQL has to prove."""
    words = "only tests whose answers come from PostgreSQL, and no browser"
    parser.addoption("--postgres-only", action="store_true", help=words)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """See `schedule`."""
    if config.getoption("--postgres-only"):
        items[:] = [item for item in items if _asks_postgres(item)]
    slow_first(items)


def _asks_postgres(item: pytest.Item) -> bool:
    """What a page asks for in a browser, other tests ask for as well."""
    names = getattr(item, "fixturenames", ())
    return "postgres_url" in names and "browser" not in names


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Pieces:
    """See `schedule`."""
    return Pieces(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the last lines its service wrote: a 503 has its reason there."""
    report = yield
    service = getattr(item, "funcargs", {}).get("service")
    if report.failed and service is not None:
        lines = [json.dumps(line, ensure_ascii=False) for line in service.log[-LOG_LINES:]]
        report.sections.append(("log of the service", "\n".join(lines)))
    return report


def _empty(media: Path) -> None:
    """Remove the files and keep the folders, which a running service has made, and its mark."""
    for path in media.rglob("*"):
        if path.is_file() and path.name != MARK:
            path.unlink(missing_ok=True)
