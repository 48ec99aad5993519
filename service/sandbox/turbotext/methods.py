"""The methods of the API: their fields, what each takes, and which picture plays which part."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

Check = Callable[[str], bool]

MAX_NEGATIVE_WORDS = 80
FORM = "application/x-www-form-urlencoded"
OWN_FIELDS = ("do", "queueid", "webhook")


class Complaint(Exception):
    """What is wrong with a request, in the words of the service."""


@dataclass(frozen=True)
class Method:
    """`pictures` maps the fields with links to the parts of their pictures; the first is the one
    that is worked on."""

    pictures: Mapping[str, str] = field(default_factory=dict)
    required: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)

    def check(self, form: Mapping[str, str]) -> None:
        """Raises `Complaint` for a missing, unknown or unfitting field."""
        checks = {**dict.fromkeys(self.pictures, _is_link), **self.required, **self.optional}
        for name in (*self.pictures, *self.required):
            if not form.get(name):
                raise Complaint(f"Не указан обязательный параметр {name}")
        for name, value in form.items():
            if name not in checks and name not in OWN_FIELDS:
                raise Complaint(f"Неизвестный параметр {name}")
            if name in checks and not checks[name](value):
                raise Complaint(f"Недопустимое значение параметра {name}: {value[:60]}")


def read_form(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a form; raises `Complaint` for anything else."""
    if content_type.split(";")[0].strip().lower() != FORM:
        raise Complaint(f"Ожидается {FORM}")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict"
        )
    except ValueError as problem:
        raise Complaint("Не удалось разобрать запрос") from problem
    if len(dict(pairs)) < len(pairs):
        raise Complaint("Параметр указан дважды")
    return dict(pairs)


def _is_link(value: str) -> bool:
    return re.match(r"https?://[^/\s]+/\S+$", value) is not None


def _is_text(value: str) -> bool:
    return bool(value.strip())


def _is_anything(value: str) -> bool:
    return True


def _whole(low: int, high: int) -> Check:
    return lambda value: value.isascii() and value.isdecimal() and low <= int(value) <= high


def _is_scale(value: str) -> bool:
    number = re.fullmatch(r"\d{1,2}(\.\d+)?", value)
    return number is not None and 0.1 <= float(value) <= 20


def _are_few_words(value: str) -> bool:
    return len(value.split()) <= MAX_NEGATIVE_WORDS


METHODS = {
    "generate_image2image": Method(
        pictures={"url": "source"},
        required={"content": _is_text},
        optional={
            "strength": _whole(0, 80),
            "seed": _whole(1, 10**10),
            "scale": _is_scale,
            "negative_prompt": _are_few_words,
            "original_language": lambda value: re.fullmatch("[a-z]{2}", value) is not None,
            "user_id": _whole(1, 2**31),
        },
    ),
    "mix_images": Method(
        pictures={"url_image_target": "target", "url": "style"},
        optional={"content": _is_anything},
    ),
    "deepfake_photo": Method(
        pictures={"url": "target", "url_image_target": "face"},
        optional={"face_restore": lambda value: value in ("True", "False")},
    ),
    "available_api": Method(),
}
