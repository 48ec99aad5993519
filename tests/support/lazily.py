"""Modules that are imported when something of theirs is asked for: the providers' own clients cost
a second each, and of several test processes only the one that runs their tests has to pay it."""

import importlib
from typing import Any


class Lazily:
    """Stands for the module with this name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Nothing private: pytest asks every global of a module for such, to find fixtures."""
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self._name), attribute)
