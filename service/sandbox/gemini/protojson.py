"""ProtoJSON: JSON read as strictly as Google's protobuf parser does, with its words for what is
wrong.

Field names are taken in camelCase and in snake_case, mixed at will; bytes in both base64
alphabets, padded or not; null stands for an absent field (protobuf, ProtoJSON format).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

Violations = list[tuple[str, str]]
Reader = Callable[[Any, str, Violations], Any]

Instead = TypeVar("Instead")

SHOWN_CHARACTERS = 60

_TYPE_ROOT = "type.googleapis.com/google.ai.generativelanguage.v1beta."
_CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
_SNAKE_JOINT = re.compile(r"_([a-z0-9])")
_TO_STANDARD = str.maketrans("-_", "+/")


def camel(name: str) -> str:
    """`inline_data` as `inlineData`."""
    return _SNAKE_JOINT.sub(lambda joint: joint[1].upper(), name)


def snake(name: str) -> str:
    """`inlineData` as `inline_data`, the form in Google's error texts."""
    return _CAMEL_HUMP.sub(lambda hump: f"_{hump[1].lower()}", name)


def anything(value: Any, at: str, found: Violations) -> Any:
    """A field that exists but means nothing to the sandbox."""
    return value


def text(value: Any, at: str, found: Violations) -> str:
    """A string."""
    return value if isinstance(value, str) else _wrong(value, at, "TYPE_STRING", found, "")


def boolean(value: Any, at: str, found: Violations) -> bool:
    """true or false."""
    return value if isinstance(value, bool) else _wrong(value, at, "TYPE_BOOL", found, False)


def integer(value: Any, at: str, found: Violations) -> int:
    """A 32-bit integer."""
    if isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31:
        return value
    return _wrong(value, at, "TYPE_INT32", found, 0)


def number(value: Any, at: str, found: Violations) -> float:
    """A floating-point number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return _wrong(value, at, "TYPE_FLOAT", found, 0.0)


def base64_bytes(value: Any, at: str, found: Violations) -> bytes:
    """Bytes; a `data:` prefix or a line break is as wrong as any other foreign character."""
    if not isinstance(value, str):
        return _wrong(value, at, "TYPE_BYTES", found, b"")
    try:
        return _from_base64(value)
    except msgspec.ValidationError:
        reason = f'Base64 decoding failed for "{_shown(value)}"'
        return _wrong(value, at, "TYPE_BYTES", found, b"", reason)


def enum(type_name: str, values: frozenset[str]) -> Reader:
    """One of the names, in upper case."""

    def read(value: Any, at: str, found: Violations) -> str:
        if isinstance(value, str) and value in values:
            return value
        return _wrong(value, at, f"{_TYPE_ROOT}{type_name}", found, "")

    return read


def repeated(item: Reader) -> Reader:
    """A list."""

    def read(value: Any, at: str, found: Violations) -> list[Any]:
        if not isinstance(value, list):
            return _wrong(value, at, "list", found, [])
        return [item(each, f"{at}[{index}]", found) for index, each in enumerate(value)]

    return read


def message(fields: Mapping[str, Reader], one_of: frozenset[str] = frozenset()) -> Reader:
    """An object with these camelCase fields; at most one of `one_of` may be set."""

    def read(value: Any, at: str, found: Violations) -> dict[str, Any]:
        if not isinstance(value, dict):
            return _wrong(value, at, "message", found, {})
        result: dict[str, Any] = {}
        for given, content in value.items():
            name = camel(given)
            if name not in fields:
                found.append((at, _unknown(given, at)))
            elif name in result or (name in one_of and one_of & result.keys()):
                found.append((at, _already_set(name, at, name in one_of)))
            elif content is not None:
                result[name] = fields[name](content, _join(at, snake(name)), found)
        return result

    return read


def _from_base64(value: str) -> bytes:
    if "-" in value or "_" in value:
        value = value.translate(_TO_STANDARD)
    padded = value if value.endswith("=") else value + "=" * (-len(value) % 4)
    return msgspec.convert(padded, bytes)


def _wrong(
    value: Any, at: str, kind: str, found: Violations, instead: Instead, reason: str = ""
) -> Instead:
    shown = reason or f'"{_shown(value)}"'
    found.append((at, f"Invalid value at '{at}' ({kind}), {shown}"))
    return instead


def _unknown(name: str, at: str) -> str:
    where = f" at '{at}'" if at else ""
    return (
        f'Invalid JSON payload received. Unknown name "{_shown(name)}"{where}: Cannot find field.'
    )


def _already_set(name: str, at: str, in_oneof: bool) -> str:
    why = "oneof field 'data' is already set." if in_oneof else "Field is already set."
    return f"Invalid value at '{at}' (oneof), {why} Cannot set '{name}'"


def _shown(value: Any) -> str:
    shown = value if isinstance(value, str) else str(value)
    return shown if len(shown) <= SHOWN_CHARACTERS else shown[:SHOWN_CHARACTERS] + "…"


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
