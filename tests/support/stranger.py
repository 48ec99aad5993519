"""A small web server that is nobody's under test: it shows files and remembers its visitors."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Stranger:
    """`files` maps paths to status, type and bytes; `visits` are the requests so far."""

    url: str = ""
    files: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    visits: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def show(self, path: str, data: bytes, mime: str = "image/jpeg", status: int = 200) -> str:
        """Put a file there; its address."""
        self.files[path] = (status, mime, data)
        return self.url + path


@contextmanager
def open_stranger() -> Iterator[Stranger]:
    """A stranger on a free port of this machine."""
    stranger = Stranger()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stranger.visits.append((self.command, self.path, dict(self.headers)))
            status, mime, data = stranger.files.get(self.path, (404, "text/plain", b"nothing"))
            self.send_response(status)
            self.send_header("Content-Type", mime)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """`visits` is the log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stranger.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield stranger
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
