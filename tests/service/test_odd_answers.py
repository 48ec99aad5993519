"""Answers nobody is prepared for: no fault of ours, seen by the breaker, and a fallback follows."""

from typing import Any

import pytest
from admin import signed_in
from camera import Camera
from conftest import MakeService
from rig import Sandbox, Service, until
from tables import ChangeSlot, Disk, Rows
from test_provider_failures import assert_refused

from service.errors import MAX_WAIT_SECONDS

PLANS: dict[str, dict[str, Any]] = {
    name: {"provider": name, "operation": "image_edit", "settings": {"prompt": "Snow"}}
    for name in ("gemini", "openai", "turbotext")
}

BAD_RESPONSE, UNAVAILABLE = "provider_bad_response", "provider_unavailable"
QUOTA, ERROR = "provider_quota", "provider_error"
ODD = {
    "not_utf8": BAD_RESPONSE,
    "deep_json": BAD_RESPONSE,
    "big_number": BAD_RESPONSE,
    "not_a_number": BAD_RESPONSE,
    "null": BAD_RESPONSE,
    "array": BAD_RESPONSE,
    "not_gzip": BAD_RESPONSE,
    "two_lengths": UNAVAILABLE,
    "not_http": UNAVAILABLE,
    "429_endless": QUOTA,
    "503_endless": UNAVAILABLE,
    "503_far_date": UNAVAILABLE,
    "503_odd_header": UNAVAILABLE,
    "500_not_utf8": UNAVAILABLE,
    "400_deep_json": ERROR,
    "400_not_utf8": ERROR,
}


@pytest.mark.parametrize("outcome", ODD)
@pytest.mark.parametrize("provider", PLANS)
def test_the_fallback_makes_the_picture(
    camera: Camera,
    service: Service,
    slot: ChangeSlot,
    sandbox: Sandbox,
    rows: Rows,
    disk: Disk,
    provider: str,
    outcome: str,
) -> None:
    other = "gemini" if provider == "openai" else "openai"
    slot("slot-001", **PLANS[provider], fallback=PLANS[other])
    sandbox.dial([outcome], provider=provider)

    answer = camera.shoot()

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-provider"] == other
    [row] = rows("select status, attempts from job_history")
    *failed, last = row["attempts"]
    assert (row["status"], last["provider"], last["outcome"]) == ("done", other, "ok")
    assert {one["outcome"] for one in failed} == {ODD[outcome]}
    if ODD[outcome] != ERROR:
        [breaker] = rows("select failures, reason from breaker where provider = %s", provider)
        assert breaker == {"failures": len(failed), "reason": ODD[outcome]}
    assert (len(disk("results")), disk("temp")) == (1, [])
    assert [line for line in service.log if line["event"] == "provider.unexpected"] == []


@pytest.mark.parametrize("outcome", ["429_endless", "503_endless"])
def test_a_device_is_told_to_wait_a_day_at_most(
    camera: Camera, sandbox: Sandbox, outcome: str
) -> None:
    sandbox.dial([outcome])

    answer = camera.shoot()

    assert_refused(answer, 503, ODD[outcome])
    assert answer.headers["retry-after"] == str(round(MAX_WAIT_SECONDS))


@pytest.mark.parametrize("provider", ["gemini", "openai"])
@pytest.mark.parametrize("outcome", ["huge_usage", "odd_usage"])
def test_a_picture_counts_whatever_its_figures_say(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows, provider: str, outcome: str
) -> None:
    slot("slot-001", **PLANS[provider])
    sandbox.dial([outcome], provider=provider)

    answer = camera.shoot()

    assert answer.status_code == 200, answer.text
    [row] = rows("select status, tokens, cost_microusd, attempts from job_history")
    assert (row["status"], row["tokens"], row["cost_microusd"]) == ("done", None, None)
    [attempt] = row["attempts"]
    assert attempt["model"].startswith(("gemini-nano-banana", "gpt-image"))
    assert len(sandbox.calls()) == 1


@pytest.mark.parametrize("outcome", ["huge_limits", "odd_success", "odd_error"])
def test_what_turbotext_says_of_itself_does_no_harm(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, rows: Rows, outcome: str
) -> None:
    slot("slot-001", **PLANS["turbotext"])
    sandbox.dial([f"{outcome}@0"], provider="turbotext")

    answer = camera.shoot()

    [row] = rows("select status, failure_reason, attempts from job_history")
    if outcome == "huge_limits":
        assert answer.status_code == 200, answer.text
        assert row["attempts"][-1]["usage"] == {}
    else:
        assert_refused(answer, 502, ERROR)
        assert row["failure_reason"] == ERROR


@pytest.mark.parametrize("provider", ["gemini", "openai"])
def test_base64_of_an_odd_length_is_a_bad_response(
    camera: Camera, slot: ChangeSlot, sandbox: Sandbox, provider: str
) -> None:
    slot("slot-001", **PLANS[provider])
    sandbox.dial(["odd_base64"], provider=provider)

    assert_refused(camera.shoot(), 502, BAD_RESPONSE)


@pytest.mark.parametrize("outcome", ["not_utf8", "deep_json", "503_endless", "not_http"])
def test_a_ping_that_is_answered_oddly_is_a_finding(
    make_service: MakeService, slot: ChangeSlot, sandbox: Sandbox, outcome: str
) -> None:
    slot("slot-001", **PLANS["gemini"])
    slot("slot-002", **PLANS["openai"])
    slot("slot-003", **PLANS["turbotext"])
    for provider in PLANS:
        sandbox.dial([outcome], provider=provider)
    service = make_service()

    def reasons() -> dict[str, str]:
        with signed_in(service) as admin:
            listed = admin.get("/api/providers").json()["providers"]
        return {one["name"]: one["standings"][0]["reason"] for one in listed if one["standings"]}

    expected = dict.fromkeys(PLANS, ODD[outcome])
    until(lambda: reasons() == expected, f"all are {ODD[outcome]}", 20)
    assert [line for line in service.log if line["event"] == "check.failed"] == []
