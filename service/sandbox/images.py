"""Image inspection of what was received: what they are, and their upright pixels."""

import hashlib
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageOps
from pillow_heif import register_heif_opener

from service.sandbox.cache import Cache
from service.sandbox.calls import ImageFacts

MIMES = {
    "JPEG": ("image/jpeg",),
    "MPO": ("image/jpeg",),
    "PNG": ("image/png",),
    "WEBP": ("image/webp",),
    "HEIF": ("image/heic", "image/heif"),
}
OPENED_FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")
ACCEPTED_MIMES = frozenset(mime for mimes in MIMES.values() for mime in mimes)
SOUND_IMAGES = 256

_ORIENTATION_TAG = 0x0112
_GPS_TAG = 0x8825
_SIDEWAYS = range(5, 9)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_UNREADABLE = (
    Image.DecompressionBombError,
    EOFError,
    OSError,
    SyntaxError,
    ValueError,
)
_sound: Cache[ImageFacts] = Cache(SOUND_IMAGES)

register_heif_opener()


class NotAnImage(Exception):
    """The bytes cannot be decoded, or are not what they were declared to be."""


class ReceivedImage:
    """One image of a request; its pixels are decoded at most once, as small as they may be."""

    def __init__(self, raw: bytes, declared_mime: str) -> None:
        self._raw = raw
        self._pixels: Image.Image | None = None
        digest = hashlib.sha256(raw).hexdigest()
        self.facts = _sound.get(f"{declared_mime} {digest}") or _read_facts(
            raw, declared_mime, digest
        )

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height as a person sees them."""
        size = (self.facts.width, self.facts.height)
        return size[::-1] if self.facts.orientation in _SIDEWAYS else size

    def check(self, cover: tuple[int, int]) -> None:
        """Decode every pixel once, to cover a box of that size; `NotAnImage` when it is broken."""
        digest = f"{self.facts.mime} {self.facts.sha256}"
        if _sound.get(digest) is None:
            self.upright(cover)
            _sound.put(digest, self.facts)

    def upright(self, cover: tuple[int, int]) -> Image.Image:
        """RGB pixels, upright, cropped around the middle to exactly `cover`."""
        if self._pixels is None or self._pixels.size != cover:
            self._pixels = _decode(self._raw, self.facts, cover)
        return self._pixels


def _read_facts(raw: bytes, declared_mime: str, digest: str) -> ImageFacts:
    with _opened(raw) as image:
        if declared_mime not in MIMES[image.format or ""]:
            raise NotAnImage
        exif = image.getexif()
        return ImageFacts(
            mime=declared_mime,
            bytes=len(raw),
            sha256=digest,
            width=image.width,
            height=image.height,
            exif=len(exif) > 0,
            gps=bool(exif.get_ifd(_GPS_TAG)),
            orientation=exif.get(_ORIENTATION_TAG, 1),
        )


def _decode(raw: bytes, facts: ImageFacts, cover: tuple[int, int]) -> Image.Image:
    stored = cover[::-1] if facts.orientation in _SIDEWAYS else cover
    with _opened(raw) as image:
        image.draft("RGB", _draft_size(image.size, stored))
        pixels = ImageOps.fit(_opaque(image), stored, Image.Resampling.BILINEAR)
    turn = _TURNS.get(facts.orientation)
    return pixels if turn is None else pixels.transpose(turn)


@contextmanager
def _opened(raw: bytes) -> Iterator[Image.Image]:
    """The image while it is read; all the ways in which Pillow gives up become `NotAnImage`."""
    try:
        with Image.open(io.BytesIO(raw), formats=OPENED_FORMATS) as image:
            yield image
    except _UNREADABLE as problem:
        raise NotAnImage from problem


def _draft_size(size: tuple[int, int], cover: tuple[int, int]) -> tuple[int, int]:
    """The smallest size of the same shape that still covers the box."""
    scale = max(cover[0] / size[0], cover[1] / size[1])
    return math.ceil(size[0] * scale), math.ceil(size[1] * scale)


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")
