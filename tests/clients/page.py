"""spec/clients.md: the tables of the last whole run. Needs nothing installed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from catalog import CANNOT_WORK, CLIENTS, WAYS

PAGE = Path(__file__).parent.parent.parent / "spec" / "clients.md"
HEADER = ("client", "version", *WAYS)
SHOTS = "A shot"
REFUSALS = "A wrong password"

INTRODUCTION = """# Clients

HTTP clients against the real service, directly and through proxies: what `bin/clients` saw in its last run. The proxies
have the configurations of [deploy](../deploy): nginx.conf, haproxy.cfg, Caddyfile, apache.conf. Each cell has the status
the client was told and the seconds from its start to its end, that of its interpreter included. What is wrong is **bold**
and explained at the end; `none` is a client that ended without an answer.

{versions}
"""
ABOUT_SHOTS = """A form like a Breeze camera's with a photo of 4 MB, on loopback. Right is: 200 `image/jpeg`, the bytes of the picture that is
kept, and one call of the provider.
"""
ABOUT_REFUSALS = """A photo of 6 MB on a line of 2 MB a second, from an address of its own. Right is: 401 with the JSON that says so, read by the
client, and the line's address in the log.
"""


class Cell(Protocol):
    """What a client saw: its text for the table, and what is wrong with it, if anything."""

    @property
    def fault(self) -> str: ...


@dataclass
class Results:
    """What was seen, as it stands in the cells, by client and way; `faults` in the order they came."""

    versions: dict[str, str] = field(default_factory=dict)
    way_versions: dict[str, str] = field(default_factory=dict)
    shots: dict[tuple[str, str], str] = field(default_factory=dict)
    refusals: dict[tuple[str, str], str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def note(self, title: str, client: str, way: str, cell: Cell) -> None:
        """Put a cell into the table of this title."""
        cells = self.shots if title == SHOTS else self.refusals
        cells[client, way] = str(cell)
        if cell.fault:
            self.faults.append(f"`{client}`, {way}, {title.lower()}: {cell.fault}")


def page(results: Results, clients: Sequence[str], ways: Sequence[str]) -> str:
    """The whole page as Markdown."""
    versions = [f"{name} {version}" for name, version in results.way_versions.items() if version]
    parts = [INTRODUCTION.format(versions=f"Proxies: {', '.join(versions) or 'none'}.")]
    for title, about, cells in (
        (SHOTS, ABOUT_SHOTS, results.shots),
        (REFUSALS, ABOUT_REFUSALS, results.refusals),
    ):
        parts.append(f"## {title}\n\n{about}\n{table(results.versions, cells, clients, ways)}")
    impossible = _impossible(clients, ways)
    if impossible:
        parts.append(f"## What cannot work\n\n{impossible}")
    faults = "".join(f"- {fault}\n" for fault in results.faults) or "Nothing.\n"
    parts.append(f"## What was wrong\n\n{faults}")
    return "\n".join(parts)


def table(
    versions: Mapping[str, str],
    cells: Mapping[tuple[str, str], str],
    clients: Sequence[str],
    ways: Sequence[str],
) -> str:
    """One table, in columns."""
    header = ("client", "version", *ways)
    rows = [header]
    for client in clients:
        seen = (cells.get((client, way), "") for way in ways)
        rows.append((f"`{client}`", versions.get(client, ""), *seen))
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines) + "\n"


def _impossible(clients: Sequence[str], ways: Sequence[str]) -> str:
    reasons: dict[tuple[str, str], list[str]] = {}
    for (client, way), why in CANNOT_WORK.items():
        if client in clients and way in ways:
            reasons.setdefault((client, why), []).append(way)
    return "".join(
        f"- `{client}` ({', '.join(found)}): {why}.\n" for (client, why), found in reasons.items()
    )


def listed() -> str:
    """What would be tried, without trying it."""
    lines = [f"{client.name}: {' '.join(client.programs) or 'PyPI'}" for client in CLIENTS]
    return "\n".join(["clients", *lines, "", "ways", *WAYS])
