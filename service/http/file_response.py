"""File response: a file as an answer, although cleanup or a guest may take it at any moment; a QR
code as one."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anyio import open_file
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from service.crypto import digest
from service.errors import PhotoslotError, ResultExpired
from service.state import State
from service.storage.media import disk_failure

MAX_AGE_SECONDS = 3600


class FileAnswer(FileResponse):
    """Opened before its head is sent: whoever was promised a file gets all of it, also when its
    name is gone by then. When it is gone before, `gone` is raised; `StorageError` when only the
    folder is not there, or the file cannot be read."""

    def __init__(self, path: Path, gone: type[PhotoslotError] = ResultExpired, **told: Any) -> None:
        super().__init__(path, **told)
        self._gone = gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            opened = await open_file(self.path, "rb")
        except FileNotFoundError:
            scope["state"]["media"].check()
            raise self._gone() from None
        except OSError as error:
            raise disk_failure(error) from error
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


async def code_response(
    request: Request[State], url: str, expires_at: datetime, guards: Mapping[str, str]
) -> Response:
    """A QR code of an address, which a browser may keep for MAX_AGE_SECONDS, not beyond
    `expires_at`. One that it has is not even drawn (RFC 9110, 13.1.2)."""
    left = int((expires_at - datetime.now(UTC)).total_seconds())
    etag = f'"{digest("code", url).hex()[:32]}"'
    headers = {
        **guards,
        "Cache-Control": f"private, max-age={max(0, min(left, MAX_AGE_SECONDS))}",
        "ETag": etag,
    }
    if is_known(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    code = await request.state["codes"].draw(url)
    return Response(code, headers=headers, media_type="image/svg+xml")


def is_known(if_none_match: str, etag: str) -> bool:
    """Whether a request's `If-None-Match` names this tag."""
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags


def ignore_range(request: Request[State]) -> None:
    """Forget that only a part was asked for: a server may (RFC 9110, 14.2)."""
    request.scope["headers"] = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
