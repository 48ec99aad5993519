"""TCP relay: a slow line with an address of its own. What one end does (bytes, end of sending,
reset) the other end sees, in order and at the line's pace."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PIECE = 16 * 1024
# Small, so that the sender is as far as the line is: nothing waits unsent in the kernel.
BUFFER_BYTES = 32 * 1024
RESET = struct.pack("ii", 1, 0)


@contextmanager
def slow_line(port: int, address: str, bytes_per_second: int) -> Iterator[int]:
    """The port of 127.0.0.1 at which the line to `port` begins, for as long as the block runs.
    Connections leave it from `address`, one of 127.0.0.0/8; uploads are slowed, answers are not."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        loop = asyncio.new_event_loop()
        serving = loop.create_task(_serve(listener, port, address, bytes_per_second))
        thread = threading.Thread(target=_run, args=(loop, serving), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            loop.call_soon_threadsafe(serving.cancel)
            thread.join()


def _run(loop: asyncio.AbstractEventLoop, serving: asyncio.Task[None]) -> None:
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(serving)
    loop.close()


async def _serve(listener: socket.socket, port: int, address: str, bytes_per_second: int) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as lines:
        while True:
            near, _ = await loop.sock_accept(listener)
            lines.create_task(_join(near, port, address, bytes_per_second))


async def _join(near: socket.socket, port: int, address: str, bytes_per_second: int) -> None:
    with near, socket.socket() as far:
        far.setblocking(False)
        far.bind((address, 0))
        try:
            await asyncio.get_running_loop().sock_connect(far, ("127.0.0.1", port))
            async with asyncio.TaskGroup() as directions:
                directions.create_task(_relay(near, far, bytes_per_second))
                directions.create_task(_relay(far, near, None))
        except* ConnectionError:
            # Closed like this, both ends are reset.
            for end in (near, far):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


async def _relay(
    source: socket.socket, target: socket.socket, bytes_per_second: int | None
) -> None:
    loop = asyncio.get_running_loop()
    while piece := await loop.sock_recv(source, PIECE):
        await loop.sock_sendall(target, piece)
        if bytes_per_second:
            await asyncio.sleep(len(piece) / bytes_per_second)
    with suppress(OSError):  # it is gone already
        target.shutdown(socket.SHUT_WR)
