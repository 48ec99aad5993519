"""bin/cleanup: what is over goes, what is not stays, whatever else happens."""

import json
import os
import pty
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import photos
import psycopg
import pytest
from admin import Admin, signed_in
from camera import Camera, breeze_fields
from conftest import MakeService, ProgramOf, RunProgram
from rig import ROOT, SIGNING_KEY, Sandbox, Service, until
from tables import Disk, Execute, Rows, Tables

from service.storage.media import MARK

COMMAND = str(ROOT / "bin" / "cleanup")
SECONDS = 60.0
DAY = 24 * 3600
SHOTS = 20
WITH_ANOTHER_SYSLOG = """
import sys, cleanup
cleanup.SYSLOG = sys.argv[1]
sys.exit(cleanup.main(sys.argv[2:]))
"""


@pytest.fixture
def environment(service: Service, tables: Tables) -> dict[str, str]:
    given = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": tables.url,
        "MEDIA_ROOT": str(service.media_root),
        "PUBLIC_BASE_URL": service.url,
        "JWT_SIGNING_KEY": SIGNING_KEY,
    }
    return given | {name: value for name, value in os.environ.items() if "COVERAGE" in name}


@pytest.fixture
def run(program_of: ProgramOf, environment: dict[str, str]) -> RunProgram:
    return program_of("cleanup", environment)


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The summary, of a run that went well."""
    assert (done.returncode, done.stderr) == (0, ""), done.stderr + done.stdout
    *_, line = done.stdout.splitlines()
    summary: dict[str, Any] = json.loads(line)
    return summary


def counts(summary: dict[str, Any]) -> dict[str, int]:
    """What it counted, zeros left out."""
    names = ("files", "rows", "failed", "interrupted", "adopted")
    return {name: summary[name] for name in names if summary[name]}


def expire(execute: Execute, *job_ids: str) -> None:
    execute(
        "update media_object set expires_at = now() where job_id = any(%s::uuid[])", list(job_ids)
    )


def write(service: Service, path: str, data: bytes = b"x", age: float = 0.0) -> Path:
    file = service.media_root / path
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    then = time.time() - age
    os.utime(file, (then, then))
    return file


def leave_pending(execute: Execute) -> str:
    """A job whose process died a while ago."""
    job_id = str(uuid4())
    execute(
        "insert into job_history (id, slot_id, slot_version, status, provider, operation,"
        " created_at, deadline_at, worker, client_address)"
        " values (%s, 'slot-001', 1, 'pending', 'gemini', 'image_edit',"
        " now() - interval '90 seconds', now() - interval '42 seconds', 1, '10.0.0.1')",
        job_id,
    )
    execute(
        "insert into media_object (kind, job_id, path, mime, bytes, sha256, width, height,"
        " expires_at) values ('source', %s, 'temp/' || %s || '.1.upload', 'image/jpeg', 9, '', 640,"
        " 480, now() + interval '1 hour')",
        job_id,
        job_id,
    )
    return job_id


def snapshot(rows: Rows) -> list[dict[str, Any]]:
    """All that a cleanup could change."""
    tables = ("job_history", "media_object", "share", "ended_session", "login_throttle", "house")
    return [
        row for name in tables for row in rows(f"select to_jsonb({name}) from {name} order by 1")
    ]


# What goes


def test_it_removes_what_is_over(
    run: RunProgram, camera: Camera, service: Service, rows: Rows, execute: Execute, disk: Disk
) -> None:
    job_id = camera.shoot().headers["x-job-id"]
    kept = camera.shoot().headers["x-job-id"]
    url = f"{service.url}/public/results/{job_id}"
    assert httpx.get(f"{url}/preview", trust_env=False).status_code == 200
    expire(execute, job_id)
    execute(
        "insert into share (id, created_at, created_by, expires_at) select gen_random_uuid(),"
        " now() - interval '2 hours', 'serg', now() + make_interval(hours => n)"
        " from generate_series(-1, 1, 2) as n"
    )
    execute(
        "insert into ended_session select gen_random_uuid(), now() + make_interval(hours => n)"
        " from generate_series(-1, 1, 2) as n"
    )
    execute(
        "insert into login_throttle values ('a', 9, now() - interval '1 day', null),"
        " ('b', 9, now() - interval '1 day', now() + interval '1 minute'), ('c', 9, now(), null)"
    )
    execute("insert into provider_turn values ('a', now() - interval '2 days'), ('b', now())")

    summary = told(run())

    assert counts(summary) == {"files": 2, "rows": 4}
    assert summary["event"] == "cleanup"
    assert [Path(path).stem for path in disk("results", "previews")] == [kept]
    assert httpx.get(url, trust_env=False).status_code == 410
    assert [row["expires_at"] > row["now"] for row in rows("select expires_at, now() from share")]
    left = [
        rows(f"select count(*) as left from {name}")[0]["left"]
        for name in ("share", "ended_session", "login_throttle", "provider_turn")
    ]
    assert left == [1, 1, 2, 1]
    assert counts(told(run())) == {}


def test_jobs_and_audit_go_with_their_years_and_statistics_stay(
    run: RunProgram, camera: Camera, admin: Admin, rows: Rows, execute: Execute
) -> None:
    old, recent, waiting = (camera.shoot().headers["x-job-id"] for _ in range(3))
    for job_id in (old, waiting):
        execute(
            "update job_history set created_at = now() - interval '32 days' where id = %s", job_id
        )
    expire(execute, old)
    execute(
        "insert into audit_log (at, actor, address, action, target)"
        " values (now() - interval '32 days', 'serg', '10.0.0.1', 'login', 'serg')"
    )
    before = rows("select * from shot_hour")

    # A job stays as long as a file of it does, so that every file has a row to tell of it.
    assert counts(told(run(JOB_RETENTION_DAYS="31"))) == {"files": 1, "rows": 2}

    left = {str(row["id"]) for row in rows("select id from job_history")}
    assert left == {recent, waiting}
    assert rows("select job_id from media_object where job_id = %s", old) == []
    assert rows("select 1 from audit_log where at < now() - interval '31 days'") == []
    assert rows("select * from shot_hour") == before
    assert [row["done"] for row in before] == [3]


def test_files_that_no_row_names_go_after_a_day(
    run: RunProgram, settled: None, camera: Camera, service: Service, disk: Disk
) -> None:
    camera.shoot()
    [result] = disk("results")
    orphan = f"{uuid4()}"
    gone = [
        write(service, f"results/{orphan[:2]}/{orphan}.jpg", age=DAY + 60),
        write(service, "results/notes.txt", age=DAY + 60),
        write(service, f"previews/{orphan[:2]}/{orphan}.webp", age=DAY + 60),
        write(service, f"templates/{orphan[:2]}/{orphan}.png", age=DAY + 60),
        write(service, f"temp/{orphan}.results.0a0b.part", age=DAY),
        write(service, f"temp/{orphan}.1.results.0a0b.part"),
        write(service, f"temp/{orphan}.1.upload"),
    ]
    stays = [
        write(service, f"results/{orphan[:2]}/{uuid4()}.jpg", age=DAY - 600),
        write(service, "temp/of-somebody-at-work", age=30),
    ]

    assert counts(told(run())) == {"files": len(gone)}

    assert [path for path in gone if path.exists()] == []
    assert [path for path in stays if not path.exists()] == []
    assert disk("results", "previews", "templates") == sorted(
        [result, str(stays[0].relative_to(service.media_root))]
    )


def test_a_template_is_kept_for_as_long_as_any_version_of_a_slot_names_it(
    run: RunProgram, admin: Admin, execute: Execute, disk: Disk
) -> None:
    files = {"file": ("style.jpg", photos.jpeg(text="style"), "image/jpeg")}
    template = admin.post("/api/template-media", files=files).json()["id"]
    change = {
        "version": 1,
        "operation": "style_transfer",
        "templates": [{"role": "style", "media_id": template}],
    }
    assert admin.put("/api/slots/slot-001", json=change).status_code == 200
    plain = {"version": 2, "operation": "image_edit", "templates": []}
    assert admin.put("/api/slots/slot-001", json=plain).status_code == 200
    [path] = disk("templates")
    write(admin.service, path, photos.jpeg(text="style"), age=900 * DAY)
    execute("update media_object set created_at = now() - interval '900 days'")

    assert counts(told(run())) == {}

    assert disk("templates") == [path]


# What processes left that died


def test_jobs_of_dead_processes_end_and_a_whole_picture_is_adopted(
    run: RunProgram, service: Service, rows: Rows, execute: Execute, disk: Disk
) -> None:
    saved, cut, lost = (leave_pending(execute) for _ in range(3))
    picture = photos.jpeg(800, 600)
    write(service, f"results/{saved[:2]}/{saved}.jpg", picture, age=45)
    write(service, f"results/{cut[:2]}/{cut}.jpg", photos.cut(picture), age=45)
    write(service, f"temp/{lost}.results.0a0b.part", picture, age=600)

    summary = told(run())

    assert counts(summary) == {"adopted": 1, "interrupted": 2, "files": 1}
    ended = rows("select id::text, status, failure_reason, stored, total_ms from job_history")
    by_id = {row.pop("id"): row for row in ended}
    total = by_id[saved].pop("total_ms")
    assert by_id[saved] == {"status": "done", "failure_reason": None, "stored": True}
    # To the moment the file was written, not to now: that is 90 seconds.
    assert 44_000 < total < 60_000
    for job_id in (cut, lost):
        assert (by_id[job_id]["status"], by_id[job_id]["failure_reason"]) == (
            "failed",
            "interrupted",
        )
    shown = httpx.get(f"{service.url}/public/results/{saved}", trust_env=False)
    assert (shown.status_code, shown.content) == (200, picture)
    assert [row["kind"] for row in rows("select kind from media_object")] == ["result"]
    assert disk("temp") == []
    [hour] = rows("select sum(done) as done, sum(failed) as failed from shot_hour")
    assert (hour["done"], hour["failed"]) == (1, 2)


@pytest.mark.slow
def test_after_a_kill_with_shots_in_flight_all_is_clean_and_retries_are_served_at_once(
    run: RunProgram,
    settled: None,
    make_service: MakeService,
    sandbox: Sandbox,
    rows: Rows,
    execute: Execute,
    disk: Disk,
) -> None:
    execute("update slot set max_in_flight = %s", SHOTS)
    first, second = make_service(), make_service()
    sandbox.dial(latency_s=30)
    shots = [breeze_fields(photos.jpeg(), shot=number) for number in range(SHOTS)]
    with ThreadPoolExecutor(SHOTS) as threads:
        lost = [threads.submit(Camera(first.url).shoot, fields=fields) for fields in shots]
        pending = "select 1 from job_history where status = 'pending'"
        until(lambda: len(rows(pending)) == SHOTS, "all shots are in flight")
        first.kill()
        assert all(isinstance(shot.exception(), httpx.TransportError) for shot in lost)
        sandbox.dial()
        lease = "select 1 from worker_lease where ends_at < now()"
        until(lambda: rows(lease), "its lease has run out")

        summary = told(run())

        assert summary["failed"] == 0
        # A process that is up for some seconds heals too, and may have been first.
        ended = "select 1 from job_history where failure_reason = 'interrupted'"
        assert (len(rows(ended)), rows(pending)) == (SHOTS, [])
        assert disk() == []
        started = time.monotonic()
        camera = Camera(second.url)
        retries = list(threads.map(lambda fields: camera.shoot(fields=fields), shots))
        assert [retry.status_code for retry in retries] == [200] * SHOTS
        assert time.monotonic() - started < 10


# Whatever else happens


def test_a_folder_of_another_database_is_never_cleaned(
    run: RunProgram, camera: Camera, admin: Admin, rows: Rows, execute: Execute, disk: Disk
) -> None:
    expire(execute, camera.shoot().headers["x-job-id"])
    orphan = write(admin.service, "results/orphan.jpg", age=2 * DAY)
    mark = admin.service.media_root / MARK
    [known] = rows("select id::text from house")
    assert mark.read_text() == f"{known['id']}\n"
    before, files = snapshot(rows), disk()
    try:
        for found, words in {
            str(uuid4()): "belongs to another database",
            None: "no .photoslot",
        }.items():
            mark.write_text(found) if found else mark.unlink()
            for arguments in ((), ("--dry-run",)):
                done = run(*arguments)
                assert (done.returncode, done.stdout) == (1, "")
                assert words in done.stderr
                assert known["id"] in done.stderr
            for path in ("/api/cleanup", "/api/slots/slot-001/cleanup"):
                answer = admin.post(path)
                assert answer.status_code == 503
                assert answer.json()["failure_reason"] == "storage_error"
    finally:
        mark.write_text(f"{known['id']}\n")
    assert (snapshot(rows), disk()) == (before, files)
    orphan.unlink()


def test_without_its_database_it_changes_nothing(
    run: RunProgram, camera: Camera, service: Service, rows: Rows, execute: Execute, disk: Disk
) -> None:
    expire(execute, camera.shoot().headers["x-job-id"])
    orphan = write(service, "results/orphan.jpg", age=2 * DAY)
    before, files = snapshot(rows), disk()

    done = run(DATABASE_URL="postgresql://nobody@127.0.0.1:9/nothing")

    assert (done.returncode, done.stdout) == (1, "")
    assert "The database does not answer" in done.stderr
    assert (snapshot(rows), disk()) == (before, files)
    orphan.unlink()


def test_every_problem_of_the_configuration_is_told_at_once(run: RunProgram) -> None:
    done = run(DATABASE_URL=None, JWT_SIGNING_KEY="short", JOB_RETENTION_DAYS="30")

    assert (done.returncode, done.stdout) == (2, "")
    for name in ("DATABASE_URL is required", "JWT_SIGNING_KEY must", "JOB_RETENTION_DAYS must"):
        assert name in done.stderr


def test_a_schema_it_does_not_know_is_left_alone(run: RunProgram, empty_database: str) -> None:
    done = run(DATABASE_URL=empty_database)

    assert (done.returncode, done.stdout) == (1, "")
    assert "run bin/migrate" in done.stderr


def test_what_cannot_go_is_told_and_the_rest_goes(
    run: RunProgram, camera: Camera, service: Service, tables: Tables, disk: Disk
) -> None:
    rows, execute = tables.rows, tables.execute
    stuck, free = (camera.shoot().headers["x-job-id"] for _ in range(2))
    expire(execute, stuck, free)
    [row] = rows("select path from media_object where job_id = %s", stuck)
    in_the_way = service.media_root / row["path"]
    in_the_way.unlink()
    in_the_way.mkdir()
    write(service, "results/orphan.jpg", age=2 * DAY)
    # Nothing goes out of a table that somebody works on; the others do.
    execute("insert into ended_session values (gen_random_uuid(), now())")
    try:
        with psycopg.connect(tables.url) as somebody:
            somebody.execute("lock table share")
            done = run()
    finally:
        in_the_way.rmdir()

    assert done.returncode == 1
    *complaints, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert counts(summary) == {"files": 2, "rows": 1, "failed": 2}
    assert [(line["event"], line.get("path"), line.get("task")) for line in complaints] == [
        ("cleanup.not_removed", row["path"], None),
        ("cleanup.failed", None, "gallery links"),
    ]
    [seen] = rows("select cleanup_failures, cleanup_ended_at, cleanup_succeeded_at from house")
    assert (seen["cleanup_failures"], seen["cleanup_succeeded_at"]) == (2, None)
    assert counts(told(run())) == {"files": 1}
    [seen] = rows(
        "select cleanup_failures, cleanup_ended_at = cleanup_succeeded_at as well from house"
    )
    assert seen == {"cleanup_failures": 0, "well": True}
    assert disk() == []


def test_who_comes_second_leaves_it_to_the_first(
    run: RunProgram, camera: Camera, rows: Rows, execute: Execute, tables: Tables
) -> None:
    expire(execute, camera.shoot().headers["x-job-id"])
    with psycopg.connect(tables.url, autocommit=True) as first:
        first.execute("select pg_advisory_lock(6, 0)")
        assert told(run())["event"] == "cleanup.already_running"
        assert counts(told(run("--dry-run"))) == {"files": 1}
        assert rows("select 1 from media_object where cleaned_at is not null") == []

    assert counts(told(run())) == {"files": 1}


def test_what_a_killed_run_has_begun_the_next_one_ends(
    environment: dict[str, str],
    run: RunProgram,
    camera: Camera,
    rows: Rows,
    execute: Execute,
    tables: Tables,
    disk: Disk,
) -> None:
    job_id = camera.shoot().headers["x-job-id"]
    expire(execute, job_id)
    # It is stopped where the file is gone and the row does not say so yet.
    with psycopg.connect(tables.url) as somebody:
        somebody.execute(
            "create function wait_for_us() returns trigger language plpgsql as"
            " $$ begin perform pg_sleep(60); return new; end $$"
        )
        somebody.execute(
            "create trigger wait_for_us before update on media_object"
            " for each row execute function wait_for_us()"
        )
    try:
        with subprocess.Popen([COMMAND], env=environment, stdout=subprocess.PIPE) as running:
            until(lambda: disk("results") == [], "its file is gone", SECONDS)
            running.kill()
    finally:
        execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and wait_event = 'PgSleep'"
        )
        execute("drop trigger wait_for_us on media_object")
        execute("drop function wait_for_us()")
    assert rows("select 1 from media_object where cleaned_at is not null") == []

    assert counts(told(run())) == {"files": 1}

    assert rows("select 1 from media_object where cleaned_at is null") == []
    assert counts(told(run())) == {}


def test_a_dry_run_only_counts(
    run: RunProgram, camera: Camera, service: Service, rows: Rows, execute: Execute, disk: Disk
) -> None:
    expire(execute, camera.shoot().headers["x-job-id"])
    write(service, "results/orphan.jpg", age=2 * DAY)
    leave_pending(execute)
    execute("insert into ended_session values (gen_random_uuid(), now())")
    before, files = snapshot(rows), disk()

    summary = told(run("--dry-run"))

    assert summary["dry_run"] is True
    assert counts(summary) == {"files": 2, "rows": 1, "interrupted": 1}
    assert (snapshot(rows), disk()) == (before, files)
    assert counts(told(run())) == counts(summary)


# What it says


def test_on_a_terminal_it_says_so_in_words_and_shows_its_work(
    environment: dict[str, str], camera: Camera, execute: Execute
) -> None:
    expire(execute, camera.shoot().headers["x-job-id"])
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [COMMAND, "--verbose"], env=environment, stdout=terminal, stderr=terminal
    ) as running:
        os.close(terminal)
        screen = b""
        try:
            while piece := os.read(master, 4096):
                screen += piece
        except OSError:  # Linux says so when the other end of a terminal is closed.
            os.close(master)
    words = screen.decode()

    assert running.returncode == 0
    assert "expired files: files 1, bytes" in words
    assert "orphan files: nothing" in words
    assert "removed 1 files (" in words.splitlines()[-1]


def test_it_tells_syslog(
    environment: dict[str, str], camera: Camera, execute: Execute, tmp_path: Path
) -> None:
    expire(execute, camera.shoot().headers["x-job-id"])
    door = tmp_path / "log"
    here = {"PYTHONPATH": f"{ROOT}:{ROOT / 'bin'}"}
    command = [sys.executable, "-c", WITH_ANOTHER_SYSLOG, str(door), "--syslog"]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=environment | here, capture_output=True, text=True, timeout=SECONDS
        )

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(door))
        assert counts(told(run())) == {"files": 1}
        line = syslog.recv(4096)

    assert line.startswith(b"<78>photoslot-cleanup[")
    assert b"removed 1 files" in line
    silent = run()
    assert (silent.returncode, json.loads(silent.stdout)["files"]) == (0, 0)
    assert "syslog cannot be reached" in silent.stderr
