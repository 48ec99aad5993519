"""Turbotext's driver: what it sends, and how it reads answers nobody has described well."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import msgspec
import photos
import pytest
from pytest_httpx import HTTPXMock
from rig import free_port

from service.config import ProviderAccount
from service.errors import (
    ContentBlocked,
    NotConfigured,
    ProviderAuth,
    ProviderBadResponse,
    ProviderError,
    ProviderFailure,
    ProviderQuota,
    ProviderTimeout,
    ProviderUnavailable,
)
from service.pictures.prepare import Photo
from service.providers import turbotext
from service.providers.base import Order, Picture, TemplateImage
from service.providers.http import open_client
from service.providers.turbotext import (
    PACE_SECONDS,
    POLL_SECONDS,
    PROVIDER,
    SLOW_POLL_SECONDS,
    edit,
    ping,
)

pytestmark = pytest.mark.anyio

BASE = "https://www.turbotext.ru"
ACCOUNT = ProviderAccount(BASE, "the-secret-key")
DRAWN = photos.png(64, 48)
# Longer than any of these orders takes; short enough for one that never ends to be noticed.
WINDOW_SECONDS = 8.0

QUEUED = {"success": True, "queueid": 481}
RECONNECT = {"action": "reconnect"}
DONE = {"success": True, "uploaded_image": "image/a.png"}
MINIMAL = {"image_edit": {"prompt": "Snow"}, "style_transfer": {}, "identity_transfer": {}}

Say = Callable[..., None]


@pytest.fixture(scope="module")
async def client(anyio_backend: str) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(max_connections=4) as client:
        yield client


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turbotext, "POLL_SECONDS", (0.0,))
    monkeypatch.setattr(turbotext, "SLOW_POLL_SECONDS", 0.0)
    monkeypatch.setattr(turbotext, "POLL_TIMEOUT_SECONDS", 0.05)


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    path = tmp_path / "photo.jpg"
    path.write_bytes(photos.jpeg())
    return Photo(path, "image/jpeg", 640, 480, path.stat().st_size)


def order(
    photo: Photo, operation: str = "image_edit", window: float = WINDOW_SECONDS, **settings: Any
) -> Order:
    deadline = asyncio.get_running_loop().time() + window
    kind = PROVIDER.operations[operation]
    typed = msgspec.convert(MINIMAL[operation] | settings, kind.settings)
    names = {role: photo.path.with_name(f"{role}.png") for role in kind.roles}
    used = [TemplateImage(r, Photo(path, "image/png", 9, 9, 9)) for r, path in names.items()]
    return Order(operation, typed, photo, used, deadline, link=lambda one: f"link-{one.path.name}")


@pytest.fixture
def say(httpx_mock: HTTPXMock) -> Say:
    """`say(answer, …)`: what the API answers, one after the other: JSON, a status, bytes or an
    error. The picture lies at image/a.png."""

    def answers(*given: Any) -> None:
        for one in given:
            match one:
                case Exception():
                    httpx_mock.add_exception(one, method="POST")
                case int():
                    httpx_mock.add_response(one, html="<h1>no</h1>", method="POST")
                case bytes():
                    httpx_mock.add_response(content=one, method="POST")
                case _:
                    httpx_mock.add_response(json=one, method="POST")

    return answers


@pytest.fixture
def picture(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(content=DRAWN, url=f"{BASE}/image/a.png")


def form_of(request: httpx.Request) -> dict[str, str]:
    assert request.method == "POST"
    assert request.headers["authorization"] == "Bearer the-secret-key"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert int(request.headers["content-length"]) == len(request.content)
    return dict(parse_qsl(request.content.decode("ascii"), strict_parsing=True))


FORMS = {
    "image_edit": (
        "generate_image2image",
        {"url": "link-photo.jpg", "content": "Снег & «лёд»"}
        | {"strength": "0", "scale": "12.5", "seed": "10000000000"}
        | {"negative_prompt": "hats", "original_language": "en"},
        {"prompt": "Снег & «лёд»", "strength": 0, "scale": 12.5, "seed": 10**10}
        | {"negative_prompt": "hats", "original_language": "en"},
    ),
    "style_transfer": (
        "mix_images",
        {"url_image_target": "link-photo.jpg", "url": "link-style.png", "content": "Oil"},
        {"prompt": "Oil"},
    ),
    "identity_transfer": (
        "deepfake_photo",
        {"url": "link-photo.jpg", "url_image_target": "link-face.png", "face_restore": "True"},
        {"face_restore": True},
    ),
}


@pytest.mark.parametrize("operation", FORMS)
async def test_each_picture_goes_into_the_field_of_its_role(
    client: httpx.AsyncClient,
    photo: Photo,
    say: Say,
    picture: None,
    httpx_mock: HTTPXMock,
    operation: str,
) -> None:
    method, fields, settings = FORMS[operation]
    say(QUEUED, DONE)

    drawn = await edit(client, ACCOUNT, order(photo, operation, **settings))

    create, poll, _ = httpx_mock.get_requests()
    assert str(create.url) == str(poll.url) == f"{BASE}/api_ai/{method}"
    assert form_of(create) == {"do": "create_queue", **fields}
    assert form_of(poll) == {"do": "get_result", "queueid": "481"}
    assert drawn == Picture(DRAWN, method, {})


async def test_what_a_slot_leaves_open_is_left_to_turbotext(
    client: httpx.AsyncClient, photo: Photo, say: Say, picture: None, httpx_mock: HTTPXMock
) -> None:
    words = " ".join(f"w{number}" for number in range(100))
    say(QUEUED, DONE)

    await edit(client, ACCOUNT, order(photo, negative_prompt=words))

    form = form_of(httpx_mock.get_requests()[0])
    assert form["negative_prompt"].split() == words.split()[:80]
    assert set(form) == {"do", "url", "content", "strength", "scale", "negative_prompt"} | {
        "original_language"
    }
    assert (form["strength"], form["scale"]) == ("40", "7.5")


async def test_a_slot_without_its_template_orders_nothing(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    lonely = order(photo, "style_transfer")

    with pytest.raises(NotConfigured):
        await edit(client, ACCOUNT, replace(lonely, templates=[]))

    assert httpx_mock.get_requests() == []


READ = {
    "after reconnects in any spelling": [
        RECONNECT,
        {"action": "RECONNECT", "success": False},
        {"action": "Reconnect", "success": False, "error": "limit"},
        DONE,
    ],
    "in data": [{"success": True, "data": {"uploaded_image": "image/a.png"}}],
    "in a list": [{"success": True, "data": {"image": ["image/a.png"]}}],
    "as text in data": [{"success": True, "data": {"image": "image/a.png"}}],
    "at the top in a list": [{"success": True, "image": ["image/a.png"]}],
    "in a list of one": [{"success": True, "uploaded_image": ["image/a.png"]}],
    "absolute": [{"success": True, "uploaded_image": f"{BASE}/image/a.png"}],
    "rooted": [{"success": True, "uploaded_image": "/image/a.png"}],
    "in the first place that has one": [
        {"success": True, "uploaded_image": "", "data": {"uploaded_image": [], "image": []}}
        | {"image": "image/a.png"}
    ],
    "without success": [{"uploaded_image": "image/a.png"}],
    "success as 1": [DONE | {"success": 1}],
    "success as text": [DONE | {"success": "1"}],
    "success as a word": [DONE | {"success": "True"}],
    "after a BOM": [b"\xef\xbb\xbf \r\n" + json.dumps(DONE).encode() + b"\n\n"],
    "not forbidden": [DONE | {"data": {"forbidden_content": "False"}}],
    "after nothing": [{"data": None}, DONE],
    "after two without a link": [{"success": True}, {"success": True, "data": []}, DONE],
    "after a busy server": [500, 502, 503, 504, 408, DONE],
    "after too many requests": [429, 429, DONE],
    "after a lost connection": [
        httpx.ReadError("gone"),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("?"),
        DONE,
    ],
}


@pytest.mark.parametrize("answers", READ.values(), ids=READ)
async def test_it_finds_the_picture(
    client: httpx.AsyncClient,
    photo: Photo,
    say: Say,
    picture: None,
    httpx_mock: HTTPXMock,
    answers: list[Any],
) -> None:
    say(QUEUED, *answers)

    assert (await edit(client, ACCOUNT, order(photo))).data == DRAWN

    forms = [form_of(r) for r in httpx_mock.get_requests() if r.method == "POST"]
    assert [form["do"] for form in forms] == ["create_queue"] + ["get_result"] * len(answers)


@pytest.mark.parametrize(
    ("queued", "queue_id"),
    [
        ({"success": True, "queueid": "0481"}, "0481"),
        ({"success": "true", "queue_id": 7}, "7"),
        ({"success": 1, "asyncid": "a-B_9"}, "a-B_9"),
        ({"queueid": 481}, "481"),
    ],
)
async def test_it_finds_the_queue_id(
    client: httpx.AsyncClient,
    photo: Photo,
    say: Say,
    picture: None,
    httpx_mock: HTTPXMock,
    queued: Any,
    queue_id: str,
) -> None:
    say(queued, DONE)

    await edit(client, ACCOUNT, order(photo))

    assert form_of(httpx_mock.get_requests()[1])["queueid"] == queue_id


async def test_what_is_left_of_the_account_is_noted(
    client: httpx.AsyncClient, photo: Photo, say: Say, picture: None
) -> None:
    say(QUEUED, DONE | {"limits": {"foto_limit": 41, "text_limit": "\0", "more": 1}})

    drawn = await edit(client, ACCOUNT, order(photo))

    assert drawn.usage == {"foto_limit": 41}


WORDS: dict[str, type[ProviderFailure]] = {
    "Исчерпан ЛИМИТ фото": ProviderQuota,
    "limit reached": ProviderQuota,
    "Только на тарифе VIP": ProviderQuota,
    "Недостаточно средств на балансе": ProviderQuota,
    "photo quota": ProviderQuota,
    "Неверный ключ": ProviderAuth,
    "Invalid TOKEN": ProviderAuth,
    "Ошибка авторизации": ProviderAuth,
    "auth failed": ProviderAuth,
    "Запрещённое содержимое": ContentBlocked,
    "forbidden content": ContentBlocked,
    "NSFW": ContentBlocked,
    "Изображение 18+": ContentBlocked,
    "Лицо не найдено": ProviderError,
    "face not found": ProviderError,
    "": ProviderError,
}


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("field", ["error", "message"])
@pytest.mark.parametrize("late", [False, True], ids=["when ordered", "when drawn"])
async def test_a_failure_is_told_by_its_words(
    client: httpx.AsyncClient, photo: Photo, say: Say, words: str, field: str, late: bool
) -> None:
    failed = {"success": False, field: words + "." * 400}
    say(*([QUEUED, failed] if late else [failed]))

    with pytest.raises(ProviderFailure) as caught:
        await edit(client, ACCOUNT, order(photo))

    failure = caught.value
    assert type(failure) is WORDS[words]
    assert words in str(failure.private) and len(str(failure.private)) < 350
    assert (failure.maybe_billed, failure.repeats) == (late, 0)


CREATE_FAILURES: dict[str, tuple[Any, type[ProviderFailure], int, bool]] = {
    "401": (401, ProviderAuth, 0, False),
    "403": (403, ProviderAuth, 0, False),
    "402": (402, ProviderQuota, 0, False),
    "429": (429, ProviderQuota, 0, False),
    "400": (400, ProviderError, 0, False),
    "404": (404, ProviderError, 0, False),
    "302": (302, ProviderBadResponse, 0, False),
    "500": (500, ProviderUnavailable, 1, False),
    "504": (504, ProviderUnavailable, 1, False),
    "refused": (httpx.ConnectError("no"), ProviderUnavailable, 2, False),
    "lost": (httpx.ReadError("gone"), ProviderUnavailable, 0, True),
    "HTML": (b"<html>", ProviderBadResponse, 0, True),
    "nothing": (b"", ProviderBadResponse, 0, True),
    "a list": ([], ProviderBadResponse, 0, True),
    "no queueid": ({"success": True}, ProviderBadResponse, 0, True),
    "queueid 0": ({"success": True, "queueid": 0}, ProviderBadResponse, 0, True),
    "queueid '0'": ({"success": True, "queueid": "0"}, ProviderBadResponse, 0, True),
    "queueid ''": ({"success": True, "queueid": ""}, ProviderBadResponse, 0, True),
    "queueid true": ({"success": True, "queueid": True}, ProviderBadResponse, 0, True),
    "queueid ../x": ({"success": True, "queueid": "../x"}, ProviderBadResponse, 0, True),
    "queueid {}": ({"success": True, "queueid": {"a": 1}}, ProviderBadResponse, 0, True),
}


@pytest.mark.parametrize("name", CREATE_FAILURES)
async def test_an_order_that_was_not_taken_says_whether_it_may_be_given_again(
    client: httpx.AsyncClient, photo: Photo, say: Say, httpx_mock: HTTPXMock, name: str
) -> None:
    answer, kind, repeats, maybe_billed = CREATE_FAILURES[name]
    say(answer)

    with pytest.raises(kind) as caught:
        await edit(client, ACCOUNT, order(photo))

    assert len(httpx_mock.get_requests()) == 1
    failure = caught.value
    assert (type(failure), failure.repeats, failure.maybe_billed) == (kind, repeats, maybe_billed)


POLL_FAILURES: dict[str, tuple[list[Any], type[ProviderFailure]]] = {
    "401": ([401], ProviderAuth),
    "402": ([402], ProviderQuota),
    "404": ([404], ProviderError),
    "302": ([302], ProviderBadResponse),
    "HTML": ([b"<html>"], ProviderBadResponse),
    "no link, three times": ([{"success": True}] * 3, ProviderBadResponse),
    "nothing, twice": ([{}] * 2, ProviderBadResponse),
    "forbidden": (
        [{"success": True, "data": {"forbidden_content": True}}],
        ContentBlocked,
    ),
    "forbidden, as text": (
        [DONE | {"data": {"forbidden_content": "True"}}],
        ContentBlocked,
    ),
    "a link elsewhere": (
        [{"success": True, "uploaded_image": "https://evil.example/a.png"}],
        ProviderBadResponse,
    ),
}


@pytest.mark.parametrize("name", POLL_FAILURES)
async def test_an_order_in_the_queue_may_be_billed_and_is_never_repeated(
    client: httpx.AsyncClient, photo: Photo, say: Say, httpx_mock: HTTPXMock, name: str
) -> None:
    answers, kind = POLL_FAILURES[name]
    say(QUEUED, *answers)

    with pytest.raises(kind) as caught:
        await edit(client, ACCOUNT, order(photo))

    assert len(httpx_mock.get_requests()) == 1 + len(answers)
    assert (caught.value.maybe_billed, caught.value.repeats) == (True, 0)


@pytest.mark.parametrize(
    ("first", "second", "ends"),
    [(404, 200, None), (410, 200, None), (500, 200, None), (404, 410, ProviderBadResponse)],
)
async def test_a_picture_that_is_gone_is_asked_for_once_more(
    client: httpx.AsyncClient,
    photo: Photo,
    say: Say,
    httpx_mock: HTTPXMock,
    first: int,
    second: int,
    ends: type[ProviderFailure] | None,
) -> None:
    say(QUEUED, DONE, DONE | {"uploaded_image": "image/b.png"})
    httpx_mock.add_response(first, url=f"{BASE}/image/a.png")
    httpx_mock.add_response(second, url=f"{BASE}/image/b.png", content=DRAWN)

    if ends is None:
        assert (await edit(client, ACCOUNT, order(photo))).data == DRAWN
    else:
        with pytest.raises(ends):
            await edit(client, ACCOUNT, order(photo))

    assert [request.method for request in httpx_mock.get_requests()] == [
        *("POST", "POST", "GET"),
        *("POST", "GET"),
    ]


@pytest.mark.parametrize(("status", "body"), [(200, b""), (418, b"x")])
async def test_an_answer_without_a_picture_is_not_asked_for_again(
    client: httpx.AsyncClient,
    photo: Photo,
    say: Say,
    httpx_mock: HTTPXMock,
    status: int,
    body: bytes,
) -> None:
    say(QUEUED, DONE)
    httpx_mock.add_response(status, content=body)

    with pytest.raises(ProviderBadResponse):
        await edit(client, ACCOUNT, order(photo))


async def test_a_question_that_hangs_is_asked_again(
    client: httpx.AsyncClient, photo: Photo, say: Say, picture: None, httpx_mock: HTTPXMock
) -> None:
    async def hang(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits that long")

    say(QUEUED)
    httpx_mock.add_callback(hang, method="POST")
    say(DONE)

    assert (await edit(client, ACCOUNT, order(photo))).data == DRAWN


@pytest.mark.parametrize(
    ("answer", "kind"), [(RECONNECT, ProviderTimeout), (500, ProviderUnavailable)]
)
async def test_it_gives_up_while_a_picture_could_still_be_fetched(
    client: httpx.AsyncClient,
    photo: Photo,
    say: Say,
    httpx_mock: HTTPXMock,
    monkeypatch: pytest.MonkeyPatch,
    answer: Any,
    kind: type[ProviderFailure],
) -> None:
    monkeypatch.setattr(turbotext, "POLL_SECONDS", (0.0, 0.2))
    say(QUEUED, answer)
    given = order(photo, window=turbotext.FETCH_SECONDS + 0.15)

    with pytest.raises(kind) as caught:
        await edit(client, ACCOUNT, given)

    assert asyncio.get_running_loop().time() < given.deadline - turbotext.FETCH_SECONDS
    assert (caught.value.maybe_billed, caught.value.repeats) == (True, 0)
    assert len(httpx_mock.get_requests()) == 2


async def test_questions_are_asked_in_growing_pauses_each_when_its_turn_has_come(
    client: httpx.AsyncClient,
    photo: Photo,
    say: Say,
    picture: None,
    httpx_mock: HTTPXMock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float | str] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def turn(api_key: str, pace: float) -> float:
        assert (api_key, pace) == (ACCOUNT.api_key, PACE_SECONDS)
        return 0.25

    given = replace(order(photo, window=60), pace=turn)
    monkeypatch.setattr(turbotext, "POLL_SECONDS", POLL_SECONDS)
    monkeypatch.setattr(turbotext, "SLOW_POLL_SECONDS", SLOW_POLL_SECONDS)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    say(QUEUED, RECONNECT, RECONNECT, RECONNECT, RECONNECT, 429, DONE)

    await edit(client, ACCOUNT, given)

    pauses = [2.0, 2.0, 3.0, 3.0, 3.0, 5.0]
    expected = [0.25] + [wait for pause in pauses for wait in (pause, 0.25)]
    assert [wait for wait in waits if wait] == expected


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (QUEUED, None),
        ({"success": False, "error": "Неверный ключ"}, "provider_auth"),
        (401, "provider_auth"),
        (503, "provider_unavailable"),
        ({"success": True}, "provider_bad_response"),
    ],
)
async def test_a_ping_orders_nothing_but_the_list_of_methods(
    client: httpx.AsyncClient, say: Say, httpx_mock: HTTPXMock, answer: Any, reason: str | None
) -> None:
    say(answer)

    pulse = await ping(client, ACCOUNT, "mix_images")

    assert (pulse.ok, pulse.reason) == (reason is None, reason)
    [request] = httpx_mock.get_requests()
    assert str(request.url) == f"{BASE}/api_ai/available_api"
    assert form_of(request) == {"do": "create_queue"}


async def test_a_ping_of_nobody_is_unavailable(client: httpx.AsyncClient) -> None:
    nobody = ProviderAccount(f"http://127.0.0.1:{free_port()}", "key")

    assert (await ping(client, nobody, "")).reason == "provider_unavailable"


@pytest.mark.parametrize(
    ("operation", "wrong"),
    [
        ("image_edit", {"prompt": ""}),
        ("image_edit", {"strength": 81}),
        ("image_edit", {"strength": -1}),
        ("image_edit", {"scale": 0.05}),
        ("image_edit", {"scale": 20.5}),
        ("image_edit", {"seed": 0}),
        ("image_edit", {"seed": 10**10 + 1}),
        ("image_edit", {"original_language": "Russian"}),
        ("style_transfer", {"strength": 40}),
        ("identity_transfer", {"face_restore": "yes"}),
        ("identity_transfer", {"prompt": "Snow"}),
    ],
)
def test_settings_have_their_ranges(operation: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(MINIMAL[operation] | wrong, PROVIDER.operations[operation].settings)


@pytest.mark.parametrize("operation", MINIMAL)
def test_every_setting_explains_itself(operation: str) -> None:
    schema = msgspec.json.schema(PROVIDER.operations[operation].settings)
    [(_, described)] = schema["$defs"].items()

    for name, field in described["properties"].items():
        told = field if "title" in field else field["anyOf"][0]
        assert told["title"] and told["description"], name
