"""Usage figures: what a provider counted for a call, taken as a stranger's word.

They go into the journal, the statistics and the metrics: whatever was sent is cut down to what
those can keep. A picture is never refused for its figures.
"""

from itertools import islice
from typing import Any

import msgspec

# No call comes near it: a picture is some thousand tokens, and models read a million or two.
MAX_TOKENS = 1_000_000_000
MAX_FIGURES = 32
MAX_DEPTH = 3
MAX_WORD = 100
MAX_BYTES = 64 * 1024


def tokens(value: object) -> int | None:
    """A token count as a provider sends it; None for anything else, also for a number that no call
    can come to (over MAX_TOKENS)."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MAX_TOKENS else None


def figures(raw: msgspec.Raw) -> dict[str, Any]:
    """The object of figures out of an answer, cut to MAX_DEPTH levels of MAX_FIGURES entries; empty
    for anything else. A number beyond MAX_TOKENS either way becomes null."""
    if memoryview(raw).nbytes > MAX_BYTES:
        return {}
    try:
        told = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return {}
    return _kept(told, MAX_DEPTH) if isinstance(told, dict) else {}


def _kept(told: Any, depth: int) -> Any:
    if isinstance(told, dict) and depth:
        entries = islice(told.items(), MAX_FIGURES)
        return {_word(name): _kept(value, depth - 1) for name, value in entries}
    if isinstance(told, list) and depth:
        return [_kept(one, depth - 1) for one in told[:MAX_FIGURES]]
    if isinstance(told, str):
        return _word(told)
    is_kept = isinstance(told, int | float) and abs(told) <= MAX_TOKENS
    return told if is_kept else None


def _word(told: str) -> str:
    """PostgreSQL keeps no NUL, not in jsonb either."""
    return told[:MAX_WORD].replace("\0", "\ufffd")
