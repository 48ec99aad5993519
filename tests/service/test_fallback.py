"""A slot's fallback: a complete second plan, inside the same window, with a place of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import photos
import psycopg
import pytest
from camera import Camera
from rig import Sandbox, until
from tables import ChangeSlot, Disk, Rows, Tables

FIRST, SECOND = "gemini-nano-banana-2.1", "gemini-3-pro-image"
OPENAI = {"provider": "openai", "operation": "image_edit", "settings": {"prompt": "Snow"}}
WINDOW_SECONDS = 10
# A third of the window is less than one attempt and the moment to take a place for it.
FIRST_SHARE_MS = (WINDOW_SECONDS - 1 - 5.5) * 1000


def plan(outcome: str, model: str, latency: float = 0) -> dict[str, Any]:
    """An order the sandbox answers like this."""
    prompt = f"[sandbox outcome={outcome} latency={latency}] Snow"
    settings = {"prompt": prompt, "model": model}
    return {"provider": "gemini", "operation": "image_edit", "settings": settings}


def two_plans(first: str, second: str, latency: float = 0) -> dict[str, Any]:
    """Columns of a slot whose plans fare like this."""
    return {**plan(first, FIRST, latency), "fallback": plan(second, SECOND)}


def outcomes(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(attempt["model"], attempt["outcome"]) for attempt in row["attempts"]]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("content_blocked", "content_blocked"),
        ("429_day", "provider_quota"),
        ("bad_key", "provider_auth"),
        ("400", "provider_error"),
        ("reset", "provider_unavailable"),
    ],
)
def test_what_the_first_plan_could_not_do_the_second_does(
    camera: Camera,
    slot: ChangeSlot,
    sandbox: Sandbox,
    rows: Rows,
    disk: Disk,
    outcome: str,
    reason: str,
) -> None:
    slot("slot-001", **two_plans(outcome, "ok"))

    answer = camera.shoot()

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-provider"] == "gemini"
    [row] = rows("select * from job_history")
    assert (row["status"], row["failure_reason"]) == ("done", None)
    assert outcomes(row) == [(FIRST, reason), (SECOND, "ok")]
    first, second = row["attempts"]
    assert first["maybe_billed"] is (outcome in ("content_blocked", "reset"))
    assert second["started_ms"] >= first["ms"]
    assert row["attempt_count"] == 2
    assert row["cost_microusd"] == (first["cost_microusd"] or 0) + second["cost_microusd"]
    assert [call["model"] for call in sandbox.calls()] == [FIRST, SECOND]
    assert (len(disk("results")), disk("temp")) == (1, [])


def test_a_plan_that_cannot_run_is_left_out(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows
) -> None:
    nowhere = [{"role": "style", "media_id": str(uuid4())}]
    slot("slot-001", **two_plans("ok", "ok"), templates=nowhere)

    assert camera.shoot().status_code == 200

    [row] = rows("select attempts from job_history")
    assert outcomes(row) == [(SECOND, "ok")]
    slot("slot-001", fallback=None)
    refused = camera.shoot()
    assert (refused.status_code, refused.headers["x-failure-reason"]) == (503, "not_configured")
    assert len(sandbox.calls()) == 1


@pytest.mark.parametrize(
    ("first", "second", "status", "reason"),
    [
        ("400", "429_day", 503, "provider_quota"),
        ("429_day", "400", 502, "provider_error"),
        ("content_blocked", "429_day", 422, "content_blocked"),
    ],
)
def test_when_both_fail_the_last_one_tells_unless_the_photo_was_declined(
    camera: Camera, slot: ChangeSlot, rows: Rows, disk: Disk, first: str, second: str, status: int,
    reason: str,
) -> None:  # fmt: skip
    slot("slot-001", **two_plans(first, second))

    answer = camera.shoot()

    assert (answer.status_code, answer.headers["x-failure-reason"]) == (status, reason)
    [row] = rows("select * from job_history")
    assert (row["status"], row["failure_reason"]) == ("failed", reason)
    assert [model for model, _ in outcomes(row)] == [FIRST, SECOND]
    assert disk("temp", "results") == []


@pytest.mark.slow
def test_both_plans_share_one_window(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows, disk: Disk
) -> None:
    slots = {
        "slot-001": two_plans("hang", "ok"),
        "slot-002": two_plans("hang", "hang"),
        # After a slow upload too little is left for two: the first plan has it all.
        "slot-003": two_plans("400", "ok", latency=2.5),
    }
    for slot_id, columns in slots.items():
        slot(slot_id, sync_response_seconds=WINDOW_SECONDS, **columns)

    with ThreadPoolExecutor() as threads:
        answers = threads.map(camera.shoot_slowly, slots, [0.0, 0.0, 2.0])
    saved, late, kept = answers

    assert (saved.status, late.status, kept.status) == (200, 504, 502)
    assert -0.05 < late.seconds - (WINDOW_SECONDS - 1) < 0.5
    stored = rows("select * from job_history order by slot_id")
    assert outcomes(stored[0]) == [(FIRST, "provider_timeout"), (SECOND, "ok")]
    first = stored[0]["attempts"][0]
    assert first["maybe_billed"] is True
    assert first["details"].startswith("cut off after 3.")
    assert FIRST_SHARE_MS - 1000 < first["ms"] <= FIRST_SHARE_MS + 100
    assert outcomes(stored[1]) == [(FIRST, "provider_timeout"), (SECOND, "provider_timeout")]
    assert (stored[1]["status"], stored[1]["failure_reason"]) == ("timeout", "provider_timeout")
    assert outcomes(stored[2]) == [(FIRST, "provider_error")]
    assert len(sandbox.calls()) == 5
    assert (len(disk("results")), disk("temp")) == (1, [])


def test_a_fallback_whose_provider_is_full_changes_nothing(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, execute: Callable[..., int], rows: Rows
) -> None:
    execute("update settings set value = '{\"openai\": 1}' where key = 'provider_max_in_flight'")
    busy = OPENAI | {"settings": {"prompt": "[sandbox latency=2] Snow"}}
    slot("slot-001", **plan("400", FIRST), fallback=OPENAI)
    slot("slot-002", **busy)

    with ThreadPoolExecutor() as threads:
        other = threads.submit(camera.shoot, slot="slot-002")
        until(lambda: sandbox.calls(provider="openai"), "its only place is taken")
        refused = camera.shoot()
        assert other.result().status_code == 200
    saved = camera.shoot()

    assert (refused.status_code, refused.headers["x-failure-reason"]) == (502, "provider_error")
    assert (saved.status_code, saved.headers["x-provider"]) == (200, "openai")
    [row] = rows("select * from job_history where status = 'failed'")
    assert (row["provider"], outcomes(row)) == ("gemini", [(FIRST, "provider_error")])


def test_each_provider_gets_the_photo_in_a_type_it_takes(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, disk: Disk
) -> None:
    """Gemini takes HEIC, OpenAI does not."""
    slot("slot-001", **plan("400", FIRST), fallback=OPENAI, max_side_px=0)

    assert camera.shoot(photos.heic()).headers["x-provider"] == "openai"

    sent = [call["images"][0]["mime"] for call in sandbox.calls()]
    assert sent == ["image/heic", "image/jpeg"]
    assert disk("temp") == []


def test_the_row_shows_who_works_on_it(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows
) -> None:
    slot("slot-001", **two_plans("400", "ok"))
    slot("slot-001", fallback=plan("ok", SECOND, latency=1) | {"operation": "style_transfer"})

    with ThreadPoolExecutor() as threads:
        answer = threads.submit(camera.shoot)
        until(lambda: len(sandbox.calls()) == 2, "the fallback is called")
        [row] = rows("select * from job_history")
        assert (row["status"], row["operation"]) == ("pending", "style_transfer")
        assert outcomes(row) == [(FIRST, "provider_error")]
        assert answer.result().status_code == 200


def test_without_the_database_the_fallback_is_not_called(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows, tables: Tables
) -> None:
    """Nobody can tell then whether its provider has room for one more."""
    slot("slot-001", **two_plans("400", "ok", latency=1))

    with ThreadPoolExecutor() as threads, psycopg.connect(tables.url) as line:
        answer = threads.submit(camera.shoot)
        until(sandbox.calls, "the provider is called")
        line.execute("select pg_advisory_lock(2, hashtext('gemini'))")
        refused = answer.result()

    assert (refused.status_code, refused.headers["x-failure-reason"]) == (502, "provider_error")
    [row] = rows("select * from job_history")
    assert outcomes(row) == [(FIRST, "provider_error")]
    assert len(sandbox.calls()) == 1
