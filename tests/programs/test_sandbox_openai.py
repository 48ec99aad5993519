"""The sandbox's OpenAI: as strict as the real service, and every answer it is known for."""

import io
from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import photos
import pytest
from PIL import Image
from rig import Sandbox
from test_sandbox import flat, middle

from service.sandbox.picture import thumbnail_boxes

MODEL = "gpt-image-2.6-flare"
Part = tuple[str, tuple[str | None, str | bytes, str] | tuple[None, str]]


@pytest.fixture
def openai(sandbox: Sandbox) -> Iterator[httpx.Client]:
    headers = {"authorization": "Bearer sandbox"}
    with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False, timeout=20) as client:
        yield client


def image(
    raw: bytes | None = None, name: str = "image", file: str = "photo.jpg", mime: str = "image/jpeg"
) -> Part:
    return name, (file, photos.jpeg() if raw is None else raw, mime)


def form(*images: Part, **fields: str) -> list[Part]:
    """An order; without images it has one photo, and a field given as "" is left out."""
    given = {"model": MODEL, "prompt": "Paint it", **fields}
    texts: list[Part] = [(name, (None, value)) for name, value in given.items() if value]
    return [*texts, *(images or (image(),))]


def ask(openai: httpx.Client, parts: Sequence[Part]) -> httpx.Response:
    return openai.post("/v1/images/edits", files=parts)


def raw_of(answer: httpx.Response) -> bytes:
    assert answer.status_code == 200, answer.text
    return b64decode(answer.json()["data"][0]["b64_json"], validate=True)


def picture_of(answer: httpx.Response) -> Image.Image:
    return Image.open(io.BytesIO(raw_of(answer)))


def error_of(answer: httpx.Response, status: int = 400) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    return error


def test_it_answers_with_an_edited_picture(openai: httpx.Client) -> None:
    answer = ask(openai, form(output_format="jpeg", quality="low"))

    told = answer.json()
    picture = picture_of(answer)
    assert (picture.format, picture.size) == ("JPEG", (1536, 1024))
    assert {name: told[name] for name in ("background", "output_format", "quality", "size")} == {
        "background": "opaque",
        "output_format": "jpeg",
        "quality": "low",
        "size": "1536x1024",
    }
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["x-ratelimit-reset-tokens"] == "6m0s"


def test_it_counts_tokens_as_the_real_service_does(openai: httpx.Client) -> None:
    usage = ask(openai, form(prompt="12345678", quality="medium")).json()["usage"]

    details = usage["input_tokens_details"]
    assert details["text_tokens"] == 2
    assert usage["input_tokens"] == details["text_tokens"] + details["image_tokens"]
    assert usage["output_tokens"] == usage["output_tokens_details"]["image_tokens"] == 1584
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


@pytest.mark.parametrize(
    ("fields", "size", "kind"),
    [
        ({"size": "1024x1536"}, (1024, 1536), "PNG"),
        ({"size": "1536x864", "output_format": "webp"}, (1536, 864), "WEBP"),
        ({"size": "auto", "output_format": "jpeg"}, (1536, 1024), "JPEG"),
        ({"model": "gpt-image-1.5", "size": "1024x1024"}, (1024, 1024), "PNG"),
    ],
)
def test_it_draws_the_size_and_format_that_was_asked(
    openai: httpx.Client, fields: dict[str, str], size: tuple[int, int], kind: str
) -> None:
    picture = picture_of(ask(openai, form(**fields)))

    assert (picture.size, picture.format) == (size, kind)


@pytest.mark.parametrize(
    ("photo", "size"),
    [
        (photos.jpeg(480, 640), (1024, 1536)),
        (photos.jpeg(640, 480, orientation=6), (1024, 1536)),
        (photos.jpeg(500, 500), (1024, 1024)),
    ],
)
def test_an_automatic_size_follows_the_photo(
    openai: httpx.Client, photo: bytes, size: tuple[int, int]
) -> None:
    assert picture_of(ask(openai, form(image(photo)))).size == size


def test_it_shows_further_images_in_their_order(openai: httpx.Client, sandbox: Sandbox) -> None:
    colours = ("white", "red", "lime", "blue")
    images = [image(flat(colour), "image[]", f"{colour}.jpg") for colour in colours]

    picture = picture_of(ask(openai, form(*images))).convert("RGB")

    boxes = thumbnail_boxes(picture.size, 3)
    assert [middle(picture, box) for box in boxes] == ["red", "green", "blue"]
    (call,) = sandbox.calls()
    assert call["file_names"] == ["white.jpg", "red.jpg", "lime.jpg", "blue.jpg"]
    assert [one["width"] for one in call["images"]] == [900] * 4


def test_its_picture_tells_prompt_model_and_guidance_apart(openai: httpx.Client) -> None:
    orders = [
        form(),
        form(prompt="Another"),
        form(model="gpt-image-2.6-sunburst"),
        form(prompt="Edit. Image 1: the photo.\n\nPaint it"),
        form(image(photos.jpeg(text="another"))),
    ]

    pictures = {raw_of(ask(openai, order)) for order in orders}

    assert len(pictures) == len(orders)
    assert raw_of(ask(openai, form(prompt="Paint it [sandbox latency=0]"))) in pictures


def test_it_tells_what_it_received(openai: httpx.Client, sandbox: Sandbox) -> None:
    ask(openai, form(image(photos.jpeg(gps=True, orientation=6)), prompt="Сделай", size="auto"))

    (call,) = sandbox.calls()
    assert (call["provider"], call["action"]) == ("openai", "edit")
    assert (call["model"], call["prompt"]) == (MODEL, "Сделай")
    assert (call["outcome"], call["status"]) == ("ok", 200)
    assert call["parts"] == ["model", "prompt", "size", "image"]
    assert call["fields"] == {"model": MODEL, "prompt": "Сделай", "size": "auto"}
    assert call["file_names"] == ["photo.jpg"]
    (photo,) = call["images"]
    assert (photo["gps"], photo["orientation"], photo["mime"]) == (True, 6, "image/jpeg")
    assert call["headers"]["authorization"] == "***"


def test_both_services_have_their_models_at_one_path(
    openai: httpx.Client, sandbox: Sandbox
) -> None:
    listed = openai.get("/v1/models").json()
    assert listed["object"] == "list"
    assert MODEL in [model["id"] for model in listed["data"]]
    with httpx.Client(base_url=sandbox.url, trust_env=False) as google:
        shown = google.get("/v1/models", headers={"x-goog-api-key": "sandbox"}).json()
    assert "models" in shown


def test_a_model_tells_when_it_ends(openai: httpx.Client) -> None:
    assert openai.get(f"/v1/models/{MODEL}").json()["shutdown_date"] is None
    assert openai.get("/v1/models/gpt-image-1.5").json()["shutdown_date"] == "2026-12-01"
    gone = error_of(openai.get("/v1/models/gpt-image-1"), 404)
    assert gone["code"] == "model_not_found"


def test_a_wrong_key_is_refused(openai: httpx.Client, sandbox: Sandbox) -> None:
    wrong = {"authorization": "Bearer sk-wrong-key"}
    error = error_of(openai.post("/v1/images/edits", files=form(), headers=wrong), 401)
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
    assert "sk-wrong-key" not in error["message"]
    none = {"authorization": ""}
    assert error_of(openai.get(f"/v1/models/{MODEL}", headers=none), 401)["code"] is None
    assert sandbox.calls()[0]["outcome"] == "refused"


def png(width: int = 640, height: int = 480) -> bytes:
    return photos.png(width, height, alpha=True)


REFUSED: dict[str, tuple[list[Part], str | None, str | None, str]] = {
    "unknown field": (form(style="vivid"), "unknown_parameter", "style", "Unknown parameter"),
    "moderation": (form(moderation="low"), "unknown_parameter", "moderation", "Unknown"),
    "response_format": (form(response_format="url"), "unknown_parameter", "response_format", ""),
    "indexed image": (form(image(name="image[0]")), "unknown_parameter", "image[0]", "Unknown"),
    "no prompt": (form(prompt=""), "missing_required_parameter", "prompt", "Missing"),
    "long prompt": (form(prompt="x" * 32_001), "string_above_max_length", "prompt", "32001"),
    "quality": (form(quality="huge"), "invalid_value", "quality", "'xhigh'"),
    "xhigh on 2": (form(model="gpt-image-2", quality="xhigh"), "invalid_value", "quality", ""),
    "complexity": (form(complexity="max"), "invalid_value", "complexity", "'high'"),
    "complexity on 2.5": (
        *(form(model="gpt-image-2.5-flare", complexity="low"), "unknown_parameter", "complexity"),
        "",
    ),
    "fidelity on 2.6": (
        *(form(input_fidelity="high"), "invalid_input_fidelity_model", "input_fidelity", ""),
    ),
    "fidelity on mini": (
        *(form(model="gpt-image-1-mini", input_fidelity="high"), "invalid_value"),
        *("input_fidelity", "'low'"),
    ),
    "format": (form(output_format="bmp"), "invalid_value", "output_format", "'webp'"),
    "transparent jpeg": (
        *(form(background="transparent", output_format="jpeg"), "invalid_value", "background", ""),
    ),
    "compressed png": (form(output_compression="80"), "invalid_value", "output_compression", ""),
    "compression": (
        *(form(output_format="webp", output_compression="101"), "invalid_value"),
        *("output_compression", "0 to 100"),
    ),
    "n": (form(n="11"), "invalid_value", "n", "1 to 10"),
    "off the grid": (form(size="1000x1000"), "invalid_value", "size", "1000x1000"),
    "too long": (form(size="3840x1024"), "invalid_value", "size", ""),
    "too large": (form(size="4096x2160"), "invalid_value", "size", ""),
    "any size on 1.5": (form(model="gpt-image-1.5", size="1536x864"), "invalid_value", "size", ""),
    "size": (form(size="large"), "invalid_value", "size", ""),
    "octet-stream": (
        *(form(image(mime="application/octet-stream")), "unsupported_file_mimetype", "image[0]"),
        "Supported file formats are 'image/jpeg', 'image/png', and 'image/webp'.",
    ),
    "heic": (
        *(form(image(photos.heic(), mime="image/heic")), "unsupported_file_mimetype", "image[0]"),
        "image/heic",
    ),
    "heic in disguise": (form(image(photos.heic())), "invalid_image_file", "image[0]", ""),
    "no picture": (form(image(b"hello")), "invalid_image_file", "image[0]", ""),
    "cut second": (
        *(form(image(name="image[]"), image(photos.cut(photos.jpeg()), "image[]")),),
        *("invalid_image_file", "image[1]", ""),
    ),
    "no image": (form(image(png(), "mask")), "missing_required_parameter", "image", ""),
    "two single images": (form(image(), image()), None, "image", "Duplicate"),
    "seventeen images": (
        *(form(*(image(name="image[]") for _ in range(17))), "invalid_value", "image", "16"),
    ),
    "mask of another size": (
        *(form(image(), image(png(64, 64), "mask", mime="image/png")), "invalid_value", "mask"),
        "does not match",
    ),
    "jpeg mask": (form(image(), image(name="mask")), "unsupported_file_mimetype", "mask", "PNG"),
    "markup on 2.6": (
        *(form(image(), image(png(), "markup", mime="image/png")), "unknown_parameter", "markup"),
        "",
    ),
    "mask and markup": (
        form(
            *(image(), image(png(), "mask", mime="image/png")),
            image(png(), "markup", mime="image/png"),
            model="gpt-image-2.5-flare",
        ),
        *("invalid_value", "markup", "cannot be combined"),
    ),
    "marker": (form(prompt="x [sandbox outcome=nonsense]"), "invalid_value", "prompt", "Known"),
}


@pytest.mark.parametrize(("parts", "code", "param", "says"), REFUSED.values(), ids=REFUSED)
def test_it_refuses_what_the_real_service_refuses(
    openai: httpx.Client,
    sandbox: Sandbox,
    parts: list[Part],
    code: str | None,
    param: str | None,
    says: str,
) -> None:
    error = error_of(ask(openai, parts))

    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert error["param"] == param
    assert says in error["message"]
    assert sandbox.calls()[0]["outcome"] == "refused"


@pytest.mark.parametrize("name", ["gpt-image-1", "dall-e-3", "gpt-image-9", ""])
def test_it_refuses_a_model_that_is_not_there(openai: httpx.Client, name: str) -> None:
    answer = ask(openai, form(model=name))

    # Without a model it takes its old default, which may be gone as any other.
    assert answer.status_code == (404 if name else 200)
    if name:
        assert error_of(answer, 404)["code"] == "model_not_found"


def test_it_takes_all_a_model_takes(openai: httpx.Client) -> None:
    mask = image(png(), "mask", "mask.png", "image/png")
    many = [image(name="image[]") for _ in range(16)]
    taken = [
        form(complexity="high", quality="max", safety_identifier="a", user="b"),
        form(output_format="webp", output_compression="0", background="transparent"),
        form(model="gpt-image-1.5", input_fidelity="high"),
        form(model="gpt-image-2.5-flare-2026-09-08", quality="xhigh"),
        form(image(name="image[]"), mask),
        form(*many),
    ]

    assert [ask(openai, parts).status_code for parts in taken] == [200] * len(taken)
    assert len(ask(openai, form(n="2")).json()["data"]) == 2


@pytest.mark.parametrize("body", [b"--x\r\nrubbish", b"", b"{}"])
@pytest.mark.parametrize("mime", ["multipart/form-data; boundary=x", "multipart/form-data", ""])
def test_it_refuses_a_body_that_is_no_form(openai: httpx.Client, body: bytes, mime: str) -> None:
    answer = openai.post("/v1/images/edits", content=body, headers={"content-type": mime})

    error_of(answer)


FAILING: dict[str, tuple[int, str | None, str | None]] = {
    "bad_key": (401, "invalid_request_error", "invalid_api_key"),
    "address": (401, "invalid_request_error", "ip_not_authorized"),
    "not_a_member": (401, "invalid_request_error", None),
    "country": (403, "request_forbidden", "unsupported_country_region_territory"),
    "unverified": (403, "invalid_request_error", None),
    "unknown_model": (404, "invalid_request_error", "model_not_found"),
    "shut_down": (404, "invalid_request_error", "model_not_found"),
    "content_blocked": (400, "image_generation_user_error", "moderation_blocked"),
    "moderation:input": (400, "image_generation_user_error", "moderation_blocked"),
    "content_policy": (400, "invalid_request_error", "content_policy_violation"),
    "quota": (429, "insufficient_quota", "credit_balance_exhausted"),
    "money:billing_not_active": (429, "insufficient_quota", "billing_not_active"),
    "money:billing_hard_limit_reached:400": (
        *(400, "insufficient_quota", "billing_hard_limit_reached"),
    ),
    "429": (429, "requests", "rate_limit_exceeded"),
    "slow_down": (429, "rate_limit_error", "slow_down"),
    "409": (409, "invalid_request_error", None),
    "500": (500, "server_error", None),
    "503": (503, "service_unavailable_error", "server_is_overloaded"),
}


@pytest.mark.parametrize("outcome", FAILING)
def test_every_failure_is_told_in_openais_words(
    openai: httpx.Client, sandbox: Sandbox, outcome: str
) -> None:
    sandbox.dial([outcome], provider="openai")

    answer = ask(openai, form())

    status, kind, code = FAILING[outcome]
    error = error_of(answer, status)
    assert (error["type"], error["code"]) == (kind, code)
    assert error["message"] and answer.headers["x-request-id"].startswith("req_")
    if code == "moderation_blocked":
        stage = "input" if outcome == "moderation:input" else "output"
        assert error["moderation_details"]["moderation_stage"] == stage


@pytest.mark.parametrize(
    ("outcome", "header", "value"),
    [
        ("429_wait_ms", "retry-after-ms", "1500"),
        ("429_wait", "retry-after", "30"),
        ("429_wait_date", "retry-after", " GMT"),
        ("429_never", "x-should-retry", "false"),
        ("redirect", "location", "http://169.254.169.254/"),
        ("413_html", "content-type", "text/html"),
        ("502_html", "content-type", "text/html"),
    ],
)
def test_a_failure_may_speak_by_its_headers(
    openai: httpx.Client, sandbox: Sandbox, outcome: str, header: str, value: str
) -> None:
    sandbox.dial([outcome], provider="openai")

    answer = ask(openai, form())

    assert value in answer.headers[header]
    assert "retry-after-ms" not in ask(openai, form(prompt="x [sandbox outcome=429]")).headers


@pytest.mark.parametrize(
    ("outcome", "data"),
    [
        ("no_image", "missing"),
        ("null_data", None),
        ("empty_data", []),
        ("no_base64", [{}]),
        ("null_base64", [{"b64_json": None}]),
        ("empty_image", [{"b64_json": ""}]),
    ],
)
def test_a_good_status_may_bring_nothing(
    openai: httpx.Client, sandbox: Sandbox, outcome: str, data: Any
) -> None:
    sandbox.dial([outcome], provider="openai")

    told = ask(openai, form()).json()

    assert told.get("data", "missing") == data
    assert told["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(
    ("outcome", "asked", "kind"), [("webp", "png", "WEBP"), ("other_format", "jpeg", "PNG")]
)
def test_a_picture_may_come_in_another_format(
    openai: httpx.Client, sandbox: Sandbox, outcome: str, asked: str, kind: str
) -> None:
    sandbox.dial([outcome], provider="openai")

    answer = ask(openai, form(output_format=asked))

    assert picture_of(answer).format == kind
    assert answer.json()["output_format"] == asked


@pytest.mark.parametrize("outcome", ["truncated_json", "garbage", "html_200", "empty_body"])
def test_a_body_may_be_no_json(openai: httpx.Client, sandbox: Sandbox, outcome: str) -> None:
    sandbox.dial([outcome], provider="openai")

    answer = ask(openai, form())

    assert answer.status_code == 200
    with pytest.raises(ValueError):
        answer.json()


def test_only_a_failure_that_stays_meets_a_look_up(openai: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["503", "ok"], provider="openai")
    assert openai.get(f"/v1/models/{MODEL}").status_code == 200
    assert ask(openai, form()).status_code == 503
    sandbox.dial(["bad_key"], provider="openai")
    assert openai.get(f"/v1/models/{MODEL}").status_code == 401
    assert [call["action"] for call in sandbox.calls(provider="openai")] == ["edit"]


@pytest.mark.parametrize(
    "outcome", ["nonsense", "200", "money:nothing", "money:billing_not_active:500", "moderation:x"]
)
def test_it_refuses_a_dial_it_does_not_know(openai: httpx.Client, outcome: str) -> None:
    dial = {"provider": "openai", "outcomes": [outcome]}

    answer = openai.put("/_sandbox/dials", json=dial)

    assert (answer.status_code, answer.json()["field"]) == (422, "outcomes[0]")
    assert "content_blocked" in answer.json()["known"]


def test_a_body_beyond_every_limit_is_refused_by_what_stands_before_it(
    openai: httpx.Client,
) -> None:
    chunks = (bytes(2**20) for _ in range(101))

    answer = openai.post("/v1/images/edits", content=chunks)

    assert (answer.status_code, answer.headers["content-type"][:9]) == (413, "text/html")
