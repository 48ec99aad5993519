"""The sandbox: its picture, its dials, its record of calls."""

import io
import itertools
import json
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import photos
import pytest
from PIL import Image
from rig import Sandbox, until

from service.sandbox.lettering import drawable, fitted, font
from service.sandbox.picture import band_box, thumbnail_boxes

MODEL = "gemini-3-pro-image"
FLAT = (900, 600)


@pytest.fixture
def gemini(sandbox: Sandbox) -> Iterator[httpx.Client]:
    headers = {"x-goog-api-key": "sandbox"}
    with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False, timeout=20) as client:
        yield client


def order(
    prompt: str = "Paint it", *images: bytes, mime: str = "image/jpeg", **config: Any
) -> dict[str, Any]:
    """The body of a generateContent call; without images it carries one photo."""
    blobs = [{"mimeType": mime, "data": b64encode(raw).decode()} for raw in images]
    if not images:
        blobs = [{"mimeType": mime, "data": b64encode(photos.jpeg()).decode()}]
    parts: list[dict[str, Any]] = [{"inlineData": blob} for blob in blobs]
    body: dict[str, Any] = {"contents": [{"role": "user", "parts": [*parts, {"text": prompt}]}]}
    return {**body, "generationConfig": config} if config else body


def ask(gemini: httpx.Client, body: dict[str, Any], model: str = MODEL) -> httpx.Response:
    return gemini.post(f"/v1beta/models/{model}:generateContent", json=body)


def parts_of(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    parts: list[dict[str, Any]] = answer.json()["candidates"][0]["content"]["parts"]
    return parts


def raw_of(answer: httpx.Response) -> bytes:
    return b64decode(parts_of(answer)[-1]["inlineData"]["data"], validate=True)


def picture_of(answer: httpx.Response) -> Image.Image:
    return Image.open(io.BytesIO(raw_of(answer))).convert("RGB")


def flat(colour: str, size: tuple[int, int] = FLAT) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG", quality=95)
    return file.getvalue()


def middle(picture: Image.Image, box: tuple[int, int, int, int]) -> str:
    """The strongest of red, green and blue in the middle of a box."""
    pixel = picture.getpixel(((box[0] + box[2]) // 2, (box[1] + box[3]) // 2))
    assert isinstance(pixel, tuple)
    return ("red", "green", "blue")[pixel.index(max(pixel))]


def test_it_answers_with_an_edited_picture(gemini: httpx.Client) -> None:
    answer = ask(gemini, order())
    body = answer.json()
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert body["candidates"][0]["finishReason"] == "STOP"
    assert body["modelVersion"] == MODEL
    assert body["responseId"]
    assert parts_of(answer)[0]["inlineData"]["mimeType"] == "image/jpeg"
    assert picture_of(answer).size == (1200, 896)


def test_it_counts_tokens_as_the_real_service_does(gemini: httpx.Client) -> None:
    usage = ask(gemini, order("12345678")).json()["usageMetadata"]
    assert usage["candidatesTokensDetails"] == [{"modality": "IMAGE", "tokenCount": 1120}]
    assert usage["promptTokenCount"] == 2 + 560
    parts = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    assert usage["totalTokenCount"] == sum(usage[part] for part in parts)


def test_it_draws_the_same_picture_for_the_same_order(sandbox: Sandbox) -> None:
    pictures = []
    for _ in range(2):
        with httpx.Client(headers={"x-goog-api-key": "sandbox"}, trust_env=False) as client:
            url = f"{sandbox.url}/v1beta/models/{MODEL}:generateContent"
            pictures.append(raw_of(client.post(url, json=order("Again"))))
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(
    ("prompt", "photo", "model"),
    [
        ("Another", photos.jpeg(), MODEL),
        ("Again", photos.jpeg(text="another"), MODEL),
        ("Again", photos.jpeg(), "gemini-nano-banana-2.1"),
    ],
)
def test_it_draws_another_picture_for_another_order(
    gemini: httpx.Client, prompt: str, photo: bytes, model: str
) -> None:
    first = raw_of(ask(gemini, order("Again", photos.jpeg())))
    assert raw_of(ask(gemini, order(prompt, photo), model)) != first


def test_it_shows_further_images_in_their_order(gemini: httpx.Client) -> None:
    images = [flat("white"), flat("red"), flat("lime"), flat("blue")]
    picture = picture_of(ask(gemini, order("Mix", *images)))
    boxes = thumbnail_boxes(picture.size, 3)
    assert [middle(picture, box) for box in boxes] == ["red", "green", "blue"]


def test_it_shows_what_each_image_was_called(gemini: httpx.Client) -> None:
    pictures = []
    for role in ("style", "face"):
        body = order("Mix", flat("white"), flat("red"))
        guidance = {"text": f"Image 1: the photo. Image 2: the {role}."}
        body["contents"][0]["parts"].insert(2, guidance)
        pictures.append(picture_of(ask(gemini, body)))
    [(left, top, right, bottom)] = thumbnail_boxes(pictures[0].size, 1)
    foot = (left, (top + bottom) // 2, right, bottom)
    band = band_box(pictures[0].size)
    for box in (foot, band):
        one, other = (picture.crop(box).tobytes() for picture in pictures)
        assert one != other


def test_it_finds_room_for_all_images_a_model_takes(gemini: httpx.Client) -> None:
    images = [flat("white"), *itertools.repeat(flat("red"), 12), flat("blue")]
    picture = picture_of(ask(gemini, order("Mix", *images, imageConfig={"aspectRatio": "21:9"})))
    boxes = thumbnail_boxes(picture.size, 13)
    assert middle(picture, boxes[-1]) == "blue"
    assert all(box[0] > 0 and box[3] < band_box(picture.size)[1] for box in boxes)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_turns_the_photo_upright(gemini: httpx.Client, orientation: int) -> None:
    upright = Image.new("RGB", (600, 900), "black")
    upright.paste("white", (0, 0, 600, 450))
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turns[orientation]) if orientation > 1 else upright
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    stored.save(file, "JPEG", exif=exif)
    picture = picture_of(ask(gemini, order("Turn", file.getvalue()))).convert("L")
    assert picture.size == (848, 1264)
    above, below = (picture.tobytes()[row * picture.width + 424] for row in (200, 900))
    assert above > below + 80


@pytest.mark.parametrize(
    ("raw", "mime"),
    [
        (photos.png(alpha=True), "image/png"),
        (photos.webp(), "image/webp"),
        (photos.heic(), "image/heic"),
        (photos.heic(), "image/heif"),
    ],
)
def test_it_takes_every_kind_of_photo(gemini: httpx.Client, raw: bytes, mime: str) -> None:
    assert picture_of(ask(gemini, order("Any", raw, mime=mime))).size == (1200, 896)


@pytest.mark.parametrize(
    ("model", "config", "size"),
    [
        (MODEL, {"imageSize": "2K"}, (2400, 1792)),
        (MODEL, {"imageSize": "4K", "aspectRatio": "9:16"}, (3072, 5504)),
        ("gemini-nano-banana-2.1", {"aspectRatio": "1:8"}, (384, 3072)),
        ("gemini-2.5-flash-image", {"aspectRatio": "3:2"}, (1248, 832)),
    ],
)
def test_it_draws_the_size_that_was_asked(
    gemini: httpx.Client, model: str, config: dict[str, str], size: tuple[int, int]
) -> None:
    assert picture_of(ask(gemini, order(imageConfig=config), model)).size == size


def test_it_draws_without_a_photo_too(gemini: httpx.Client) -> None:
    body = {"contents": [{"parts": [{"text": "A lighthouse"}]}]}
    assert picture_of(ask(gemini, body)).size == (1024, 1024)


def test_its_letters_can_all_be_drawn() -> None:
    assert drawable("Сделай\nЩучий ЁЖ — é 漢") == "Sdelaj Shchuchij EZh - e ·"


def test_its_caption_ends_at_a_word() -> None:
    face = font(20)
    room = face.getlength("several words …")
    assert fitted("several words do not fit", face, room) == "several words…"


def test_outcomes_are_used_up_in_order_and_the_last_one_stays(
    gemini: httpx.Client, sandbox: Sandbox
) -> None:
    sandbox.dial(["503", "429", "ok"])
    assert [ask(gemini, order()).status_code for _ in range(4)] == [503, 429, 200, 200]
    assert [call["outcome"] for call in sandbox.calls()] == ["503", "429", "ok", "ok"]


def test_the_dials_show_what_is_left(gemini: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["503", "ok"], latency_s=0.01, drip=False)
    ask(gemini, order())
    shown = gemini.get("/_sandbox/dials").json()["gemini"]
    assert (shown["outcomes"], shown["latency_s"], shown["drip"]) == (["ok"], 0.01, False)
    assert "no_image" in shown["known_outcomes"]


def test_resetting_the_dials_keeps_the_calls(gemini: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["503"], latency_s=0.1)
    ask(gemini, order())
    assert gemini.delete("/_sandbox/dials").status_code == 204
    assert ask(gemini, order()).status_code == 200
    assert len(sandbox.calls()) == 2
    assert gemini.delete("/_sandbox/calls").status_code == 204
    assert sandbox.calls() == []


@pytest.mark.parametrize(
    ("dial", "named"),
    [
        ({"provider": "nobody"}, "gemini"),
        ({"provider": "gemini", "outcomes": ["ok", "nonsense"]}, "no_image"),
        ({"provider": "gemini", "outcomes": ["finish:NO_SUCH_REASON"]}, "no_image"),
        ({"provider": "gemini", "outcomes": ["200"]}, "no_image"),
        ({"provider": "gemini", "outcomes": []}, "outcomes"),
        ({"provider": "gemini", "latency_s": -1}, "latency_s"),
        ({"provider": "gemini", "speed": 1}, "latency_s"),
    ],
)
def test_it_refuses_a_dial_and_names_what_it_knows(
    gemini: httpx.Client, dial: dict[str, Any], named: str
) -> None:
    answer = gemini.put("/_sandbox/dials", json=dial)
    assert answer.status_code == 422
    assert named in answer.json()["known"]
    assert ask(gemini, order()).status_code == 200


def test_it_refuses_a_dial_that_is_no_json(gemini: httpx.Client) -> None:
    for broken in (b"{", b'{"provider": "\xff"}'):
        assert gemini.put("/_sandbox/dials", content=broken).status_code == 422


def test_latency_is_the_whole_time_to_the_first_byte(
    gemini: httpx.Client, sandbox: Sandbox
) -> None:
    sandbox.dial(latency_s=2.0)
    body = json.dumps(order()).encode()

    def slowly() -> Iterator[bytes]:
        for start in range(0, len(body), len(body) // 5 + 1):
            time.sleep(0.3)
            yield body[start : start + len(body) // 5 + 1]

    path, json_body = f"/v1beta/models/{MODEL}:generateContent", {
        "content-type": "application/json"
    }
    answer = gemini.post(path, content=slowly(), headers=json_body)
    assert answer.status_code == 200
    # Its five pieces took 1.5 s, which are no part of 2 s after them.
    assert 2.0 <= sandbox.calls()[0]["latency_s"] < 3.3


@pytest.mark.parametrize("release", ["dial", "dials reset", "all reset"])
def test_held_answers_wait_for_the_next_turn_of_the_dials(
    gemini: httpx.Client, sandbox: Sandbox, release: str
) -> None:
    sandbox.dial(["503"], hold=True)
    with ThreadPoolExecutor(2) as threads:
        held = [threads.submit(ask, gemini, order()) for _ in range(2)]
        until(lambda: len(sandbox.calls(outcome="503")) == 2, "both are held")
        assert [call["status"] for call in sandbox.calls()] == [None, None]
        match release:
            case "dial":
                sandbox.dial()
            case "dials reset":
                assert gemini.delete("/_sandbox/dials").status_code == 204
            case "all reset":
                sandbox.reset()
        assert [answer.result().status_code for answer in held] == [503, 503]
    assert ask(gemini, order()).status_code == 200


def test_a_client_that_leaves_is_not_held(gemini: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(hold=True)
    gemini.timeout = httpx.Timeout(0.2)
    with pytest.raises(httpx.ReadTimeout):
        ask(gemini, order())
    until(lambda: sandbox.calls()[0]["client_disconnected"], "it is seen to have left")


def test_a_new_start_forgets_dials_and_calls(gemini: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["503"])
    ask(gemini, order())
    assert gemini.post("/_sandbox/reset").status_code == 204
    assert sandbox.calls() == []
    assert ask(gemini, order()).status_code == 200


def test_a_prompt_can_carry_its_own_outcome(gemini: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["503", "ok"])
    marked = "Paint it [sandbox outcome=content_blocked latency=0.3] softly"
    candidate = ask(gemini, order(marked)).json()["candidates"][0]
    assert candidate["finishReason"] == "IMAGE_SAFETY"
    assert sandbox.calls()[0]["latency_s"] >= 0.3
    assert sandbox.calls()[0]["prompt"] == marked
    assert ask(gemini, order()).status_code == 503


def test_a_marker_is_no_part_of_the_picture(gemini: httpx.Client) -> None:
    plain = raw_of(ask(gemini, order("Paint it")))
    assert raw_of(ask(gemini, order("Paint it [sandbox latency=0]"))) == plain


@pytest.mark.parametrize("marker", ["outcome=nonsense", "latency=soon", "mood=good"])
def test_it_refuses_a_misspelt_marker(gemini: httpx.Client, sandbox: Sandbox, marker: str) -> None:
    sandbox.dial(["no_image", "ok"])
    answer = ask(gemini, order(f"Paint [sandbox {marker}]"))
    assert answer.status_code == 400
    assert "Known: " in answer.json()["error"]["message"]
    assert gemini.get("/_sandbox/dials").json()["gemini"]["outcomes"] == ["no_image", "ok"]


def test_it_tells_what_it_received(gemini: httpx.Client, sandbox: Sandbox) -> None:
    photo = photos.jpeg(orientation=6, gps=True)
    before = time.time()
    ask(gemini, order("Сделай красиво", photo, flat("red"), imageConfig={"imageSize": "1K"}))
    (call,) = sandbox.calls()
    assert (call["provider"], call["action"], call["method"]) == ("gemini", "generate", "POST")
    assert call["path"] == f"/v1beta/models/{MODEL}:generateContent"
    assert (call["model"], call["outcome"], call["status"]) == (MODEL, "ok", 200)
    assert call["prompt"] == "Сделай красиво"
    assert call["parts"] == ["image", "image", "text"]
    assert call["generation_config"] == {"imageConfig": {"imageSize": "1K"}}
    assert before <= call["at"] <= time.time()
    assert call["client_disconnected"] is False
    first, second = call["images"]
    assert (first["mime"], first["bytes"]) == ("image/jpeg", len(photo))
    assert (first["exif"], first["gps"], first["orientation"]) == (True, True, 6)
    assert (second["exif"], second["gps"], second["orientation"]) == (False, False, 1)
    assert (second["width"], second["height"]) == FLAT


def test_it_never_shows_the_key(gemini: httpx.Client, sandbox: Sandbox) -> None:
    ask(gemini, order())
    gemini.get("/v1beta/models?key=sandbox-secret")
    (call,) = sandbox.calls()
    assert call["headers"]["x-goog-api-key"] == "***"
    assert "sandbox-secret" not in json.dumps(sandbox.calls(lookups="true"))


def test_look_ups_do_not_count_as_calls(gemini: httpx.Client, sandbox: Sandbox) -> None:
    gemini.get(f"/v1beta/models/{MODEL}")
    assert sandbox.calls() == []
    assert [call["action"] for call in sandbox.calls(lookups="true")] == ["model"]


def test_calls_can_be_filtered(gemini: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["503", "ok"])
    ask(gemini, order())
    ask(gemini, order(), "gemini-2.5-flash-image")
    assert len(sandbox.calls(provider="gemini")) == 2
    assert [call["model"] for call in sandbox.calls(outcome="503")] == [MODEL]
    assert sandbox.calls(model="gemini-2.5-flash-image", outcome="503") == []
    assert gemini.get("/_sandbox/calls?colour=red").status_code == 422


def test_it_serves_fifteen_photos_at_once(gemini: httpx.Client, sandbox: Sandbox) -> None:
    photo = photos.big_jpeg(12, target_bytes=4_000_000)
    with ThreadPoolExecutor(15) as crowd:
        bodies = [order(f"Number {number}", photo) for number in range(15)]
        answers = list(crowd.map(lambda body: ask(gemini, body), bodies))
    assert {answer.status_code for answer in answers} == {200}
    assert len({raw_of(answer) for answer in answers}) == 15
    assert len(sandbox.calls()) == 15
