"""QR codes: what a phone reads is what was put in, and nobody waits for a drawing."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from xml.etree import ElementTree

import pytest
import segno

from service.errors import Overloaded
from service.pictures import qr
from service.pictures.qr import MAX_WAITING, PACE_SECONDS, QrCodes, qr_code

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


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


@pytest.mark.anyio
async def test_a_code_that_is_kept_waits_for_no_other(threads: ThreadPoolExecutor) -> None:
    codes, gate = QrCodes(threads), Event()
    known = await codes.draw("known")
    threads.submit(gate.wait)
    try:
        twice = [asyncio.create_task(codes.draw("new")) for _ in range(2)]

        assert await codes.draw("known") is known
        assert not any(task.done() for task in twice)
    finally:
        gate.set()
    first, second = await asyncio.gather(*twice)
    assert first is second
    assert first == qr_code("new")


@pytest.mark.anyio
async def test_who_leaves_does_not_take_the_code_of_another(threads: ThreadPoolExecutor) -> None:
    codes, gate = QrCodes(threads), Event()
    threads.submit(gate.wait)
    leaving, staying = (asyncio.create_task(codes.draw("text")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    gate.set()
    assert await staying == qr_code("text")


@pytest.mark.anyio
async def test_the_least_recently_used_are_forgotten(
    threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qr, "MAX_KEPT", 4)
    codes = QrCodes(threads)
    first, second = await codes.draw("0"), await codes.draw("1")
    for number in range(2, 4):
        await codes.draw(str(number))

    assert await codes.draw("0") is first
    await codes.draw("one more")

    assert await codes.draw("0") is first
    assert await codes.draw("1") is not second


@pytest.mark.anyio
async def test_codes_are_given_out_at_their_pace(threads: ThreadPoolExecutor) -> None:
    codes, loop = QrCodes(threads), asyncio.get_running_loop()
    started = loop.time()

    turns = [asyncio.create_task(codes.wait_turn()) for _ in range(MAX_WAITING + 1)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await codes.wait_turn()
    await asyncio.gather(*turns)

    assert loop.time() - started >= MAX_WAITING * PACE_SECONDS - 0.01
    await codes.wait_turn()
