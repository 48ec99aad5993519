"""File response: a file as an answer, although cleanup or a guest may take it at any moment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anyio import open_file
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from service.errors import PhotoslotError, ResultExpired
from service.state import State


class FileAnswer(FileResponse):
    """Opened before its head is sent: whoever was promised a file gets all of it, also when its
    name is gone by then. When it is gone before, `gone` is raised."""

    def __init__(self, path: Path, gone: type[PhotoslotError] = ResultExpired, **told: Any) -> None:
        super().__init__(path, **told)
        self._gone = gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            opened = await open_file(self.path, "rb")
        except FileNotFoundError:
            raise self._gone() from None
        async with opened:
            descriptor = opened.wrapped.fileno()
            self.stat_result = os.fstat(descriptor)
            self.set_stat_headers(self.stat_result)
            # Opens the same file once more, by whatever name or none.
            self.path = f"/dev/fd/{descriptor}"
            await super().__call__(scope, receive, send)


def whole_file(
    request: Request[State],
    path: Path,
    mime: str,
    headers: Mapping[str, str],
    gone: type[PhotoslotError] = ResultExpired,
) -> Response:
    """A file that is of use to nobody in parts."""
    ignore_range(request)
    unranged = {"Accept-Ranges": "none", "X-Content-Type-Options": "nosniff"}
    return FileAnswer(path, gone, media_type=mime, headers=unranged | dict(headers))


def ignore_range(request: Request[State]) -> None:
    """Forget that only a part was asked for: a server may (RFC 9110, 14.2)."""
    request.scope["headers"] = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
