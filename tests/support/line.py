"""The way to PostgreSQL, in our hands."""

import socket
import threading
from contextlib import suppress

from psycopg.conninfo import conninfo_to_dict


class Line:
    """A way to PostgreSQL over TCP that can be cut, made silent, forgotten, and mended."""

    def __init__(self, url: str) -> None:
        self._server = conninfo_to_dict(url)
        self._door = socket.create_server(("127.0.0.1", 0))
        self._port = self._door.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._forgotten: list[socket.socket] = []
        self._is_silent = False
        self._turn = threading.Lock()
        self._open_door()

    @property
    def url(self) -> str:
        """The DATABASE_URL of a service at the end of this line."""
        given = self._server
        account = f"{given['user']}:{given.get('password') or ''}"
        return f"postgresql://{account}@127.0.0.1:{self._port}/{given['dbname']}?sslmode=disable"

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        with self._turn:
            self._door.shutdown(socket.SHUT_RDWR)
            self._door.close()
        self._hang_up()
        for end in self._forgotten:
            _hang_up(end)

    def silence(self) -> None:
        """Swallow what is sent, over every connection there is and over new ones."""
        self._is_silent = True

    def forget(self) -> None:
        """Lose every connection there is in silence, as after a failover or by a firewall: the
        server sees its end, the client hears nothing any more. New ones work."""
        with self._turn:
            lost, self._ends = self._ends, []
        for near, far in zip(lost[::2], lost[1::2], strict=True):
            self._forgotten.append(near)
            _hang_up(far)

    def lose(self) -> None:
        """Like `forget`, and new connections are swallowed too."""
        self.silence()
        self.forget()

    def mend(self) -> None:
        """Work again, over new connections; what was forgotten stays so."""
        self._is_silent = False
        self._hang_up()
        if self._door.fileno() == -1:
            self._door = socket.create_server(("127.0.0.1", self._port))
            self._open_door()

    def _open_door(self) -> None:
        threading.Thread(target=self._take_calls, args=[self._door], daemon=True).start()

    def _take_calls(self, door: socket.socket) -> None:
        while near := self._next_call(door):
            far = self._call_server()
            with self._turn:
                if door.fileno() == -1:  # cut while this one was put through
                    near.close()
                    far.close()
                    return
                self._ends += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=[source, target], daemon=True).start()

    def _next_call(self, door: socket.socket) -> socket.socket | None:
        try:
            return door.accept()[0]
        except OSError:  # the line is cut
            return None

    def _call_server(self) -> socket.socket:
        host, port = str(self._server.get("host") or "127.0.0.1"), self._server.get("port") or 5432
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if not self._is_silent and source not in self._forgotten:
                    target.sendall(data)
            if target not in self._forgotten:
                target.shutdown(socket.SHUT_RDWR)
        except OSError:  # one of them hung up
            return

    def _hang_up(self) -> None:
        ends, self._ends = self._ends, []
        for end in ends:
            _hang_up(end)


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):  # it was not connected any more
        end.shutdown(socket.SHUT_RDWR)
    end.close()
