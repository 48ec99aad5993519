"""Gemini's Files API: photos too large to travel inside an order are lent to Google for its time.

Resumable uploads in chunks, as Google's own client sends them (google-genai 3.4). Google keeps what
nobody deletes for 48 hours.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec
import structlog

from service.config import ProviderAccount
from service.errors import ProviderBadResponse, ProviderError, ProviderFailure
from service.pictures.prepare import Photo
from service.providers.gemini.refusals import refusal
from service.providers.http import (
    MAX_LOOKUP_BYTES,
    MAX_QUOTED,
    Body,
    NotJson,
    ProviderResponse,
    Slice,
    afterwards,
    get,
    read_json,
    send,
    words,
)

API_VERSION = "v1beta"
# All photos of an order, as base64. Google takes 100 MB, but says that it varies with the contents,
# and took 20 MB before.
MAX_INLINE_BYTES = 19 * 1000**2
CHUNK_BYTES = 8 * 1024**2
POLL_SECONDS = 0.5
DELETE_SECONDS = 5.0

Shape = TypeVar("Shape")

log = structlog.get_logger()


class _File(msgspec.Struct):
    uri: str
    state: str = "ACTIVE"
    error: object = None


class _Finished(msgspec.Struct):
    file: _File


def too_large(photos: Sequence[Photo]) -> list[Photo]:
    """The largest photos, as few as can be, without which the others fit into one order."""
    inline = sorted(photos, key=lambda photo: photo.bytes)
    found = []
    while sum(photo.bytes for photo in inline) * 4 > MAX_INLINE_BYTES * 3:
        found.append(inline.pop())
    return found


@asynccontextmanager
async def lent(
    client: httpx.AsyncClient, account: ProviderAccount, photos: Sequence[Photo]
) -> AsyncIterator[Mapping[Path, str]]:
    """Upload photos; gives the address by which Google knows each. However the block ends, they are
    deleted there, in time of their own. Raises `ProviderFailure`."""
    # Names of our own: a file can be deleted even when the answer that confirms it is lost.
    names = [f"files/photoslot-{secrets.token_hex(12)}" for _ in photos]
    try:
        yield {
            photo.path: await _upload(client, account, name, photo)
            for name, photo in zip(names, photos, strict=True)
        }
    finally:
        for name in names:
            afterwards(client, _delete(client, account, name))


async def _upload(
    client: httpx.AsyncClient, account: ProviderAccount, name: str, photo: Photo
) -> str:
    """Upload a photo and wait until Google can use it; its `fileUri`."""
    url = await _start(client, account, name, photo)
    file = await _send_chunks(client, url, photo)
    while file.state == "PROCESSING":
        await asyncio.sleep(POLL_SECONDS)
        file = _decode(await get(client, _url(account, name), _key(account)), _File)
    if file.state == "FAILED":
        raise ProviderError(private=f"Google could not use the file: {words(file.error)}")
    return file.uri


async def _start(
    client: httpx.AsyncClient, account: ProviderAccount, name: str, photo: Photo
) -> str:
    """Announce a file; where its bytes go."""
    file = {
        "name": name,
        "displayName": "photo",
        "mimeType": photo.mime,
        "sizeBytes": str(photo.bytes),
    }
    headers = {
        "Content-Type": "application/json",
        "X-Goog-Upload-Protocol": "resumable",
        "X-Goog-Upload-Command": "start",
        "X-Goog-Upload-Header-Content-Length": str(photo.bytes),
        "X-Goog-Upload-Header-Content-Type": photo.mime,
    }
    request = client.build_request(
        "POST",
        f"{account.base_url}/upload/{API_VERSION}/files",
        content=msgspec.json.encode({"file": file}),
        headers=headers | _key(account),
    )
    answer = _good(await send(client, request, MAX_LOOKUP_BYTES))
    url = str(answer.headers.get("x-goog-upload-url", ""))
    if not _is_googles(url, account.base_url):
        raise ProviderBadResponse(private=f"the upload would go to {url[:MAX_QUOTED]!r}")
    return url


def _is_googles(url: str, base_url: str) -> bool:
    """Whether photos may go there: to the host we were told of, or to one of Google's."""
    try:
        there, base = httpx.URL(url), httpx.URL(base_url)
    except (httpx.InvalidURL, ValueError):
        return False
    if there.userinfo:
        return False
    if (there.scheme, there.host, there.port) == (base.scheme, base.host, base.port):
        return True
    return (there.scheme, there.port) == ("https", None) and there.host.endswith(".googleapis.com")


async def _send_chunks(client: httpx.AsyncClient, url: str, photo: Photo) -> _File:
    """Send a photo's bytes; the file as Google then has it. No key goes along: the address is
    secret enough."""
    for offset in range(0, photo.bytes, CHUNK_BYTES):
        chunk = Slice(photo.path, offset, min(CHUNK_BYTES, photo.bytes - offset))
        last = offset + chunk.length == photo.bytes
        body = Body([chunk])
        headers = {
            "X-Goog-Upload-Command": "upload, finalize" if last else "upload",
            "X-Goog-Upload-Offset": str(offset),
            "Content-Length": str(body.length),
        }
        request = client.build_request("POST", url, content=body.__aiter__(), headers=headers)
        answer = _good(await send(client, request, MAX_LOOKUP_BYTES))
        status = answer.headers.get("x-goog-upload-status")
        if status != ("final" if last else "active"):
            private = f"an upload at byte {offset} of {photo.bytes} is {status}"
            raise ProviderBadResponse(private=private, repeats=1)
    return _decode(answer, _Finished).file


async def _delete(client: httpx.AsyncClient, account: ProviderAccount, name: str) -> None:
    """Delete a file. Where that fails Google does it after two days."""
    request = client.build_request("DELETE", _url(account, name), headers=_key(account))
    try:
        async with asyncio.timeout(DELETE_SECONDS):
            answer = await send(client, request, MAX_LOOKUP_BYTES)
        why = None if answer.status in (200, 404) else f"HTTP {answer.status}"
    except ProviderFailure as failure:
        why = failure.reason
    except Exception as error:
        why = type(error).__name__
    if why:
        log.warning("gemini.file_not_deleted", file=name, why=why)


def _url(account: ProviderAccount, name: str) -> str:
    return f"{account.base_url}/{API_VERSION}/{name}"


def _key(account: ProviderAccount) -> dict[str, str]:
    return {"x-goog-api-key": account.api_key}


def _good(answer: ProviderResponse) -> ProviderResponse:
    if answer.status != 200:
        raise refusal(answer)
    return answer


def _decode(answer: ProviderResponse, shape: type[Shape]) -> Shape:
    try:
        found: Shape = read_json(_good(answer).body, shape)
    except NotJson as error:
        raise ProviderBadResponse(private=f"not a file: {error}", repeats=1) from error
    return found
