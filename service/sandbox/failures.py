"""Failures of any provider: these outcomes are known to all of them."""

from service.sandbox import junk, wire
from service.sandbox.wire import Answer

JSON = {"content-type": "application/json; charset=utf-8"}
HTML = {"content-type": "text/html; charset=utf-8"}
# Longer than any float: as a number of seconds it is infinite.
ENDLESS = "9" * 400
FAR_DATE = "Mon, 01 Jan 2024 00:00:00 +9999999999999999"
LINK_LOCAL = "http://169.254.169.254/latest/meta-data/"

TROUBLES = {
    "413_html": Answer(413, junk.TOO_LARGE, HTML),
    "502_html": Answer(502, junk.BAD_GATEWAY, HTML),
    "html_200": Answer(200, junk.HTML, HTML),
    "garbage": Answer(200, junk.GARBAGE, JSON),
    "empty_body": Answer(200, b"", JSON),
    "not_utf8": Answer(200, junk.NOT_UTF8, JSON),
    "deep_json": Answer(200, junk.DEEP, JSON),
    "big_number": Answer(200, junk.BIG_NUMBER, JSON),
    "not_a_number": Answer(200, junk.NOT_A_NUMBER, JSON),
    "null": Answer(200, b"null", JSON),
    "array": Answer(200, b"[[]]", JSON),
    "not_gzip": Answer(200, junk.TEXT, {**JSON, "content-encoding": "gzip"}),
    "503_odd_header": Answer(503, junk.TEXT, {**JSON, "retry-after": "\u00e9\u4e00"}),
    "two_lengths": Answer(200, junk.TEXT, JSON, manner=wire.two_lengths),
    "not_http": Answer(200, junk.GARBAGE, manner=wire.headless),
    "429_endless": Answer(429, b"{}", {**JSON, "retry-after": ENDLESS}),
    "503_endless": Answer(503, b"{}", {**JSON, "retry-after": ENDLESS}),
    "503_far_date": Answer(503, b"{}", {**JSON, "retry-after": FAR_DATE}),
    "500_not_utf8": Answer(500, junk.NOT_UTF8, JSON),
    "400_deep_json": Answer(400, b'{"error":' + junk.DEEP + b"}", JSON),
    "400_not_utf8": Answer(400, junk.NOT_UTF8, JSON),
    "redirect": Answer(302, b"", {"location": LINK_LOCAL}),
    "huge": Answer(headers=JSON, chunks=junk.huge),
    "gzip_bomb": Answer(headers={**JSON, "content-encoding": "gzip"}, chunks=junk.gzip_bomb),
    "hang": Answer(manner=wire.never),
    "reset": Answer(manner=wire.reset),
}
