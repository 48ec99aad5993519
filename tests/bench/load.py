"""Cameras that post to one address at the same moment, as cheaply as Python can."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import uvloop
from camera import BOUNDARY, PASSWORD, breeze_fields, part

SLOTS = tuple(f"slot-{number:03}" for number in range(1, 16))
CLOSING = f"\r\n--{BOUNDARY}--\r\n".encode()

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as the camera saw it; `seconds` from before the connect to the last byte."""

    status: int
    head: str
    bytes: int
    seconds: float


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on an event loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def shoot(url: str, photo: bytes, slot: str = SLOTS[0], key: str | None = None) -> Answer:
    """Post one new shot on a connection of its own, as a camera does; the same `key` makes it the
    retry of another."""
    fields = {**breeze_fields(b""), "password": PASSWORD}
    opening = b"".join(part(name, value) for name, value in fields.items())
    opening += part("fileToUpload", b"", "IMG_0003.JPG", "image/jpeg").removesuffix(b"\r\n")
    head = (
        f"POST /api/ingest/{slot} HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\n"
        f"content-type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"content-length: {len(opening) + len(photo) + len(CLOSING)}\r\n"
        + (f"idempotency-key: {key}\r\n" if key else "")
        + "\r\n"
    )
    return await _exchange(url, head.encode() + opening, photo, CLOSING)


async def at_once(count: int, shot: Callable[[int], Awaitable[T]]) -> list[T]:
    """`shot(0)`, `shot(1)` … all together; the first error ends them all."""
    return await in_parallel(count, count, shot)


async def in_parallel(cameras: int, shots: int, shot: Callable[[int], Awaitable[T]]) -> list[T]:
    """`shots` shots by so many cameras, each posting the next as soon as it has an answer."""
    numbers = itertools.count()
    answers: list[T] = []

    async def camera() -> None:
        while (number := next(numbers)) < shots:
            answers.append(await shot(number))

    async with asyncio.TaskGroup() as group:
        for _ in range(cameras):
            group.create_task(camera())
    return answers


async def _exchange(url: str, *pieces: bytes) -> Answer:
    address = urlsplit(url)
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.writelines(pieces)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.lower().split("\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith("content-length:"))
        body = await reader.readexactly(length)
        seconds = time.perf_counter() - started
        return Answer(int(head.split(" ", 2)[1]), head, len(body), seconds)
    finally:
        writer.close()
