"""The door: what a stranger sends is never taken for something else, and takes nothing from those
who have shown a password."""

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import photos
import psutil
import pytest
from camera import PASSWORD, Answer, Camera, Wire
from conftest import MakeService
from rig import Sandbox, Service, until
from tables import Disk, Rows
from traces import leaves_no_trace

from service.http.connections import MAX_CONNECTIONS

MB = 1024**2
CLOSED_SECONDS = 2.0
SETTLED_SECONDS = 10.0
CHUNKED = (
    b"POST /api/ingest/slot-001 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
    b"content-type: multipart/form-data; boundary=x\r\n\r\n3\r\n--x\r\n"
)
SMUGGLED = b"DELETE /public/results/x HTTP/1.1\r\nhost: photoslot\r\n\r\n"


@pytest.fixture(autouse=True)
def no_trace(service: Service) -> Iterator[None]:
    """See `leaves_no_trace`."""
    yield
    leaves_no_trace(service)


@pytest.fixture
def wires(camera: Camera) -> Iterator[Callable[[], Wire]]:
    """Gives connections to the service; they end with the test."""
    yield camera.wire
    camera.switch_off()


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["failure_reason"]


def asked(service: Service) -> list[tuple[str, str]]:
    """Method and path of every request the service has answered, /healthz left out."""
    lines = [line for line in service.log if "method" in line and line.get("path") != "/healthz"]
    return [(line["method"], line["path"]) for line in lines]


def clean(rows: Rows, disk: Disk, sandbox: Sandbox) -> bool:
    return not rows("select id from job_history") and not disk() and not sandbox.calls()


# Another protocol is offered


@pytest.mark.parametrize(
    "offer",
    [
        {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAMAAABk"},
        {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "eA=="},
        {"connection": "Upgrade", "upgrade": "TLS/1.3"},
        {"upgrade": "h2c"},
    ],
    ids=lambda offer: f"{offer.get('connection')} {offer['upgrade']}",
)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_an_offered_protocol_is_ignored_and_the_body_is_read_to_its_end(
    service: Service,
    camera: Camera,
    wires: Callable[[], Wire],
    rows: Rows,
    disk: Disk,
    sandbox: Sandbox,
    offer: dict[str, str],
    chunked: bool,
) -> None:
    mime = camera.multipart()[1]
    head = camera.request(SMUGGLED, mime, expect=False, chunked=chunked, headers=offer)
    wire = wires()
    wire.send(head)
    until(lambda: _is_held(service), "the head is read")
    if chunked:
        wire.send_chunked(SMUGGLED)
    else:
        wire.send(SMUGGLED)

    assert reason(wire.answer()) == (400, "invalid_request")
    body, mime = camera.multipart()
    wire = wires()
    wire.send(camera.request(body, mime, expect=False, headers=offer), body)
    assert wire.answer().status == 200
    assert set(asked(service)) == {("POST", "/api/ingest/slot-001")}


def _is_held(service: Service) -> bool:
    text = httpx.get(f"{service.url}/metrics", trust_env=False).text
    return "photoslot_strangers 1.0" in text


# No end


@pytest.mark.parametrize(
    ("start", "more", "status", "words"),
    [
        (b"GET /", b"a" * 1000, 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nx: ", b"a" * 1000, 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\n", b"x: %s\r\n" % (b"a" * 990), 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\n", b"x:\r\n" * 200, 431, "head_too_large"),
        (
            CHUNKED + b"0\r\n",
            b"x: %s\r\n" % (b"a" * 990),
            431,
            "head_too_large",
        ),
        (
            CHUNKED + b"5;",
            b"a" * 1000,
            431,
            "head_too_large",
        ),
    ],
    ids=["target", "one field", "fields", "small fields", "trailers", "chunk extension"],
)
def test_what_has_no_end_is_ended(
    service: Service,
    wires: Callable[[], Wire],
    start: bytes,
    more: bytes,
    status: int,
    words: str,
) -> None:
    wire = wires()
    wire.send(start)
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(wire.send, more * 200)
        answer = wire.answer()
        sending.result()
    assert reason(answer) == (status, words)
    assert answer.headers["connection"] == "close"
    assert wire.is_closed(CLOSED_SECONDS)
    assert service.wait_log("request.refused", status=status, reason=words)
    counted = httpx.get(f"{service.url}/metrics", trust_env=False).text
    assert re.search(rf'photoslot_refusals_total{{reason="{words}"}} [1-9]', counted)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /livez?%s HTTP/1.1\r\nhost: x\r\n\r\n", 414),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\nx: %s\r\n\r\n", 431),
    ],
    ids=["target", "field"],
)
def test_a_head_that_is_too_long_is_so_although_it_comes_whole(
    wires: Callable[[], Wire], head: bytes, status: int
) -> None:
    for length, wanted in ((60_000, 200), (66_000, status)):
        wire = wires()
        wire.send(head % (b"a" * length))
        assert wire.answer().status == wanted


def test_many_heads_without_an_end_take_little_memory(
    service: Service, wires: Callable[[], Wire]
) -> None:
    def endless() -> None:
        wire = wires()
        try:
            wire.send(b"GET / HTTP/1.1\r\n", b"x: %s\r\n" % (b"a" * 990) * 20_000)
        except ConnectionError:
            return

    before = service.memory_bytes
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: endless(), range(8)))
    assert service.memory_bytes - before < 50 * MB


def test_a_body_in_crumbs_is_refused(
    camera: Camera, wires: Callable[[], Wire], rows: Rows, disk: Disk, sandbox: Sandbox
) -> None:
    wire = wires()
    wire.send(camera.request(b"", camera.multipart()[1], expect=False, chunked=True))
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(wire.send, b"1\r\nx\r\n" * 10_000)
        assert reason(wire.answer()) == (400, "invalid_request")
        sending.result()
    assert wire.is_closed(CLOSED_SECONDS)
    until(lambda: clean(rows, disk, sandbox), "nothing is left of it")


# Trailers


def test_trailers_are_no_headers(make_service: MakeService, sandbox: Sandbox, rows: Rows) -> None:
    service = make_service(TRUSTED_PROXIES="127.0.0.1")
    camera = Camera(service.url)
    body, mime = camera.multipart(password=None)
    passed_on = {"x-forwarded-for": "192.0.2.7", "x-ingest-password": PASSWORD}
    with camera.wire() as wire:
        head = camera.request(body, mime, expect=False, chunked=True, headers=passed_on)
        wire.send(head)
        wire.send_chunked(body, end=False)
        wire.send(b"0\r\nX-Forwarded-For: 198.51.100.9\r\n\r\n")
        assert wire.answer().status == 200
    assert rows("select client_address from job_history") == [{"client_address": "192.0.2.7"}]


# The end of a request and of a connection


@pytest.mark.parametrize("closing", [False, True], ids=["kept", "closing"])
@pytest.mark.parametrize("stray", [b"\0", b"\r\n", b"garbage\r\n\r\n"])
def test_a_stray_byte_after_a_shot_takes_nothing_from_it(
    camera: Camera,
    wires: Callable[[], Wire],
    sandbox: Sandbox,
    rows: Rows,
    stray: bytes,
    closing: bool,
) -> None:
    body, mime = camera.multipart()
    headers = {"connection": "close"} if closing else {}
    sandbox.dial(hold=True)
    wire = wires()
    wire.send(camera.request(body, mime, expect=False, headers=headers), body)
    until(lambda: sandbox.calls(), "the provider is asked")
    wire.send(stray)
    sandbox.release()

    answer = wire.answer()
    assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    if stray.strip() and not closing:
        assert reason(wire.answer()) == (400, "invalid_request")
        assert wire.is_closed(CLOSED_SECONDS)
    assert [row["delivered"] for row in rows("select delivered from job_history")] == [True]


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "while the provider works"])
def test_who_closes_one_half_after_a_whole_shot_gets_the_picture(
    camera: Camera, wires: Callable[[], Wire], sandbox: Sandbox, rows: Rows, waits: bool
) -> None:
    body, mime = camera.multipart()
    sandbox.dial(hold=waits)
    wire = wires()
    wire.send(camera.request(body, mime, expect=False), body)
    if waits:
        until(lambda: sandbox.calls(), "the provider is asked")
    wire.end_sending()
    sandbox.release()

    assert wire.answer().status == 200
    assert wire.is_closed(CLOSED_SECONDS)
    assert [row["delivered"] for row in rows("select delivered from job_history")] == [True]


def test_two_requests_and_half_a_close_are_both_answered(
    service: Service, wires: Callable[[], Wire]
) -> None:
    wire = wires()
    wire.send(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n" * 2)
    wire.end_sending()
    assert [wire.answer().status, wire.answer().status] == [200, 200]
    assert wire.is_closed(CLOSED_SECONDS)


def test_half_a_body_and_half_a_close_is_no_shot(
    service: Service,
    camera: Camera,
    wires: Callable[[], Wire],
    rows: Rows,
    disk: Disk,
    sandbox: Sandbox,
) -> None:
    body, mime = camera.multipart(password_last=True)
    wire = wires()
    wire.send(camera.request(body, mime, expect=False), body[:-100])
    wire.end_sending()
    service.wait_log("shot", reason="client_closed")
    assert wire.is_closed(CLOSED_SECONDS)
    assert clean(rows, disk, sandbox)


# Odd, and plainly answered


@pytest.mark.parametrize(
    ("request_lines", "status", "words"),
    [
        ("GET /livez HTTP/1.1\r\n", 400, "invalid_request"),
        ("GET /livez HTTP/1.1\r\nhost: a\r\nhost: b\r\n", 400, "invalid_request"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n", 505, "http_version_not_supported"),
        (
            "POST /api/login HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n",
            501,
            "not_implemented",
        ),
        (
            "POST /api/login HTTP/1.0\r\ntransfer-encoding: chunked\r\n",
            400,
            "invalid_request",
        ),
        (
            "POST /api/login HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n"
            "transfer-encoding: chunked\r\n",
            400,
            "invalid_request",
        ),
    ],
    ids=["no host", "two hosts", "HTTP/2", "coding", "chunks in 1.0", "framed twice"],
)
def test_what_is_no_request_of_ours_is_told_so(
    wires: Callable[[], Wire], request_lines: str, status: int, words: str
) -> None:
    wire = wires()
    wire.send(request_lines.encode() + b"\r\n")
    assert reason(wire.answer()) == (status, words)
    assert wire.is_closed(CLOSED_SECONDS)


def test_a_whole_address_is_a_target_too(service: Service, wires: Callable[[], Wire]) -> None:
    for target, host in (("http://photoslot/livez", "photoslot"), (f"{service.url}/livez", "x")):
        wire = wires()
        wire.send(f"GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        assert wire.answer().status == 200


def test_nobody_waits_for_100_continue_in_http_1_0(
    camera: Camera, wires: Callable[[], Wire], rows: Rows
) -> None:
    body, mime = camera.multipart()
    wire = wires()
    wire.send(camera.request(body, mime, expect=True, version="1.0"), body)
    assert wire.answer().status == 200
    assert wire.interim == []


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH"])
@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/public/results/b5a1c7e2-0d3f-4a68-9c41-7f2e8d90a613", "DELETE, GET, HEAD"),
        ("/api/slots/slot-001", "GET, HEAD, PUT"),
        ("/api/shares", "GET, HEAD, POST"),
        ("/livez", "GET, HEAD"),
    ],
)
def test_every_method_of_a_path_is_named(
    service: Service, method: str, path: str, allowed: str
) -> None:
    answer = httpx.request(method, service.url + path, trust_env=False)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:80", 200),
        ("evil.example", 404),
        ("localhost.evil.example", 404),
        ("[", 404),
        ("", 404),
    ],
)
def test_metrics_are_for_who_asks_us_by_our_name(service: Service, host: str, status: int) -> None:
    answer = httpx.get(f"{service.url}/metrics", headers={"host": host}, trust_env=False)
    assert answer.status_code == status


# A refusal is read


@pytest.mark.slow
@pytest.mark.parametrize("refused_for", ["slot", "password"])
def test_a_refusal_is_read_by_who_sends_a_large_photo_slowly(
    camera: Camera, wires: Callable[[], Wire], refused_for: str
) -> None:
    photo = bytes(20 * MB)
    body, mime = camera.multipart(photo, password="wrong")
    slot = "slot-099" if refused_for == "slot" else "slot-001"
    wire = wires()
    wire.send(camera.request(body, mime, slot, expect=False))
    wire.send_slowly(body, piece=4 * MB, pause=1.5)

    answer = wire.answer()
    assert answer.status == (404 if refused_for == "slot" else 401)


def test_who_was_refused_and_goes_on_holds_no_stop_up(make_service: MakeService) -> None:
    service = make_service()
    camera = Camera(service.url)
    wire = camera.wire()
    wire.send(CHUNKED + b"no chunk\r\n")
    assert reason(wire.answer()) == (400, "invalid_request")

    def go_on() -> None:
        with suppress(ConnectionError):
            while True:
                wire.send(b"x")
                time.sleep(0.2)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(go_on)
        assert service.stop() == 0
    camera.switch_off()


# A stranger takes nothing


def strange(camera: Camera, count: int, declared: int = 50 * MB) -> list[Wire]:
    """So many connections that announce a large photo, send a few bytes of it and wait."""
    body, mime = camera.multipart()
    found = []
    for _ in range(count):
        wire = camera.wire()
        wire.send(camera.request(b"", mime, expect=False, length=declared), body[:6])
        found.append(wire)
    return found


@pytest.mark.parametrize("count", [83, 310])
@pytest.mark.parametrize("shown", ["header", "field", "last field"])
def test_strangers_close_no_slot(
    service: Service,
    camera: Camera,
    rows: Rows,
    disk: Disk,
    count: int,
    shown: str,
) -> None:
    waiting = strange(camera, count)
    for _ in range(3):
        if shown == "header":
            headers = {"x-ingest-password": PASSWORD}
            answer = camera.shoot(password=None, headers=headers)
        else:
            answer = camera.shoot(password_last=shown == "last field")
        assert answer.status_code == 200, answer.text
    camera.switch_off()
    until(lambda: "photoslot_strangers 0.0" in _metrics(service), "they are gone", SETTLED_SECONDS)
    assert len(waiting) == count
    assert {path.split("/")[0] for path in disk()} == {"results"}
    assert [row["status"] for row in rows("select status from job_history")] == ["done"] * 3


def _metrics(service: Service) -> str:
    return httpx.get(f"{service.url}/metrics", trust_env=False).text


def test_a_stranger_who_has_to_make_room_is_told_what_to_do(
    service: Service, camera: Camera, rows: Rows
) -> None:
    [first] = strange(camera, 1)
    until(lambda: "photoslot_strangers 1.0" in _metrics(service), "the first is here")
    strange(camera, 30)
    answer = first.answer()
    assert reason(answer) == (503, "overloaded")
    assert "password" in json.loads(answer.body)["details"]
    assert "retry-after" in answer.headers
    assert first.is_closed(CLOSED_SECONDS)
    assert rows("select id from job_history") == []


def test_who_has_shown_the_password_stays_however_many_strangers_come(
    camera: Camera, wires: Callable[[], Wire]
) -> None:
    body, mime = camera.multipart(photos.big_jpeg(2))
    known = camera.wire()
    known.send(camera.request(body, mime, expect=False), body[:20_000])
    strange(camera, 120)
    time.sleep(0.1)
    known.send(body[20_000:])
    assert known.answer().status == 200


def test_the_bytes_of_strangers_are_bounded_and_those_of_others_are_not_theirs(
    make_service: MakeService, disk: Disk
) -> None:
    camera = Camera(make_service(MAX_SPOOL_MB="16").url)
    body, mime = camera.multipart(bytes(3 * MB), password_last=True)
    with camera.wire() as wire:
        wire.send(camera.request(body, mime, expect=False))
        with ThreadPoolExecutor(1) as threads:
            sending = threads.submit(wire.send, body[: 5 * MB // 2])
            assert reason(wire.answer()) == (503, "overloaded")
            sending.result()
        photo: Any = photos.big_jpeg(12)
        assert len(photo) > 3 * MB
        assert camera.shoot(photo).status_code == 200
    assert disk("temp") == []


def test_there_is_a_descriptor_for_every_connection(service: Service) -> None:
    soft, _ = psutil.Process(service.pid).rlimit(psutil.RLIMIT_NOFILE)
    assert soft >= 2 * MAX_CONNECTIONS
