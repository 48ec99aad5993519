import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import photos
import pytest
from PIL import ExifTags, Image, ImageChops, ImageCms, ImageOps, ImageStat
from PIL.PngImagePlugin import PngInfo

from service.errors import ImageTooLarge, InvalidImage, UnsupportedMediaType
from service.pictures.inspect import inspect
from service.pictures.prepare import PREVIEW_SIDE, prepare, preview, without_metadata

MANY = 120_000_000
ALL_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/heic"})
JPEG_ONLY = frozenset({"image/jpeg"})

RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 160, 30), (30, 30, 200), (240, 240, 240)
CORNERS = (RED, GREEN, BLUE, WHITE)
WIDTH, HEIGHT = 240, 160
# Turning the upright picture by the first operation gives the pixels a camera stores with that tag.
STORED: dict[int, Image.Transpose | None] = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

Prepare = Callable[..., tuple[Image.Image, str]]


@pytest.fixture
def prepared(tmp_path: Path) -> Prepare:
    """`prepared(data, max_side=0, accepted=ALL_TYPES)` gives the picture that is sent, and
    its type; what is told of its file is checked on the way."""

    def run(
        data: bytes, max_side: int = 0, accepted: frozenset[str] = ALL_TYPES
    ) -> tuple[Image.Image, str]:
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(data)
        photo = prepare(source, target, max_side, accepted)
        made = Image.open(io.BytesIO(target.read_bytes()))
        made.load()
        assert (photo.path, photo.bytes) == (target, target.stat().st_size)
        assert (photo.width, photo.height) == made.size
        assert photo.mime == Image.MIME[made.format or ""]
        return made, photo.mime

    return run


def quarters(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Red, green, blue and white from the top left corner to the bottom right."""
    picture = Image.new("RGB", (width, height))
    for number, colour in enumerate(CORNERS):
        left, top = (number % 2) * width // 2, (number // 2) * height // 2
        picture.paste(colour, (left, top, left + width // 2, top + height // 2))
    return picture


def corners(picture: Image.Image) -> tuple[Any, ...]:
    """Which colour each quarter has, in the order of CORNERS."""
    width, height = picture.size
    places = [(x, y) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    shown = [picture.convert("RGB").getpixel(place) for place in places]
    return tuple(min(CORNERS, key=lambda known: distance(known, colour)) for colour in shown)


def distance(one: Any, other: Any) -> int:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **options)
    return target.getvalue()


def tagged(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif.tobytes()


def as_stored(orientation: int) -> Image.Image:
    turn = STORED[orientation]
    return quarters() if turn is None else quarters().transpose(turn)


def turned_heic(orientation: int) -> bytes:
    """A HEIC as a phone makes it: the container turns it (`irot`, `imir`), and the tag says so."""
    return saved(as_stored(orientation), "HEIF", quality=90, exif=tagged(orientation))


FORMATS = {
    "image/jpeg": photos.jpeg(),
    "image/png": photos.png(),
    "image/webp": photos.webp(),
    "image/heic": photos.heic(),
}
each_format = pytest.mark.parametrize(("mime", "data"), FORMATS.items(), ids=FORMATS)


@each_format
def test_the_bytes_decide_what_a_picture_is(mime: str, data: bytes) -> None:
    info = inspect(data, MANY)

    assert (info.mime, info.width, info.height, info.orientation) == (mime, 640, 480, 1)
    assert not info.has_metadata


@each_format
def test_a_file_and_its_bytes_are_the_same(mime: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / "misleading.gif").write_bytes(data)

    assert inspect(tmp_path / "misleading.gif", MANY) == inspect(data, MANY)


@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.5, 0.9, 0.99])
@each_format
def test_a_cut_file_is_an_invalid_image(mime: str, data: bytes, fraction: float) -> None:
    with pytest.raises(InvalidImage):
        inspect(photos.cut(data, fraction), MANY)


@each_format
def test_a_file_without_its_last_bytes_is_an_invalid_image(mime: str, data: bytes) -> None:
    with pytest.raises(InvalidImage):
        inspect(data[:-200], MANY)


@pytest.mark.parametrize(
    "data",
    [
        photos.html(),
        photos.svg(),
        photos.pdf(),
        photos.zipped(),
        photos.mp4(),
        photos.gif(),
        photos.tiff(),
        saved(quarters(), "BMP"),
        b"",
        b"\0" * 4096,
        b"\xff\xd8",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"just some words",
    ],
    ids=[
        *("html", "svg", "pdf", "zip", "mp4", "gif", "tiff", "bmp"),
        *("empty", "zeros", "two bytes", "wave", "words"),
    ],
)
def test_anything_else_is_no_supported_media(data: bytes) -> None:
    with pytest.raises(UnsupportedMediaType):
        inspect(data, MANY)


def test_a_pixel_flood_is_refused_from_its_header() -> None:
    flood = photos.png_flood(60_000, 60_000)
    tracemalloc.start()
    try:
        with pytest.raises(ImageTooLarge) as raised:
            inspect(flood, MANY)
        assert tracemalloc.get_traced_memory()[1] < 5 * 1024**2
    finally:
        tracemalloc.stop()
    assert "60000 x 60000" in raised.value.details
    assert "120 megapixels" in raised.value.details


@each_format
def test_the_limit_counts_pixels(mime: str, data: bytes) -> None:
    assert inspect(data, 640 * 480).width == 640
    with pytest.raises(ImageTooLarge):
        inspect(data, 640 * 480 - 1)


@pytest.mark.parametrize("tail", [b"\0" * 20, b"\r\n", b"garbage", b"\xff" * 5000])
def test_what_follows_the_end_of_a_jpeg_does_no_harm(prepared: Prepare, tail: bytes) -> None:
    data = saved(quarters(), "JPEG") + tail

    assert inspect(data, MANY).mime == "image/jpeg"
    assert corners(prepared(data)[0]) == CORNERS


def test_a_jpeg_cut_right_after_the_thumbnail_in_its_exif_is_an_invalid_image() -> None:
    """The thumbnail has an end marker of its own."""
    thumbnail = saved(quarters(16, 16), "JPEG")
    head = b"\xff\xd8\xff\xe1" + (len(thumbnail) + 8).to_bytes(2) + b"Exif\0\0" + thumbnail
    assert inspect(head + saved(quarters(), "JPEG")[2:], MANY).width == WIDTH

    with pytest.raises(InvalidImage):
        inspect(head, MANY)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_turned_picture_is_sent_upright(prepared: Prepare, kind: str, orientation: int) -> None:
    data = saved(as_stored(orientation), kind, exif=tagged(orientation))

    assert inspect(data, MANY).orientation == orientation
    made, _ = prepared(data)

    assert made.size == (WIDTH, HEIGHT)
    assert corners(made) == CORNERS
    assert not made.getexif()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_heic_is_turned_once(prepared: Prepare, orientation: int) -> None:
    data = turned_heic(orientation)
    assert (b"irot" in data) is (orientation in (3, 5, 6, 7, 8))

    info = inspect(data, MANY)
    made, mime = prepared(data)

    assert (info.width, info.height) == made.size == (WIDTH, HEIGHT)
    assert mime == "image/jpeg"
    assert corners(made) == CORNERS


def test_a_senseless_orientation_is_upright(prepared: Prepare) -> None:
    data = saved(quarters(), "JPEG", exif=tagged(77))

    assert inspect(data, MANY).orientation == 1
    assert corners(prepared(data)[0]) == CORNERS


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_place_owner_and_serial_number_stay_in_the_service(
    prepared: Prepare, tmp_path: Path, kind: str
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "OWNER-OF-THE-CAMERA"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.BodySerialNumber] = "SERIAL-0123456789"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (55.0, 45.0, 7.0), 18: "WGS-84-DATUM"})
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>SECRET-XMP</x:xmpmeta>"
    options = {"exif": exif.tobytes()} | ({} if kind == "PNG" else {"xmp": xmp})
    data = saved(quarters(), kind, **options)
    assert b"SERIAL-0123456789" in data
    assert inspect(data, MANY).has_metadata

    made, _ = prepared(data)

    sent = (tmp_path / "target").read_bytes()
    for secret in (b"OWNER", b"SERIAL", b"WGS-84", b"SECRET-XMP", b"Exif"):
        assert secret not in sent
    assert not made.getexif()
    assert not set(made.info) - {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_comments_and_texts_stay_in_the_service(prepared: Prepare, tmp_path: Path) -> None:
    texts = PngInfo()
    texts.add_text("Comment", "NAME-OF-A-GUEST")
    texts.add_itxt("Description", "NAME-OF-A-GUEST")
    transparent = quarters().convert("RGBA")
    for data in (
        saved(quarters(), "JPEG", comment=b"NAME-OF-A-GUEST"),
        saved(transparent, "PNG", pnginfo=texts),
    ):
        assert b"NAME-OF-A-GUEST" in data
        prepared(data)
        assert b"NAME-OF-A-GUEST" not in (tmp_path / "target").read_bytes()


def test_transparency_is_kept_where_the_provider_takes_it(prepared: Prepare) -> None:
    made, mime = prepared(photos.png(alpha=True), accepted=ALL_TYPES)

    assert mime == "image/png"
    assert made.mode == "RGBA"
    assert made.getpixel((10, 240))[3] == 0  # type: ignore[index]
    assert made.getpixel((630, 240))[3] == 255  # type: ignore[index]


def test_transparency_becomes_white_where_it_does_not(prepared: Prepare) -> None:
    made, mime = prepared(photos.png(alpha=True), accepted=JPEG_ONLY)

    assert mime == "image/jpeg"
    assert distance(made.getpixel((10, 240)), (255, 255, 255)) < 12
    assert distance(made.getpixel((630, 5)), (255, 255, 255)) > 300


def test_a_palette_with_a_transparent_colour_keeps_it(prepared: Prepare) -> None:
    palette = quarters().quantize(4)
    transparent = palette.getpixel((1, 1))
    data = saved(palette, "PNG", transparency=transparent)

    made, mime = prepared(data)
    flat, _ = prepared(data, accepted=JPEG_ONLY)

    assert (made.mode, mime) == ("RGBA", "image/png")
    assert made.getpixel((1, 1))[3] == 0  # type: ignore[index]
    assert distance(made.getpixel((WIDTH - 2, 1))[:3], GREEN) < 20  # type: ignore[index]
    assert distance(flat.getpixel((20, 20)), (255, 255, 255)) < 12
    assert distance(flat.getpixel((WIDTH - 20, 20)), GREEN) < 20


@each_format
def test_no_side_is_longer_than_wanted(prepared: Prepare, mime: str, data: bytes) -> None:
    made, _ = prepared(data, max_side=320)

    assert made.size == (320, 240)


@each_format
def test_a_small_picture_is_never_scaled_up(prepared: Prepare, mime: str, data: bytes) -> None:
    assert prepared(data, max_side=2048)[0].size == (640, 480)


@each_format
def test_without_a_longest_side_every_pixel_stays(
    prepared: Prepare, mime: str, data: bytes
) -> None:
    assert prepared(data, max_side=0)[0].size == (640, 480)


def test_a_turned_picture_is_scaled_by_its_upright_sides(prepared: Prepare) -> None:
    data = photos.jpeg(800, 400, orientation=photos.TURNED_LEFT)

    assert prepared(data, max_side=200)[0].size == (100, 200)


def test_a_very_long_picture_keeps_at_least_one_pixel(prepared: Prepare) -> None:
    assert prepared(photos.jpeg(4000, 3), max_side=256)[0].size == (256, 1)


def test_16_bits_a_channel_become_8(prepared: Prepare) -> None:
    ramp = Image.new("I;16", (256, 64))
    ramp.putdata([x * 257 for _ in range(64) for x in range(256)])

    made, _ = prepared(saved(ramp, "PNG"))

    for x in (0, 64, 128, 255):
        assert distance(made.convert("RGB").getpixel((x, 32)), (x, x, x)) <= 12


def test_a_10_bit_heic_is_taken(prepared: Prepare) -> None:
    data = photos.heic(ten_bit=True)

    assert inspect(data, MANY).mime == "image/heic"
    made, mime = prepared(data)
    assert (made.size, mime) == ((640, 480), "image/jpeg")
    difference = ImageChops.difference(made, photos.scene(640, 480))
    assert max(ImageStat.Stat(difference).mean) < 8


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P"])
def test_every_kind_of_pixels_keeps_its_look(prepared: Prepare, mode: str) -> None:
    picture = quarters().quantize(16) if mode == "P" else quarters().convert(mode)

    made, _ = prepared(saved(picture, "PNG"))

    wanted = picture.convert("RGB")
    assert max(ImageStat.Stat(ImageChops.difference(made.convert("RGB"), wanted)).mean) < 10


def test_a_wide_gamut_is_turned_into_srgb(prepared: Prepare) -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(swapped_primaries()))
    data = saved(Image.new("RGB", (64, 64), (200, 60, 60)), "PNG", icc_profile=profile.tobytes())

    made, _ = prepared(data)

    assert "icc_profile" not in made.info
    red, green, blue = made.convert("RGB").getpixel((32, 32))  # type: ignore[misc]
    assert green > red, "the profile says that the first channel is green"


def swapped_primaries() -> bytes:
    """sRGB with the places of red and green exchanged: nobody can take it for sRGB."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132])
    places = {bytes(profile[at : at + 4]): at for at in range(132, 132 + count * 12, 12)}
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def test_a_cmyk_jpeg_becomes_rgb(prepared: Prepare) -> None:
    data = photos.jpeg(mode="CMYK")

    assert inspect(data, MANY).mime == "image/jpeg"
    made, mime = prepared(data, max_side=320)
    assert (made.mode, mime) == ("RGB", "image/jpeg")
    reference = photos.scene(640, 480).resize((320, 240))
    assert max(ImageStat.Stat(ImageChops.difference(made, reference)).mean) < 12


def test_a_broken_profile_is_ignored(prepared: Prepare) -> None:
    data = saved(quarters(), "JPEG", icc_profile=b"this is no profile")

    assert corners(prepared(data)[0]) == CORNERS


def test_the_first_picture_of_an_mpo_is_taken(prepared: Prepare) -> None:
    second = ImageOps.invert(quarters())
    data = saved(quarters(), "MPO", save_all=True, append_images=[second])
    assert Image.open(io.BytesIO(data)).format == "MPO"

    assert inspect(data, MANY).mime == "image/jpeg"
    made, mime = prepared(data, max_side=120)

    assert (made.size, mime) == ((120, 80), "image/jpeg")
    assert corners(made) == CORNERS


@pytest.mark.parametrize("data", FORMATS.values(), ids=FORMATS)
def test_broken_bytes_in_the_middle_never_surprise(prepared: Prepare, data: bytes) -> None:
    """Whatever is in the file, it is a picture or an `InvalidImage`."""
    outcomes = set()
    for at in range(16, len(data), len(data) // 15):
        broken = data[:at] + bytes(255 - byte for byte in data[at : at + 8]) + data[at + 8 :]
        try:
            inspect(broken, MANY)
            prepared(broken)
            outcomes.add("a picture")
        except (InvalidImage, UnsupportedMediaType, ImageTooLarge) as refusal:
            outcomes.add(refusal.reason)

    assert outcomes - {"a picture"}


def test_without_metadata_gives_the_same_picture_bare() -> None:
    for kind, mime in (("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")):
        bare = without_metadata(saved(as_stored(6), kind, exif=tagged(6), quality=90))

        assert inspect(bare, MANY).mime == mime
        assert not inspect(bare, MANY).has_metadata
        assert corners(Image.open(io.BytesIO(bare))) == CORNERS


def test_without_metadata_a_heic_becomes_a_jpeg() -> None:
    bare = without_metadata(turned_heic(6))

    assert inspect(bare, MANY).mime == "image/jpeg"
    assert corners(Image.open(io.BytesIO(bare))) == CORNERS


def test_without_metadata_keeps_transparency() -> None:
    bare = without_metadata(photos.png(alpha=True))

    assert Image.open(io.BytesIO(bare)).getpixel((10, 240))[3] == 0  # type: ignore[index]


@each_format
def test_a_preview_is_a_small_webp(mime: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / "result").write_bytes(data)

    small, width, height = preview(tmp_path / "result")

    picture = Image.open(io.BytesIO(small))
    assert (picture.format, picture.size) == ("WEBP", (width, height))
    assert (width, height) == (PREVIEW_SIDE, PREVIEW_SIDE * 3 // 4)
    assert len(small) < 40_000


def test_a_preview_is_upright_and_bare(tmp_path: Path) -> None:
    data = saved(as_stored(6), "JPEG", exif=tagged(6), comment=b"NAME-OF-A-GUEST")
    (tmp_path / "result").write_bytes(data)

    small, width, height = preview(tmp_path / "result")

    picture = Image.open(io.BytesIO(small))
    assert (width, height) == (WIDTH, HEIGHT)
    assert corners(picture) == CORNERS
    assert not picture.getexif()
    assert b"NAME-OF-A-GUEST" not in small


def test_a_cut_result_has_no_preview(tmp_path: Path) -> None:
    (tmp_path / "result").write_bytes(photos.cut(photos.jpeg()))

    with pytest.raises(InvalidImage):
        preview(tmp_path / "result")
