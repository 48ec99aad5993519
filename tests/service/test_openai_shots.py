"""A slot of OpenAI as cameras and admins meet it: the whole service, the simulated OpenAI."""

import io
from collections.abc import Iterator

import photos
import pytest
from admin import Admin, signed_in
from camera import Camera
from PIL import Image
from rig import Sandbox, Service, until
from tables import ChangeSlot, Disk, Rows
from test_provider_failures import (
    AUTH,
    BAD_RESPONSE,
    BLOCKED,
    ERROR,
    QUOTA,
    UNAVAILABLE,
    assert_refused,
)
from test_slots import paths, saved

MODEL = "gpt-image-2.6-flare"
ORDER = {"provider": "openai", "operation": "image_edit", "settings": {"prompt": "Snow"}}
# The shortest window: nobody waits for what a provider asks to wait.
SHORT = {"sync_response_seconds": 10}

FAILURES = {
    "content_blocked": BLOCKED,
    "moderation:input": BLOCKED,
    "content_policy": BLOCKED,
    "quota": QUOTA,
    "money:billing_hard_limit_reached:400": QUOTA,
    "429_never": QUOTA,
    "429_wait": QUOTA,
    "bad_key": AUTH,
    "unverified": AUTH,
    "400": ERROR,
    "shut_down": ERROR,
    "413_html": ERROR,
    "502_html": UNAVAILABLE,
    "503": UNAVAILABLE,
    "reset": UNAVAILABLE,
    "null_data": BAD_RESPONSE,
    "broken_base64": BAD_RESPONSE,
    "html_200": BAD_RESPONSE,
    "not_an_image": BAD_RESPONSE,
    "cut_image": BAD_RESPONSE,
    "svg": BAD_RESPONSE,
    "tiny": BAD_RESPONSE,
    "bomb_png": BAD_RESPONSE,
    "huge": BAD_RESPONSE,
    "gzip_bomb": BAD_RESPONSE,
    "redirect": BAD_RESPONSE,
}
CALLED_ONCE = (
    *("content_blocked", "moderation:input", "content_policy", "quota", "429_never", "429_wait"),
    *("money:billing_hard_limit_reached:400", "bad_key", "unverified", "400", "shut_down"),
    *("413_html", "redirect", "reset"),
)
MAYBE_BILLED = {
    "content_blocked": True,
    "moderation:input": False,
    "quota": False,
    "bad_key": False,
    "503": False,
    "reset": True,
    "null_data": True,
    "not_an_image": True,
}


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


@pytest.fixture
def ordered(slot: ChangeSlot) -> None:
    """The first slot orders from OpenAI."""
    slot("slot-001", **ORDER, **SHORT)


@pytest.mark.usefixtures("ordered")
def test_a_photo_comes_back_edited_and_accounted_for(
    camera: Camera, sandbox: Sandbox, rows: Rows
) -> None:
    answer = camera.shoot()

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(answer.content)).size == (1536, 1024)
    [call] = sandbox.calls(provider="openai")
    assert call["fields"] == {
        "prompt": "Edit the photo. Image 1: the photo.\n\nSnow",
        "model": MODEL,
        "size": "auto",
        "quality": "medium",
        "output_format": "jpeg",
    }
    assert (call["file_names"], call["images"][0]["mime"]) == (["photo.jpg"], "image/jpeg")
    assert "transfer-encoding" not in call["headers"]
    assert int(call["headers"]["content-length"]) == call["body_bytes"]
    [row] = rows("select * from job_history")
    [attempt] = row["attempts"]
    assert (row["status"], attempt["outcome"]) == ("done", "ok")
    assert (attempt["provider"], attempt["model"]) == ("openai", MODEL)
    usage = attempt["usage"]
    assert attempt["tokens"] == usage["total_tokens"] > 0
    dollars = (
        usage["input_tokens_details"]["text_tokens"] * 5
        + usage["input_tokens_details"]["image_tokens"] * 8
        + usage["output_tokens"] * 30
    )
    assert attempt["cost_microusd"] == dollars


@pytest.mark.parametrize(
    ("outcome", "mime"), [("webp", "image/webp"), ("other_format", "image/png"), ("no_usage", None)]
)
@pytest.mark.usefixtures("ordered")
def test_the_bytes_tell_what_the_picture_is(
    camera: Camera, sandbox: Sandbox, outcome: str, mime: str | None
) -> None:
    sandbox.dial([outcome], provider="openai")

    answer = camera.shoot()

    assert (answer.status_code, answer.headers["content-type"]) == (200, mime or "image/jpeg")


@pytest.mark.parametrize("max_side_px", [0, 1024])
def test_a_heic_photo_arrives_as_jpeg(
    camera: Camera, sandbox: Sandbox, slot: ChangeSlot, max_side_px: int
) -> None:
    slot("slot-001", **ORDER, max_side_px=max_side_px)

    assert camera.shoot(photos.heic(), filename="IMG_1.HEIC").status_code == 200

    [call] = sandbox.calls(provider="openai")
    assert call["images"][0]["mime"] == "image/jpeg"
    assert call["file_names"] == ["photo.jpg"]


@pytest.mark.parametrize("outcome", FAILURES)
@pytest.mark.usefixtures("ordered")
def test_every_failure_has_its_answer_and_leaves_nothing(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk, outcome: str
) -> None:
    sandbox.dial([outcome], provider="openai")

    answer = camera.shoot()

    status, reason = FAILURES[outcome]
    assert_refused(answer, status, reason)
    assert ("retry-after" in answer.headers) == (status == 503)
    [row] = rows("select * from job_history")
    assert (row["status"], row["failure_reason"]) == ("failed", reason)
    assert [attempt["outcome"] for attempt in row["attempts"]] == [reason] * len(sandbox.calls())
    assert {attempt["provider"] for attempt in row["attempts"]} == {"openai"}
    assert disk("temp", "results", "previews") == []
    assert rows("select kind from media_object") == []
    if outcome in CALLED_ONCE:
        assert len(sandbox.calls()) == 1
    if outcome in MAYBE_BILLED:
        assert row["attempts"][-1]["maybe_billed"] is MAYBE_BILLED[outcome]
    if outcome in ("huge", "gzip_bomb"):
        until(lambda: sandbox.calls()[0]["client_disconnected"], "the connection is closed")


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("429_wait_ms", "provider_quota"),
        ("slow_down", "provider_quota"),
        ("503", "provider_unavailable"),
        ("null_data", "provider_bad_response"),
        ("cut_image", "provider_bad_response"),
    ],
)
@pytest.mark.usefixtures("ordered")
def test_a_failure_that_passes_is_survived(
    camera: Camera, sandbox: Sandbox, rows: Rows, outcome: str, reason: str
) -> None:
    sandbox.dial([outcome, "ok"], provider="openai")

    assert camera.shoot().status_code == 200

    [row] = rows("select attempts from job_history")
    assert len(sandbox.calls()) == 2
    assert [attempt["outcome"] for attempt in row["attempts"]] == [reason, "ok"]


@pytest.mark.usefixtures("ordered")
def test_what_openai_repeats_of_a_key_is_kept_nowhere(
    camera: Camera, service: Service, sandbox: Sandbox, rows: Rows
) -> None:
    sandbox.dial(["bad_key"], provider="openai")

    answer = camera.shoot()

    [attempt] = rows("select attempts from job_history")[0]["attempts"]
    assert attempt["details"].startswith("HTTP 401 | invalid_api_key | req_")
    for place in (str(rows("select * from job_history")), service.output, answer.text):
        assert "sk-s" not in place


@pytest.mark.parametrize(
    ("operation", "roles"),
    [
        ("image_edit", []),
        ("image_edit", ["background", "style", "style"]),
        ("style_transfer", ["style"]),
        ("identity_transfer", ["face", "background"]),
    ],
)
def test_each_operation_sends_photo_and_templates_in_their_order(
    admin: Admin, camera: Camera, sandbox: Sandbox, operation: str, roles: list[str]
) -> None:
    uses = [use(admin, role, photos.png(200 + n, 150)) for n, role in enumerate(roles)]
    saved(admin, **ORDER | {"operation": operation}, templates=uses)

    answer = camera.shoot()

    assert answer.status_code == 200, answer.text
    [call] = sandbox.calls(provider="openai")
    assert call["file_names"] == ["photo.jpg", *(f"{role}.png" for role in roles)]
    assert [one["width"] for one in call["images"][1:]] == [200 + n for n in range(len(roles))]


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"complexity": "low", "model": "gpt-image-2"}, "complexity"),
        ({"input_fidelity": "high"}, "input_fidelity"),
        ({"size": "1000x1000"}, "size"),
        ({"model": "gpt-image-1"}, "model"),
        ({"background": "transparent"}, "background"),
        ({"moderation": "low"}, "moderation"),
    ],
)
def test_what_the_model_does_not_take_is_refused_when_a_slot_is_saved(
    admin: Admin, settings: dict[str, str], path: str
) -> None:
    wrong = ORDER | {"settings": {"prompt": "x"} | settings}

    assert paths(admin.put("/api/slots/slot-001", {"version": 1, **wrong})) == [f"settings.{path}"]
    fallback = {"version": 1, "fallback": wrong | {"templates": []}}
    assert paths(admin.put("/api/slots/slot-001", fallback)) == [f"fallback.settings.{path}"]


def test_a_model_shut_down_since_it_was_saved_is_not_even_called(
    camera: Camera, sandbox: Sandbox, slot: ChangeSlot
) -> None:
    slot("slot-001", **ORDER | {"settings": {"prompt": "x", "model": "gpt-image-1"}})

    assert_refused(camera.shoot(), 503, "not_configured")

    assert sandbox.calls() == []


def test_a_heic_template_arrives_as_jpeg(admin: Admin, camera: Camera, sandbox: Sandbox) -> None:
    saved(admin, **ORDER, templates=[use(admin, "style", photos.heic())])

    assert camera.shoot().status_code == 200

    [call] = sandbox.calls(provider="openai")
    assert call["file_names"] == ["photo.jpg", "style.jpg"]


def use(admin: Admin, role: str, image: bytes) -> dict[str, str]:
    """Upload an image and use it as a template in a role."""
    answer = admin.post("/api/template-media", files={"file": ("template", image)})
    assert answer.is_success, answer.text
    return {"role": role, "media_id": answer.json()["id"]}
