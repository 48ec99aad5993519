"""The parser of requests: what h11 says of the same bytes, however they come."""

import random

import h11
import pytest

from service.http.parser import Parser

BODY = bytes(range(256)) * 40
HEAD = b"POST /x HTTP/1.1\r\nhost: x\r\n"
KNOWN = HEAD + b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
EMPTY = HEAD + b"content-length: 0\r\n\r\n"
NEXT = b"GET / HTTP/1.1\r\nhost: y\r\n\r\n"


def read(parser: h11.Connection, pieces: list[bytes]) -> list[tuple[str, bytes]]:
    """Every request with its whole body, each answered as soon as it has ended."""
    found: list[tuple[str, bytes]] = []
    for piece in pieces:
        parser.receive_data(piece)
        while (event := parser.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Request):
                found.append((event.target.decode(), b""))
            elif isinstance(event, h11.Data):
                found[-1] = (found[-1][0], found[-1][1] + bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                parser.send(h11.Response(status_code=204, headers=[]))
                parser.send(h11.EndOfMessage())
                parser.start_next_cycle()
    return found


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("sent", "plain"),
    [
        (KNOWN + NEXT, KNOWN + NEXT),
        (CHUNKED + NEXT, CHUNKED + NEXT),
        (EMPTY + NEXT, EMPTY + NEXT),
        (KNOWN + KNOWN, KNOWN + KNOWN),
        (KNOWN + b"\r\n" + NEXT, KNOWN + NEXT),
    ],
    ids=["length", "chunks", "no body", "two bodies", "empty line"],
)
def test_it_reads_what_h11_reads_however_it_is_cut(sent: bytes, plain: bytes, seed: int) -> None:
    lots = random.Random(seed)
    cuts = sorted(lots.sample(range(1, len(sent)), lots.randint(0, 12)))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]

    assert read(Parser(), pieces) == read(h11.Connection(h11.SERVER), [plain])


def test_a_body_byte_by_byte_is_the_body() -> None:
    assert read(Parser(), [bytes([byte]) for byte in KNOWN + NEXT]) == [("/x", BODY), ("/", b"")]
