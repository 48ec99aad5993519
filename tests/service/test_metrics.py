"""/metrics: what it tells, to whom, and that it is right with several processes."""

import os
import re
import signal

import httpx
import pytest
from camera import Camera
from conftest import MakeService
from rig import ROOT, Service, until
from tables import ChangeSlot, Execute, Rows

from service.machines.metrics import ServiceGauges
from service.monitoring.checks import DatabaseCheck, MediaCheck

TOKEN = "only-Prometheus-knows-this"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| ", re.M)
TYPE = re.compile(r"^# TYPE photoslot_(\w+) (\w+)$", re.M)
SAMPLE = re.compile(r"^photoslot_(\w+?)(?:_bucket|_sum|_count)?(?:{(.*)})? \S+$", re.M)
LABEL = re.compile(r'(\w+)="')
SHOTS = 6


def scrape(service: Service, **headers: str) -> httpx.Response:
    return httpx.get(
        f"{service.url}/metrics",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        trust_env=False,
    )


def samples(service: Service, **headers: str) -> dict[str, float]:
    """Every sample by its name with its labels."""
    answer = scrape(service, **headers)
    assert answer.status_code == 200, answer.text
    lines = (line.rsplit(" ", 1) for line in answer.text.splitlines() if line[0] != "#")
    return {name: float(value) for name, value in lines}


def test_it_tells_what_its_page_lists_and_nothing_else(
    service: Service, camera: Camera, slot: ChangeSlot
) -> None:
    slot("slot-001", daily_limit=100)
    assert camera.shoot().status_code == 200
    # The figures of the service are looked at every few seconds.
    limited = 'photoslot_slot_daily_limit{slot="slot-001"}'
    until(lambda: samples(service).get(limited) == 100, "the limit is seen", 20)
    until(lambda: 'provider_up{provider="gemini"}' in scrape(service).text, "Gemini was seen")

    text = scrape(service).text
    listed = {name: kind for name, kind, _ in ROW.findall((ROOT / "spec/metrics.md").read_text())}
    labels = {name: set(re.findall(r"`(\w+)`", cell)) for name, _, cell in ROW.findall(page())}

    assert dict(TYPE.findall(text)) == listed
    for name, given in SAMPLE.findall(text):
        assert set(LABEL.findall(given)) - {"le"} == labels[name], name


def page() -> str:
    return (ROOT / "spec" / "metrics.md").read_text()


def test_the_service_tells_how_full_and_how_busy_it_is(
    make_service: MakeService, slot: ChangeSlot, execute: Execute, rows: Rows
) -> None:
    slot("slot-002", sync_response_seconds=20, max_in_flight=3)
    execute("insert into login_throttle values ('a', 9, now(), now() + interval '1 minute')")
    service = make_service(MIN_FREE_DISK_MB="3")
    assert Camera(service.url).shoot().status_code == 200
    execute("update media_object set expires_at = now() - interval '1 hour'")
    [kept] = rows("select bytes from media_object")

    seen = samples(service)

    assert seen['photoslot_media_files{kind="result"}'] == 1
    assert seen['photoslot_media_bytes{kind="result"}'] == kept["bytes"]
    assert seen['photoslot_media_files{kind="preview"}'] == 0
    assert seen['photoslot_slot_window_seconds{slot="slot-002"}'] == 20
    assert seen['photoslot_slot_window_seconds{slot="slot-001"}'] == 48
    assert seen['photoslot_slot_max_in_flight{slot="slot-002"}'] == 3
    assert seen["photoslot_shut_out_subjects"] == 1
    assert seen["photoslot_disk_reserve_bytes"] == 3 * 1024**2
    assert seen["photoslot_disk_free_bytes"] > 3 * 1024**2
    assert 3600 <= seen["photoslot_cleanup_backlog_seconds"] < 3700
    assert seen["photoslot_cleanup_last_success_timestamp_seconds"] == 0
    assert (seen["photoslot_database_up"], seen["photoslot_media_up"]) == (1, 1)
    assert seen['photoslot_provider_configured{provider="gemini"}'] == 1


def test_what_does_not_answer_is_left_out() -> None:
    service = ServiceGauges(
        DatabaseCheck("database_unavailable"), MediaCheck("no_answer"), None, 1, {}, ()
    )

    told = {family.name: [s.value for s in family.samples] for family in service.collect()}

    assert (told["photoslot_database_up"], told["photoslot_media_up"]) == ([0.0], [0.0])
    assert not {"photoslot_disk_free_bytes", "photoslot_media_files"} & set(told)
    assert told["photoslot_disk_reserve_bytes"] == [1]


# Who may ask


@pytest.mark.parametrize("header", ["x-forwarded-for", "x-real-ip", "forwarded", "via"])
def test_a_proxy_on_this_host_is_not_this_host(service: Service, header: str) -> None:
    assert scrape(service).status_code == 200

    answer = scrape(service, **{header: "127.0.0.1"})

    assert (answer.status_code, answer.json()["failure_reason"]) == (404, "not_found")


def test_whoever_a_trusted_proxy_speaks_for_is_not_this_host(make_service: MakeService) -> None:
    service = make_service(TRUSTED_PROXIES="127.0.0.1")

    assert scrape(service).status_code == 200
    assert scrape(service, x_forwarded_for="192.0.2.7").status_code == 404
    assert scrape(service, x_forwarded_for="127.0.0.1").status_code == 404


def test_another_host_is_refused(make_service: MakeService) -> None:
    service = make_service(HOST="0.0.0.0")
    elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(transport=elsewhere, trust_env=False) as client:
        assert client.get(f"{service.url}/metrics").status_code == 404
        health = client.get(f"{service.url}/healthz")

    assert (health.status_code, health.json()) == (200, {"status": "ok"})


def test_with_a_token_only_who_knows_it_may_ask(make_service: MakeService) -> None:
    service = make_service(METRICS_TOKEN=TOKEN)

    for wrong in ({}, {"authorization": "Bearer guess"}, {"authorization": TOKEN}):
        answer = scrape(service, **wrong)
        assert (answer.status_code, answer.json()["failure_reason"]) == (401, "unauthorized")
        health = httpx.get(f"{service.url}/healthz", headers=wrong, trust_env=False)
        assert health.json() == {"status": "ok"}
    known = {"authorization": f"Bearer {TOKEN}"}
    assert scrape(service, **known, x_forwarded_for="192.0.2.7").status_code == 200
    assert "checks" in httpx.get(f"{service.url}/healthz", headers=known, trust_env=False).json()
    assert TOKEN not in service.output


# Several processes


@pytest.mark.slow
def test_every_process_tells_for_all_of_them(make_service: MakeService) -> None:
    service = make_service(WEB_CONCURRENCY="2", DB_POOL_SIZE="3")
    until(lambda: samples(service)["photoslot_db_max_connections"] == 6, "both processes serve", 30)
    victim = service.workers[0]
    done = 'photoslot_shots_total{outcome="done",provider="gemini",slot="slot-001"}'
    camera = Camera(service.url)
    answers = [camera.shoot() for _ in range(SHOTS)]
    assert [answer.status_code for answer in answers] == [200] * SHOTS

    # Each scrape is a connection of its own and reaches either of them.
    seen = [samples(service) for _ in range(8)]

    assert {one[done] for one in seen} == {SHOTS}
    assert {one["photoslot_added_seconds_count"] for one in seen} == {SHOTS}
    assert {one["photoslot_in_flight"] for one in seen} == {0}
    assert {one["photoslot_db_max_connections"] for one in seen} == {6}

    os.kill(victim, signal.SIGKILL)
    until(lambda: len(set(service.workers) - {victim}) == 2, "another one took its place", 30)
    until(lambda: samples(service)["photoslot_db_max_connections"] == 6, "the living are counted")
    assert samples(service)[done] == SHOTS
