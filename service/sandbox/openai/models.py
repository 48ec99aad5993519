"""Which models there are and what each one takes (OpenAI Images API, list of deprecations)."""

import re
from dataclasses import dataclass
from typing import Any

Size = tuple[int, int]

SQUARE: Size = (1024, 1024)
LANDSCAPE: Size = (1536, 1024)
PORTRAIT: Size = (1024, 1536)
STANDARD_SIZES = (SQUARE, LANDSCAPE, PORTRAIT)
GRID = 16
LONGEST_SIDE, SHORTEST_LONGEST = 3840, 2160
STEEPEST_RATIO = 3

QUALITIES = ("low", "medium", "high")
FINE_QUALITIES = (*QUALITIES, "xhigh", "max")
TOKENS = {"low": 272, "medium": 1056, "high": 4160, "xhigh": 6240, "max": 8320}
CREATED = 1_790_000_000

_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


@dataclass(frozen=True)
class Model:
    """One model; `fidelities` are the values of `input_fidelity` it takes, none for most."""

    name: str
    qualities: tuple[str, ...] = QUALITIES
    fidelities: tuple[str, ...] = ()
    complexity: bool = False
    markup: bool = False
    any_size: bool = True
    shutdown_date: str | None = None

    def takes(self, size: Size) -> bool:
        """Whether a picture of that size can be ordered."""
        if size in STANDARD_SIZES:
            return True
        short, long = sorted(size)
        return (
            self.any_size
            and short % GRID == long % GRID == 0
            and long <= STEEPEST_RATIO * short
            and long <= LONGEST_SIDE
            and short <= SHORTEST_LONGEST
        )

    def resource(self) -> dict[str, Any]:
        """The model as `GET /v1/models/{model}` shows it."""
        return {
            "id": self.name,
            "object": "model",
            "created": CREATED,
            "owned_by": "system",
            "shutdown_date": self.shutdown_date,
        }


def size_of(text: str) -> Size | None:
    """Pixels of a `WxH`."""
    found = _SIZE.fullmatch(text)
    return (int(found[1]), int(found[2])) if found else None


def automatic_size(like: Size) -> Size:
    """The standard size that follows the shape of the first image."""
    width, height = like
    if width == height:
        return SQUARE
    return LANDSCAPE if width > height else PORTRAIT


def output_tokens(quality: str, size: Size) -> int:
    """What a picture is charged as: the price list's figure for a square, by its pixels."""
    return round(TOKENS[quality] * size[0] * size[1] / (SQUARE[0] * SQUARE[1]))


def _family(name: str, *snapshots: str, **takes: Any) -> list[Model]:
    return [Model(one, **takes) for one in (name, *(f"{name}-{day}" for day in snapshots))]


_OLD: dict[str, Any] = {"any_size": False, "shutdown_date": "2026-12-01"}
_2_5: dict[str, Any] = {"qualities": FINE_QUALITIES, "markup": True}
_2_6: dict[str, Any] = {"qualities": FINE_QUALITIES, "complexity": True}

MODELS = {
    model.name: model
    for model in (
        *_family("gpt-image-2.6-sunburst", **_2_6),
        *_family("gpt-image-2.6-flare", **_2_6),
        *_family("gpt-image-2.5-sunburst", "2026-09-08", **_2_5),
        *_family("gpt-image-2.5-flare", "2026-09-08", **_2_5),
        *_family("gpt-image-2", "2026-04-21"),
        *_family("gpt-image-1.5", "2025-12-16", fidelities=("low", "high"), **_OLD),
        *_family("gpt-image-1-mini", fidelities=("low",), **_OLD),
        *_family("chatgpt-image-latest", **_OLD),
    )
}
SHUT_DOWN = {
    "gpt-image-1": "2026-10-23",
    "dall-e-2": "2026-05-12",
    "dall-e-3": "2026-05-12",
}
