"""Text rendering with nothing but Pillow's own typeface, which has no Cyrillic letters."""

import unicodedata
from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

ELLIPSIS = "…"

_LATIN = {
    **dict(zip("абвгдеёзийклмнопрстуфыэ", "abvgdeezijklmnoprstufye", strict=True)),
    **{"ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ь": ""},
    **{"ю": "yu", "я": "ya", "і": "i", "ї": "yi", "є": "ye", "ґ": "g", "ў": "u"},
    **{"–": "-", "—": "-", "„": '"', "“": '"', "”": '"', "’": "'", "‘": "'", "№": "No."},
}
_DRAWABLE = "·…«»"


@lru_cache(maxsize=32)
def font(height: int) -> Font:
    """Pillow's own scalable typeface, `height` pixels high."""
    return ImageFont.load_default(height)


def font_fitting(text: str, height: int, width: float) -> Font:
    """The typeface at `height`, or as much lower as makes the whole text fit into `width`."""
    face = font(height)
    length = face.getlength(text)
    return face if length <= width else font(max(6, int(height * width / length)))


def drawable(text: str) -> str:
    """The text on one line in letters the typeface has: Cyrillic is transliterated."""
    return "".join(_letter(character) for character in " ".join(text.split()))


def fitted(text: str, face: Font, width: float) -> str:
    """As many of the first words as fit into `width` pixels, with an ellipsis if some do not."""
    if face.getlength(text) <= width:
        return text
    words = text.split(" ")
    while words and face.getlength(" ".join(words) + ELLIPSIS) > width:
        words.pop()
    return " ".join(words) + ELLIPSIS if words else _cut_word(text, face, width)


def _cut_word(text: str, face: Font, width: float) -> str:
    while text and face.getlength(text + ELLIPSIS) > width:
        text = text[:-1]
    return text + ELLIPSIS


def _letter(character: str) -> str:
    if character.isascii() or character in _DRAWABLE:
        return character
    latin = _LATIN.get(character.lower())
    if latin is not None:
        return latin.capitalize() if character.isupper() else latin
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain or "·"
