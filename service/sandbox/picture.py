"""The sandbox's edit: a graded copy of the first image, signed so that nobody takes it for real.

The same bytes, prompt, model and size give the same picture, byte for byte.
"""

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageChops, ImageDraw, ImageOps

from service.sandbox.cache import Cache
from service.sandbox.images import ReceivedImage
from service.sandbox.lettering import drawable, fitted, font, font_fitting

Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]

REMEMBERED_PICTURES = 64
LONGEST_CAPTION = 200
JPEG_QUALITY = 90

SHADOWS, MIDTONES, HIGHLIGHTS = (24, 18, 66), (222, 92, 108), (255, 243, 214)
BAND, PAPER, CORAL, MUTED = (20, 15, 48), (255, 248, 235), (255, 158, 150), (176, 166, 205)
GRADE_STRENGTH = 0.72
VIGNETTE_FLOOR = 150

_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
# How a client may tell which image is what.
_NAMED_IMAGE = re.compile(r"Image (\d+): (?:the )?([^.\n]+)")
_finished: Cache[bytes] = Cache(REMEMBERED_PICTURES)


@dataclass(frozen=True)
class Painting:
    """What to draw: `signature`, `prompt` and `guidance`, where there is any, are the lines of the
    band at the bottom; `captions` name images by their number, the first being 1."""

    size: tuple[int, int]
    images: Sequence[ReceivedImage]
    signature: str
    prompt: str
    mime: str = "image/jpeg"
    guidance: str = ""
    captions: Mapping[int, str] = field(default_factory=dict)


def draw(painting: Painting) -> bytes:
    """The encoded picture; blocking, from memory when it was drawn before."""
    digest = _digest(painting)
    finished = _finished.get(digest)
    if finished is None:
        finished = encode(_paint(painting), painting.mime)
        _finished.put(digest, finished)
    return finished


def encode(image: Image.Image, mime: str) -> bytes:
    """The file of an image; fast rather than small."""
    file = io.BytesIO()
    image.save(file, _FORMATS[mime], quality=JPEG_QUALITY, compress_level=1)
    return file.getvalue()


def captions_in(guidance: str) -> dict[int, str]:
    """What a text calls the images, by their number."""
    return {int(number): name for number, name in _NAMED_IMAGE.findall(guidance)}


def band_box(size: tuple[int, int]) -> Box:
    """Where the signed band lies."""
    width, height = size
    return 0, height - max(24, round(min(size) * 0.13)), width, height


def thumbnail_boxes(size: tuple[int, int], count: int) -> list[Box]:
    """Where the second and further images lie, in their order: down the right edge, then left."""
    side = max(8, min(size) // 7)
    gap = max(2, side // 6)
    rows = max(1, (band_box(size)[1] - gap) // (side + gap))
    corners = [
        (size[0] - (index // rows + 1) * (side + gap), gap + index % rows * (side + gap))
        for index in range(count)
    ]
    return [(left, top, left + side, top + side) for left, top in corners]


def thumbnail_size(size: tuple[int, int]) -> tuple[int, int]:
    """Pixels of a further image inside its paper edge."""
    left, top, right, bottom = thumbnail_boxes(size, 1)[0]
    edge = 2 * _edge(right - left)
    return right - left - edge, bottom - top - edge


def _digest(painting: Painting) -> str:
    words = (
        *(painting.size, painting.signature, painting.prompt, painting.mime, painting.guidance),
        sorted(painting.captions.items()),
    )
    images = [image.facts.sha256 for image in painting.images]
    return hashlib.sha256(repr((words, images)).encode()).hexdigest()


def _paint(painting: Painting) -> Image.Image:
    canvas = _graded(_ground(painting))
    _add_thumbnails(canvas, painting)
    _add_frame(canvas)
    _add_band(canvas, painting)
    return canvas


def _ground(painting: Painting) -> Image.Image:
    if painting.images:
        return painting.images[0].upright(painting.size)
    slope = Image.linear_gradient("L").rotate(_hue(painting) * 360 // 256)
    return slope.resize(painting.size, Image.Resampling.BILINEAR).convert("RGB")


def _graded(image: Image.Image) -> Image.Image:
    """Split toning: indigo shadows, coral middle, cream lights, and a soft vignette."""
    grey = ImageOps.autocontrast(image.convert("L"), cutoff=0.5)
    toned = ImageOps.colorize(grey, SHADOWS, HIGHLIGHTS, MIDTONES, midpoint=118)
    return ImageChops.multiply(Image.blend(image, toned, GRADE_STRENGTH), _vignette(image.size))


def _vignette(size: tuple[int, int]) -> Image.Image:
    light = Image.radial_gradient("L").point(
        lambda distance: 255 - max(0, distance - 110) * (255 - VIGNETTE_FLOOR) // 145
    )
    return light.resize(size, Image.Resampling.BILINEAR).convert("RGB")


def _add_thumbnails(canvas: Image.Image, painting: Painting) -> None:
    """The second and further images on paper, each with its number and what it was called."""
    further = painting.images[1:]
    pen = ImageDraw.Draw(canvas)
    inner = thumbnail_size(canvas.size)
    boxes = thumbnail_boxes(canvas.size, len(further))
    for number, (image, box) in enumerate(zip(further, boxes, strict=True), 2):
        left, top, right, bottom = box
        edge = _edge(right - left)
        pen.rectangle((left, top, right - 1, bottom - 1), fill=PAPER)
        canvas.paste(image.upright(inner), (left + edge, top + edge))
        label = f"{number} {painting.captions.get(number, '')}".strip()
        _add_label(pen, (left + edge, bottom - edge, right - edge), label)


def _add_label(pen: ImageDraw.ImageDraw, foot: tuple[int, int, int], label: str) -> None:
    """A dark strip with words on the foot (left, bottom, right) of a thumbnail."""
    left, bottom, right = foot
    height = max(10, (right - left) // 5)
    pen.rectangle((left, bottom - height, right - 1, bottom - 1), fill=BAND)
    room = right - left - height // 2
    words = drawable(label)
    face = font_fitting(words, max(8, round(height * 0.7)), room)
    spot = (left + height // 4, bottom - height // 2)
    pen.text(spot, fitted(words, face, room), PAPER, face, "lm")


def _edge(side: int) -> int:
    return max(2, side // 30)


def _add_frame(canvas: Image.Image) -> None:
    line = max(1, min(canvas.size) // 300)
    inset = line * 5
    width, _ = canvas.size
    box = (inset, inset, width - inset - 1, band_box(canvas.size)[1] - inset - 1)
    ImageDraw.Draw(canvas).rectangle(box, outline=PAPER, width=line)


def _add_band(canvas: Image.Image, painting: Painting) -> None:
    left, top, right, bottom = band_box(canvas.size)
    height = bottom - top
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((left, top, right, bottom), fill=BAND)
    pen.rectangle((left, top, right, top + max(1, height // 24)), fill=_accent(painting))
    margin = round(height * 0.24)
    _add_mark(pen, (margin, top + margin, height - margin, bottom - margin), painting)
    room = right - height - margin
    for middle, size, colour, text in _lines(painting):
        words, tall = drawable(text[:LONGEST_CAPTION]), max(8, round(height * size))
        whole = text is painting.signature
        face = font_fitting(words, tall, room) if whole else font(tall)
        spot = (height, top + round(height * middle))
        pen.text(spot, fitted(words, face, room), colour, face, "lm")


def _lines(painting: Painting) -> Iterator[tuple[float, float, Colour, str]]:
    """The lines of the band: middle and size as parts of its height, colour, words."""
    if painting.guidance:
        yield 0.3, 0.24, PAPER, painting.signature
        yield 0.56, 0.2, CORAL, painting.prompt
        yield 0.8, 0.15, MUTED, painting.guidance
    else:
        yield 0.36, 0.27, PAPER, painting.signature
        yield 0.68, 0.23, CORAL, painting.prompt


def _add_mark(pen: ImageDraw.ImageDraw, box: Box, painting: Painting) -> None:
    """A small aperture: a ring in the colour of this prompt."""
    width = max(2, (box[2] - box[0]) // 6)
    pen.ellipse(box, outline=_accent(painting), width=width)
    inset = (box[2] - box[0]) * 3 // 8
    pen.ellipse((box[0] + inset, box[1] + inset, box[2] - inset, box[3] - inset), fill=PAPER)


def _accent(painting: Painting) -> Colour:
    dot = Image.new("HSV", (1, 1), (_hue(painting), 150, 250)).convert("RGB")
    red, green, blue = dot.tobytes()
    return red, green, blue


def _hue(painting: Painting) -> int:
    return hashlib.sha256(painting.prompt.encode()).digest()[0]
