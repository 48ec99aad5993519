"""Upgrades: schemas that fit and those that do not, and restarts while shots run."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from camera import Camera
from conftest import MakeService
from nginx import Nginx, nginx
from rig import ROOT, Program, Sandbox, Service, until
from tables import Rows, Tables

from service.storage import schema
from service.storage.schema import is_contraction, known_migrations, misfit

KNOWN = known_migrations()
NEWEST = KNOWN[-1]
ADDED, TAKEN = "9998.something-new", "9999.contract-something-old"


@contextmanager
def migrated(tables: Tables, migration: str) -> Iterator[None]:
    """The database says that newer code applied this."""
    tables.execute(
        "insert into _yoyo_migration (migration_hash, migration_id, applied_at_utc)"
        " values (%s, %s, now())",
        migration,
        migration,
    )
    try:
        yield
    finally:
        tables.execute("delete from _yoyo_migration where migration_id = %s", migration)


@contextmanager
def not_migrated(tables: Tables, migration: str) -> Iterator[None]:
    """The database says that this was not applied."""
    hidden = "update _yoyo_migration set migration_id = %s where migration_id = %s"
    tables.execute(hidden, "0000.hidden", migration)
    try:
        yield
    finally:
        tables.execute(hidden, migration, "0000.hidden")


def database_health(service: Service) -> str:
    answer = httpx.get(f"{service.url}/healthz", trust_env=False).json()
    return str(answer["checks"]["database"])


# Which schema fits


def test_a_schema_fits_when_nothing_is_missing_and_nothing_unknown_was_taken_away() -> None:
    assert misfit(KNOWN) is None
    assert misfit([*KNOWN, ADDED]) is None
    assert "is older than this code" in (misfit(KNOWN[:-1]) or "")
    assert "is older than this code" in (misfit([]) or "")
    assert "is newer than this code" in (misfit([*KNOWN, ADDED, TAKEN]) or "")


def test_codes_own_contraction_may_wait_or_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "known_migrations", lambda: [*KNOWN, TAKEN])
    assert misfit(KNOWN) is None
    assert misfit([*KNOWN, TAKEN]) is None


@pytest.mark.parametrize(
    "name, contracts",
    [(TAKEN, True), (ADDED, False), ("0009.new-contract-names", False), ("contract-x", False)],
)
def test_a_contraction_is_known_by_its_name(name: str, contracts: bool) -> None:
    assert is_contraction(name) is contracts


def test_code_works_on_and_starts_again_when_newer_code_has_added_something(
    service: Service, make_service: MakeService, tables: Tables
) -> None:
    with migrated(tables, ADDED):
        tables.execute("alter table job_history add column mood text")
        try:
            assert Camera(service.url).shoot().status_code == 200
            assert Camera(make_service().url).shoot().status_code == 200
            until(lambda: database_health(service) == "ok", "it is healthy")
        finally:
            tables.execute("alter table job_history drop column mood")


@pytest.mark.parametrize(
    "change, migration, words",
    [
        (migrated, TAKEN, f"is newer than this code, which cannot do without what {TAKEN} took"),
        (not_migrated, NEWEST, f"is older than this code, {NEWEST} is missing: run bin/migrate"),
    ],
)
def test_a_schema_from_the_future_or_the_past_is_refused_in_words(
    service: Service,
    make_service: MakeService,
    tables: Tables,
    change: Callable[..., Any],
    migration: str,
    words: str,
) -> None:
    with change(tables, migration):
        refused = make_service(ready=False)
        assert refused.wait() == 1
        assert words in refused.output
        until(
            lambda: database_health(service) == "schema_mismatch", "the running service says so too"
        )
    until(lambda: database_health(service) == "ok", "it is healthy again")


# Restarts under load


@contextmanager
def cameras(url: str) -> Iterator[list[httpx.Response]]:
    """Three cameras that shoot one after the other beside the block; the answers, complete once
    the block has ended."""
    answers: list[httpx.Response] = []
    ended = threading.Event()

    def shoot(slot: str) -> None:
        while not ended.is_set():
            answers.append(Camera(url).shoot(slot=slot))

    with ThreadPoolExecutor(3) as threads:
        work = [threads.submit(shoot, f"slot-{number:03}") for number in (1, 2, 3)]
        try:
            yield answers
        finally:
            ended.set()
            for thread in work:
                thread.result()


@contextmanager
def rolling_restart(folder: Path, door: Nginx) -> Iterator[Program]:
    """The script at work. Its `nginx` is the door, and its `systemctl restart photoslot@PORT` makes
    a file `PORT.asked` and waits for `PORT.done`."""
    folder.mkdir()
    for name, text in {
        "nginx": f'exec {" ".join(door.command)} "$@"',
        "systemctl": f"""port=${{2#photoslot@}}
            touch {folder}/$port.asked
            until [ -e {folder}/$port.done ]; do sleep 0.05; done""",
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HEAD_SECONDS": "0.5"}
    command = [str(ROOT / "deploy" / "rolling-restart"), str(door.upstream)]
    script = Program(command, environment, folder / "log")
    try:
        yield script
    finally:
        script.stop()


@pytest.mark.slow
def test_a_rolling_restart_under_load_loses_no_shot(
    make_service: MakeService, sandbox: Sandbox, rows: Rows, tmp_path: Path
) -> None:
    sandbox.dial(latency_s=0.3)
    services = {service.port: service for service in (make_service(), make_service())}
    with nginx(tmp_path, *services) as door, cameras(door.url) as answers:
        before = door.upstream.read_text()
        with rolling_restart(tmp_path / "bin", door) as script:
            for port, service in services.items():
                script.wait_until(
                    (tmp_path / "bin" / f"{port}.asked").exists, f"{port} is restarted"
                )
                assert f"server 127.0.0.1:{port} down;" in door.upstream.read_text()
                assert service.stop() == 0
                make_service(ready=False, PORT=str(port))
                (tmp_path / "bin" / f"{port}.done").touch()
            assert script.wait() == 0
            said = [line for line in script.output.splitlines() if line.startswith("restarted")]
            assert said == [f"restarted 127.0.0.1:{port}" for port in services]
            assert door.upstream.read_text() == before

    assert Counter(answer.status_code for answer in answers) == {200: len(answers)}
    assert len(answers) > 10
    assert rows("select status, count(*) from job_history group by status") == [
        {"status": "done", "count": len(answers)}
    ]
    assert len(sandbox.calls()) == len(answers)
