"""The plan of the code: who imports whom, and the rules that no type checker knows."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from rig import ROOT

from service.config import ConfigError, load
from service.storage.database import load_statements

SERVICE = ROOT / "service"

# From the ground up. A package knows those of the steps before its own, never one beside it; a file
# knows those before it in its row. A row without a name are files of `service` itself.
STEPS: tuple[dict[str, str], ...] = (
    {"": "faults config errors threads counters hashing crypto password_rules throttle logs site"},
    {
        "pictures": "inspect prepare qr sample_photo",
        "storage": "secret_file accounts schema media database",
    },
    {
        "queries": "audit breakers ended_sessions gallery media paces settings shares slots jobs"
        " cleanup installation journal stats templates throttles workers",
        "providers": "base usage http download attempts ping gemini openai turbotext registry",
        "providers/gemini": "refusals settings files driver",
        "providers/openai": "settings driver",
    },
    {"monitoring": "cached_check provider_health checks"},
    {"": "intake"},
    {"": "state"},
    {
        "http": "negotiation json_body sessions guards disposition form multipart_parser spool"
        " multipart file_response links pages errors middleware parser connections protocol",
        "upkeep": "kept_session worker_lease media_owner cleanup",
    },
    {
        "shots": "shot provider_links plans claim fallback outcome edit picture_response test_shot"
        " ingest_password ingest",
        "machines": "probes metrics",
    },
    {
        "guests": "gallery results",
        "admin": "auth slot_fields slot_health slots templates settings providers journal shares"
        " statistics preflight_checks preflight",
    },
    {"": "lifespan app __main__"},
)
# Each module by its path without the suffix: its step, its package, its place in the package.
PLACES = {
    f"{package}/{name}".lstrip("/"): (step, package, place)
    for step, rows in enumerate(STEPS)
    for package, files in rows.items()
    for place, name in enumerate(files.split())
}
# The foreign libraries that have one door, and the packages or modules that may open it.
DOORS = {
    "asyncpg": {"storage", "queries"},
    "httpx": {"providers", "monitoring", "state"},
    "itsdangerous": {"crypto"},
    "jwt": {"http"},
    "passlib": {"crypto"},
    "PIL": {"pictures"},
    "pillow_heif": {"pictures"},
    "python_multipart": {"http"},
    "segno": {"pictures"},
    "prometheus_client": {"counters", "machines"},
    "uvicorn": {"http", "__main__"},
}
SQL = re.compile(r"\b(select\s.+\sfrom|insert\s+into|update\s.+\sset|delete\s+from)\s", re.I | re.S)
SHIPPED = ("service", "bin", "sql", "migrations", "web", "spec")


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def service() -> list[Path]:
    """The modules of the service without the sandbox and the packages' docstrings."""
    found = modules(SERVICE)
    return [p for p in found if "sandbox" not in p.parts and p.name != "__init__.py"]


def module(path: Path) -> str:
    """`storage/media` for service/storage/media.py."""
    return str(path.relative_to(SERVICE).with_suffix(""))


def noun(path: Path) -> str:
    """`state` for service/state.py, `providers` for everything in service/providers/."""
    return module(path).split("/")[0]


@cache
def nodes(path: Path) -> list[ast.AST]:
    """The syntax tree of a file, flat; its module comes first."""
    return list(ast.walk(ast.parse(path.read_text())))


def imports(path: Path) -> Iterator[str]:
    """The full dotted name of everything a file imports."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    """The modules of the service that a file imports, by their paths without suffix."""
    found = set()
    for name in imports(path):
        first, *rest = name.split(".")
        if first == "service":
            whole, package = "/".join(rest), "/".join(rest[:-1])
            found.add(whole if (SERVICE / f"{whole}.py").is_file() else package)
    return found


def words(path: Path) -> Iterator[ast.Constant]:
    """Every string of a file that is not a docstring."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in nodes(path)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docstrings:
                yield node


each_module = pytest.mark.parametrize("path", service(), ids=module)


def may_import(name: str, other: str) -> bool:
    """Whether one module is above another. A package in a package stands at its place in that."""
    step, package, place = PLACES[name]
    other_step, other_package, other_place = PLACES[other]
    if step != other_step:
        return other_step < step
    if package == other_package:
        return other_place < place
    if other_package.startswith(f"{package}/"):
        return PLACES[other_package][2] < place
    if package.startswith(f"{other_package}/"):
        return other_place < PLACES[package][2]
    return False


@each_module
def test_a_module_imports_only_from_below(path: Path) -> None:
    wrong = {other for other in ours(path) if not may_import(module(path), other)}

    assert wrong == set()


def test_every_module_has_its_place_and_every_place_its_module() -> None:
    packages = {name for rows in STEPS for name in rows if "/" in name}

    assert {module(path) for path in service()} == set(PLACES) - packages


def test_a_package_is_its_docstring() -> None:
    """One name, one address: nothing is handed on."""
    for path in modules(SERVICE):
        if path.name == "__init__.py":
            body = ast.parse(path.read_text()).body
            assert [type(node) for node in body] in ([], [ast.Expr]), path


def test_the_sandbox_shares_nothing_with_the_service() -> None:
    for path in modules(SERVICE / "sandbox"):
        assert {name.split("/")[0] for name in ours(path)} <= {"sandbox"}, path
    for path in service() + modules(ROOT / "bin"):
        assert "sandbox" not in {name.split("/")[0] for name in ours(path)}, path


def test_a_package_is_imported_only_at_its_door() -> None:
    used: dict[str, set[str]] = {package: set() for package in DOORS}
    for path in service():
        for package in {name.split(".")[0] for name in imports(path)} & set(DOORS):
            used[package].add(noun(path))

    strangers = {package: used[package] - DOORS[package] for package in DOORS}
    assert strangers == {package: set() for package in DOORS}


def test_routes_stand_in_one_table() -> None:
    makers = ("Route", "Mount", "WebSocketRoute", "Router", "add_route", "route")
    found = set()
    for path in service():
        for node in nodes(path):
            if isinstance(node, ast.Call):
                called = node.func
                name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
                if name in makers:
                    found.add(noun(path))

    assert found == {"app"}


def test_statements_are_run_by_the_query_layer_only() -> None:
    names = set(load_statements())
    for path in [*service(), *modules(ROOT / "bin")]:
        if path.parent == SERVICE / "queries":
            continue
        for node in nodes(path):
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
        for node in nodes(path)
        if isinstance(node, ast.Attribute | ast.Name)
    } & {"environ", "environb", "getenv", "putenv"}

    assert reads == ({"environ"} if noun(path) == "config" else set())


def test_no_middleware_hides_a_device_that_hangs_up() -> None:
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
