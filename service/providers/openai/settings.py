"""OpenAI's image models, what each takes, and the settings of a slot that orders from them.

Facts are those of the OpenAI API reference and price list (images, deprecations, November 2026)
unless a comment names another source.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

import msgspec

from service.faults import Fault

# The fastest of the models that stay: 8 to 12 s for 1024x1024 (a reseller's measurement of November
# 2026), where sunburst can take a minute or more. Medium quality and JPEG keep it that quick.
DEFAULT_MODEL = "gpt-image-2.6-flare"
# 32,000 characters, with room for what the prompt says of the images.
MAX_PROMPT = 31_000
STANDARD_SIZES = ("1024x1024", "1536x1024", "1024x1536")
SIDE_STEP = 16
SNAPSHOT = re.compile(r"-\d{4}-\d\d-\d\d$")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens: text and images in, images and text out."""

    text: float = 5.0
    image: float = 8.0
    drawn: float = 30.0
    written: float = 0.0


@dataclass(frozen=True, slots=True)
class Model:
    """What a model takes beside what all of them take, its price, and the day it is shut down."""

    any_size: bool = True
    fine: bool = False
    complexity: bool = False
    fidelities: tuple[str, ...] = ()
    price: Price | None = None
    shutdown: date | None = None


DECEMBER = date(2026, 12, 1)
GPT_IMAGE_2_5 = Model(fine=True, price=Price())
GPT_IMAGE_2_6 = Model(fine=True, complexity=True, price=Price())
MODELS = {
    "gpt-image-2.6-flare": GPT_IMAGE_2_6,
    "gpt-image-2.6-sunburst": GPT_IMAGE_2_6,
    "gpt-image-2.5-flare": GPT_IMAGE_2_5,
    "gpt-image-2.5-sunburst": GPT_IMAGE_2_5,
    "gpt-image-2": Model(price=Price()),
    "gpt-image-1.5": Model(
        any_size=False,
        fidelities=("low", "high"),
        price=Price(5, 8, 32, 10),
        shutdown=DECEMBER,
    ),
    "gpt-image-1-mini": Model(
        any_size=False, fidelities=("low",), price=Price(2, 2.5, 8), shutdown=DECEMBER
    ),
    "chatgpt-image-latest": Model(any_size=False, fidelities=("low", "high"), shutdown=DECEMBER),
    "gpt-image-1": Model(shutdown=date(2026, 10, 23)),
    "dall-e-2": Model(shutdown=date(2026, 5, 12)),
    "dall-e-3": Model(shutdown=date(2026, 5, 12)),
}
# A model nobody here has heard of may take anything; OpenAI itself will say what it does not.
UNKNOWN = Model(fine=True, complexity=True, fidelities=("low", "high"))


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Settings of every operation. What is left empty is OpenAI's choice."""

    prompt: Annotated[
        str,
        msgspec.Meta(
            title="Prompt",
            description="What to make of the photo. The images can be named by number: image 1 is "
            "the photo, the templates follow in their order.",
            min_length=1,
            max_length=MAX_PROMPT,
        ),
    ]
    model: Annotated[
        str,
        msgspec.Meta(
            title="Model",
            description="flare is fast, sunburst precise and slow. gpt-image-1.5, gpt-image-1-mini "
            "and chatgpt-image-latest end on 2026-12-01.",
            pattern=r"^[a-z0-9.-]{1,80}$",
            examples=[name for name, model in MODELS.items() if not model.shutdown],
        ),
    ] = DEFAULT_MODEL
    size: Annotated[
        str,
        msgspec.Meta(
            title="Size",
            description="auto follows the photo. Else WIDTHxHEIGHT, both divisible by 16, at most "
            "three times as long as wide, up to 3840x2160; models before gpt-image-2 take "
            "1024x1024, 1536x1024 and 1024x1536 only. Above 1.5 megapixels it may not be ready "
            "inside the window.",
            pattern=r"^(auto|[1-9][0-9]{1,3}x[1-9][0-9]{1,3})$",
        ),
    ] = "auto"
    quality: Annotated[
        Literal["auto", "low", "medium", "high", "xhigh", "max"],
        msgspec.Meta(
            title="Quality",
            description="low and medium are ready inside the window. xhigh and max need "
            "gpt-image-2.5 or newer.",
        ),
    ] = "medium"
    complexity: Annotated[
        Literal["low", "medium", "high"] | None,
        msgspec.Meta(title="Complexity", description="Effort of planning; gpt-image-2.6 only."),
    ] = None
    input_fidelity: Annotated[
        Literal["low", "high"] | None,
        msgspec.Meta(
            title="Fidelity to the photo",
            description="gpt-image-1.5 takes both, gpt-image-1-mini low; newer models none.",
        ),
    ] = None
    background: Annotated[
        Literal["auto", "opaque", "transparent"] | None,
        msgspec.Meta(title="Background", description="transparent needs png or webp."),
    ] = None
    output_format: Annotated[
        Literal["jpeg", "png", "webp"],
        msgspec.Meta(title="Format", description="jpeg is ready soonest."),
    ] = "jpeg"
    output_compression: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=100)] | None,
        msgspec.Meta(title="Compression", description="0 to 100, of jpeg and webp; else 100."),
    ] = None


def faults(settings: Settings, today: date) -> Iterator[Fault]:
    """What a model does not take on that day."""
    name, model = settings.model, model_of(settings.model)
    if model.shutdown and model.shutdown <= today:
        yield Fault.of("settings.model", "model_shut_down", model=name, day=model.shutdown)
    yield from _wrong_size(settings.size, name, model)
    if settings.quality in ("xhigh", "max") and not model.fine:
        message = f"{name} takes low, medium and high"
        yield _taken("quality", name, ("low", "medium", "high"), message)
    if settings.complexity and not model.complexity:
        yield _taken("complexity", name, (), f"{name} has no complexity")
    if settings.input_fidelity and settings.input_fidelity not in model.fidelities:
        yield _taken("input_fidelity", name, model.fidelities)
    if settings.background == "transparent" and settings.output_format == "jpeg":
        yield Fault.of("settings.background", "jpeg_transparent")
    if settings.output_compression is not None and settings.output_format == "png":
        yield Fault.of("settings.output_compression", "png_compressed")


def model_of(name: str) -> Model:
    """What is known of a model; a snapshot is as its model."""
    return MODELS.get(SNAPSHOT.sub("", name), UNKNOWN)


def _taken(setting: str, name: str, values: tuple[str, ...], message: str | None = None) -> Fault:
    path = f"settings.{setting}"
    if not values:
        return Fault.of(path, "model_takes_none", model=name, message=message)
    return Fault.of(path, "model_takes", model=name, values=values, message=message)


def _wrong_size(size: str, name: str, model: Model) -> Iterator[Fault]:
    if size in ("auto", *STANDARD_SIZES):
        return
    path = "settings.size"
    if not model.any_size:
        known = ("auto", *STANDARD_SIZES)
        message = f"Expected {', '.join(known)} for {name}"
        yield Fault.of(path, "model_takes", model=name, values=known, message=message)
        return
    short, long = sorted(int(side) for side in size.split("x"))
    if short % SIDE_STEP or long % SIDE_STEP:
        yield Fault.of(path, "size_step", model=name, step=SIDE_STEP)
    elif long > 3 * short:
        yield Fault.of(path, "size_shape", model=name)
    elif long > 3840 or short > 2160:
        yield Fault.of(path, "size_too_large", model=name, maximum="3840x2160")
