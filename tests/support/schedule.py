"""Which test runs when, and in which of the processes of a run.

A file is one piece of work, so that what its module sets up is set up once; the files of single
pages are one piece together, so that they share a browser. Files with slow tests go first: nobody
waits for the last of them alone.
"""

from collections import Counter

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

SLOW = ("browser", "slow")
PAGES = "tests/pages/test_page_"


def slow_first(items: list[pytest.Item]) -> None:
    """Files with the most slow tests come first; in a file those with a browser follow one
    another."""
    slow = Counter(
        piece_of(item.nodeid) for item in items if any(map(item.get_closest_marker, SLOW))
    )

    def rank(item: pytest.Item) -> tuple[int, str, bool]:
        file = item.nodeid.split("::")[0]
        return -slow[piece_of(file)], file, item.get_closest_marker("browser") is None

    items.sort(key=rank)


def piece_of(nodeid: str) -> str:
    """The piece of work a test belongs to."""
    file = nodeid.split("::")[0]
    return PAGES if file.startswith(PAGES) else file


class Pieces(LoadScopeScheduling):
    """Gives each process a piece after the other, in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        return piece_of(nodeid)
