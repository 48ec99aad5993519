"""Bodies of images/edits answers (`ImagesResponse` of the API description)."""

import time
from dataclasses import replace
from typing import Any

import msgspec

from service.sandbox.openai.errors import JSON
from service.sandbox.openai.models import output_tokens
from service.sandbox.openai.request import EditRequest
from service.sandbox.wire import Answer, Manner

Json = dict[str, Any]

CHARACTERS_PER_TOKEN = 4
INPUT_IMAGE_TOKENS = 323
BROKEN_BASE64 = "iVBORw0KGgo*** not base64 ***"


def plain(order: EditRequest, mime: str | None = None) -> Answer:
    """As many pictures as were ordered, in the format that was asked for or in another."""
    notes = ("", *(f" · {number}" for number in range(2, order.count + 1)))
    return respond(order, data=[image(order.picture(mime, note)) for note in notes])


def image(raw: bytes) -> Json:
    """One entry of `data`; msgspec writes the bytes as standard base64."""
    return {"b64_json": raw}


def raw(order: EditRequest, data: bytes) -> Answer:
    """These bytes in place of the picture."""
    return respond(order, data=[image(data)])


def respond(order: EditRequest, **fields: Any) -> Answer:
    """200 with these fields, and those that every answer has."""
    width, height = order.size
    body: Json = {
        "created": int(time.time()),
        "background": order.background,
        "output_format": order.output_format,
        "quality": order.quality,
        "size": f"{width}x{height}",
        "usage": usage(order),
        **fields,
    }
    return Answer(200, msgspec.json.encode(body), JSON)


def usage(order: EditRequest) -> Json:
    """What the order and its pictures cost in tokens."""
    text = -(-len(order.prompt) // CHARACTERS_PER_TOKEN)
    images = INPUT_IMAGE_TOKENS * len(order.images)
    drawn = output_tokens(order.quality, order.size) * order.count
    return {
        "total_tokens": text + images + drawn,
        "input_tokens": text + images,
        "input_tokens_details": {"text_tokens": text, "image_tokens": images},
        "output_tokens": drawn,
        "output_tokens_details": {"image_tokens": drawn, "text_tokens": 0},
    }


def without_usage(order: EditRequest) -> Answer:
    """The picture and the one key that is never left out."""
    body = {"created": int(time.time()), "data": [image(order.picture())]}
    return Answer(200, msgspec.json.encode(body), JSON)


HUGE_USAGE = {"total_tokens": 10**26, "output_tokens": 10**26, "input_tokens": -(10**26)}
ODD_USAGE = {
    "total_tokens": -5,
    "output_tokens": 1.5e300,
    "input_tokens_details": [None],
    "output_tokens_details": "\0",
    "\0": {"a": {"b": {"c": {"d": 1}}}},
}


def counted(order: EditRequest, figures: Json) -> Answer:
    """The picture with these figures."""
    return respond(order, data=[image(order.picture())], usage=figures)


def cut_image(order: EditRequest) -> Answer:
    """The first half of the picture's file."""
    picture = order.picture()
    return raw(order, picture[: len(picture) // 2])


def broken_base64(order: EditRequest) -> Answer:
    """Base64 with foreign characters in it."""
    return respond(order, data=[{"b64_json": BROKEN_BASE64}])


def truncated_json(order: EditRequest) -> Answer:
    """The first half of a good answer, as if it were all of it."""
    answer = plain(order)
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def sent(order: EditRequest, manner: Manner) -> Answer:
    """The picture, sent in another manner."""
    return replace(plain(order), manner=manner)


def other_format(order: EditRequest) -> Answer:
    """A picture in another format than the one that was asked for, under the asked one's name."""
    return plain(order, "image/png" if order.output_format != "png" else "image/jpeg")
