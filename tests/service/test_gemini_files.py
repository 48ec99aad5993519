"""Photos too large for one order go to Gemini's Files API and are deleted there again."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import photos
import pytest
from camera import Camera
from rig import Sandbox, until

from service.config import ProviderAccount
from service.errors import ProviderBadResponse, ProviderError, ProviderFailure, ProviderUnavailable
from service.pictures.prepare import Photo
from service.providers.base import Order, TemplateImage
from service.providers.gemini.driver import edit
from service.providers.gemini.files import _is_googles, too_large
from service.providers.gemini.settings import Settings
from service.providers.http import open_client

pytestmark = pytest.mark.anyio

FAR = 1e9
MEBIBYTE = 1024**2
# Two whole chunks and a rest.
LARGE = photos.jpeg() + bytes(17 * MEBIBYTE)
BASE = "https://generativelanguage.googleapis.com"


@pytest.fixture(scope="module")
async def client(anyio_backend: str) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(max_connections=4) as client:
        yield client


@pytest.fixture
def account(sandbox: Sandbox) -> ProviderAccount:
    return ProviderAccount(sandbox.url, "sandbox")


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """A large photo in a small style."""
    photo, style = tmp_path / "photo", tmp_path / "style"
    photo.write_bytes(LARGE)
    style.write_bytes(photos.png())
    used = TemplateImage("style", Photo(style, "image/png", 640, 480, len(photos.png())))
    large = Photo(photo, "image/jpeg", 640, 480, len(LARGE))
    return Order("style_transfer", Settings("Snow"), large, [used], FAR, lambda photo: "")


def actions(sandbox: Sandbox) -> list[str]:
    return [call["action"] for call in sandbox.calls(lookups="true")]


def is_deleted(sandbox: Sandbox) -> bool:
    """Whether the file was deleted, and was there to delete."""
    deletions = sandbox.calls(lookups="true", action="file_delete")
    return [call["status"] for call in deletions] == [200]


async def come(true: Callable[[], bool]) -> None:
    """Wait until something is true, the loop running on."""
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.02)


def test_a_photo_too_large_for_an_order_is_lent_and_taken_back(
    camera: Camera, sandbox: Sandbox, rows: Callable[..., Any], slot: Callable[..., None]
) -> None:
    slot("slot-001", max_side_px=0)

    answer = camera.shoot(LARGE)

    assert answer.status_code == 200, answer.text
    [call] = sandbox.calls(action="generate")
    assert call["parts"] == ["file", "text", "text"]
    [seen] = call["images"]
    assert seen["sha256"] == hashlib.sha256(LARGE).hexdigest()
    assert call["body_bytes"] < 2000
    [row] = rows("select attempts from job_history")
    assert [attempt["outcome"] for attempt in row["attempts"]] == ["ok"]
    until(lambda: is_deleted(sandbox), "the file is deleted")


async def test_it_goes_in_chunks_and_without_the_key(
    client: httpx.AsyncClient, account: ProviderAccount, order: Order, sandbox: Sandbox
) -> None:
    picture = await edit(client, account, order)

    assert picture.data
    start, *chunks = sandbox.calls(action="upload")
    assert [call["body_bytes"] for call in chunks] == [
        *(8 * MEBIBYTE, 8 * MEBIBYTE, len(LARGE) - 16 * MEBIBYTE)
    ]
    assert [call["headers"]["x-goog-upload-command"] for call in chunks] == [
        *("upload", "upload", "upload, finalize")
    ]
    assert [call["headers"]["x-goog-upload-offset"] for call in chunks] == [
        *("0", str(8 * MEBIBYTE), str(16 * MEBIBYTE))
    ]
    assert not any("x-goog-api-key" in call["headers"] for call in chunks)
    assert start["headers"]["x-goog-upload-header-content-length"] == str(len(LARGE))
    [call] = sandbox.calls(action="generate")
    assert call["parts"] == ["file", "image", "text", "text"]
    await come(lambda: is_deleted(sandbox))


async def test_it_waits_until_google_can_use_a_file(
    client: httpx.AsyncClient, account: ProviderAccount, order: Order, sandbox: Sandbox
) -> None:
    sandbox.dial(["file_processing"])

    assert (await edit(client, account, order)).data

    assert actions(sandbox).count("file") == 2
    assert actions(sandbox).index("generate") > actions(sandbox).index("file")
    await come(lambda: is_deleted(sandbox))


@pytest.mark.parametrize(
    ("outcome", "kind", "last"),
    [
        ("file_failed", ProviderError, "file"),
        ("file_elsewhere", ProviderBadResponse, "upload"),
        ("503", ProviderUnavailable, "upload"),
    ],
)
async def test_nothing_is_ordered_for_a_file_that_is_not_there(
    client: httpx.AsyncClient,
    account: ProviderAccount,
    order: Order,
    sandbox: Sandbox,
    outcome: str,
    kind: type[ProviderFailure],
    last: str,
) -> None:
    sandbox.dial([outcome])

    with pytest.raises(kind) as raised:
        await edit(client, account, order)

    assert not raised.value.maybe_billed
    await come(lambda: "file_delete" in actions(sandbox))
    assert [action for action in actions(sandbox) if action != "file_delete"][-1] == last


async def test_a_file_is_deleted_when_the_window_closes_on_its_order(
    client: httpx.AsyncClient, account: ProviderAccount, order: Order, sandbox: Sandbox
) -> None:
    sandbox.dial(["slow_headers"])
    running = asyncio.create_task(edit(client, account, order))
    await come(lambda: "generate" in actions(sandbox))

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    await come(lambda: is_deleted(sandbox))


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        (f"{BASE}/upload/v1beta/files?upload_id=1", True),
        ("https://storage.googleapis.com/x", True),
        ("http://storage.googleapis.com/x", False),
        ("https://storage.googleapis.com:8443/x", False),
        ("https://googleapis.com.example/x", False),
        ("https://evilgoogleapis.com/x", False),
        (f"https://user@{BASE.removeprefix('https://')}/x", False),
        ("http://169.254.169.254/x", False),
        ("//storage.googleapis.com/x", False),
        ("/upload/x", False),
        ("https://[/x", False),
        ("", False),
    ],
)
def test_photos_go_to_google_only(url: str, trusted: bool) -> None:
    assert _is_googles(url, BASE) is trusted


@pytest.mark.parametrize(
    ("sizes", "lent"),
    [
        ([14 * 10**6], []),
        ([15 * 10**6], [15 * 10**6]),
        ([5 * 10**6, 4 * 10**6, 5 * 10**6], []),
        ([9 * 10**6, 2 * 10**6, 8 * 10**6], [9 * 10**6]),
        ([20 * 10**6, 1, 16 * 10**6], [20 * 10**6, 16 * 10**6]),
    ],
)
def test_as_few_photos_as_can_be_are_lent(sizes: list[int], lent: list[int]) -> None:
    all_photos = [Photo(Path("x"), "image/jpeg", 1, 1, size) for size in sizes]

    assert [photo.bytes for photo in too_large(all_photos)] == lent
