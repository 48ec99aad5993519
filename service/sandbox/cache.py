"""Cache of finished work, small, bounded, safe between threads."""

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """The most recently used values by digest, at most `size` of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[str, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str) -> Value | None:
        """The remembered value, or None."""
        with self._lock:
            if digest in self._values:
                self._values.move_to_end(digest)
            return self._values.get(digest)

    def put(self, digest: str, value: Value) -> None:
        """Remember a value and forget the one unused for longest."""
        with self._lock:
            self._values[digest] = value
            self._values.move_to_end(digest)
            while len(self._values) > self._size:
                self._values.popitem(last=False)
