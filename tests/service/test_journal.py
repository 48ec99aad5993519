"""The journal: filters, pages in both directions, CSV, and one job with its whole story."""

import base64
import csv
import io
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from admin import Admin, signed_in
from camera import Camera
from psycopg.types.json import Jsonb
from rig import Sandbox, Service, spelt
from tables import Execute

MakeJob = Callable[..., str]

MIB = 1024**2
MANY = 40_000
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
# Fixed: processes that share a run must name their tests alike.
NOBODY = "b5a1c7e2-0d3f-4a68-9c41-7f2e8d90a613"
PUBLIC = {
    "job_id",
    "slot_id",
    "status",
    "failure_reason",
    "created_at",
    "deadline_at",
    "finished_at",
    "total_ms",
    "result_url",
    "result_mime",
    "result_width",
    "result_height",
    "expires_at",
}


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


@pytest.fixture
def job(execute: Execute) -> MakeJob:
    """`job(minutes=5, status="failed", ...)` writes one job made so long after NOON; its id."""

    def make(minutes: float = 0, **columns: Any) -> str:
        job_id, created_at = str(uuid4()), NOON + timedelta(minutes=minutes)
        row = {
            "id": job_id,
            "slot_id": "slot-001",
            "slot_version": 1,
            "status": "done",
            "provider": "gemini",
            "operation": "image_edit",
            "created_at": created_at,
            "finished_at": created_at + timedelta(seconds=8),
            "client_address": "10.0.0.1",
            "total_ms": 8000,
            **columns,
        }
        names = ", ".join(row)
        places = ", ".join(["%s"] * len(row))
        execute(f"insert into job_history ({names}) values ({places})", *row.values())
        return job_id

    return make


@pytest.fixture
def mixed(job: MakeJob) -> dict[str, str]:
    """One job of each kind, by name; each a minute after the one before."""
    kinds: dict[str, dict[str, Any]] = {
        "done": {},
        "busy": {"status": "failed", "failure_reason": "slot_busy", "slot_id": "slot-002"},
        "blocked": {"status": "failed", "failure_reason": "content_blocked"},
        "late": {"status": "timeout", "failure_reason": "provider_timeout"},
        "test": {"source": "test", "slot_id": "slot-002"},
        "running": {
            "status": "pending",
            "finished_at": None,
            "deadline_at": datetime.now(UTC) + timedelta(minutes=5),
            "worker": 1,
        },
    }
    return {name: job(minutes, **kind) for minutes, (name, kind) in enumerate(kinds.items())}


def page(admin: Admin, **params: Any) -> dict[str, Any]:
    answer = admin.get("/api/jobs", params=params)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def ids(told: dict[str, Any]) -> list[str]:
    return [job["id"] for job in told["jobs"]]


def all_pages(admin: Admin, **params: Any) -> Iterator[list[str]]:
    """Page after page from the top."""
    told = page(admin, **params)
    yield ids(told)
    while told["older"]:
        told = page(admin, older_than=told["older"], **params)
        yield ids(told)


def refused(answer: httpx.Response, *paths: str) -> bool:
    """Whether an answer refuses these fields in the one shape."""
    assert (answer.status_code, answer.headers["x-failure-reason"]) == (422, "invalid_fields")
    return [error["path"] for error in answer.json()["errors"]] == list(paths)


def test_the_newest_job_comes_first(admin: Admin, mixed: dict[str, str]) -> None:
    told = page(admin)

    assert ids(told) == list(mixed.values())[::-1]
    assert (told["older"], told["newer"]) == (None, None)


def test_a_line_has_the_stages_of_a_real_shot(admin: Admin, camera: Camera) -> None:
    answer = camera.shoot()

    [line] = page(admin)["jobs"]

    assert line["id"] == answer.headers["x-job-id"]
    assert (line["slot_id"], line["slot_version"], line["source"]) == ("slot-001", 1, "device")
    assert (line["status"], line["failure_reason"]) == ("done", None)
    assert (line["provider"], line["operation"]) == ("gemini", "image_edit")
    assert (line["attempt_count"], line["stored"], line["delivered"]) == (1, True, True)
    stages = ("upload_ms", "queue_ms", "provider_ms", "store_ms")
    assert sum(line[stage] for stage in stages) <= line["total_ms"] + len(stages)
    assert line["client_address"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"slot_id": "slot-002"}, ["test", "busy"]),
        ({"status": "failed"}, ["blocked", "busy"]),
        ({"status": "pending"}, ["running"]),
        ({"status": "timeout"}, ["late"]),
        ({"reason": "content_blocked"}, ["blocked"]),
        ({"source": "test"}, ["test"]),
        ({"source": "device", "status": "done"}, ["done"]),
        ({"slot_id": "slot-002", "status": "failed", "reason": "slot_busy"}, ["busy"]),
        ({"slot_id": "slot-001", "reason": "slot_busy"}, []),
        ({"slot_id": "slot-999"}, []),
        ({"reason": "no_such_reason"}, []),
        ({"from": "2026-03-01T12:04:00Z"}, ["running", "test"]),
        ({"until": "2026-03-01T12:01:00Z"}, ["done"]),
        (
            {"from": "2026-03-01T15:01:00+03:00", "until": "2026-03-01T15:03:00+03:00"},
            ["blocked", "busy"],
        ),
        ({"from": "2026-03-01T12:03:00Z", "until": "2026-03-01T12:03:00Z"}, []),
    ],
)
def test_filters_let_through_what_they_name(
    admin: Admin, mixed: dict[str, str], params: dict[str, str], expected: list[str]
) -> None:
    assert ids(page(admin, **params)) == [mixed[name] for name in expected]


def test_pages_downwards_have_no_gap_and_no_repeat(admin: Admin, job: MakeJob) -> None:
    made = [job(minutes) for minutes in range(11)]

    pages = list(all_pages(admin, limit=3))

    assert [len(one) for one in pages] == [3, 3, 3, 2]
    assert list(itertools.chain(*pages)) == made[::-1]


def test_a_page_that_is_just_full_has_nothing_below(admin: Admin, job: MakeJob) -> None:
    for minutes in range(3):
        job(minutes)

    told = page(admin, limit=3)

    assert (len(told["jobs"]), told["older"], told["newer"]) == (3, None, None)


def test_jobs_of_the_same_moment_are_not_lost_between_pages(admin: Admin, job: MakeJob) -> None:
    made = {job(minutes=1) for _ in range(7)}

    pages = list(all_pages(admin, limit=2))

    assert sorted(itertools.chain(*pages)) == sorted(made)


def test_the_way_back_up_shows_the_same_pages(admin: Admin, job: MakeJob) -> None:
    for minutes in range(9):
        job(minutes)
    down = list(all_pages(admin, limit=3))
    first = page(admin, limit=3)
    second = page(admin, limit=3, older_than=first["older"])
    last = page(admin, limit=3, older_than=second["older"])

    upwards = page(admin, limit=3, newer_than=last["newer"])
    top = page(admin, limit=3, newer_than=upwards["newer"])

    assert [ids(top), ids(upwards), ids(last)] == down
    assert (top["newer"], last["older"]) == (None, None)
    assert ids(page(admin, limit=3, older_than=top["older"])) == down[1]


def test_what_arrives_meanwhile_neither_shifts_nor_repeats_a_page(
    admin: Admin, job: MakeJob
) -> None:
    made = [job(minutes) for minutes in range(8)]
    first = page(admin, limit=3)
    new = [job(minutes) for minutes in (20, 21)]

    second = page(admin, limit=3, older_than=first["older"])
    third = page(admin, limit=3, older_than=second["older"])
    back = page(admin, limit=3, newer_than=second["newer"])
    above = page(admin, limit=3, newer_than=back["newer"])

    assert ids(first) + ids(second) + ids(third) == made[::-1]
    assert ids(back) == ids(first)
    assert (ids(above), above["newer"]) == (new[::-1], None)


def test_the_top_asks_again_for_what_is_new(admin: Admin, job: MakeJob) -> None:
    job()
    job(minutes=1)
    place = page(admin, limit=1)["older"]
    known = page(admin, limit=1, older_than=place)
    assert known["newer"]
    top = page(admin, limit=5, newer_than=known["newer"])

    nothing = page(admin, limit=5, newer_than=cursor_of(top["jobs"][0]))
    new = job(minutes=2)
    something = page(admin, limit=5, newer_than=cursor_of(top["jobs"][0]))

    assert (nothing["jobs"], nothing["older"], nothing["newer"]) == ([], None, None)
    assert ids(something) == [new]


def cursor_of(line: dict[str, Any]) -> str:
    """The place of a line, as the journal writes it."""
    return base64.urlsafe_b64encode(f"{line['created_at']} {line['id']}".encode()).decode()


def test_a_filter_holds_on_every_page(admin: Admin, job: MakeJob) -> None:
    wanted = []
    for minutes in range(12):
        job(minutes, slot_id="slot-003")
        wanted.append(job(minutes, slot_id="slot-004"))

    pages = list(all_pages(admin, limit=5, slot_id="slot-004"))

    assert list(itertools.chain(*pages)) == wanted[::-1]


@pytest.mark.parametrize("name", ["older_than", "newer_than"])
@pytest.mark.parametrize(
    "place",
    [
        "",
        "x",
        "%00",
        "ż",
        "MjAyNi0wMy0wMQ==",
        base64.urlsafe_b64encode(b"2026-03-01T12:00:00 " + NOBODY.encode()).decode(),
        base64.urlsafe_b64encode(b"2026-03-01T12:00:00+00:00 17").decode(),
        base64.urlsafe_b64encode(b"\xff\xfe " + NOBODY.encode()).decode(),
        base64.urlsafe_b64encode(b"0001-01-01T00:00:00+23:59 " + NOBODY.encode()).decode(),
        "A" * 5000,
    ],
)
def test_a_place_this_journal_never_gave_is_refused(admin: Admin, name: str, place: str) -> None:
    assert refused(admin.get(f"/api/jobs?{name}={place}"), name)


def test_two_directions_at_once_are_refused(admin: Admin, job: MakeJob) -> None:
    for minutes in range(3):
        job(minutes)
    place = page(admin, limit=1)["older"]

    answer = admin.get("/api/jobs", params={"older_than": place, "newer_than": place})

    assert refused(answer, "newer_than")


@pytest.mark.parametrize("name", ["slot_id", "reason"])
@pytest.mark.parametrize("value", ["%00", "slot-001%00", "'; drop table slot; --", "%F0%9F%98%80"])
def test_no_text_breaks_a_filter(
    admin: Admin, mixed: dict[str, str], name: str, value: str
) -> None:
    answer = admin.get(f"/api/jobs?{name}={value}")

    assert (answer.status_code, answer.json()["jobs"]) == (200, [])


@pytest.mark.parametrize("name", ["from", "until"])
@pytest.mark.parametrize(
    "value",
    [
        "2026-03-01T12:00:00",
        "2026-03-01",
        "yesterday",
        "99999999999999999999",
        "",
        "%00",
        "0001-01-01T00:00:00%2B23:59",
    ],
)
def test_a_time_nobody_can_place_is_refused(admin: Admin, name: str, value: str) -> None:
    assert refused(admin.get(f"/api/jobs?{name}={value}"), name)


@pytest.mark.parametrize("limit", ["0", "-1", "201", "1.5", "many", "", "99999999999999999999"])
def test_a_page_size_out_of_bounds_is_refused(admin: Admin, limit: str) -> None:
    assert refused(admin.get(f"/api/jobs?limit={limit}"), "limit")


@pytest.mark.parametrize("limit", [1, 200])
def test_the_bounds_of_a_page_size_are_taken(admin: Admin, limit: int) -> None:
    assert page(admin, limit=limit)["jobs"] == []


@pytest.mark.parametrize("query", ["status=lost", "source=phone", "format=xml", "page=2"])
def test_unknown_words_are_refused(admin: Admin, query: str) -> None:
    assert refused(admin.get(f"/api/jobs?{query}"), query.partition("=")[0])


def test_csv_has_every_job_the_filter_lets_through(admin: Admin, execute: Execute) -> None:
    fill(execute, 2500)

    answer = admin.get("/api/jobs?format=csv&slot_id=slot-002&limit=1")

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment;")
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert len({line["id"] for line in lines}) == len(lines) == 1250
    assert {line["slot_id"] for line in lines} == {"slot-002"}
    times = [line["created_at"] for line in lines]
    assert times == sorted(times, reverse=True)


def fill(execute: Execute, count: int, apart: int = 1) -> None:
    """So many jobs, on two slots in turn, with so many seconds between them."""
    execute(
        "insert into job_history (id, slot_id, slot_version, status, provider, operation,"
        " created_at, finished_at, client_address, total_ms) select gen_random_uuid(),"
        " 'slot-00' || 1 + n %% 2, 1, 'done', 'gemini', 'image_edit', at, at, '10.0.0.1', 8000"
        " from generate_series(1, %s) as n,"
        " lateral (select now() - make_interval(secs => n * %s)) t(at)",
        count,
        apart,
    )


def test_csv_says_what_the_page_says(admin: Admin, mixed: dict[str, str]) -> None:
    answer = admin.get("/api/jobs?format=csv")

    lines = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    told = page(admin)["jobs"]
    assert [list(line) for line in lines] == [list(job) for job in told]
    for line, job in zip(lines, told, strict=True):
        for name in ("id", "status", "slot_id", "total_ms", "source"):
            assert line[name] == str(job[name])
        assert line["failure_reason"] == (job["failure_reason"] or "")
        assert spelt(datetime.fromisoformat(line["created_at"])) == job["created_at"]


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://evil")', "=1,2\n=3"],
)
def test_no_cell_is_a_formula(admin: Admin, job: MakeJob, text: str) -> None:
    job(client_address=text, provider=text, status="failed", failure_reason=text)

    answer = admin.get("/api/jobs?format=csv")

    [line] = csv.DictReader(io.StringIO(answer.text, newline=""))
    for name in ("client_address", "provider", "failure_reason"):
        assert line[name] == f"'{text}"


def test_csv_of_nothing_is_its_head(admin: Admin) -> None:
    [head] = admin.get("/api/jobs?format=csv").text.splitlines()

    assert head.startswith("id,slot_id,")


def test_a_csv_request_is_checked_like_a_page(admin: Admin) -> None:
    assert refused(admin.get("/api/jobs?format=csv&from=2026-03-01T12:00:00"), "from")


@pytest.mark.slow
def test_a_long_csv_is_streamed_in_little_memory(
    admin: Admin, service: Service, execute: Execute
) -> None:
    fill(execute, 2000)
    assert admin.get("/api/jobs?format=csv").is_success
    # Over many hours: the sum of an hour is a row, and each of its jobs writes it anew.
    fill(execute, MANY, apart=60)
    before, most, size = service.memory_bytes, 0, 0

    with httpx.stream(
        "GET",
        f"{service.url}/api/jobs?format=csv",
        headers={"authorization": f"Bearer {admin.token}"},
        trust_env=False,
        timeout=60,
    ) as answer:
        for piece in answer.iter_bytes():
            size += piece.count(b"\n")
            most = max(most, service.memory_bytes)

    assert size == 1 + 2000 + MANY
    assert most - before < 12 * MIB


def test_a_reader_who_leaves_a_csv_leaves_nothing_behind(
    admin: Admin, service: Service, execute: Execute
) -> None:
    fill(execute, 5000)
    for _ in range(10):
        with httpx.stream(
            "GET",
            f"{service.url}/api/jobs?format=csv",
            headers={"authorization": f"Bearer {admin.token}"},
            trust_env=False,
        ) as answer:
            next(answer.iter_bytes(100))

    assert page(admin)["jobs"]
    assert not [line for line in service.log if line.get("level") == "error"]


def test_an_admin_reads_the_whole_story_of_a_job(admin: Admin, camera: Camera) -> None:
    shot = camera.shoot(filename="IMG_0007.JPG")
    job_id = shot.headers["x-job-id"]

    told = admin.get(f"/api/jobs/{job_id}").json()

    assert set(told) > PUBLIC
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["ok"]
    assert all(attempt["provider"] == "gemini" for attempt in told["attempts"])
    assert all(attempt["ms"] >= 0 and attempt["model"] for attempt in told["attempts"])
    assert told["attempt_count"] == 1
    for stage in ("upload_ms", "queue_ms", "provider_ms", "store_ms", "total_ms"):
        assert told[stage] >= 0
    assert told["device"]["filename"] == "IMG_0007.JPG"
    assert "password" not in told["device"]
    assert (told["source_mime"], told["source_width"]) == ("image/jpeg", 640)
    assert len(bytes.fromhex(told["source_sha256"])) == 32
    assert told["result_bytes"] == len(shot.content)
    assert told["cost_microusd"] > 0
    assert told["result_url"] == f"{admin.service.url}/public/results/{job_id}"


def test_an_admin_reads_why_a_job_failed(admin: Admin, camera: Camera, sandbox: Sandbox) -> None:
    sandbox.dial(["400"])
    job_id = camera.shoot().headers["x-job-id"]

    told = admin.get(f"/api/jobs/{job_id}").json()

    assert (told["status"], told["failure_reason"]) == ("failed", "provider_error")
    assert told["failure_details"]
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["provider_error"]
    assert (told["result_url"], told["result_bytes"]) == (None, None)


def test_without_a_session_a_job_tells_little(service: Service, job: MakeJob) -> None:
    job_id = job(
        status="failed",
        failure_reason="provider_auth",
        failure_details="key sk-123 refused",
        device=Jsonb({"filename": "secret.jpg"}),
    )

    answer = httpx.get(f"{service.url}/api/jobs/{job_id}", trust_env=False)

    assert (answer.status_code, set(answer.json())) == (200, PUBLIC)
    assert answer.headers["cache-control"] == "no-store"
    assert "sk-123" not in answer.text
    assert "secret.jpg" not in answer.text


@pytest.mark.parametrize("token", ["x", "a.b.c", "é", "x" * 8000])
def test_a_bad_session_is_told_so(service: Service, job: MakeJob, token: str) -> None:
    job_id = job()

    answer = httpx.get(
        f"{service.url}/api/jobs/{job_id}",
        headers={"authorization": f"Bearer {token}".encode()},
        trust_env=False,
    )

    assert (answer.status_code, answer.headers["x-failure-reason"]) == (401, "unauthorized")


def test_an_ended_session_is_told_so(admin: Admin, job: MakeJob) -> None:
    job_id = job()
    assert admin.get(f"/api/jobs/{job_id}").is_success
    assert admin.post("/api/logout").status_code == 204

    assert admin.get(f"/api/jobs/{job_id}").status_code == 401
    assert admin.get("/api/jobs").status_code == 401


@pytest.mark.parametrize("job_id", ["0", "%00", NOBODY, NOBODY.upper()])
def test_a_job_nobody_knows_is_not_found(admin: Admin, job_id: str) -> None:
    answer = admin.get(f"/api/jobs/{job_id}")

    assert (answer.status_code, answer.headers["x-failure-reason"]) == (404, "job_not_found")


def test_pages_are_whole_while_shots_arrive(admin: Admin, job: MakeJob) -> None:
    made = [job(minutes) for minutes in range(30)]

    with ThreadPoolExecutor() as threads:
        arriving = threads.submit(arrive, job, range(100, 130))
        seen = list(itertools.chain(*all_pages(admin, limit=2)))
        new = arriving.result()

    assert [job_id for job_id in seen if job_id in made] == made[::-1]
    assert len(seen) == len(set(seen))
    assert set(seen) <= {*made, *new}


def arrive(job: MakeJob, minutes: Sequence[int]) -> list[str]:
    return [job(minute) for minute in random.Random(3).sample(minutes, len(minutes))]
