"""Which models there are and what each one takes (Gemini API, image generation guide)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Size = tuple[int, int]

MAX_INPUT_IMAGES = 14

SIZES: Mapping[str, Size] = {
    "1:1": (1024, 1024),
    "2:3": (848, 1264),
    "3:2": (1264, 848),
    "3:4": (896, 1200),
    "4:3": (1200, 896),
    "4:5": (928, 1152),
    "5:4": (1152, 928),
    "9:16": (768, 1376),
    "16:9": (1376, 768),
    "21:9": (1584, 672),
}
EXTREME_SIZES: Mapping[str, Size] = {
    "1:4": (512, 2048),
    "4:1": (2048, 512),
    "1:8": (384, 3072),
    "8:1": (3072, 384),
}
SIZES_2_5: Mapping[str, Size] = {
    "1:1": (1024, 1024),
    "2:3": (832, 1248),
    "3:2": (1248, 832),
    "3:4": (864, 1184),
    "4:3": (1184, 864),
    "4:5": (896, 1152),
    "5:4": (1152, 896),
    "9:16": (768, 1344),
    "16:9": (1344, 768),
    "21:9": (1536, 672),
}
SCALES = {"1K": 1, "2K": 2, "4K": 4}


@dataclass(frozen=True)
class Model:
    """One model: pixel sizes at 1K by aspect ratio, and tokens per image by image size.

    A model whose `tokens` know only `""` refuses `imageSize` altogether.
    """

    name: str
    title: str
    sizes: Mapping[str, Size]
    tokens: Mapping[str, int]
    input_image_tokens: int
    output_mime: str = "image/jpeg"
    thinking: bool = True

    @property
    def takes_image_size(self) -> bool:
        """Whether `imageConfig.imageSize` is a field of this model at all."""
        return "" not in self.tokens

    def output_size(self, aspect_ratio: str | None, image_size: str | None, like: Size) -> Size:
        """Pixels of the answer; without an aspect ratio the nearest one to the input `like`."""
        width, height = self.sizes[aspect_ratio or self._nearest(like)]
        scale = SCALES[image_size or "1K"]
        return width * scale, height * scale

    def output_tokens(self, image_size: str | None) -> int:
        """What one image of that size is charged as."""
        return self.tokens[(image_size or "1K") if self.takes_image_size else ""]

    def resource(self) -> dict[str, Any]:
        """The model as `GET /models/{model}` shows it."""
        return {
            "name": f"models/{self.name}",
            "version": "001",
            "displayName": self.title,
            "description": f"{self.title}, simulated by the Photoslot sandbox",
            "inputTokenLimit": 65536,
            "outputTokenLimit": 32768,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
            "temperature": 1,
            "topP": 0.95,
            "topK": 64,
            "maxTemperature": 1 if self.thinking else 2,
            "thinking": self.thinking,
        }

    def _nearest(self, like: Size) -> str:
        wanted = math.log(like[0] / like[1])
        return min(
            self.sizes,
            key=lambda ratio: abs(math.log(self.sizes[ratio][0] / self.sizes[ratio][1]) - wanted),
        )


_ALL = (
    Model(
        "gemini-nano-banana-2.1",
        "Nano Banana 2.1",
        {**SIZES, **EXTREME_SIZES},
        {"1K": 1120, "2K": 1680, "4K": 3780},
        input_image_tokens=1120,
    ),
    Model(
        "gemini-3-pro-image",
        "Gemini 3 Pro Image",
        SIZES,
        {"1K": 1120, "2K": 1120, "4K": 2000},
        input_image_tokens=560,
    ),
    Model(
        "gemini-3.1-flash-lite-image",
        "Gemini 3.1 Flash Lite Image",
        SIZES,
        {"1K": 1120},
        input_image_tokens=1120,
    ),
    Model(
        "gemini-2.5-flash-image",
        "Gemini 2.5 Flash Image",
        SIZES_2_5,
        {"": 1290},
        input_image_tokens=258,
        output_mime="image/png",
        thinking=False,
    ),
)
MODELS = {model.name: model for model in _ALL}

SHUT_DOWN = frozenset(
    {
        "gemini-3.1-flash-image",
        "gemini-3.1-flash-image-preview",
        "gemini-3-pro-image-preview",
        "gemini-2.5-flash-image-preview",
        "nano-banana-pro-preview",
    }
)
