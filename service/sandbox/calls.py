"""Call log: what the sandbox received, for assertions."""

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request

MAX_CALLS = 5_000
SECRET_HEADERS = frozenset({"authorization", "cookie", "x-goog-api-key"})
HIDDEN = "***"


class ImageFacts(msgspec.Struct, frozen=True):
    """One received image: pixels as stored, EXIF `orientation` 1–8 (1 when there is none)."""

    mime: str
    bytes: int
    sha256: str
    width: int
    height: int
    exif: bool
    gps: bool
    orientation: int


class Fetch(msgspec.Struct, frozen=True):
    """One fetch of an input by its link, which stood in `field`. Without an answer there is no
    `status`."""

    field: str
    method: str
    url: str
    status: int | None = None
    headers: dict[str, str] = {}
    bytes: int = 0
    sha256: str = ""


class Call(msgspec.Struct):
    """One request: entered when it arrives, completed before the first byte of its answer.

    `at` is Unix time; `latency_s` the seconds from arrival to the first byte, None while it waits
    or when none was sent; `outcome` is `refused` when the request itself was at fault. `lookup`
    marks requests that order nothing (model lists, health checks). `prompt` is the last of `texts`.
    `parts` names the kinds of parts in the order of the request (of a form, its fields), `images`
    its pictures in theirs, `file_names` what a form calls these; `fields` are its texts.
    `fetches` are the links the sandbox followed for it, completed while it works on the order.
    """

    number: int
    provider: str
    action: str
    lookup: bool
    method: str
    path: str
    at: float
    headers: dict[str, str]
    model: str | None = None
    outcome: str | None = None
    status: int | None = None
    latency_s: float | None = None
    prompt: str | None = None
    texts: list[str] = []
    parts: list[str] = []
    images: list[ImageFacts] = []
    file_names: list[str] = []
    fields: dict[str, str] = {}
    fetches: list[Fetch] = []
    generation_config: dict[str, Any] = {}
    safety_settings: list[dict[str, str]] = []
    body_bytes: int = 0
    client_disconnected: bool = False


class Calls:
    """The last `MAX_CALLS` calls, oldest first; used from the event loop only."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=MAX_CALLS)
        self._number = 0

    def enter(self, provider: str, action: str, request: Request, lookup: bool) -> Call:
        """Record a request that has just arrived."""
        self._number += 1
        call = Call(
            number=self._number,
            provider=provider,
            action=action,
            lookup=lookup,
            method=request.method,
            path=request.url.path,
            at=time.time(),
            headers=_without_secrets(request.headers),
            model=request.path_params.get("model"),
        )
        self._calls.append(call)
        return call

    def list(self, wanted: Mapping[str, str], lookups: bool) -> list[Call]:
        """The calls whose fields have the wanted values; look-ups only when asked for."""
        return [
            call
            for call in self._calls
            if (lookups or not call.lookup)
            and all(str(getattr(call, name)) == value for name, value in wanted.items())
        ]

    def forget(self) -> None:
        """Empty the list; numbers go on."""
        self._calls.clear()


def _without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: HIDDEN if name.lower() in SECRET_HEADERS else value for name, value in headers.items()
    }
