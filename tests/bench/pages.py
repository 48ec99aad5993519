"""What a page weighs and how soon it is there, when a browser sees it for the first time.

The photos on it are left out of its weight: they come after it and are as large as they are.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any
from urllib.parse import urljoin, urlsplit

import photos
from admin import sign_in
from browser import CONTENT, Person, chromium
from camera import Camera
from figures import Figure
from load import SLOTS
from playwright.sync_api import Browser, Page
from rig import Service
from stage import Stage

from service.app import PAGES

KILOBYTE = 1000
PHOTOS = ("image/jpeg", "image/png", "image/webp")
NOWHERE = "/nowhere"
WATCH = f"""
    new MutationObserver((_changes, observer) => {{
        if (!document.querySelector('{CONTENT}')) return;
        observer.disconnect();
        performance.mark("content");
    }}).observe(document, {{ subtree: true, attributeFilter: ["aria-busy", "data-ready"] }});
"""
SHOWN_AFTER = 'performance.getEntriesByName("content")[0]?.startTime'


@dataclass(frozen=True)
class Size:
    """How often every page is loaded to be weighed, and then to be timed: who listens to every
    answer slows the browser down."""

    weighed: int
    timed: int


FULL = Size(weighed=2, timed=11)
QUICK = Size(weighed=1, timed=3)


@dataclass
class Load:
    """What came in on a visit with an empty cache: bytes, heads included, without photos, and how
    many answers that were."""

    bytes: int = 0
    answers: int = 0
    photos: set[str] = field(default_factory=set)

    def note_answer(self, event: dict[str, Any]) -> None:
        """`Network.responseReceived` of the DevTools protocol."""
        if event["response"]["mimeType"] in PHOTOS:
            self.photos.add(event["requestId"])

    def note_end(self, event: dict[str, Any]) -> None:
        """`Network.loadingFinished`: only now it is known how much an answer was."""
        if event["requestId"] not in self.photos:
            self.bytes += event["encodedDataLength"]
            self.answers += 1


def first_loads(stage: Stage, size: Size) -> Iterator[Figure]:
    """Every page of the service, with a picture in every slot."""
    with stage.service() as service, chromium() as browser:
        addresses = _addresses(service)
        cookies = _signed_in(browser, service)
        for page, address in addresses.items():
            loads = [_weighed(browser, service, address, cookies) for _ in range(size.weighed)]
            yield _weight(page, loads)
            times = [_timed(browser, service, address, cookies) for _ in range(size.timed)]
            yield _time(page, sorted(times))


def _weight(page: str, loads: list[Load]) -> Figure:
    [answers] = Counter(load.answers for load in loads).most_common(1)
    return Figure(
        name=f"{page}, first load",
        value=max(load.bytes for load in loads) / KILOBYTE,
        unit="kB",
        limit=100,
        how=f"the most of {len(loads)}, over the wire without photos, {answers[0]} answers",
    )


def _time(page: str, times: list[float]) -> Figure:
    return Figure(
        name=f"{page}, content",
        value=median(times),
        unit="ms",
        limit=300,
        how=f"median of {len(times)} with an empty cache, {times[0]:.0f} to {times[-1]:.0f} ms",
    )


def _addresses(service: Service) -> dict[str, str]:
    """Where every page is, by its path in the registry; a gallery's is the link to it."""
    jobs = [Camera(service.url).shoot(photos.jpeg(), slot).headers["x-job-id"] for slot in SLOTS]
    known = {"slot_id": SLOTS[0], "job_id": jobs[0]}
    links = {urlsplit(link).path: link for link in _links(service)}
    found = {}
    for path in [*(route.path for route in PAGES if "/static/" not in route.path), NOWHERE]:
        address = path.format(**known)
        found[path] = links.get(address, urljoin(service.url, address))
    return found


def _links(service: Service) -> Iterator[str]:
    """The links of a gallery of one slot and of one of all slots."""
    with sign_in(service) as admin:
        for slot_id in (SLOTS[0], None):
            share = admin.post("/api/shares", json={"slot_id": slot_id, "label": "bench"}).json()
            yield from (share["page_url"], share["show_url"])


def _signed_in(browser: Browser, service: Service) -> list[Any]:
    person = Person(browser, service).sign_in()
    cookies = person.context.cookies()
    person.leave()
    return cookies


def _weighed(browser: Browser, service: Service, address: str, cookies: list[Any]) -> Load:
    load = Load()
    with _visitor(browser, service, cookies) as page:
        wire = page.context.new_cdp_session(page)
        wire.on("Network.responseReceived", load.note_answer)
        wire.on("Network.loadingFinished", load.note_end)
        wire.send("Network.enable")
        page.goto(address)
        page.wait_for_load_state("networkidle")
    return load


def _timed(browser: Browser, service: Service, address: str, cookies: list[Any]) -> float:
    """Milliseconds until the content was there."""
    with _visitor(browser, service, cookies) as page:
        page.goto(address)
        # First: who waits for the selector asks the page for it, at the page's cost.
        page.wait_for_load_state("networkidle")
        page.wait_for_selector(CONTENT, state="attached")
        shown_after: float = page.evaluate(SHOWN_AFTER)
    return shown_after


@contextmanager
def _visitor(browser: Browser, service: Service, cookies: list[Any]) -> Iterator[Page]:
    """Somebody signed in comes for the first time: a browser's profile of its own each time, whose
    first window has come to rest, for it keeps both processors busy while it starts."""
    person = Person(browser, service)
    person.expect_refusal(404)
    person.context.add_cookies(cookies)
    person.context.add_init_script(WATCH)
    page = person.context.new_page()
    page.wait_for_load_state("networkidle")
    yield page
    person.leave()


MEASUREMENTS = (first_loads,)
