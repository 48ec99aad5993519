"""A slot of Gemini as cameras and admins meet it: the whole service, the simulated Gemini."""

from collections.abc import Iterator

import photos
import pytest
from admin import Admin, signed_in
from camera import Camera
from rig import Sandbox, Service
from tables import ChangeSlot, Disk, Rows
from test_openai_shots import use
from test_provider_failures import (
    AUTH,
    BAD_RESPONSE,
    BLOCKED,
    ERROR,
    NO_IMAGE,
    QUOTA,
    assert_refused,
)
from test_slots import saved

MODEL = "gemini-nano-banana-2.1"


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


def test_a_photo_comes_back_edited_and_accounted_for(
    camera: Camera, sandbox: Sandbox, slot: ChangeSlot, rows: Rows
) -> None:
    settings = {
        "prompt": "Snow",
        "model": "gemini-3-pro-image",
        "aspect_ratio": "3:4",
        "image_size": "1K",
        "safety_sexually_explicit": "BLOCK_LOW_AND_ABOVE",
    }
    slot("slot-001", settings=settings)

    answer = camera.shoot()

    assert answer.status_code == 200, answer.text
    [call] = sandbox.calls()
    assert call["generation_config"]["imageConfig"] == {"aspectRatio": "3:4", "imageSize": "1K"}
    assert {one["category"]: one["threshold"] for one in call["safety_settings"]} == {
        "HARM_CATEGORY_HARASSMENT": "BLOCK_ONLY_HIGH",
        "HARM_CATEGORY_HATE_SPEECH": "BLOCK_ONLY_HIGH",
        "HARM_CATEGORY_SEXUALLY_EXPLICIT": "BLOCK_LOW_AND_ABOVE",
        "HARM_CATEGORY_DANGEROUS_CONTENT": "BLOCK_ONLY_HIGH",
    }
    [row] = rows("select attempts from job_history")
    [attempt] = row["attempts"]
    assert (attempt["outcome"], attempt["model"]) == ("ok", "gemini-3-pro-image")
    usage = attempt["usage"]
    assert attempt["tokens"] == usage["totalTokenCount"]
    text = usage["candidatesTokenCount"] - 1120 + usage["thoughtsTokenCount"]
    dollars = usage["promptTokenCount"] * 2 + 1120 * 120 + text * 12
    assert attempt["cost_microusd"] == dollars


def test_the_model_that_really_answered_is_recorded(
    camera: Camera, sandbox: Sandbox, rows: Rows
) -> None:
    sandbox.dial(["other_model"])

    assert camera.shoot().status_code == 200

    [row] = rows("select attempts from job_history")
    assert row["attempts"][0]["model"] == "gemini-another-image-model"
    assert row["attempts"][0]["cost_microusd"] is None


@pytest.mark.parametrize(
    ("operation", "roles", "says"),
    [
        ("image_edit", [], "Edit the photo. Image 1: the photo."),
        (
            *("image_edit", ["background", "style", "style"]),
            "Edit the photo. Image 1: the photo. Image 2: the background. Image 3: the style. "
            "Image 4: the style.",
        ),
        (
            *("style_transfer", ["style"]),
            "Redraw the photo in the given style. Image 1: the photo. Image 2: the style.",
        ),
        (
            *("identity_transfer", ["face", "background"]),
            "Give the person in the photo the given face. Image 1: the photo. Image 2: the face. "
            "Image 3: the background.",
        ),
    ],
)
def test_each_operation_sends_photo_and_templates_in_their_order(
    admin: Admin, camera: Camera, sandbox: Sandbox, operation: str, roles: list[str], says: str
) -> None:
    uses = [use(admin, role, photos.png(200 + n, 150)) for n, role in enumerate(roles)]
    saved(admin, operation=operation, settings={"prompt": "Snow"}, templates=uses)

    answer = camera.shoot(photos.jpeg(640, 480))

    assert answer.status_code == 200, answer.text
    [call] = sandbox.calls()
    assert call["parts"] == ["image"] * (1 + len(roles)) + ["text", "text"]
    widths = [640, *(200 + n for n in range(len(roles)))]
    assert [one["width"] for one in call["images"]] == widths
    assert call["texts"] == [f"{says} Answer with the finished image only.", "Snow"]


# What Gemini answers each time, what the camera gets, how often Gemini is asked.
ALWAYS = {
    "finish:NO_IMAGE": (NO_IMAGE, 3),
    "finish:STOP:text": (NO_IMAGE, 3),
    "finish:STOP:null_parts": (NO_IMAGE, 3),
    "empty_candidates": (NO_IMAGE, 3),
    "no_candidates": (BAD_RESPONSE, 3),
    "finish:IMAGE_OTHER": (BLOCKED, 2),
    "finish:OTHER": (ERROR, 2),
    "finish:MALFORMED_RESPONSE:role_only": (ERROR, 2),
    "finish:SOMETHING_NEW:empty_content": (ERROR, 2),
    "truncated_json": (BAD_RESPONSE, 2),
    "not_an_image": (BAD_RESPONSE, 2),
    "file_not_active": (ERROR, 2),
    "429_minute": (QUOTA, 2),
    "504": ((504, "provider_timeout"), 2),
    "429_minute:90": (QUOTA, 1),
    "429_limit0": (QUOTA, 1),
    "429_day": (QUOTA, 1),
    "finish:MAX_TOKENS": (BAD_RESPONSE, 1),
    "finish:UNEXPECTED_TOOL_CALL": (BAD_RESPONSE, 1),
    "finish:CONTINUATION:empty_parts": (BAD_RESPONSE, 1),
    "finish:IMAGE_RECITATION": (BLOCKED, 1),
    "finish:ESCALATION": (BLOCKED, 1),
    "block:OTHER": (BLOCKED, 1),
    "block:SOMETHING_NEW": (BLOCKED, 1),
    "finish:PUP_LIMITED_DISABLED": (AUTH, 1),
}


@pytest.mark.parametrize("outcome", ALWAYS)
def test_gemini_is_asked_again_only_where_it_may_help(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk, outcome: str
) -> None:
    (status, reason), calls = ALWAYS[outcome]
    sandbox.dial([outcome])

    answer = camera.shoot()

    assert_refused(answer, status, reason)
    assert len(sandbox.calls()) == calls
    [row] = rows("select failure_reason, attempts from job_history")
    assert row["failure_reason"] == reason
    assert [attempt["outcome"] for attempt in row["attempts"]] == [reason] * calls
    assert disk("temp", "results", "previews") == []


@pytest.mark.parametrize(
    "outcomes",
    [
        ["no_image", "finish:STOP:text", "ok"],
        ["finish:IMAGE_OTHER", "ok"],
        ["429_minute", "ok"],
        ["503", "500", "ok"],
        ["not_an_image", "drafts"],
        ["finish:OTHER:image"],
    ],
    ids=lambda outcomes: " ".join(outcomes),
)
def test_a_moody_gemini_gives_a_picture_in_the_end(
    camera: Camera, sandbox: Sandbox, rows: Rows, outcomes: list[str]
) -> None:
    sandbox.dial(outcomes)

    answer = camera.shoot()

    assert answer.status_code == 200, answer.text
    [row] = rows("select status, attempts from job_history")
    assert (row["status"], len(row["attempts"])) == ("done", len(outcomes))


def test_what_an_answer_without_a_picture_cost_counts_for_the_shot(
    camera: Camera, sandbox: Sandbox, rows: Rows
) -> None:
    sandbox.dial(["text_only", "ok"])

    assert camera.shoot().status_code == 200

    [row] = rows("select attempts, tokens from job_history")
    counted = [attempt["tokens"] for attempt in row["attempts"]]
    assert [attempt["usage"]["totalTokenCount"] for attempt in row["attempts"]] == counted
    assert row["tokens"] == sum(counted)


def test_a_model_shut_down_since_it_was_saved_is_not_even_called(
    camera: Camera, sandbox: Sandbox, slot: ChangeSlot
) -> None:
    slot("slot-001", settings={"prompt": "x", "model": "gemini-3-pro-image-preview"})

    answer = camera.shoot()

    assert_refused(answer, 503, "not_configured")
    assert "shut down on 2026-06-25; use gemini-3-pro-image" in answer.json()["details"]
    assert sandbox.calls() == []


def test_a_model_that_google_does_not_know_is_an_error_of_this_slot_alone(
    camera: Camera, sandbox: Sandbox, slot: ChangeSlot
) -> None:
    slot("slot-001", settings={"prompt": "x", "model": "gemini-9-image"})

    assert_refused(camera.shoot(), *ERROR)

    assert len(sandbox.calls()) == 1
    assert camera.shoot(slot="slot-002").status_code == 200
