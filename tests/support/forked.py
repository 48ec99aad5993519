"""Programs forked off a process that has imported the service already: see `fork_server`."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from fork_server import NUMBER, Order
from rig import ROOT, inherited

PROGRAM = ROOT / "tests" / "support" / "fork_server.py"


class Forked:
    """A forked program, handled as a `subprocess.Popen` is: the fork server waits for it and tells
    of its end."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        self.pid = self._read()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative after a signal; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended."""
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                self.returncode = os.waitstatus_to_exitcode(self._read())
            except (TimeoutError, BlockingIOError) as late:
                raise subprocess.TimeoutExpired([str(PROGRAM)], timeout or 0) from late
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it without asking."""
        self.send_signal(signal.SIGKILL)

    def _read(self) -> int:
        number = self._told.recv(NUMBER.size)
        assert number, "the fork server has ended"
        return int(*NUMBER.unpack(number))


class Forks:
    """The fork server of this process: it starts with the first order and ends with `stop`, or with
    the process."""

    def __init__(self, log_path: Path) -> None:
        self._log_path = log_path
        self._orders: socket.socket | None = None

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], log_path: Path, folder: Path
    ) -> Forked:
        """Start a program as `rig.spawn` does."""
        python, *program = command
        assert python == sys.executable, f"this is another interpreter: {python}"
        return self._fork(program, environment, folder, Path(os.devnull), log_path, log_path)

    def run(
        self, program: Sequence[str], environment: Mapping[str, str], text: str, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Run what follows `python` to its end, as `subprocess.run` does. Raises
        `TimeoutExpired`."""
        with TemporaryDirectory() as folder:
            given, output, errors = (Path(folder) / name for name in ("input", "output", "errors"))
            given.write_text(text)
            process = self._fork(program, environment, Path.cwd(), given, output, errors)
            try:
                code = process.wait(seconds)
            finally:
                process.kill()
            return subprocess.CompletedProcess(
                program, code, output.read_text(), errors.read_text()
            )

    def _fork(
        self,
        program: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        given: Path,
        output: Path,
        errors: Path,
    ) -> Forked:
        self._orders = self._orders or self._start_server()
        # Whoever has the program may read at once what it has said so far.
        for path in (output, errors):
            path.write_bytes(b"")
        order = Order(
            list(program), dict(environment), str(folder), str(given), str(output), str(errors)
        )
        body = json.dumps(asdict(order)).encode()
        told, teller = socket.socketpair()
        with teller:
            socket.send_fds(self._orders, [NUMBER.pack(len(body))], [teller.fileno()])
            self._orders.sendall(body)
        return Forked(told)

    def stop(self) -> None:
        """End it, and what it has forked."""
        if self._orders:
            self._orders.close()
            self._server.wait()

    def _start_server(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs, self._log_path.open("wb") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-P", PROGRAM, str(theirs.fileno())],
                cwd=ROOT,
                env=inherited(),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return ours
