"""Sample photo: the service's own, for test shots; somebody before a wall, as in a booth."""

import io
from functools import cache

from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 1200, 900
WALL, LIGHT = (92, 104, 118), (206, 209, 207)
SKIN, SHADE, HAIR, SHIRT = (226, 178, 148), (201, 146, 118), (58, 41, 33), (38, 84, 124)
LIPS, WHITE, IRIS = (176, 88, 84), (246, 244, 240), (74, 102, 86)

Box = tuple[int, int, int, int]

# From back to front: colour, and the box of an ellipse.
SITTER: tuple[tuple[tuple[int, int, int], Box], ...] = (
    (HAIR, (434, 150, 766, 620)),
    (SHIRT, (260, 690, 940, 1200)),
    (SHADE, (530, 560, 670, 780)),
    (SKIN, (462, 210, 738, 650)),
    (HAIR, (452, 176, 748, 372)),
    (SKIN, (480, 268, 720, 560)),
    *((WHITE, (x - 28, 398, x + 28, 426)) for x in (542, 658)),
    *((IRIS, (x - 13, 398, x + 13, 425)) for x in (542, 658)),
    *((HAIR, (x - 6, 404, x + 6, 417)) for x in (542, 658)),
    *((HAIR, (x - 36, 364, x + 36, 376)) for x in (542, 658)),
    (SHADE, (580, 472, 620, 496)),
    (LIPS, (550, 540, 650, 568)),
)


@cache
def sample_photo() -> bytes:
    """A JPEG of 1200 by 900 pixels, always the same. Blocks."""
    picture = _wall()
    draw = ImageDraw.Draw(picture)
    for colour, box in SITTER:
        draw.ellipse(box, fill=colour)
    target = io.BytesIO()
    picture.filter(ImageFilter.GaussianBlur(1.2)).save(target, "JPEG", quality=90)
    return target.getvalue()


def _wall() -> Image.Image:
    """Lit from where the sitter is."""
    lit = Image.radial_gradient("L").resize((WIDTH, HEIGHT))
    return Image.composite(Image.new("RGB", lit.size, WALL), Image.new("RGB", lit.size, LIGHT), lit)
