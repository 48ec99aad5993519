import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive
from tables import Execute, Rows

from service.config import Config
from service.http import links
from service.queries.jobs import Stages
from service.queries.media import KeptFile
from service.shots import picture_response
from service.shots.picture_response import CHUNK_BYTES, PictureResponse
from service.shots.shot import ShotResult
from service.storage.database import Database

pytestmark = pytest.mark.anyio


JOB = UUID("3f0e8a52-5a4d-4c55-9d0c-4f6c1d2b7a10")
BASE = "https://photos.example"
CONFIG = cast(Config, SimpleNamespace(public_base_url=BASE, jwt_signing_keys=("k" * 32,)))
EXPIRES = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
PICTURE = b"0123456789abcdef" * 40_000
KEPT = KeptFile("results/3f/a.png", "image/png", len(PICTURE), b"\0" * 32, 800, 600, EXPIRES)
RESULT = ShotResult(
    *(JOB, PICTURE, "image/png", 800, 600, KEPT, Stages(upload=12), "gemini"), is_public=True
)


async def stays() -> Message:
    """A device that waits for its answer."""
    await asyncio.Event().wait()
    raise AssertionError("nobody ever hangs up")


async def leaves() -> Message:
    return {"type": "http.disconnect"}


def request_of(db: Database, accept: str | None = None, receive: Receive = stays) -> Request[Any]:
    headers = [] if accept is None else [(b"accept", accept.encode())]
    scope = {
        "type": "http",
        "method": "POST",
        "headers": headers,
        "line": {},
        "state": {"db": db, "config": CONFIG},
    }
    return Request(scope, receive)


@contextmanager
def answered(
    request: Request[Any], kept: KeptFile | None = KEPT
) -> Iterator[tuple[Response, picture_response.Device]]:
    with picture_response.watch(request) as device:
        yield picture_response.answer(request, replace(RESULT, kept=kept), device), device
        device.forget()


async def sent(response: Response, request: Request[Any]) -> list[Message]:
    """What goes over the wire, message by message."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)
        await asyncio.sleep(0)

    await response(request.scope, request.receive, send)
    return messages


def body_of(messages: list[Message]) -> bytes:
    return b"".join(message.get("body", b"") for message in messages[1:])


@pytest.fixture
def delivered(execute: Execute, rows: Rows) -> Callable[[], bool | None]:
    """A done job, and what its row says of its delivery."""
    execute(
        "insert into job_history (id, slot_id, slot_version, status, provider, operation,"
        " created_at, finished_at, client_address, delivered)"
        " values (%s, 'slot-001', 1, 'done', 'gemini', 'image_edit', now(), now(), '::1', true)",
        JOB,
    )

    def read() -> bool | None:
        found: bool | None = rows("select delivered from job_history")[0]["delivered"]
        return found

    return read


@pytest.mark.parametrize(
    "accept",
    [
        *(None, "", "*/*", "image/*", "image/jpeg", "text/html", "text/html, */*;q=0.8"),
        *("application/*", "image/png, application/json", "image/webp, application/json;q=0.9"),
        *("application/json, text/plain, */*", "application/json;q=0", "application/json, image/*"),
        *("application/json;q=0, */*", "application/json;q=0.9, image/jpeg"),
        *("application/jsonp", "application/problem+json", "text/plain; x=application/json", ",;"),
    ],
)
async def test_a_device_gets_the_picture(db: Database, accept: str | None) -> None:
    with answered(request_of(db, accept)) as (response, _):
        assert isinstance(response, PictureResponse)
        assert response.headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    "accept",
    [
        *("application/json", "Application/JSON; charset=utf-8", " application/json ;q=0.5"),
        *("application/json, */*;q=0.9", "text/html,application/json"),
        *("application/json, image/png", "image/webp;q=0.1, application/json"),
    ],
)
async def test_who_asks_for_json_gets_json(db: Database, accept: str) -> None:
    request = request_of(db, accept)
    with answered(request) as (response, _):
        told = json.loads(body_of(await sent(response, request)))

    assert response.headers["content-type"] == "application/json"
    assert told == {
        "job_id": str(JOB),
        "status": "done",
        "result_url": f"{BASE}/public/results/{JOB}",
        "page_url": links.owner_url(CONFIG, JOB),
        "expires_at": "2026-11-26T12:00:00Z",
        "mime": "image/png",
        "bytes": len(PICTURE),
        "width": 800,
        "height": 600,
    }


async def test_a_picture_that_was_not_kept_has_no_link(db: Database) -> None:
    request = request_of(db, "application/json")
    with answered(request, kept=None) as (response, _):
        told = json.loads(body_of(await sent(response, request)))

    assert (told["result_url"], told["page_url"], told["expires_at"]) == (None, None, None)


@pytest.mark.parametrize("accept", [None, "application/json"])
async def test_both_kinds_carry_the_same_headers(db: Database, accept: str | None) -> None:
    with answered(request_of(db, accept)) as (response, _):
        for name, value in {
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            "x-job-id": str(JOB),
            "link": f'<{BASE}/public/results/{JOB}>; rel="canonical"',
        }.items():
            assert response.headers[name] == value


async def test_the_picture_goes_out_in_blocks(
    db: Database, delivered: Callable[[], bool | None]
) -> None:
    request = request_of(db)
    with answered(request) as (response, _):
        messages = await sent(response, request)

    start, *blocks = messages
    assert start["status"] == 200
    assert (b"content-length", str(len(PICTURE)).encode()) in start["headers"]
    assert body_of(messages) == PICTURE
    assert max(len(block["body"]) for block in blocks if "body" in block) <= CHUNK_BYTES
    assert [block.get("more_body", False) for block in blocks] == [True] * 3 + [False]
    assert request.scope["line"]["delivered"] is True
    assert delivered() is True


async def test_a_device_that_has_gone_gets_nothing_and_that_is_noted(
    db: Database, delivered: Callable[[], bool | None]
) -> None:
    request = request_of(db, receive=leaves)
    with answered(request) as (response, device):
        await asyncio.sleep(0)
        assert not device.is_there()
        messages = await sent(response, request)

    assert body_of(messages) == b""
    assert request.scope["line"]["delivered"] is False
    assert delivered() is False


async def test_a_device_that_leaves_in_the_middle_is_noted(
    db: Database, delivered: Callable[[], bool | None]
) -> None:
    leave = asyncio.Event()

    async def leaves_later() -> Message:
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            leave.set()
        await asyncio.sleep(0.01)

    request = request_of(db, receive=leaves_later)
    with answered(request) as (response, _):
        await response(request.scope, request.receive, send)

    assert request.scope["line"]["delivered"] is False
    assert delivered() is False


async def test_a_device_that_reads_too_slowly_is_given_up(
    db: Database, delivered: Callable[[], bool | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_response, "SEND_TOTAL_SECONDS", 0.05)

    async def never(message: Message) -> None:
        await asyncio.Event().wait()

    request = request_of(db)
    with answered(request) as (response, _):
        await asyncio.wait_for(response(request.scope, request.receive, never), 5)

    assert delivered() is False


@pytest.mark.parametrize("accept", [None, "application/json"])
async def test_an_answer_that_was_sent_is_the_end_of_watching(
    db: Database, accept: str | None
) -> None:
    before = asyncio.all_tasks()
    request = request_of(db, accept)
    with picture_response.watch(request) as device:
        response = picture_response.answer(request, RESULT, device)

    await sent(response, request)
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before


async def test_an_error_is_the_end_of_watching(db: Database) -> None:
    before = asyncio.all_tasks()
    with pytest.raises(ZeroDivisionError):
        with picture_response.watch(request_of(db)):
            assert len(asyncio.all_tasks()) == len(before) + 1
            raise ZeroDivisionError
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("stages", "header"),
    [
        (Stages(), ""),
        (Stages(upload=0), "upload;dur=0"),
        (Stages(upload=12, queue=1, total=13), "upload;dur=12, queue;dur=1"),
        (
            Stages(12, 1, 200, 3, 216),
            "upload;dur=12, queue;dur=1, provider;dur=200, store;dur=3",
        ),
    ],
)
def test_server_timing_tells_the_stages_that_were_reached(stages: Stages, header: str) -> None:
    assert picture_response.server_timing(stages) == header


def test_a_result_has_one_public_address() -> None:
    assert links.result_url(BASE, JOB) == f"{BASE}/public/results/{JOB}"
