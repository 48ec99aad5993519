"""The OpenAI driver: what it sends, what it makes of every answer."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from email.parser import BytesParser
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import photos
import pytest
from pytest_httpx import HTTPXMock, IteratorStream
from rig import free_port

from service.config import ProviderAccount
from service.errors import (
    ContentBlocked,
    PayloadTooLarge,
    ProviderAuth,
    ProviderBadResponse,
    ProviderError,
    ProviderFailure,
    ProviderQuota,
    ProviderUnavailable,
)
from service.pictures.prepare import Photo
from service.providers.base import Order, Picture, PingResult, TemplateImage
from service.providers.http import MAX_ANSWER_BYTES, open_client
from service.providers.openai.driver import MAX_IMAGE_BYTES, edit, ping
from service.providers.openai.settings import DEFAULT_MODEL, Settings, faults

pytestmark = pytest.mark.anyio

BASE = "http://openai.example"
ACCOUNT = ProviderAccount(BASE, "sk-the-secret-key")
PROMPT = "Warm evening light."
FAR = 1e9
URL = f"{BASE}/v1/images/edits"
DRAWN = photos.jpeg(64, 48)
USAGE = {
    "total_tokens": 2000,
    "input_tokens": 400,
    "input_tokens_details": {"text_tokens": 100, "image_tokens": 300},
    "output_tokens": 1600,
    "output_tokens_details": {"image_tokens": 1500, "text_tokens": 100},
}
PAGE = "<html><h1>502 Bad Gateway</h1></html>"
TODAY = date(2026, 11, 24)


@pytest.fixture(scope="module")
async def client(anyio_backend: str) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(max_connections=4) as client:
        yield client


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    return photo_of(tmp_path / "photo", photos.jpeg())


def photo_of(path: Path, data: bytes, mime: str = "image/jpeg") -> Photo:
    path.write_bytes(data)
    return Photo(path, mime, 640, 480, len(data))


def order(
    photo: Photo, *templates: TemplateImage, operation: str = "image_edit", **settings: Any
) -> Order:
    typed = msgspec.convert({"prompt": PROMPT} | settings, Settings)
    return Order(operation, typed, photo, templates, FAR, link=lambda photo: photo.path.name)


def drawn(data: bytes = DRAWN, **more: Any) -> dict[str, Any]:
    return {"created": 1, "data": [{"b64_json": b64encode(data).decode()}], **more}


def error(code: str | None, kind: str = "invalid_request_error", **more: Any) -> dict[str, Any]:
    told = {"message": "No.", "type": kind, "param": None, "code": code, **more}
    return {"error": told}


def parts_of(request: httpx.Request) -> list[tuple[str, str | None, str, bytes]]:
    """Name, file name, type and content of every part of a form, in its order."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + request.content)
    assert message.is_multipart() and not message.defects
    return [
        (
            str(part.get_param("name", header="content-disposition")),
            part.get_filename(),
            str(part.get("content-type", "")),
            part.get_payload(decode=True),
        )
        for part in message.get_payload()
    ]


async def take(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock, **response: Any
) -> Picture:
    httpx_mock.add_response(url=URL, method="POST", **response)
    return await edit(client, ACCOUNT, order(photo))


async def fail(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock, **response: Any
) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as raised:
        await take(client, photo, httpx_mock, **response)
    return raised.value


async def test_it_sends_the_order_as_openai_wants_it(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    await take(client, photo, httpx_mock, json=drawn())

    [request] = httpx_mock.get_requests()
    assert request.headers["authorization"] == "Bearer sk-the-secret-key"
    assert int(request.headers["content-length"]) == len(request.content)
    assert "transfer-encoding" not in request.headers
    assert parts_of(request) == [
        ("prompt", None, "", f"Edit the photo. Image 1: the photo.\n\n{PROMPT}".encode()),
        ("model", None, "", DEFAULT_MODEL.encode()),
        ("size", None, "", b"auto"),
        ("quality", None, "", b"medium"),
        ("output_format", None, "", b"jpeg"),
        ("image", "photo.jpg", "image/jpeg", photos.jpeg()),
    ]


async def test_it_sends_everything_a_slot_can_set(
    client: httpx.AsyncClient, photo: Photo, tmp_path: Path, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json=drawn())
    style = TemplateImage("style", photo_of(tmp_path / "style", photos.png(), "image/png"))
    face = TemplateImage("face", photo_of(tmp_path / "face", photos.webp(), "image/webp"))
    settings = {
        "prompt": 'Day "one"\r\nдень 🖼 --\r\n--x; name="model"',
        "model": "gpt-image-2.6-sunburst",
        "size": "1536x864",
        "quality": "max",
        "complexity": "low",
        "input_fidelity": "high",
        "background": "transparent",
        "output_format": "webp",
        "output_compression": 0,
    }

    wanted = order(photo, face, style, operation="identity_transfer", **settings)
    await edit(client, ACCOUNT, wanted)

    [request] = httpx_mock.get_requests()
    *texts, first, second, third = parts_of(request)
    guidance = "Give the person in the photo the given face. Image 1: the photo. Image 2: the face."
    assert {name: value.decode() for name, _, _, value in texts} == {
        **{name: str(value) for name, value in settings.items()},
        "prompt": f"{guidance} Image 3: the style.\n\n{settings['prompt']}",
    }
    assert first == ("image[]", "photo.jpg", "image/jpeg", photos.jpeg())
    assert second == ("image[]", "face.webp", "image/webp", photos.webp())
    assert third == ("image[]", "style.png", "image/png", photos.png())


async def test_a_photo_that_openai_would_refuse_is_not_sent(
    client: httpx.AsyncClient, tmp_path: Path, httpx_mock: HTTPXMock
) -> None:
    huge = Photo(tmp_path / "none", "image/jpeg", 9000, 9000, MAX_IMAGE_BYTES)

    with pytest.raises(PayloadTooLarge, match="max_side_px"):
        await edit(client, ACCOUNT, order(huge))

    assert httpx_mock.get_requests() == []


async def test_it_gives_picture_model_usage_and_estimated_price(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    told = drawn(usage=USAGE, size="1024x1024", new={"thing": 1})

    picture = await take(client, photo, httpx_mock, json=told)

    dollars = 100 * 5e-6 + 300 * 8e-6 + 1500 * 30e-6
    assert picture == Picture(
        DRAWN, DEFAULT_MODEL, USAGE, tokens=2000, cost_microusd=round(dollars * 1e6)
    )


async def test_an_answer_without_a_picture_tells_what_it_cost(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    with pytest.raises(ProviderBadResponse) as raised:
        await take(client, photo, httpx_mock, json={"data": [], "usage": USAGE})

    dollars = 100 * 5e-6 + 300 * 8e-6 + 1500 * 30e-6
    assert (raised.value.usage, raised.value.tokens) == (USAGE, 2000)
    assert raised.value.cost_microusd == round(dollars * 1e6)


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("gpt-image-2.5-flare-2026-09-08", 100 * 5e-6 + 300 * 8e-6 + 1500 * 30e-6),
        ("gpt-image-1.5", 100 * 5e-6 + 300 * 8e-6 + 1500 * 32e-6 + 100 * 10e-6),
        ("gpt-image-1-mini", 100 * 2e-6 + 300 * 2.5e-6 + 1500 * 8e-6),
        ("gpt-image-9", None),
    ],
)
async def test_each_model_has_its_price(
    client: httpx.AsyncClient,
    photo: Photo,
    httpx_mock: HTTPXMock,
    model: str,
    dollars: float | None,
) -> None:
    httpx_mock.add_response(json=drawn(usage=USAGE))

    picture = await edit(client, ACCOUNT, order(photo, model=model))

    assert picture.cost_microusd == (None if dollars is None else round(dollars * 1e6))


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (None, None),
        ({}, None),
        ({"total_tokens": "many", "input_tokens_details": None, "output_tokens": -1}, None),
        ({"output_tokens": True}, None),
        ({"output_tokens": 100}, 3000),
        ({"output_tokens": 100, "input_tokens_details": {"text_tokens": 10}}, 3050),
        ({"output_tokens": 100, "output_tokens_details": {"text_tokens": 500}}, 0),
    ],
)
async def test_any_figure_may_be_missing(
    client: httpx.AsyncClient,
    photo: Photo,
    httpx_mock: HTTPXMock,
    usage: dict[str, Any] | None,
    cost: int | None,
) -> None:
    picture = await take(client, photo, httpx_mock, json=drawn(usage=usage))

    assert (picture.data, picture.tokens, picture.cost_microusd) == (DRAWN, None, cost)


BLOCKED = {"moderation_stage": "input", "categories": ["sexual"]}
MONEY = [
    *("insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded"),
    *("project_spend_limit_exceeded", "organization_usage_limit_exceeded"),
    *("billing_hard_limit_reached", "billing_not_active"),
]
USER_ERROR = "image_generation_user_error"
REFUSALS: list[tuple[int, dict[str, Any], type[ProviderFailure], int]] = [
    (
        *(400, error("moderation_blocked", USER_ERROR, moderation_details=BLOCKED)),
        *(ContentBlocked, 0),
    ),
    (400, error("moderation_blocked", USER_ERROR), ContentBlocked, 0),
    (400, error("moderation_blocked", moderation_details="sexual"), ContentBlocked, 0),
    (400, error("moderation_blocked", moderation_details={"categories": 7}), ContentBlocked, 0),
    (400, error("content_policy_violation"), ContentBlocked, 0),
    (400, error("image_content_policy_violation"), ContentBlocked, 0),
    *((429, error(code, "insufficient_quota"), ProviderQuota, 0) for code in MONEY),
    *((400, error(code), ProviderQuota, 0) for code in MONEY),
    (429, error(None, "insufficient_quota"), ProviderQuota, 0),
    (429, error("rate_limit_exceeded", "requests"), ProviderQuota, 1),
    (429, error("rate_limit_exceeded", "tokens"), ProviderQuota, 1),
    (429, error("slow_down", "rate_limit_error"), ProviderQuota, 1),
    (400, error("unsupported_file_mimetype"), ProviderError, 0),
    (400, error("invalid_input_fidelity_model"), ProviderError, 0),
    (400, error("unknown_parameter", param="x"), ProviderError, 0),
    (401, error("invalid_api_key"), ProviderAuth, 0),
    (401, error(None), ProviderAuth, 0),
    (403, error("unsupported_country_region_territory", "request_forbidden"), ProviderAuth, 0),
    (403, error(None, message="Your organization must be verified"), ProviderAuth, 0),
    (403, error("unsupported_model"), ProviderAuth, 0),
    (404, error("model_not_found"), ProviderError, 0),
    (413, error(None), ProviderError, 0),
    (404, {"error": {"message": "a proxy's", "type": None, "code": 404}}, ProviderError, 0),
    (422, error(None), ProviderError, 0),
    (408, error(None), ProviderUnavailable, 1),
    (409, error(None), ProviderUnavailable, 1),
    (500, error(None, "server_error"), ProviderUnavailable, 1),
    (503, error("server_is_overloaded", "service_unavailable_error"), ProviderUnavailable, 1),
]


@pytest.mark.parametrize(("status", "body", "kind", "repeats"), REFUSALS)
async def test_every_refusal_has_its_reason_and_its_repeats(
    client: httpx.AsyncClient,
    photo: Photo,
    httpx_mock: HTTPXMock,
    status: int,
    body: dict[str, Any],
    kind: type[ProviderFailure],
    repeats: int,
) -> None:
    failure = await fail(client, photo, httpx_mock, status_code=status, json=body)

    assert (type(failure), failure.repeats) == (kind, repeats)
    assert failure.maybe_billed is (status == 408)
    assert f"HTTP {status}" in (failure.private or "")
    assert str(body["error"]["code"] or body["error"]["type"]) in (failure.private or "")
    assert "sk-the" not in (failure.private or "")


@pytest.mark.parametrize("body", [PAGE, "", "null", "[]", '{"error": "text"}', '{"error": {}}'])
@pytest.mark.parametrize(
    ("status", "kind", "repeats"),
    [
        *((status, ProviderUnavailable, 1) for status in (500, 502, 503, 504, 520)),
        *((401, ProviderAuth, 0), (403, ProviderAuth, 0), (429, ProviderQuota, 1)),
        *((400, ProviderError, 0), (404, ProviderError, 0), (413, ProviderError, 0)),
        (302, ProviderBadResponse, 0),
    ],
)
async def test_a_proxys_page_is_told_by_its_status(
    client: httpx.AsyncClient,
    photo: Photo,
    httpx_mock: HTTPXMock,
    status: int,
    kind: type[ProviderFailure],
    repeats: int,
    body: str,
) -> None:
    failure = await fail(client, photo, httpx_mock, status_code=status, html=body)

    assert (type(failure), failure.repeats) == (kind, repeats)
    assert failure.maybe_billed is (status == 504)


@pytest.mark.parametrize(
    ("stage", "billed"), [("input", False), ("output", True), ("unknown", True)]
)
async def test_what_was_drawn_before_it_was_blocked_may_be_billed(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock, stage: str, billed: bool
) -> None:
    details = {"moderation_stage": stage, "categories": ["sexual", "violence"]}
    body = error("moderation_blocked", USER_ERROR, moderation_details=details)

    failure = await fail(client, photo, httpx_mock, status_code=400, json=body)

    assert failure.maybe_billed is billed
    assert f"{stage} | sexual, violence" in (failure.private or "")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250.5", "retry-after": "7"}, 0.2505),
        ({"retry-after": "30"}, 30),
        ({"retry-after": "0"}, 0),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Tue, 99 Nov 2026 05:00:00 GMT"}, None),
        ({"retry-after": "Tue, 24 Nov 2020 05:00:00 GMT"}, 0),
        ({}, None),
    ],
)
async def test_it_hears_how_long_to_wait(
    client: httpx.AsyncClient,
    photo: Photo,
    httpx_mock: HTTPXMock,
    headers: dict[str, str],
    seconds: float | None,
) -> None:
    body = error("rate_limit_exceeded")

    failure = await fail(client, photo, httpx_mock, status_code=429, json=body, headers=headers)

    assert (failure.repeats, failure.wait_seconds) == (1, seconds)


async def test_a_wait_may_be_a_date(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)

    failure = await fail(
        client, photo, httpx_mock, status_code=503, json={}, headers={"retry-after": later}
    )

    assert failure.wait_seconds is not None
    assert 50 < failure.wait_seconds <= 60


@pytest.mark.parametrize(
    ("status", "code", "said", "repeats"),
    [
        (429, "rate_limit_exceeded", "false", 0),
        (503, "server_is_overloaded", "false", 0),
        (400, "unknown", "true", 1),
        (503, "server_is_overloaded", "true", 1),
        (429, "credit_balance_exhausted", "true", 0),
        (400, "moderation_blocked", "true", 0),
        (401, "invalid_api_key", "true", 0),
        (429, "rate_limit_exceeded", "perhaps", 1),
    ],
)
async def test_what_openai_says_of_repeating_is_obeyed_unless_it_is_in_vain(
    client: httpx.AsyncClient,
    photo: Photo,
    httpx_mock: HTTPXMock,
    status: int,
    code: str,
    said: str,
    repeats: int,
) -> None:
    headers = {"x-should-retry": said}

    failure = await fail(
        client, photo, httpx_mock, status_code=status, json=error(code), headers=headers
    )

    assert failure.repeats == repeats


async def test_an_admin_reads_openais_words_and_the_number_of_the_request(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    body = error("unknown_parameter", message="Unknown parameter: 'x'. " + "y" * 1000)

    failure = await fail(
        client, photo, httpx_mock, status_code=400, json=body, headers={"x-request-id": "req_7"}
    )

    assert "req_7" in (failure.private or "")
    assert "Unknown parameter: 'x'." in (failure.private or "")
    assert len(failure.private or "") <= 300
    assert "Unknown parameter" not in str(failure.body())


async def test_the_part_of_a_key_that_openai_repeats_is_not_kept(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    body = error("invalid_api_key", message="Incorrect API key provided: sk-th***key.")

    failure = await fail(client, photo, httpx_mock, status_code=401, json=body)

    assert failure.private == "HTTP 401 | invalid_api_key"


WHOLE = json.dumps(drawn())


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize(
    "body",
    [
        *(PAGE, "", "null", "[]", "{}", '"text"', WHOLE[:-10], WHOLE + "x", '{"data": null}'),
        *('{"data": []}', '{"data": {}}', '{"data": [{}]}', '{"data": [{"b64_json": null}]}'),
        *('{"data": [{"b64_json": 12}]}', '{"data": [{"b64_json": ""}]}'),
        '{"data": [{"b64_json": "iVBO*** not base64"}]}',
        '{"data": [{"url": "https://files.example/x.png"}]}',
    ],
)
async def test_a_good_status_without_a_picture_is_a_bad_response(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock, body: str, status: int
) -> None:
    failure = await fail(client, photo, httpx_mock, status_code=status, text=body)

    assert type(failure) is ProviderBadResponse
    assert (failure.repeats, failure.maybe_billed) == (1, True)


async def test_a_redirect_is_not_followed(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    headers = {"Location": "http://169.254.169.254/latest/meta-data/"}

    failure = await fail(client, photo, httpx_mock, status_code=307, headers=headers)

    assert type(failure) is ProviderBadResponse
    assert len(httpx_mock.get_requests()) == 1


async def test_an_endless_answer_is_read_up_to_the_cap(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    block = b"A" * 1024**2
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += len(block)
            yield block

    failure = await fail(client, photo, httpx_mock, stream=IteratorStream(endless()))

    assert type(failure) is ProviderBadResponse
    assert sent <= MAX_ANSWER_BYTES + 2 * len(block)


@pytest.mark.parametrize(
    ("lost", "repeats", "billed"),
    [
        (httpx.ConnectError("refused"), 2, False),
        (httpx.ConnectTimeout("slow"), 1, False),
        (httpx.ReadError("reset"), 0, True),
        (httpx.RemoteProtocolError("closed"), 0, True),
    ],
)
async def test_only_what_was_not_sent_is_surely_free(
    client: httpx.AsyncClient,
    photo: Photo,
    httpx_mock: HTTPXMock,
    lost: httpx.HTTPError,
    repeats: int,
    billed: bool,
) -> None:
    httpx_mock.add_exception(lost)

    with pytest.raises(ProviderUnavailable) as raised:
        await edit(client, ACCOUNT, order(photo))

    assert (raised.value.repeats, raised.value.maybe_billed) == (repeats, billed)


async def test_nobody_listens(client: httpx.AsyncClient, photo: Photo) -> None:
    account = ProviderAccount(f"http://127.0.0.1:{free_port()}", "key")

    with pytest.raises(ProviderUnavailable):
        await edit(client, account, order(photo))
    assert (await ping(client, account, DEFAULT_MODEL)).reason == "provider_unavailable"


@pytest.mark.parametrize(
    ("response", "pulse"),
    [
        ({"json": {"id": "x", "object": "model", "shutdown_date": None}}, PingResult(True)),
        ({"json": {"id": "x"}}, PingResult(True)),
        (
            {"json": {"id": "x", "shutdown_date": "2026-12-01"}},
            PingResult(True, shutdown_date=date(2026, 12, 1)),
        ),
        (
            {"status_code": 404, "json": error("model_not_found", message="Gone.")},
            PingResult(False, "provider_error", details="HTTP 404 | model_not_found | Gone."),
        ),
        (
            {"status_code": 401, "json": error("invalid_api_key")},
            PingResult(False, "provider_auth", details="HTTP 401 | invalid_api_key"),
        ),
        (
            {"status_code": 429, "json": error("credit_balance_exhausted", message="Pay.")},
            PingResult(
                False, "provider_quota", details="HTTP 429 | credit_balance_exhausted | Pay."
            ),
        ),
    ],
)
async def test_a_ping_asks_for_the_model_and_its_last_day(
    client: httpx.AsyncClient, httpx_mock: HTTPXMock, response: dict[str, Any], pulse: PingResult
) -> None:
    httpx_mock.add_response(method="GET", url=f"{BASE}/v1/models/{DEFAULT_MODEL}", **response)

    assert await ping(client, ACCOUNT, DEFAULT_MODEL) == pulse

    [request] = httpx_mock.get_requests()
    assert request.headers["authorization"] == "Bearer sk-the-secret-key"


@pytest.mark.parametrize("response", [{"html": PAGE}, {"json": []}, {"text": ""}])
async def test_a_ping_is_not_content_with_anything(
    client: httpx.AsyncClient, httpx_mock: HTTPXMock, response: dict[str, Any]
) -> None:
    httpx_mock.add_response(**response)

    assert (await ping(client, ACCOUNT, DEFAULT_MODEL)).reason == "provider_bad_response"


@pytest.mark.parametrize(
    "settings",
    [
        *({"prompt": ""}, {"prompt": "x" * 31_001}, {"prompt": 1}, {"model": "../models"}),
        *({"model": ""}, {"size": "large"}, {"size": "0x0"}, {"size": "1024 x 1024"}),
        *({"quality": "standard"}, {"complexity": "max"}, {"input_fidelity": "medium"}),
        *({"background": "white"}, {"output_format": "gif"}, {"output_compression": 101}),
        *({"output_compression": -1}, {"moderation": "low"}, {"n": 2}, {"response_format": "url"}),
    ],
)
def test_settings_that_no_model_takes_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"prompt": "x"} | settings, Settings)


@pytest.mark.parametrize(
    ("settings", "field", "says"),
    [
        ({"model": "gpt-image-1"}, "model", "was shut down on 2026-10-23"),
        ({"model": "dall-e-3"}, "model", "was shut down on 2026-05-12"),
        ({"size": "1000x1000"}, "size", "divisible by 16"),
        ({"size": "3200x1024"}, "size", "1:3 to 3:1"),
        ({"size": "3856x2160"}, "size", "3840x2160"),
        ({"size": "2176x2176"}, "size", "3840x2160"),
        ({"model": "gpt-image-1.5", "size": "1536x864"}, "size", "1024x1536"),
        ({"model": "gpt-image-2", "quality": "xhigh"}, "quality", "low, medium and high"),
        ({"model": "gpt-image-1.5-2025-12-16", "quality": "max"}, "quality", "gpt-image-1.5-2025"),
        ({"model": "gpt-image-2.5-flare", "complexity": "low"}, "complexity", "no complexity"),
        ({"input_fidelity": "low"}, "input_fidelity", "takes none"),
        ({"model": "gpt-image-1-mini", "input_fidelity": "high"}, "input_fidelity", "takes low"),
        ({"background": "transparent"}, "background", "transparent"),
        ({"output_format": "png", "output_compression": 9}, "output_compression", "PNG"),
    ],
)
def test_what_the_model_does_not_take_is_named(
    settings: dict[str, Any], field: str, says: str
) -> None:
    [found] = faults(msgspec.convert({"prompt": "x"} | settings, Settings), TODAY)

    assert found.path == f"settings.{field}"
    assert says in found.message


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"size": "3840x2160", "quality": "max", "complexity": "high"},
        {"size": "2160x3840", "model": "gpt-image-2-2026-04-21"},
        {"size": "1536x512"},
        {"model": "gpt-image-2.5-sunburst-2026-09-08", "quality": "xhigh"},
        {"model": "gpt-image-1.5", "input_fidelity": "high", "size": "1536x1024"},
        {"model": "gpt-image-9", "input_fidelity": "high", "complexity": "low", "quality": "max"},
        {"background": "transparent", "output_format": "webp", "output_compression": 50},
    ],
)
def test_what_the_model_takes_is_taken(settings: dict[str, Any]) -> None:
    assert [*faults(msgspec.convert({"prompt": "x"} | settings, Settings), TODAY)] == []


def test_a_model_is_taken_until_the_day_it_is_shut_down() -> None:
    settings = msgspec.convert({"prompt": "x", "model": "gpt-image-1.5"}, Settings)

    assert [*faults(settings, date(2026, 11, 30))] == []
    assert [fault.path for fault in faults(settings, date(2026, 12, 1))] == ["settings.model"]


def test_a_form_can_be_drawn_from_the_settings() -> None:
    schema = msgspec.json.schema(Settings)["$defs"]["Settings"]

    for field in schema["properties"].values():
        assert {"title", "description"} <= set(field)
