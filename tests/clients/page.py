"""spec/clients.md: the tables of the last whole run. Needs nothing installed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from clients.catalog import CANNOT_WORK, CLIENTS, REFUSAL, SHOT, WAYS

PAGE = Path(__file__).parent.parent.parent / "spec" / "clients.md"

INTRODUCTION = """# Clients

HTTP clients against the real service, directly and through proxies: what `bin/clients` saw in its
last run. The proxies are configured as in [deploy](../deploy): `nginx.conf`, `haproxy.cfg`,
`Caddyfile`, `apache.conf`. A cell has the status the client was told, and the seconds from its
start to its end, those of its interpreter included; `none` is a client that ended without an
answer. What is wrong is **bold** and explained at the end.

Through {proxies}.
"""
ABOUT = {
    SHOT: """A form like a Breeze camera's with a photo of 4 MB, on loopback. Right is: 200
`image/jpeg`, the bytes of the picture that is kept, and one call of the provider.
""",
    REFUSAL: """A photo of 6 MB on a line of 2 MB a second, from an address of its own. Right is:
401 and its reason, read by the client, and the line's address in the log.
""",
}


class Cell(Protocol):
    """What a client saw: its text for the table, and what is wrong with it, if anything."""

    @property
    def fault(self) -> str: ...


@dataclass
class Results:
    """What was seen: versions of clients and of ways, the cells by table, client and way, and what
    is wrong with a way itself."""

    versions: dict[str, str] = field(default_factory=dict)
    way_versions: dict[str, str] = field(default_factory=dict)
    cells: dict[tuple[str, str, str], Cell] = field(default_factory=dict)
    sites: dict[str, list[str]] = field(default_factory=dict)

    @property
    def faults(self) -> list[str]:
        """What is wrong, a line for what is wrong in the same way."""
        alike: dict[tuple[str, str], list[str]] = {}
        for (title, client, way), cell in self.cells.items():
            if cell.fault:
                alike.setdefault((f"{title}, {way}", cell.fault), []).append(client)
        return [
            *(f"{where}: {_names(who)}: {fault}" for (where, fault), who in alike.items()),
            *(f"{way}: {fault}" for way, faults in self.sites.items() for fault in faults),
        ]


def page(results: Results) -> str:
    """The whole page as Markdown."""
    versions = [f"{name} {version}" for name, version in results.way_versions.items() if version]
    parts = [INTRODUCTION.format(proxies=", ".join(versions))]
    for title, about in ABOUT.items():
        parts.append(f"## {title}\n\n{about}\n{table(results, title)}")
    parts.append(f"## What cannot work\n\n{_impossible()}")
    faults = "".join(f"- {fault}\n" for fault in results.faults) or "Nothing.\n"
    parts.append(f"## What was wrong\n\n{faults}")
    return "\n".join(parts)


def table(results: Results, title: str) -> str:
    """One table, in columns."""
    rows = [("client", "version", *results.way_versions)]
    for client, version in results.versions.items():
        seen = (str(results.cells[title, client, way]) for way in results.way_versions)
        rows.append((f"`{client}`", version, *seen))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines) + "\n"


def _impossible() -> str:
    alike: dict[str, dict[tuple[str, str], None]] = {}
    for (_, client, way), reason in CANNOT_WORK.items():
        alike.setdefault(reason.why, {})[client, way] = None
    return "".join(
        f"- {_names(dict.fromkeys(client for client, _ in cells))}"
        f" ({', '.join(dict.fromkeys(way for _, way in cells))}): {why}.\n"
        for why, cells in alike.items()
    )


def _names(clients: Iterable[str]) -> str:
    return ", ".join(f"`{client}`" for client in clients)


def listed() -> str:
    """What would be tried, without trying it."""
    lines = [f"{client.name}: {' '.join(client.programs) or 'PyPI'}" for client in CLIENTS]
    return "\n".join(["clients", *lines, "", "ways", *WAYS])
