"""What the bytes of a picture are, and how a photo is made ready to leave the house.

Every function here blocks and belongs in a thread. Pillow is only ever told to open the four
formats below: most of its holes were in formats nobody here needs.
"""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pillow_heif
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from service.errors import ImageTooLarge, InvalidImage, UnsupportedMediaType

pillow_heif.register_heif_opener(thumbnails=False)
# The limit is ours (`max_pixels`): Pillow's own only warns up to twice its value.
Image.MAX_IMAGE_PIXELS = None

FORMATS = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "HEIF": "image/heic",
}
OPENED = ("JPEG", "PNG", "WEBP", "HEIF")
JPEG_QUALITY = 92
PREVIEW_SIDE = 480
PREVIEW_QUALITY = 72
TAIL_BYTES = 4096
ORIENTATION = 0x0112
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a header says: MIME type by the bytes, pixels as stored, EXIF orientation 1-8."""

    mime: str
    width: int
    height: int
    orientation: int
    has_metadata: bool


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture file ready to be sent: upright size in pixels."""

    path: Path
    mime: str
    width: int
    height: int
    bytes: int


def inspect(source: Path | bytes, max_pixels: int) -> ImageInfo:
    """Read the header and look for the end. Nothing is decoded unless the end looks cut.

    Raises `UnsupportedMediaType` (none of the formats), `ImageTooLarge`, `InvalidImage`."""
    with _stream(source) as file:
        image = _open(file)
        with image:
            if image.width * image.height > max_pixels:
                raise ImageTooLarge(
                    f"The picture has {image.width} x {image.height} pixels; "
                    f"at most {max_pixels // 1_000_000} megapixels are taken."
                )
            info = _describe(image)
            if not _is_complete(info.mime, file):
                _decode(image)
            return info


def prepare(source: Path, target: Path, max_side: int, accepted: frozenset[str]) -> Photo:
    """Make a photo ready to be sent: upright, bare, sRGB, no side over `max_side` (0: any).

    A picture with transparency becomes PNG where the provider takes that, everything else a JPEG
    on white. Raises `InvalidImage`."""
    with source.open("rb") as file, _open(file) as image:
        if max_side and image.format in ("JPEG", "MPO"):
            image.draft(None, (max_side, max_side))
        upright = _upright(_decode(image))
        if max_side:
            upright.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        mime = _save(upright, target, keep_alpha="image/png" in accepted)
    return Photo(target, mime, upright.width, upright.height, target.stat().st_size)


def without_metadata(data: bytes) -> bytes:
    """The same picture upright and without EXIF or XMP, in its own format (HEIC becomes JPEG)."""
    with _open(io.BytesIO(data)) as image:
        kind = image.format if image.format in ("PNG", "WEBP") else "JPEG"
        upright = _upright(_decode(image))
        target = io.BytesIO()
        if kind == "JPEG":
            upright = _flattened(upright)
        upright.save(target, kind, quality=JPEG_QUALITY)
        return target.getvalue()


def preview(source: Path) -> tuple[bytes, int, int]:
    """A small WebP of a stored picture, with its width and height. Raises `InvalidImage`."""
    with source.open("rb") as file, _open(file) as image:
        if image.format in ("JPEG", "MPO"):
            image.draft("RGB", (PREVIEW_SIDE * 2, PREVIEW_SIDE * 2))
        small = _upright(_decode(image))
        small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS)
        target = io.BytesIO()
        small.save(target, "WEBP", quality=PREVIEW_QUALITY, method=4)
        return target.getvalue(), small.width, small.height


def _stream(source: Path | bytes) -> BinaryIO:
    return source.open("rb") if isinstance(source, Path) else io.BytesIO(source)


def _open(file: BinaryIO) -> Image.Image:
    try:
        return Image.open(file, formats=OPENED)
    except UnidentifiedImageError as error:
        if _looks_like_ours(file):
            raise InvalidImage(private=str(error)) from error
        raise UnsupportedMediaType(
            "The file is not a JPEG, PNG, WebP or HEIC picture, whatever its name says."
        ) from None
    except BROKEN as error:
        raise InvalidImage(private=str(error)) from error


def _looks_like_ours(file: BinaryIO) -> bool:
    """Whether it begins like one of the formats although nobody can read the rest."""
    file.seek(0)
    head = file.read(12)
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))
        or (head[:4] == b"RIFF" and head[8:] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:] in HEIF_BRANDS)
    )


def _describe(image: Image.Image) -> ImageInfo:
    exif = _exif(image)
    orientation = exif.get(ORIENTATION, 1)
    # libheif hands pixels over already turned, and pillow-heif keeps the tag in `info` only.
    metadata = bool(exif) or any(
        image.info.get(key) for key in ("exif", "xmp", "XML:com.adobe.xmp")
    )
    return ImageInfo(
        mime=FORMATS[image.format or ""],
        width=image.width,
        height=image.height,
        orientation=orientation if orientation in range(1, 9) else 1,
        has_metadata=metadata,
    )


def _exif(image: Image.Image) -> Image.Exif:
    try:
        if image.format != "PNG":
            return image.getexif()
        # Pillow's own method decodes the whole picture, to find a chunk that comes late.
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))
        return exif
    except BROKEN:
        return Image.Exif()


def _decode(image: Image.Image) -> Image.Image:
    try:
        image.load()
    except BROKEN as error:
        raise InvalidImage(private=str(error)) from error
    return image


def _is_complete(mime: str, file: BinaryIO) -> bool:
    """Whether the end of the file is the end of a picture; a False may be wrong, a True is not."""
    file.seek(0, io.SEEK_END)
    size = file.tell()
    file.seek(max(0, size - TAIL_BYTES))
    tail = file.read(TAIL_BYTES)
    return _ENDINGS[mime](file, size, tail)


def _jpeg_ends(_file: BinaryIO, _size: int, tail: bytes) -> bool:
    return tail.rstrip(b"\0\n\r ").endswith(b"\xff\xd9")


def _png_ends(_file: BinaryIO, _size: int, tail: bytes) -> bool:
    return b"IEND\xaeB`\x82" in tail


def _webp_ends(file: BinaryIO, size: int, _tail: bytes) -> bool:
    file.seek(4)
    return size >= int.from_bytes(file.read(4), "little") + 8


def _heic_ends(file: BinaryIO, size: int, _tail: bytes) -> bool:
    """ISO BMFF: the top-level boxes fill the file."""
    offset = 0
    while offset + 8 <= size:
        file.seek(offset)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8))
        if length == 0:
            return True
        if length < 8 or not kind.isascii():
            return False
        offset += length
    return offset == size


_ENDINGS: dict[str, Callable[[BinaryIO, int, bytes], bool]] = {
    "image/jpeg": _jpeg_ends,
    "image/png": _png_ends,
    "image/webp": _webp_ends,
    "image/heic": _heic_ends,
}


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


def _save(image: Image.Image, target: Path, *, keep_alpha: bool) -> str:
    if image.mode == "RGBA" and keep_alpha:
        _bare(image).save(target, "PNG", compress_level=4)
        return "image/png"
    _bare(_flattened(image)).save(target, "JPEG", quality=JPEG_QUALITY)
    return "image/jpeg"


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
