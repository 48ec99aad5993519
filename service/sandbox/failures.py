"""Failures of any provider: these outcomes are known to all of them."""

from service.sandbox import junk, wire
from service.sandbox.wire import Answer

JSON = {"content-type": "application/json; charset=utf-8"}
HTML = {"content-type": "text/html; charset=utf-8"}
LINK_LOCAL = "http://169.254.169.254/latest/meta-data/"

TROUBLES = {
    "413_html": Answer(413, junk.TOO_LARGE, HTML),
    "502_html": Answer(502, junk.BAD_GATEWAY, HTML),
    "html_200": Answer(200, junk.HTML, HTML),
    "garbage": Answer(200, junk.GARBAGE, JSON),
    "empty_body": Answer(200, b"", JSON),
    "redirect": Answer(302, b"", {"location": LINK_LOCAL}),
    "huge": Answer(headers=JSON, chunks=junk.huge),
    "gzip_bomb": Answer(headers={**JSON, "content-encoding": "gzip"}, chunks=junk.gzip_bomb),
    "hang": Answer(manner=wire.never),
    "reset": Answer(manner=wire.reset),
}
