"""Validation errors of fields: where, why in a code with its parameters, and in a sentence.

A program reads the code, a page says it in its reader's language, an operator reads the sentence.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from string import Formatter
from typing import Any

import msgspec

# What no type tells: the sentence of each code, with its parameters.
SENTENCES = {
    "common_password": "Expected a password that is not one of the commonest",
    "cursors_collide": "Only one of older_than and newer_than",
    "jpeg_transparent": "A JPEG cannot be transparent; take png or webp",
    "model_images": "{model} takes {maximum} images, the photo among them",
    "model_replaced": "{model} was shut down on {day}; use {instead}",
    "model_shut_down": "{model} was shut down on {day}",
    "model_takes": "{model} takes {values}",
    "model_takes_none": "{model} takes none",
    "no_roles": "Unknown role; known are none",
    "nul": "Expected text without NUL",
    "png_compressed": "PNG has no compression to set; take jpeg or webp",
    "role_missing": "A template with the role {role} is required",
    "side_too_short": "Expected 0 (untouched) or {minimum} to {maximum}",
    "size_shape": "Expected a shape from 1:3 to 3:1 for {model}",
    "size_step": "Expected sides divisible by {step} for {model}",
    "size_too_large": "Expected at most {maximum} for {model}",
    "time_out_of_range": "Expected a time of the years 1 to 9999 in UTC",
    "time_zone_missing": "Expected a time with its zone",
    "too_many_templates": "Expected at most {maximum} templates",
    "unknown_cursor": "Expected a place that this journal gave",
    "unknown_operation": "Unknown operation; {provider} has {known}",
    "unknown_provider": "Unknown provider; known are {known}",
    "unknown_role": "Unknown role; known are {known}",
    "unknown_slot": "There is no such slot",
    "unknown_template": "There is no such template",
}

# What the types tell: msgspec has sentences only. The first that matches decides; a named group is
# a parameter, but `field` is the last step of the path.
PATTERNS = tuple(
    (code, re.compile(pattern, re.DOTALL))
    for code, pattern in (
        ("missing", r"Object missing required field `(?P<field>.+)`"),
        ("unknown_field", r"Object contains unknown field `(?P<field>.*)`"),
        ("too_small", r"Expected `(?:int|float)` >= (?P<minimum>\S+)"),
        ("too_large", r"Expected `(?:int|float)` <= (?P<maximum>\S+)"),
        ("too_short", r"Expected `str` of length >= (?P<minimum>\d+)"),
        ("too_long", r"Expected `str` of length <= (?P<maximum>\d+)"),
        ("wrong_format", r"Expected `str` matching regex .*"),
        ("not_an_option", r"Invalid enum value .*"),
        ("not_an_integer", r"Expected `int(?: \| null)?`, got `float`"),
        ("not_a_number", r"Expected `(?:int|float)(?: \| null)?`, got `\w+`"),
        ("wrong_type", r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`"),
        ("not_an_id", r"Invalid UUID"),
        ("not_a_time", r"Invalid RFC3339 encoded datetime|Timestamp is out of range ?"),
        ("number_out_of_range", r"(?:Number|Integer value) out of range"),
        # Whatever else a newer msgspec may say.
        ("invalid", r".*"),
    )
)

PARAMS = {
    code: {name for _, name, _, _ in Formatter().parse(sentence) if name}
    for code, sentence in SENTENCES.items()
} | {code: set(pattern.groupindex) - {"field"} for code, pattern in PATTERNS}


@dataclass(frozen=True, slots=True)
class Fault:
    """A field that does not fit: its `path`, such as `fallback.settings.prompt`, why in a `code`
    with its `params`, and the same as a sentence."""

    path: str
    code: str
    params: Mapping[str, Any]
    message: str

    @classmethod
    def of(cls, path: str, code: str, *, message: str | None = None, **params: Any) -> "Fault":
        """A fault of ours; `message` where the sentence of the code does not say it well."""
        plain = msgspec.to_builtins(params)
        spelt = {name: _spelt(value) for name, value in plain.items()}
        return cls(path, code, plain, message or SENTENCES[code].format(**spelt))

    @classmethod
    def read(cls, error: msgspec.ValidationError, prefix: str) -> "Fault":
        """msgspec's first complaint about what stands at `prefix`."""
        message, _, where = str(error).partition(" - at `$")
        code, found = next(
            (code, match) for code, pattern in PATTERNS if (match := pattern.fullmatch(message))
        )
        params: dict[str, Any] = found.groupdict()
        field = params.pop("field", None)
        for bound in params.keys() & {"minimum", "maximum"}:
            params[bound] = msgspec.json.decode(params[bound])
        steps = (prefix, where.rstrip("`").lstrip("."), field)
        return cls(".".join(step for step in steps if step), code, params, message)

    def under(self, prefix: str) -> "Fault":
        """The same of a part of something larger."""
        return replace(self, path=prefix + self.path)


def _spelt(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list | tuple) else str(value)
