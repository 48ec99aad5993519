"""A fork server: programs of the service without the second of processor time their imports cost.

`python -P tests/support/fork_server.py 3` imports the service and forks a child for each order that
comes through the socket with this descriptor (see `forked`). A child has its own session,
environment, folder and output, and an interpreter that has run no line of the program yet.
"""

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

# What `python -m service` has imported once it serves; `service.__main__` itself runs in the child.
IMPORTED = ("service.app", "service.http.protocol", "uvicorn.lifespan.on", "uvicorn.loops.uvloop")
# The length of an order, and what is told of a child: its process id, then its status.
NUMBER = struct.Struct("!i")


@dataclass(frozen=True)
class Order:
    """What a child is to run: what follows `python`, and where; what it reads, and where what it
    prints goes."""

    program: list[str]
    environment: dict[str, str]
    folder: str
    input_path: str
    output_path: str
    errors_path: str

    def obey(self) -> None:
        """Be this program."""
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        self._redirect()
        match self.program:
            case ["-m", module, *arguments]:
                sys.path.insert(0, self.folder)
                sys.argv = [module, *arguments]
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            case [file, *arguments]:
                sys.path.insert(0, str(Path(file).parent))
                sys.argv = [file, *arguments]
                runpy.run_path(file, run_name="__main__")

    def _redirect(self) -> None:
        streams = [
            (sys.stdin, os.open(self.input_path, os.O_RDONLY)),
            (sys.stdout, os.open(self.output_path, os.O_WRONLY)),
            (sys.stderr, os.open(self.errors_path, os.O_WRONLY | os.O_APPEND)),
        ]
        for stream, descriptor in streams:
            os.dup2(descriptor, stream.fileno())
            os.close(descriptor)


class ForkServer:
    """Forks, and tells how the children ended. `orders` ends with whoever sends them; so does the
    server, and the children with it."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._children: dict[int, socket.socket] = {}

    def serve(self) -> Order | None:
        """None in the server, when all is over; in a child its order, and no descriptor of the
        server's."""
        with ExitStack() as opened:
            opened.callback(self._close)
            selector = opened.enter_context(selectors.DefaultSelector())
            ended, wake = (opened.enter_context(end) for end in socket.socketpair())
            wake.setblocking(False)
            signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
            signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
            selector.register(self._orders, selectors.EVENT_READ)
            selector.register(ended, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if ended in ready:
                    ended.recv(4096)
                    self._tell_of_the_dead()
                if self._orders in ready:
                    order = self._next()
                    if order is None or self._fork() == 0:
                        return order

    def _next(self) -> Order | None:
        """The next order; what its child says is sent through the socket that comes with it."""
        length, descriptors, _, _ = socket.recv_fds(self._orders, NUMBER.size, 1)
        if not length:
            return None
        self._teller = socket.socket(fileno=descriptors[0])
        body = self._orders.recv(*NUMBER.unpack(length), socket.MSG_WAITALL)
        return Order(**json.loads(body))

    def _fork(self) -> int:
        pid = os.fork()
        if pid:
            self._children[pid] = self._teller
            return pid
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        with self._teller:
            self._teller.send(NUMBER.pack(os.getpid()))
        return 0

    def _tell_of_the_dead(self) -> None:
        for pid in list(self._children):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                with self._children.pop(pid) as teller, suppress(BrokenPipeError):
                    teller.send(NUMBER.pack(status))

    def _close(self) -> None:
        self._orders.close()
        for teller in self._children.values():
            teller.close()

    def end_children(self) -> None:
        """Nobody is there any more to end them."""
        for pid in self._children:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def main() -> None:
    """Serve whoever holds the other end of the socket."""
    for name in IMPORTED:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a child would have its locks, but not the thread"
    gc.freeze()
    server = ForkServer(socket.socket(fileno=int(sys.argv[1])))
    if order := server.serve():
        order.obey()
    else:
        server.end_children()


if __name__ == "__main__":
    main()
