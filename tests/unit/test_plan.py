"""The rules of the house that no type checker knows."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from rig import ROOT

from service.config import ConfigError, load
from service.storage.database import load_statements

SERVICE = ROOT / "service"

# A module imports from the floors below its own, never from its own or one above.
FLOORS = (
    ("config", "errors", "glance", "meters", "schema", "telemetry", "threads", "throttle"),
    ("codes", "crypto", "db", "images", "media", "portrait", "secret_files", "web"),
    ("accounts", "providers", "queries", "uploads"),
    ("folder", "lifeline", "pulses", "sessions"),
    ("watch",),
    ("state",),
    ("bodies", "cleaning", "files"),
    ("answers", "guards", "health", "plans"),
    ("handouts",),
    ("calls",),
    ("shots",),
    ("rehearsals",),
    (
        *("auth", "catalog", "gallery", "ingest", "journal", "metrics", "pages", "preflight"),
        *("results", "settings", "slots", "stats", "status", "templates"),
    ),
    ("layers", "server"),
    ("app",),
    ("__main__",),
)
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
# The packages that have one door, and who may open it.
DOORS = {
    "asyncpg": {"db", "queries"},
    "httpx": {"providers", "pulses", "state"},
    "itsdangerous": {"crypto"},
    "jwt": {"sessions"},
    "passlib": {"crypto"},
    "PIL": {"images", "portrait"},
    "pillow_heif": {"images"},
    "python_multipart": {"uploads"},
    "segno": {"codes"},
    "prometheus_client": {"meters", "metrics"},
    "uvicorn": {"server", "__main__"},
}
SQL = re.compile(r"\b(select\s.+\sfrom|insert\s+into|update\s.+\sset|delete\s+from)\s", re.I | re.S)
SHIPPED = ("service", "bin", "sql", "migrations", "web", "spec")


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def house() -> list[Path]:
    """The modules of the service without its wing."""
    return [path for path in modules(SERVICE) if "sandbox" not in path.relative_to(SERVICE).parts]


def noun(path: Path) -> str:
    """`media` for service/storage/media.py, `providers` for everything in service/providers/."""
    return path.relative_to(SERVICE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """The full dotted name of everything a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    """The nouns of the house that a file imports."""
    found = (name.split(".") for name in imports(path))
    return {parts[1] for parts in found if parts[0] == "service"}


def words(path: Path) -> Iterator[ast.Constant]:
    """Every string of a file that is not a docstring."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docstrings:
                yield node


each_module = pytest.mark.parametrize(
    "path", house(), ids=lambda path: str(path.relative_to(SERVICE))
)


@each_module
def test_a_module_imports_only_from_the_floors_below(path: Path) -> None:
    name = noun(path)
    if name == "__init__.py" or path.name == "__init__.py" and path.parent == SERVICE:
        assert ours(path) == set()
        return
    upwards = {other for other in ours(path) - {name} if FLOOR_OF[other] >= FLOOR_OF[name]}

    assert upwards == set()


def test_every_module_has_its_floor() -> None:
    assert {noun(path) for path in house()} - {"__init__"} == set(FLOOR_OF)


def test_the_sandbox_shares_nothing_with_the_house() -> None:
    for path in modules(SERVICE / "sandbox"):
        assert ours(path) <= {"sandbox"}, path
    for path in house() + modules(ROOT / "bin"):
        assert "sandbox" not in ours(path), path


def test_a_package_is_imported_only_at_its_door() -> None:
    used: dict[str, set[str]] = {package: set() for package in DOORS}
    for path in house():
        for package in {name.split(".")[0] for name in imports(path)} & set(DOORS):
            used[package].add(noun(path))

    strangers = {package: used[package] - DOORS[package] for package in DOORS}
    assert strangers == {package: set() for package in DOORS}


def test_routes_stand_in_one_table() -> None:
    makers = ("Route", "Mount", "WebSocketRoute", "Router", "add_route", "route")
    found = set()
    for path in house():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = node.func
                name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
                if name in makers:
                    found.add(noun(path))

    assert found == {"app"}


def test_statements_are_run_by_the_query_layer_only() -> None:
    names = set(load_statements())
    for path in [*house(), *modules(ROOT / "bin")]:
        if path.parent == SERVICE / "queries":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr in ("one", "many", "value", "run") and node.args:
                    first = node.args[0]
                    assert not (isinstance(first, ast.Constant) and first.value in names), path


@each_module
def test_there_is_no_sql_in_python(path: Path) -> None:
    assert [text.value for text in words(path) if SQL.search(f"{text.value} ")] == []


@each_module
def test_only_config_reads_the_environment(path: Path) -> None:
    reads = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute | ast.Name)
    } & {"environ", "environb", "getenv", "putenv"}

    assert reads == ({"environ"} if noun(path) == "config" else set())


def test_no_layer_hides_a_device_that_hangs_up() -> None:
    """Starlette's convenient base class reads the request in a task of its own."""
    hiding = "BaseHTTP" + "Middleware"
    assert [path for path in modules(SERVICE) if hiding in path.read_text()] == []


def test_nothing_is_left_to_do() -> None:
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    files = (path for folder in SHIPPED for path in (ROOT / folder).rglob("*") if path.is_file())
    texts = (path for path in files if path.suffix in ("", ".py", ".sql", ".md", ".yaml", ".js"))

    assert [path for path in texts if marks.search(path.read_text())] == []


class Recorder(Mapping[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    found = [line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line)]
    return {name: value for name, value in found}


def test_the_example_names_every_variable_and_no_other() -> None:
    environment = Recorder()
    with pytest.raises(ConfigError):
        load(environment)
    read = {name for name in environment.asked if not name.endswith("_FILE")}

    assert set(example()) == read
    assert environment.asked == read | {f"{name}_FILE" for name in read}


def test_the_example_shows_the_defaults() -> None:
    required = {
        "DATABASE_URL": "postgresql://photoslot@127.0.0.1/photoslot",
        "PUBLIC_BASE_URL": "https://photos.example",
        "JWT_SIGNING_KEY": "k" * 32,
    }

    assert load(example() | required) == load(required)
