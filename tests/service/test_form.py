"""Ingest's multipart form: order, limits, names, and text nobody should send."""

import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
import photos
import pytest
from camera import BOUNDARY, PASSWORD, Camera, Wire, breeze_fields, part
from rig import Sandbox, Service
from tables import ChangeSlot, Disk, Rows

from service.crypto import hash_password

MAX_FIELDS = 64
MAX_FIELD_BYTES = 16 * 1024
MAX_PART_HEADERS = 16
MAX_DEVICE_BYTES = 4096
MAX_FILENAME = 120
CPU_SECONDS = 0.1
LAST = f"--{BOUNDARY}--\r\n".encode()


def form(*parts: bytes, last: bytes = LAST) -> bytes:
    return b"".join(parts) + last


def photo_part(name: str = "fileToUpload", filename: str = "IMG_0003.JPG") -> bytes:
    return part(name, photos.jpeg(), filename, "image/jpeg")


def password_part() -> bytes:
    return part("password", PASSWORD)


def raw_part(*headers: bytes, data: bytes = b"x") -> bytes:
    """A part with exactly these header lines."""
    return b"\r\n".join([f"--{BOUNDARY}".encode(), *headers, b"", data, b""])


def disposition(rest: str | bytes) -> bytes:
    raw = rest.encode() if isinstance(rest, str) else rest
    return b"Content-Disposition: form-data; " + raw


def post(service: Service, body: bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
    mime = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    return httpx.post(
        f"{service.url}/api/ingest/slot-001",
        content=body,
        headers={**mime, **(headers or {})},
        timeout=30,
        trust_env=False,
    )


def done(answer: httpx.Response, rows: Rows, disk: Disk) -> dict[str, Any]:
    """The only row, after an answer with a picture; the disk has its result and nothing else."""
    assert answer.status_code == 200, answer.text
    (row,) = rows("select * from job_history")
    assert (row["status"], row["stored"]) == ("done", True)
    assert row["finished_at"] is not None
    assert answer.headers["x-job-id"] == str(row["id"])
    (file,) = disk()
    assert re.fullmatch(rf"results/../{row['id']}\.(jpg|png|webp)", file)
    return row


def invalid(answer: httpx.Response) -> str:
    """What a 400 `invalid_request` says, once it has the shape of every refusal."""
    assert answer.status_code == 400, answer.text
    body = json.loads(answer.content)
    assert set(body) == {"status", "failure_reason", "details", "job_id"}
    assert (body["status"], body["failure_reason"]) == ("error", "invalid_request")
    assert answer.headers["x-failure-reason"] == "invalid_request"
    assert answer.headers.get("x-job-id") == body["job_id"]
    details: str = body["details"]
    return details


def written_down(answer: httpx.Response, rows: Rows, disk: Disk, sandbox: Sandbox) -> bool:
    """Whether the refused shot of a known device has its one row and nothing else."""
    (row,) = rows("select * from job_history")
    assert (row["status"], row["failure_reason"]) == ("failed", "invalid_request")
    assert row["finished_at"] is not None
    assert answer.headers["x-job-id"] == str(row["id"])
    return not disk() and not sandbox.calls()


def nothing_happened(rows: Rows, disk: Disk, sandbox: Sandbox) -> bool:
    return not rows("select id from job_history") and not disk() and not sandbox.calls()


# Order and names of what belongs into the form


@pytest.mark.parametrize("order", ["password first", "password last", "file first, fields last"])
def test_the_order_of_the_fields_is_free(
    service: Service, rows: Rows, disk: Disk, order: str
) -> None:
    fields = breeze_fields(photos.jpeg())
    texts = b"".join(part(name, value) for name, value in fields.items())
    parts = {
        "password first": [password_part(), texts, photo_part()],
        "password last": [texts, photo_part(), password_part()],
        "file first, fields last": [photo_part(), password_part(), texts],
    }
    row = done(post(service, form(*parts[order])), rows, disk)
    assert row["device"] == fields | {"filename": "IMG_0003.JPG"}
    assert row["source_sha256"] == hashlib.sha256(photos.jpeg()).digest()


@pytest.mark.parametrize("name", ["fileToUpload", "file", "image", "media"])
def test_the_file_may_have_any_of_the_names_devices_use(
    service: Service, rows: Rows, disk: Disk, name: str
) -> None:
    done(post(service, form(password_part(), photo_part(name))), rows, disk)


def test_the_password_may_come_as_a_header(service: Service, rows: Rows, disk: Disk) -> None:
    headers = {"x-ingest-password": PASSWORD}
    done(post(service, form(photo_part()), headers), rows, disk)


def test_a_file_part_of_another_name_is_passed_over(
    service: Service, rows: Rows, disk: Disk
) -> None:
    avatar = part("avatar", b"not a photo", "avatar.txt", "text/plain")
    row = done(post(service, form(password_part(), avatar, photo_part())), rows, disk)
    assert row["source_bytes"] == len(photos.jpeg())
    assert row["device"]["filename"] == "IMG_0003.JPG"


@pytest.mark.parametrize(
    "hashed",
    [
        None,
        "0" * 40,
        hashlib.sha1(photos.jpeg()).hexdigest().upper(),
        hashlib.sha256(photos.jpeg()).hexdigest(),
        "",
        "not hex",
    ],
)
def test_the_hash_is_recorded_and_never_a_reason_to_refuse(
    service: Service, rows: Rows, disk: Disk, hashed: str | None
) -> None:
    sent = [] if hashed is None else [part("hash", hashed)]
    row = done(post(service, form(password_part(), *sent, photo_part())), rows, disk)
    assert row["device"].get("hash") == hashed


def test_fields_nobody_knows_are_kept(service: Service, rows: Rows, disk: Disk) -> None:
    unknown = {"{qr1}": "Иванова", "survey2_type_id": "7", "eventkitesessionid": "", "a b": "c"}
    parts = [part(name, value) for name, value in unknown.items()]
    row = done(post(service, form(password_part(), *parts, photo_part())), rows, disk)
    assert row["device"] == unknown | {"filename": "IMG_0003.JPG"}


def test_fields_are_kept_up_to_four_kilobytes(service: Service, rows: Rows, disk: Disk) -> None:
    parts = [part(f"survey{number}_text", "я" * 400) for number in range(40)]
    row = done(post(service, form(password_part(), *parts, photo_part())), rows, disk)
    kept = row["device"]
    assert sum(len((name + value).encode()) for name, value in kept.items()) <= MAX_DEVICE_BYTES
    assert kept["survey0_text"] == "я" * 400


def test_the_password_is_never_kept(service: Service, rows: Rows, disk: Disk) -> None:
    row = done(post(service, form(password_part(), photo_part())), rows, disk)
    assert PASSWORD not in repr(row)
    assert PASSWORD not in service.output


# What is not a whole form


@pytest.mark.parametrize("before", [b"", b"A form in several parts.\r\n", b"\r\n--\r\n"])
@pytest.mark.parametrize("padding", [b"", b" \t"])
def test_what_stands_around_the_parts_is_no_part_of_them(
    service: Service, rows: Rows, disk: Disk, before: bytes, padding: bytes
) -> None:
    """RFC 2046, 5.1.1: a preamble, white space behind each boundary, an epilogue."""
    line = f"--{BOUNDARY}".encode()
    body = form(password_part(), photo_part()).replace(line + b"\r\n", line + padding + b"\r\n")
    row = done(post(service, before + body[:-2] + padding + b"\r\nafter"), rows, disk)
    assert row["source_sha256"] == hashlib.sha256(photos.jpeg()).digest()


@pytest.mark.parametrize("name", ["note", "fileToUpload"])
def test_a_part_without_a_line_of_its_own_leaves_the_photo_alone(
    service: Service, rows: Rows, disk: Disk, name: str
) -> None:
    """Its last line end is the boundary's; as an empty file input it is no file either."""
    rest = 'name="note"' if name == "note" else 'name="fileToUpload"; filename=""'
    empty = raw_part(disposition(rest)).removesuffix(b"x\r\n")
    row = done(post(service, form(password_part(), empty, photo_part("image"))), rows, disk)
    assert row["source_sha256"] == hashlib.sha256(photos.jpeg()).digest()
    assert row["device"].get("note", "") == ""


def test_folded_headers_of_a_part_are_read_as_one_line(
    service: Service, rows: Rows, disk: Disk
) -> None:
    """RFC 5322, 2.2.3."""
    folded = disposition('name="fileToUpload";\r\n\tfilename="IMG\r\n 3.JPG"')
    photo = raw_part(folded, b"Content-Type:\r\n image/jpeg", data=photos.jpeg())
    row = done(post(service, form(password_part(), photo)), rows, disk)
    assert row["device"] == {"filename": "IMG 3.JPG"}


def test_an_empty_file_input_is_no_second_file(service: Service, rows: Rows, disk: Disk) -> None:
    """A browser sends every `<input type="file">`, also one that nobody used."""
    empty = part("image", b"", "", "application/octet-stream")
    body = form(empty, password_part(), photo_part(), part("media", b"", ""))
    assert done(post(service, body), rows, disk)["device"] == {"filename": "IMG_0003.JPG"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_password_fits_with_the_line_end_of_its_file(
    service: Service, rows: Rows, disk: Disk, end: str
) -> None:
    done(post(service, form(part("password", PASSWORD + end), photo_part())), rows, disk)


PASSWORDS = ["Пароль для камер", "schöne Grüße", "密码 🔑 камера"]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("where", ["header", "field"])
def test_a_password_outside_ascii_fits_wherever_it_comes(
    service: Service, rows: Rows, disk: Disk, slot: ChangeSlot, password: str, where: str
) -> None:
    slot("slot-001", ingest_password_hash=hash_password(password))
    with Camera(service.url).wire() as wire:
        send(wire, service, password.encode(), where)
        assert wire.answer().status == 200
    assert [row["status"] for row in rows("select status from job_history")] == ["done"]


@pytest.mark.parametrize("where", ["header", "field"])
def test_a_password_in_latin_1_fits_too(
    service: Service, rows: Rows, disk: Disk, slot: ChangeSlot, where: str
) -> None:
    """Where a client writes letters as one byte each."""
    slot("slot-001", ingest_password_hash=hash_password(PASSWORDS[1]))
    with Camera(service.url).wire() as wire:
        send(wire, service, PASSWORDS[1].encode("latin-1"), where)
        assert wire.answer().status == 200
    with Camera(service.url).wire() as wire:
        send(wire, service, PASSWORDS[1].encode("cp1251", "replace"), where)
        assert wire.answer().status == 401


def send(wire: Wire, service: Service, password: bytes, where: str) -> None:
    """A shot with exactly these bytes as its password."""
    fields = [part("password", password)] if where == "field" else []
    body = form(*fields, photo_part())
    mime = f"multipart/form-data; boundary={BOUNDARY}"
    head = Camera(service.url).request(body, mime, expect=False)
    if where == "header":
        head = head.replace(b"\r\n\r\n", b"\r\nX-Ingest-Password: " + password + b"\r\n\r\n")
    wire.send(head, body)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_a_compressed_body_is_refused_with_what_to_do(
    service: Service, rows: Rows, disk: Disk, sandbox: Sandbox, coding: str
) -> None:
    """RFC 9110, 15.5.16."""
    body = gzip.compress(form(password_part(), photo_part()))
    answer = post(service, body, {"content-encoding": coding})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
    assert answer.headers["x-failure-reason"] == "unsupported_media_type"
    assert coding in answer.json()["details"]
    assert nothing_happened(rows, disk, sandbox)


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_a_compressed_json_body_is_refused_in_the_same_words(service: Service, coding: str) -> None:
    packed = gzip.compress(b'{"username": "serg", "password": "a password"}')
    headers = {"content-type": "application/json", "content-encoding": coding}
    answer = httpx.post(
        f"{service.url}/api/login", content=packed, headers=headers, trust_env=False
    )
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
    assert coding in answer.json()["details"]


def test_a_body_that_is_not_compressed_may_say_so(service: Service, rows: Rows, disk: Disk) -> None:
    body = form(password_part(), photo_part())
    done(post(service, body, {"content-encoding": "identity"}), rows, disk)


@pytest.mark.parametrize("missing", [1, 2, 20])
def test_a_length_some_bytes_too_large_does_not_cost_the_picture(
    service: Service, rows: Rows, disk: Disk, missing: int
) -> None:
    """The form is complete; what the length still promises never comes."""
    body, camera = form(password_part(), photo_part()), Camera(service.url)
    mime = f"multipart/form-data; boundary={BOUNDARY}"
    with camera.wire() as wire:
        wire.send(camera.request(body, mime, expect=False, length=len(body) + missing), body)
        answer = wire.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    (row,) = rows("select status, stored from job_history")
    assert row == {"status": "done", "stored": True}


@pytest.mark.parametrize("missing", [3, 4, 30])
def test_a_length_some_bytes_short_is_refused_with_the_reason(
    service: Service, rows: Rows, disk: Disk, sandbox: Sandbox, missing: int
) -> None:
    body, camera = form(password_part(), photo_part()), Camera(service.url)
    mime = f"multipart/form-data; boundary={BOUNDARY}"
    with camera.wire() as wire:
        wire.send(camera.request(body, mime, length=len(body) - missing), body[:-missing])
        answer = wire.answer()
    assert answer.status == 400
    assert "Content-Length short" in json.loads(answer.body)["details"]
    (row,) = rows("select failure_reason from job_history")
    assert row == {"failure_reason": "invalid_request"}


@pytest.mark.parametrize("cut", [LAST, LAST[2:], LAST[-4:], LAST[-2:]], ids=len)
def test_a_form_without_its_last_boundary_is_refused(
    service: Service, rows: Rows, disk: Disk, sandbox: Sandbox, cut: bytes
) -> None:
    """All but the very last line end belongs to the boundary."""
    body = form(password_part(), photo_part()).removesuffix(cut)
    answer = post(service, body)
    if cut == LAST[-2:]:
        done(answer, rows, disk)
        return
    assert "last boundary" in invalid(answer)
    assert written_down(answer, rows, disk, sandbox)


def test_a_cut_form_of_an_unknown_sender_is_refused_without_a_row(
    service: Service, rows: Rows, disk: Disk, sandbox: Sandbox
) -> None:
    answer = post(service, form(photo_part(), password_part()[:-40], last=b""))
    invalid(answer)
    assert nothing_happened(rows, disk, sandbox)


@pytest.mark.parametrize(
    "body",
    [b"", b"x", LAST, b"\r\n" * 50_000, b"--wrong\r\n" * 10, f"--{BOUNDARY}x\r\n\r\n".encode()],
    ids=["empty", "one byte", "only the end", "line ends", "another boundary", "longer boundary"],
)
def test_what_is_no_form_is_refused(
    service: Service, rows: Rows, disk: Disk, sandbox: Sandbox, body: bytes
) -> None:
    invalid(post(service, body))
    assert nothing_happened(rows, disk, sandbox)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([], "no file"),
        ([part("fileToUpload", b"", "IMG_0003.JPG", "image/jpeg")], "empty"),
        ([part("fileToUpload", photos.jpeg(64, 48))], "as text"),
        ([part("avatar", photos.jpeg(), "IMG_0003.JPG", "image/jpeg")], "no file"),
    ],
    ids=["no file", "empty file", "file as text", "file of another name"],
)
def test_a_form_without_a_photo_is_refused(
    service: Service, rows: Rows, disk: Disk, sandbox: Sandbox, parts: list[bytes], says: str
) -> None:
    answer = post(service, form(password_part(), *parts))
    assert says in invalid(answer)
    assert written_down(answer, rows, disk, sandbox)


@pytest.mark.parametrize(
    "parts",
    [
        [photo_part(), photo_part()],
        [photo_part(), photo_part("image", "b.jpg")],
        [photo_part("media"), part("file", b"", "b.jpg")],
    ],
    ids=["same name", "other name", "second one empty"],
)
def test_two_files_are_refused(
    service: Service, rows: Rows, disk: Disk, sandbox: Sandbox, parts: list[bytes]
) -> None:
    assert "two files" in invalid(post(service, form(*parts, password_part())))
    assert nothing_happened(rows, disk, sandbox)


@pytest.mark.parametrize("second", [PASSWORD, "wrong", ""])
def test_two_passwords_are_refused(
    service: Service, rows: Rows, disk: Disk, sandbox: Sandbox, second: str
) -> None:
    body = form(password_part(), part("password", second), photo_part())
    assert "two passwords" in invalid(post(service, body))
    assert nothing_happened(rows, disk, sandbox)


# Limits


def test_as_much_as_is_allowed_is_taken(service: Service, rows: Rows, disk: Disk) -> None:
    long = part("survey", "x" * MAX_FIELD_BYTES)
    headers = [f"X-{number}: y".encode() for number in range(MAX_PART_HEADERS - 1)]
    wordy = raw_part(disposition('name="wordy"'), *headers)
    few = [part(f"field{number}", "") for number in range(MAX_FIELDS - 4)]
    done(post(service, form(password_part(), long, wordy, *few, photo_part())), rows, disk)


@pytest.mark.parametrize(
    "parts",
    [
        [part(f"field{number}", "") for number in range(MAX_FIELDS - 1)],
        [part("survey", "x" * (MAX_FIELD_BYTES + 1))],
        [raw_part(disposition('name="a"'), *[b"X: y"] * MAX_PART_HEADERS)],
        [raw_part(disposition(f'name="{"a" * 257}"'))],
        [raw_part(disposition('name=""'))],
        [raw_part(disposition(""))],
        [raw_part(b"Content-Type: text/plain")],
        [raw_part(b"Content-Disposition: attachment; name=a")],
        [raw_part(b"no colon")],
        [raw_part(disposition('name="a"') + b"; x=" + b"y" * 5000)],
    ],
    ids=[
        "one field more",
        "one byte more in a field",
        "one header more",
        "a long name",
        "an empty name",
        "no name",
        "no disposition",
        "another disposition",
        "no header",
        "a long header",
    ],
)
def test_more_than_is_allowed_is_refused(
    service: Service, rows: Rows, disk: Disk, sandbox: Sandbox, parts: list[bytes]
) -> None:
    invalid(post(service, form(*parts, photo_part(), password_part())))
    assert nothing_happened(rows, disk, sandbox)


@pytest.mark.parametrize(
    "parts",
    [
        [part(f"field{number}", "x" * 100) for number in range(10_000)],
        [part("survey", "x" * 10_000_000)],
        [raw_part(disposition('name="a"'), *[b"X-Header: y"] * 10_000)],
        [raw_part(disposition('name="a"') + b"; x=y" * 100_000)],
        [raw_part(b"X" * 1_000_000 + b": y", disposition('name="a"'))],
        [raw_part(disposition('name="a"'), b"X: " + b'"\\;' * 300_000)],
    ],
    ids=[
        "10,000 fields",
        "a field of 10 MB",
        "10,000 headers",
        "100,000 parameters",
        "a header name of 1 MB",
        "a header of 1 MB",
    ],
)
def test_a_form_made_to_keep_us_busy_is_refused_cheaply(
    service: Service, rows: Rows, disk: Disk, sandbox: Sandbox, parts: list[bytes]
) -> None:
    body = form(*parts, photo_part(), password_part())
    invalid(post(service, body))
    spent = []
    for _ in range(3):
        before = service.cpu_seconds
        invalid(post(service, body))
        spent.append(service.cpu_seconds - before)
    assert min(spent) < CPU_SECONDS
    assert nothing_happened(rows, disk, sandbox)


# Names and texts


@pytest.mark.parametrize(
    ("parameter", "kept"),
    [
        ('filename=".."', ".."),
        ('filename="../../x.jpg"', "x.jpg"),
        ('filename="..\\..\\x"', "x"),
        ('filename="C:\\fakepath\\x.jpg"', "x.jpg"),
        ('filename="/etc/passwd"', "passwd"),
        ('filename="x\0y.jpg"', "xy.jpg"),
        (f'filename="{"n" * 300}.jpg"', "n" * MAX_FILENAME),
        ('filename="CON.jpg"', "CON.jpg"),
        ('filename="📷 снимок.jpg"', "📷 снимок.jpg"),
        ('filename="x\u202egpj.exe"', "xgpj.exe"),
        ('filename="a\x1b[31mb\u0085.jpg"', "a[31mb.jpg"),
        ('filename=""', ""),
        ("filename=x.jpg", "x.jpg"),
        ("filename*=UTF-8''..%2F..%2Fx.jpg", "x.jpg"),
        ("filename*=utf-8'ru'%D1%81%D0%BD%D0%B8%D0%BC%D0%BE%D0%BA.jpg", "снимок.jpg"),
        ("filename*=ISO-8859-1''sch%F6n.jpg", "schön.jpg"),
        ("filename*=utf-7''+AGE-.jpg", ""),
        ("filename*0*=utf-8''a; filename*1=b.jpg", ""),
        ("filename=\"=?utf-8?B?0YQ=?=\"; filename*=utf-8''%D1%84.jpg", "ф.jpg"),
        ('filename="a%22b%25.jpg"', 'a"b%25.jpg'),
        ('filename="a%0D%0Ab.jpg"', "ab.jpg"),
        (r'filename="a\"b.jpg"', 'a"b.jpg'),
        ("filename=\"a; filename*=utf-8''b\"", "a; filename*=utf-8''b"),
        ("filename=\"x.jpg\"; filename*=UTF-8''..%2Fevil.jpg", "x.jpg"),
        (b'filename="\xf1\xed\xe8\xec\xee\xea.jpg"', "\ufffd" * 6 + ".jpg"),
    ],
    ids=str,
)
def test_a_file_name_is_only_ever_a_text(
    service: Service, rows: Rows, disk: Disk, parameter: str | bytes, kept: str
) -> None:
    raw = parameter.encode() if isinstance(parameter, str) else parameter
    photo = raw_part(disposition(b'name="fileToUpload"; ' + raw), data=photos.jpeg())
    everything = everything_under(service)
    row = done(post(service, form(password_part(), photo)), rows, disk)
    assert row["device"] == {"filename": kept}
    folder = f"media/results/{str(row['id'])[:2]}"
    assert everything_under(service) - everything - {folder} == {f"{folder}/{row['id']}.jpg"}


def everything_under(service: Service) -> set[str]:
    """Every file and folder around the service's own."""
    above = service.media_root.parent
    return {str(path.relative_to(above)) for path in above.rglob("*")}


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b"abc", "abc"),
        (b"x" * 5000, "x" * 500),
        (rb"C:\Users\Studio\My Documents", r"C:\Users\Studio\My Documents"),
        ("смена".encode("cp1251"), "\ufffd" * 5),
        (b"\xed\xa0\x80\xed\xb0\x80", "\ufffd" * 6),
        (b"a\0b", "ab"),
        (b"\0" * 10, ""),
        (b"\xff\xfe", "\ufffd" * 2),
        (b"\\u0000", "\\u0000"),
        (b"'); drop table slot; --", "'); drop table slot; --"),
        (b"a\r\nb", "a\r\nb"),
        (b"", ""),
    ],
    ids=range(12),
)
@pytest.mark.parametrize("name", ["id", "time", "status"])
def test_a_field_may_hold_any_bytes(
    service: Service, rows: Rows, disk: Disk, name: str, raw: bytes, kept: str
) -> None:
    row = done(post(service, form(password_part(), part(name, raw), photo_part())), rows, disk)
    assert row["device"] == {name: kept, "filename": "IMG_0003.JPG"}


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b"a\0b", "ab"),
        ("имя".encode("cp1251"), "\ufffd" * 3),
        (b"\xed\xa0\x80", "\ufffd" * 3),
        (b"{qr1}", "{qr1}"),
        (b"__proto__", "__proto__"),
        (b"a%22b%", 'a"b%'),
        (b"a" * 256, "a" * 256),
    ],
    ids=range(7),
)
def test_a_field_may_have_any_name(
    service: Service, rows: Rows, disk: Disk, raw: bytes, kept: str
) -> None:
    field = raw_part(disposition(b'name="' + raw + b'"'), data=b"value")
    row = done(post(service, form(password_part(), field, photo_part())), rows, disk)
    assert row["device"] == {kept: "value", "filename": "IMG_0003.JPG"}


def test_a_field_sent_twice_counts_once(service: Service, rows: Rows, disk: Disk) -> None:
    body = form(part("id", "first"), password_part(), part("id", "second"), photo_part())
    assert done(post(service, body), rows, disk)["device"]["id"] == "first"
