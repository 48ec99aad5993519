"""Multipart parser: a body of RFC 2046 5.1.1 taken apart while it arrives, in chunks of any size.

What a part holds is handed on as views on the chunks it came in, so a photo is not copied. Nothing
is kept back but the beginning of what may be a boundary and one unfinished line, so the memory is
bounded, and every byte is looked at once, whatever is sent.
"""

import string
from collections.abc import Callable, Mapping
from typing import Protocol

from service.errors import InvalidRequest

MAX_PREAMBLE_BYTES = 64 * 1024
MAX_PADDING_BYTES = 1024
MAX_PART_HEADERS = 16
MAX_PART_HEADER_BYTES = 4 * 1024

WHITE_SPACE = b" \t"
# What a header's name is made of (RFC 9110, 5.6.2).
TOKEN = (string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode()


class Parts(Protocol):
    """Who takes the parts: each one's headers by their names in lower case, its bytes, its end."""

    def begin(self, headers: Mapping[bytes, bytes]) -> None: ...

    def take(self, data: memoryview) -> None: ...

    def end(self) -> None: ...


class MultipartParser:
    """Multipart parser of one body. A boundary has neither CR nor LF.

    Taken as RFC 2046 5.1.1 has it: a preamble before the first boundary and an epilogue behind the
    last one, white space behind a boundary, a part without a body, whose last line end is the
    boundary's; and headers that are folded (RFC 5322, 2.2.3). A line that only begins with the
    boundary is data."""

    def __init__(self, boundary: bytes, parts: Parts) -> None:
        self.has_begun = False
        self.has_ended = False
        self._parts = parts
        self._boundary = b"--" + boundary
        # A preamble is text of whoever wrote it: there a line may also end with LF alone.
        self._delimiter = b"\n" + self._boundary
        self._step: Callable[[bytes, int], int] = self._data
        # How much of a delimiter the data ends with so far. The body, and what follows an empty
        # line, begin behind a line end that is no data: it is implied.
        self._matched = self._implied = len(b"\n")
        self._follows = b""
        self._preamble_bytes = 0
        self._line = bytearray()
        self._header = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._header_count = 0

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes. Raises `InvalidRequest`, and what the parts raise."""
        at = 0
        while at < len(chunk):
            at = self._step(chunk, at)

    def _data(self, chunk: bytes, at: int) -> int:
        """The body of a part, or the preamble, up to what may be a boundary."""
        delimiter = self._delimiter
        if self._matched:
            wanted = delimiter[self._matched :]
            given = chunk[at : at + len(wanted)]
            if wanted.startswith(given):
                return self._match(len(given), at)
            self._hand_back()
        search = at
        while (found := chunk.find(delimiter, search)) >= 0:
            behind = found + len(delimiter)
            if _may_end_a_boundary(chunk[behind : behind + 2]):
                self._take(memoryview(chunk)[at:found])
                return self._match(len(delimiter), found)
            search = behind
        # No boundary has what a delimiter begins with: only where that is last may one begin.
        begins = chunk.rfind(delimiter[:1], max(search, len(chunk) - len(delimiter) + 1))
        end = begins if begins >= 0 and delimiter.startswith(chunk[begins:]) else len(chunk)
        self._take(memoryview(chunk)[at:end])
        self._matched = len(chunk) - end
        return len(chunk)

    def _match(self, count: int, at: int) -> int:
        """So many bytes more of a delimiter have come."""
        self._matched += count
        if self._matched == len(self._delimiter):
            self._step = self._behind_delimiter
        return at + count

    def _hand_back(self) -> None:
        """What looked like the beginning of a delimiter is data."""
        matched = memoryview(self._delimiter)[self._implied : self._matched]
        self._matched = self._implied = 0
        self._take(matched)

    def _behind_delimiter(self, chunk: bytes, at: int) -> int:
        """A line has begun with the boundary: the two bytes behind it tell whether it is one."""
        held = len(self._follows)
        follows = self._follows + chunk[at : at + 2 - held]
        if len(follows) < 2 and _may_end_a_boundary(follows) and follows[0] not in WHITE_SPACE:
            self._follows = follows
            return len(chunk)
        if not _may_end_a_boundary(follows):
            self._step = self._data
            self._hand_back()
            # The byte that was held back is data, or begins the next delimiter.
            if self._delimiter.startswith(self._follows):
                self._matched = len(self._follows)
            else:
                self._take(memoryview(self._follows))
            self._follows = b""
            return at
        self._end_part()
        self._follows = b""
        if follows == b"--":
            return self._end_body(at + 2 - held)
        if follows == b"\r\n":
            return self._begin_headers(at + 2 - held)
        self._step = self._padding
        return at

    def _padding(self, chunk: bytes, at: int) -> int:
        """White space between a boundary and the end of its line."""
        line, at = self._read_line(chunk, at, MAX_PADDING_BYTES)
        # A CR may be the first half of the line's end.
        padding = self._line.removesuffix(b"\r") if line is None else line
        if padding.strip(WHITE_SPACE):
            raise malformed("a boundary is followed by something else than the end of its line")
        if line is not None:
            return self._begin_headers(at)
        if len(padding) > MAX_PADDING_BYTES:
            raise malformed(f"more than {MAX_PADDING_BYTES} spaces follow a boundary")
        return at

    def _begin_headers(self, at: int) -> int:
        self.has_begun = True
        self._delimiter = b"\r\n" + self._boundary
        self._headers, self._header_count = {}, 0
        self._step = self._header_line
        return at

    def _header_line(self, chunk: bytes, at: int) -> int:
        line, at = self._read_line(chunk, at, MAX_PART_HEADER_BYTES)
        boundary = self._boundary
        if line is None:
            # The last boundary needs no line end.
            if self._line.startswith(boundary + b"--"):
                return self._end_bodiless_part(bytes(self._line), len(chunk))
            if len(self._line) > MAX_PART_HEADER_BYTES + 1:
                raise too_long_header()
        elif not line:
            self._end_header()
            self._parts.begin(self._headers)
            self._matched = self._implied = len(b"\r\n")
            self._step = self._data
        elif line.startswith(boundary) and _may_end_a_boundary(line[len(boundary) :] + b"\r\n"):
            return self._end_bodiless_part(line, at)
        elif line[0] in WHITE_SPACE:
            self._fold(line)
        else:
            self._end_header()
            self._header += line
        return at

    def _end_bodiless_part(self, line: bytes, at: int) -> int:
        """A boundary where a header might stand: this part has no body."""
        rest = line[len(self._boundary) :]
        is_last = rest.startswith(b"--")
        if not is_last and rest.strip(WHITE_SPACE):
            raise malformed("a boundary is followed by something else than the end of its line")
        self._end_header()
        self._parts.begin(self._headers)
        self._parts.end()
        return self._end_body(at) if is_last else self._begin_headers(at)

    def _fold(self, line: bytes) -> None:
        """A header goes on in the next line: what joins them is the white space it begins with."""
        if not self._header:
            raise malformed("the headers of a part begin with white space")
        self._header += line
        if len(self._header) > MAX_PART_HEADER_BYTES:
            raise too_long_header()

    def _end_header(self) -> None:
        """A header is complete, folds and all."""
        if not self._header:
            return
        self._header_count += 1
        if self._header_count > MAX_PART_HEADERS:
            raise malformed(f"a part has more than {MAX_PART_HEADERS} headers")
        name, colon, value = bytes(self._header).partition(b":")
        name = name.rstrip(WHITE_SPACE)
        if not (colon and name) or name.translate(None, TOKEN) or b"\r" in value:
            raise malformed("a line among a part's headers is no header")
        self._headers[name.lower()] = value.strip(WHITE_SPACE)
        self._header.clear()

    def _read_line(self, chunk: bytes, at: int, most: int) -> tuple[bytes | None, int]:
        """The line that ends in this chunk, without its end, or None and `_line` has grown, by no
        more than tells that the line is longer than `most`; and how far the chunk was read."""
        if self._line.endswith(b"\r") and chunk.startswith(b"\n", at):
            line, at = bytes(self._line[:-1]), at + 1
        else:
            room = at + most - len(self._line) + 2
            end = chunk.find(b"\r\n", at, room)
            self._line += chunk[at : end if end >= 0 else room]
            if end < 0:
                return None, min(room, len(chunk))
            line, at = bytes(self._line), end + 2
        self._line.clear()
        return line, at

    def _take(self, data: memoryview) -> None:
        if not data:
            return
        if self.has_begun:
            self._parts.take(data)
            return
        self._preamble_bytes += len(data)
        if self._preamble_bytes > MAX_PREAMBLE_BYTES:
            raise malformed(
                f"the boundary of its Content-Type is not in its first {MAX_PREAMBLE_BYTES} bytes"
            )

    def _end_part(self) -> None:
        self._matched = self._implied = 0
        if self.has_begun:
            self._parts.end()

    def _end_body(self, at: int) -> int:
        self.has_begun = self.has_ended = True
        self._step = self._epilogue
        return at

    def _epilogue(self, chunk: bytes, _at: int) -> int:
        """Whatever follows the last boundary is ignored."""
        return len(chunk)


def _may_end_a_boundary(follows: bytes) -> bool:
    """Whether a line that begins with the boundary is one as far as its next bytes tell: its end,
    two hyphens or white space come next."""
    return follows[:2] in (b"", b"\r", b"\r\n", b"-", b"--") or follows[0] in WHITE_SPACE


def malformed(why: str) -> InvalidRequest:
    """The refusal of a body that is no form."""
    return InvalidRequest(f"The multipart body is malformed: {why}.")


def too_long_header() -> InvalidRequest:
    """The refusal that names the limit."""
    return malformed(f"a header of a part is longer than {MAX_PART_HEADER_BYTES} bytes")
