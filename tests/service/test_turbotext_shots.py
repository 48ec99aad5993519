"""Shots that Turbotext edits: fetched from us, asked for, fetched back, or refused for a reason."""

import asyncio
import hashlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import photos
import psycopg
import pytest
from admin import Admin, signed_in
from camera import Camera
from conftest import StartService
from PIL import Image
from rig import ROOT, Sandbox, Service, free_port, until
from stranger import Stranger, open_stranger
from tables import ChangeSlot, Disk, Rows, Tables
from test_provider_failures import assert_refused

from service.queries import paces
from service.storage.database import open_database

HASTY = str(ROOT / "tests" / "support" / "hasty.py")

UNAVAILABLE = (503, "provider_unavailable")
QUOTA = (503, "provider_quota")
AUTH = (503, "provider_auth")
ERROR = (502, "provider_error")
BAD_RESPONSE = (502, "provider_bad_response")
BLOCKED = (422, "content_blocked")
TIMEOUT = (504, "provider_timeout")


@pytest.fixture(scope="module")
def _service(_start_service: StartService) -> Iterator[Service]:
    """The common service of these tests asks Turbotext without its pauses."""
    service = _start_service({}, [HASTY])
    try:
        yield service.wait_ready()
    finally:
        service.stop()


@pytest.fixture(autouse=True)
def edits(slot: ChangeSlot) -> None:
    """slot-001 edits by Turbotext."""
    slot("slot-001", provider="turbotext", operation="image_edit", settings={"prompt": "Snow"})


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with open_stranger() as stranger:
        stranger.show("/a.png", photos.png(), "image/png")
        yield stranger


def asked(sandbox: Sandbox) -> list[str]:
    """The steps Turbotext saw, in their order; the service asks by itself whether it is free."""
    calls = sandbox.calls(provider="turbotext", lookups="true")
    return [call["action"] for call in calls if call["model"] != "available_api"]


def dial(sandbox: Sandbox, *outcomes: str) -> None:
    """Outcomes without reconnects before them."""
    sandbox.dial([f"{outcome}@0" for outcome in outcomes], provider="turbotext")


def upload_template(admin: Admin, data: bytes) -> str:
    file = {"fileToUpload": ("template", data, "image/webp")}
    answer = admin.post("/api/template-media", files=file)
    assert answer.status_code == 201, answer.text
    media_id: str = answer.json()["id"]
    return media_id


def change_slot(admin: Admin, **change: Any) -> None:
    version = admin.get("/api/slots/slot-001").json()["version"]
    answer = admin.put("/api/slots/slot-001", json={"version": version, **change})
    assert answer.status_code == 200, answer.text


def test_a_photo_comes_back_edited(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk, service: Service
) -> None:
    answer = camera.shoot()

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-provider"] == "turbotext"
    assert Image.open(io.BytesIO(answer.content)).size == (768, 576)
    [row] = rows("select * from job_history")
    assert (row["status"], row["provider"]) == ("done", "turbotext")
    [attempt] = row["attempts"]
    assert (attempt["model"], attempt["outcome"]) == ("generate_image2image", "ok")
    assert asked(sandbox) == ["create_queue", *["get_result"] * 3, "download"]
    assert (disk("temp"), len(disk("results"))) == ([], 1)
    [call] = sandbox.calls()
    assert {(one["method"], one["status"]) for one in call["fetches"]} == {
        ("HEAD", 200),
        ("GET", 200),
    }
    assert call["fields"]["url"].startswith(f"{service.url}/public/media/")
    assert call["images"][0]["exif"] is False


@pytest.mark.parametrize(
    ("operation", "role", "photo_field", "template_field"),
    [
        ("style_transfer", "style", "url_image_target", "url"),
        ("identity_transfer", "face", "url", "url_image_target"),
    ],
)
def test_photo_and_template_are_fetched_in_their_roles_as_jpeg_or_png(
    camera: Camera,
    sandbox: Sandbox,
    admin: Admin,
    disk: Disk,
    operation: str,
    role: str,
    photo_field: str,
    template_field: str,
) -> None:
    template = upload_template(admin, photos.webp(200, 300))
    change_slot(
        admin,
        provider="turbotext",
        operation=operation,
        settings={},
        templates=[{"role": role, "media_id": template}],
        max_side_px=0,
    )

    answer = camera.shoot(photos.heic(), filename="a.heic")

    assert answer.status_code == 200, answer.text
    [call] = sandbox.calls(provider="turbotext")
    sizes = {image["sha256"]: (image["width"], image["height"]) for image in call["images"]}
    by_field = {one["field"]: one for one in call["fetches"] if one["method"] == "GET"}
    assert sizes[by_field[photo_field]["sha256"]] == (640, 480)
    assert sizes[by_field[template_field]["sha256"]] == (200, 300)
    assert {image["mime"] for image in call["images"]} == {"image/jpeg"}
    assert all(one["headers"]["content-type"] == "image/jpeg" for one in call["fetches"])
    assert disk("temp") == []


def test_an_untouched_photo_goes_out_as_it_came(
    camera: Camera, sandbox: Sandbox, slot: ChangeSlot
) -> None:
    slot("slot-001", max_side_px=0)
    photo = photos.png()

    assert camera.shoot(photo).status_code == 200

    [image] = sandbox.calls()[0]["images"]
    assert (image["mime"], image["sha256"]) == ("image/png", hashlib.sha256(photo).hexdigest())


def test_a_slot_takes_one_template_for_a_role(admin: Admin) -> None:
    use = {"role": "face", "media_id": upload_template(admin, photos.webp())}
    fields = {"provider": "turbotext", "operation": "identity_transfer", "settings": {}}
    version = admin.get("/api/slots/slot-001").json()["version"]

    answer = admin.put(
        "/api/slots/slot-001", json={"version": version, "templates": [use, use], **fields}
    )

    assert answer.status_code == 422
    assert "at most 1" in answer.text


def test_a_link_is_over_when_its_shot_has_ended(camera: Camera, sandbox: Sandbox) -> None:
    camera.shoot()
    link = sandbox.calls()[0]["fields"]["url"]

    assert httpx.get(link, trust_env=False).status_code == 410


GOOD = [
    *("peer_layout", "mix_layout", "face_layout", "top_image", "top_image_list", "link_list"),
    *("link_relative", "link_rooted", "empty_first", "no_success", "text_html", "bom"),
    *("success_1", "success_text", "queueid_text", "queue_id", "asyncid", "queueid_alone"),
    *("limits", "no_token", "redirects:3", "poll:500*3", "poll:429*1", "poll:reset*1"),
    *("poll:hang*1", "poll:nothing*1", "poll:no_image*2", "download:404*1", "download:410*1"),
    *("download:reset*1", "download:cut*1", "download:503*1", "download:as_text"),
]


@pytest.mark.parametrize("outcome", GOOD)
def test_what_is_odd_but_good_gives_the_picture(
    camera: Camera, sandbox: Sandbox, rows: Rows, outcome: str
) -> None:
    dial(sandbox, outcome)

    answer = camera.shoot()

    assert answer.status_code == 200, answer.text
    assert Image.open(io.BytesIO(answer.content)).size == (768, 576)
    assert asked(sandbox).count("create_queue") == 1
    [row] = rows("select attempts from job_history")
    assert [one["outcome"] for one in row["attempts"]] == ["ok"]


# Answer, and whether the order may be billed.
FAILURES: dict[str, tuple[tuple[int, str], bool]] = {
    "401": (AUTH, False),
    "403": (AUTH, False),
    "bad_key": (AUTH, False),
    "429": (QUOTA, False),
    "quota": (QUOTA, False),
    "error:tariff": (QUOTA, False),
    "error:forbidden": (BLOCKED, False),
    "error:face": (ERROR, False),
    "400": (ERROR, False),
    "reset": (UNAVAILABLE, True),
    "html_200": (BAD_RESPONSE, True),
    "garbage": (BAD_RESPONSE, True),
    "empty_body": (BAD_RESPONSE, True),
    "list": (BAD_RESPONSE, True),
    "redirect": (BAD_RESPONSE, False),
    "no_queueid": (BAD_RESPONSE, True),
    "queueid_zero": (BAD_RESPONSE, True),
    "queueid_path": (BAD_RESPONSE, True),
    "huge": (BAD_RESPONSE, True),
    "gzip_bomb": (BAD_RESPONSE, True),
    "late_error:limit": (QUOTA, True),
    "late_error:nsfw": (BLOCKED, True),
    "late_error:other": (ERROR, True),
    "in_message": (QUOTA, True),
    "content_blocked": (BLOCKED, True),
    "input_gone": (ERROR, True),
    "no_image": (BAD_RESPONSE, True),
    "nothing": (BAD_RESPONSE, True),
    "poll:garbage": (BAD_RESPONSE, True),
    "poll:403": (AUTH, True),
    "download:404": (BAD_RESPONSE, True),
    "download:reset": (BAD_RESPONSE, True),
    "download:html": (BAD_RESPONSE, True),
    "download:svg": (BAD_RESPONSE, True),
    "download:pdf": (BAD_RESPONSE, True),
    "download:text": (BAD_RESPONSE, True),
    "download:empty": (BAD_RESPONSE, True),
    "download:tiny": (BAD_RESPONSE, True),
    "download:bomb_png": (BAD_RESPONSE, True),
    "download:cut_image": (BAD_RESPONSE, True),
    "download:huge": (BAD_RESPONSE, True),
    "download:gzip_bomb": (BAD_RESPONSE, True),
    "redirect:http://169.254.169.254/latest/meta-data/": (BAD_RESPONSE, True),
    "redirects:4": (BAD_RESPONSE, True),
    "link:file:///etc/passwd": (BAD_RESPONSE, True),
    "link:https://127.1/a.png": (BAD_RESPONSE, True),
    "link:https://0x7f.0.0.1/a.png": (BAD_RESPONSE, True),
    "link:https://[::ffff:10.0.0.1]/a.png": (BAD_RESPONSE, True),
    "link:https://100.64.0.1/a.png": (BAD_RESPONSE, True),
    "link:https://[64:ff9b::10.0.0.1]/a.png": (BAD_RESPONSE, True),
    "link:https://www.turbotext.ru:22/a.png": (BAD_RESPONSE, True),
    "link:https://a@www.turbotext.ru/a.png": (BAD_RESPONSE, True),
    "link:https://www.turbotext.ru/a\r\nX-Evil: 1": (BAD_RESPONSE, True),
}


@pytest.mark.parametrize("outcome", FAILURES)
def test_every_failure_has_its_answer_and_leaves_nothing(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk, outcome: str
) -> None:
    (status, reason), maybe_billed = FAILURES[outcome]
    dial(sandbox, outcome)

    answer = camera.shoot()

    assert_refused(answer, status, reason)
    [row] = rows("select * from job_history")
    assert (row["status"], row["failure_reason"]) == ("failed", reason)
    [attempt] = row["attempts"]
    assert (attempt["provider"], attempt["outcome"]) == ("turbotext", reason)
    assert attempt["maybe_billed"] is maybe_billed
    assert asked(sandbox).count("create_queue") == 1
    assert disk("temp", "results", "previews") == []
    assert rows("select kind from media_object") == []


def test_an_order_that_a_server_in_trouble_did_not_take_is_given_once_more(
    camera: Camera, sandbox: Sandbox, rows: Rows
) -> None:
    dial(sandbox, "500", "502_html", "ok")

    first, second = camera.shoot(), camera.shoot()

    assert_refused(first, *UNAVAILABLE)
    assert second.status_code == 200
    stored = rows("select attempts from job_history order by created_at")
    outcomes = [[one["outcome"] for one in row["attempts"]] for row in stored]
    assert outcomes == [["provider_unavailable"] * 2, ["ok"]]
    assert not any(one["maybe_billed"] for row in stored for one in row["attempts"])


def test_no_stranger_gets_the_key_or_a_visit(
    camera: Camera, sandbox: Sandbox, stranger: Stranger, service: Service, rows: Rows
) -> None:
    port = stranger.url.rpartition(":")[2]
    places = [f"{stranger.url}/a.png", f"http://127.1:{port}/a.png"]
    for place in places:
        for way in ("link", "redirect"):
            dial(sandbox, f"{way}:{place}")
            assert_refused(camera.shoot(), *BAD_RESPONSE)

    assert stranger.visits == []
    assert "sandbox" not in str(rows("select attempts, failure_details from job_history"))
    assert "Bearer" not in service.output


@pytest.mark.slow
def test_a_queue_that_never_ends_is_given_up_inside_the_window(
    camera: Camera, sandbox: Sandbox, rows: Rows, disk: Disk, slot: ChangeSlot
) -> None:
    slots = {"slot-001": "ok@endless", "slot-002": "hang", "slot-003": "download:slow@0"}
    slots["slot-004"] = "poll:500@0"
    for slot_id, outcome in slots.items():
        slot(
            slot_id,
            provider="turbotext",
            operation="image_edit",
            settings={"prompt": f"[sandbox outcome={outcome}] Snow"},
            sync_response_seconds=10,
        )
    answers: dict[str, httpx.Response] = {}

    def shoot(slot_id: str) -> None:
        answers[slot_id] = camera.shoot(slot=slot_id)

    threads = [threading.Thread(target=shoot, args=(slot_id,)) for slot_id in slots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for slot_id in ("slot-001", "slot-002", "slot-003"):
        assert_refused(answers[slot_id], *TIMEOUT)
    assert_refused(answers["slot-004"], *UNAVAILABLE)
    stored = rows("select status, attempts, total_ms from job_history order by slot_id")
    assert [row["status"] for row in stored] == ["timeout"] * 3 + ["failed"]
    assert all(row["attempts"][0]["maybe_billed"] for row in stored)
    assert stored[0]["total_ms"] < 7000 <= stored[1]["total_ms"]
    assert disk("temp", "results") == []
    until(
        lambda: all(
            call["client_disconnected"]
            for call in sandbox.calls(provider="turbotext", lookups="true")
            if call["status"] is None or (call["action"], call["outcome"]) == ("download", "slow")
        ),
        "every hung connection is closed",
    )


def test_a_turbotext_that_nobody_reaches_is_unavailable(
    make_service: Callable[..., Service], rows: Rows
) -> None:
    service = make_service(TURBOTEXT_BASE_URL=f"http://127.0.0.1:{free_port()}")

    assert_refused(Camera(service.url).shoot(), *UNAVAILABLE)

    [row] = rows("select attempts from job_history")
    assert row["attempts"][-1]["maybe_billed"] is False


def test_without_a_public_address_turbotext_says_so(
    make_service: Callable[..., Service], sandbox: Sandbox, rows: Rows
) -> None:
    dial(sandbox, "ok")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        service = make_service(PUBLIC_BASE_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert_refused(Camera(service.url).shoot(), *ERROR)

    [row] = rows("select failure_details from job_history")
    assert "Не удалось загрузить изображение url" in row["failure_details"]


def test_a_database_that_hands_out_no_moments_does_not_cost_the_picture(
    camera: Camera, sandbox: Sandbox, service: Service, tables: Tables
) -> None:
    dial(sandbox, "ok")

    with psycopg.connect(tables.url) as line:
        line.execute("lock table provider_turn")
        answer = camera.shoot()

    assert answer.status_code == 200, answer.text
    service.wait_log("turn.not_taken")


def test_calls_with_one_key_get_their_moments_one_after_the_other(database_url: str) -> None:
    """Two pools stand for two processes: the moments are handed out by the row alone."""

    async def take_all() -> list[float]:
        async with open_database(database_url, 4) as one, open_database(database_url, 4) as two:
            started = asyncio.get_running_loop().time()

            async def take(db: Any) -> float:
                wait = await paces.take(db, b"key", 2.0)
                return asyncio.get_running_loop().time() - started + wait

            other = await paces.take(one, b"other key", 2.0)
            assert other == 0
            return sorted(await asyncio.gather(*(take(db) for db in (one, two) * 5)))

    moments = asyncio.run(take_all())

    gaps = [later - sooner for sooner, later in zip(moments, moments[1:], strict=False)]
    assert all(1.5 < gap < 2.5 for gap in gaps), moments


def test_a_moment_long_past_is_not_made_up_for(
    database_url: str, execute: Callable[..., int]
) -> None:
    execute("insert into provider_turn values ('\\x6b', now() - interval '1 hour')")

    async def take_two() -> tuple[float, float]:
        async with open_database(database_url, 1) as db:
            return await paces.take(db, b"k", 9.0), await paces.take(db, b"k", 9.0)

    first, second = asyncio.run(take_two())

    assert first == 0
    assert 8 < second <= 9
