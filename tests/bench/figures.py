"""What was measured, against what it must reach, as one table."""

from collections.abc import Sequence
from dataclasses import dataclass

COLUMNS = ("figure", "service", "floor", "ratio", "must be", "met", "measured by")


@dataclass(frozen=True)
class Figure:
    """One number. `judged` is what is held against `limit`: the number itself, or its ratio to
    the floor's where there is one. `at_most` tells on which side of the limit it must stay; without
    a limit the number is only shown."""

    name: str
    value: float
    unit: str
    limit: float | None
    how: str
    floor: float | None = None
    at_most: bool = True

    @property
    def judged(self) -> float:
        return self.value if self.floor is None else self.value / self.floor

    @property
    def is_met(self) -> bool:
        if self.limit is None:
            return True
        return self.judged <= self.limit if self.at_most else self.judged >= self.limit

    @property
    def row(self) -> tuple[str, ...]:
        """Its cells in the order of COLUMNS."""
        return (
            self.name,
            _shown(self.value, self.unit),
            _shown(self.floor, self.unit),
            "" if self.floor is None else f"{self.judged:.2f}",
            self._bound,
            "" if self.limit is None else "yes" if self.is_met else "NO",
            self.how,
        )

    @property
    def _bound(self) -> str:
        if self.limit is None:
            return ""
        unit = self.unit if self.floor is None else "× floor"
        return f"{'≤' if self.at_most else '≥'} {self.limit:g} {unit}"


def _shown(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.1f} {unit}"


def table(figures: Sequence[Figure]) -> str:
    """All figures in columns."""
    rows = [COLUMNS, *(figure.row for figure in figures)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)
