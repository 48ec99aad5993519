"""QR codes: what a phone reads in them is what was put in."""

import re
from xml.etree import ElementTree

import segno

from service.pictures.qr import qr_code

STEP = re.compile(r"([Mmh])(-?[\d.]+)(?: ?(-?[\d.]+))?")


def modules(svg: bytes) -> list[list[int]]:
    """The dark and light squares of a drawn code, its quiet zone taken off."""
    picture = ElementTree.fromstring(svg)
    side = int(picture.attrib["viewBox"].split()[2])
    ground, lines = list(picture)
    assert (ground.attrib["fill"], lines.attrib["stroke"]) == ("#fff", "#000")
    drawn = [[0] * side for _ in range(side)]
    x, y = 0.0, 0.0
    for command, first, second in STEP.findall(lines.attrib["d"]):
        if command == "h":
            row = drawn[int(y)]
            row[int(x) : int(x + float(first))] = [1] * int(float(first))
            x += float(first)
        else:
            start = (0.0, 0.0) if command == "M" else (x, y)
            x, y = start[0] + float(first), start[1] + float(second)
    assert not any(drawn[0]) and not any(drawn[3]), "the quiet zone is four squares wide"
    return [row[4:-4] for row in drawn[4:-4]]


def test_it_says_what_was_put_in() -> None:
    text = "https://photos.example.org/r/5b708edd-42d4-44a0-8f8c-1257b43714f7#" + "k" * 43

    drawn = modules(qr_code(text))

    assert drawn == [list(row) for row in segno.make_qr(text, error="m").matrix]


def test_it_has_no_size_of_its_own() -> None:
    picture = ElementTree.fromstring(qr_code("https://photos.example.org/g#token"))

    assert not {"width", "height"} & set(picture.attrib)
