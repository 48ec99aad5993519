"""Strangers at the door, in a process of their own: `python attacks.py KIND COUNT ADDRESS PATH`.

They go on until they are ended; the first line on their output says that all have begun.
"""

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from camera import BOUNDARY

DRIP_SECONDS = 0.5
LOST = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
MEGABYTE = 1024**2

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def drip(connection: Connection, path: str, number: int) -> None:
    """A large photo is announced, and comes a byte at a time."""
    reader, writer = connection
    writer.write(
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {50 * MEGABYTE}\r\n"
        f"content-type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n--".encode()
    )
    for letter in BOUNDARY.encode():
        await asyncio.sleep(DRIP_SECONDS)
        writer.write(bytes([letter]))
        await writer.drain()
        if reader.at_eof():
            return


async def look(connection: Connection, path: str, number: int) -> None:
    """One page is asked for, and again."""
    reader, writer = connection
    writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next(int(line[15:]) for line in head.split("\r\n") if "content-length:" in line)
    await reader.readexactly(length)


async def never_end(connection: Connection, path: str, number: int) -> None:
    """A head without an end."""
    _, writer = connection
    writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n".encode())
    while True:
        writer.write(b"x: " + b"a" * 1000 + b"\r\n")
        await writer.drain()


async def guess(connection: Connection, path: str, number: int) -> None:
    """A wrong password, never the same twice."""
    reader, writer = connection
    writer.write(
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n"
        f"content-type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"x-ingest-password: wrong {number}\r\n\r\n-----".encode()
    )
    await reader.readuntil(b"\r\n\r\n")


KINDS: dict[str, Callable[[Connection, str, int], Awaitable[None]]] = {
    "drip": drip,
    "look": look,
    "never-end": never_end,
    "guess": guess,
}
KEPT = ("look",)


async def attack(kind: str, count: int, port: int, path: str) -> None:
    numbers = itertools.count()
    begun = 0

    async def stranger() -> None:
        nonlocal begun
        is_first = True
        while True:
            with suppress(*LOST):
                connection = await asyncio.open_connection("127.0.0.1", port)
                try:
                    if is_first:
                        is_first, begun = False, begun + 1
                        if begun == count:
                            print("all have begun", flush=True)
                    await KINDS[kind](connection, path, next(numbers))
                    while kind in KEPT:
                        await KINDS[kind](connection, path, next(numbers))
                finally:
                    connection[1].close()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(stranger())


if __name__ == "__main__":
    what, how_many, where, page = sys.argv[1:]
    asyncio.run(attack(what, int(how_many), int(where), page))
