"""The Markdown pages: what they name is there, and who opens them finds the way."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from rig import ROOT

FOLDERS = (".ci", "bin", "deploy", "migrations", "service", "spec", "sql", "tests", "web")
PAGES = [
    *(ROOT / name for name in ("README.md", "README.ru.md", "CHANGELOG.md")),
    *(ROOT / folder / "README.md" for folder in ("bin", "web")),
    *sorted((ROOT / "spec").rglob("*.md")),
]
DECISIONS = ROOT / "spec" / "decisions"
README_LINES = 200

HEADING = re.compile(r"^#+ (.*)$", re.M)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./@*-]*[\w*/]")
# A file named by the end of its path, as a page does that has said where it is.
END_OF_PATH = re.compile(r"`([\w./-]+\.(?:css|html|js|py|sh|sql|svg))`")
# What a reader puts a name of his own into: test_example.py, js/pages/name.js.
PLACEHOLDER = re.compile(r"(?:\b|_)(?:example|name)(?:_\w+)?\.\w+$")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def text(page: Path) -> str:
    """What a page says of today; of the changelog that is its newest section."""
    written = page.read_text()
    return written if page.name != "CHANGELOG.md" else "## ".join(written.split("\n## ")[:2])


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links to them."""
    return {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(page.read_text())
    }


def leads_somewhere(page: Path, target: str) -> bool:
    path, _, anchor = unquote(target).partition("#")
    found = page.parent / path if path else page
    return found.exists() and (not anchor or anchor in anchors(found))


def named(pattern: re.Pattern[str], page: Path) -> list[str]:
    return sorted(path for path in set(pattern.findall(text(page))) if not PLACEHOLDER.search(path))


@cache
def files() -> list[str]:
    """Every file of the project, as `/service/app.py`."""
    return [
        f"/{path.relative_to(ROOT).as_posix()}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    ]


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]

    assert [target for target in targets if not leads_somewhere(page, target)] == []


@each_page
def test_every_path_that_is_named_exists(page: Path) -> None:
    missing = [path for path in named(PATH, page) if not list(ROOT.glob(path))]
    unknown = [
        path
        for path in named(END_OF_PATH, page)
        if not any(file.endswith(f"/{path}") for file in files())
    ]

    assert (missing, unknown) == ([], [])


@each_page
def test_every_command_of_a_host_is_a_script(page: Path) -> None:
    """`photoslot backup` on a host is bin/backup."""
    commands = set(re.findall(r"^photoslot (\w+)", text(page), re.M))

    assert [command for command in commands if not (ROOT / "bin" / command).exists()] == []


def test_the_readme_is_read_in_one_go() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


def test_the_readme_has_a_row_for_every_package() -> None:
    rows = re.findall(r"^\| `(\w+)/` \|", (ROOT / "README.md").read_text(), re.M)
    packages = [path.parent.name for path in (ROOT / "service").glob("*/__init__.py")]

    assert sorted(rows) == sorted(packages)


def test_every_script_has_its_line() -> None:
    scripts = {
        path.name
        for path in (ROOT / "bin").iterdir()
        if path.is_file() and path.suffix not in (".py", ".md")
    }
    lines = re.findall(r"^\| `bin/(\w+)` \|", (ROOT / "bin" / "README.md").read_text(), re.M)

    assert sorted(lines) == sorted(scripts)


def test_decisions_are_numbered_without_a_gap() -> None:
    pages = sorted(DECISIONS.glob("[0-9]*.md"))

    assert sorted(DECISIONS.iterdir()) == [*pages, DECISIONS / "README.md"]
    for number, page in enumerate(pages, start=1):
        assert re.fullmatch(rf"{number:04}-[a-z0-9-]+\.md", page.name)
        assert page.read_text().startswith(f"# {number:04}: ")


def test_every_decision_is_listed_once_by_its_title() -> None:
    lines = re.findall(r"^- (.*)$", (DECISIONS / "README.md").read_text(), re.M)
    titles = {page: page.read_text().splitlines()[0] for page in DECISIONS.glob("[0-9]*.md")}

    assert sorted(lines) == sorted(
        f"[{number}]({page.name}) {title}"
        for page, heading in titles.items()
        for number, title in [heading.removeprefix("# ").split(": ", 1)]
    )
