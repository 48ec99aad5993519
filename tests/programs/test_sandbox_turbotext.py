"""The sandbox's Turbotext: strict, fetching its pictures itself, with every layout it may have."""

import io
from collections.abc import Iterator
from typing import Any

import httpx
import photos
import pytest
from PIL import Image
from rig import Sandbox
from stranger import Stranger, open_stranger

BEARER = {"authorization": "Bearer sandbox"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def _stranger() -> Iterator[Stranger]:
    with open_stranger() as stranger:
        yield stranger


@pytest.fixture
def photo(_stranger: Stranger) -> str:
    """The address of a picture."""
    _stranger.files.clear()
    _stranger.visits.clear()
    return _stranger.show("/photo.jpg", photos.jpeg())


@pytest.fixture
def face(_stranger: Stranger, photo: str) -> str:
    """The address of another picture."""
    return _stranger.show("/face.png", photos.png(320, 400), "image/png")


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[httpx.Client]:
    sandbox.dial(["ok@0"], provider="turbotext")
    with httpx.Client(base_url=sandbox.url, headers=BEARER, trust_env=False, timeout=20) as client:
        yield client


def create(api: httpx.Client, method: str, **form: str) -> dict[str, Any]:
    answer = api.post(f"/api_ai/{method}", data={"do": "create_queue", **form})
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def poll(api: httpx.Client, method: str, queue_id: object) -> httpx.Response:
    form = {"do": "get_result", "queueid": str(queue_id)}
    return api.post(f"/api_ai/{method}", data=form)


def finish(api: httpx.Client, method: str, **form: str) -> dict[str, Any]:
    """The final answer to an order."""
    queued = create(api, method, **form)
    assert queued["success"] is True, queued
    said: dict[str, Any] = poll(api, method, queued["queueid"]).json()
    return said


def picture_of(api: httpx.Client, said: dict[str, Any]) -> Image.Image:
    """The finished picture, wherever its link stands."""
    link = said.get("uploaded_image") or said["data"]["image"][0]
    answer = api.get(httpx.URL(str(api.base_url)).join(link))
    assert answer.headers["content-type"] == "image/png"
    return Image.open(io.BytesIO(answer.content)).convert("RGB")


def refused(said: dict[str, Any], words: str) -> bool:
    return said["success"] is False and words in said["error"]


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"authorization": "Bearer wrong"}, "ключ"),
        ({"authorization": "sandbox"}, "ключ"),
        ({"content-type": "application/json"}, "Ожидается"),
        ({"content-type": "multipart/form-data; boundary=x"}, "Ожидается"),
    ],
)
def test_it_wants_the_key_as_bearer_and_a_form(
    api: httpx.Client, sandbox: Sandbox, photo: str, headers: dict[str, str], words: str
) -> None:
    answer = api.post(
        "/api_ai/generate_image2image",
        content=f"do=create_queue&url={photo}&content=Snow",
        headers=FORM | headers,
    )

    assert refused(answer.json(), words)
    assert sandbox.calls()[-1]["outcome"] == "refused"


GOOD = {"content": "Snow"}


@pytest.mark.parametrize(
    ("method", "change", "words"),
    [
        ("generate_image2image", {"url": ""}, "url"),
        ("generate_image2image", {"content": ""}, "content"),
        ("generate_image2image", {"url": "ftp://a/b.jpg"}, "url"),
        ("generate_image2image", {"strength": "81"}, "strength"),
        ("generate_image2image", {"strength": "40.0"}, "strength"),
        ("generate_image2image", {"scale": "7,5"}, "scale"),
        ("generate_image2image", {"scale": "21"}, "scale"),
        ("generate_image2image", {"seed": "0"}, "seed"),
        ("generate_image2image", {"negative_prompt": "w " * 81}, "negative_prompt"),
        ("generate_image2image", {"photo_url": "x"}, "photo_url"),
        ("mix_images", {"url_image_target": ""}, "url_image_target"),
        ("deepfake_photo", {"url_image_target": "http://a/b.jpg"}, "content"),
        ("paint_me", {}, "Метод"),
    ],
)
def test_it_checks_every_field(
    api: httpx.Client, photo: str, method: str, change: dict[str, str], words: str
) -> None:
    form = {"url": photo, **GOOD} | change

    assert refused(create(api, method, **form), words)


def test_it_wants_to_know_the_step(api: httpx.Client, photo: str) -> None:
    for step in ({}, {"do": "cancel"}):
        answer = api.post("/api_ai/mix_images", data={**step, "url": photo})
        assert refused(answer.json(), "do")


def test_a_queue_id_belongs_to_its_method(api: httpx.Client, photo: str) -> None:
    queued = create(api, "generate_image2image", url=photo, **GOOD)

    assert refused(poll(api, "mix_images", queued["queueid"]).json(), "не найдено")
    assert refused(poll(api, "generate_image2image", "../x").json(), "не найдено")
    assert poll(api, "generate_image2image", queued["queueid"]).json()["success"] is True


def test_it_says_reconnect_twice_unless_told_otherwise(api: httpx.Client, photo: str) -> None:
    for marker, count in (("", 2), ("@0", 0), ("@3", 3)):
        content = f"[sandbox outcome=ok{marker}] Snow"
        queued = create(api, "generate_image2image", url=photo, content=content)["queueid"]
        answers = [poll(api, "generate_image2image", queued).json() for _ in range(count + 1)]
        actions = [answer.get("action", "").lower() for answer in answers]
        assert actions == ["reconnect"] * count + [""]


def test_an_endless_queue_never_ends(api: httpx.Client, photo: str) -> None:
    content = "[sandbox outcome=ok@endless] Snow"
    queued = create(api, "generate_image2image", url=photo, content=content)["queueid"]

    assert all("action" in poll(api, "generate_image2image", queued).json() for _ in range(5))


def test_it_is_not_ready_before_its_latency(api: httpx.Client, photo: str) -> None:
    content = "[sandbox outcome=ok@0 latency=600] Snow"
    queued = create(api, "generate_image2image", url=photo, content=content)["queueid"]

    assert "action" in poll(api, "generate_image2image", queued).json()


def test_it_fetches_the_pictures_itself_and_notes_what_it_got(
    api: httpx.Client, sandbox: Sandbox, _stranger: Stranger, photo: str, face: str
) -> None:
    finish(api, "deepfake_photo", url=photo, url_image_target=face)

    [call] = sandbox.calls(provider="turbotext")
    assert call["fields"]["url"] == photo
    fetched = [(one["field"], one["method"], one["status"]) for one in call["fetches"]]
    assert fetched == [
        ("url", "HEAD", 200),
        ("url", "GET", 200),
        ("url_image_target", "HEAD", 200),
        ("url_image_target", "GET", 200),
    ]
    assert call["fetches"][1]["bytes"] == len(photos.jpeg())
    assert call["fetches"][3]["headers"]["content-type"] == "image/png"
    assert [image["mime"] for image in call["images"]] == ["image/jpeg", "image/png"]
    assert all("authorization" not in str(headers).lower() for *_, headers in _stranger.visits)


@pytest.mark.parametrize(
    ("mime", "data", "status"),
    [
        ("image/jpeg", b"no picture", 200),
        ("image/webp", photos.webp(), 200),
        ("text/html", photos.jpeg(), 200),
        ("image/jpeg", photos.jpeg(), 410),
    ],
)
def test_a_link_that_leads_to_no_picture_fails_the_order(
    api: httpx.Client, _stranger: Stranger, photo: str, mime: str, data: bytes, status: int
) -> None:
    link = _stranger.show("/other", data, mime, status)

    assert refused(finish(api, "generate_image2image", url=link, **GOOD), "url")


def test_a_link_that_leads_nowhere_fails_the_order(
    api: httpx.Client, sandbox: Sandbox, photo: str
) -> None:
    said = finish(api, "generate_image2image", url="http://127.0.0.1:9/photo.jpg", **GOOD)

    assert refused(said, "url")
    assert sandbox.calls(provider="turbotext")[0]["fetches"][0]["status"] is None


@pytest.mark.parametrize(
    ("method", "worked_on"), [("mix_images", "url_image_target"), ("deepfake_photo", "url")]
)
def test_each_method_works_on_the_picture_in_its_own_field(
    api: httpx.Client, photo: str, face: str, method: str, worked_on: str
) -> None:
    [other] = {"url", "url_image_target"} - {worked_on}
    wide = finish(api, method, **{worked_on: photo, other: face})
    tall = finish(api, method, **{worked_on: face, other: photo})

    assert picture_of(api, wide).size == (768, 576)
    assert picture_of(api, tall).size == (768, 960)


def test_each_method_answers_in_its_own_layout(api: httpx.Client, photo: str, face: str) -> None:
    edited = finish(api, "generate_image2image", url=photo, **GOOD)
    mixed = finish(api, "mix_images", url=face, url_image_target=photo)
    swapped = finish(api, "deepfake_photo", url=photo, url_image_target=face)

    assert "uploaded_image" not in edited and edited["data"]["image"][0].startswith("image/")
    assert "image" not in mixed["data"] and mixed["uploaded_image"].startswith("http")
    assert swapped["data"]["image"] == [swapped["uploaded_image"]]
    assert all(picture_of(api, said).size == (768, 576) for said in (edited, mixed, swapped))


def test_the_list_of_methods_is_no_order(api: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["503", "ok"], provider="turbotext")

    assert create(api, "available_api")["success"] is True
    assert sandbox.calls(provider="turbotext") == []
    assert api.post("/api_ai/mix_images", data={"do": "create_queue"}).status_code == 200


@pytest.mark.parametrize("outcome", ["nonsense", "error:whatever", "poll:", "download:later", "@2"])
def test_an_outcome_it_does_not_know_is_refused(api: httpx.Client, outcome: str) -> None:
    dial = {"provider": "turbotext", "outcomes": [outcome]}

    answer = api.put("/_sandbox/dials", json=dial)

    assert answer.status_code == 422
    assert "mix_layout" in answer.json()["known"]


def test_a_misspelt_marker_is_refused_in_the_words_of_the_service(
    api: httpx.Client, photo: str
) -> None:
    said = create(api, "generate_image2image", url=photo, content="[sandbox outcom=ok] Snow")

    assert refused(said, "outcom")
