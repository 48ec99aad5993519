"""QR codes, drawn once for each text and kept for a while, and given out at a measured pace.

Drawing one takes tens of milliseconds of pure computing: it has a thread of its own, so that
neither the event loop nor the pictures of shots wait for it. Whoever has a link may ask for its
code as often as the network allows: the pace leaves the processor to the shots.
"""

import asyncio
import io
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import segno

from service.errors import Overloaded
from service.threads import in_thread

QUIET_ZONE = 4
# A code is some 10 KB: a few megabytes for the pictures and galleries of an event.
MAX_KEPT = 512
# Fifty codes a second, more than all guests of an event ask for.
PACE_SECONDS = 0.02
# So many wait for their turn at most, which is a second or two; the next are told to come again.
MAX_WAITING = 64


class QrCodes:
    """The codes of a process, the least recently used ones forgotten."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._drawn: dict[str, asyncio.Task[bytes]] = {}
        self._next = 0.0

    async def wait_turn(self) -> None:
        """Wait until one more code may be given out, PACE_SECONDS behind the one before. Raises
        `Overloaded` when MAX_WAITING others wait."""
        now = asyncio.get_running_loop().time()
        wait = max(0.0, self._next - now)
        if wait >= MAX_WAITING * PACE_SECONDS:
            raise Overloaded("Too many QR codes are asked for.")
        self._next = now + wait + PACE_SECONDS
        await asyncio.sleep(wait)

    async def draw(self, text: str) -> bytes:
        """See `qr_code`. Who asks for a code that is being drawn gets the same one."""
        if text in self._kept:
            self._kept.move_to_end(text)
            return self._kept[text]
        task = self._drawn.get(text)
        if task is None:
            task = self._drawn[text] = asyncio.create_task(self._draw(text))
        return await asyncio.shield(task)

    async def _draw(self, text: str) -> bytes:
        try:
            code = self._kept[text] = await in_thread(self._threads, qr_code, text)
        finally:
            del self._drawn[text]
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return code


def qr_code(text: str) -> bytes:
    """An SVG of any size that a phone's camera reads from a screen or from paper: its ground is
    white, whatever the page's is. Blocks."""
    target = io.BytesIO()
    segno.make_qr(text, error="m").save(
        target, "svg", border=QUIET_ZONE, light="#fff", xmldecl=False, omitsize=True
    )
    return target.getvalue()
