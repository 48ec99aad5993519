"""Content negotiation (RFC 9110, 12.5): what a client takes, and in which coding it may send."""

import re
from typing import Any

from starlette.requests import Request

from service.errors import UnsupportedMediaType

WEIGHT = re.compile(r"q\s*=\s*(1(?:\.0*)?|0?\.\d+|0\.?)", re.IGNORECASE)
JSON = "application/json"
# What a body may say it is coded in although it is not.
NO_CODING = ("", "identity")


def joined(request: Request[Any], name: str) -> str:
    """A header that may come in several lines, as the list it is (RFC 9110, 5.3)."""
    return ", ".join(request.headers.getlist(name))


def weights(accept: str) -> dict[str, float]:
    """What is accepted, such as `image/*`, with its weight from 0 to 1, in the client's order; of
    one named twice the first counts. Parameters but `q` are ignored: nothing is served in two
    variants of one type."""
    found: dict[str, float] = {}
    for member in accept.split(","):
        kind, *parameters = (part.strip() for part in member.split(";"))
        weight = next((match for part in parameters if (match := WEIGHT.fullmatch(part))), None)
        if kind:
            found.setdefault(kind.lower(), float(weight[1]) if weight else 1.0)
    return found


def wants_json(request: Request[Any], mime: str) -> bool:
    """Whether JSON is wanted instead of a document of type `mime`: it is named, and weighs more
    than the document. Of two that are named with equal weight the first counts; who takes any type
    of that weight gets the document.

    Where neither is taken the document is sent, which RFC 9110, 12.5.1 leaves free."""
    asked = weights(joined(request, "accept"))
    json = asked.get(JSON, 0.0)
    kind = mime.partition("/")[0] + "/"
    # Which type a picture will have nobody knows beforehand: who names one takes them all.
    ranges = [mime] if mime in asked else [name for name in asked if name.startswith(kind)]
    if "*/*" in asked and mime not in asked and f"{kind}*" not in asked:
        ranges.append("*/*")
    document = max((asked[name] for name in ranges), default=0.0)
    if json != document or not json:
        return json > document
    equal = [name for name in ranges if asked[name] == document]
    if any(name.endswith("/*") for name in equal):
        return False
    order = list(asked)
    return order.index(JSON) < min(order.index(name) for name in equal)


def wants_html(request: Request[Any]) -> bool:
    """Whether a page is wanted rather than JSON: a person's browser names HTML, a program does
    not."""
    named = weights(joined(request, "accept")).get("text/html", 0.0) > 0
    return named and not wants_json(request, "text/html")


def takes_gzip(request: Request[Any]) -> bool:
    """Whether an answer may be compressed (RFC 9110, 12.5.3)."""
    asked = weights(joined(request, "accept-encoding"))
    return asked.get("gzip", asked.get("x-gzip", asked.get("*", 0.0))) > 0


def refuse_coding(request: Request[Any]) -> None:
    """Only a body that is sent as it is is read. Raises `UnsupportedMediaType`, which names what is
    taken (RFC 9110, 15.5.16)."""
    codings = joined(request, "content-encoding").strip()
    if all(coding.strip().lower() in NO_CODING for coding in codings.split(",")):
        return
    refusal = UnsupportedMediaType(
        f"The body has the Content-Encoding {codings[:40]}: send it as it is, not compressed."
    )
    refusal.headers["Accept-Encoding"] = "identity"
    raise refusal
