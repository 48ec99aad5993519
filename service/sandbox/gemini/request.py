"""Request parser: the body of a generateContent call as an order, or Google's refusal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from service.sandbox.calls import Call
from service.sandbox.dials import Marker, Refused, find_marker
from service.sandbox.gemini.errors import ApiError, invalid, violations
from service.sandbox.gemini.models import MAX_INPUT_IMAGES, Model, Size
from service.sandbox.gemini.protojson import Violations
from service.sandbox.gemini.schema import GENERATE_CONTENT
from service.sandbox.images import ACCEPTED_MIMES, NotAnImage, ReceivedImage
from service.sandbox.picture import Painting, captions_in, draw, thumbnail_size

ROLES = ("user", "model")
SQUARE: Size = (1, 1)

FileOf = Callable[[str], tuple[str, bytes]]
Json = dict[str, Any]

_CONFIG = "generation_config"
_IMAGE_CONFIG = f"{_CONFIG}.image_config"
_PART_KINDS = {"text": "text", "inlineData": "image", "fileData": "file"}


@dataclass(frozen=True)
class ImageRequest:
    """What to draw and how to answer; `prompt` is the last text, without the sandbox's marker,
    `guidance` what is said before it."""

    model: Model
    prompt: str
    guidance: str
    marker: Marker | None
    images: tuple[ReceivedImage, ...]
    size: Size
    image_size: str | None
    modalities: frozenset[str]

    def picture(self, mime: str | None = None, note: str = "") -> bytes:
        """The finished picture; a `note` in its band sets drafts apart. Blocking."""
        signature = f"Photoslot sandbox · gemini · {self.model.name}{note}"
        mime = mime or self.model.output_mime
        return draw(
            Painting(
                *(self.size, self.images, signature, self.prompt, mime),
                guidance=self.guidance,
                captions=captions_in(self.guidance),
            )
        )


def read_order(body: bytes, model: Model, file_of: FileOf, call: Call) -> ImageRequest:
    """Check everything the real service checks; `ApiError` otherwise. Blocking.

    The call is completed with what was understood, even when the rest is refused. `file_of`
    gives mime type and bytes of an uploaded file by its URI.
    """
    content = parse(body)
    parts = list(_parts(content))
    texts = [part["text"] for part in parts if "text" in part] or [""]
    config: Json = content.get("generationConfig", {})
    call.prompt, call.texts, call.generation_config = texts[-1], texts, config
    call.safety_settings = content.get("safetySettings", [])
    call.parts = [_kind(part) for part in parts]
    _check_config(config, model)
    images = [image for index, part in enumerate(parts) for image in _image(index, part, file_of)]
    call.images = [image.facts for image in images]
    marker, words = _marker(texts[-1])
    image_config: Json = config.get("imageConfig", {})
    image_size = image_config.get("imageSize")
    like = images[0].upright_size if images else SQUARE
    size = model.output_size(image_config.get("aspectRatio"), image_size, like)
    _check_images(images, size)
    modalities = frozenset(config.get("responseModalities") or ("TEXT", "IMAGE"))
    guidance = " ".join(texts[:-1])
    return ImageRequest(model, words, guidance, marker, tuple(images), size, image_size, modalities)


def parse(body: bytes) -> Json:
    """The body with camelCase names and decoded bytes; `ApiError` for what does not fit."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise ApiError(400, f"Invalid JSON payload received. {problem}") from problem
    found: Violations = []
    content: Json = GENERATE_CONTENT(value, "", found)
    if found:
        raise violations(found)
    return content


def _parts(content: Json) -> Iterator[Json]:
    contents = content.get("contents")
    if not contents:
        at = "contents"
        raise invalid(at, f"* GenerateContentRequest.{at}: {at} is not specified")
    for index, turn in enumerate(contents):
        if turn.get("role", "user") not in ROLES:
            raise invalid(f"contents[{index}].role", "Please use a valid role: user, model.")
        if not turn.get("parts"):
            at = f"contents[{index}].parts"
            raise invalid(at, f"* GenerateContentRequest.{at}: contents.parts must not be empty.")
        yield from turn["parts"]


def _kind(part: Json) -> str:
    return next((kind for name, kind in _PART_KINDS.items() if name in part), "other")


def _check_config(config: Json, model: Model) -> None:
    if config.get("candidateCount", 1) != 1:
        raise invalid(f"{_CONFIG}.candidate_count", "Multiple candidates is not enabled.")
    image_config: Json = config.get("imageConfig", {})
    ratio, size = image_config.get("aspectRatio"), image_config.get("imageSize")
    if ratio is not None and ratio not in model.sizes:
        raise _not_taken("aspect_ratio", ratio, model, list(model.sizes))
    if size is not None and not model.takes_image_size:
        at = f"{_IMAGE_CONFIG}.image_size"
        raise invalid(at, f"Image size is not supported by models/{model.name}.")
    if size is not None and size not in model.tokens:
        raise _not_taken("image_size", size, model, list(model.tokens))


def _not_taken(field: str, value: str, model: Model, taken: list[str]) -> ApiError:
    at = f"{_IMAGE_CONFIG}.{field}"
    known = ", ".join(taken)
    return invalid(at, f"Invalid {field} '{value}' for models/{model.name}. Supported: {known}.")


def _image(index: int, part: Json, file_of: FileOf) -> Iterator[ReceivedImage]:
    if "inlineData" in part:
        blob = part["inlineData"]
        yield _received(index, blob.get("mimeType", ""), blob.get("data", b""))
    elif "fileData" in part:
        mime, raw = file_of(part["fileData"].get("fileUri", ""))
        yield _received(index, part["fileData"].get("mimeType", mime), raw)
    elif "text" not in part:
        at = f"contents.parts[{index}].data"
        raise invalid(at, f"* GenerateContentRequest.{at}: required oneof field 'data' is unusable")


def _received(index: int, mime: str, raw: bytes) -> ReceivedImage:
    if mime not in ACCEPTED_MIMES:
        raise invalid(f"contents.parts[{index}].inline_data.mime_type", _unsupported(mime))
    try:
        return ReceivedImage(raw, mime)
    except NotAnImage as problem:
        raise _unprocessable() from problem


def _check_images(images: list[ReceivedImage], size: Size) -> None:
    if len(images) > MAX_INPUT_IMAGES:
        raise invalid("contents", f"At most {MAX_INPUT_IMAGES} images are supported.")
    try:
        for index, image in enumerate(images):
            image.check(thumbnail_size(size) if index else size)
    except NotAnImage as problem:
        raise _unprocessable() from problem


def _marker(prompt: str) -> tuple[Marker | None, str]:
    try:
        return find_marker(prompt, Marker)
    except Refused as refused:
        raise invalid(
            "contents.parts.text", f"{refused} Known: {', '.join(refused.known)}"
        ) from refused


def _unsupported(mime: str) -> str:
    return f"Unsupported MIME type: {mime}" if mime else "The mime_type field is required."


def _unprocessable() -> ApiError:
    return invalid("contents.parts.inline_data", "Unable to process input image. Please retry.")
