"""Multipart form of an edit, part by part in its order."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.sandbox.openai.errors import ApiError

MAX_PARTS = 64


@dataclass(frozen=True)
class File:
    """One file part as it was declared."""

    field: str
    name: str
    mime: str
    raw: bytes


@dataclass
class Form:
    """Text fields by name, files in their order, and the names of all parts in theirs."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[File] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)


async def read_form(headers: Headers, body: bytes) -> Form:
    """Take a body apart. Raises `ApiError` for one that is no multipart form."""
    if not headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError(400, "Unsupported content type: expected multipart/form-data.")
    parser = MultiPartParser(headers, _stream(body), max_files=MAX_PARTS, max_fields=MAX_PARTS)
    try:
        data = await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError) as problem:
        raise ApiError(400, f"Could not parse multipart form: {problem}") from problem
    form = Form()
    for name, value in data.multi_items():
        form.parts.append(name)
        if isinstance(value, UploadFile):
            mime = (value.content_type or "application/octet-stream").partition(";")[0]
            form.files.append(File(name, value.filename or "", mime, await value.read()))
            await value.close()
        elif name in form.fields:
            raise ApiError(400, f"Duplicate parameter: '{name}'.", param=name)
        else:
            form.fields[name] = value
    return form


async def _stream(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
    yield b""
