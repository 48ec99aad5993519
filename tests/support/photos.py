"""Photos, and things that pretend to be one. The same arguments always give the same bytes."""

import io
import random
import struct
import zipfile
import zlib
from functools import cache
from typing import Any

import pillow_heif
from PIL import ExifTags, Image, ImageDraw, ImageFont

pillow_heif.register_heif_opener()

UPRIGHT = 1
TURNED_LEFT = 6  # what a phone held upright writes: shown after a quarter turn to the right
NOISE_SIDE = 512


@cache
def jpeg(
    width: int = 640,
    height: int = 480,
    *,
    orientation: int | None = None,
    gps: bool = False,
    quality: int = 88,
    text: str = "",
    mode: str = "RGB",
) -> bytes:
    """A drawn photo; `orientation` and `gps` go into its EXIF, `text` is written across it."""
    picture = scene(width, height, text).convert(mode)
    return _saved(picture, "JPEG", quality=quality, exif=_exif(orientation, gps))


@cache
def big_jpeg(megapixels: float = 12.0, *, target_bytes: int | None = None) -> bytes:
    """A photo full of detail; its quality is chosen to come near `target_bytes` from below."""
    height = round((megapixels * 1_000_000 / 1.5) ** 0.5)
    picture = _noisy(round(height * 1.5), height)
    if target_bytes is None:
        return _saved(picture, "JPEG", quality=85)
    low, high = 1, 98
    best = _saved(picture, "JPEG", quality=low)
    while low < high:
        quality = (low + high + 1) // 2
        tried = _saved(picture, "JPEG", quality=quality)
        if len(tried) <= target_bytes:
            low, best = quality, tried
        else:
            high = quality - 1
    return best


@cache
def heavy_jpeg(size: int) -> bytes:
    """A photo of at least `size` bytes, nearly all of them comments in its header."""
    photo, comment = jpeg(), b"\xff\xfe\xff\xff" + bytes(0xFFFD)
    return photo[:2] + comment * (size // len(comment) + 1) + photo[2:]


@cache
def png(width: int = 640, height: int = 480, *, alpha: bool = False, text: str = "") -> bytes:
    """A PNG; with `alpha` its left half is transparent."""
    picture = scene(width, height, text)
    if alpha:
        mask = Image.new("L", picture.size, 255)
        mask.paste(0, (0, 0, width // 2, height))
        picture.putalpha(mask)
    return _saved(picture, "PNG")


@cache
def webp(width: int = 640, height: int = 480, *, orientation: int | None = None) -> bytes:
    """A lossy WebP."""
    return _saved(scene(width, height), "WEBP", quality=80, exif=_exif(orientation, False))


@cache
def heic(
    width: int = 640,
    height: int = 480,
    *,
    ten_bit: bool = False,
    orientation: int | None = None,
    gps: bool = False,
) -> bytes:
    """A HEIC as phones make it: `orientation` stands in the container and in the EXIF."""
    picture = scene(width, height)
    if not ten_bit:
        return _saved(picture, "HEIF", quality=70, exif=_exif(orientation, gps))
    shallow = picture.tobytes()
    deep = bytearray(2 * len(shallow))
    deep[1::2] = shallow
    buffer = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", picture.size, bytes(deep)).save(
        buffer, quality=70, exif=_exif(orientation, gps) or None
    )
    return buffer.getvalue()


@cache
def gif(width: int = 64, height: int = 48) -> bytes:
    """A picture in a format that is not taken."""
    return _saved(scene(width, height), "GIF")


@cache
def tiff(width: int = 64, height: int = 48) -> bytes:
    """A picture in a format that is not taken."""
    return _saved(scene(width, height), "TIFF")


def png_flood(width: int = 60_000, height: int = 60_000) -> bytes:
    """A few bytes that promise gigabytes of pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _png_chunk(b"IHDR", header),
            _png_chunk(b"IDAT", zlib.compress(bytes(100_000), 9)),
            _png_chunk(b"IEND", b""),
        )
    )


def cut(data: bytes, fraction: float = 0.5) -> bytes:
    """The first part of a file, as a broken upload leaves it."""
    return data[: int(len(data) * fraction)]


def html() -> bytes:
    """A page, as a captive portal answers."""
    return b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>\n"


def svg() -> bytes:
    """A vector picture with a script."""
    return (
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="10" height="10">'
        b"<script>alert(1)</script></svg>\n"
    )


def pdf() -> bytes:
    """The smallest document a viewer opens."""
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    )


def zipped() -> bytes:
    """An archive with a photo inside."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("photo.jpg"), jpeg(64, 48))
    return buffer.getvalue()


def mp4() -> bytes:
    """The head of a film; its box structure is that of HEIC, its brand is not."""
    brands = b"isom\x00\x00\x02\x00isomiso2avc1mp41"
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + b"\x00\x00\x00\x08free" * 8


def scene(width: int, height: int, text: str = "") -> Image.Image:
    """A person before a wall, brighter to the top left: turning it is seen at once."""
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    unit = min(width, height) / 10
    middle = width / 2
    draw.rectangle((0, 0, unit * 2, unit * 2), fill=(250, 220, 90))
    draw.ellipse(
        (middle - 3 * unit, height - 4 * unit, middle + 3 * unit, height + 3 * unit),
        fill=(60, 90, 160),
    )
    draw.ellipse(
        (middle - 1.5 * unit, height / 2 - 3 * unit, middle + 1.5 * unit, height / 2 + unit),
        fill=(224, 180, 150),
    )
    if text:
        draw.text((unit, unit), text, fill="red", font=ImageFont.load_default(max(unit, 8)))
    return picture


def _noisy(width: int, height: int) -> Image.Image:
    tile = Image.frombytes("RGB", (NOISE_SIDE,) * 2, random.Random(7).randbytes(NOISE_SIDE**2 * 3))
    picture = scene(width, height)
    noise = Image.new("RGB", picture.size)
    for left in range(0, width, NOISE_SIDE):
        for top in range(0, height, NOISE_SIDE):
            noise.paste(tile, (left, top))
    return Image.blend(picture, noise, 0.25)


def _exif(orientation: int | None, gps: bool) -> bytes:
    exif = Image.Exif()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    if gps:
        exif[ExifTags.Base.Make] = "Photoslot test camera"
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(
            {1: "N", 2: (55.0, 45.0, 7.0), 3: "E", 4: (37.0, 36.0, 56.0)}
        )
    return exif.tobytes() if len(exif) else b""


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **{name: value for name, value in options.items() if value})
    return buffer.getvalue()


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
