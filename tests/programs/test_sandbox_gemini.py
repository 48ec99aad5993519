"""The sandbox's Gemini: as strict as the real service, and every answer it is known for."""

import copy
import hashlib
import io
import zlib
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import photos
import pytest
from PIL import Image
from rig import Sandbox
from test_sandbox import MODEL, ask, order, parts_of, picture_of, raw_of

MEBIBYTE = 2**20


@pytest.fixture
def gemini(sandbox: Sandbox) -> Iterator[httpx.Client]:
    headers = {"x-goog-api-key": "sandbox"}
    with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False, timeout=20) as client:
        yield client


def assert_refused(
    answer: httpx.Response, status: int, rpc: str, *, field: str | None = None, says: str = ""
) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (status, rpc)
    assert says in error["message"]
    if field is not None:
        (detail,) = error["details"]
        assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
        assert field in [violation["field"] for violation in detail["fieldViolations"]]


def only_candidate(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    (candidate,) = answer.json()["candidates"]
    assert isinstance(candidate, dict)
    return candidate


def with_blob(**blob: Any) -> dict[str, Any]:
    return {"contents": [{"parts": [{"inlineData": blob}, {"text": "Paint"}]}]}


@pytest.mark.parametrize("headers", [{"x-goog-api-key": "wrong"}, {"x-goog-api-key": ""}])
def test_it_refuses_a_wrong_key_as_google_does(
    gemini: httpx.Client, sandbox: Sandbox, headers: dict[str, str]
) -> None:
    url = f"/v1beta/models/{MODEL}:generateContent"
    answer = gemini.post(url, json=order(), headers=headers)
    assert_refused(answer, 400, "INVALID_ARGUMENT", says="API key not valid.")
    info = answer.json()["error"]["details"][0]
    assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert (info["reason"], info["domain"]) == ("API_KEY_INVALID", "googleapis.com")
    assert sandbox.calls()[0]["outcome"] == "refused"


def test_it_takes_the_key_from_the_query_too(gemini: httpx.Client) -> None:
    url = f"/v1/models/{MODEL}:generateContent?key=sandbox"
    assert gemini.post(url, json=order(), headers={"x-goog-api-key": ""}).status_code == 200


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("gemini-9-image", "is not found for API version v1beta"),
        ("gemini-2.5-flash-image-preview", "no longer available"),
        ("gemini-3.1-flash-image", "no longer available"),
    ],
)
def test_it_refuses_a_model_that_is_not_there(gemini: httpx.Client, model: str, says: str) -> None:
    assert_refused(ask(gemini, order(), model), 404, "NOT_FOUND", says=says)
    assert_refused(gemini.get(f"/v1beta/models/{model}"), 404, "NOT_FOUND", says=says)


def test_it_shows_its_models(gemini: httpx.Client) -> None:
    shown = gemini.get(f"/v1beta/models/{MODEL}").json()
    assert shown["name"] == f"models/{MODEL}"
    assert "generateContent" in shown["supportedGenerationMethods"]
    listed = gemini.get("/v1/models").json()["models"]
    assert shown in listed and len(listed) == 4


CAMEL = {
    "contents": [{"parts": [{"inlineData": {"mimeType": "image/jpeg"}}, {"text": "Paint"}]}],
    "generationConfig": {"responseModalities": ["IMAGE"], "imageConfig": {"aspectRatio": "1:1"}},
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
}
SNAKE = {
    "contents": [{"parts": [{"inline_data": {"mime_type": "image/jpeg"}}, {"text": "Paint"}]}],
    "generation_config": {
        "response_modalities": ["IMAGE"],
        "image_config": {"aspect_ratio": "1:1"},
    },
    "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
}
MIXED = {
    "model": f"models/{MODEL}",
    "contents": [{"parts": [{"inlineData": {"mime_type": "image/jpeg"}}, {"text": "Paint"}]}],
    "generation_config": {"responseModalities": ["IMAGE"], "image_config": {"aspectRatio": "1:1"}},
    "systemInstruction": None,
}


@pytest.mark.parametrize("body", [CAMEL, SNAKE, MIXED], ids=["camel", "snake", "mixed"])
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode], ids=["standard", "urlsafe"])
@pytest.mark.parametrize("padded", [True, False])
def test_it_takes_every_spelling_of_protobuf_json(
    gemini: httpx.Client, body: dict[str, Any], encode: Any, padded: bool
) -> None:
    photo = photos.jpeg() + b"\xfb\xff\xbf" * 5 + b"."
    data = encode(photo).decode()
    spelt = copy.deepcopy(body)
    (blob,) = spelt["contents"][0]["parts"][0].values()
    blob["data"] = data if padded else data.rstrip("=")
    assert data.endswith("=")
    assert picture_of(ask(gemini, spelt)).size == (1024, 1024)


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"prompt": "x"}, "", 'Unknown name "prompt": Cannot find field.'),
        (
            {"generationConfig": {"imageConfig": {"imageOutputOptions": {}}}},
            "generation_config.image_config",
            "Unknown name \"imageOutputOptions\" at 'generation_config.image_config'",
        ),
        (
            {"generation_config": {"responseModalities": ["TEXT", "Image"]}},
            "generation_config.response_modalities[1]",
            "Invalid value at 'generation_config.response_modalities[1]'",
        ),
        (
            {"safetySettings": [{"category": "HARM_CATEGORY_RUDENESS"}]},
            "safety_settings[0].category",
            "HARM_CATEGORY_RUDENESS",
        ),
        ({"safetySettings": {}}, "safety_settings", "safety_settings"),
        ({"store": "yes"}, "store", "TYPE_BOOL"),
        ({"generationConfig": {"seed": 1.5}}, "generation_config.seed", "TYPE_INT32"),
        ({"generationConfig": {"seed": 2**40}}, "generation_config.seed", "TYPE_INT32"),
        ({"generationConfig": {"topP": "0.9"}}, "generation_config.top_p", "TYPE_FLOAT"),
        (
            {"generationConfig": {"candidateCount": 2}},
            "generation_config.candidate_count",
            "Multiple candidates",
        ),
        ({"contents": []}, "contents", "contents is not specified"),
        ({"contents": [{"parts": []}]}, "contents[0].parts", "must not be empty"),
        ({"contents": [{"role": "boss", "parts": [{}]}]}, "contents[0].role", "valid role"),
        (
            {"contents": [{"parts": [{"text": "a", "inlineData": {}}]}]},
            "contents[0].parts[0]",
            "oneof",
        ),
        ({"contents": [{"parts": [{"text": 5}]}]}, "contents[0].parts[0].text", "TYPE_STRING"),
    ],
)
def test_it_refuses_what_does_not_fit(
    gemini: httpx.Client, change: dict[str, Any], field: str, says: str
) -> None:
    answer = ask(gemini, {**order(), **change})
    assert_refused(answer, 400, "INVALID_ARGUMENT", field=field, says=says)


def test_it_names_every_fault_at_once(gemini: httpx.Client) -> None:
    answer = ask(gemini, {**order(seed=True), "store": 1})
    assert_refused(answer, 400, "INVALID_ARGUMENT", field="store")
    assert_refused(answer, 400, "INVALID_ARGUMENT", field="generation_config.seed")


@pytest.mark.parametrize(
    ("model", "config", "field"),
    [
        ("gemini-2.5-flash-image", {"imageSize": "1K"}, "image_size"),
        ("gemini-3.1-flash-lite-image", {"imageSize": "2K"}, "image_size"),
        ("gemini-nano-banana-2.1", {"imageSize": "512"}, "image_size"),
        (MODEL, {"imageSize": "1k"}, "image_size"),
        (MODEL, {"aspectRatio": "1:8"}, "aspect_ratio"),
        (MODEL, {"aspectRatio": "7:5"}, "aspect_ratio"),
    ],
)
def test_it_refuses_what_the_model_does_not_take(
    gemini: httpx.Client, model: str, config: dict[str, str], field: str
) -> None:
    answer = ask(gemini, order(imageConfig=config), model)
    at = f"generation_config.image_config.{field}"
    assert_refused(answer, 400, "INVALID_ARGUMENT", field=at)


GOOD = b64encode(photos.jpeg()).decode()


@pytest.mark.parametrize(
    ("blob", "says"),
    [
        ({"mimeType": "image/jpeg", "data": f"data:image/jpeg;base64,{GOOD}"}, "Base64 decoding"),
        ({"mimeType": "image/jpeg", "data": GOOD[:76] + "\n" + GOOD[76:]}, "Base64 decoding"),
        ({"mimeType": "image/jpeg", "data": "A"}, "Base64 decoding"),
        ({"mimeType": "image/jpeg", "data": "écoute!"}, "Base64 decoding"),
        ({"mimeType": "image/jpeg", "data": 5}, "TYPE_BYTES"),
        ({"mimeType": "image/gif", "data": GOOD}, "Unsupported MIME type: image/gif"),
        ({"data": GOOD}, "mime_type"),
        ({"mimeType": "image/png", "data": GOOD}, "Unable to process input image"),
        ({"mimeType": "image/jpeg", "data": ""}, "Unable to process input image"),
        ({"mimeType": "image/jpeg"}, "Unable to process input image"),
        ({"mimeType": "image/jpeg", "data": GOOD[: len(GOOD) // 8 * 4]}, "Unable to process"),
    ],
)
def test_it_refuses_an_image_it_cannot_decode(
    gemini: httpx.Client, blob: dict[str, Any], says: str
) -> None:
    answer = ask(gemini, with_blob(**blob))
    assert_refused(answer, 400, "INVALID_ARGUMENT", says=says)


@pytest.mark.parametrize(
    ("raw", "mime"),
    [
        (photos.cut(photos.png()), "image/png"),
        (photos.cut(photos.webp()), "image/webp"),
        (photos.cut(photos.heic()), "image/heic"),
        (photos.png().replace(b"IDAT", b"IDAT\0", 1), "image/png"),
    ],
)
def test_it_refuses_a_broken_image_of_every_kind(
    gemini: httpx.Client, raw: bytes, mime: str
) -> None:
    answer = ask(gemini, order("Broken", raw, mime=mime))
    assert_refused(answer, 400, "INVALID_ARGUMENT", says="Unable to process")


def test_it_refuses_a_flood_of_pixels(gemini: httpx.Client) -> None:
    flood = b64encode(photos.png_flood()).decode()
    answer = ask(gemini, with_blob(mimeType="image/png", data=flood))
    assert_refused(answer, 400, "INVALID_ARGUMENT", says="Unable to process")


def test_it_refuses_more_images_than_a_model_takes(gemini: httpx.Client) -> None:
    answer = ask(gemini, order("Many", *[photos.jpeg(64, 48)] * 15))
    assert_refused(answer, 400, "INVALID_ARGUMENT", field="contents", says="14")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"contents":"\xff"}', b"[]"])
def test_it_refuses_what_is_no_json(gemini: httpx.Client, body: bytes) -> None:
    url = f"/v1beta/models/{MODEL}:generateContent"
    answer = gemini.post(url, content=body, headers={"content-type": "application/json"})
    assert_refused(answer, 400, "INVALID_ARGUMENT")


def test_it_refuses_json_under_another_name(gemini: httpx.Client) -> None:
    url = f"/v1beta/models/{MODEL}:generateContent"
    answer = gemini.post(url, content=b"{}", headers={"content-type": "text/plain"})
    assert_refused(answer, 400, "INVALID_ARGUMENT", says="Content-Type")


@pytest.mark.parametrize(("seconds", "status"), [("9", 400), ("soon", 400), ("10", 200)])
def test_it_refuses_a_server_timeout_under_ten_seconds(
    gemini: httpx.Client, seconds: str, status: int
) -> None:
    url = f"/v1beta/models/{MODEL}:generateContent"
    answer = gemini.post(url, json=order(), headers={"x-server-timeout": seconds})
    assert answer.status_code == status
    assert ("too short" in answer.text) == (seconds == "9")


def test_it_refuses_a_body_over_a_hundred_mebibytes(gemini: httpx.Client, sandbox: Sandbox) -> None:
    answer = ask(gemini, {"contents": [{"parts": [{"text": "x" * (100 * MEBIBYTE)}]}]})
    assert_refused(answer, 400, "INVALID_ARGUMENT", says="payload size exceeds the limit")
    assert sandbox.calls()[0]["body_bytes"] > 100 * MEBIBYTE


def test_a_refused_request_uses_up_no_outcome(gemini: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["503", "ok"])
    assert ask(gemini, order(nonsense=1)).status_code == 400
    assert ask(gemini, order()).status_code == 503


@pytest.mark.parametrize(
    ("outcome", "kinds"),
    [
        ("ok", ["image"]),
        ("text_before", ["text", "image"]),
        ("text_after", ["image", "text"]),
        ("thoughts", ["thought text", "thought image", "image"]),
        ("drafts", ["image", "image", "image"]),
        ("thought_only", ["thought text", "thought image"]),
        ("text_only", ["text"]),
    ],
)
def test_its_parts_come_in_every_order(
    gemini: httpx.Client, sandbox: Sandbox, outcome: str, kinds: list[str]
) -> None:
    sandbox.dial([outcome])
    parts = parts_of(ask(gemini, order()))
    named = [("thought " if part.get("thought") else "") + _kind(part) for part in parts]
    assert named == kinds
    assert all(("thoughtSignature" in part) == (_kind_of(part) == "image") for part in parts)


def _kind(part: dict[str, Any]) -> str:
    return "image" if "inlineData" in part else "text"


def _kind_of(part: dict[str, Any]) -> str:
    return "thought" if part.get("thought") else _kind(part)


def test_only_the_last_draft_is_the_picture(gemini: httpx.Client, sandbox: Sandbox) -> None:
    plain = raw_of(ask(gemini, order()))
    sandbox.dial(["drafts"])
    drawn = [b64decode(part["inlineData"]["data"]) for part in parts_of(ask(gemini, order()))]
    assert drawn[-1] == plain
    assert len(set(drawn)) == 3


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_it_draws_in_every_format(gemini: httpx.Client, sandbox: Sandbox, kind: str) -> None:
    sandbox.dial([kind])
    (part,) = parts_of(ask(gemini, order()))
    raw = b64decode(part["inlineData"]["data"])
    assert part["inlineData"]["mimeType"] == f"image/{kind}"
    assert Image.open(io.BytesIO(raw)).format == kind.upper()


def test_it_only_talks_when_no_image_is_asked_for(gemini: httpx.Client) -> None:
    (part,) = parts_of(ask(gemini, order(responseModalities=["TEXT"])))
    assert _kind(part) == "text"


EMPTY_SHAPES: dict[str, Any] = {
    "": None,
    "no_content": None,
    "empty_content": {},
    "role_only": {"role": "model"},
    "null_parts": {"role": "model", "parts": None},
    "empty_parts": {"role": "model", "parts": []},
}


@pytest.mark.parametrize("reason", ["IMAGE_SAFETY", "NO_IMAGE", "STOP", "SOMETHING_NEW"])
@pytest.mark.parametrize("shape", EMPTY_SHAPES)
def test_it_knows_every_shape_of_nothing(
    gemini: httpx.Client, sandbox: Sandbox, reason: str, shape: str
) -> None:
    sandbox.dial([f"finish:{reason}:{shape}".rstrip(":")])
    candidate = only_candidate(ask(gemini, order()))
    assert candidate["finishReason"] == reason
    assert candidate.get("content") == EMPTY_SHAPES[shape]


@pytest.mark.parametrize(
    "reason",
    "STOP MAX_TOKENS IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_OTHER NO_IMAGE IMAGE_RECITATION "
    "SAFETY RECITATION OTHER LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII MALFORMED_FUNCTION_CALL "
    "UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE MALFORMED_RESPONSE "
    "ESCALATION PUP_LIMITED_DISABLED CONTINUATION MODEL_ARMOR".split(),
)
def test_it_ends_for_every_reason_with_and_without_an_image(
    gemini: httpx.Client, sandbox: Sandbox, reason: str
) -> None:
    sandbox.dial([f"finish:{reason}", f"finish:{reason}:image"])
    nothing, image = ask(gemini, order()), ask(gemini, order())
    assert only_candidate(nothing)["finishReason"] == reason
    assert "content" not in only_candidate(nothing)
    assert only_candidate(image)["finishReason"] == reason
    assert picture_of(image).size == (1200, 896)


def test_no_image_and_content_blocked_are_finish_reasons(
    gemini: httpx.Client, sandbox: Sandbox
) -> None:
    sandbox.dial(["no_image", "content_blocked"])
    assert only_candidate(ask(gemini, order()))["finishReason"] == "NO_IMAGE"
    blocked = only_candidate(ask(gemini, order()))
    assert blocked["finishReason"] == "IMAGE_SAFETY"
    assert blocked["finishMessage"].startswith("Unable to show the generated image")


@pytest.mark.parametrize(
    "reason", ["SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY"]
)
def test_it_blocks_the_prompt(gemini: httpx.Client, sandbox: Sandbox, reason: str) -> None:
    sandbox.dial([f"block:{reason}"])
    body = ask(gemini, order()).json()
    assert body["promptFeedback"] == {"blockReason": reason}
    assert "candidates" not in body


@pytest.mark.parametrize(
    ("outcome", "candidates"),
    [("no_candidates", "missing"), ("null_candidates", None), ("empty_candidates", [])],
)
def test_it_answers_without_candidates(
    gemini: httpx.Client, sandbox: Sandbox, outcome: str, candidates: Any
) -> None:
    sandbox.dial([outcome])
    assert ask(gemini, order()).json().get("candidates", "missing") == candidates


@pytest.mark.parametrize(
    ("outcome", "mime", "start"),
    [
        ("not_an_image", "image/png", b"This is no picture"),
        ("empty_image", "image/png", b""),
        ("wrong_mime", "image/png", b"\xff\xd8\xff"),
        ("html_image", "image/png", b"<!DOCTYPE html>"),
        ("svg", "image/svg+xml", b"<svg"),
        ("pdf", "image/png", b"%PDF"),
        ("no_mime", None, b"\xff\xd8\xff"),
    ],
)
def test_it_sends_what_is_not_the_image_it_claims(
    gemini: httpx.Client, sandbox: Sandbox, outcome: str, mime: str | None, start: bytes
) -> None:
    sandbox.dial([outcome])
    (part,) = parts_of(ask(gemini, order()))
    raw = b64decode(part["inlineData"]["data"])
    assert part["inlineData"].get("mimeType") == mime
    assert raw.startswith(start) and (raw == b"") == (start == b"")


@pytest.mark.parametrize(("outcome", "size"), [("tiny", (1, 1)), ("bomb_png", (40_000, 40_000))])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_it_sends_a_png_of_an_absurd_size(
    gemini: httpx.Client, sandbox: Sandbox, outcome: str, size: tuple[int, int]
) -> None:
    sandbox.dial([outcome])
    (part,) = parts_of(ask(gemini, order()))
    raw = b64decode(part["inlineData"]["data"])
    width, height = (int.from_bytes(raw[at : at + 4]) for at in (16, 20))
    assert (width, height) == size
    assert raw[29:33] == zlib.crc32(raw[12:29]).to_bytes(4)
    assert len(raw) < 1000


def test_it_sends_a_picture_that_breaks_off(gemini: httpx.Client, sandbox: Sandbox) -> None:
    whole = raw_of(ask(gemini, order()))
    sandbox.dial(["cut_image"])
    assert raw_of(ask(gemini, order())) == whole[: len(whole) // 2]


def test_it_sends_base64_that_is_none(gemini: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["broken_base64"])
    (part,) = parts_of(ask(gemini, order()))
    with pytest.raises(ValueError):
        b64decode(part["inlineData"]["data"], validate=True)


def test_it_leaves_out_the_usage(gemini: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["no_usage"])
    answer = ask(gemini, order())
    assert "usageMetadata" not in answer.json()
    assert picture_of(answer).size == (1200, 896)


def test_it_answers_from_another_model(gemini: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["other_model"])
    answer = ask(gemini, order())
    assert answer.json()["modelVersion"] != MODEL
    assert picture_of(answer).size == (1200, 896)


@pytest.mark.parametrize(
    ("outcome", "status", "rpc"),
    [
        ("400", 400, "INVALID_ARGUMENT"),
        ("403", 403, "PERMISSION_DENIED"),
        ("500", 500, "INTERNAL"),
        ("503", 503, "UNAVAILABLE"),
        ("504", 504, "DEADLINE_EXCEEDED"),
        ("bad_key", 400, "INVALID_ARGUMENT"),
        ("leaked_key", 403, "PERMISSION_DENIED"),
        ("billing_off", 400, "FAILED_PRECONDITION"),
        ("quota", 429, "RESOURCE_EXHAUSTED"),
    ],
)
def test_it_fails_in_googles_envelope(
    gemini: httpx.Client, sandbox: Sandbox, outcome: str, status: int, rpc: str
) -> None:
    sandbox.dial([outcome])
    assert_refused(ask(gemini, order()), status, rpc)
    assert sandbox.calls()[0]["status"] == status


@pytest.mark.parametrize(
    ("outcome", "quota", "value", "delay"),
    [
        ("429_minute", "PerMinute", "10", "1.5s"),
        ("429_day", "PerDay", "250", "38400s"),
        ("429_limit0", "FreeTier", "0", "37s"),
        ("quota", "PerDay", "250", None),
    ],
)
def test_it_runs_out_of_quota_in_different_ways(
    gemini: httpx.Client, sandbox: Sandbox, outcome: str, quota: str, value: str, delay: str | None
) -> None:
    sandbox.dial([outcome])
    answer = ask(gemini, order())
    assert_refused(answer, 429, "RESOURCE_EXHAUSTED", says=f"limit: {value}")
    details = {
        entry["@type"].rpartition(".")[2]: entry for entry in answer.json()["error"]["details"]
    }
    (violation,) = details["QuotaFailure"]["violations"]
    assert quota in violation["quotaId"]
    assert (violation["quotaValue"], violation["quotaDimensions"]["model"]) == (value, MODEL)
    assert details.get("RetryInfo", {}).get("retryDelay") == delay


def test_a_failure_that_stays_meets_look_ups_too(gemini: httpx.Client, sandbox: Sandbox) -> None:
    url = f"/v1beta/models/{MODEL}"
    sandbox.dial(["bad_key", "ok"])
    assert gemini.get(url).status_code == 200
    sandbox.dial(["no_image"])
    assert gemini.get(url).status_code == 200
    sandbox.dial(["bad_key"])
    assert gemini.get(url).status_code == 400


def start_upload(gemini: httpx.Client, raw: bytes, name: str = "photo") -> str:
    headers = {
        "x-goog-upload-protocol": "resumable",
        "x-goog-upload-command": "start",
        "x-goog-upload-header-content-length": str(len(raw)),
        "x-goog-upload-header-content-type": "image/jpeg",
    }
    body = {"file": {"display_name": name}}
    answer = gemini.post("/upload/v1beta/files", json=body, headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["x-goog-upload-status"] == "active"
    return answer.headers["x-goog-upload-url"]


def send_chunk(url: str, chunk: bytes, offset: int, command: str) -> httpx.Response:
    headers = {"x-goog-upload-command": command, "x-goog-upload-offset": str(offset)}
    return httpx.post(url, content=chunk, headers=headers, trust_env=False)


def uploaded(gemini: httpx.Client, raw: bytes, name: str = "photo") -> dict[str, Any]:
    answer = send_chunk(start_upload(gemini, raw, name), raw, 0, "upload, finalize")
    assert answer.headers["x-goog-upload-status"] == "final"
    file: dict[str, Any] = answer.json()["file"]
    return file


def with_file(file: dict[str, Any]) -> dict[str, Any]:
    data = {"fileUri": file["uri"], "mimeType": file["mimeType"]}
    return {"contents": [{"parts": [{"fileData": data}, {"text": "Paint it"}]}]}


def test_an_uploaded_file_stands_for_its_bytes(gemini: httpx.Client, sandbox: Sandbox) -> None:
    photo = photos.jpeg()
    file = uploaded(gemini, photo)
    assert file["uri"] == f"{sandbox.url}/v1beta/{file['name']}"
    assert (file["state"], file["sizeBytes"]) == ("ACTIVE", str(len(photo)))
    assert b64decode(file["sha256Hash"]) == hashlib.sha256(photo).digest()
    assert gemini.get(f"/v1beta/{file['name']}").json() == file
    assert raw_of(ask(gemini, with_file(file))) == raw_of(ask(gemini, order("Paint it", photo)))


def test_a_big_file_comes_in_chunks(gemini: httpx.Client) -> None:
    raw = bytes(range(256)) * (9 * MEBIBYTE // 256)
    url = start_upload(gemini, raw)
    first = send_chunk(url, raw[: 8 * MEBIBYTE], 0, "upload")
    assert (first.headers["x-goog-upload-status"], first.content) == ("active", b"")
    last = send_chunk(url, raw[8 * MEBIBYTE :], 8 * MEBIBYTE, "upload, finalize")
    file = last.json()["file"]
    assert file["sizeBytes"] == str(len(raw))
    assert b64decode(file["sha256Hash"]) == hashlib.sha256(raw).digest()


@pytest.mark.parametrize(
    ("size", "offset", "command"),
    [(100, 0, "upload"), (100, 50, "upload, finalize"), (100, 0, "query"), (100, 0, "")],
)
def test_it_refuses_a_chunk_out_of_place(
    gemini: httpx.Client, size: int, offset: int, command: str
) -> None:
    url = start_upload(gemini, b"x" * size)
    assert send_chunk(url, b"x" * size, offset, command).status_code == 400


def test_a_file_is_processed_for_some_polls(gemini: httpx.Client) -> None:
    file = uploaded(gemini, photos.jpeg(), "photo [sandbox processing=2]")
    assert (file["state"], file["displayName"]) == ("PROCESSING", "photo")
    early = ask(gemini, with_file(file))
    assert_refused(early, 400, "FAILED_PRECONDITION", says="not in an ACTIVE state")
    states = [gemini.get(f"/v1beta/{file['name']}").json()["state"] for _ in range(2)]
    assert states == ["PROCESSING", "ACTIVE"]
    assert ask(gemini, with_file(file)).status_code == 200


def test_a_file_can_fail(gemini: httpx.Client) -> None:
    file = uploaded(gemini, photos.jpeg(), "photo [sandbox state=FAILED]")
    assert file["state"] == "FAILED"
    assert file["error"]["message"]


def test_a_deleted_file_is_gone(gemini: httpx.Client) -> None:
    file = uploaded(gemini, photos.jpeg())
    assert gemini.delete(f"/v1beta/{file['name']}").json() == {}
    assert_refused(gemini.get(f"/v1beta/{file['name']}"), 404, "NOT_FOUND")
    assert_refused(ask(gemini, with_file(file)), 404, "NOT_FOUND")


def test_it_refuses_a_bare_file_name_for_a_uri(gemini: httpx.Client) -> None:
    file = uploaded(gemini, photos.jpeg())
    answer = ask(gemini, with_file({**file, "uri": file["name"]}))
    assert_refused(answer, 400, "INVALID_ARGUMENT", says="Invalid file uri")


def test_an_upload_needs_the_key_only_at_its_start(gemini: httpx.Client) -> None:
    answer = gemini.post("/upload/v1beta/files", json={}, headers={"x-goog-api-key": "wrong"})
    assert_refused(answer, 400, "INVALID_ARGUMENT", says="API key not valid.")
