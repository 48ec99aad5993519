"""Download of an order's pictures by the links in it, as a server somewhere else would."""

import hashlib
import ssl
from collections.abc import Mapping
from functools import cache

import httpx

from service.sandbox.calls import Call, Fetch
from service.sandbox.images import NotAnImage, ReceivedImage
from service.sandbox.turbotext.methods import Complaint

FETCH_S = 10.0
TAKEN = ("image/jpeg", "image/png")

# Reading the certificates takes longer than a fetch.
certificates = cache(ssl.create_default_context)


async def fetch_pictures(links: Mapping[str, str], call: Call) -> list[ReceivedImage]:
    """The pictures behind the links, by field; what was fetched is noted in the call. Raises
    `Complaint` for a link that leads to no JPEG or PNG."""
    async with httpx.AsyncClient(verify=certificates(), trust_env=False, timeout=FETCH_S) as client:
        images = []
        for field, link in links.items():
            head = await _ask(client, "HEAD", field, link, call)
            answer = await _ask(client, "GET", field, link, call)
            if head.headers.get("content-length") != answer.headers.get("content-length"):
                raise Complaint(f"Файл {field} изменился во время загрузки")
            images.append(_picture(field, answer))
            call.images.append(images[-1].facts)
        return images


async def _ask(
    client: httpx.AsyncClient, method: str, field: str, link: str, call: Call
) -> httpx.Response:
    try:
        answer = await client.request(method, link)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        call.fetches.append(Fetch(field, method, link))
        raise Complaint(f"Не удалось загрузить изображение {field}") from problem
    digest = hashlib.sha256(answer.content).hexdigest()
    headers = dict(answer.headers)
    size = len(answer.content)
    call.fetches.append(Fetch(field, method, link, answer.status_code, headers, size, digest))
    if answer.status_code != 200:
        raise Complaint(f"Не удалось загрузить изображение {field}: HTTP {answer.status_code}")
    return answer


def _picture(field: str, answer: httpx.Response) -> ReceivedImage:
    mime = answer.headers.get("content-type", "")
    if mime not in TAKEN:
        raise Complaint(f"Файл {field} не является изображением jpg или png: {mime}")
    try:
        return ReceivedImage(answer.content, mime)
    except NotAnImage as problem:
        raise Complaint(f"Файл {field} не является изображением") from problem
