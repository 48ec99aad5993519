"""Content-Disposition of a form's part: its field's name and its file's (RFC 7578, 4.2).

Names come in every spelling there is: quoted with backslashes, percent-encoded by browsers
(https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data), and,
although forms should not have it, extended with a character set (RFC 8187).
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from python_multipart.multipart import parse_options_header

MAX_NAME_BYTES = 256

# What browsers encode, and nothing else: a percent sign stays one.
BROWSERS = {b"%22": b'"', b"%0D": b"\r", b"%0A": b"\n"}
ENCODED = re.compile(b"|".join(BROWSERS))
# An open end is taken too, so that no spelling has to be tried from every quote anew.
QUOTED = re.compile(rb'"(?:\\.|[^"\\])*"?', re.DOTALL)
EXTENDED = re.compile(rb";[ \t]*(name|filename)\*[0-9*]*[ \t]*=[ \t]*([^;\s]*)", re.IGNORECASE)
CHARSETS = ("utf-8", "iso-8859-1")
# A word of RFC 2047 that stands where a client could not write its name.
ENCODED_WORD = b"=?"


@dataclass(frozen=True, slots=True)
class Disposition:
    """What a part is called; `filename` is None unless it is a file."""

    name: str
    filename: str | None


def read_disposition(value: bytes) -> Disposition | None:
    """A header's value as names; None without a usable one."""
    kind, options = parse_options_header(value)
    extended = _extended(value)
    name = _name(options.get(b"name"), extended.get(b"name"))
    if kind != b"form-data" or name is None or not 1 <= len(name) <= MAX_NAME_BYTES:
        return None
    filename = _name(options.get(b"filename"), extended.get(b"filename"))
    return Disposition(as_text(name), None if filename is None else as_text(filename))


def _name(plain: bytes | None, extended: bytes | None) -> bytes | None:
    """The plain name counts (RFC 7578 has no other), unless it is missing or unreadable."""
    if plain is None or (plain.startswith(ENCODED_WORD) and extended):
        return extended
    return ENCODED.sub(lambda found: BROWSERS[found[0]], plain)


def _extended(value: bytes) -> dict[bytes, bytes]:
    """The extended parameters in UTF-8, by their names without the star; one that cannot be read is
    empty, but there."""
    found = EXTENDED.findall(QUOTED.sub(b'""', value))
    return {name.lower(): _decoded(spelt) for name, spelt in found}


def _decoded(spelt: bytes) -> bytes:
    """`charset'language'percent-encoded` in UTF-8."""
    charset, _, rest = spelt.partition(b"'")
    encoded = rest.partition(b"'")[2]
    known = charset.decode("latin-1").lower()
    if known not in CHARSETS:
        return b""
    return unquote_to_bytes(encoded).decode(known, errors="replace").encode()


def as_text(raw: bytes) -> str:
    """Text a device sent, as valid UTF-8 without NUL: PostgreSQL stores neither."""
    return raw.decode(errors="replace").replace("\0", "")
