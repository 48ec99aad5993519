"""Galleries and the links that open them: for guests who have one, as long as it holds."""

import hashlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import photos
import pytest
from admin import Admin, signed_in
from camera import Camera
from conftest import MakeService
from itsdangerous import URLSafeSerializer
from rig import SIGNING_KEY, Service, spelt
from tables import Execute, Rows

from service.pictures.qr import qr_code

NEW_KEY = "another signing key that only the tests have: 53 bytes"
STRANGERS_KEY = "a signing key of somebody who is not this service at all"
LOOKS_A_MINUTE = 240


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


def share(admin: Admin, slot_id: str | None = None, **more: Any) -> dict[str, Any]:
    answer = admin.post("/api/shares", json={"slot_id": slot_id, **more})
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def look(url: str, **params: Any) -> httpx.Response:
    """What a guest with this link sees."""
    where = httpx.URL(url)
    return httpx.get(where.copy_merge_params(params), trust_env=False)


def elsewhere(url: str, path: str) -> str:
    """The same token at another gallery."""
    return str(httpx.URL(url).copy_with(path=path))


def pictures(answer: httpx.Response) -> list[str]:
    """The jobs a slot's gallery shows."""
    assert answer.status_code == 200, answer.text
    return [picture["job_id"] for picture in answer.json()["pictures"]]


def refused(answer: httpx.Response, status: int, reason: str) -> bool:
    body = answer.json()
    assert set(body) >= {"status", "failure_reason", "details", "job_id"}
    return (answer.status_code, body["failure_reason"]) == (status, reason)


def fill(execute: Execute, rows: Rows, service: Service, per_slot: int) -> None:
    """So many pictures in every slot, a second apart, with their files."""
    execute(
        "with job as ("
        " insert into job_history (id, slot_id, slot_version, status, provider, operation,"
        " created_at, finished_at, client_address, total_ms, stored)"
        " select gen_random_uuid(), slot.id, 1, 'done', 'gemini', 'image_edit', at, at,"
        " '10.0.0.1', 8000, true"
        " from slot, generate_series(1, %s) as n,"
        " lateral (select now() - make_interval(secs => n)) t(at) returning id, finished_at)"
        " insert into media_object (kind, job_id, path, mime, bytes, sha256, width, height,"
        " created_at, expires_at)"
        " select 'result', id, 'results/' || id || '.jpg', 'image/jpeg', 1000, '', 640, 480,"
        " finished_at, finished_at + interval '72 hours' from job",
        per_slot,
    )
    for row in rows("select path from media_object"):
        (service.media_root / row["path"]).write_bytes(b"a picture")


def test_a_link_of_one_slot_shows_its_pictures(admin: Admin, camera: Camera) -> None:
    older, newer = camera.shoot(), camera.shoot()
    camera.shoot(slot="slot-002")

    answer = look(share(admin, "slot-001")["url"])

    ids = [newer.headers["x-job-id"], older.headers["x-job-id"]]
    assert pictures(answer) == ids
    told = answer.json()
    assert (told["slot_id"], told["name"]) == ("slot-001", "Slot 1")
    picture = told["pictures"][0]
    assert (picture["mime"], picture["width"] > 0) == ("image/jpeg", True)
    assert look(picture["url"]).content == newer.content
    assert look(picture["preview_url"]).headers["content-type"] == "image/webp"


def test_a_link_of_all_shows_every_slot(admin: Admin, camera: Camera) -> None:
    shots = {slot: camera.shoot(slot=slot) for slot in ("slot-001", "slot-015")}

    answer = look(share(admin)["url"])

    slots = {slot["slot_id"]: slot["pictures"] for slot in answer.json()["slots"]}
    assert list(slots) == [f"slot-{n:03}" for n in range(1, 16)]
    for slot, shot in shots.items():
        assert [picture["job_id"] for picture in slots.pop(slot)] == [shot.headers["x-job-id"]]
    assert all(pictures == [] for pictures in slots.values())


def test_a_link_of_all_opens_each_slot(admin: Admin, camera: Camera) -> None:
    shot = camera.shoot(slot="slot-003")

    answer = look(elsewhere(share(admin)["url"], "/public/slots/slot-003"))

    assert pictures(answer) == [shot.headers["x-job-id"]]


@pytest.mark.parametrize("path", ["/public/slots/slot-002", "/public/slots", "/public/slots/x"])
def test_a_link_of_one_slot_opens_nothing_else(admin: Admin, path: str) -> None:
    url = share(admin, "slot-001")["url"]

    assert look(url).status_code == 200
    assert refused(look(elsewhere(url, path)), 403, "share_invalid")


def test_a_slot_nobody_knows_is_not_found(admin: Admin) -> None:
    url = share(admin)["url"]

    for slot_id in ("slot-999", "SLOT-001", "%00"):
        answer = look(elsewhere(url, f"/public/slots/{slot_id}"))
        assert refused(answer, 404, "slot_not_found")


def test_a_gallery_is_neither_indexed_nor_cached(admin: Admin, camera: Camera) -> None:
    camera.shoot()

    for answer in (look(share(admin)["url"]), look(share(admin, "slot-001")["url"])):
        assert answer.headers["x-robots-tag"] == "noindex"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "query", ["", "?share=", "?share=x", "?share=%00", "?share=a.b", "?share=é"]
)
def test_without_a_link_there_is_no_gallery(service: Service, query: str) -> None:
    for path in ("/public/slots", "/public/slots/slot-001", "/public/slots/slot-999"):
        answer = httpx.get(f"{service.url}{path}{query}", trust_env=False)
        assert refused(answer, 403, "share_invalid")


def test_a_session_is_no_link(admin: Admin) -> None:
    assert refused(admin.get("/public/slots/slot-001"), 403, "share_invalid")


def test_a_tampered_link_opens_nothing(admin: Admin) -> None:
    url = share(admin, "slot-001")["url"]
    base, _, token = url.partition("?share=")
    payload, _, signature = token.rpartition(".")
    forged = [
        token[:-1],
        token[::-1],
        signature,
        f"{payload}x.{signature}",
        f"{payload}.{signature[::-1]}",
        f"{payload}.",
        f"{signed([str(uuid4()), 9e9]).rpartition('.')[0]}.{signature}",
    ]

    for one in forged:
        assert refused(look(f"{base}?share={one}"), 403, "share_invalid"), one
    assert look(url).status_code == 200


def signed(payload: Any, key: str = SIGNING_KEY, salt: str = "photoslot.share") -> str:
    """A token as the service signs it."""
    token = URLSafeSerializer(
        key, salt=salt, signer_kwargs={"digest_method": hashlib.sha256}
    ).dumps(payload)
    assert isinstance(token, str)
    return token


def test_only_this_service_can_sign_a_link(admin: Admin, service: Service) -> None:
    known = share(admin, "slot-001")
    payload = [known["id"], int(time.time()) + 3600]
    url = f"{service.url}/public/slots/slot-001?share="
    assert look(url + signed(payload)).status_code == 200

    for token in (
        signed(payload, key=STRANGERS_KEY),
        signed(payload, salt="photoslot.session"),
        signed([known["id"], int(time.time()) - 1]),
        signed([str(uuid4()), payload[1]]),
        signed([known["id"]]),
        signed([known["id"], "later"]),
        signed([None, payload[1]]),
        signed({"id": known["id"]}),
        signed("x"),
        signed(7),
    ):
        assert refused(look(url + token), 403, "share_invalid")


def test_a_token_of_any_length_is_answered(service: Service) -> None:
    answer = httpx.get(f"{service.url}/public/slots?share={'x' * 5000}", trust_env=False)

    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == ["share"]


def test_a_link_ends_on_its_second(admin: Admin, camera: Camera, execute: Execute) -> None:
    camera.shoot()
    url = share(admin, "slot-001")["url"]
    assert len(pictures(look(url))) == 1

    execute("update share set created_at = now() - interval '1 hour', expires_at = now()")

    assert refused(look(url), 403, "share_invalid")


def test_a_link_is_taken_back_at_once(admin: Admin) -> None:
    gone, kept = share(admin, "slot-001"), share(admin, "slot-001")

    assert admin.delete(f"/api/shares/{gone['id']}").status_code == 204

    assert refused(look(gone["url"]), 403, "share_invalid")
    assert look(kept["url"]).status_code == 200
    listed = {one["id"]: one for one in admin.get("/api/shares").json()["shares"]}
    assert listed[gone["id"]]["revoked_at"] is not None
    assert listed[kept["id"]]["revoked_at"] is None


def test_a_link_is_taken_back_once(admin: Admin, rows: Rows) -> None:
    share_id = share(admin)["id"]
    assert [admin.delete(f"/api/shares/{share_id}").status_code for _ in range(2)] == [204, 204]

    entries = rows("select action, target from audit_log where action like 'share.%'")

    assert [entry["action"] for entry in entries] == ["share.add", "share.revoke"]
    assert {entry["target"] for entry in entries} == {share_id}


# Fixed: processes that share a run must name their tests alike.
NOBODY = "b5a1c7e2-0d3f-4a68-9c41-7f2e8d90a613"


@pytest.mark.parametrize("share_id", [NOBODY, "7", "%00", "x"])
def test_a_link_nobody_knows_cannot_be_taken_back(admin: Admin, share_id: str) -> None:
    assert refused(admin.delete(f"/api/shares/{share_id}"), 404, "not_found")


def test_a_link_survives_a_restart(admin: Admin, camera: Camera, make_service: MakeService) -> None:
    job_id = camera.shoot().headers["x-job-id"]
    url = httpx.URL(share(admin, "slot-001")["url"])

    service = make_service()

    assert pictures(look(f"{service.url}{url.raw_path.decode()}")) == [job_id]


def test_a_link_survives_a_new_signing_key_while_the_old_one_is_kept(
    admin: Admin, make_service: MakeService
) -> None:
    old = httpx.URL(share(admin, "slot-001")["url"]).raw_path.decode()
    both = make_service(JWT_SIGNING_KEY=f"{NEW_KEY},{SIGNING_KEY}")
    with signed_in(both) as there:
        new = httpx.URL(share(there, "slot-001")["url"]).raw_path.decode()
    only_new = make_service(JWT_SIGNING_KEY=NEW_KEY)

    assert [look(both.url + path).status_code for path in (old, new)] == [200, 200]
    assert [look(only_new.url + path).status_code for path in (old, new)] == [403, 200]


def test_a_template_is_never_public(admin: Admin) -> None:
    files = {"file": ("style.jpg", photos.jpeg(text="style"), "image/jpeg")}
    template = admin.post("/api/template-media", files=files)
    assert template.status_code == 201, template.text

    answer = look(share(admin)["url"])

    assert [slot["pictures"] for slot in answer.json()["slots"]] == [[]] * 15
    shown = look(f"{admin.service.url}/public/results/{template.json()['id']}")
    assert refused(shown, 404, "result_not_found")


def test_a_test_shot_is_never_public(admin: Admin) -> None:
    files = {"file": ("photo.jpg", photos.jpeg(), "image/jpeg")}
    run = admin.post("/api/slots/slot-001/test-run", files=files)
    assert run.status_code == 200, run.text

    assert pictures(look(share(admin, "slot-001")["url"])) == []
    shown = look(f"{admin.service.url}/public/results/{run.headers['x-job-id']}")
    assert refused(shown, 404, "result_not_found")


def test_a_picture_whose_file_is_missing_is_hidden(
    admin: Admin, camera: Camera, rows: Rows
) -> None:
    kept, lost = (camera.shoot().headers["x-job-id"] for _ in range(2))
    [row] = rows("select path from media_object where job_id = %s", lost)
    (admin.service.media_root / row["path"]).unlink()

    assert pictures(look(share(admin, "slot-001")["url"])) == [kept]


def test_a_picture_is_hidden_from_the_second_it_expires(
    admin: Admin, camera: Camera, execute: Execute
) -> None:
    over, kept = (camera.shoot().headers["x-job-id"] for _ in range(2))
    url = share(admin, "slot-001")["url"]
    assert pictures(look(url)) == [kept, over]

    execute("update media_object set expires_at = now() where job_id = %s", over)

    assert pictures(look(url)) == [kept]


def test_a_shot_that_failed_is_not_in_the_gallery(admin: Admin, camera: Camera) -> None:
    assert camera.shoot(photos.cut(photos.jpeg())).status_code == 415

    assert pictures(look(share(admin, "slot-001")["url"])) == []


@pytest.mark.parametrize(("per_slot", "shown"), [(0, 0), (1, 1), (10, 10), (12, 10)])
def test_a_gallery_of_any_length_is_shown(
    admin: Admin, execute: Execute, rows: Rows, per_slot: int, shown: int
) -> None:
    fill(execute, rows, admin.service, per_slot)

    answer = look(share(admin)["url"])

    assert answer.status_code == 200
    slots = answer.json()["slots"]
    assert [len(slot["pictures"]) for slot in slots] == [shown] * 15
    for slot in slots:
        newest = [picture["finished_at"] for picture in slot["pictures"]]
        assert newest == sorted(newest, reverse=True)
    newest_shown = {slot["pictures"][0]["finished_at"] for slot in slots if slot["pictures"]}
    [newest_made] = rows("select max(finished_at) as at from job_history")
    assert newest_shown == ({spelt(newest_made["at"])} if per_slot else set())


def test_a_guest_chooses_how_many(admin: Admin, execute: Execute, rows: Rows) -> None:
    fill(execute, rows, admin.service, 60)
    url = share(admin, "slot-001")["url"]

    assert [len(pictures(look(url, limit=n))) for n in (1, 25, 50)] == [1, 25, 50]
    for limit in ("0", "51", "-1", "x", ""):
        answer = look(url, limit=limit)
        assert [error["path"] for error in answer.json()["errors"]] == ["limit"]
        assert refused(answer, 422, "invalid_fields")


def test_an_address_that_looks_too_often_has_to_wait(admin: Admin, execute: Execute) -> None:
    url = share(admin, "slot-001")["url"]
    with httpx.Client(trust_env=False) as guest:
        answers = [guest.get(url) for _ in range(LOOKS_A_MINUTE + 1)]
    elsewhere_in_town = httpx.HTTPTransport(local_address="127.0.0.2")

    statuses = [answer.status_code for answer in answers]
    assert statuses == [200] * LOOKS_A_MINUTE + [429]
    assert refused(answers[-1], 429, "rate_limited")
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    with httpx.Client(transport=elsewhere_in_town, trust_env=False) as other:
        assert other.get(url).status_code == 200
    execute("update login_throttle set blocked_until = now()")
    assert look(url).status_code == 200


def test_no_guess_shuts_a_link_out(admin: Admin, camera: Camera) -> None:
    shot = camera.shoot()
    url = share(admin, "slot-001")["url"]
    every = share(admin)["url"]
    with httpx.Client(trust_env=False) as guesser:
        statuses = [guesser.get(f"{url}{n}").status_code for n in range(LOOKS_A_MINUTE + 1)]
    assert statuses == [403] * LOOKS_A_MINUTE + [429]

    assert pictures(look(url)) == [shot.headers["x-job-id"]]
    assert look(every).status_code == 200
    assert look(elsewhere(url, "/public/shares/qr")).status_code == 200


def test_a_link_that_is_asked_for_too_often_shuts_no_other_out(admin: Admin) -> None:
    busy, other = share(admin)["url"], share(admin)["url"]
    with httpx.Client(trust_env=False) as guest:
        for _ in range(LOOKS_A_MINUTE):
            guest.get(busy)

    assert refused(look(busy), 429, "rate_limited")
    assert look(other).status_code == 200


def test_guesses_are_counted_too(service: Service) -> None:
    with httpx.Client(base_url=service.url, trust_env=False) as guest:
        statuses = [
            guest.get(f"/public/slots?share=guess{n}").status_code
            for n in range(LOOKS_A_MINUTE + 1)
        ]

    assert statuses == [403] * LOOKS_A_MINUTE + [429]


def test_a_link_tells_what_it_is(admin: Admin, service: Service) -> None:
    before = datetime.now(UTC)

    told = share(admin, "slot-002", label="Wedding <b>hall</b> 2", hours=24)

    assert (told["slot_id"], told["label"]) == ("slot-002", "Wedding <b>hall</b> 2")
    assert (told["created_by"], told["revoked_at"]) == ("serg", None)
    assert told["url"].startswith(f"{service.url}/public/slots/slot-002?share=")
    hours = (datetime.fromisoformat(told["expires_at"]) - before).total_seconds() / 3600
    assert 24 <= hours < 24.1
    assert share(admin)["url"].startswith(f"{service.url}/public/slots?share=")


def test_links_are_listed_newest_first_with_working_addresses(admin: Admin) -> None:
    made = [share(admin, "slot-001")["id"] for _ in range(3)]

    listed = admin.get("/api/shares").json()["shares"]

    assert [one["id"] for one in listed] == made[::-1]
    assert {look(one["url"]).status_code for one in listed} == {200}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"hours": 0}, "hours"),
        ({"hours": 24 * 90 + 1}, "hours"),
        ({"hours": "72"}, "hours"),
        ({"label": "x" * 121}, "label"),
        ({"slot_id": "slot-999"}, "slot_id"),
        ({"slot_id": "\0"}, "slot_id"),
        ({"slot_id": 1}, "slot_id"),
        ({"slots": []}, "slots"),
    ],
)
def test_a_link_that_makes_no_sense_is_refused(
    admin: Admin, rows: Rows, body: dict[str, Any], path: str
) -> None:
    answer = admin.post("/api/shares", json=body)

    assert refused(answer, 422, "invalid_fields")
    assert [error["path"] for error in answer.json()["errors"]] == [path]
    assert rows("select 1 from share") == []


def test_a_link_has_a_page_and_a_slide_show(admin: Admin, service: Service) -> None:
    one, every = share(admin, "slot-002"), share(admin)

    for told, place in ((one, "/slot-002"), (every, "")):
        token = told["url"].partition("?share=")[2]
        assert told["page_url"] == f"{service.url}/g{place}#{token}"
        assert told["show_url"] == f"{service.url}/show{place}#{token}"


def test_the_code_of_a_link_leads_to_its_page(admin: Admin) -> None:
    told = share(admin, "slot-002")
    url = elsewhere(told["url"], "/public/shares/qr")

    shown = look(url)

    assert shown.headers["content-type"] == "image/svg+xml"
    assert shown.content == qr_code(told["page_url"])
    assert shown.headers["cache-control"] == "private, max-age=3600"
    headers = {"if-none-match": shown.headers["etag"]}
    known = httpx.get(url, headers=headers, trust_env=False)
    assert (known.status_code, known.content) == (304, b"")
    assert admin.delete(f"/api/shares/{told['id']}").status_code == 204
    for gone in (url, url + "x", url.partition("?")[0]):
        assert refused(look(gone), 403, "share_invalid")
