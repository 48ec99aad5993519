"""Download of a picture from an address that a provider named in its answer.

Such an address is a stranger's word: it may point into our own network, and whoever it points at
must not learn our key. So a name is resolved once, every address it has is checked, and the
connection goes to a checked address; asking the resolver again could give another one.
"""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import httpx

from service.errors import ProviderBadResponse, ProviderUnavailable
from service.providers.http import MAX_QUOTED, ProviderResponse, send

MAX_REDIRECTS = 3
MAX_ADDRESSES = 2
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")


@dataclass(frozen=True, slots=True)
class Home:
    """Where a provider's pictures may lie: on its configured `base_url`, or by https on `domain`
    and below. These hosts, and no others, get the `token`."""

    base_url: str
    domain: str
    token: str

    def is_base(self, url: httpx.URL) -> bool:
        """Whether this is the very server the operator named, which may be anywhere."""
        base = httpx.URL(self.base_url)
        return (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)

    def owns(self, url: httpx.URL) -> bool:
        """Whether the provider itself answers there."""
        host = url.host.rstrip(".")
        below = host == self.domain or host.endswith(f".{self.domain}")
        return self.is_base(url) or (below and _is_plain_https(url))


async def download(client: httpx.AsyncClient, link: str, home: Home) -> ProviderResponse:
    """GET a link, relative to the home's base or absolute, with at most MAX_REDIRECTS redirects.
    A redirect may lead to any public host by https.

    Raises `ProviderBadResponse` for an address that is refused, before anything connects to it,
    and `ProviderUnavailable`."""
    url = _parsed(httpx.URL(f"{home.base_url}/"), link)
    if not home.owns(url):
        raise _refused(url, "the picture lies on another host")
    for _ in range(MAX_REDIRECTS + 1):
        answer = await _get(client, url, home)
        if answer.status not in (301, 302, 303, 307, 308):
            return answer
        url = _parsed(url, answer.headers.get("location", ""))
    raise _refused(url, "too many redirects")


def _parsed(base: httpx.URL, link: str) -> httpx.URL:
    """The absolute address. Parsers disagree about control characters and backslashes: a link with
    one is refused."""
    quoted = repr(link[:MAX_QUOTED])
    if not link or "\\" in link or any(char <= " " or char == "\x7f" for char in link):
        raise ProviderBadResponse(private=f"not a link: {quoted}")
    try:
        url = base.join(link)
    except (httpx.InvalidURL, ValueError) as error:
        raise ProviderBadResponse(private=f"not a link: {quoted}") from error
    if not url.host or url.userinfo:
        raise ProviderBadResponse(private=f"not a link: {quoted}")
    return url


async def _get(client: httpx.AsyncClient, url: httpx.URL, home: Home) -> ProviderResponse:
    """With the token where it may go. A store behind the provider may refuse what it does not
    know, so once without it too."""
    if home.owns(url):
        answer = await _get_checked(client, url, home, {"Authorization": f"Bearer {home.token}"})
        if answer.status not in (401, 403):
            return answer
    return await _get_checked(client, url, home, {})


async def _get_checked(
    client: httpx.AsyncClient, url: httpx.URL, home: Home, headers: dict[str, str]
) -> ProviderResponse:
    if home.is_base(url):
        return await send(client, client.build_request("GET", url, headers=headers))
    if not _is_plain_https(url):
        raise _refused(url, "neither https nor an ordinary port")
    *others, last = await _public_addresses(url)
    for address in others:
        try:
            return await send(client, _pinned(client, url, address, headers))
        except ProviderUnavailable:
            continue
    return await send(client, _pinned(client, url, last, headers))


def _is_plain_https(url: httpx.URL) -> bool:
    return url.scheme == "https" and url.port in (None, 443)


async def _public_addresses(url: httpx.URL) -> list[str]:
    """The addresses of a name, all of them public. Odd spellings such as 127.1 or 0x7f.1 are
    understood by the resolver as they would be by a connect."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(url.host, 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ProviderUnavailable(private=f"{url.host} has no address: {error}") from error
    addresses = [str(one[4][0]) for one in found]
    if not addresses or not all(is_public(address) for address in addresses):
        raise _refused(url, f"not a public address: {', '.join(addresses)}")
    return addresses[:MAX_ADDRESSES]


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet at large: not to a private or special network,
    also not in one of the wrappings that IPv6 has for IPv4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    inner = _wrapped(ip) if isinstance(ip, IPv6Address) else None
    if isinstance(ip, IPv6Address) and inner is None and ip not in GLOBAL_UNICAST:
        return False
    ip = inner or ip
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _wrapped(ip: IPv6Address) -> IPv4Address | None:
    if ip in NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])


def _pinned(
    client: httpx.AsyncClient, url: httpx.URL, address: str, headers: dict[str, str]
) -> httpx.Request:
    """A request to this address under the link's own name, also inside TLS. The connection is not
    kept: another name on the same address would find it, with a certificate checked for this one.
    """
    return client.build_request(
        "GET",
        url.copy_with(host=address),
        headers={**headers, "Host": url.netloc.decode("ascii"), "Connection": "close"},
        extensions={"sni_hostname": url.host},
    )


def _refused(url: httpx.URL, why: str) -> ProviderBadResponse:
    return ProviderBadResponse(private=f"{why}: {url}"[:MAX_QUOTED])
