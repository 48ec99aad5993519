"""The sandbox on the wire: late, dripping, cut, reset and endless answers; clients that leave."""

import json
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from rig import Sandbox
from test_sandbox import MODEL, ask, order

MEBIBYTE = 2**20
PATIENCE_S = 5.0


@pytest.fixture
def gemini(sandbox: Sandbox) -> Iterator[httpx.Client]:
    headers = {"x-goog-api-key": "sandbox"}
    with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False, timeout=20) as client:
        yield client


def request_bytes(body: bytes, length: int | None = None) -> bytes:
    lines = (
        f"POST /v1beta/models/{MODEL}:generateContent HTTP/1.1",
        "Host: sandbox",
        "x-goog-api-key: sandbox",
        "Content-Type: application/json",
        f"Content-Length: {len(body) if length is None else length}",
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def asked(sandbox: Sandbox) -> Iterator[socket.socket]:
    """A bare connection on which an order has just been sent."""
    address = urlsplit(sandbox.url)
    with socket.create_connection((address.hostname, address.port), PATIENCE_S) as line:
        line.sendall(request_bytes(json.dumps(order()).encode()))
        yield line


def received(line: socket.socket, seconds: float) -> bytes:
    """What arrives within so many seconds."""
    found, end = b"", time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        line.settimeout(left)
        try:
            piece = line.recv(65536)
        except TimeoutError:
            break
        if not piece:
            break
        found += piece
    return found


def call_when(sandbox: Sandbox, field: str, value: Any) -> dict[str, Any]:
    """The only call, once its field has that value."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        calls = sandbox.calls()
        if calls and calls[0][field] == value:
            return calls[0]
        time.sleep(0.01)
    raise AssertionError(f"{field} is not {value!r} in {sandbox.calls()}")


@contextmanager
def streamed(gemini: httpx.Client) -> Iterator[httpx.Response]:
    url = f"/v1beta/models/{MODEL}:generateContent"
    with gemini.stream("POST", url, json=order()) as answer:
        yield answer


def test_a_hanging_call_says_nothing_until_the_client_leaves(sandbox: Sandbox) -> None:
    sandbox.dial(["hang"])
    with asked(sandbox) as line:
        assert received(line, 0.5) == b""
        assert call_when(sandbox, "outcome", "hang")["client_disconnected"] is False
    call = call_when(sandbox, "client_disconnected", True)
    assert (call["status"], call["latency_s"]) == (None, None)


def test_a_client_that_leaves_during_the_latency_is_noticed(sandbox: Sandbox) -> None:
    sandbox.dial(["ok"], latency_s=60)
    with asked(sandbox):
        call_when(sandbox, "outcome", "ok")
    assert call_when(sandbox, "client_disconnected", True)["status"] is None


def test_a_client_that_leaves_during_the_upload_is_noticed(sandbox: Sandbox) -> None:
    address = urlsplit(sandbox.url)
    with socket.create_connection((address.hostname, address.port), PATIENCE_S) as line:
        line.sendall(request_bytes(b"{", length=1000))
        call_when(sandbox, "outcome", None)
    assert call_when(sandbox, "client_disconnected", True)["outcome"] is None


def test_a_reset_is_a_reset(sandbox: Sandbox) -> None:
    sandbox.dial(["reset"])
    with asked(sandbox) as line, pytest.raises(ConnectionResetError):
        received(line, PATIENCE_S)


def test_a_reset_comes_after_the_latency(sandbox: Sandbox) -> None:
    sandbox.dial(["reset"], latency_s=0.4)
    started = time.monotonic()
    with asked(sandbox) as line, pytest.raises(ConnectionResetError):
        received(line, PATIENCE_S)
    assert time.monotonic() - started >= 0.4


def test_a_dripping_body_comes_a_byte_a_second(sandbox: Sandbox) -> None:
    sandbox.dial(["ok"], drip=True)
    with asked(sandbox) as line:
        head, _, body = received(line, 1.5).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body in (b"{", b'{"')
    assert call_when(sandbox, "client_disconnected", True)["status"] == 200


def test_slow_body_drips_without_the_dial(sandbox: Sandbox) -> None:
    sandbox.dial(["slow_body"])
    with asked(sandbox) as line:
        _, _, body = received(line, 1.5).partition(b"\r\n\r\n")
    assert body in (b"{", b'{"')


def test_a_dripping_error_drips_too(sandbox: Sandbox) -> None:
    sandbox.dial(["503"], drip=True)
    with asked(sandbox) as line:
        answer = received(line, 0.5)
    assert answer.startswith(b"HTTP/1.1 503 ") and answer.endswith(b"\r\n\r\n{")


def test_slow_headers_come_a_byte_a_second(sandbox: Sandbox) -> None:
    sandbox.dial(["slow_headers"])
    with asked(sandbox) as line:
        assert received(line, 2.5) in (b"H", b"HT", b"HTT")
    call_when(sandbox, "client_disconnected", True)


def test_a_cut_body_is_shorter_than_promised(gemini: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["cut_body"])
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        ask(gemini, order())


def test_truncated_json_has_the_length_it_claims(gemini: httpx.Client, sandbox: Sandbox) -> None:
    whole = ask(gemini, order()).text
    sandbox.dial(["truncated_json"])
    answer = ask(gemini, order())
    assert answer.text == whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("outcome", "status", "mime"),
    [
        ("garbage", 200, "application/json"),
        ("html_200", 200, "text/html"),
        ("502_html", 502, "text/html"),
        ("empty_body", 200, "application/json"),
    ],
)
def test_it_answers_with_what_is_no_json(
    gemini: httpx.Client, sandbox: Sandbox, outcome: str, status: int, mime: str
) -> None:
    sandbox.dial([outcome])
    answer = ask(gemini, order())
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(mime)
    with pytest.raises(ValueError):
        answer.json()


def test_it_redirects_to_where_nobody_should_go(gemini: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["redirect"])
    answer = ask(gemini, order())
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("http://169.254.169.254/")


def test_a_huge_body_has_no_length_and_ends_when_the_client_leaves(
    gemini: httpx.Client, sandbox: Sandbox
) -> None:
    sandbox.dial(["huge"])
    with streamed(gemini) as answer:
        assert "content-length" not in answer.headers
        size = 0
        for chunk in answer.iter_raw():
            size += len(chunk)
            if size > 100 * MEBIBYTE:
                break
    assert size > 100 * MEBIBYTE
    call_when(sandbox, "client_disconnected", True)


def test_a_gzip_bomb_grows_a_thousandfold(gemini: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["gzip_bomb"])
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    packed = unpacked = 0
    with streamed(gemini) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        for chunk in answer.iter_raw():
            packed += len(chunk)
            unpacked += len(unpacker.decompress(chunk))
            if unpacked > 200 * MEBIBYTE:
                break
    assert unpacked > 200 * MEBIBYTE
    assert unpacked > 500 * packed


def test_other_calls_are_answered_while_some_hang(gemini: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.dial(["hang", "huge", "ok"])
    with asked(sandbox):
        call_when(sandbox, "outcome", "hang")
        with streamed(gemini) as endless:
            next(endless.iter_raw())
            begun = time.monotonic()
            with httpx.Client(headers=gemini.headers, trust_env=False) as other:
                url = f"{sandbox.url}/v1beta/models/{MODEL}:generateContent"
                assert other.post(url, json=order()).status_code == 200
            assert time.monotonic() - begun < 2


@contextmanager
def started(*options: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """A sandbox of its own, warnings being errors, and a client for it."""
    program = [sys.executable, "-W", "error", "-m", "service.sandbox", "--port", "0", *options]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            with httpx.Client(base_url=url, trust_env=False) as client:
                yield process, client
        finally:
            process.kill()


def test_it_stops_soon_though_a_call_hangs() -> None:
    with started() as (process, client):
        client.put("/_sandbox/dials", json={"provider": "gemini", "outcomes": ["hang"]})
        with socket.create_connection((client.base_url.host, client.base_url.port)) as line:
            line.sendall(request_bytes(json.dumps(order()).encode()))
            while not client.get("/_sandbox/calls").json():
                time.sleep(0.01)
            process.terminate()
            process.wait(PATIENCE_S)
    assert process.returncode in (0, -signal.SIGTERM)


def test_it_takes_the_key_and_the_latency_it_was_started_with() -> None:
    with started("--key", "another", "--latency-s", "0.3") as (_, client):
        client.headers["x-goog-api-key"] = "another"
        client.delete("/_sandbox/dials")
        begun = time.monotonic()
        assert ask(client, order()).status_code == 200
        assert time.monotonic() - begun >= 0.3
        client.headers["x-goog-api-key"] = "sandbox"
        assert ask(client, order()).status_code == 400
