"""Ingest on the wire: what arrives whole, cut, slow, forged or in the wrong order."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import photos
import psutil
import pytest
from camera import PASSWORD, Answer, Camera, Wire, breeze_fields
from conftest import MakeService, StartService
from impatient import HEAD_SECONDS, LINGER_SECONDS, SEND_SECONDS, UPLOAD_SECONDS
from rig import ROOT, Sandbox, Service, until
from tables import ChangeSlot, Disk, Rows
from traces import LET_GO_SECONDS, held, leaves_no_trace

BREEZE_BOUNDARY = "-" * 12 + "293582696224464412345678"
CONTINUE_SECONDS = 0.05
HEALTHY_SECONDS = 0.1
WINDOW_SECONDS = 10
CLOSED_SECONDS = 2.0
LEEWAY_SECONDS = 1.0
DRIP_SECONDS = 0.1
IMPATIENT = str(ROOT / "tests" / "support" / "impatient.py")
MB = 1024**2
# A picture of more bytes than fit between the service and a device that does not read.
BUFFERED_BYTES = 6 * MB


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


def refusal(answer: Answer | httpx.Response) -> tuple[int, str]:
    """Status and reason of a refusal, once it has the shape of every refusal."""
    is_wire = isinstance(answer, Answer)
    status = answer.status if is_wire else answer.status_code
    body = json.loads(answer.body if is_wire else answer.content)
    assert set(body) == {"status", "failure_reason", "details", "job_id"}
    assert body["status"] == ("timeout" if status == 504 else "error")
    assert body["details"]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-failure-reason"] == body["failure_reason"]
    assert answer.headers.get("x-job-id") == body["job_id"]
    return status, body["failure_reason"]


def done(rows: Rows, disk: Disk) -> dict[str, Any]:
    """The only row, which is done, when the disk has its result and nothing else."""
    (row,) = rows("select * from job_history")
    assert (row["status"], row["failure_reason"], row["stored"]) == ("done", None, True)
    assert row["finished_at"] is not None
    (file,) = disk()
    assert re.fullmatch(rf"results/../{row['id']}\.(jpg|png|webp)", file)
    return row


def failed(rows: Rows, disk: Disk, reason: str) -> dict[str, Any]:
    """The only row, which failed for `reason`, when nothing is left on the disk."""
    (row,) = rows("select * from job_history")
    assert (row["status"], row["failure_reason"]) == ("failed", reason)
    assert row["finished_at"] is not None
    assert disk() == []
    return row


def nothing_happened(rows: Rows, disk: Disk, sandbox: Sandbox) -> bool:
    return not rows("select id from job_history") and not disk() and not sandbox.calls()


def counted(service: Service, metric: str) -> float:
    text = httpx.get(f"{service.url}/metrics", trust_env=False).text
    return float(re.search(rf"^{metric} (\S+)$", text, re.M)[1])  # type: ignore[index]


@contextmanager
def healthy(service: Service) -> Iterator[None]:
    """While the block runs /healthz answers 200, and fast where the machine lets it."""
    seconds: list[float] = []

    def ask() -> None:
        started = time.monotonic()
        answer = httpx.get(f"{service.url}/healthz", trust_env=False)
        seconds.append(time.monotonic() - started)
        assert answer.status_code == 200, answer.text

    with every(0.1, ask):
        yield
        until(lambda: len(seconds) >= 4, "/healthz was asked a few times")
    assert sorted(seconds)[len(seconds) // 4] < HEALTHY_SECONDS


@contextmanager
def every(pause: float, act: Callable[[], None]) -> Iterator[None]:
    """Do something again and again beside the block."""
    ended = False

    def repeat() -> None:
        while not ended:
            act()
            time.sleep(pause)

    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(repeat)
        try:
            yield
        finally:
            ended = True
            work.result()


def slow_slot(slot: ChangeSlot, slot_id: str, **columns: object) -> None:
    """Give a slot the shortest window."""
    slot(slot_id, sync_response_seconds=WINDOW_SECONDS, **columns)


def send_all(wire: Wire, data: bytes) -> "Future[None]":
    """Send beside the test; a service that ends the connection meanwhile is no error here."""

    def send() -> None:
        try:
            wire.send(data)
        except ConnectionError:
            return

    threads = ThreadPoolExecutor(1)
    future = threads.submit(send)
    threads.shutdown(wait=False)
    return future


# What a device sends in good order


def test_a_breeze_request_as_it_was_captured_gets_the_picture(
    camera: Camera, wires: Callable[[], Wire], rows: Rows, disk: Disk
) -> None:
    photo = photos.jpeg(1600, 1067)
    fields = breeze_fields(photo)
    body, _ = camera.multipart(photo, fields=fields)
    assert body.startswith(f"--{BREEZE_BOUNDARY}\r\n".encode())
    head = (
        "POST /api/ingest/slot-001 HTTP/1.1\r\n"
        f"host: {camera.url.removeprefix('http://')}\r\n"
        f"content-type: multipart/form-data; boundary={BREEZE_BOUNDARY}\r\n"
        f"content-length: {len(body)}\r\n"
        "expect: 100-continue\r\n\r\n"
    )
    wire = wires()
    wire.send(head.encode())
    wire.wait_continue()
    wire.send(body)
    answer = wire.answer()

    assert answer.status == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert int(answer.headers["content-length"]) == len(answer.body)
    row = done(rows, disk)
    assert row["device"] == fields | {"filename": "IMG_0003.JPG"}
    assert row["source_bytes"] == len(photo)
    assert answer.headers["x-job-id"] == str(row["id"])


def test_a_good_request_hears_100_continue_at_once(
    camera: Camera, wires: Callable[[], Wire], rows: Rows
) -> None:
    waited = []
    for _ in range(6):
        body, mime = camera.multipart()
        wire = wires()
        wire.send(camera.request(body, mime))
        waited.append(wire.wait_continue())
        wire.send(body)
        assert wire.answer().status == 200
    assert min(waited) < CONTINUE_SECONDS
    assert [row["status"] for row in rows("select status from job_history")] == ["done"] * 6


@pytest.mark.parametrize("piece", [1, 977, 70_001])
def test_it_takes_a_chunked_body_in_chunks_of_any_size(
    camera: Camera, wires: Callable[[], Wire], rows: Rows, disk: Disk, piece: int
) -> None:
    body, mime = camera.multipart(photos.jpeg(64, 48) if piece == 1 else photos.jpeg(2000, 1500))
    wire = wires()
    wire.send(camera.request(body, mime, expect=False, chunked=True))
    wire.send_chunked(body, piece)
    assert wire.answer().status == 200
    done(rows, disk)


def test_a_chunked_body_may_wait_for_100_continue(
    camera: Camera, wires: Callable[[], Wire], rows: Rows, disk: Disk
) -> None:
    body, mime = camera.multipart()
    wire = wires()
    wire.send(camera.request(body, mime, chunked=True))
    wire.wait_continue()
    wire.send_chunked(body)
    assert wire.answer().status == 200
    done(rows, disk)


def test_a_device_of_http_1_0_gets_its_picture_and_the_connection_ends(
    camera: Camera, wires: Callable[[], Wire], rows: Rows, disk: Disk
) -> None:
    body, mime = camera.multipart()
    wire = wires()
    wire.send(camera.request(body, mime, expect=False, version="1.0"), body)
    answer = wire.answer()
    assert answer.status == 200
    assert int(answer.headers["content-length"]) == len(answer.body) > 0
    assert wire.is_closed()
    done(rows, disk)


def test_a_second_shot_uses_the_connection_of_the_first(
    camera: Camera, wires: Callable[[], Wire], rows: Rows
) -> None:
    wire = wires()
    for expect in (False, True, True, False):
        body, mime = camera.multipart()
        wire.send(camera.request(body, mime, expect=expect))
        if expect:
            wire.wait_continue()
        wire.send(body)
        answer = wire.answer()
        assert answer.status == 200
        assert answer.headers.get("connection") != "close"
    assert [row["delivered"] for row in rows("select delivered from job_history")] == [True] * 4


def test_two_shots_sent_at_once_over_one_connection_are_both_answered_in_their_order(
    camera: Camera, wires: Callable[[], Wire], rows: Rows, sandbox: Sandbox
) -> None:
    sandbox.dial(latency_s=0.3)
    shots = [camera.multipart(photos.jpeg(text=text)) for text in ("first", "second")]
    wire = wires()
    wire.send(b"".join(camera.request(*shot, expect=False) + shot[0] for shot in shots))
    answers = [wire.answer(), wire.answer()]
    assert [answer.status for answer in answers] == [200, 200]
    found = rows("select id, status, delivered from job_history order by created_at")
    assert [str(row["id"]) for row in found] == [a.headers["x-job-id"] for a in answers]
    assert [(row["status"], row["delivered"]) for row in found] == [("done", True)] * 2
    assert len(sandbox.calls()) == 2


def test_the_query_string_of_a_survey_is_ignored(camera: Camera, rows: Rows, disk: Disk) -> None:
    body, mime = camera.multipart()
    with camera.wire() as wire:
        head = camera.request(body, mime, expect=False)
        query = b"?style=x&{qr1}=y&password=wrong&slot_id=slot-009"
        wire.send(head.replace(b"slot-001 ", b"slot-001" + query + b" "), body)
        assert wire.answer().status == 200
    assert done(rows, disk)["slot_id"] == "slot-001"


# Refused before the body


@pytest.mark.parametrize(
    ("columns", "change", "status", "reason"),
    [
        ({"size_limit_mb": 1}, {"length": 21 * MB}, 413, "payload_too_large"),
        ({}, {"slot": "slot-099"}, 404, "slot_not_found"),
        ({"is_active": False}, {}, 404, "slot_disabled"),
        ({"ingest_password_hash": None}, {}, 503, "not_configured"),
        ({}, {"mime": "application/json"}, 415, "unsupported_media_type"),
        ({}, {"mime": "multipart/form-data"}, 400, "invalid_request"),
    ],
)
def test_a_device_that_waits_for_100_continue_never_uploads_what_is_refused(
    camera: Camera,
    wires: Callable[[], Wire],
    slot: ChangeSlot,
    rows: Rows,
    disk: Disk,
    sandbox: Sandbox,
    columns: dict[str, Any],
    change: dict[str, Any],
    status: int,
    reason: str,
) -> None:
    if columns:
        slot("slot-001", **columns)
    body, mime = camera.multipart()
    wire = wires()
    wire.send(camera.request(body, **({"mime": mime} | change)))
    answer = wire.answer()

    assert refusal(answer) == (status, reason)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert wire.interim == []
    assert answer.headers["connection"] == "close"
    assert wire.is_closed(CLOSED_SECONDS)
    assert nothing_happened(rows, disk, sandbox)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("megabytes_over", [6, 20])
def test_a_device_that_just_uploads_can_read_why_it_was_refused(
    service: Service,
    camera: Camera,
    wires: Callable[[], Wire],
    slot: ChangeSlot,
    rows: Rows,
    disk: Disk,
    sandbox: Sandbox,
    version: str,
    megabytes_over: int,
) -> None:
    slot("slot-001", size_limit_mb=1)
    body = bytes((1 + megabytes_over) * MB)
    mime = camera.multipart()[1]
    headers = {"connection": "close"}
    head = camera.request(body, mime, expect=False, version=version, headers=headers)
    wire = wires()
    with healthy(service):
        sending = send_all(wire, head + body)
        answer = wire.answer()
        assert refusal(answer) == (413, "payload_too_large")
        assert wire.is_closed(CLOSED_SECONDS)
        sending.result()
    assert nothing_happened(rows, disk, sandbox)


def test_the_refusal_of_an_upload_of_a_few_megabytes_waits_until_the_device_has_sent_it_all(
    camera: Camera, wires: Callable[[], Wire], slot: ChangeSlot
) -> None:
    slot("slot-001", is_active=False)
    body = bytes(7 * MB)
    wire = wires()
    wire.send(camera.request(body, camera.multipart()[1], expect=False), body)
    assert refusal(wire.answer()) == (404, "slot_disabled")
    assert wire.is_closed(LEEWAY_SECONDS)


@pytest.mark.parametrize(
    "mime",
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/mixed; boundary=x",
        "image/jpeg",
        "",
        None,
    ],
)
def test_only_multipart_form_data_is_read(
    camera: Camera,
    wires: Callable[[], Wire],
    rows: Rows,
    disk: Disk,
    sandbox: Sandbox,
    mime: str | None,
) -> None:
    body = f"password={PASSWORD}".encode()
    head = camera.request(body, mime or "", length=len(body))
    wire = wires()
    wire.send(head if mime is not None else head.replace(b"content-type: \r\n", b""))
    assert refusal(wire.answer()) == (415, "unsupported_media_type")
    assert wire.interim == []
    assert nothing_happened(rows, disk, sandbox)


@pytest.mark.parametrize("path", ["/api/ingest/slot-001", "/ingest/slot-001"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"])
def test_ingest_takes_nothing_but_post(
    service: Service, rows: Rows, disk: Disk, sandbox: Sandbox, method: str, path: str
) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    answer = httpx.request(method, service.url + path, headers=headers, trust_env=False)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    if method != "HEAD":
        assert refusal(answer) == (405, "method_not_allowed")
    assert nothing_happened(rows, disk, sandbox)


@pytest.mark.parametrize(
    "path",
    [
        b"/api/ingest/../admin",
        b"/api/ingest/%2e%2e/admin",
        b"/api/ingest/%2e%2e",
        b"/api/ingest/..%2fadmin",
        b"/api/ingest/slot-001%00",
        b"/api/ingest/slot-001%ff",
        b"/api/ingest/slot-001%0d%0ax:y",
        b"/api/ingest/slot-001/",
        b"/api/ingest/",
        b"/api/ingest/SLOT-001",
        b"/API/ingest/slot-001",
        b"//api/ingest/slot-001",
        b"/api//ingest/slot-001",
        b"/api/ingest/slot-001;x",
        b"/api/ingest/" + b"a" * 5000,
        b"/nowhere",
    ],
)
def test_a_crooked_path_is_not_found_and_never_redirected(
    camera: Camera,
    wires: Callable[[], Wire],
    rows: Rows,
    disk: Disk,
    sandbox: Sandbox,
    path: bytes,
) -> None:
    body, mime = camera.multipart()
    head = camera.request(body, mime, expect=False)
    wire = wires()
    wire.send(head.replace(b"/api/ingest/slot-001", path, 1), body)
    answer = wire.answer()
    status, reason = refusal(answer)
    assert status == 404
    assert reason in ("not_found", "slot_not_found")
    assert "location" not in answer.headers
    assert nothing_happened(rows, disk, sandbox)


# Not HTTP


@pytest.mark.parametrize(
    "lines",
    [
        ["content-length: 10", "content-length: 20"],
        ["content-length: 10", "transfer-encoding: chunked"],
        ["transfer-encoding: chunked", "content-length: 10"],
        ["content-length: -1"],
        ["content-length: +10"],
        ["content-length: 1 0"],
        ["content-length: 0x10"],
        ["content-length: 999999999999999999999"],
        ["content-length : 10"],
        ["no colon"],
    ],
    ids=" + ".join,
)
def test_a_head_that_may_mean_two_things_or_none_ends_the_connection(
    service: Service,
    camera: Camera,
    wires: Callable[[], Wire],
    rows: Rows,
    disk: Disk,
    sandbox: Sandbox,
    lines: list[str],
) -> None:
    head = camera.request(b"", camera.multipart()[1], expect=False)
    wire = wires()
    wire.send(head.replace(b"content-length: 0", "\r\n".join(lines).encode()))
    answer = wire.answer()
    assert refusal(answer) == (400, "invalid_request")
    assert answer.headers["connection"] == "close"
    assert wire.is_closed(LEEWAY_SECONDS)
    assert nothing_happened(rows, disk, sandbox)


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"%s\r\n" % (b"1" * 21), b"\r\n"])
def test_a_chunk_of_no_length_ends_the_connection(
    camera: Camera,
    wires: Callable[[], Wire],
    rows: Rows,
    disk: Disk,
    sandbox: Sandbox,
    chunk: bytes,
) -> None:
    body, mime = camera.multipart(password_last=True)
    wire = wires()
    wire.send(camera.request(body, mime, expect=False, chunked=True))
    wire.send_chunked(body[:5000], end=False)
    wire.send(chunk)
    assert refusal(wire.answer()) == (400, "invalid_request")
    assert wire.is_closed(LEEWAY_SECONDS)
    until(lambda: nothing_happened(rows, disk, sandbox), "nothing is left of it", 1)


def test_bytes_after_the_declared_length_are_not_taken_for_a_part_of_the_shot(
    camera: Camera, wires: Callable[[], Wire], rows: Rows, disk: Disk, sandbox: Sandbox
) -> None:
    body, mime = camera.multipart(password_last=True)
    wire = wires()
    wire.send(camera.request(body, mime, expect=False, length=len(body) - 400) + body)
    # The shot, which is cut, then what is no request behind it.
    for _ in range(2):
        assert refusal(wire.answer()) == (400, "invalid_request")
    assert wire.is_closed(CLOSED_SECONDS)
    until(lambda: nothing_happened(rows, disk, sandbox), "nothing is left of it", 1)


# Slow and silent devices


@pytest.fixture(scope="module")
def _impatient(_start_service: StartService) -> Iterator[Service]:
    service = _start_service({}, [IMPATIENT])
    try:
        yield service.wait_ready()
    finally:
        service.stop()


@pytest.fixture
def impatient(_impatient: Service, service: Service) -> Service:
    """A second service on the same database and folder, with less patience (`impatient`)."""
    return _impatient


@pytest.fixture
def hurried(impatient: Service) -> Iterator[Camera]:
    """A camera that posts to the impatient service."""
    camera = Camera(impatient.url)
    with healthy(impatient):
        yield camera
    camera.switch_off()
    until(lambda: not held(impatient), "every connection and file is let go", LET_GO_SECONDS)


def byte_by_byte(wire: Wire, rest: bytes) -> None:
    """Never silent for long, and never done."""
    wire.send_slowly(rest[: int(UPLOAD_SECONDS / DRIP_SECONDS)], 1, DRIP_SECONDS)


def chunk_by_chunk(wire: Wire, rest: bytes) -> None:
    for byte in rest[: int(UPLOAD_SECONDS / DRIP_SECONDS)]:
        wire.send_chunked(bytes([byte]), end=False)
        time.sleep(DRIP_SECONDS)


def be_silent(_wire: Wire, _rest: bytes) -> None:
    return


def send_rest(wire: Wire, rest: bytes) -> None:
    wire.send(rest)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("known", "drip", "more", "chunked"),
    [
        (True, byte_by_byte, 0, False),
        (False, byte_by_byte, 0, False),
        (True, be_silent, 0, False),
        (True, send_rest, 100, False),
        (True, chunk_by_chunk, 0, True),
    ],
    ids=["drips", "drips-unknown", "stalls", "announced-more", "drips-chunks"],
)
def test_an_upload_that_stalls_or_drips_is_let_go_in_time(
    hurried: Camera, slot: ChangeSlot, rows: Rows, disk: Disk, sandbox: Sandbox, known: bool,
    drip: Callable[[Wire, bytes], None], more: int, chunked: bool,
) -> None:  # fmt: skip
    slow_slot(slot, "slot-001")
    body, mime = hurried.multipart(password_last=not known)
    announced: dict[str, Any] = {"chunked": True} if chunked else {"length": len(body) + more}
    with hurried.wire() as wire:
        wire.send(hurried.request(body, mime, expect=False, **announced))
        if chunked:
            wire.send_chunked(body[:9000], end=False)
        else:
            wire.send(body[:9000])
        drip(wire, body[9000:])
        answer = wire.answer(WINDOW_SECONDS)
        assert wire.is_closed(CLOSED_SECONDS)

    assert refusal(answer) == (408, "upload_timeout")
    assert UPLOAD_SECONDS - 0.1 < answer.seconds < UPLOAD_SECONDS + LEEWAY_SECONDS
    found = rows("select status, failure_reason from job_history")
    ended = {"status": "failed", "failure_reason": "upload_timeout"}
    assert found == ([ended] if known else [])
    assert disk() == []
    assert sandbox.calls() == []


@pytest.mark.parametrize("letters", [b"", b"abcdefgh"], ids=["silence", "drip"])
def test_half_a_head_is_let_go_in_time(hurried: Camera, letters: bytes) -> None:
    started = time.monotonic()
    with hurried.wire() as wire:
        wire.send(b"POST /api/ingest/slot-001 HTTP/1.1\r\nhost: x\r\nx-half")
        for letter in letters:
            wire.send(bytes([letter]))
            time.sleep(HEAD_SECONDS / 10)
        assert wire.is_closed(HEAD_SECONDS + LEEWAY_SECONDS)

    assert time.monotonic() - started < HEAD_SECONDS + LEEWAY_SECONDS


@pytest.mark.parametrize("drips", [True, False])
def test_a_refused_device_that_never_ends_is_let_go_in_time(hurried: Camera, drips: bool) -> None:
    mime = hurried.multipart()[1]
    with hurried.wire() as wire:
        wire.send(hurried.request(b"", mime, "slot-099", expect=False, length=9000))
        assert wire.answer().status == 404
        started = time.monotonic()
        while drips and not _is_reset(wire):
            time.sleep(DRIP_SECONDS)

        assert time.monotonic() - started < LINGER_SECONDS + LEEWAY_SECONDS


def _is_reset(wire: Wire) -> bool:
    try:
        wire.send(b"x")
    except ConnectionError:
        return True
    return False


def test_an_empty_line_after_a_request_is_let_go_in_time(hurried: Camera) -> None:
    with hurried.wire() as wire:
        wire.send(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        assert wire.answer().status == 200
        started = time.monotonic()
        wire.send(b"\r\n")
        assert wire.is_closed(HEAD_SECONDS + LEEWAY_SECONDS)

    assert time.monotonic() - started < HEAD_SECONDS + LEEWAY_SECONDS


@pytest.mark.slow
def test_a_device_that_reads_slowly_gets_every_byte_in_the_end(
    service: Service, camera: Camera, slot: ChangeSlot, rows: Rows, disk: Disk, sandbox: Sandbox
) -> None:
    big_picture(slot, sandbox)
    first = camera.shoot(
        photos.big_jpeg()
    )  # the memory a first big shot takes is kept for the next
    assert len(first.content) > BUFFERED_BYTES
    before = service.memory_bytes
    with healthy(service), small_reader(camera) as reader:
        send_shot(reader, camera, photos.big_jpeg())
        until(lambda: is_done(rows, 2), "the second shot is done")
        received = read_slowly(reader, seconds=3)
        grown = service.memory_bytes - before
        received += read_all(reader)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body == first.content
    assert grown < len(body) + 8 * MB
    kept = [service.media_root / file for file in disk("results")]
    assert [file.read_bytes() for file in kept] == [body, body]
    assert rows("select delivered from job_history") == [{"delivered": True}] * 2


@pytest.mark.slow
def test_a_device_that_never_reads_is_let_go_in_time(
    hurried: Camera, slot: ChangeSlot, rows: Rows, disk: Disk, sandbox: Sandbox
) -> None:
    big_picture(slot, sandbox)
    with small_reader(hurried) as reader:
        send_shot(reader, hurried, photos.big_jpeg())
        until(lambda: rows("select 1 from job_history where status = 'done'"), "it is answered", 30)
        started = time.monotonic()
        until(lambda: is_undelivered(rows), "the service gives up", SEND_SECONDS + LEEWAY_SECONDS)
        assert time.monotonic() - started > SEND_SECONDS - 1
    done(rows, disk)


# Devices that leave


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset], ids=["close", "reset"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_device_that_leaves_while_it_sends_is_counted_and_leaves_nothing(
    service: Service,
    camera: Camera,
    rows: Rows,
    disk: Disk,
    sandbox: Sandbox,
    known: bool,
    leave: Callable[[Wire], None],
) -> None:
    counter = "photoslot_client_closed_upload_total"
    before = counted(service, counter)
    body, mime = camera.multipart(photos.jpeg(2000, 1500), password_last=not known)
    wire = camera.wire()
    wire.send(camera.request(body, mime))
    wire.wait_continue()
    wire.send(body[: len(body) // 2])
    until(lambda: disk("temp"), "the upload is on its way")
    leave(wire)
    until(lambda: not disk(), "its file is gone", 1)
    until(lambda: counted(service, counter) == before + 1, "it is counted", 1)
    if known:
        until(lambda: rows("select id from job_history"), "it is written down", 1)
        failed(rows, disk, "client_closed")
    else:
        assert nothing_happened(rows, disk, sandbox)
    assert sandbox.calls() == []


@pytest.mark.parametrize("leave", [Wire.close, Wire.reset])
def test_a_picture_is_kept_when_its_device_leaves_while_the_provider_works(
    service: Service,
    camera: Camera,
    rows: Rows,
    disk: Disk,
    sandbox: Sandbox,
    leave: Callable[[Wire], None],
) -> None:
    sandbox.dial(latency_s=0.7)
    body, mime = camera.multipart()
    with camera.wire() as wire:
        wire.send(camera.request(body, mime, expect=False), body)
        until(sandbox.calls, "the provider works")
        leave(wire)
        until(lambda: is_done(rows), "the call is finished", 5)
    row = done(rows, disk)
    assert row["delivered"] is False
    assert [attempt["outcome"] for attempt in row["attempts"]] == ["ok"]
    result = httpx.get(f"{service.url}/public/results/{row['id']}", trust_env=False)
    assert result.status_code == 200
    assert len(sandbox.calls()) == 1


@pytest.mark.parametrize("read", [1, BUFFERED_BYTES // 4], ids=["at once", "later"])
def test_a_picture_is_kept_when_its_device_leaves_while_it_is_sent(
    camera: Camera, slot: ChangeSlot, rows: Rows, disk: Disk, sandbox: Sandbox, read: int
) -> None:
    big_picture(slot, sandbox)
    with small_reader(camera) as reader:
        send_shot(reader, camera, photos.big_jpeg())
        received = reader.recv(read)
        while len(received) < read:
            received += reader.recv(65536)
    until(lambda: is_undelivered(rows), "the service has noticed", 5)
    done(rows, disk)


def test_many_devices_that_leave_take_nothing_with_them(
    service: Service, camera: Camera, slot: ChangeSlot, sandbox: Sandbox, disk: Disk
) -> None:
    slot("slot-001", max_in_flight=100)
    sandbox.dial(latency_s=0.2)
    body, mime = camera.multipart(photos.jpeg(2000, 1500))

    def leave_at(fraction: float) -> None:
        with camera.wire() as wire:
            wire.send(camera.request(body, mime, expect=False), body[: int(len(body) * fraction)])

    def open_files() -> int:
        return psutil.Process(service.pid).num_fds()

    def crowd() -> None:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(leave_at, [0, 0.3, 0.6, 0.9, 1] * 6))
        # A shot without device and file is still written down.
        until(lambda: counted(service, "photoslot_in_flight") == 0, "all shots have ended", 10)
        until(lambda: not held(service) and not disk("temp"), "the service is quiet", 10)

    def files_after_a_crowd() -> int:
        crowd()
        return open_files()

    # More shots at once than a crowd brings fill the pools of connections to database
    # and provider; what leaks would go on growing.
    camera.burst(40)
    before = max(files_after_a_crowd() for _ in range(3))
    crowd()
    until(lambda: open_files() <= before, f"{before} descriptors as before, now {open_files()}", 5)


# Who says what of themselves


@pytest.mark.parametrize("host", ["evil/../x", "", "evil.example", "evil.example:x", "[::1"])
def test_links_and_addresses_are_never_what_a_device_claims(
    service: Service,
    camera: Camera,
    wires: Callable[[], Wire],
    rows: Rows,
    disk: Disk,
    host: str,
) -> None:
    body, mime = camera.multipart()
    forged = {
        "x-forwarded-for": "203.0.113.9",
        "x-forwarded-host": "evil.example",
        "x-forwarded-proto": "gopher",
        "forwarded": "for=203.0.113.9;host=evil.example",
        "x-real-ip": "203.0.113.9",
    }
    head = camera.request(body, mime, expect=False, headers=forged)
    wire = wires()
    wire.send(head.replace(f"host: 127.0.0.1:{service.port}".encode(), f"host: {host}".encode()))
    wire.send(body)
    answer = wire.answer()
    assert answer.status == 200
    row = done(rows, disk)
    link = f'<{service.url}/public/results/{row["id"]}>; rel="canonical"'
    assert answer.headers["link"] == link
    assert row["client_address"] == "127.0.0.1"
    assert service.wait_log("shot", job_id=str(row["id"]))["address"] == "127.0.0.1"


def test_a_trusted_proxy_may_say_who_the_device_is(
    make_service: MakeService, rows: Rows, disk: Disk
) -> None:
    proxied = make_service(TRUSTED_PROXIES="127.0.0.1")
    answer = Camera(proxied.url).shoot(headers={"x-forwarded-for": "203.0.113.9"})
    assert answer.status_code == 200
    assert done(rows, disk)["client_address"] == "203.0.113.9"


# A picture that does not fit into the buffers between the service and the device


def big_picture(slot: ChangeSlot, sandbox: Sandbox) -> None:
    """Slot 1 answers a big photo with a picture of more than BUFFERED_BYTES."""
    settings = {"prompt": "Sharpen every hair", "image_size": "2K"}
    slot("slot-001", settings=settings, max_side_px=0)
    sandbox.dial(["png"])


@contextmanager
def small_reader(camera: Camera) -> Iterator[socket.socket]:
    """A connection that takes up little of what it is sent until it is read from."""
    host, port = camera.url.removeprefix("http://").split(":")
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.settimeout(30)
        reader.connect((host, int(port)))
        yield reader


def send_shot(reader: socket.socket, camera: Camera, photo: bytes) -> None:
    body, mime = camera.multipart(photo)
    reader.sendall(camera.request(body, mime, expect=False, headers={"connection": "close"}))
    reader.sendall(body)


def read_slowly(reader: socket.socket, seconds: int) -> bytes:
    received = b""
    for _ in range(seconds * 10):
        received += reader.recv(100)
        time.sleep(0.1)
    return received


def read_all(reader: socket.socket) -> bytes:
    return b"".join(iter(lambda: reader.recv(65536), b""))


def is_done(rows: Rows, count: int = 1) -> bool:
    return len(rows("select id from job_history where status = 'done'")) == count


def is_undelivered(rows: Rows) -> bool:
    return rows("select delivered from job_history") == [{"delivered": False}]
