"""HTTP server of the sandbox, a uvicorn; it hands each request the transport below it."""

import asyncio

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SHUTDOWN_S = 1
# Longer than the service keeps an idle connection (5 s, httpx), as with every provider: nothing is
# sent into one that is just being closed.
KEEP_ALIVE_S = 75


class OpenProtocol(HttpToolsProtocol):
    """Puts the transport into `scope["state"]`: ASGI itself cannot reset a connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the transport for every request of this connection."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class Server(uvicorn.Server):
    """A server whose only word is one line once it can be reached."""

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Start, then name the address, with the port that was really taken."""
        await super().startup(sockets=None)
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            print(f"sandbox ready http://{self.config.host}:{port}", flush=True)


def run(app: Starlette, host: str, port: int) -> None:
    """Serve `app` until SIGINT or SIGTERM; calls still hanging then are cut after a second."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=OpenProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    Server(config).run()
