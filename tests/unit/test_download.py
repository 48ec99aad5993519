"""A picture's address is a stranger's word: where it may lead, and who learns the key."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx
import pytest
from pytest_httpx import HTTPXMock

from service.errors import ProviderBadResponse, ProviderUnavailable
from service.providers.download import Home, download, is_public
from service.providers.http import open_client

pytestmark = pytest.mark.anyio

HOME = Home("https://www.turbotext.ru", "turbotext.ru", "the-secret-key")
TOKEN = "Bearer the-secret-key"
PUBLIC = "93.184.216.34"
PICTURE = b"\x89PNG and so on"

Names = dict[str, list[str]]
Resolve = Callable[[Names], Names]


@pytest.fixture(scope="module")
async def client(anyio_backend: str) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(max_connections=4) as client:
        yield client


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """`resolver(names)` makes these all the names there are; a literal address means itself.
    What was asked for is added under its name with a `?`."""

    def use(names: Names) -> Names:
        async def getaddrinfo(_loop: Any, host: str, port: int, **_: Any) -> list[Any]:
            names[f"?{host}"] = [*names.get(f"?{host}", []), host]
            addresses = names.get(host) or [literal(host)]
            kinds = [socket.AF_INET6 if ":" in one else socket.AF_INET for one in addresses]
            return [
                (kind, socket.SOCK_STREAM, 6, "", (address, port))
                for kind, address in zip(kinds, addresses, strict=True)
            ]

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
        return names

    return use


def literal(host: str) -> str:
    """An address as the resolver reads it, also in its odd spellings."""
    return host if ":" in host else socket.inet_ntoa(socket.inet_aton(host))


@pytest.mark.parametrize(
    "link",
    ["image/a.png", "/image/a.png", "https://www.turbotext.ru/image/a.png"],
)
async def test_a_picture_on_the_providers_own_server_is_fetched_with_the_key(
    client: httpx.AsyncClient, httpx_mock: HTTPXMock, link: str
) -> None:
    httpx_mock.add_response(url="https://www.turbotext.ru/image/a.png", content=PICTURE)

    answer = await download(client, link, HOME)

    assert answer.body == PICTURE
    [request] = httpx_mock.get_requests()
    assert request.headers["authorization"] == TOKEN


async def test_another_host_of_the_provider_is_reached_at_the_address_that_was_checked(
    client: httpx.AsyncClient, httpx_mock: HTTPXMock, resolver: Resolve
) -> None:
    names = resolver({"cdn.turbotext.ru": [PUBLIC]})
    httpx_mock.add_response(url=f"https://{PUBLIC}/a.png?b=1", content=PICTURE)

    await download(client, "https://cdn.turbotext.ru/a.png?b=1", HOME)

    [request] = httpx_mock.get_requests()
    assert request.headers["host"] == "cdn.turbotext.ru"
    assert request.extensions["sni_hostname"] == "cdn.turbotext.ru"
    assert request.headers["authorization"] == TOKEN
    assert request.headers["connection"] == "close"
    assert names["?cdn.turbotext.ru"] == ["cdn.turbotext.ru"]


async def test_the_next_address_of_a_name_is_tried_when_nobody_answers(
    client: httpx.AsyncClient, httpx_mock: HTTPXMock, resolver: Resolve
) -> None:
    resolver({"cdn.turbotext.ru": ["2606:2800:220:1::1", PUBLIC]})
    silent = "https://[2606:2800:220:1::1]/a.png"
    httpx_mock.add_exception(httpx.ConnectTimeout("nobody"), url=silent)
    httpx_mock.add_response(url=f"https://{PUBLIC}/a.png", content=PICTURE)

    assert (await download(client, "https://cdn.turbotext.ru/a.png", HOME)).body == PICTURE


async def test_a_redirect_may_lead_to_any_public_host_which_never_gets_the_key(
    client: httpx.AsyncClient, httpx_mock: HTTPXMock, resolver: Resolve
) -> None:
    resolver({"store.example": [PUBLIC]})
    moved = {"location": "https://store.example/a.png"}
    httpx_mock.add_response(302, headers=moved, url="https://www.turbotext.ru/a")
    httpx_mock.add_response(url=f"https://{PUBLIC}/a.png", content=PICTURE)

    assert (await download(client, "a", HOME)).body == PICTURE

    ours, theirs = httpx_mock.get_requests()
    assert ours.headers["authorization"] == TOKEN
    assert "authorization" not in theirs.headers
    assert theirs.headers["host"] == "store.example"


async def test_a_store_that_refuses_the_key_is_asked_without_it(
    client: httpx.AsyncClient, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(403)
    httpx_mock.add_response(content=PICTURE)

    assert (await download(client, "a.png", HOME)).body == PICTURE

    first, second = httpx_mock.get_requests()
    assert first.headers["authorization"] == TOKEN
    assert "authorization" not in second.headers


async def test_three_redirects_are_followed_and_no_more(
    client: httpx.AsyncClient, httpx_mock: HTTPXMock
) -> None:
    def hops(count: int) -> None:
        for number in range(count):
            moved = {"location": f"/hop{number + 1}"}
            httpx_mock.add_response(302, headers=moved, url=f"https://www.turbotext.ru/hop{number}")

    hops(3)
    httpx_mock.add_response(url="https://www.turbotext.ru/hop3", content=PICTURE)
    assert (await download(client, "hop0", HOME)).body == PICTURE

    hops(4)
    with pytest.raises(ProviderBadResponse, match="usable picture"):
        await download(client, "hop0", HOME)


LINKS = {
    "another host": "https://pictures.example/a.png",
    "a host that only begins alike": "https://turbotext.ru.evil.example/a.png",
    "a host that only ends alike": "https://notturbotext.ru/a.png",
    "plain http": "http://www.turbotext.ru/a.png",
    "no scheme": "//evil.example/a.png",
    "a file": "file:///etc/passwd",
    "ftp": "ftp://www.turbotext.ru/a.png",
    "javascript": "javascript:alert(1)",
    "somebody at a host": "https://www.turbotext.ru@evil.example/a.png",
    "a password": "https://a:b@www.turbotext.ru/a.png",
    "another port": "https://www.turbotext.ru:22/a.png",
    "a line end": "https://www.turbotext.ru/a\r\nX-Evil: 1",
    "a backslash": "https://www.turbotext.ru/\\evil.example/a.png",
    "a NUL": "https://www.turbotext.ru/\0",
    "loopback, short": "https://127.1/a.png",
    "loopback, in hexadecimal": "https://0x7f.1/a.png",
    "loopback, as a number": "https://2130706433/a.png",
    "the metadata of a cloud": "http://169.254.169.254/latest/meta-data/",
    "IPv4 in IPv6": "https://[::ffff:10.0.0.1]/a.png",
    "shared addresses": "https://100.64.0.1/a.png",
    "NAT64": "https://[64:ff9b::10.0.0.1]/a.png",
    "not an address": "https://[::1/a.png",
}


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
async def test_a_link_to_anywhere_else_is_refused_before_anybody_is_asked(
    client: httpx.AsyncClient, httpx_mock: HTTPXMock, resolver: Resolve, link: str
) -> None:
    names = resolver({})

    with pytest.raises(ProviderBadResponse) as caught:
        await download(client, link, HOME)

    assert (httpx_mock.get_requests(), names) == ([], {})
    assert "the-secret-key" not in str(caught.value.private)


INSIDE: Mapping[str, list[str]] = {
    "loopback": ["127.0.0.1"],
    "private": ["10.1.2.3"],
    "link local": ["169.254.169.254"],
    "shared": ["100.64.0.1"],
    "public and private": [PUBLIC, "192.168.0.1"],
    "IPv6 loopback": ["::1"],
    "unique local": ["fd00::1"],
    "mapped": ["::ffff:127.0.0.1"],
    "NAT64": ["64:ff9b::7f00:1"],
}


@pytest.mark.parametrize("addresses", INSIDE.values(), ids=INSIDE)
async def test_a_name_that_leads_inside_is_refused_before_connecting(
    client: httpx.AsyncClient,
    httpx_mock: HTTPXMock,
    resolver: Resolve,
    addresses: list[str],
) -> None:
    resolver({"cdn.turbotext.ru": addresses})

    with pytest.raises(ProviderBadResponse) as caught:
        await download(client, "https://cdn.turbotext.ru/a.png", HOME)

    assert httpx_mock.get_requests() == []
    assert "not a public address" in str(caught.value.private)


REDIRECTS = {
    "the metadata of a cloud": "http://169.254.169.254/latest/meta-data/",
    "the same by https": "https://169.254.169.254/",
    "loopback, short": "https://127.1/",
    "loopback, in hexadecimal": "https://0x7f.1/",
    "IPv4 in IPv6": "https://[::ffff:10.0.0.1]/",
    "plain http": "http://store.example/",
    "another port": "https://store.example:8443/",
    "a file": "file:///etc/passwd",
    "nowhere": "",
}


@pytest.mark.parametrize("target", REDIRECTS.values(), ids=REDIRECTS)
async def test_a_redirect_inside_is_not_followed(
    client: httpx.AsyncClient, httpx_mock: HTTPXMock, resolver: Resolve, target: str
) -> None:
    resolver({"store.example": [PUBLIC]})
    httpx_mock.add_response(302, headers={"location": target})

    with pytest.raises(ProviderBadResponse):
        await download(client, "a.png", HOME)

    assert len(httpx_mock.get_requests()) == 1


async def test_a_name_without_an_address_is_unavailable(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)

    with pytest.raises(ProviderUnavailable):
        await download(client, "https://cdn.turbotext.ru/a.png", HOME)


async def test_only_the_very_server_the_operator_named_may_be_anywhere(
    client: httpx.AsyncClient, httpx_mock: HTTPXMock, resolver: Resolve
) -> None:
    home = Home("http://127.0.0.1:8001", "turbotext.ru", "the-secret-key")
    httpx_mock.add_response(url="http://127.0.0.1:8001/a.png", content=PICTURE)
    resolver({})

    assert (await download(client, "a.png", home)).body == PICTURE
    for other in ("http://127.0.0.1:8002/a.png", "https://127.0.0.1/a.png"):
        with pytest.raises(ProviderBadResponse):
            await download(client, other, home)

    assert len(httpx_mock.get_requests()) == 1


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (PUBLIC, True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::8.8.8.8", True),
        ("::ffff:8.8.8.8", True),
        ("0.0.0.0", False),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::7f00:1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b:1::10.0.0.1", False),
        ("2002:0a00:0001::1", False),
        ("2001:0:0a00:1::1", False),
        ("2001:db8::1", False),
        ("fc00::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
    ],
)
def test_which_addresses_belong_to_the_internet_at_large(address: str, public: bool) -> None:
    assert is_public(address) is public
