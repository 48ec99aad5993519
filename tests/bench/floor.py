"""The least a Python ingest can do with a shot, done well: what the service is measured against.

The same server and libraries as the service, all of it straight on the event loop: the multipart
body is parsed onto the disk, the photo is read, encoded and sent inside JSON in one piece, the
picture in the answer goes back. No database, no checks, nothing kept.
"""

import argparse
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import httpx
import msgspec
import uvicorn
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive, Scope, Send

BEFORE = b'{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"image/jpeg","data":"'
AFTER = (
    b'"}},{"text":"Turn this photo into a warm cinematic portrait."}]}],'
    b'"generationConfig":{"responseModalities":["TEXT","IMAGE"]}}'
)
MODEL_PATH = "/v1beta/models/gemini-nano-banana-2.1:generateContent"
KEY = "sandbox"


class Inline(msgspec.Struct, rename="camel"):
    """A picture in an answer; msgspec decodes its base64."""

    data: bytes


class Part(msgspec.Struct, rename="camel"):
    inline_data: Inline | None = None


class Content(msgspec.Struct):
    parts: list[Part]


class Candidate(msgspec.Struct):
    content: Content


class Generated(msgspec.Struct):
    """The provider's answer as far as it matters."""

    candidates: list[Candidate]


class Floor:
    """The application: every POST is a shot."""

    def __init__(self, provider_url: str, folder: Path) -> None:
        self._url = provider_url + MODEL_PATH
        self._folder = folder
        self._decoder = msgspec.json.Decoder(Generated)
        self._client: httpx.AsyncClient

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._ingest(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(timeout=None, limits=limits, trust_env=False) as client:
            self._client = client
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _ingest(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._folder / uuid4().hex
        try:
            with path.open("xb", buffering=0) as file:
                await _spool(scope, receive, file)
            picture = await self._edited(path.read_bytes())
        finally:
            path.unlink()
        length = str(len(picture)).encode()
        headers = [(b"content-type", b"image/jpeg"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": picture})

    async def _edited(self, photo: bytes) -> bytes:
        answer = await self._client.post(
            self._url,
            content=b"".join((BEFORE, binascii.b2a_base64(photo, newline=False), AFTER)),
            headers={"x-goog-api-key": KEY, "content-type": "application/json"},
        )
        answer.raise_for_status()
        parts = self._decoder.decode(answer.content).candidates[0].content.parts
        return next(part.inline_data.data for part in parts if part.inline_data)


async def _spool(scope: Scope, receive: Receive, file: BinaryIO) -> None:
    """Read the body; the data of every part that has a file name goes to `file`."""
    header = bytearray()
    is_file = False

    def on_part_begin() -> None:
        nonlocal is_file
        is_file = False

    def on_header_value(data: bytes, start: int, end: int) -> None:
        header.extend(data[start:end])

    def on_header_end() -> None:
        nonlocal is_file
        is_file = is_file or b"filename=" in header
        header.clear()

    def on_part_data(data: bytes, start: int, end: int) -> None:
        if is_file:
            file.write(memoryview(data)[start:end])

    callbacks: Mapping[str, Any] = {
        "on_part_begin": on_part_begin,
        "on_header_value": on_header_value,
        "on_header_end": on_header_end,
        "on_part_data": on_part_data,
    }
    _, options = parse_options_header(dict(scope["headers"])[b"content-type"])
    parser = MultipartParser(options[b"boundary"], callbacks)
    more = True
    while more:
        message = await receive()
        parser.write(message.get("body", b""))
        more = message.get("more_body", False)


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--provider-url", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    asked = parser.parse_args()
    uvicorn.run(
        Floor(asked.provider_url, asked.folder),
        port=asked.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        interface="asgi3",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
    )


if __name__ == "__main__":
    main()
