"""The parser alone: every body in every split, and bodies made to keep it busy."""

import random
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP

import pytest

from service.errors import InvalidRequest
from service.http.multipart_parser import MAX_PREAMBLE_BYTES, MultipartParser

BOUNDARY = b"XyZ-1"
LINE = b"--" + BOUNDARY
NAMED = b'Content-Disposition: form-data; name="a"\r\n'
MB = 1024**2


@dataclass
class Taken:
    """What a parser told: headers and bytes of each part, and how many were complete."""

    parts: list[tuple[dict[bytes, bytes], bytes]] = field(default_factory=list)
    ended: int = 0

    def begin(self, headers: Mapping[bytes, bytes]) -> None:
        self.parts.append((dict(headers), b""))

    def take(self, data: memoryview) -> None:
        assert data
        headers, before = self.parts[-1]
        self.parts[-1] = (headers, before + bytes(data))

    def end(self) -> None:
        self.ended += 1
        assert self.ended == len(self.parts)


def parsed(chunks: Iterable[bytes]) -> tuple[list[bytes], bool] | str:
    """The bytes of each part and whether the last boundary came; or why not."""
    taken = Taken()
    parser = MultipartParser(BOUNDARY, taken)
    try:
        for chunk in chunks:
            parser.feed(chunk)
    except InvalidRequest as refusal:
        return refusal.details
    assert not parser.has_ended or taken.ended == len(taken.parts)
    return [data for _, data in taken.parts], parser.has_ended


def bytewise(body: bytes) -> list[bytes]:
    return [body[at : at + 1] for at in range(len(body))]


END = b"\r\n" + LINE + b"--"
WHOLE = [
    (LINE + b"\r\n" + NAMED + b"\r\nvalue" + END, [b"value"]),
    (LINE + b"\r\n" + NAMED + b"\r\n" + END, [b""]),
    (LINE + b"\r\n" + NAMED + END, [b""]),
    (LINE + b"\r\n" + NAMED + LINE + b"--", [b""]),
    (LINE + b"\r\n" + NAMED + LINE + b" \r\n" + NAMED + b"\r\nb" + END, [b"", b"b"]),
    (LINE + b"\r\n" + NAMED + b"\r\n" + LINE + b"\r\n" + NAMED + b"\r\nb" + END, [b"", b"b"]),
    (LINE + b"\t\r\n\r\na" + b"\r\n" + LINE + b"  \r\n\r\nb" + END + b" \r\n", [b"a", b"b"]),
    (LINE + b"\r\n\r\n\r\n" + END, [b"\r\n"]),
    (LINE + b"\r\n\r\n" + LINE + b"x\r\n\r" + END, [LINE + b"x\r\n\r"]),
    (
        LINE + b"\r\n\r\n\r\n" + LINE + b"-\r\n" + LINE + b"\r" + END,
        [END[:-1] + b"\r\n" + LINE + b"\r"],
    ),
    (LINE + b"\r\n\r\n\r\n" + LINE + b"\r\r\n" + LINE + b"-\r\n--" + END, None),
    (LINE + b"\r\n\r\n\r\n\r\n--XyZ\r\n--XyZ-\r\r\n-" + END, [b"\r\n\r\n--XyZ\r\n--XyZ-\r\r\n-"]),
    (b"before\r\n" + LINE + b"x\r\n" + LINE[:-1] + b"\r\n" + LINE + b"\r\n\r\na" + END, [b"a"]),
    (b"a" + LINE + b"\r\n\r\n" + LINE + b"\r\n\r\nb" + END + b"\r\n" + LINE + b"\r\n", [b"b"]),
    (b"\n" + LINE + b"\r\n\r\na" + END, [b"a"]),
    (
        b"a\n" + LINE + b"x\n" + LINE + b"\rx\n" + LINE + b" \r\n\r\na\n" + LINE + END,
        [b"a\n" + LINE],
    ),
    (b"a\r\n" + LINE + b"\r\r\n" + LINE + b"-\n" + LINE + b"\r\n\r\na" + END, [b"a"]),
    (b"\r" + LINE + b"--\r\n" + LINE + b"\r\n\r\na" + END, [b"a"]),
    (LINE + b"--", []),
    (LINE + b"--\r\n" + LINE + b"\r\n\r\na" + END, []),
    (LINE + b"\r\nA:\r\n b\r\n\tc\r\n\r\nd" + END, [b"d"]),
]


@pytest.mark.parametrize(("body", "values"), WHOLE, ids=range(len(WHOLE)))
def test_a_body_means_the_same_in_every_split(body: bytes, values: list[bytes] | None) -> None:
    whole = parsed([body])

    if values is not None:
        assert whole == (values, True)
    assert parsed(bytewise(body)) == whole
    for first in range(len(body) + 1):
        for second in range(first, len(body) + 1):
            assert parsed([body[:first], body[first:second], body[second:]]) == whole


def test_a_folded_header_is_unfolded() -> None:
    taken = Taken()
    head = b'Content-Disposition: form-data;\r\n name="a";\r\n\t filename="b c"\r\nX :y \r\n'
    MultipartParser(BOUNDARY, taken).feed(LINE + b"\r\n" + head + b"\r\n")

    assert taken.parts == [
        ({b"content-disposition": b'form-data; name="a";\t filename="b c"', b"x": b"y"}, b"")
    ]


@pytest.mark.parametrize(
    "head",
    [
        b"no colon",
        b": x",
        b"a b: x",
        b"a\0: x",
        b" a: x",
        b"a: \rb",
        b"a\r: b",
        LINE + b" x",
        b"\n",
    ],
)
def test_a_line_that_is_no_header_is_refused_in_every_split(head: bytes) -> None:
    body = LINE + b"\r\n" + head + b"\r\n\r\nvalue" + END
    refused = parsed([body])

    assert isinstance(refused, str) and "malformed" in refused
    assert parsed(bytewise(body)) == refused


def test_random_bytes_around_boundaries_come_out_as_they_went_in() -> None:
    """Values made of pieces of what the parser looks for."""
    pieces = [
        b"\r",
        b"\n",
        b"\r\n",
        b"-",
        b"--",
        LINE,
        LINE[:-1],
        b"\r\n" + LINE,
        b" ",
        b"x",
        b"\0",
    ]
    random_ = random.Random(13)
    for _ in range(2000):
        value = b"".join(random_.choices(pieces, k=random_.randrange(12)))
        body = LINE + b"\r\n" + NAMED + b"\r\n" + value + END
        whole = parsed([body])
        cuts = sorted(random_.choices(range(len(body) + 1), k=5))
        chunks = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        assert parsed(chunks) == parsed(bytewise(body)) == whole
        if not is_cut_by_a_boundary(value):
            assert whole == ([value], True)


def is_cut_by_a_boundary(value: bytes) -> bool:
    """Whether a line of the value is a boundary, or refused as a broken one."""
    return re.search(rb"\r\n" + LINE + rb"(?=\r\n|--| )", b"\r\n" + value + END) is not None


def test_the_standard_library_reads_the_same_parts() -> None:
    """An independent reader of RFC 2046 as the judge."""
    random_ = random.Random(2046)
    for _ in range(300):
        values = [random_.randbytes(random_.randrange(40)).hex().encode() for _ in range(3)]
        body = random_.choice([b"", b"preamble\r\n", b"\r\n"])
        for value in values:
            padding = random_.choice([b"", b" ", b"\t  "])
            fold = random_.choice([b" ", b"\r\n "])
            body += LINE + padding + b"\r\nX-Test:" + fold + b"y\r\n\r\n" + value + b"\r\n"
        body += LINE + b"--" + random_.choice([b"", b" ", b"\r\n", b"\r\nepilogue"])

        head = b"Content-Type: multipart/form-data; boundary=" + BOUNDARY + b"\r\n\r\n"
        judged = BytesParser(policy=HTTP).parsebytes(head + body)
        expected = [part.get_payload(decode=True) for part in judged.iter_parts()]
        assert parsed([body]) == (expected, True) == (values, True)


@pytest.mark.parametrize("chunk_bytes", [64 * 1024, 4 * MB])
@pytest.mark.parametrize(
    "filling",
    [
        *(b"\r\n--", b"\r", b"\r\n", b"\r\n" + LINE[:-1], b"\r\n" + LINE + b"x"),
        *(b"\r\n" + LINE + b"\r", b"\r\n" + LINE + b"-", b"\r\n" + LINE + b"-\r\r"),
    ],
    ids=range(8),
)
def test_bytes_that_look_like_a_boundary_cost_little(filling: bytes, chunk_bytes: int) -> None:
    """4 MB of them in the time of some copies: nothing is looked at again and again."""
    data = filling * (4 * MB // len(filling))
    body = LINE + b"\r\n" + NAMED + b"\r\n" + data + END
    chunks = [body[at : at + chunk_bytes] for at in range(0, len(body), chunk_bytes)]
    sizes = []

    class Sink(Taken):
        def take(self, data: memoryview) -> None:
            sizes.append(len(data))

    started = time.process_time()
    parser = MultipartParser(BOUNDARY, Sink())
    for chunk in chunks:
        parser.feed(chunk)
    spent = time.process_time() - started

    assert sum(sizes) == len(data)
    assert len(sizes) <= 4 * len(chunks)
    assert spent < 5


@pytest.mark.parametrize(
    "body",
    [
        *(b"x" * 8 * MB, b"\r\n--" * 2 * MB, LINE + b" " * 8 * MB, LINE + b"\r\n" + b"x" * 8 * MB),
        *(LINE + b"\r\na: b" + b"\r\n " * 2 * MB, LINE + b"\r\n" + b"a:b\r\n" * MB),
        *(LINE + b"\r\n" + b"\r" * 8 * MB, LINE + b"\r\n" + LINE + b"-" + b"\r" * 8 * MB),
    ],
    ids=range(8),
)
def test_what_never_ends_is_refused_before_it_grows(body: bytes) -> None:
    for size in (1024, 64 * 1024):
        taken = Taken()
        parser = MultipartParser(BOUNDARY, taken)
        with pytest.raises(InvalidRequest, match="malformed"):
            for at in range(0, len(body), size):
                parser.feed(body[at : at + size])
        assert at <= 2 * MAX_PREAMBLE_BYTES
