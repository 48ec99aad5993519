"""Throttle: how many failed tries are too many, per kind of door."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Throttle:
    """`tries` inside `window_seconds` shut a subject out for `block_seconds`."""

    tries: int
    window_seconds: float
    block_seconds: float


LOGIN = Throttle(tries=10, window_seconds=900, block_seconds=900)
LOGIN_ADDRESS = Throttle(tries=100, window_seconds=900, block_seconds=900)
INGEST = Throttle(tries=20, window_seconds=60, block_seconds=60)
GALLERY = Throttle(tries=240, window_seconds=60, block_seconds=60)
# After this what was counted under any of them is over, unless its subject is still shut out.
LONGEST_SECONDS = max(door.window_seconds for door in (LOGIN, LOGIN_ADDRESS, INGEST, GALLERY))
