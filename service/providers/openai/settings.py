"""OpenAI's image models, what each takes, and the settings of a slot that orders from them.

Facts are those of the OpenAI API reference and price list (images, deprecations, November 2026)
unless a comment names another source.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

import msgspec

# The fastest of the models that stay: 8 to 12 s for 1024x1024 (a reseller's measurement of November
# 2026), where sunburst can take a minute or more. Medium quality and JPEG keep it that quick.
DEFAULT_MODEL = "gpt-image-2.6-flare"
# 32,000 characters, with room for what the prompt says of the images.
MAX_PROMPT = 31_000
STANDARD_SIZES = ("1024x1024", "1536x1024", "1024x1536")
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


def faults(settings: Settings, today: date) -> Mapping[str, str]:
    """What a model does not take on that day: the reason by the name of the setting."""
    model = model_of(settings.model)
    found: dict[str, str] = {}
    if model.shutdown and model.shutdown <= today:
        found["model"] = f"{settings.model} was shut down on {model.shutdown}"
    if wrong := _wrong_size(settings.size, model):
        found["size"] = f"{wrong} for {settings.model}"
    if settings.quality in ("xhigh", "max") and not model.fine:
        found["quality"] = f"{settings.model} takes low, medium and high"
    if settings.complexity and not model.complexity:
        found["complexity"] = f"{settings.model} has no complexity"
    if settings.input_fidelity and settings.input_fidelity not in model.fidelities:
        taken = " and ".join(model.fidelities) or "none"
        found["input_fidelity"] = f"{settings.model} takes {taken}"
    if settings.background == "transparent" and settings.output_format == "jpeg":
        found["background"] = "A JPEG cannot be transparent; take png or webp"
    if settings.output_compression is not None and settings.output_format == "png":
        found["output_compression"] = "PNG has no compression to set; take jpeg or webp"
    return found


def model_of(name: str) -> Model:
    """What is known of a model; a snapshot is as its model."""
    return MODELS.get(SNAPSHOT.sub("", name), UNKNOWN)


def _wrong_size(size: str, model: Model) -> str | None:
    if size in ("auto", *STANDARD_SIZES):
        return None
    if not model.any_size:
        return f"Expected auto, {', '.join(STANDARD_SIZES)}"
    short, long = sorted(int(side) for side in size.split("x"))
    if short % 16 or long % 16:
        return "Expected sides divisible by 16"
    if long > 3 * short:
        return "Expected a shape from 1:3 to 3:1"
    return "Expected at most 3840x2160" if long > 3840 or short > 2160 else None
