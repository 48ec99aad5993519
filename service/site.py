"""Static site: the files behind the pages, read once, compressed once, under a version of their
own.

The version is a digest of everything in the folder, so what has it in its address never changes
and may be kept for ever. A page is one file in `html/<frame>/`, its scripts begin in
`js/pages/<page>.js`, its own styles are in `css/pages/<page>.css` if it has any. A stylesheet is
sent with what it imports in it, so that a browser asks once.
"""

import gzip
import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "web"
SERVED = ("css", "js", "icons", "i18n")
MIMES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
IMPORT = re.compile(r'^(?:import|export)\s(?:[^;"]*?\sfrom\s)?"(\.[^"]+)"', re.M)
STYLE_IMPORT = re.compile(rb'^@import "([\w-]+\.css)";\n', re.M)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file in memory, as it is and compressed."""

    data: bytes
    gzipped: bytes
    mime: str
    etag: str


@dataclass(frozen=True, slots=True)
class Site:
    """All files of one version: `assets` by their path in the folder, `pages` by name."""

    version: str
    assets: Mapping[str, Asset]
    pages: Mapping[str, Asset]


class Web:
    """The site of this process; with `reload` it is read anew when a page is asked for after a
    file has changed."""

    def __init__(self, *, reload: bool, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._reload = reload
        self._seen = _state_of(folder) if reload else []
        self._site = read_site(folder)

    @property
    def site(self) -> Site:
        """The files as they were when the last page was asked for: no file of a page may come from
        another version than the page itself."""
        return self._site

    def page(self, name: str) -> Asset:
        """A page as it is now."""
        if self._reload and (seen := _state_of(self._folder)) != self._seen:
            self._site, self._seen = read_site(self._folder), seen
        return self._site.pages[name]


def read_site(folder: Path) -> Site:
    """Read, compress and assemble everything in the folder."""
    files = {str(path.relative_to(folder)): _whole(path) for path in _files(folder)}
    version = _digest(*(part for item in files.items() for part in (item[0].encode(), item[1])))
    html = {path: data.decode() for path, data in files.items() if path.startswith("html/")}
    return Site(
        version=version,
        assets={
            path: _asset(path, data) for path, data in files.items() if path.split("/")[0] in SERVED
        },
        pages={
            Path(path).stem: _asset(path, _assembled(path, html, files, version).encode())
            for path in html
            if path.count("/") == 2
        },
    )


def _whole(path: Path) -> bytes:
    """A file as it is sent. Imported styles lie beside the one that imports them: addresses in them
    stay right."""
    data = path.read_bytes()
    if path.suffix != ".css":
        return data
    return STYLE_IMPORT.sub(lambda named: _whole(path.parent / named[1].decode()), data)


def scripts_of(page: str, files: Mapping[str, bytes]) -> list[str]:
    """The modules a page needs, its own first, in the order in which a browser would find them."""
    found = [f"js/pages/{page}.js"]
    for path in found:
        for target in IMPORT.findall(files[path].decode()):
            imported = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            if imported not in found:
                found.append(imported)
    return found


def _assembled(path: str, html: Mapping[str, str], files: Mapping[str, bytes], version: str) -> str:
    """A page inside its frame. All its modules are named in the head: a browser then loads them
    at once instead of finding one in the other."""
    _, frame, name = path.removesuffix(".html").split("/")
    scripts = scripts_of(name, files)
    style = f"css/pages/{name}.css"
    modules = [f'<link rel="modulepreload" href="{script}">' for script in scripts[1:]]
    styles = [f'<link rel="stylesheet" href="{style}">'] if style in files else []
    marks = {
        "body": html[f"html/{frame}.html"],
        "content": html[path],
        "links": "\n    ".join(styles + modules),
        "page": name,
    }
    text = html["html/document.html"]
    for mark, value in marks.items():
        text = text.replace("{{" + mark + "}}", value)
    return re.sub(rf'(href|src)="({"|".join(SERVED)})/', rf'\1="/static/{version}/\2/', text)


def _asset(path: str, data: bytes) -> Asset:
    gzipped = gzip.compress(data, mtime=0)
    return Asset(data, gzipped, MIMES[Path(path).suffix], f'"{_digest(data)}"')


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8) + part)
    return whole.hexdigest()[:16]


def _state_of(folder: Path) -> list[tuple[str, int]]:
    return [(str(path), path.stat().st_mtime_ns) for path in _files(folder)]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.suffix in MIMES)
