"""The protocol of one connection, with its patience cut short."""

import asyncio
import math
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.datastructures import Headers
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from service.http import protocol
from service.http.protocol import PatientProtocol

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 1.0
LEEWAY_SECONDS = 5.0
# Less than uvicorn waits for (64 KiB), more than the two small buffers below take up.
ANSWER_BYTES = 60_000
REQUEST = b"GET / HTTP/1.1\r\nhost: photoslot\r\n%s\r\n"
# Asks for an answer whose second half comes later than the patience ends.
SLOWLY = b"slowly: yes\r\n"


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """ANSWER_BYTES, in two halves."""
    is_slow = Headers(scope=scope).get("slowly")

    async def halves() -> AsyncIterator[bytes]:
        yield b"x" * (ANSWER_BYTES // 2)
        await asyncio.sleep(2 * PATIENCE_SECONDS if is_slow else 0)
        yield b"x" * (ANSWER_BYTES // 2)

    length = {"content-length": str(ANSWER_BYTES)}
    await StreamingResponse(halves(), headers=length)(scope, receive, send)


@pytest.fixture
async def address(
    anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, int]]:
    """Where each request is answered with ANSWER_BYTES."""
    monkeypatch.setattr(protocol, "SEND_SECONDS", PATIENCE_SECONDS)

    config = uvicorn.Config(answer, lifespan="off", log_config=None)
    config.load()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    serving = await asyncio.get_running_loop().create_server(
        lambda: PatientProtocol(config, ServerState(), {}), sock=listener
    )
    yield listener.getsockname()
    serving.close()


@asynccontextmanager
async def connected(address: tuple[str, int]) -> AsyncIterator[socket.socket]:
    """A device that takes up little of what it is sent until it reads."""
    with socket.socket() as device:
        device.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        device.setblocking(False)
        await asyncio.get_running_loop().sock_connect(device, address)
        yield device


async def ask(device: socket.socket, header: bytes = b"") -> None:
    await asyncio.get_running_loop().sock_sendall(device, REQUEST % header)


async def read(device: socket.socket, wanted: float = math.inf) -> int:
    """How many bytes came, heads included, until there were so many or the connection ended."""
    received = 0
    async with asyncio.timeout(LEEWAY_SECONDS):
        while received < wanted:
            piece = await asyncio.get_running_loop().sock_recv(device, 65536)
            if not piece:
                break
            received += len(piece)
    return received


@pytest.mark.parametrize("header", [b"", b"connection: close\r\n"], ids=["kept alive", "closed"])
async def test_a_device_that_leaves_the_end_of_its_answer_unread_is_let_go(
    address: tuple[str, int], header: bytes
) -> None:
    async with connected(address) as device:
        await ask(device, header)
        await asyncio.sleep(2 * PATIENCE_SECONDS)

        assert await read(device) < ANSWER_BYTES


async def test_the_patience_with_one_answer_does_not_end_the_next(
    address: tuple[str, int],
) -> None:
    async with connected(address) as device:
        await ask(device)
        await asyncio.sleep(0.6 * PATIENCE_SECONDS)
        assert await read(device, ANSWER_BYTES) >= ANSWER_BYTES
        await ask(device, SLOWLY)
        await asyncio.sleep(PATIENCE_SECONDS)

        assert await read(device, ANSWER_BYTES) >= ANSWER_BYTES


async def test_a_device_that_rests_gets_its_answer_whole_and_the_next_one_too(
    address: tuple[str, int],
) -> None:
    reader, writer = await asyncio.open_connection(*address)
    for _ in range(2):
        writer.write(REQUEST % b"")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert len(await reader.readexactly(ANSWER_BYTES)) == ANSWER_BYTES
        await asyncio.sleep(2 * PATIENCE_SECONDS)
    writer.close()
