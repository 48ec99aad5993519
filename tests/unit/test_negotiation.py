from typing import Any

import pytest
from starlette.requests import Request

from service.errors import UnsupportedMediaType
from service.http import negotiation


def request_of(name: str, *values: str) -> Request[Any]:
    headers = [(name.encode(), value.encode()) for value in values]
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", True),
        ("APPLICATION/JSON;charset=utf-8", True),
        ("application/json;q=0.001", True),
        ("application/json;q=0", False),
        ("application/json; Q=0.000", False),
        ("application/json;q=0, */*", False),
        ("application/json, text/plain, */*", False),
        ("application/json, text/plain, */*;q=0.9", True),
        ("application/json;q=0.9, */*;q=0.8", True),
        ("application/json;q=0.8, */*;q=0.9", False),
        ("*/*;q=0.1,application/json", True),
        ("application/json, image/*", False),
        ("application/json, image/*;q=0.5", True),
        ("application/json;q=0.5, image/*", False),
        ("image/png, application/json", False),
        ("application/json, image/png", True),
        ("application/json;q=0.9, image/png;q=0.9, image/jpeg", True),
        ("application/json;q=0.9, image/jpeg", False),
        ("application/json, image/webp", True),
        ("image/webp, application/json", False),
        ("image/webp;q=0.1, application/json", True),
        ("image/png;q=0, application/json, */*", True),
        ("image/png;q=0.2, image/*, application/json;q=0.5", True),
        ("image/gif;q=0, application/json;q=0.5, */*", False),
        ("image/*;q=0, application/json;q=0.5, */*", True),
        ("application/json, image/*, */*", False),
        ("application/*", False),
        ("application/problem+json", False),
        ("text/html, application/json", True),
        ("application/json;q=nan", True),
        ("application/json;q=.5, image/png;q=.6", False),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", False),
        (",;, ;q=1,application/json", True),
    ],
)
def test_quality_and_order_decide(accept: str, wanted: bool) -> None:
    """RFC 9110, 12.5.1, with a picture of type PNG at hand."""
    assert negotiation.wants_json(request_of("accept", accept), "image/png") is wanted


def test_a_list_may_come_in_several_lines() -> None:
    """RFC 9110, 5.3."""
    lines = ("application/json", "text/plain", "*/*")

    assert not negotiation.wants_json(request_of("accept", *lines), "image/png")
    assert negotiation.wants_json(request_of("accept", *reversed(lines[:2])), "image/png")


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", True),
        ("text/html", True),
        ("text/html, application/json;q=0.9", True),
        ("application/json, text/html;q=0.9", False),
        ("text/html;q=0", False),
        ("text/html;q=0, */*", False),
        ("*/*", False),
        ("", False),
        ("application/json", False),
    ],
)
def test_who_names_html_gets_a_page(accept: str, wanted: bool) -> None:
    assert negotiation.wants_html(request_of("accept", accept)) is wanted


@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        ("gzip, deflate, br", True),
        ("x-gzip", True),
        ("*", True),
        ("br;q=1.0, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("identity", False),
        ("notgzip", False),
        ("", False),
    ],
)
def test_who_takes_gzip_says_so(accept: str, taken: bool) -> None:
    assert negotiation.takes_gzip(request_of("accept-encoding", accept)) is taken


@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP", "identity, gzip", "x" * 9000])
def test_a_coded_body_is_refused_with_what_is_taken(coding: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="Content-Encoding") as refused:
        negotiation.refuse_coding(request_of("content-encoding", coding))

    assert refused.value.all_headers()["Accept-Encoding"] == "identity"
    assert len(refused.value.details) < 200


@pytest.mark.parametrize("codings", [[], [""], ["identity"], ["Identity", ""]])
def test_a_body_that_says_it_is_not_coded_is_taken(codings: list[str]) -> None:
    negotiation.refuse_coding(request_of("content-encoding", *codings))
