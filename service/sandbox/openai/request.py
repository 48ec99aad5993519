"""Request parser: the form of an edit as an order, or OpenAI's refusal."""

import re
from dataclasses import dataclass

from service.sandbox.calls import Call
from service.sandbox.dials import Marker, Refused, find_marker
from service.sandbox.images import NotAnImage, ReceivedImage
from service.sandbox.openai import errors
from service.sandbox.openai.errors import ApiError, invalid, not_among
from service.sandbox.openai.form import File, Form
from service.sandbox.openai.models import MODELS, SHUT_DOWN, Model, Size, automatic_size, size_of
from service.sandbox.picture import Painting, captions_in, draw, thumbnail_size

DEFAULT_MODEL = "gpt-image-1.5"
MAX_PROMPT = 32_000
MAX_IMAGES = 16
MAX_IMAGE_BYTES = 50 * 2**20
MAX_MASK_BYTES = 4 * 2**20
MIMES = ("image/jpeg", "image/png", "image/webp")
IMAGE_FIELDS = ("image", "image[]")
OVERLAYS = ("mask", "markup")

BACKGROUNDS = ("transparent", "opaque", "auto")
COMPLEXITIES = ("low", "medium", "high")
FIDELITIES = ("low", "high")
FORMATS = ("png", "jpeg", "webp")
TEXT_FIELDS = (
    *("model", "prompt", "size", "quality", "complexity", "input_fidelity", "background"),
    *("output_format", "output_compression", "n", "safety_identifier", "user"),
)


@dataclass(frozen=True)
class EditRequest:
    """What to draw and how to answer; `prompt` is without the sandbox's marker."""

    model: Model
    prompt: str
    marker: Marker | None
    images: tuple[ReceivedImage, ...]
    size: Size
    quality: str
    background: str
    output_format: str
    count: int

    def picture(self, mime: str | None = None, note: str = "") -> bytes:
        """The finished picture; a `note` in its band sets several apart. Blocking."""
        signature = f"Photoslot sandbox · openai · {self.model.name}{note}"
        mime = mime or f"image/{self.output_format}"
        captions = captions_in(self.prompt)
        guidance, gap, words = self.prompt.partition("\n\n")
        # A first paragraph that names the images is shown apart from the rest.
        if not (gap and captions):
            guidance, words = "", self.prompt
        return draw(Painting(*(self.size, self.images, signature, words, mime), guidance, captions))


def read_order(form: Form, call: Call) -> EditRequest:
    """Check everything the real service checks; `ApiError` otherwise. Blocking.

    The call is completed with what was understood, even when the rest is refused.
    """
    fields = form.fields
    files = [file for file in form.files if file.field in IMAGE_FIELDS]
    call.parts, call.fields = form.parts, fields
    call.file_names = [file.name for file in files]
    call.model, call.prompt = fields.get("model", DEFAULT_MODEL), fields.get("prompt")
    call.texts = [call.prompt] if call.prompt else []
    _check_names(form)
    model = model_of(call.model)
    marker, words = _prompt(fields)
    images = [_received(at, file) for at, file in _placed(files)]
    call.images = [image.facts for image in images]
    size = _size(fields, model, images[0])
    order = EditRequest(
        model=model,
        prompt=words,
        marker=marker,
        images=tuple(images),
        size=size,
        quality=_quality(fields, model),
        background=_background(fields),
        output_format=_among(fields, "output_format", FORMATS, "png"),
        count=_number(fields, "n", 1, 1, 10),
    )
    _check_rest(fields, model)
    _check_overlays(form.files, model, images[0])
    _check_pixels(images, size)
    return order


def model_of(name: str) -> Model:
    """A model that is there; `ApiError` for any other."""
    if name not in MODELS:
        raise errors.unknown_model(name, SHUT_DOWN.get(name))
    return MODELS[name]


def _check_names(form: Form) -> None:
    for name in form.fields:
        if name not in TEXT_FIELDS:
            raise errors.unknown(name)
    for file in form.files:
        if file.field not in (*IMAGE_FIELDS, *OVERLAYS):
            raise errors.unknown(file.field)


def _prompt(fields: dict[str, str]) -> tuple[Marker | None, str]:
    prompt = fields.get("prompt")
    if not prompt:
        raise errors.missing("prompt")
    if len(prompt) > MAX_PROMPT:
        message = (
            f"Invalid 'prompt': string too long. Expected a string with maximum length "
            f"{MAX_PROMPT}, but got a string with length {len(prompt)} instead."
        )
        raise invalid("prompt", message, "string_above_max_length")
    try:
        return find_marker(prompt, Marker)
    except Refused as refused:
        raise misspelt(refused) from refused


def misspelt(refused: Refused) -> ApiError:
    """A marker in the prompt that cannot be obeyed."""
    return invalid("prompt", f"{refused} Known: {', '.join(refused.known)}")


def _placed(files: list[File]) -> list[tuple[str, File]]:
    """The images with the names the service gives them in its words."""
    if not files:
        raise errors.missing("image")
    if len(files) > MAX_IMAGES:
        raise invalid("image", f"Too many images: at most {MAX_IMAGES} are supported.")
    if len(files) > 1 and any(file.field == "image" for file in files):
        raise ApiError(400, "Duplicate parameter: 'image'.", param="image")
    return [(f"image[{index}]", file) for index, file in enumerate(files)]


def _received(at: str, file: File) -> ReceivedImage:
    if file.mime not in MIMES:
        raise errors.unsupported_mimetype(at, file.mime)
    if len(file.raw) >= MAX_IMAGE_BYTES:
        raise invalid(at, f"Invalid file '{at}': larger than 50MB.", "image_file_too_large")
    try:
        return ReceivedImage(file.raw, file.mime)
    except NotAnImage as problem:
        raise _unreadable(at) from problem


def _unreadable(at: str) -> ApiError:
    return invalid(at, f"Invalid image file '{at}'. Please try another.", "invalid_image_file")


def _size(fields: dict[str, str], model: Model, first: ReceivedImage) -> Size:
    asked = fields.get("size", "auto")
    if asked == "auto":
        return automatic_size(first.upright_size)
    size = size_of(asked)
    if size is None or not model.takes(size):
        raise invalid("size", f"Invalid size '{asked}' for the model '{model.name}'.")
    return size


def _quality(fields: dict[str, str], model: Model) -> str:
    asked = _among(fields, "quality", (*model.qualities, "auto"), "auto")
    return "medium" if asked == "auto" else asked


def _background(fields: dict[str, str]) -> str:
    asked = _among(fields, "background", BACKGROUNDS, "auto")
    if asked == "transparent" and fields.get("output_format", "png") == "jpeg":
        raise invalid("background", "Transparent background is not supported for JPEG output.")
    return "opaque" if asked == "auto" else asked


def _check_rest(fields: dict[str, str], model: Model) -> None:
    if "complexity" in fields:
        if not model.complexity:
            raise errors.unknown("complexity")
        _among(fields, "complexity", COMPLEXITIES, "")
    if "input_fidelity" in fields:
        if not model.fidelities:
            message = f"The model '{model.name}' does not support 'input_fidelity'."
            raise invalid("input_fidelity", message, "invalid_input_fidelity_model")
        _among(fields, "input_fidelity", model.fidelities, "")
    if "output_compression" in fields:
        _number(fields, "output_compression", 100, 0, 100)
        if fields.get("output_format", "png") == "png":
            raise invalid("output_compression", "Compression is not supported for PNG output.")


def _check_overlays(files: list[File], model: Model, first: ReceivedImage) -> None:
    overlays = {file.field: file for file in files if file.field in OVERLAYS}
    if "markup" in overlays and not model.markup:
        raise errors.unknown("markup")
    if len(overlays) > 1:
        raise invalid("markup", "'markup' cannot be combined with 'mask'.")
    for name, file in overlays.items():
        _check_overlay(name, file, first)


def _check_overlay(name: str, file: File, first: ReceivedImage) -> None:
    if file.mime != "image/png":
        raise invalid(name, f"Invalid file '{name}': expected a PNG.", "unsupported_file_mimetype")
    if len(file.raw) >= MAX_MASK_BYTES:
        raise invalid(name, f"Invalid file '{name}': larger than 4MB.", "image_file_too_large")
    try:
        size = ReceivedImage(file.raw, file.mime).upright_size
    except NotAnImage as problem:
        raise _unreadable(name) from problem
    if size != first.upright_size:
        raise invalid(name, f"The size of '{name}' does not match the size of the first image.")


def _check_pixels(images: list[ReceivedImage], size: Size) -> None:
    for index, image in enumerate(images):
        try:
            image.check(thumbnail_size(size) if index else size)
        except NotAnImage as problem:
            raise _unreadable(f"image[{index}]") from problem


def _among(fields: dict[str, str], name: str, taken: tuple[str, ...], default: str) -> str:
    value = fields.get(name, default)
    if value not in taken:
        raise not_among(name, value, taken)
    return value


def _number(fields: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    value = fields.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,4}", value) or not low <= int(value) <= high:
        raise invalid(name, f"Invalid '{name}': expected an integer from {low} to {high}.")
    return int(value)
