"""Throttle: how many failed tries are too many, per kind of door, and who counts as one sender."""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

# RFC 6177: a site has at least a /64 of its own, so one machine has 2^64 addresses to try from.
IPV6_PREFIX = 64
# RFC 6052, 2.1: how a translator in front of an IPv6-only host spells every IPv4 address.
NAT64 = ipaddress.ip_network("64:ff9b::/96")
REMEMBERED_ADDRESSES = 4096


@dataclass(frozen=True, slots=True)
class Throttle:
    """`tries` inside `window_seconds` shut a subject out for `block_seconds`."""

    tries: int
    window_seconds: float
    block_seconds: float


LOGIN = Throttle(tries=10, window_seconds=900, block_seconds=900)
LOGIN_ADDRESS = Throttle(tries=100, window_seconds=900, block_seconds=900)
# Over all addresses: from here on one try a minute, but for networks the account is known at.
LOGIN_ACCOUNT = Throttle(tries=100, window_seconds=3600, block_seconds=60)
INGEST = Throttle(tries=20, window_seconds=60, block_seconds=60)
GALLERY = Throttle(tries=240, window_seconds=60, block_seconds=60)
# After this what was counted under any of them is over, unless its subject is still shut out.
LONGEST_SECONDS = max(
    door.window_seconds for door in (LOGIN, LOGIN_ADDRESS, LOGIN_ACCOUNT, INGEST, GALLERY)
)


@lru_cache(REMEMBERED_ADDRESSES)
def network(address: str) -> str:
    """Sender: whom an address belongs to as far as counting goes, the same for every spelling: an
    IPv4 address itself, also one mapped or translated into IPv6 (RFC 4291, 2.5.5.2; RFC 6052), the
    /64 of any other IPv6 address without its zone, and what is no address as it stands. A port that
    a proxy left behind it is no part of it."""
    try:
        parsed = ipaddress.ip_address(_without_port(address.strip()))
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    number = int(parsed)
    if parsed.ipv4_mapped or ipaddress.IPv6Address(number) in NAT64:
        return str(ipaddress.IPv4Address(number & 0xFFFFFFFF))
    return str(ipaddress.ip_network((number, IPV6_PREFIX), strict=False))


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
