"""Form: what each part of a body is, a text field, the one file or nothing that is wanted, within
limits that hold at the byte that breaks them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.errors import (
    InvalidPassword,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from service.http.disposition import read_disposition

FILE_FIELDS = ("fileToUpload", "file", "image", "media")
PASSWORD = "password"
MAX_FIELDS = 64
MAX_FIELD_BYTES = 16 * 1024
# A piece that is smaller is copied: thousands of views on tiny chunks cost more than their bytes.
MIN_VIEW_BYTES = 4 * 1024

# What a part may be encoded in without being changed (RFC 2045, 6.2).
AS_IT_IS = (b"", b"7bit", b"8bit", b"binary")


@dataclass(slots=True)
class Progress:
    """What is known of a body that may never end well: for the journal of a refused shot."""

    fields: dict[str, str] = field(default_factory=dict)
    bytes: int = 0


class Form:
    """A form as its parts come in: text fields go to `progress`, the file's bytes wait to be
    fetched. All but `take_file_data` raise `InvalidRequest` and, for the file and the password,
    `UnsupportedMediaType`, `PayloadTooLarge`, `InvalidPassword`."""

    def __init__(self, progress: Progress, max_file_bytes: int) -> None:
        self.waiting_bytes = 0
        self._waiting: list[memoryview | bytearray] = []
        self._progress = progress
        self._max_file_bytes = max_file_bytes
        self._parts = 0
        self._filename: str | None = None
        self._name = ""
        self._text: bytearray | None = None
        self._is_the_file = False
        # An `<input type="file">` that was left empty: a file without a name and without a byte
        # (https://html.spec.whatwg.org/multipage/form-control-infrastructure.html,
        # constructing the entry list). Its first byte makes it a file.
        self._may_be_empty_input = False

    def take_file_data(self) -> list[memoryview | bytearray]:
        """What came of the file since the last time, as views on the chunks it came in: a photo is
        not copied on its way to the disk."""
        taken, self._waiting, self.waiting_bytes = self._waiting, [], 0
        return taken

    def finish(self) -> str:
        """The form is over: the file's name, or what is wrong."""
        if self._filename is None:
            as_text = [name for name in FILE_FIELDS if name in self._progress.fields]
            if as_text:
                raise InvalidRequest(f"{as_text[0]} was sent as text, not as a file.")
            raise InvalidRequest(f"There is no file: send one as {', '.join(FILE_FIELDS)}.")
        if self._progress.bytes == 0:
            raise InvalidRequest("The file is empty.")
        return self._filename

    def begin(self, headers: Mapping[bytes, bytes]) -> None:
        """A part begins."""
        self._parts += 1
        if self._parts > MAX_FIELDS:
            raise InvalidRequest(f"The form has more than {MAX_FIELDS} fields.")
        self._text, self._is_the_file, self._may_be_empty_input = None, False, False
        found = read_disposition(headers.get(b"content-disposition", b""))
        if found is None:
            raise InvalidRequest("A part of the form has no usable name.")
        self._name, filename = found.name, found.filename
        if filename is None and self._name in FILE_FIELDS and _says_it_is_a_file(headers):
            filename = ""
        if filename is None:
            self._text = bytearray()
        elif self._name in FILE_FIELDS:
            _check_encoding(headers)
            if filename:
                self._begin_file(filename)
            else:
                self._may_be_empty_input = True

    def _begin_file(self, filename: str) -> None:
        if self._filename is not None:
            raise InvalidRequest("The form has two files; send one.")
        self._filename = filename
        self._is_the_file = True

    def take(self, data: memoryview) -> None:
        """Bytes of the part, at least one."""
        if self._may_be_empty_input:
            self._may_be_empty_input = False
            self._begin_file("")
        if self._is_the_file:
            self._take_file(data)
        elif self._text is not None:
            self._take_text(self._text, data)

    def _take_file(self, data: memoryview) -> None:
        self._progress.bytes += len(data)
        if self._progress.bytes > self._max_file_bytes:
            raise too_large(self._max_file_bytes)
        self.waiting_bytes += len(data)
        if len(data) >= MIN_VIEW_BYTES:
            self._waiting.append(data)
        elif self._waiting and isinstance(small := self._waiting[-1], bytearray):
            small += data
        else:
            self._waiting.append(bytearray(data))

    def _take_text(self, text: bytearray, data: memoryview) -> None:
        if len(text) + len(data) > MAX_FIELD_BYTES:
            if self._name == PASSWORD:
                raise InvalidPassword()
            raise InvalidRequest(
                f"The field {self._name[:40]!r} is longer than {MAX_FIELD_BYTES} bytes."
            )
        text += data

    def end(self) -> None:
        """The part is complete."""
        if self._text is None:
            return
        if self._name != PASSWORD:
            self._progress.fields.setdefault(self._name, self._text.decode(errors="replace"))
        elif PASSWORD in self._progress.fields:
            raise InvalidRequest("The form has two passwords; send one.")
        else:
            self._progress.fields[PASSWORD] = as_password(bytes(self._text))


def as_password(raw: bytes) -> str:
    """A password as a device sent it, in a header or a field: UTF-8 or, where it is none, Latin-1,
    what HTTP clients of the old school make of letters. A line end behind it comes from the file it
    was read from: no ingest password has one."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.rstrip("\r\n")


def _says_it_is_a_file(headers: Mapping[bytes, bytes]) -> bool:
    """A file needs no name (RFC 7578, 4.2): a type that no text has tells it too."""
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return kind.startswith(b"image/") or kind == b"application/octet-stream"


def _check_encoding(headers: Mapping[bytes, bytes]) -> None:
    encoding = headers.get(b"content-transfer-encoding", b"").lower()
    if encoding not in AS_IT_IS:
        raise UnsupportedMediaType(
            "The file has the Content-Transfer-Encoding"
            f" {encoding[:40].decode(errors='replace')!r}: send its bytes as they are."
        )


def too_large(max_file_bytes: int) -> PayloadTooLarge:
    """The refusal that names the limit."""
    return PayloadTooLarge(f"The file is larger than {max_file_bytes // 1024**2} MB.")
