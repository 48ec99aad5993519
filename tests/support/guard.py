"""Nothing in the tests' own process speaks to anybody but this machine.

An audit hook sees every connect, datagram and look-up of a name that Python makes, whatever library
asks for it, on a blocking socket or in asyncio's loop. Only a loop that does its own system calls,
as uvloop does, would pass it by: no test runs in one. The programs under test are told by their
settings whom to speak to.
"""

import ipaddress
import sys
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

CONNECTS = ("socket.connect", "socket.sendto", "socket.sendmsg")
LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname")


class StrangerError(AssertionError):
    """A test wanted to speak to somebody else."""


def install() -> None:
    """Checks this process until it ends."""
    sys.addaudithook(_refuse_strangers)


def _refuse_strangers(event: str, arguments: tuple[Any, ...]) -> None:
    if event in CONNECTS:
        connection, address = arguments
        if isinstance(address, tuple) and not _is_near(address[0]):
            # Who gets no OSError does not always close what it opened.
            connection.close()
            raise StrangerError(f"a test wanted to connect to {address[0]}")
    elif event in LOOK_UPS and not (_is_near(arguments[0]) or _literal(arguments[0])):
        raise StrangerError(f"a test wanted to look up {arguments[0]}")


def _is_near(host: Any) -> bool:
    """Whether it names this machine; None and nothing do."""
    found = _literal(host)
    return found.is_loopback if found else _text(host) in ("", "localhost")


def _literal(host: Any) -> Address | None:
    try:
        return ipaddress.ip_address(_text(host))
    except ValueError:
        return None


def _text(host: Any) -> str:
    return host.decode() if isinstance(host, bytes) else host or ""
