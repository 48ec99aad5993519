"""The real programs under test: started as processes, watched, ended."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

ROOT = Path(__file__).parent.parent
START_SECONDS = 30.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.02
SIGNING_KEY = "a signing key that only the tests have, 48 bytes"
# What a program may inherit; everything else it reads was given to it by a test.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH")


def until[T](
    find: Callable[[], T | None], what: str, seconds: float = 10.0, step: float = POLL_SECONDS
) -> T:
    """The first true thing `find` gives; fails with `what` when none came in time."""
    end = time.monotonic() + seconds
    while True:
        found = find()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(step)
