"""Public pictures: shown, resumed, cached, previewed, and gone on the second."""

import asyncio
import io
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import uuid4

import httpx
import photos
import psycopg
import pytest
from camera import Camera, breeze_fields
from conftest import MakeService
from PIL import Image
from rig import SIGNING_KEY, Sandbox, Service, spelt, until
from tables import Disk, Execute, Rows, Tables

from service.pictures.qr import MAX_WAITING, qr_code

NEW_KEY = "another signing key that only the tests have: 53 bytes"
WAITS_FOR_A_LOCK = """
    select from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'
"""


@dataclass(frozen=True)
class Guest:
    """Somebody with the link of a picture."""

    service_url: str
    job_id: str
    picture: bytes

    def get(self, more: str = "", method: str = "GET", **headers: str) -> httpx.Response:
        """Ask for the picture; `more` goes behind its address, headers have `_` for `-`."""
        return httpx.request(
            method,
            f"{self.service_url}/public/results/{self.job_id}{more}",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            trust_env=False,
        )

    def job(self) -> httpx.Response:
        """Ask how the job stands."""
        return httpx.get(f"{self.service_url}/api/jobs/{self.job_id}", trust_env=False)


@pytest.fixture
def guest(camera: Camera, service: Service) -> Guest:
    """Somebody with the link of a picture that was just made."""
    answer = camera.shoot(photos.jpeg(900, 600))
    assert answer.status_code == 200, answer.text
    return Guest(service.url, answer.headers["x-job-id"], answer.content)


def test_the_link_of_an_answer_shows_the_same_picture(camera: Camera) -> None:
    answer = camera.shoot()

    link = answer.headers["link"].partition(">")[0].lstrip("<")
    shown = httpx.get(link, trust_env=False)

    assert shown.status_code == 200
    assert shown.content == answer.content
    assert shown.headers["content-type"] == "image/jpeg"
    assert shown.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize(("outcome", "mime"), [("png", "image/png"), ("webp", "image/webp")])
def test_a_picture_is_shown_with_its_own_type(
    camera: Camera, service: Service, sandbox: Sandbox, outcome: str, mime: str
) -> None:
    sandbox.dial([outcome])
    answer = camera.shoot()

    shown = Guest(service.url, answer.headers["x-job-id"], answer.content).get()

    assert (shown.status_code, shown.headers["content-type"]) == (200, mime)
    assert shown.content == answer.content


@pytest.mark.parametrize("more", ["", "?download=1", "/preview"])
def test_a_served_picture_is_guarded(guest: Guest, more: str) -> None:
    told = guest.get(more).headers

    assert told["x-content-type-options"] == "nosniff"
    assert told["content-security-policy"] == "default-src 'none'; sandbox"
    assert told["x-robots-tag"] == "noindex"
    assert told["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("more", ["", "?download=1", "/preview"])
def test_a_browser_asks_again_and_learns_that_a_picture_was_taken_back(
    camera: Camera, service: Service, more: str
) -> None:
    """RFC 9111, 5.2.2.4: what is kept is not shown before the service was asked."""
    shot = camera.shoot(photos.jpeg(900, 600))
    guest = Guest(service.url, shot.headers["x-job-id"], shot.content)
    kept = guest.get(more).headers
    assert kept["cache-control"] == "private, no-cache"
    assert guest.get(more, If_None_Match=kept["etag"]).status_code == 304

    taken_back = delete(service.url, guest.job_id, shot.headers["x-page-url"].partition("#")[2])

    assert taken_back.status_code == 204
    assert guest.get(more, If_None_Match=kept["etag"]).status_code == 410


def test_head_tells_the_same_without_the_picture(guest: Guest) -> None:
    whole, head = guest.get(), guest.get(method="HEAD")

    assert (head.status_code, head.content) == (200, b"")
    same = ("content-type", "content-length", "etag", "content-disposition", "accept-ranges")
    assert [head.headers[name] for name in same] == [whole.headers[name] for name in same]


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("0-99", 0, 100), ("100-", 100, None), ("-100", -100, None), ("7-7", 7, 8)],
)
def test_a_broken_download_can_be_resumed(
    guest: Guest, wanted: str, start: int, end: int | None
) -> None:
    answer = guest.get(range=f"bytes={wanted}")

    size = len(guest.picture)
    expected = guest.picture[start:end]
    first = start % size
    assert answer.status_code == 206
    assert answer.content == expected
    span = f"bytes {first}-{first + len(expected) - 1}/{size}"
    assert answer.headers["content-range"] == span
    assert answer.headers["content-length"] == str(len(expected))
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_range_beyond_the_end_is_refused(guest: Guest) -> None:
    answer = guest.get(range="bytes=99999999-")

    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(guest.picture)}"


@pytest.mark.parametrize("wanted", ["lines=1-2", "bytes=", "bytes", "bytes=9-1", "bytes=a-b"])
def test_a_range_nobody_understands_is_ignored(guest: Guest, wanted: str) -> None:
    answer = guest.get(range=wanted)

    assert (answer.status_code, answer.content) == (200, guest.picture)


def test_a_guest_who_has_the_picture_is_not_sent_it_again(guest: Guest) -> None:
    etag = guest.get().headers["etag"]

    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = guest.get(if_none_match=known)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
    assert guest.get(if_none_match='"other"').status_code == 200


def test_two_pictures_have_two_etags(guest: Guest, camera: Camera, service: Service) -> None:
    answer = camera.shoot(photos.jpeg(text="another"))
    other = Guest(service.url, answer.headers["x-job-id"], answer.content)

    etags = {one.get(more).headers["etag"] for one in (guest, other) for more in ("", "/preview")}

    assert len(etags) == 4


def test_a_download_is_only_resumed_of_the_same_picture(guest: Guest) -> None:
    etag = guest.get().headers["etag"]

    assert guest.get(range="bytes=5-", if_range=etag).status_code == 206
    other = guest.get(range="bytes=5-", if_range='"other"')
    assert (other.status_code, other.content) == (200, guest.picture)


def test_a_picture_is_shown_or_downloaded_under_a_safe_name(guest: Guest) -> None:
    name = f'filename="{guest.job_id}.jpg"'

    assert guest.get().headers["content-disposition"] == f"inline; {name}"
    downloaded = guest.get("?download=1")
    assert downloaded.headers["content-disposition"] == f"attachment; {name}"
    assert downloaded.content == guest.picture


@pytest.mark.parametrize("more", ["", "?download=1", "/preview"])
def test_a_picture_is_gone_from_the_second_it_expires(
    guest: Guest, service: Service, execute: Execute, disk: Disk, more: str
) -> None:
    etag = guest.get(more).headers["etag"]
    execute("update media_object set expires_at = now()")

    for method in ("GET", "HEAD"):
        answer = guest.get(more, method, if_none_match=etag)
        assert answer.status_code == 410
        assert answer.headers["x-failure-reason"] == "result_expired"
        assert answer.headers["cache-control"] == "no-store"
    assert_refused(guest.get(more), 410, "result_expired")
    assert (service.media_root / disk("results")[0]).read_bytes() == guest.picture


@pytest.mark.parametrize("more", ["", "/preview"])
def test_nothing_tells_an_unknown_job_from_one_without_a_public_picture(
    camera: Camera, service: Service, sandbox: Sandbox, rows: Rows, execute: Execute, more: str
) -> None:
    sandbox.dial(["400", "ok", "ok"], latency_s=0.0)
    failed = camera.shoot().headers["x-job-id"]
    test = camera.shoot().headers["x-job-id"]
    assert execute("update job_history set source = 'test' where id = %s", test) == 1
    sandbox.dial(latency_s=1.5)

    with ThreadPoolExecutor() as threads:
        running = threads.submit(camera.shoot)
        pending = until(lambda: rows("select id from job_history where status = 'pending'"), "one")
        known = [failed, test, str(pending[0]["id"])]
        unknown = [str(uuid4()), test.upper(), "{" + test + "}", "0", f"{test}.jpg", "%00"]
        answers = [Guest(service.url, job_id, b"").get(more) for job_id in (*known, *unknown)]
        assert not running.done()

    assert running.result().status_code == 200
    assert_refused(answers[0], 404, "result_not_found")
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (404, answers[0].content)
    }
    told = [{k: v for k, v in a.headers.items() if k not in VARYING} for a in answers]
    assert all(one == told[0] for one in told)


VARYING = ("date", "x-request-id")


def test_a_picture_deleted_by_hand_is_gone_and_its_row_says_so(
    guest: Guest, service: Service, rows: Rows, disk: Disk
) -> None:
    (service.media_root / disk("results")[0]).unlink()

    for _ in range(2):
        assert_refused(guest.get(), 410, "result_expired")
    assert_refused(guest.get("/preview"), 410, "result_expired")
    [row] = rows("select kind, cleaned_at is not null as cleaned from media_object")
    assert row == {"kind": "result", "cleaned": True}
    assert rows("select status from job_history") == [{"status": "done"}]


def test_a_preview_is_a_small_webp(guest: Guest) -> None:
    answer = guest.get("/preview")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    picture = Image.open(io.BytesIO(guest.picture))
    small = Image.open(io.BytesIO(answer.content))
    assert small.format == "WEBP"
    assert max(small.size) == 480
    assert small.width / small.height == pytest.approx(picture.width / picture.height, abs=0.01)
    assert len(answer.content) < len(guest.picture) / 3


def test_a_preview_is_made_once(guest: Guest, service: Service, rows: Rows, disk: Disk) -> None:
    first = guest.get("/preview")
    [path] = disk("previews")
    made_at = (service.media_root / path).stat().st_mtime_ns

    again = guest.get("/preview")

    assert again.content == first.content
    assert again.headers["etag"] == first.headers["etag"]
    assert disk("previews") == [path]
    assert (service.media_root / path).stat().st_mtime_ns == made_at
    kinds = rows("select kind, mime, width from media_object order by kind")
    assert kinds[0] == {"kind": "preview", "mime": "image/webp", "width": 480}
    assert [row["kind"] for row in kinds] == ["preview", "result"]
    assert disk("temp") == []


def test_many_first_guests_get_the_same_preview(guest: Guest, rows: Rows, disk: Disk) -> None:
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(lambda _: guest.get("/preview"), range(8)))

    assert {(answer.status_code, answer.content) for answer in answers} == {
        (200, answers[0].content)
    }
    assert len(disk("previews")) == 1
    assert rows("select count(*) from media_object where kind = 'preview'") == [{"count": 1}]


def test_a_preview_deleted_by_hand_is_made_again(
    guest: Guest, service: Service, disk: Disk
) -> None:
    first = guest.get("/preview")
    (service.media_root / disk("previews")[0]).unlink()

    again = guest.get("/preview")

    assert (again.status_code, again.content) == (200, first.content)


def test_a_preview_lives_as_long_as_its_picture(guest: Guest, rows: Rows) -> None:
    guest.get("/preview")

    times = rows("select distinct expires_at from media_object")

    assert len(times) == 1


def test_a_done_job_tells_where_its_picture_is(guest: Guest, rows: Rows) -> None:
    answer = guest.job()

    [job] = rows("select * from job_history")
    [kept] = rows("select width, height, expires_at from media_object")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "job_id": guest.job_id,
        "slot_id": "slot-001",
        "status": "done",
        "failure_reason": None,
        "created_at": spelt(job["created_at"]),
        "deadline_at": spelt(job["deadline_at"]),
        "finished_at": spelt(job["finished_at"]),
        "total_ms": job["total_ms"],
        "result_url": f"{guest.service_url}/public/results/{guest.job_id}",
        "result_mime": "image/jpeg",
        "result_width": kept["width"],
        "result_height": kept["height"],
        "expires_at": spelt(kept["expires_at"]),
    }


def test_an_expired_job_tells_no_address(guest: Guest, execute: Execute) -> None:
    execute("update media_object set expires_at = now()")

    told = guest.job().json()

    assert (told["status"], told["result_url"]) == ("done", None)
    assert told["expires_at"] is not None


def test_a_failed_job_tells_its_reason(camera: Camera, service: Service, sandbox: Sandbox) -> None:
    sandbox.dial(["content_blocked"])
    failed = Guest(service.url, camera.shoot().headers["x-job-id"], b"")

    told = failed.job().json()

    assert (told["status"], told["failure_reason"]) == ("failed", "content_blocked")
    assert told["finished_at"] is not None
    assert told["result_url"] is told["expires_at"] is None


def test_a_pending_job_tells_its_deadline(
    camera: Camera, service: Service, sandbox: Sandbox, rows: Rows
) -> None:
    sandbox.dial(latency_s=1.0)
    with ThreadPoolExecutor() as threads:
        threads.submit(camera.shoot)
        pending = until(lambda: rows("select id from job_history where status = 'pending'"), "one")
        told = Guest(service.url, str(pending[0]["id"]), b"").job().json()

    assert told["status"] == "pending"
    assert told["deadline_at"] > told["created_at"]
    assert (told["finished_at"], told["total_ms"], told["result_url"]) == (None, None, None)


@pytest.mark.parametrize("job_id", ["0", "%00", "0b9f6b1c-5d1e-4f6a-9a57-3a0f6c1f2d3e"])
def test_an_unknown_job_is_not_found(service: Service, job_id: str) -> None:
    assert_refused(Guest(service.url, job_id, b"").job(), 404, "job_not_found")


def delete(url: str, job_id: str, key: str | None) -> httpx.Response:
    """Ask the service at `url` to delete a picture."""
    headers = {} if key is None else {"x-delete-key": key.encode()}
    return httpx.delete(f"{url}/public/results/{job_id}", headers=headers, trust_env=False)


def test_an_answer_has_the_page_of_its_guest(camera: Camera, service: Service) -> None:
    plain = camera.shoot()
    told = camera.shoot(headers={"accept": "application/json"})

    for answer, page in (
        (plain, plain.headers["x-page-url"]),
        (told, told.json()["page_url"]),
    ):
        address, _, key = page.partition("#")
        assert address == f"{service.url}/r/{answer.headers['x-job-id']}"
        assert len(key) == 43
    assert told.headers["x-page-url"] == told.json()["page_url"]


def test_a_guest_deletes_the_picture_while_another_views_it(
    camera: Camera, service: Service, execute: Execute, rows: Rows, disk: Disk
) -> None:
    answer = camera.shoot()
    job_id, key = owned(answer)
    guest = Guest(service.url, job_id, answer.content)
    assert guest.get("/preview").status_code == 200
    execute(
        "update job_history set failure_details = 'words', attempts = "
        "jsonb_set(attempts, '{0,details}', '\"a woman in red\"') where id = %s",
        job_id,
    )
    [before] = rows("select * from job_history where id = %s", job_id)

    with httpx.stream("GET", f"{service.url}/public/results/{job_id}", trust_env=False) as viewer:
        assert delete(service.url, job_id, key).status_code == 204
        assert viewer.read() == answer.content

    for more in ("", "/preview", "/qr"):
        assert_refused(guest.get(more), 410, "result_expired")
    assert_refused(delete(service.url, job_id, key), 410, "result_expired")
    assert guest.job().json()["result_url"] is None
    assert disk("temp", "results", "previews") == []
    [after] = rows("select * from job_history where id = %s", job_id)
    forgotten = {"client_address", "device", "idempotency_key", "source_sha256"}
    assert {name for name in after if after[name] != before[name]} == forgotten | {
        *("attempts", "failure_details"),
    }
    assert [after["client_address"], after["device"]] == ["", {}]
    assert after["attempts"] == [
        {name: value for name, value in attempt.items() if name != "details"}
        for attempt in before["attempts"]
    ]
    [entry] = rows("select actor, target, details from audit_log where action = 'result.delete'")
    assert entry == {"actor": "guest", "target": job_id, "details": {}}
    assert key not in service.output


def owned(answer: httpx.Response) -> tuple[str, str]:
    """The job of a shot, and the key that deletes its picture."""
    assert answer.status_code == 200, answer.text
    return answer.headers["x-job-id"], answer.headers["x-page-url"].partition("#")[2]


def test_only_its_own_key_deletes_a_picture(camera: Camera, service: Service) -> None:
    (job_id, key), (_, other) = (owned(camera.shoot()) for _ in range(2))

    for wrong in (None, "", other, key[:-1], key[::-1], key + "A", "%00", "é"):
        assert_refused(delete(service.url, job_id, wrong), 403, "delete_key_invalid")
        if wrong is not None:
            shown = httpx.get(
                f"{service.url}/public/results/{job_id}/qr",
                headers={"x-delete-key": wrong.encode()},
                trust_env=False,
            )
            assert_refused(shown, 403, "delete_key_invalid")

    assert Guest(service.url, job_id, b"").get().status_code == 200
    assert delete(service.url, job_id, key).status_code == 204


def test_a_delete_key_survives_a_new_signing_key_while_the_old_one_is_kept(
    camera: Camera, make_service: MakeService
) -> None:
    job_id, key = owned(camera.shoot())
    only_new = make_service(JWT_SIGNING_KEY=NEW_KEY)
    both = make_service(JWT_SIGNING_KEY=f"{NEW_KEY},{SIGNING_KEY}")

    assert_refused(delete(only_new.url, job_id, key), 403, "delete_key_invalid")
    assert delete(both.url, job_id, key).status_code == 204


def test_an_expired_picture_cannot_be_deleted(
    camera: Camera, service: Service, execute: Execute
) -> None:
    job_id, key = owned(camera.shoot())

    execute("update media_object set expires_at = now() where job_id = %s", job_id)

    assert_refused(delete(service.url, job_id, key), 410, "result_expired")
    for nobody in ("x", job_id.upper()):
        assert_refused(delete(service.url, nobody, key), 404, "result_not_found")


def test_a_retry_of_a_deleted_shot_is_a_new_order(
    camera: Camera, service: Service, sandbox: Sandbox
) -> None:
    fields = breeze_fields(photos.jpeg())
    job_id, key = owned(camera.shoot(fields=fields))
    assert delete(service.url, job_id, key).status_code == 204

    again = camera.shoot(fields=fields)

    assert owned(again)[0] != job_id
    assert "idempotent-replayed" not in again.headers
    assert len(sandbox.calls()) == 2


def test_a_preview_made_while_its_picture_is_deleted_is_not_kept(
    camera: Camera, service: Service, tables: Tables, disk: Disk
) -> None:
    job_id, _ = owned(camera.shoot())
    guest = Guest(service.url, job_id, b"")

    with ThreadPoolExecutor(1) as pool, psycopg.connect(tables.url) as deleter:
        deleter.execute("update media_object set cleaned_at = now() where job_id = %s", [job_id])
        asked = pool.submit(guest.get, "/preview")
        until(lambda: disk("previews"), "the preview lies on the disk")
        until(lambda: tables.rows(WAITS_FOR_A_LOCK), "its maker waits for the deletion")
        deleter.commit()
        assert_refused(asked.result(), 410, "result_expired")

    assert disk("previews") == []


def test_the_code_of_a_picture_leads_to_its_page(camera: Camera, service: Service) -> None:
    answer = camera.shoot()
    job_id, key = owned(answer)
    guest = Guest(service.url, job_id, answer.content)

    shared, own = guest.get("/qr"), guest.get("/qr", x_delete_key=key)

    assert shared.headers["content-type"] == own.headers["content-type"] == "image/svg+xml"
    assert shared.content == qr_code(f"{service.url}/r/{job_id}")
    assert own.content == qr_code(answer.headers["x-page-url"])
    for shown in (shared, own):
        assert shown.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert shown.headers["vary"] == "x-delete-key"
    assert own.headers["cache-control"] == "no-store"
    assert_refused(Guest(service.url, str(uuid4()), b"").get("/qr"), 404, "result_not_found")


def test_a_code_that_a_browser_has_is_not_drawn_again(camera: Camera, service: Service) -> None:
    answer = camera.shoot()
    job_id, key = owned(answer)
    guest = Guest(service.url, job_id, answer.content)
    shown = guest.get("/qr")

    again = guest.get("/qr", if_none_match=shown.headers["etag"])

    assert re.fullmatch(r"private, max-age=\d{4}", shown.headers["cache-control"])
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == shown.headers["etag"]
    assert again.headers["vary"] == "x-delete-key"
    # What the key is in is another code, and no cache's business.
    own = guest.get("/qr", x_delete_key=key, if_none_match=shown.headers["etag"])
    assert (own.status_code, "etag" in own.headers) == (200, False)
    assert httpx.delete(
        f"{service.url}/public/results/{job_id}", headers={"x-delete-key": key}, trust_env=False
    ).is_success
    gone = guest.get("/qr", if_none_match=shown.headers["etag"])
    assert_refused(gone, 410, "result_expired")


def test_who_asks_for_codes_without_end_is_told_to_come_again(
    camera: Camera, service: Service
) -> None:
    job_id, _ = owned(camera.shoot())
    url = f"{service.url}/public/results/{job_id}/qr"

    async def ask() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=60) as client:
            return await asyncio.gather(*(client.get(url) for _ in range(3 * MAX_WAITING)))

    answers = asyncio.run(ask())

    statuses = [one.status_code for one in answers]
    assert set(statuses) == {200, 503}
    for one in answers:
        if one.status_code == 503:
            assert_refused(one, 503, "overloaded")
    until(lambda: httpx.get(url, trust_env=False).status_code == 200, "the next one gets its code")


def assert_refused(answer: httpx.Response, status: int, reason: str) -> None:
    """The one shape of every refusal, with its reason and job in the headers too."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"status", "failure_reason", "details", "job_id"}
    assert body["status"] == ("timeout" if status == 504 else "error")
    assert body["failure_reason"] == answer.headers["x-failure-reason"] == reason
    assert body["job_id"] == answer.headers.get("x-job-id")
