"""A driver that raises what nobody foresaw: a failure of its provider, told without its words."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import msgspec
import photos
import pytest

from service.config import ProviderAccount
from service.errors import PhotoslotError, ProviderBadResponse, ProviderFailure, StorageError
from service.monitoring.cached_check import CachedCheck
from service.pictures.prepare import Photo
from service.providers.attempts import Attempt, CallContext, edit
from service.providers.base import Order, Picture, PingResult, Plan, Provider, Ready, at_once
from service.providers.http import Body, open_client
from service.providers.ping import ping

pytestmark = pytest.mark.anyio

KEY = "a-secret-key"
ACCOUNT = ProviderAccount("http://provider.example", KEY)
UNFORESEEN: Mapping[str, Exception] = {
    "a type": TypeError(KEY),
    "a key": KeyError(KEY),
    "an overflow": OverflowError(KEY),
    "recursion": RecursionError(KEY),
    "unicode": UnicodeDecodeError("utf-8", KEY.encode(), 0, 1, KEY),
    "memory": MemoryError(KEY),
    "a time of its own": TimeoutError(KEY),
    "an index": IndexError(KEY),
}


def provider(error: Exception) -> Provider:
    """A driver that makes nothing of what it was sent."""

    async def fail(_client: httpx.AsyncClient, _account: ProviderAccount, _more: object) -> Any:
        raise error

    return Provider("strange", fail, fail, {}, frozenset({"image/jpeg"}), lambda _: "model-1")


async def call(
    driver: Provider, photo: Photo, seconds: float = 20
) -> tuple[PhotoslotError, list[Attempt], list[ProviderFailure]]:
    """How one plan fails, its attempts, and what the circuit breaker is told."""
    told: list[ProviderFailure] = []

    async def failed(_plan: Plan, failure: ProviderFailure, _seconds: float) -> None:
        told.append(failure)

    now, attempts = asyncio.get_running_loop().time(), list[Attempt]()
    plan = Plan(driver, ACCOUNT, "image_edit", msgspec.defstruct("Nothing", [])(), ())
    with ThreadPoolExecutor(1) as threads:
        async with open_client(1) as client:
            shared = (client, threads, lambda _: "", at_once, failed, lambda: True)
            context = CallContext(*shared, now, attempts)
            with pytest.raises(PhotoslotError) as raised:
                await edit(context, Ready(plan, photo, ()), now + seconds)
    return raised.value, attempts, told


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    data = photos.jpeg()
    (tmp_path / "photo").write_bytes(data)
    return Photo(tmp_path / "photo", "image/jpeg", 10, 10, len(data))


@pytest.mark.parametrize("name", UNFORESEEN)
async def test_whatever_a_driver_raises_is_a_failure_of_its_provider(
    name: str, photo: Photo, capsys: pytest.CaptureFixture[str]
) -> None:
    failure, [attempt], told = await call(provider(UNFORESEEN[name]), photo)

    assert isinstance(failure, ProviderBadResponse)
    assert told == [failure]
    assert (attempt.outcome, attempt.maybe_billed) == ("provider_bad_response", True)
    kind = type(UNFORESEEN[name]).__name__
    assert kind in (attempt.details or "")
    said = capsys.readouterr().out
    assert said.count("provider.unexpected") == 1
    assert kind in said and "test_unexpected.py:" in said
    assert KEY not in said + str(attempt)


async def test_a_ping_is_no_exception(capsys: pytest.CaptureFixture[str]) -> None:
    async with open_client(1) as client:
        result = await ping(client, provider(KeyError(KEY)), ACCOUNT, "model-1", 5)

    assert (result.ok, result.reason) == (False, "provider_bad_response")
    assert KEY not in capsys.readouterr().out + str(result)


async def test_a_ping_that_hangs_is_unavailable() -> None:
    async def hang(_client: httpx.AsyncClient, _account: ProviderAccount, _: str) -> PingResult:
        await asyncio.Event().wait()
        raise AssertionError

    async def never(_client: httpx.AsyncClient, _account: ProviderAccount, _: Order) -> Picture:
        raise AssertionError

    driver = Provider("slow", never, hang, {}, frozenset(), lambda _: "model-1")
    async with open_client(1) as client:
        result = await ping(client, driver, ACCOUNT, "model-1", 0.05)

    assert (result.ok, result.reason) == (False, "provider_unavailable")


async def test_a_photo_that_was_cut_is_our_fault_and_is_not_sent_to_its_end(photo: Photo) -> None:
    body = Body([photo.path])
    photo.path.write_bytes(photos.jpeg()[: photo.bytes // 2])

    with pytest.raises(StorageError) as raised:
        [block async for block in body]

    assert "too soon" in (raised.value.private or "")
    photo.path.unlink()
    with pytest.raises(StorageError):
        Body([photo.path])


async def test_a_look_that_raised_is_thrown_away(capsys: pytest.CaptureFixture[str]) -> None:
    answers = iter([ValueError("an odd answer"), None])

    async def look() -> str:
        if error := next(answers):
            raise error
        return "well"

    check = CachedCheck(look, fresh_seconds=0.0, silent="silent")

    assert await check.get() == "silent"
    assert await check.get() == "well"
    assert capsys.readouterr().out.count("] check.failed") == 1
