"""The protocol of one connection, with its patience cut short."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.responses import Response
from uvicorn.server import ServerState

from service import server
from service.server import PatientProtocol

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 0.5
LEEWAY_SECONDS = 5.0
# Less than uvicorn waits for (64 KiB), more than the two small buffers below take up.
ANSWER_BYTES = 60_000
REQUEST = b"GET / HTTP/1.1\r\nhost: photoslot\r\n%s\r\n"


@pytest.fixture
async def address(
    anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, int]]:
    """Where each request is answered with ANSWER_BYTES."""
    monkeypatch.setattr(server, "SEND_SECONDS", PATIENCE_SECONDS)

    config = uvicorn.Config(Response(b"x" * ANSWER_BYTES), lifespan="off", log_config=None)
    config.load()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    serving = await asyncio.get_running_loop().create_server(
        lambda: PatientProtocol(config, ServerState(), {}), sock=listener
    )
    yield listener.getsockname()
    serving.close()


@pytest.mark.parametrize("header", [b"", b"connection: close\r\n"], ids=["kept alive", "closed"])
async def test_a_device_that_leaves_the_end_of_its_answer_unread_is_let_go(
    address: tuple[str, int], header: bytes
) -> None:
    with socket.socket() as device:
        device.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        device.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(device, address)
        await loop.sock_sendall(device, REQUEST % header)
        await asyncio.sleep(2 * PATIENCE_SECONDS)

        received = 0
        async with asyncio.timeout(LEEWAY_SECONDS):
            while piece := await loop.sock_recv(device, 65536):
                received += len(piece)
    assert received < ANSWER_BYTES


async def test_a_slow_device_gets_its_answer_whole_and_the_next_one_too(
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
