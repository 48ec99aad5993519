"""The shipped nginx site in front of the real service: what a camera sees through it."""

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import photos
import pytest
from camera import Answer, Camera, Wire
from nginx import HEAD_SECONDS, Nginx, nginx
from rig import Sandbox, Service, free_port, until
from tables import ChangeSlot, Disk, Rows, Tables

MB = 1024**2
CONTINUE_SECONDS = 1.0
LEEWAY_SECONDS = 4.0
NEAR, FAR = "127.0.0.2", "127.0.0.9"


@pytest.fixture(scope="module")
def _proxied(_start_service: Callable[[dict[str, str | None]], Service]) -> Iterator[Service]:
    service = _start_service({"TRUSTED_PROXIES": "127.0.0.1"})
    try:
        yield service.wait_ready()
    finally:
        service.stop()


@pytest.fixture(scope="module")
def _door(_proxied: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with nginx(tmp_path_factory.mktemp("nginx"), _proxied.port) as server:
        yield server


@pytest.fixture
def door(_door: Nginx, tables: Tables, sandbox: Sandbox, disk: Disk, _home: Path) -> Nginx:
    """nginx with a service behind it that has taken no shot yet."""
    for name in disk():
        (_home / "media" / name).unlink()
    return _door


@pytest.fixture
def camera(door: Nginx) -> Iterator[Camera]:
    """A camera that posts to nginx."""
    camera = Camera(door.url)
    yield camera
    camera.switch_off()


def refusal(answer: httpx.Response | Answer) -> tuple[int, str]:
    """Status and reason of a refusal, once it has the shape of every refusal."""
    is_wire = isinstance(answer, Answer)
    body = json.loads(answer.body if is_wire else answer.content)
    assert set(body) == {"status", "failure_reason", "details", "job_id"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-failure-reason"] == body["failure_reason"]
    return (answer.status if is_wire else answer.status_code), body["failure_reason"]


def read_refusal(wire: Wire) -> tuple[int, str]:
    """The refusal a device reads, whatever it is still sending."""
    return refusal(wire.answer())


def shoot_from(address: str, camera: Camera, **headers: str) -> httpx.Response:
    """A shot whose connection comes from this address of the machine."""
    body, mime = camera.multipart()
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(transport=transport, timeout=30) as client:
        return client.post(
            f"{camera.url}/api/ingest/slot-001",
            content=body,
            headers={"content-type": mime, **headers},
        )


# A shot


def test_a_device_that_waits_for_100_continue_hears_it_at_once_and_gets_its_picture(
    camera: Camera, rows: Rows
) -> None:
    body, mime = camera.multipart()
    wire = camera.wire()
    wire.send(camera.request(body, mime))
    assert wire.wait_continue() < CONTINUE_SECONDS
    wire.send(body)
    answer = wire.answer()
    assert answer.status == 200
    assert int(answer.headers["content-length"]) == len(answer.body)
    (row,) = rows("select id, status, delivered from job_history")
    assert (row["status"], row["delivered"]) == ("done", True)
    assert answer.headers["x-job-id"] == str(row["id"])


def test_a_chunked_shot_and_one_of_http_1_0_get_their_pictures(camera: Camera) -> None:
    body, mime = camera.multipart()
    wire = camera.wire()
    wire.send(camera.request(body, mime, chunked=True, expect=False))
    wire.send_chunked(body)
    assert wire.answer().status == 200

    body, mime = camera.multipart()
    wire = camera.wire()
    wire.send(camera.request(body, mime, version="1.0", expect=False), body)
    assert wire.answer().status == 200


def test_the_row_has_the_cameras_own_address_whatever_it_claims(camera: Camera, rows: Rows) -> None:
    assert shoot_from(NEAR, camera, **{"x-forwarded-for": "203.0.113.9"}).status_code == 200
    assert rows("select client_address from job_history") == [{"client_address": NEAR}]


def test_a_large_photo_goes_through_as_it_comes_and_never_lies_on_nginx_disk(
    door: Nginx, camera: Camera, slot: ChangeSlot, sandbox: Sandbox, disk: Disk, _home: Path
) -> None:
    slot("slot-001", size_limit_mb=51)
    photo = photos.heavy_jpeg(50 * MB)
    body, mime = camera.multipart(photo)
    wire = camera.wire()
    wire.send(camera.request(body, mime, expect=False), body[: 10 * MB])

    def arrived() -> bool:
        sizes = [(_home / "media" / name).stat().st_size for name in disk("temp")]
        return bool(sizes) and max(sizes) > 9 * MB

    until(arrived, "the service has what was sent so far")
    wire.send(body[10 * MB :])
    assert wire.answer().status == 200
    assert "temporary file" not in door.output


def test_a_shot_is_finished_and_kept_when_its_device_leaves(
    camera: Camera, sandbox: Sandbox, rows: Rows
) -> None:
    sandbox.dial(latency_s=1)
    body, mime = camera.multipart()
    wire = camera.wire()
    wire.send(camera.request(body, mime, expect=False), body)
    until(lambda: sandbox.calls(), "the provider was called")
    wire.close()
    row = "select stored, delivered from job_history where status = 'done'"
    until(lambda: rows(row), "the shot is done")
    assert rows(row) == [{"stored": True, "delivered": False}]


def test_tls_reaches_the_same_service_and_pages_are_led_to_it(door: Nginx, camera: Camera) -> None:
    context = ssl.create_default_context(cafile=str(door.certificate))
    body, mime = camera.multipart()
    with httpx.Client(verify=context, timeout=30) as client:
        answer = client.post(
            f"{door.tls_url}/api/ingest/slot-001", content=body, headers={"content-type": mime}
        )
        assert answer.status_code == 200
        assert "max-age" in answer.headers["strict-transport-security"]
        job = f"/public/results/{answer.headers['x-job-id']}"
        picture = client.get(f"{door.tls_url}{job}?download=1")
    assert (picture.status_code, picture.content) == (200, answer.content)

    plain = httpx.get(f"{door.url}{job}", trust_env=False)
    assert (plain.status_code, plain.headers["location"]) == (308, f"https://127.0.0.1{job}")
    assert job in door.access_log and "download" not in door.access_log


# Refusals


def test_an_early_refusal_is_read_by_a_device_in_the_middle_of_its_upload(
    camera: Camera, rows: Rows
) -> None:
    body = bytes(20 * MB)
    for expect in (True, False):
        wire = camera.wire()
        wire.send(camera.request(body, camera.multipart()[1], "slot-099", expect=expect))
        wire.send(body[: 1 * MB])
        assert read_refusal(wire) == (404, "slot_not_found")
    assert rows("select id from job_history") == []


def test_an_early_refusal_waits_for_a_device_that_first_sends_everything(
    camera: Camera, slot: ChangeSlot
) -> None:
    slot("slot-001", size_limit_mb=1)
    body = bytes(30 * MB)
    wire = camera.wire()
    wire.send(camera.request(body, camera.multipart()[1], expect=False), body)
    assert read_refusal(wire) == (413, "payload_too_large")


def test_more_than_any_slot_takes_is_refused_without_100_continue(camera: Camera) -> None:
    wire = camera.wire()
    wire.send(camera.request(b"", camera.multipart()[1], length=2051 * MB))
    assert read_refusal(wire) == (413, "payload_too_large")
    assert wire.interim == []


def test_half_a_head_is_not_waited_for(camera: Camera) -> None:
    wire = camera.wire()
    wire.send(b"POST /api/ingest/slot-001 HTTP/1.1\r\nhost: exam")
    assert wire.is_closed(HEAD_SECONDS + LEEWAY_SECONDS)


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/livez", "/x/..//%6detrics"])
def test_what_is_for_machines_is_not_for_the_public(door: Nginx, path: str) -> None:
    wire = Camera(door.url).wire()
    with wire:
        wire.send(f"GET {path} HTTP/1.1\r\nhost: photo.example.org\r\n\r\n".encode())
        assert read_refusal(wire) == (404, "not_found")


def test_a_password_from_afar_needs_tls(camera: Camera, rows: Rows) -> None:
    assert refusal(shoot_from(FAR, camera)) == (403, "forbidden")
    assert shoot_from(NEAR, camera).status_code == 200


def test_a_service_that_is_away_is_told_in_the_one_shape(tmp_path: Path) -> None:
    with nginx(tmp_path, free_port()) as door:
        answer = Camera(door.url).shoot()
    assert refusal(answer) == (503, "shutting_down")
    assert int(answer.headers["retry-after"]) > 0


# Strangers


def test_strangers_close_no_slot_behind_it_either(camera: Camera, rows: Rows, disk: Disk) -> None:
    body, mime = camera.multipart()
    for _ in range(83):
        camera.wire().send(camera.request(body, mime, expect=False, length=50 * MB), body[:6])
    assert shoot_from(NEAR, camera).status_code == 200
    assert camera.shoot().status_code == 200
    camera.switch_off()
    until(lambda: {path.split("/")[0] for path in disk()} == {"results"}, "nothing is left")
    assert [row["status"] for row in rows("select status from job_history")] == ["done"] * 2


@pytest.mark.parametrize("offer", ["h2c", "websocket"])
def test_an_offered_protocol_is_ignored_through_it_too(camera: Camera, offer: str) -> None:
    body, mime = camera.multipart()
    offered = {"connection": "Upgrade, HTTP2-Settings", "upgrade": offer, "http2-settings": "AA"}
    wire = camera.wire()
    wire.send(camera.request(body, mime, expect=False, headers=offered), body)
    assert wire.answer().status == 200


@pytest.mark.slow
def test_a_refusal_is_read_by_who_sends_a_large_photo_slowly_through_it(camera: Camera) -> None:
    body, mime = camera.multipart(bytes(20 * MB), password="wrong")
    wire = camera.wire()
    wire.send(camera.request(body, mime, expect=False))
    wire.send_slowly(body, piece=4 * MB, pause=1.5)
    assert read_refusal(wire) == (401, "invalid_password")
