"""OpenAI's official client as a judge from outside: it works with the sandbox as with the service,
and sends for an order what our driver sends."""

from __future__ import annotations

import io
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import photos
import pytest
from lazily import Lazily
from PIL import Image
from rig import Sandbox

from service.config import ProviderAccount
from service.pictures.prepare import Photo
from service.providers.base import Order, TemplateImage, guidance
from service.providers.http import open_client
from service.providers.openai.driver import edit
from service.providers.openai.settings import Settings

openai = Lazily("openai")

MODEL = "gpt-image-2.6-flare"
PHOTO = ("photo.jpg", photos.jpeg(), "image/jpeg")
STYLE = ("style.png", photos.png(), "image/png")


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{sandbox.url}/v1", api_key="sandbox", max_retries=0) as client:
        yield client


def picture_of(answer: Any) -> Image.Image:
    assert answer.data[0].b64_json is not None
    return Image.open(io.BytesIO(b64decode(answer.data[0].b64_json, validate=True)))


def test_it_has_a_photo_edited(client: openai.OpenAI) -> None:
    answer = client.images.edit(
        model=MODEL, image=PHOTO, prompt="Snow", quality="low", output_format="jpeg"
    )

    picture = picture_of(answer)
    assert (picture.format, picture.size) == ("JPEG", (1536, 1024))
    assert (answer.size, answer.quality, answer.output_format) == ("1536x1024", "low", "jpeg")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.usage.input_tokens_details.image_tokens > 0


@pytest.mark.anyio
async def test_its_asynchronous_twin_does_too(sandbox: Sandbox) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{sandbox.url}/v1", api_key="sandbox", max_retries=0
    ) as client:
        answer = await client.images.edit(
            model=MODEL, image=[PHOTO, STYLE], prompt="Snow", size="1024x1024"
        )
        models = [model.id async for model in client.models.list()]
        with pytest.raises(openai.AuthenticationError):
            await client.with_options(api_key="sk-wrong").models.retrieve(MODEL)

    assert picture_of(answer).size == (1024, 1024)
    assert MODEL in models


def test_it_finds_the_models(client: openai.OpenAI) -> None:
    assert client.models.retrieve(MODEL).shutdown_date is None
    assert client.models.retrieve("gpt-image-1.5").shutdown_date == "2026-12-01"
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("gpt-image-1")
    assert raised.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("outcome", "kind", "code"),
    [
        ("content_blocked", "BadRequestError", "moderation_blocked"),
        ("content_policy", "BadRequestError", "content_policy_violation"),
        ("bad_key", "AuthenticationError", "invalid_api_key"),
        ("unverified", "PermissionDeniedError", None),
        ("shut_down", "NotFoundError", "model_not_found"),
        ("quota", "RateLimitError", "credit_balance_exhausted"),
        ("429", "RateLimitError", "rate_limit_exceeded"),
        ("500", "InternalServerError", None),
        ("503", "InternalServerError", "server_is_overloaded"),
        ("409", "ConflictError", None),
    ],
)
def test_it_reads_every_kind_of_refusal(
    client: openai.OpenAI, sandbox: Sandbox, outcome: str, kind: str, code: Any
) -> None:
    sandbox.dial([outcome], provider="openai")

    with pytest.raises(getattr(openai, kind)) as raised:
        client.images.edit(model=MODEL, image=PHOTO, prompt="Snow")

    assert raised.value.code == code
    assert raised.value.request_id == f"req_{sandbox.calls()[0]['number']:032x}"


def test_its_bare_bytes_are_refused_as_by_the_service(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.images.edit(model=MODEL, image=photos.jpeg(), prompt="Snow")

    assert raised.value.code == "unsupported_file_mimetype"


@pytest.mark.anyio
@pytest.mark.parametrize("templates", [[], [STYLE], [STYLE, STYLE]])
async def test_our_driver_sends_what_the_client_sends(
    sandbox: Sandbox, tmp_path: Path, templates: list[tuple[str, bytes, str]]
) -> None:
    settings: dict[str, Any] = {
        "prompt": "Снег, and «quotes»\r\nin two lines",
        "model": "gpt-image-2.6-sunburst",
        "size": "1536x864",
        "quality": "xhigh",
        "complexity": "low",
        "background": "opaque",
        "output_format": "webp",
        "output_compression": 70,
    }
    used = [TemplateImage("style", kept(tmp_path, *template)) for template in templates]
    order = Order(
        *("image_edit", msgspec.convert(settings, Settings), kept(tmp_path, *PHOTO), used),
        *(1e9, lambda photo: photo.path.name),
    )
    settings["prompt"] = f"{guidance(order)}\n\n{settings['prompt']}"
    images: Any = [PHOTO, *templates] if templates else PHOTO
    with openai.OpenAI(base_url=f"{sandbox.url}/v1", api_key="sandbox", max_retries=0) as client:
        client.images.edit(image=images, **settings)
    async with open_client(1) as http:
        await edit(http, ProviderAccount(sandbox.url, "sandbox"), order)

    theirs, ours = sandbox.calls()
    for what in ("method", "path", "fields", "file_names", "images", "model", "prompt"):
        assert ours[what] == theirs[what], what
    assert sorted(ours["parts"]) == sorted(theirs["parts"])
    assert len(ours["images"]) == 1 + len(templates)
    assert ours["fields"] == {name: str(value) for name, value in settings.items()}


def kept(folder: Path, name: str, data: bytes, mime: str) -> Photo:
    path = folder / name
    path.write_bytes(data)
    return Photo(path, mime, 640, 480, len(data))


def test_a_call_that_never_arrives_is_a_connection_error(
    client: openai.OpenAI, sandbox: Sandbox
) -> None:
    sandbox.dial(["reset"], provider="openai")

    with pytest.raises(openai.APIConnectionError):
        client.images.edit(model=MODEL, image=PHOTO, prompt="Snow")
