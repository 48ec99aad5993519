"""Schema version: whether that of a database fits this code.

A migration only adds, unless its name begins with `contract-`: `0007.contract-old-names`. Code runs
on every schema that has what it needs and from which nothing was taken away without its knowledge.
"""

import re
from collections.abc import Collection
from pathlib import Path

MIGRATIONS = Path(__file__).parent.parent.parent / "migrations"

_CONTRACTION = re.compile(r"^\d{4}\.contract-")


def known_migrations() -> list[str]:
    """The migrations this code comes with, oldest first, such as `0001.first-light`."""
    names = sorted(path.name.removesuffix(".sql") for path in MIGRATIONS.glob("*.sql"))
    return [name for name in names if not name.endswith(".rollback")]


def is_contraction(migration: str) -> bool:
    """Whether it takes away what older code may use."""
    return _CONTRACTION.match(migration) is not None


def misfit(applied: Collection[str]) -> str | None:
    """Why this code cannot work on a schema with these migrations, in words; None when it can.

    A contraction may be missing: it comes after the code that no longer needs what it takes away.
    What newer code has added does not matter."""
    known = known_migrations()
    missing = [name for name in known if name not in applied and not is_contraction(name)]
    if missing:
        return f"is older than this code, {missing[0]} is missing: run bin/migrate"
    taken = [name for name in sorted(applied) if name not in known and is_contraction(name)]
    if taken:
        return f"is newer than this code, which cannot do without what {taken[0]} took away"
    return None
