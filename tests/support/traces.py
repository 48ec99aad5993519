"""Traces a test may not leave: whatever was sent, the service lives and lets go of all of it."""

from collections.abc import Callable
from typing import Any

import psutil
from camera import PASSWORD
from rig import SIGNING_KEY, Service, until

# A device that has hung up, or is hung up on after its refusal, is gone long before.
LET_GO_SECONDS = 8.0


def leaves_no_trace(service: Service) -> None:
    """The service lives, lets go of every connection and file, and tells no secret."""
    assert service.is_running
    try:
        until(lambda: not held(service), "every connection and file is let go", LET_GO_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"{error}: {held(service, _told)}") from None
    for secret in (PASSWORD, SIGNING_KEY):
        assert secret not in service.output


def held(service: Service, tell: Callable[[Any], str] = str) -> list[str]:
    """Connections of devices and files of shots the service has open."""
    process = psutil.Process(service.pid)
    sockets = process.net_connections(kind="tcp")
    return [
        *(tell(s) for s in sockets if s.laddr.port == service.port and s.status != "LISTEN"),
        *(f.path for f in process.open_files() if f.path.startswith(str(service.media_root))),
    ]


def _told(connection: Any) -> str:
    """A connection's two ends: the state of each, and whose the other one is."""
    there = [
        f"{end.status} of {_command(end.pid) if end.pid else 'nobody'}"
        for end in psutil.net_connections("tcp")
        if (end.laddr, end.raddr) == (connection.raddr, connection.laddr)
    ]
    return f"{connection.raddr} {connection.status}, at its other end: {there or 'nothing'}"


def _command(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline()[:4])
    except psutil.NoSuchProcess:
        return f"process {pid}, which has ended"
