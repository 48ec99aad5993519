"""Connections: how many one sender and all together may have, and which one goes when there are too
many.

A connection costs a descriptor and some memory before anybody has shown anything. Over either
number the one goes that has waited longest without a request, of the network that has most.
"""

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Protocol

MAX_CONNECTIONS = 2000
MAX_CONNECTIONS_OF_NETWORK = 500


class Connection(Protocol):
    """What is asked of a connection: whose it is, whether that one speaks for many others, whether
    nobody waits for an answer on it, and since when (loop time)."""

    network: str
    speaks_for_many: bool
    idle_since: float

    @property
    def is_idle(self) -> bool: ...

    def give_up(self) -> None:
        """End it now."""


class Connections:
    """The open connections of a process."""

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._of_network: Counter[str] = Counter()

    def enter(self, newcomer: Connection) -> None:
        """Count one more; another one, or the newcomer, is given up where that is too many."""
        self._open.add(newcomer)
        self._of_network[newcomer.network] += 1
        theirs = self._of_network[newcomer.network]
        if theirs > MAX_CONNECTIONS_OF_NETWORK and not newcomer.speaks_for_many:
            self._give_up_one(newcomer.network, newcomer)
        elif len(self._open) > MAX_CONNECTIONS:
            busiest, _ = self._of_network.most_common(1)[0]
            self._give_up_one(busiest, newcomer)

    def leave(self, connection: Connection) -> None:
        """It has ended."""
        self._open.discard(connection)
        self._of_network[connection.network] -= 1
        if not self._of_network[connection.network]:
            del self._of_network[connection.network]

    def _give_up_one(self, of_network: str, newcomer: Connection) -> None:
        idle = [one for one in self._open if one.is_idle and one.network == of_network]
        min(idle or [newcomer], key=lambda one: one.idle_since).give_up()


def speaks_for_many(address: str, proxies: Iterable[str]) -> bool:
    """Whether this host or a trusted proxy is at an address; `*` is every address."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return found.is_loopback or any(one == "*" or _is_in(found, one) for one in proxies)


def _is_in(address: IPv4Address | IPv6Address, proxy: str) -> bool:
    try:
        return address in ip_network(proxy, strict=False)
    except ValueError:
        return False
