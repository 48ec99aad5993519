"""Queue of orders: pictures are fetched and drawn while the client asks again and again."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from service.sandbox.calls import Call
from service.sandbox.dials import Play
from service.sandbox.images import NotAnImage, ReceivedImage
from service.sandbox.picture import Painting, draw, thumbnail_size
from service.sandbox.threads import in_thread
from service.sandbox.turbotext.inputs import fetch_pictures
from service.sandbox.turbotext.methods import METHODS, Complaint

MAX_ITEMS = 1_000
FIRST_ID = 48_001
OUTPUT_WIDTH = 768
OUTPUT_MIME = "image/png"


@dataclass
class Item:
    """One order. `ready` is a `time.monotonic()` moment, and a gate may keep it back longer;
    `polls` counts all get_results, `asked` those since it was drawn, `downloads` those of the
    picture."""

    id: int
    method: str
    form: Mapping[str, str]
    prompt: str
    outcome: str
    ready: float
    gate: asyncio.Event | None
    drip: bool
    origin: str
    work: "asyncio.Task[bytes]"
    polls: int = 0
    asked: int = 0
    downloads: int = 0
    size: tuple[int, int] = (0, 0)

    @property
    def file(self) -> str:
        """The name of the finished picture."""
        return f"{self.method}_id{self.form.get('user_id', '1')}_{self.id}.png"

    @property
    def is_ready(self) -> bool:
        return time.monotonic() >= self.ready and (self.gate is None or self.gate.is_set())


class Queue:
    """The orders of one sandbox, the newest MAX_ITEMS of them."""

    def __init__(self) -> None:
        self._items: dict[int, Item] = {}

    def add(
        self,
        call: Call,
        form: Mapping[str, str],
        prompt: str,
        play: Play,
        origin: str,
    ) -> Item:
        """Take an order and begin to work on it; it is ready when `play` says so."""
        method = call.model or ""
        number = FIRST_ID + call.number
        item = Item(
            id=number,
            method=method,
            form=form,
            prompt=prompt,
            outcome=play.outcome,
            ready=time.monotonic() + play.latency_s,
            gate=play.gate,
            drip=play.drip,
            origin=origin,
            work=asyncio.create_task(_no_work()),
        )
        item.work = asyncio.create_task(_develop(item, call))
        self._items[number] = item
        while len(self._items) > MAX_ITEMS:
            self._items.pop(next(iter(self._items)))
        return item

    def find(self, number: str, method: str) -> Item:
        """The order with that id, which only its own method knows; raises `Complaint`."""
        item = self._items.get(int(number)) if number.isdecimal() else None
        if item is None or item.method != method:
            raise Complaint(f"Задание {number[:60]} не найдено")
        return item

    def of_file(self, file: str) -> Item | None:
        """The order a finished picture belongs to."""
        return next((item for item in self._items.values() if item.file == file), None)


async def _no_work() -> bytes:
    return b""


async def _develop(item: Item, call: Call) -> bytes:
    parts = METHODS[item.method].pictures
    if not parts:
        return b""
    images = await fetch_pictures({field: item.form[field] for field in parts}, call)
    width, height = images[0].upright_size
    item.size = (OUTPUT_WIDTH, max(16, round(OUTPUT_WIDTH * height / width)))
    return await in_thread(partial(_draw, item, images))


def _draw(item: Item, images: list[ReceivedImage]) -> bytes:
    parts = METHODS[item.method].pictures
    numbered = [f"{number} {part}" for number, part in enumerate(parts.values(), 1)]
    signature = f"Photoslot sandbox · turbotext · {item.method}"
    caption = " · ".join([*numbered, *([item.prompt] if item.prompt else [])])
    try:
        for index, image in enumerate(images):
            image.check(thumbnail_size(item.size) if index else item.size)
    except NotAnImage as problem:
        raise Complaint("Файл не является изображением") from problem
    return draw(Painting(item.size, images, signature, caption, OUTPUT_MIME))
