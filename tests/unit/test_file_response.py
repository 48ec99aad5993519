"""A file that goes while somebody asks for it."""

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.types import Message

from service.errors import ResultExpired, StorageError, TemplateNotFound
from service.http.file_response import FileAnswer
from service.storage.media import Media

CONTENT = os.urandom(300_000)
Range = list[tuple[bytes, bytes]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "picture.jpg"
    path.write_bytes(CONTENT)
    return path


async def send_while_it_goes(path: Path, headers: Range) -> tuple[int, bytes]:
    """The status and the body of an answer whose file is removed when its head goes out."""
    status, body = 0, b""

    async def send(message: Message) -> None:
        nonlocal status, body
        if message["type"] == "http.response.start":
            status = message["status"]
            path.unlink()
        else:
            body += message.get("body", b"")

    await FileAnswer(path)(scope(headers), receive, send)
    return status, body


def scope(headers: Range, media: Media | None = None) -> MutableMapping[str, Any]:
    asgi = {"version": "3.0", "spec_version": "2.4"}
    state = {"media": media or Media(Path())}
    return {"type": "http", "method": "GET", "headers": headers, "asgi": asgi, "state": state}


async def receive() -> Message:
    raise AssertionError("an answer reads nothing")


async def refuse(_message: Message) -> None:
    raise AssertionError("nothing is to be sent")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [([], (200, CONTENT)), ([(b"range", b"bytes=10-99999")], (206, CONTENT[10:100_000]))],
    ids=["whole", "a stretch"],
)
@pytest.mark.anyio
async def test_who_was_promised_a_file_gets_all_of_it(
    path: Path, headers: Range, expected: tuple[int, bytes]
) -> None:
    assert await send_while_it_goes(path, headers) == expected
    assert not path.exists()


@pytest.mark.parametrize("gone", [ResultExpired, TemplateNotFound])
@pytest.mark.anyio
async def test_a_file_that_is_gone_is_refused_before_anything_is_sent(
    path: Path, gone: type[ResultExpired] | type[TemplateNotFound]
) -> None:
    answer = FileAnswer(path, gone)
    path.unlink()
    with pytest.raises(gone):
        await answer(scope([]), receive, refuse)


@pytest.mark.anyio
async def test_a_file_whose_folder_is_not_there_is_not_gone(path: Path) -> None:
    answer = FileAnswer(path)
    path.unlink()
    with pytest.raises(StorageError, match="not the one of this database"):
        await answer(scope([], Media(path.parent, owner=uuid4())), receive, refuse)


@pytest.mark.anyio
async def test_a_file_that_cannot_be_read_is_an_error_of_the_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError):
        await FileAnswer(path)(scope([]), receive, refuse)


@pytest.mark.anyio
async def test_no_descriptor_is_left_behind(path: Path) -> None:
    before = os.listdir("/dev/fd")
    await send_while_it_goes(path, [])
    assert os.listdir("/dev/fd") == before
