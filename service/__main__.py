"""Server process, `python -m service`. Every problem of the configuration at once, then exit 2;
a database or folder that cannot be used, exit 1."""

import asyncio
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import uvicorn

from service import config
from service.http.connections import MAX_CONNECTIONS
from service.http.protocol import PatientProtocol
from service.lifespan import find_problems

# A shot may take the longest window; what is slower than that is cut at shutdown.
SHUTDOWN_SECONDS = 65
KEEP_ALIVE_SECONDS = 30
RELOADED = ["service", "sql", "web"]


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    try:
        settings = config.from_environment()
    except config.ConfigError as error:
        sys.exit(_complain(str(error), 2))
    if problems := asyncio.run(find_problems(settings)):
        sys.exit(_complain("\n".join(problems), 1))
    _allow_descriptors()
    # uvicorn raises the signal again once all shots have ended: that is a stop as asked.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    with _counting_together(settings.processes):
        uvicorn.run(
            "service.app:app_from_environment",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.processes,
            loop="uvloop",
            http=PatientProtocol,
            ws="none",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            reload=settings.reload,
            reload_dirs=RELOADED if settings.reload else None,
            reload_includes=["*.py", "*.sql"] if settings.reload else None,
        )


def _allow_descriptors() -> None:
    """Room for MAX_CONNECTIONS, each with a file, where the system's soft limit is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


@contextmanager
def _counting_together(processes: int) -> Iterator[None]:
    """Several processes count for /metrics in files they share; each decides when it starts."""
    if processes == 1:
        yield
        return
    with TemporaryDirectory(prefix="photoslot-metrics-") as folder:
        config.share_metrics(folder)
        yield


def _complain(problems: str, code: int) -> int:
    sys.stderr.write(f"photoslot cannot start:\n{problems}\n")
    return code


if __name__ == "__main__":
    main()
