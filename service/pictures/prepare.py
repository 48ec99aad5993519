"""Image preparation: a photo made ready to be sent, a result made ready to be kept, previews.

Every function here blocks and belongs in a thread.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms, ImageOps

from service.pictures.inspect import decode, open_image

JPEG_QUALITY = 92
PREVIEW_SIDE = 480
PREVIEW_QUALITY = 72


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture file ready to be sent: upright size in pixels."""

    path: Path
    mime: str
    width: int
    height: int
    bytes: int


def prepare(source: Path, target: Path, max_side: int, accepted: frozenset[str]) -> Photo:
    """Make a photo ready to be sent: upright, bare, sRGB, no side over `max_side` (0: any).

    A picture with transparency becomes PNG where the provider takes that, everything else a JPEG
    on white. Raises `InvalidImage`, and `OSError` when the disk is full or fails."""
    with source.open("rb") as file, open_image(file) as image:
        if max_side and image.format in ("JPEG", "MPO"):
            image.draft(None, (max_side, max_side))
        upright = _upright(decode(image))
        if max_side:
            upright.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        mime, data = _encoded(upright, keep_alpha="image/png" in accepted)
    # Pillow itself does not notice a write that a full disk cuts short.
    target.write_bytes(data)
    return Photo(target, mime, upright.width, upright.height, len(data))


def without_metadata(data: bytes) -> bytes:
    """The same picture upright and without EXIF or XMP, in its own format (HEIC becomes JPEG)."""
    with open_image(io.BytesIO(data)) as image:
        kind = image.format if image.format in ("PNG", "WEBP") else "JPEG"
        upright = _upright(decode(image))
        target = io.BytesIO()
        if kind == "JPEG":
            upright = _flattened(upright)
        upright.save(target, kind, quality=JPEG_QUALITY)
        return target.getvalue()


def preview(source: Path) -> tuple[bytes, int, int]:
    """A small WebP of a stored picture, with its width and height. Raises `InvalidImage`."""
    with source.open("rb") as file, open_image(file) as image:
        if image.format in ("JPEG", "MPO"):
            image.draft("RGB", (PREVIEW_SIDE * 2, PREVIEW_SIDE * 2))
        small = _upright(decode(image))
        small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS)
        target = io.BytesIO()
        small.save(target, "WEBP", quality=PREVIEW_QUALITY, method=4)
        return target.getvalue(), small.width, small.height


def _upright(image: Image.Image) -> Image.Image:
    turned = ImageOps.exif_transpose(image)
    return _in_srgb(_in_8_bits(turned))


def _in_8_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return image.point(lambda value: value / 256).convert("L")
    if image.mode == "F":
        return image.convert("L")
    return image


def _in_srgb(image: Image.Image) -> Image.Image:
    """The same colours without the profile that explained them; RGB, or RGBA where it has alpha."""
    profile: Any = image.info.get("icc_profile")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    if profile and image.mode in ("RGB", "RGBA", "CMYK"):
        try:
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, given, srgb, outputMode=mode)
            return converted if converted is not None else image
        except (ImageCms.PyCMSError, OSError):
            # A broken profile explains nothing: the numbers are taken as sRGB, as browsers do.
            return image.convert(mode)
    return image if image.mode == mode else image.convert(mode)


def _encoded(image: Image.Image, *, keep_alpha: bool) -> tuple[str, memoryview]:
    """MIME type and file."""
    target = io.BytesIO()
    if image.mode == "RGBA" and keep_alpha:
        _bare(image).save(target, "PNG", compress_level=4)
        return "image/png", target.getbuffer()
    _bare(_flattened(image)).save(target, "JPEG", quality=JPEG_QUALITY)
    return "image/jpeg", target.getbuffer()


def _flattened(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    ground = Image.new("RGB", image.size, "white")
    ground.paste(image, mask=image.getchannel("A"))
    return ground


def _bare(image: Image.Image) -> Image.Image:
    """Without anything a writer would pick up from `info`: EXIF, XMP, comments, profiles."""
    image.info = {}
    return image
