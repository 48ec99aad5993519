"""The ready light: green when everything is there, red with the reason when something is not."""

import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import psutil
import pytest
from admin import Admin, signed_in
from camera import Camera
from conftest import MakeService
from PIL import Image
from rig import Sandbox, Service, free_port, until
from tables import ChangeSlot, Execute, Rows

from service.admin.preflight_checks import clock_finding, disk_finding
from service.pictures.sample_photo import sample_photo

Line = dict[str, Any]

CLOSED_SECONDS = 2.0
SERVICE_CHECKS = ["database", "clock", "disk", "public_url", "passwords", "window"]
GIGABYTE = 1024**3


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


@pytest.fixture
def only(execute: Execute) -> Callable[..., None]:
    """`only("slot-001")` switches every other slot off."""

    def switch(*slots: str) -> None:
        execute("update slot set is_active = id = any(%s)", list(slots))

    return switch


def preflight(admin: Admin, **wanted: Any) -> list[Line]:
    """All lines of a preflight."""
    answer = admin.post("/api/preflight", json=wanted)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def found(lines: list[Line]) -> dict[str, Line]:
    """What was found, by the slot, the provider or the name of the check."""
    return {line["subject"] or line["check"]: line for line in lines[1:-1]}


def test_a_service_with_everything_is_ready(
    admin: Admin, only: Callable[..., None], rows: Rows, sandbox: Sandbox
) -> None:
    only("slot-001", "slot-015")

    plan, *findings, light = preflight(admin)

    told = [(check["check"], check["subject"]) for check in plan["checks"]]
    assert told == [
        *((name, None) for name in SERVICE_CHECKS),
        ("provider", "gemini"),
        *(("slot", name) for name in ("slot-001", "slot-015")),
    ]
    assert sorted(told, key=str) == sorted(
        ((line["check"], line["subject"]) for line in findings), key=str
    )
    assert light == {"ready": True, "failed": 0, "warnings": 1, "provider_calls": 2}
    by_name = found([plan, *findings, light])
    assert by_name.pop("public_url")["reason"] == "public_url_is_local"
    assert {line["status"] for line in by_name.values()} == {"ok"}
    shot = by_name["slot-015"]
    assert shot["name"] == "Slot 15"
    assert (shot["figures"]["provider"], shot["figures"]["window_seconds"]) == ("gemini", 48)
    assert by_name["window"]["figures"] == {"longest_seconds": 48, "proxy_seconds": 53}
    assert len(sandbox.calls(action="generate")) == 2
    assert {row["source"] for row in rows("select source from job_history")} == {"test"}
    [entry] = rows("select actor, details from audit_log where action = 'preflight'")
    assert entry == {"actor": "serg", "details": {"shots": True}}


def test_the_picture_of_a_test_shot_is_for_admins(admin: Admin, only: Callable[..., None]) -> None:
    only("slot-001")
    job_id = found(preflight(admin))["slot-001"]["figures"]["job_id"]

    for more, mime in (("", "image/jpeg"), ("/preview", "image/webp")):
        path = f"/public/results/{job_id}{more}"
        assert admin.get(path).headers["content-type"] == mime
        for headers in ({}, {"authorization": "Bearer x"}):
            answer = httpx.get(admin.service.url + path, headers=headers, trust_env=False)
            assert (answer.status_code, answer.json()["failure_reason"]) == (
                404,
                "result_not_found",
            )


def test_one_red_slot_says_why_and_leaves_the_others_green(
    admin: Admin, only: Callable[..., None], slot: ChangeSlot
) -> None:
    only("slot-001", "slot-002", "slot-003")
    slot("slot-002", settings={"prompt": "[sandbox outcome=content_blocked]"})
    slot("slot-003", settings={"prompt": "x"}, templates=[{"role": "style", "media_id": NOBODY}])

    lines = preflight(admin)

    by_name = found(lines)
    assert (by_name["slot-002"]["status"], by_name["slot-002"]["reason"]) == (
        "failed",
        "content_blocked",
    )
    assert (by_name["slot-003"]["status"], by_name["slot-003"]["reason"]) == (
        "failed",
        "not_configured",
    )
    assert by_name["slot-001"]["status"] == "ok"
    assert (lines[-1]["ready"], lines[-1]["failed"]) == (False, 2)


@pytest.mark.slow
def test_a_test_shot_without_room_is_told_so(
    make_service: MakeService, only: Callable[..., None], sandbox: Sandbox
) -> None:
    only("slot-001")
    full = make_service(MAX_IN_FLIGHT="1")
    sandbox.dial(hold=True)
    with ThreadPoolExecutor(1) as threads, signed_in(full) as admin:
        shot = threads.submit(Camera(full.url).shoot)
        until(sandbox.calls, "the only place is taken")
        told = found(preflight(admin))["slot-001"]
        sandbox.release()
        assert shot.result().status_code == 200

    assert (told["status"], told["reason"]) == ("failed", "overloaded")


NOBODY = "b5a1c7e2-0d3f-4a68-9c41-7f2e8d90a613"


def test_without_shots_it_costs_nothing_and_finds_a_refused_key(
    admin: Admin, only: Callable[..., None], sandbox: Sandbox
) -> None:
    only("slot-001")
    sandbox.dial(["bad_key"])

    lines = preflight(admin, shots=False)

    assert found(lines)["gemini"]["reason"] == "provider_auth"
    assert found(lines)["gemini"]["figures"]["models"] != []
    assert found(lines)["slot-001"]["status"] == "ok"
    assert lines[-1] == {"ready": False, "failed": 1, "warnings": 1, "provider_calls": 0}
    assert sandbox.calls(action="generate") == []


def test_what_is_not_configured_is_red(
    make_service: MakeService, only: Callable[..., None], slot: ChangeSlot
) -> None:
    only("slot-001")
    slot("slot-001", ingest_password_hash=None)

    with signed_in(make_service(GEMINI_API_KEY=None)) as admin:
        lines = found(preflight(admin))

    red = {name: line["reason"] for name, line in lines.items() if line["status"] == "failed"}
    assert red == {
        "passwords": "passwords_missing",
        "gemini": "not_configured",
        "slot-001": "not_configured",
    }
    assert lines["passwords"]["figures"] == {"slots": ["slot-001"]}


def test_a_service_without_a_slot_is_not_ready(admin: Admin, only: Callable[..., None]) -> None:
    only()

    lines = preflight(admin)

    assert found(lines)["window"]["reason"] == "no_active_slot"
    assert lines[-1]["ready"] is False


def test_a_public_address_that_leads_nowhere_or_elsewhere_is_red(
    make_service: MakeService, only: Callable[..., None], sandbox: Sandbox
) -> None:
    only("slot-001")
    nowhere = f"http://127.0.0.1:{free_port()}"

    for address, reason in (
        (nowhere, "public_url_unreachable"),
        (sandbox.url, "public_url_leads_elsewhere"),
    ):
        with signed_in(make_service(PUBLIC_BASE_URL=address)) as admin:
            line = found(preflight(admin, shots=False))["public_url"]
        assert (line["status"], line["reason"]) == ("failed", reason)
        assert line["figures"]["url"] == address


def test_each_preflight_finds_its_own_way_to_the_public_address(
    admin: Admin, service: Service, only: Callable[..., None]
) -> None:
    """A connection kept from the last time would prove nothing about a guest who comes now."""
    only("slot-001")

    assert found(preflight(admin, shots=False))["public_url"]["reason"] == "public_url_is_local"

    def to_itself() -> list[Any]:
        sockets = psutil.Process(service.pid).net_connections(kind="tcp")
        return [one for one in sockets if one.raddr and one.raddr.port == service.port]

    until(lambda: not to_itself(), "its connection to itself is closed", CLOSED_SECONDS)


def test_a_service_proves_itself_only_to_who_asks_properly(service: Service) -> None:
    for nonce in ("0" * 31, "0" * 33, "%00"):
        answer = httpx.get(f"{service.url}/public/proof/{nonce}", trust_env=False)
        assert answer.status_code == 404


def test_when_who_asked_has_left_no_further_shot_begins(
    admin: Admin, rows: Rows, sandbox: Sandbox
) -> None:
    sandbox.dial(latency_s=0.5)
    headers = {"authorization": f"Bearer {admin.token}"}
    url = f"{admin.service.url}/api/preflight"
    with httpx.stream("POST", url, json={}, headers=headers, trust_env=False) as answer:
        next(answer.iter_lines())
        until(lambda: len(sandbox.calls(action="generate")) == 4, "four shots run at once")

    ended = "select id from job_history where status = 'done'"
    until(lambda: len(rows(ended)) == 4, "those that were begun have ended well")

    preflight(admin, shots=False)
    assert len(rows("select id from job_history")) == 4


@pytest.mark.parametrize(
    ("skew", "status"),
    [(0, "ok"), (0.9, "ok"), (-0.9, "ok"), (1.1, "warning"), (-4.9, "warning"), (5, "failed")],
)
def test_a_clock_may_differ_a_little(skew: float, status: str) -> None:
    finding = clock_finding(timedelta(seconds=skew))

    assert finding.status == status
    assert finding.figures == {"skew_ms": skew * 1000}


def test_little_room_on_the_disk_is_told_before_it_is_full() -> None:
    assert disk_finding(5 * GIGABYTE, GIGABYTE).status == "ok"
    assert disk_finding(2 * GIGABYTE, GIGABYTE).reason == "disk_low"


def test_the_test_photo_shows_somebody() -> None:
    with Image.open(io.BytesIO(sample_photo())) as picture:
        assert (picture.format, picture.size) == ("JPEG", (1200, 900))
