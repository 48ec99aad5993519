"""The tests cannot speak to anybody but this machine, whatever library they use."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import asyncpg
import httpx
import httpx2
import pytest
from guard import StrangerError

pytestmark = pytest.mark.anyio

# Addresses kept for documentation: even an escape would reach nobody.
STRANGER = "192.0.2.1"
NAME = "stranger.example"


@pytest.mark.parametrize(
    "speak",
    [
        lambda: socket.create_connection((STRANGER, 80), 1),
        lambda: socket.create_connection(("2001:db8::1", 80), 1),
        lambda: socket.socket().connect_ex((STRANGER, 80)),
        lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", (STRANGER, 53)),
        lambda: socket.getaddrinfo(NAME, 80),
        lambda: socket.gethostbyname(NAME),
        lambda: httpx.get(f"http://{STRANGER}", trust_env=False),
        lambda: httpx2.get(f"http://{NAME}", trust_env=False),
    ],
    ids=["IPv4", "IPv6", "connect_ex", "UDP", "name", "old name", "httpx", "httpx2"],
)
def test_a_blocking_call_reaches_no_stranger(speak: Callable[[], object]) -> None:
    with pytest.raises(StrangerError):
        speak()


async def loop_connect() -> None:
    with socket.socket() as connection:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (STRANGER, 80))


async def loop_transport() -> None:
    await asyncio.open_connection(STRANGER, 80)


async def loop_look_up() -> None:
    await asyncio.get_running_loop().getaddrinfo(NAME, 80)


async def with_httpx() -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.get(f"http://{NAME}")


async def with_httpx2() -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        await client.get(f"http://{STRANGER}")


async def with_asyncpg() -> None:
    await asyncpg.connect(f"postgresql://nobody@{STRANGER}/x", timeout=1)


@pytest.mark.parametrize(
    "speak",
    [loop_connect, loop_transport, loop_look_up, with_httpx, with_httpx2, with_asyncpg],
)
async def test_asyncios_loop_reaches_no_stranger(speak: Callable[[], AsyncIterator[None]]) -> None:
    assert type(asyncio.get_running_loop()).__module__.startswith("asyncio.")
    with pytest.raises((StrangerError, ExceptionGroup)) as raised:
        await speak()  # type: ignore[misc]
    assert "a test wanted to" in repr(raised.value)


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), 1).close()
        socket.create_connection(("localhost", port), 1).close()
