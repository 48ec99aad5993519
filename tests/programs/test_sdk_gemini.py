"""Google's own client judges the sandbox and the driver: it runs unchanged against the sandbox, and
sends for the same order what the driver sends."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import photos
import pytest
from lazily import Lazily
from PIL import Image
from rig import Sandbox

from service.config import ProviderAccount
from service.pictures.prepare import Photo
from service.providers.base import Order, TemplateImage
from service.providers.gemini.driver import edit
from service.providers.gemini.settings import Settings
from service.providers.http import open_client
from service.sandbox.gemini.protojson import camel
from service.sandbox.gemini.scenes import BLOCK_REASONS, FINISH_REASONS, MADE_UP_REASON

pytestmark = pytest.mark.anyio

genai = Lazily("google.genai")
types = Lazily("google.genai.types")
errors = Lazily("google.genai.errors")
httpx2 = Lazily("httpx2")

MODEL = "gemini-3-pro-image"
MEBIBYTE = 1024**2
LARGE = photos.jpeg() + bytes(9 * MEBIBYTE)
PROMPT = "Warm evening light."
FAR = 1e9


def open_sdk(url: str, key: str = "sandbox", **options: Any) -> genai.Client:
    local = {"base_url": url, "api_version": "v1beta", "client_args": {"trust_env": False}}
    return genai.Client(api_key=key, http_options=types.HttpOptions(**(local | options)))


@pytest.fixture
def sdk(sandbox: Sandbox) -> Iterator[genai.Client]:
    with open_sdk(sandbox.url) as client:
        yield client


@pytest.fixture
async def async_sdk(
    anyio_backend: str, sandbox: Sandbox
) -> AsyncIterator[genai.client.AsyncClient]:
    options = {"async_client_args": {"trust_env": False}}
    with open_sdk(sandbox.url, **options) as client:
        async with client.aio as async_client:
            yield async_client


def contents(*images: bytes) -> list[types.Part]:
    blobs = [types.Part.from_bytes(data=data, mime_type="image/jpeg") for data in images]
    return [*blobs, types.Part.from_text(text=PROMPT)]


def assert_drawn(answer: types.GenerateContentResponse) -> None:
    assert answer.candidates and answer.candidates[0].finish_reason == "STOP"
    [part] = answer.parts or []
    assert part.inline_data and part.inline_data.data
    assert Image.open(io.BytesIO(part.inline_data.data)).size == (896, 1200)
    assert answer.model_version == MODEL
    assert answer.usage_metadata and answer.usage_metadata.candidates_tokens_details
    assert answer.usage_metadata.candidates_tokens_details[0].token_count == 1120


def portrait() -> types.GenerateContentConfig:
    return types.GenerateContentConfig(
        response_modalities=["TEXT", "IMAGE"],
        image_config=types.ImageConfig(aspect_ratio="3:4", image_size="1K"),
    )


def test_it_reads_a_picture(sdk: genai.Client) -> None:
    asked = contents(photos.jpeg(), photos.jpeg(text="style"))

    assert_drawn(sdk.models.generate_content(model=MODEL, contents=asked, config=portrait()))


async def test_it_reads_a_picture_asynchronously(async_sdk: genai.client.AsyncClient) -> None:
    asked = contents(photos.jpeg())

    answer = await async_sdk.models.generate_content(model=MODEL, contents=asked, config=portrait())

    assert_drawn(answer)


def test_it_reads_the_models(sdk: genai.Client) -> None:
    model = sdk.models.get(model=MODEL)
    assert model.name == f"models/{MODEL}"
    assert "generateContent" in (model.supported_actions or [])
    assert model.name in [listed.name for listed in sdk.models.list()]


async def test_it_reads_the_models_asynchronously(async_sdk: genai.client.AsyncClient) -> None:
    assert (await async_sdk.models.get(model=MODEL)).name == f"models/{MODEL}"
    assert [model async for model in await async_sdk.models.list()]


def test_it_uploads_a_file_in_two_chunks(sdk: genai.Client, sandbox: Sandbox) -> None:
    config = types.UploadFileConfig(mime_type="image/jpeg", display_name="photo", name="my-photo")
    file = sdk.files.upload(file=io.BytesIO(LARGE), config=config)

    assert (file.name, file.state, file.size_bytes) == ("files/my-photo", "ACTIVE", len(LARGE))
    assert [call["body_bytes"] for call in sandbox.calls(action="upload")][1:] == [
        *(8 * MEBIBYTE, len(LARGE) - 8 * MEBIBYTE)
    ]
    answer = sdk.models.generate_content(model=MODEL, contents=[file, PROMPT], config=portrait())
    assert_drawn(answer)
    sdk.files.delete(name="files/my-photo")
    with pytest.raises(errors.ClientError) as raised:
        sdk.files.get(name="files/my-photo")
    assert raised.value.code == 404


async def test_it_uploads_a_file_asynchronously(async_sdk: genai.client.AsyncClient) -> None:
    config = types.UploadFileConfig(mime_type="image/jpeg")
    file = await async_sdk.files.upload(file=io.BytesIO(LARGE), config=config)

    assert file.name and (await async_sdk.files.get(name=file.name)).state == "ACTIVE"
    await async_sdk.files.delete(name=file.name)


ERRORS: list[tuple[str, str, int, str]] = [
    ("bad_key", "ClientError", 400, "INVALID_ARGUMENT"),
    ("billing_off", "ClientError", 400, "FAILED_PRECONDITION"),
    ("leaked_key", "ClientError", 403, "PERMISSION_DENIED"),
    ("404", "ClientError", 404, "NOT_FOUND"),
    ("429_minute", "ClientError", 429, "RESOURCE_EXHAUSTED"),
    ("429_day", "ClientError", 429, "RESOURCE_EXHAUSTED"),
    ("500", "ServerError", 500, "INTERNAL"),
    ("503", "ServerError", 503, "UNAVAILABLE"),
    ("504", "ServerError", 504, "DEADLINE_EXCEEDED"),
    ("502_html", "ServerError", 502, "Bad Gateway"),
]


@pytest.mark.parametrize(("outcome", "kind", "code", "status"), ERRORS)
def test_it_reads_every_error(
    sdk: genai.Client,
    sandbox: Sandbox,
    outcome: str,
    kind: str,
    code: int,
    status: str,
) -> None:
    sandbox.dial([outcome])

    with pytest.raises(errors.APIError) as raised:
        sdk.models.generate_content(model=MODEL, contents=contents(photos.jpeg()))

    assert type(raised.value).__name__ == kind
    assert (raised.value.code, raised.value.status) == (code, status)
    assert raised.value.message


async def test_it_reads_an_error_asynchronously(async_sdk: genai.client.AsyncClient) -> None:
    with pytest.raises(errors.ClientError) as raised:
        await async_sdk.models.generate_content(model="gemini-9-image", contents=PROMPT)

    assert (raised.value.code, raised.value.status) == (404, "NOT_FOUND")


def test_it_is_refused_a_wrong_key_and_a_short_deadline(sandbox: Sandbox) -> None:
    for options, says in (
        ({"key": "wrong"}, "API key not valid"),
        ({"timeout": 5000}, "Minimum allowed deadline is 10s"),
    ):
        with (
            open_sdk(sandbox.url, **options) as client,
            pytest.raises(errors.ClientError) as raised,
        ):
            client.models.generate_content(model=MODEL, contents=contents(photos.jpeg()))

        assert (raised.value.code, says in (raised.value.message or "")) == (400, True)


def tolerance(reason: str) -> AbstractContextManager[object]:
    """It warns of reasons that it does not know, and reads them all the same."""
    known = reason != MADE_UP_REASON
    return nullcontext() if known else pytest.warns(UserWarning, match="is not a valid")


@pytest.mark.parametrize("reason", [one for one in FINISH_REASONS if one != "CONTINUATION"])
def test_it_reads_every_finish_reason(sdk: genai.Client, sandbox: Sandbox, reason: str) -> None:
    sandbox.dial([f"finish:{reason}"])

    with tolerance(reason):
        answer = sdk.models.generate_content(model=MODEL, contents=contents(photos.jpeg()))

    assert answer.candidates and answer.candidates[0].finish_reason
    assert answer.candidates[0].finish_reason.value == reason
    assert not answer.parts


def test_it_goes_on_with_a_cut_answer(sdk: genai.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["finish:CONTINUATION", "ok"])

    answer = sdk.models.generate_content(model=MODEL, contents=contents(photos.jpeg()))

    assert len(sandbox.calls()) == 2
    assert [kind_of(part) for part in answer.parts or []] == ["image"]


@pytest.mark.parametrize("reason", [*BLOCK_REASONS])
def test_it_reads_every_block_reason(sdk: genai.Client, sandbox: Sandbox, reason: str) -> None:
    sandbox.dial([f"block:{reason}"])

    with tolerance(reason):
        answer = sdk.models.generate_content(model=MODEL, contents=contents(photos.jpeg()))

    assert answer.prompt_feedback and answer.prompt_feedback.block_reason
    assert answer.prompt_feedback.block_reason.value == reason
    assert not answer.candidates


@pytest.mark.parametrize(
    ("outcome", "kinds"),
    [
        ("text_before", ["text", "image"]),
        ("text_after", ["image", "text"]),
        ("thoughts", ["thought", "thought", "image"]),
        ("drafts", ["image", "image", "image"]),
        ("text_only", ["text"]),
    ],
)
def test_it_reads_pictures_in_company(
    sdk: genai.Client, sandbox: Sandbox, outcome: str, kinds: list[str]
) -> None:
    sandbox.dial([outcome])

    answer = sdk.models.generate_content(model=MODEL, contents=contents(photos.jpeg()))

    assert [kind_of(part) for part in answer.parts or []] == kinds


def kind_of(part: types.Part) -> str:
    return "thought" if part.thought else "image" if part.inline_data else "text"


DRAWN = {
    "candidates": [
        {
            "content": {"role": "model", "parts": [{"inlineData": {"data": "AAAA"}}]},
            "finishReason": "STOP",
        }
    ]
}


def normalised(value: Any, key: str = "") -> Any:
    """The same for both spellings of names and both alphabets of base64."""
    if isinstance(value, dict):
        return {camel(name): normalised(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [normalised(one) for one in value]
    if key == "data":
        return value.replace("-", "+").replace("_", "/")
    return value


async def test_the_driver_orders_as_the_official_client_does(tmp_path: Path) -> None:
    photo, face = photos.jpeg(), photos.png()
    sent: dict[str, tuple[str, str, str | None, Any]] = {}

    def note(who: str, request: Any) -> None:
        key = request.headers.get("x-goog-api-key")
        body = normalised(json.loads(request.content))
        sent[who] = (request.method, str(request.url), key, body)

    await order_by_driver(tmp_path, photo, face, lambda request: note("driver", request))
    order_by_sdk(photo, face, sent["driver"], lambda request: note("sdk", request))

    assert sent["driver"] == sent["sdk"]
    assert sent["driver"][0] == "POST"


async def order_by_driver(
    folder: Path, photo: bytes, face: bytes, note: Callable[[httpx.Request], None]
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        note(request)
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(DRAWN).encode()))

    (folder / "photo").write_bytes(photo)
    (folder / "face").write_bytes(face)
    order = Order(
        "identity_transfer",
        Settings(PROMPT, MODEL, "3:4", "2K", safety_harassment="OFF"),
        Photo(folder / "photo", "image/jpeg", 640, 480, len(photo)),
        [TemplateImage("face", Photo(folder / "face", "image/png", 640, 480, len(face)))],
        FAR,
        lambda photo: "",
    )
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await edit(client, ProviderAccount("http://127.0.0.1:1", "key"), order)


def order_by_sdk(
    photo: bytes, face: bytes, driver: tuple[Any, ...], note: Callable[[httpx2.Request], None]
) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        note(request)
        return httpx2.Response(200, json=DRAWN)

    guidance = driver[3]["contents"][0]["parts"][2]["text"]
    thresholds = {
        "HARASSMENT": "OFF",
        "HATE_SPEECH": "BLOCK_ONLY_HIGH",
        "SEXUALLY_EXPLICIT": "BLOCK_ONLY_HIGH",
        "DANGEROUS_CONTENT": "BLOCK_ONLY_HIGH",
    }
    transport = {"client_args": {"transport": httpx2.MockTransport(answer)}}
    with open_sdk("http://127.0.0.1:1", "key", **transport) as client:
        client.models.generate_content(
            model=MODEL,
            contents=[
                types.Part.from_bytes(data=photo, mime_type="image/jpeg"),
                types.Part.from_bytes(data=face, mime_type="image/png"),
                types.Part.from_text(text=guidance),
                types.Part.from_text(text=PROMPT),
            ],
            config=types.GenerateContentConfig(
                response_modalities=["TEXT", "IMAGE"],
                image_config=types.ImageConfig(aspect_ratio="3:4", image_size="2K"),
                safety_settings=[
                    types.SafetySetting.model_validate(
                        {"category": f"HARM_CATEGORY_{category}", "threshold": threshold}
                    )
                    for category, threshold in thresholds.items()
                ],
            ),
        )


UPLOAD_HEADERS = (
    *("x-goog-upload-protocol", "x-goog-upload-header-content-length"),
    *("x-goog-upload-header-content-type", "x-goog-upload-command", "x-goog-upload-offset"),
)


async def test_the_driver_uploads_as_the_official_client_does(
    sandbox: Sandbox, sdk: genai.Client, tmp_path: Path
) -> None:
    large = photos.jpeg() + bytes(15 * MEBIBYTE)
    (tmp_path / "photo").write_bytes(large)
    photo = Photo(tmp_path / "photo", "image/jpeg", 640, 480, len(large))
    order = Order("image_edit", Settings(PROMPT), photo, [], FAR, lambda photo: "")
    async with open_client(max_connections=2) as client:
        await edit(client, ProviderAccount(sandbox.url, "sandbox"), order)
    by_driver = uploads(sandbox)
    sandbox.reset()

    sdk.files.upload(file=io.BytesIO(large), config=types.UploadFileConfig(mime_type="image/jpeg"))

    assert by_driver == uploads(sandbox)
    assert len(by_driver) == 3


def uploads(sandbox: Sandbox) -> list[dict[str, Any]]:
    """What matters of each request of an upload; only its start has the start's headers, although
    the official client repeats them."""
    calls = sandbox.calls(action="upload")
    return [
        {
            "method": call["method"],
            "path": call["path"],
            "bytes": call["body_bytes"] if number else None,
            **{
                name: call["headers"].get(name)
                for name in (UPLOAD_HEADERS if not number else UPLOAD_HEADERS[3:])
            },
        }
        for number, call in enumerate(calls)
    ]
