"""Malformed bodies that no decent service sends, for clients that must survive them."""

import struct
import zlib
from collections.abc import Iterator

HUGE_BYTES = 2 * 2**30
GZIP_BYTES = 10 * 2**30
CHUNK_BYTES = 2**20
BOMB_SIDE = 40_000

NOT_UTF8 = (
    b'{"supportedGenerationMethods": ["\xff"], "id": "\xff", "data": [{"b64_json": "\xff\xfe"}], '
    b'"candidates": [{"content": {"parts": [{"text": "\xff"}]}}], "queueid": "\xff"}'
)
DEEP = b'{"data":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
BIG_NUMBER = b'{"created": 1' + b"0" * 5_000 + b', "data": 1e999}'
NOT_A_NUMBER = b'{"data": NaN, "candidates": -Infinity, "queueid": Infinity}'
GARBAGE = b"\x00\xff\xfe<<< this is not JSON >>>\x80\x81"
TEXT = b"This is no picture, whatever the label says."
HTML = b"<!DOCTYPE html><html><title>Error</title><h1>Something went wrong</h1></html>"
BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><h1>502 Bad Gateway</h1></html>"
TOO_LARGE = b"<html><title>413 Request Entity Too Large</title><h1>413</h1></html>"
PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64">'
    b"<script>alert(1)</script></svg>"
)


def bomb_png() -> bytes:
    """A small PNG whose header promises 40,000 × 40,000 pixels."""
    return png(BOMB_SIDE, BOMB_SIDE)


def png(width: int, height: int) -> bytes:
    """A PNG of that header with a single white pixel of data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\x00\xff\xff\xff")
    chunks = ((b"IHDR", header), (b"IDAT", pixel), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(name, data) for name, data in chunks)


def huge() -> Iterator[bytes]:
    """2 GiB that begin like a JSON string and never end it."""
    yield b'{"candidates":"'
    chunk = b"A" * CHUNK_BYTES
    for _ in range(HUGE_BYTES // CHUNK_BYTES):
        yield chunk


def gzip_bomb() -> Iterator[bytes]:
    """10 MiB of gzip that unpack to 10 GiB of spaces.

    One MiB is packed once, up to a full flush, and repeated: blocks after such a flush stand alone.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(b" " * CHUNK_BYTES) + packer.flush(zlib.Z_FULL_FLUSH)
    yield b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    for _ in range(GZIP_BYTES // CHUNK_BYTES):
        yield block
    yield packer.flush()


def _png_chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)
