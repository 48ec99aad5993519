"""Image inspection: what the bytes of a picture are, by their header and their end.

Every function here blocks and belongs in a thread. Pillow is only ever told to open the four
formats below: most of its holes were in formats nobody here needs.
"""

import errno
import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pillow_heif
from PIL import Image, UnidentifiedImageError

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
TAIL_BYTES = 4096
ORIENTATION = 0x0112
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
DISK = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.ENOSPC, errno.EDQUOT)
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a header says: MIME type by the bytes, pixels as stored, EXIF orientation 1-8."""

    mime: str
    width: int
    height: int
    orientation: int
    has_metadata: bool


def inspect(source: Path | bytes, max_pixels: int) -> ImageInfo:
    """Read the header and look for the end. Nothing is decoded unless the end looks cut.

    Raises `UnsupportedMediaType` (none of the formats), `ImageTooLarge`, `InvalidImage`."""
    with _stream(source) as file:
        image = open_image(file)
        with image:
            if image.width * image.height > max_pixels:
                raise ImageTooLarge(
                    f"The picture has {image.width} x {image.height} pixels; "
                    f"at most {max_pixels // 1_000_000} megapixels are taken."
                )
            info = _describe(image)
            if not _is_complete(info.mime, file):
                decode(image)
            return info


def _stream(source: Path | bytes) -> BinaryIO:
    return source.open("rb") if isinstance(source, Path) else io.BytesIO(source)


def open_image(file: BinaryIO) -> Image.Image:
    """The picture of one of the formats, its pixels not yet read. Raises `UnsupportedMediaType`,
    `InvalidImage`."""
    try:
        return Image.open(file, formats=OPENED)
    except UnidentifiedImageError as error:
        if _looks_like_ours(file):
            raise InvalidImage(private=str(error)) from error
        raise UnsupportedMediaType(
            "The file is not a JPEG, PNG, WebP or HEIC picture, whatever its name says."
        ) from None
    except BROKEN as error:
        raise _blamed(error) from error


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


def decode(image: Image.Image) -> Image.Image:
    """The same picture with its pixels read. Raises `InvalidImage`, and `OSError` when it was the
    disk that failed."""
    try:
        image.load()
    except BROKEN as error:
        raise _blamed(error) from error
    return image


def _blamed(error: Exception) -> Exception:
    """The disk's own errors; whatever else reading a picture raises is the picture's fault, a seek
    to where nothing is among it."""
    if isinstance(error, OSError) and error.errno in DISK:
        return error
    return InvalidImage(private=str(error))


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
