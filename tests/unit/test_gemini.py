import base64
import json
from collections.abc import AsyncIterator, Iterator
from datetime import date
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
    ProviderAuth,
    ProviderBadResponse,
    ProviderError,
    ProviderFailure,
    ProviderNoImage,
    ProviderQuota,
    ProviderTimeout,
    ProviderUnavailable,
)
from service.pictures.prepare import Photo
from service.providers.base import Order, Picture, TemplateImage
from service.providers.gemini.driver import PROVIDER, edit, ping
from service.providers.gemini.settings import DEFAULT_MODEL, Settings
from service.providers.http import MAX_ANSWER_BYTES, AsBase64, Body, open_client

pytestmark = pytest.mark.anyio

BASE = "http://gemini.example"
ACCOUNT = ProviderAccount(BASE, "the-secret-key")
PROMPT = "Warm evening light."
CATEGORIES = ["HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT"]
# Loop time no test reaches.
FAR = 1e9
URL = f"{BASE}/v1beta/models/{DEFAULT_MODEL}:generateContent"
DRAWN = photos.jpeg(64, 48)
OTHER = photos.jpeg(48, 64)
# Its base64 has both characters in which the two alphabets differ, and ends with padding.
TRICKY = b"\xfb\xff\xbf>?" * 5


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


def image(data: bytes = DRAWN, mime: str | None = "image/jpeg", **more: Any) -> dict[str, Any]:
    encoded = base64.b64encode(data).decode()
    return {"inlineData": {"mimeType": mime, "data": encoded}, **more}


def answer(*parts: Any, finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}
    return {"candidates": [candidate], **more}


def empty(finish: str | None, **candidate: Any) -> dict[str, Any]:
    return {"candidates": [{"finishReason": finish, **candidate}]}


def error(code: int, status: str, message: str = "no", *details: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": details}}


async def test_it_sends_the_order_as_gemini_wants_it(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json=answer(image()))

    await edit(client, ACCOUNT, order(photo))

    [request] = httpx_mock.get_requests()
    assert (request.method, str(request.url)) == ("POST", URL)
    assert request.headers["x-goog-api-key"] == "the-secret-key"
    assert request.headers["content-type"] == "application/json"
    assert int(request.headers["content-length"]) == len(request.content)
    assert "transfer-encoding" not in request.headers
    assert "authorization" not in request.headers
    guidance = "Edit the photo. Image 1: the photo. Answer with the finished image only."
    texts = [{"text": guidance}, {"text": PROMPT}]
    assert json.loads(request.content) == {
        "contents": [{"role": "user", "parts": [image(photos.jpeg()), *texts]}],
        "generationConfig": {"responseModalities": ["TEXT", "IMAGE"]},
        "safetySettings": [
            {"category": f"HARM_CATEGORY_{category}", "threshold": "BLOCK_ONLY_HIGH"}
            for category in CATEGORIES
        ],
    }


async def test_it_sends_everything_a_slot_can_set(
    client: httpx.AsyncClient, photo: Photo, tmp_path: Path, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json=answer(image()))
    wall = photo_of(tmp_path / "wall", photos.png(), "image/png")
    face = photo_of(tmp_path / "face", photos.webp(), "image/webp")
    prompt = 'Day "one"\n\\ день 🖼 \u2028 </script>'

    await edit(
        client,
        ACCOUNT,
        order(
            *(photo, TemplateImage("face", face), TemplateImage("background", wall)),
            operation="identity_transfer",
            prompt=prompt,
            model="gemini-3-pro-image",
            aspect_ratio="3:4",
            image_size="2K",
            safety_sexually_explicit="BLOCK_LOW_AND_ABOVE",
        ),
    )

    [request] = httpx_mock.get_requests()
    assert request.url.path == "/v1beta/models/gemini-3-pro-image:generateContent"
    sent = json.loads(request.content)
    guidance = (
        "Give the person in the photo the given face. Image 1: the photo. Image 2: the face. "
        "Image 3: the background. Answer with the finished image only."
    )
    assert sent["contents"][0]["parts"] == [
        image(photos.jpeg()),
        image(photos.webp(), "image/webp"),
        image(photos.png(), "image/png"),
        {"text": guidance},
        {"text": prompt},
    ]
    assert sent["generationConfig"] == {
        "responseModalities": ["TEXT", "IMAGE"],
        "imageConfig": {"aspectRatio": "3:4", "imageSize": "2K"},
    }
    assert [setting["threshold"] for setting in sent["safetySettings"]] == [
        *("BLOCK_ONLY_HIGH", "BLOCK_ONLY_HIGH", "BLOCK_LOW_AND_ABOVE", "BLOCK_ONLY_HIGH")
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 3 * 128 * 1024 - 1, 3 * 128 * 1024, 3 * 128 * 1024 + 1])
async def test_a_streamed_photo_is_the_base64_of_the_whole(size: int, tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(bytes(number % 251 for number in range(size)))
    body = Body([b"<", AsBase64(path), b">"])

    for _ in range(2):
        sent = b"".join([block async for block in body])
        assert sent == b"<" + base64.b64encode(path.read_bytes()) + b">"
        assert len(sent) == body.length


async def take(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock, **response: Any
) -> Picture:
    httpx_mock.add_response(url=URL, method="POST", **response)
    return await edit(client, ACCOUNT, order(photo))


async def test_it_gives_picture_model_and_usage(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    usage = {"promptTokenCount": 1133, "totalTokenCount": 2400, "new": {"thing": 1}}
    told = answer(image(), usageMetadata=usage, modelVersion="gemini-3", responseId="x", new=[1])

    picture = await take(client, photo, httpx_mock, json=told)

    assert picture == Picture(DRAWN, "gemini-3", usage, tokens=2400, cost_microusd=None)


async def test_a_picture_of_a_known_model_has_its_estimated_price(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    usage = {
        "promptTokenCount": 1000,
        "candidatesTokenCount": 1220,
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1120}],
        "thoughtsTokenCount": 200,
        "totalTokenCount": 2420,
    }
    told = answer(image(), usageMetadata=usage, modelVersion="gemini-3-pro-image")

    picture = await take(client, photo, httpx_mock, json=told)

    dollars = 1000 * 2e-6 + 1120 * 120e-6 + (100 + 200) * 12e-6
    assert picture.cost_microusd == round(dollars * 1e6)


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        ({"candidatesTokenCount": 1120}, 1120 * 30e-6),
        ({"candidatesTokenCount": 1120, "candidatesTokensDetails": None}, 1120 * 30e-6),
        ({"candidatesTokenCount": 0, "promptTokenCount": 1000}, 1000 * 1.5e-6),
        ({"promptTokenCount": 1000}, None),
        ({"candidatesTokenCount": "1120"}, None),
        ({}, None),
    ],
)
async def test_a_price_is_estimated_from_the_figures_there_are(
    client: httpx.AsyncClient,
    photo: Photo,
    httpx_mock: HTTPXMock,
    usage: dict[str, Any],
    dollars: float | None,
) -> None:
    picture = await take(client, photo, httpx_mock, json=answer(image(), usageMetadata=usage))

    assert picture.cost_microusd == (None if dollars is None else round(dollars * 1e6))


@pytest.mark.parametrize(
    ("told", "tokens", "dollars"),
    [
        ({"totalTokenCount": 1300, "promptTokenCount": 1000}, 1300, None),
        (
            {"totalTokenCount": 1300, "promptTokenCount": 1000, "candidatesTokenCount": 300},
            1300,
            1000 * 1.5e-6 + 300 * 7.5e-6,
        ),
        ({}, None, None),
    ],
)
async def test_an_answer_without_a_picture_tells_what_it_cost(
    client: httpx.AsyncClient,
    photo: Photo,
    httpx_mock: HTTPXMock,
    told: dict[str, Any],
    tokens: int | None,
    dollars: float | None,
) -> None:
    said = answer({"text": "A person, smiling."}, usageMetadata=told)

    with pytest.raises(ProviderNoImage) as raised:
        await take(client, photo, httpx_mock, json=said)

    assert (raised.value.usage, raised.value.tokens) == (told, tokens)
    assert raised.value.cost_microusd == (None if dollars is None else round(dollars * 1e6))


async def test_without_usage_and_model_it_names_what_was_ordered(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    picture = await take(client, photo, httpx_mock, json=answer(image()))

    assert (picture.model, picture.usage) == (DEFAULT_MODEL, {})


@pytest.mark.parametrize(
    "parts",
    [
        [image()],
        [{"text": "Here it is."}, image()],
        [image(), {"text": "Here it is."}],
        [image(OTHER), image(OTHER, thoughtSignature="c2ln"), image(thoughtSignature="c2ln")],
        [{"text": "hm", "thought": True}, image(OTHER, thought=True), image()],
        [image(), image(OTHER, thought=True)],
        [image(thought=False), {"inlineData": {"mimeType": "text/plain", "data": "eA=="}}],
        [image(OTHER), image(), {"inlineData": {"mimeType": "image/png", "data": "%%%"}}],
        [image(mime="image/png")],
        [image(), {}],
    ],
    ids=[
        *("alone", "after text", "before text", "drafts", "thoughts", "thought last"),
        *("text file last", "unreadable last", "wrong type", "empty part"),
    ],
)
async def test_the_last_picture_that_is_no_thought_is_the_one(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock, parts: list[Any]
) -> None:
    assert (await take(client, photo, httpx_mock, json=answer(*parts))).data == DRAWN


@pytest.mark.parametrize("finish", ["MAX_TOKENS", "OTHER", "IMAGE_SAFETY", "NEW_REASON", None])
async def test_a_picture_counts_whatever_the_finish_reason(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock, finish: str | None
) -> None:
    picture = await take(client, photo, httpx_mock, json=answer(image(), finish=finish))

    assert picture.data == DRAWN


STANDARD = base64.b64encode(TRICKY).decode()
SPELLINGS = {
    "standard": STANDARD,
    "URL-safe": STANDARD.replace("+", "-").replace("/", "_"),
    "escaped slash": STANDARD.replace("/", r"\/"),
    "slash by number": STANDARD.replace("/", r"\u002f"),
    "plus by number": STANDARD.replace("+", r"\u002B"),
    "equals by number": STANDARD.replace("=", r"\u003d"),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
async def test_base64_may_be_spelt_in_every_way_json_allows(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock, spelling: str
) -> None:
    body = json.dumps(answer(image(b"?")), separators=(",", ":")).replace("Pw==", spelling)

    assert (await take(client, photo, httpx_mock, text=body)).data == TRICKY


BLOCKED = [
    *("SAFETY", "IMAGE_SAFETY", "PROHIBITED_CONTENT", "IMAGE_PROHIBITED_CONTENT", "BLOCKLIST"),
    *("SPII", "RECITATION", "IMAGE_RECITATION", "ESCALATION", "LANGUAGE"),
]
CUT = [
    *("MAX_TOKENS", "CONTINUATION", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"),
    *("TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
]
EMPTY = ["NO_IMAGE", "STOP", "", "FINISH_REASON_UNSPECIFIED", None]
ODD = ["OTHER", "MALFORMED_RESPONSE", "MODEL_ARMOR", "SOMETHING_NEW"]
# Finish reason, what it is to us, how often the same order is worth another call.
REFUSED_REASONS: list[tuple[str | None, type[ProviderFailure], int]] = [
    *((reason, ContentBlocked, 0) for reason in BLOCKED),
    ("IMAGE_OTHER", ContentBlocked, 1),
    *((reason, ProviderBadResponse, 0) for reason in CUT),
    *((reason, ProviderError, 1) for reason in ODD),
    *((reason, ProviderNoImage, 2) for reason in EMPTY),
    ("PUP_LIMITED_DISABLED", ProviderAuth, 0),
]
NOTHING: dict[str, dict[str, Any]] = {
    "no content": {},
    "null content": {"content": None},
    "empty content": {"content": {}},
    "role only": {"content": {"role": "model"}},
    "null parts": {"content": {"role": "model", "parts": None}},
    "no parts": {"content": {"role": "model", "parts": []}},
    "text": {"content": {"role": "model", "parts": [{"text": "I would rather not."}]}},
    "thought": {"content": {"role": "model", "parts": [image(thought=True)]}},
}


@pytest.mark.parametrize("nothing", NOTHING.values(), ids=NOTHING)
@pytest.mark.parametrize(("finish", "kind", "repeats"), REFUSED_REASONS)
async def test_without_a_picture_the_finish_reason_tells_why(
    client: httpx.AsyncClient,
    photo: Photo,
    httpx_mock: HTTPXMock,
    finish: str | None,
    kind: type[ProviderFailure],
    repeats: int,
    nothing: dict[str, Any],
) -> None:
    with pytest.raises(ProviderFailure) as raised:
        await take(client, photo, httpx_mock, json=empty(finish, **nothing))

    assert type(raised.value) is kind
    assert (raised.value.repeats, raised.value.maybe_billed) == (repeats, True)
    assert f"finishReason {finish}" in (raised.value.private or "")


async def test_what_gemini_says_of_it_is_for_admins_only(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    told = empty("IMAGE_OTHER", finishMessage="Unable to show " + "<b>x</b>" * 1000)

    with pytest.raises(ContentBlocked) as raised:
        await take(client, photo, httpx_mock, json=told)

    assert "Unable to show" in (raised.value.private or "")
    assert len(raised.value.private or "") <= 300
    assert "Unable to show" not in str(raised.value.body())


@pytest.mark.parametrize(
    "reason", ["SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "NEW"]
)
async def test_a_blocked_prompt_is_blocked_content(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock, reason: str
) -> None:
    with pytest.raises(ContentBlocked) as raised:
        await take(client, photo, httpx_mock, json={"promptFeedback": {"blockReason": reason}})

    assert raised.value.private == f"blockReason {reason}"
    assert (raised.value.repeats, raised.value.maybe_billed) == (0, True)


BAD_KEY = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
    "metadata": {"service": "generativelanguage.googleapis.com"},
}
LOCATION = "User location is not supported for the API use."
BILLING = "The free tier is not available; please enable billing on your project."
NOT_ACTIVE = "The File abc is not in an ACTIVE state and usage is not allowed."
DEADLINE = "Manually set deadline 5s is too short. Minimum allowed deadline is 10s."
LEAKED = "Your API key was reported as leaked. Please use another API key."


def exhausted(quota: str, message: str = "quota", delay: str | None = None) -> dict[str, Any]:
    rpc = "type.googleapis.com/google.rpc."
    violation = {"quotaId": f"GenerateRequests{quota}PerProjectPerModel", "quotaValue": "10"}
    details = [{"@type": f"{rpc}QuotaFailure", "violations": [violation]}]
    if delay:
        details.append({"@type": f"{rpc}RetryInfo", "retryDelay": delay})
    return error(429, "RESOURCE_EXHAUSTED", message, *details)


# Status, body, what it is to us, how often to repeat it, after how many seconds.
REFUSALS: list[tuple[int, dict[str, Any], type[ProviderFailure], int, float | None]] = [
    (400, error(400, "INVALID_ARGUMENT", "API key not valid.", BAD_KEY), ProviderAuth, 0, None),
    (400, error(400, "FAILED_PRECONDITION", LOCATION), ProviderAuth, 0, None),
    (400, error(400, "FAILED_PRECONDITION", BILLING), ProviderAuth, 0, None),
    (400, error(400, "FAILED_PRECONDITION", NOT_ACTIVE), ProviderError, 1, None),
    (400, error(400, "FAILED_PRECONDITION", "Something else."), ProviderError, 0, None),
    (400, error(400, "INVALID_ARGUMENT", 'Unknown name "location"'), ProviderError, 0, None),
    (400, error(400, "INVALID_ARGUMENT", DEADLINE), ProviderError, 0, None),
    (
        400,
        error(400, "INVALID_ARGUMENT", "The prompt says API_KEY_INVALID"),
        ProviderError,
        0,
        None,
    ),
    (401, error(401, "UNAUTHENTICATED"), ProviderAuth, 0, None),
    (403, error(403, "PERMISSION_DENIED", LEAKED), ProviderAuth, 0, None),
    (404, error(404, "NOT_FOUND", "models/x is not found"), ProviderError, 0, None),
    (408, error(408, "CANCELLED"), ProviderUnavailable, 1, None),
    (413, error(413, "INVALID_ARGUMENT"), ProviderError, 0, None),
    (429, exhausted("PerMinute", delay="37s"), ProviderQuota, 1, 37),
    (429, exhausted("PerMinute", delay="1.5s"), ProviderQuota, 1, 1.5),
    (429, exhausted("PerMinute", delay="soon"), ProviderQuota, 0, None),
    (429, exhausted("PerMinute"), ProviderQuota, 0, None),
    (429, exhausted("PerMinute", "limit: 0, model: x", "37s"), ProviderQuota, 0, 37),
    (429, exhausted("PerMinute", "limit: 05, model: x", "37s"), ProviderQuota, 1, 37),
    (429, exhausted("PerMinute", "free_tier_requests", "37s"), ProviderQuota, 0, 37),
    (429, exhausted("PerDay", delay="38400s"), ProviderQuota, 0, 38400),
    (429, error(429, "RESOURCE_EXHAUSTED"), ProviderQuota, 0, None),
    (499, error(499, "CANCELLED"), ProviderError, 0, None),
    (500, error(500, "INTERNAL"), ProviderUnavailable, 2, None),
    (502, error(502, "UNAVAILABLE"), ProviderUnavailable, 1, None),
    (503, error(503, "UNAVAILABLE", "The model is overloaded."), ProviderUnavailable, 2, None),
    (504, error(504, "DEADLINE_EXCEEDED"), ProviderTimeout, 1, None),
    (504, error(504, "UNAVAILABLE"), ProviderUnavailable, 1, None),
]


@pytest.mark.parametrize(("status", "body", "kind", "repeats", "wait"), REFUSALS)
@pytest.mark.parametrize("wrapped", [False, True], ids=["object", "list of one"])
async def test_every_refusal_has_its_reason(
    client: httpx.AsyncClient,
    photo: Photo,
    httpx_mock: HTTPXMock,
    status: int,
    body: dict[str, Any],
    kind: type[ProviderFailure],
    repeats: int,
    wait: float | None,
    wrapped: bool,
) -> None:
    with pytest.raises(ProviderFailure) as raised:
        await take(client, photo, httpx_mock, status_code=status, json=[body] if wrapped else body)

    assert type(raised.value) is kind
    assert (raised.value.repeats, raised.value.wait_seconds) == (repeats, wait)
    assert not raised.value.maybe_billed
    assert f"HTTP {status} {body['error']['status']}" in (raised.value.private or "")
    assert "the-secret-key" not in (raised.value.private or "")


@pytest.mark.parametrize(
    ("header", "wait", "repeats"),
    [("50", 50, 1), ("2", 37, 1), ("Thu, 01 Jan 1970 00:00:00 GMT", 37, 1), ("later", 37, 1)],
)
async def test_of_two_times_to_wait_the_larger_counts(
    client: httpx.AsyncClient,
    photo: Photo,
    httpx_mock: HTTPXMock,
    header: str,
    wait: float,
    repeats: int,
) -> None:
    body = exhausted("PerMinute", delay="37s")

    with pytest.raises(ProviderQuota) as raised:
        headers = {"Retry-After": header}
        await take(client, photo, httpx_mock, status_code=429, json=body, headers=headers)

    assert (raised.value.wait_seconds, raised.value.repeats) == (wait, repeats)


@pytest.mark.parametrize("details", ["text", {"a": 1}, [1, "x", None, {"@type": 3}], None])
async def test_details_of_any_shape_do_no_harm(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock, details: Any
) -> None:
    body = {"error": {"status": "RESOURCE_EXHAUSTED", "details": details}}

    with pytest.raises(ProviderQuota):
        await take(client, photo, httpx_mock, status_code=429, json=body)


PAGE = "<html><h1>502 Bad Gateway</h1></html>"


@pytest.mark.parametrize("body", [PAGE, "", "null", "[]", '{"error": "text"}', '{"error": {}}'])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((502, ProviderUnavailable), (503, ProviderUnavailable), (504, ProviderUnavailable)),
        *((403, ProviderAuth), (429, ProviderQuota), (400, ProviderError), (404, ProviderError)),
        *((302, ProviderBadResponse), (204, ProviderBadResponse)),
    ],
)
async def test_a_proxys_answer_is_told_by_its_status(
    client: httpx.AsyncClient,
    photo: Photo,
    httpx_mock: HTTPXMock,
    status: int,
    kind: type[ProviderFailure],
    body: str,
) -> None:
    with pytest.raises(ProviderFailure) as raised:
        await take(client, photo, httpx_mock, status_code=status, html=body)

    assert type(raised.value) is kind


async def test_a_redirect_is_not_followed(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    with pytest.raises(ProviderBadResponse):
        await take(
            *(client, photo, httpx_mock),
            status_code=307,
            headers={"Location": "http://169.254.169.254/latest/meta-data/"},
        )

    assert len(httpx_mock.get_requests()) == 1


WHOLE = json.dumps(answer(image()))


@pytest.mark.parametrize(
    "body",
    [
        *(PAGE, "", "null", "[]", '"text"', "{}", '{"candidates": null}', WHOLE[:-10], WHOLE + "x"),
        '{"candidates": {}}',
        '{"candidates": [{"content": {"parts": [{"text": 1}]}}]}',
        json.dumps(answer(image(b""))),
        WHOLE.replace('"data": "', '"data": "A'),
        json.dumps(answer({"inlineData": {"mimeType": "image/png", "data": 12}})),
        json.dumps(answer({"inlineData": {"mimeType": "image/png", "data": None}})),
        json.dumps(answer({"inlineData": {"mimeType": "image/png"}})),
        json.dumps(answer({"inlineData": {"mimeType": "image/png", "data": "%%%"}})),
    ],
)
async def test_an_answer_that_makes_no_sense_is_a_bad_response(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock, body: str
) -> None:
    with pytest.raises(ProviderBadResponse) as raised:
        await take(client, photo, httpx_mock, text=body)

    assert raised.value.maybe_billed


async def test_an_empty_list_of_candidates_is_no_image(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    with pytest.raises(ProviderNoImage):
        await take(client, photo, httpx_mock, json={"candidates": []})


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

    with pytest.raises(ProviderBadResponse) as raised:
        await take(client, photo, httpx_mock, stream=IteratorStream(endless()))

    assert raised.value.maybe_billed
    assert sent <= MAX_ANSWER_BYTES + 2 * len(block)


async def test_a_compressed_answer_is_not_even_read(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    read: list[bytes] = []

    def bomb() -> Iterator[bytes]:
        read.append(b"\x1f\x8b")
        yield read[-1]

    with pytest.raises(ProviderBadResponse):
        await take(
            *(client, photo, httpx_mock),
            headers={"Content-Encoding": "gzip"},
            stream=IteratorStream(bomb()),
        )

    assert read == []


async def test_a_connection_lost_while_it_answers_may_be_billed(
    client: httpx.AsyncClient, photo: Photo, httpx_mock: HTTPXMock
) -> None:
    def cut() -> Iterator[bytes]:
        yield b'{"candidates"'
        raise httpx.RemoteProtocolError("peer closed connection")

    with pytest.raises(ProviderUnavailable) as raised:
        await take(client, photo, httpx_mock, stream=IteratorStream(cut()))

    assert raised.value.maybe_billed


@pytest.mark.parametrize(
    ("lost", "billed"),
    [
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout("slow"), False),
        (httpx.PoolTimeout("full"), False),
        (httpx.ReadError("reset"), True),
        (httpx.WriteError("reset"), True),
        (httpx.RemoteProtocolError("closed"), True),
    ],
)
async def test_only_what_was_not_sent_is_surely_free(
    client: httpx.AsyncClient,
    photo: Photo,
    httpx_mock: HTTPXMock,
    lost: httpx.HTTPError,
    billed: bool,
) -> None:
    httpx_mock.add_exception(lost)

    with pytest.raises(ProviderUnavailable) as raised:
        await edit(client, ACCOUNT, order(photo))

    assert raised.value.maybe_billed is billed


async def test_nobody_listens(client: httpx.AsyncClient, photo: Photo) -> None:
    account = ProviderAccount(f"http://127.0.0.1:{free_port()}", "key")

    with pytest.raises(ProviderUnavailable) as raised:
        await edit(client, account, order(photo))

    assert not raised.value.maybe_billed


@pytest.mark.parametrize(
    "settings",
    [
        {"prompt": ""},
        {"prompt": "x" * 16_001},
        {"prompt": 1},
        {"model": "../../v1/models/x"},
        {"model": "a b"},
        {"model": ""},
        {"aspect_ratio": "7:5"},
        {"image_size": "1k"},
        {"unknown": 1},
    ],
)
def test_settings_that_gemini_would_refuse_are_refused_here(settings: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"prompt": "x"} | settings, Settings)


LISTED = {"name": f"models/{DEFAULT_MODEL}", "supportedGenerationMethods": ["generateContent"]}
GONE = error(404, "NOT_FOUND", "This model is no longer available.")


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, LISTED | {"thinking": True}, None),
        (200, LISTED | {"supportedGenerationMethods": ["embedContent"]}, "provider_error"),
        (200, {"name": "models/x"}, "provider_error"),
        (200, [], "provider_bad_response"),
        (400, error(400, "INVALID_ARGUMENT", "API key not valid.", BAD_KEY), "provider_auth"),
        (404, GONE, "provider_error"),
        (503, error(503, "UNAVAILABLE"), "provider_unavailable"),
    ],
)
async def test_a_ping_tells_how_gemini_stands(
    client: httpx.AsyncClient,
    httpx_mock: HTTPXMock,
    status: int,
    body: Any,
    reason: str | None,
) -> None:
    url = f"{BASE}/v1beta/models/{DEFAULT_MODEL}"
    httpx_mock.add_response(method="GET", url=url, status_code=status, json=body)

    pulse = await ping(client, ACCOUNT, DEFAULT_MODEL)

    assert (pulse.ok, pulse.reason) == (reason is None, reason)
    [request] = httpx_mock.get_requests()
    assert request.headers["x-goog-api-key"] == "the-secret-key"


async def test_a_ping_that_reaches_nobody_is_a_bad_pulse(client: httpx.AsyncClient) -> None:
    account = ProviderAccount(f"http://127.0.0.1:{free_port()}", "key")

    assert (await ping(client, account, DEFAULT_MODEL)).reason == "provider_unavailable"


@pytest.mark.parametrize(
    ("model", "settings", "images", "path"),
    [
        (DEFAULT_MODEL, {"aspect_ratio": "1:8", "image_size": "4K"}, 14, None),
        (DEFAULT_MODEL, {"image_size": "512"}, 1, "settings.image_size"),
        (DEFAULT_MODEL, {}, 15, "templates"),
        ("gemini-3-pro-image", {"aspect_ratio": "1:8"}, 1, "settings.aspect_ratio"),
        ("gemini-3.1-flash-lite-image", {"image_size": "2K"}, 1, "settings.image_size"),
        ("gemini-2.5-flash-image", {"aspect_ratio": "21:9"}, 3, None),
        ("gemini-2.5-flash-image", {"image_size": "1K"}, 1, "settings.image_size"),
        ("gemini-2.5-flash-image", {}, 4, "templates"),
        ("gemini-2.5-flash-image-preview", {}, 1, "settings.model"),
        ("gemini-9-of-the-future", {"aspect_ratio": "1:8", "image_size": "512"}, 20, None),
    ],
)
def test_what_a_model_does_not_take_is_found(
    model: str, settings: dict[str, Any], images: int, path: str | None
) -> None:
    typed = msgspec.convert({"prompt": "x", "model": model} | settings, Settings)

    assert [fault.path for fault in PROVIDER.check(typed, images)] == ([path] if path else [])


def test_every_setting_has_words_for_a_form() -> None:
    schema = msgspec.json.schema(Settings)["$defs"]["Settings"]

    for name, field in schema["properties"].items():
        assert field["title"] and field["description"], name


async def test_a_ping_tells_when_a_model_ends(
    client: httpx.AsyncClient, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(json=LISTED)
    httpx_mock.add_response(status_code=404, json=GONE)

    working = await ping(client, ACCOUNT, "gemini-2.5-flash-image")
    gone = await ping(client, ACCOUNT, "gemini-3-pro-image-preview")

    assert (working.ok, working.shutdown_date) == (True, date(2026, 10, 2))
    assert (gone.ok, gone.shutdown_date) == (False, date(2026, 6, 25))
