"""The Files API: resumable uploads, their states, and bytes for `fileData` (Gemini API, Files)."""

import hashlib
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from service.sandbox.dials import Refused, find_marker
from service.sandbox.gemini.errors import ApiError, invalid, not_active

MAX_FILES = 32
MAX_FILE_BYTES = 64 * 2**20
CHUNK_BYTES = 8 * 2**20
KEPT = timedelta(hours=48)
_NAME = re.compile(r"files/([a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?)")


class FileMarker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[sandbox processing=2 state=FAILED]` in a display name: so many polls, then that state."""

    processing: int = 0
    state: Literal["ACTIVE", "FAILED"] = "ACTIVE"


@dataclass
class File:
    """An upload, complete or still growing."""

    display_name: str
    mime: str
    uri_root: str
    marker: FileMarker = FileMarker()
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    raw: bytearray = field(default_factory=bytearray)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    polls: int = 0

    @property
    def state(self) -> str:
        """PROCESSING until it was asked for often enough."""
        return "PROCESSING" if self.polls < self.marker.processing else self.marker.state

    @property
    def uri(self) -> str:
        """What a `fileData` part names."""
        return f"{self.uri_root}/files/{self.id}"

    def resource(self) -> dict[str, Any]:
        """The file as the API shows it; an int64 is a string in JSON."""
        shown: dict[str, Any] = {
            "name": f"files/{self.id}",
            "displayName": self.display_name,
            "mimeType": self.mime,
            "sizeBytes": str(len(self.raw)),
            "createTime": self.created,
            "updateTime": self.created,
            "expirationTime": self.created + KEPT,
            "sha256Hash": hashlib.sha256(self.raw).digest(),
            "uri": self.uri,
            "state": self.state,
            "source": "UPLOADED",
        }
        if self.state == "FAILED":
            shown["error"] = {"code": 3, "message": "The file could not be processed."}
        return shown


class Files:
    """The last `MAX_FILES` files of one sandbox, in memory."""

    def __init__(self) -> None:
        self._growing: OrderedDict[str, File] = OrderedDict()
        self._files: OrderedDict[str, File] = OrderedDict()

    def start(
        self, name: str, display_name: str, mime: str, uri_root: str, dialled: FileMarker
    ) -> str:
        """Begin an upload, under the client's `name` where it gave one; gives the upload's id. A
        marker in the display name goes before what is `dialled`."""
        try:
            marker, shown = find_marker(display_name, FileMarker)
        except Refused as refused:
            raise invalid("file.display_name", str(refused)) from refused
        file = File(shown, mime, uri_root, marker or dialled)
        if name:
            file.id = self._free_id(name)
        upload_id = secrets.token_urlsafe(12)
        _keep(self._growing, upload_id, file)
        return upload_id

    def _free_id(self, name: str) -> str:
        found = _NAME.fullmatch(name)
        if found is None:
            raise invalid("file.name", f"Invalid file name: {name}")
        if found[1] in self._files:
            raise ApiError(409, f"The file {name} already exists.", "ALREADY_EXISTS")
        return found[1]

    def write(self, upload_id: str, offset: int, chunk: bytes, final: bool) -> File:
        """Append a chunk; after the final one the file can be asked for."""
        file = self._growing.get(upload_id)
        if file is None:
            raise ApiError(404, "The upload does not exist or is complete.")
        if offset != len(file.raw):
            raise ApiError(400, f"Upload offset {offset} does not match {len(file.raw)}.")
        if not final and len(chunk) % CHUNK_BYTES:
            raise ApiError(400, f"Chunks must be multiples of {CHUNK_BYTES} bytes.")
        if len(file.raw) + len(chunk) > MAX_FILE_BYTES:
            raise ApiError(400, f"The sandbox keeps files up to {MAX_FILE_BYTES} bytes.")
        file.raw += chunk
        if final:
            _keep(self._files, file.id, self._growing.pop(upload_id))
        return file

    def poll(self, file_id: str) -> File:
        """Look at a file; each look brings a PROCESSING one nearer to its end."""
        file = self._file(file_id)
        file.polls += 1
        return file

    def delete(self, file_id: str) -> None:
        """Forget a file."""
        self._file(file_id)
        del self._files[file_id]

    def open(self, uri: str) -> tuple[str, bytes]:
        """Mime type and bytes of an ACTIVE file, by the whole URI that the upload answered."""
        file = self._files.get(uri.rpartition("/files/")[2])
        if "://" not in uri:
            raise invalid("contents.parts.file_data.file_uri", f"Invalid file uri: {uri}")
        if file is None or file.uri != uri:
            raise ApiError(404, f"The file {uri} does not exist.")
        if file.state != "ACTIVE":
            raise not_active(file.id)
        return file.mime, bytes(file.raw)

    def _file(self, file_id: str) -> File:
        if file_id not in self._files:
            raise ApiError(404, f"The file files/{file_id} does not exist.")
        return self._files[file_id]


def _keep(files: OrderedDict[str, File], key: str, file: File) -> None:
    files[key] = file
    while len(files) > MAX_FILES:
        files.popitem(last=False)
