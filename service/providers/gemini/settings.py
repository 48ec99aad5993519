"""Settings of Gemini's image models: what they take and cost, and what a slot may say to them.

Model ids are configuration and change several times a year. A model this table does not know may be
ordered with every setting: Google then says itself what it does not take.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import msgspec

from service.faults import Fault
from service.providers.usage import tokens

DEFAULT_MODEL = "gemini-nano-banana-2.1"
MAX_PROMPT = 16_000

Ratio = Literal[
    "1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9",
    "1:4", "4:1", "1:8", "8:1",
]  # fmt: skip
Size = Literal["512", "1K", "2K", "4K"]
Threshold = Literal[
    "BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"
]

RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
ALL_RATIOS = (*RATIOS, "1:4", "4:1", "1:8", "8:1")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    prompt: float
    text: float
    image: float


@dataclass(frozen=True, slots=True)
class Model:
    """What one model takes: no `sizes` means that it knows no image size at all. `images` counts
    the photo and the templates. `shutdown_date` is the earliest day announced."""

    ratios: tuple[str, ...]
    sizes: tuple[str, ...]
    images: int
    price: Price
    shutdown_date: date | None = None


# Google's image generation guide, changelog, deprecations and price page of autumn 2026; what they
# leave open is measured by others. 2.5 Flash works with more than 3 images, but loses some.
MODELS: Mapping[str, Model] = {
    "gemini-nano-banana-2.1": Model(ALL_RATIOS, ("1K", "2K", "4K"), 14, Price(1.5, 7.5, 30)),
    "gemini-3-pro-image": Model(RATIOS, ("1K", "2K", "4K"), 14, Price(2, 12, 120)),
    "gemini-3.1-flash-lite-image": Model(RATIOS, ("1K",), 14, Price(0.25, 0.25, 30)),
    "gemini-3.1-flash-image": Model(
        ALL_RATIOS, ("512", "1K", "2K", "4K"), 14, Price(0.5, 3, 60), date(2026, 10, 29)
    ),
    "gemini-2.5-flash-image": Model(RATIOS, (), 3, Price(0.3, 2.5, 30), date(2026, 10, 2)),
}
# Surely shut down, and what to name instead.
RETIRED = {
    "gemini-3-pro-image-preview": (date(2026, 6, 25), "gemini-3-pro-image"),
    "nano-banana-pro-preview": (date(2026, 6, 25), "gemini-3-pro-image"),
    "gemini-3.1-flash-image-preview": (date(2026, 6, 25), DEFAULT_MODEL),
    "gemini-2.5-flash-image-preview": (date(2026, 1, 15), DEFAULT_MODEL),
}

SAFETY_HELP = "From which probability on Gemini refuses. Google's own limits stay in any case."


def _safety(category: str) -> Any:
    return msgspec.Meta(title=f"Safety: {category}", description=SAFETY_HELP)


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Settings of every operation. A `safety_` field is named after its harm category."""

    prompt: Annotated[
        str,
        msgspec.Meta(
            min_length=1,
            max_length=MAX_PROMPT,
            title="Prompt",
            description="What to make of the photo. The images can be named by number: image 1 is "
            "the photo, the templates follow in their order.",
        ),
    ]
    model: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[a-z0-9.-]{1,80}$",
            title="Model",
            description="A model id of Google's that draws images.",
            examples=[name for name, model in MODELS.items() if not model.shutdown_date],
        ),
    ] = DEFAULT_MODEL
    aspect_ratio: Annotated[
        Ratio | None,
        msgspec.Meta(
            title="Aspect ratio",
            description="Width to height of the result. Without one it follows the photo.",
        ),
    ] = None
    image_size: Annotated[
        Size | None,
        msgspec.Meta(
            title="Image size",
            description="How large the result is, 1K being about 1024 x 1024. Larger ones cost "
            "and take more.",
        ),
    ] = None
    safety_harassment: Annotated[Threshold, _safety("harassment")] = "BLOCK_ONLY_HIGH"
    safety_hate_speech: Annotated[Threshold, _safety("hate speech")] = "BLOCK_ONLY_HIGH"
    safety_sexually_explicit: Annotated[Threshold, _safety("sexually explicit")] = "BLOCK_ONLY_HIGH"
    safety_dangerous_content: Annotated[Threshold, _safety("dangerous content")] = "BLOCK_ONLY_HIGH"


def check(settings: msgspec.Struct, images: int) -> Iterator[Fault]:
    """What the model of these settings does not take; nothing for a model nobody knows."""
    assert isinstance(settings, Settings)
    name = settings.model
    if name in RETIRED:
        day, instead = RETIRED[name]
        yield Fault.of("settings.model", "model_replaced", model=name, day=day, instead=instead)
    model = MODELS.get(name)
    if model is None:
        return
    ratio, size = settings.aspect_ratio, settings.image_size
    if ratio and ratio not in model.ratios:
        yield Fault.of("settings.aspect_ratio", "model_takes", model=name, values=model.ratios)
    if size and not model.sizes:
        message = f"{name} takes no image size"
        yield Fault.of("settings.image_size", "model_takes_none", model=name, message=message)
    elif size and size not in model.sizes:
        yield Fault.of("settings.image_size", "model_takes", model=name, values=model.sizes)
    if images > model.images:
        yield Fault.of("templates", "model_images", model=name, maximum=model.images)


def model_of(settings: msgspec.Struct) -> str:
    """The model id that these settings order from."""
    assert isinstance(settings, Settings)
    return settings.model


def shutdown_date(model: str) -> date | None:
    """The day from which this model is or may be gone, where it is known."""
    if model in RETIRED:
        return RETIRED[model][0]
    known = MODELS.get(model)
    return known.shutdown_date if known else None


def cost_microusd(model: str, usage: Mapping[str, Any], *, has_picture: bool = True) -> int | None:
    """The estimated price of a call in millionths of a US dollar; None for a model without a
    known price, or without figures. Every figure may be missing, and the count of the candidates
    is larger than its details: the rest is text. Without details all of a picture's answer is
    the picture, and all of another one is text."""
    known = MODELS.get(model)
    drawn = tokens(usage.get("candidatesTokenCount"))
    if known is None or drawn is None:
        return None
    images = min(drawn, _image_tokens(usage) or (drawn if has_picture else 0))
    prompt = tokens(usage.get("promptTokenCount")) or 0
    text = drawn - images + (tokens(usage.get("thoughtsTokenCount")) or 0)
    price = known.price
    return round(prompt * price.prompt + images * price.image + text * price.text)


def _image_tokens(usage: Mapping[str, Any]) -> int:
    details = usage.get("candidatesTokensDetails")
    return sum(
        tokens(detail.get("tokenCount")) or 0
        for detail in (details if isinstance(details, list) else [])
        if isinstance(detail, dict) and detail.get("modality") == "IMAGE"
    )
