"""People at their browsers: headless Chromium on the service's pages.

Whatever a page complains of fails its test: an error in the console, an exception nobody caught, a
violation of the content security policy. The browser reaches this machine and nothing else.
"""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from admin import ADMIN, ADMIN_PASSWORD, ensure_account
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Route,
    sync_playwright,
)
from rig import Service

# The proxy is a port nobody listens on: what is not on this machine fails at once.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--proxy-server=127.0.0.1:9",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
PATIENCE_MS = 10_000
POLL_MS = 20
WORK_MS = 200
# A page is there when its frame is made and nothing on it still waits for data.
CONTENT = 'html[data-ready]:not(:has([aria-busy="true"]))'
WATCH = """
    addEventListener("securitypolicyviolation", (event) =>
        console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""
REFUSED = re.compile(
    r"Failed to load resource: (?:net::ERR_|the server responded with a status of )(\w+)"
)


class SharedBrowser:
    """One browser for tests that follow one another. It is closed before any other test:
    playwright's event loop runs as long as it does, and no asynchronous test can run beside it."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._browser: Browser | None = None

    def open(self) -> Browser:
        """The browser, started when it is not open."""
        self._browser = self._browser or self._opened.enter_context(chromium())
        return self._browser

    def close(self) -> None:
        """End it."""
        self._opened.close()
        self._browser = None


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser: Debian's if it is there, best its shell without windows, else playwright's own."""
    with sync_playwright() as playwright:
        found = shutil.which("chromium-headless-shell") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Person:
    """Somebody with a browser of their own: cookies, language, colours, size of the screen."""

    def __init__(
        self,
        browser: Browser,
        service: Service,
        language: str = "en",
        theme: str = "light",
        screen: dict[str, int] = DESKTOP,
    ) -> None:
        self.service = service
        self._expected: set[str] = set()
        self._complaints: list[str] = []
        self._context = browser.new_context(
            base_url=service.url,
            locale={"en": "en-GB", "ru": "ru-RU"}[language],
            color_scheme="dark" if theme == "dark" else "light",
            viewport={"width": screen["width"], "height": screen["height"]},
            timezone_id="Europe/Moscow",
            reduced_motion="reduce",
        )
        self._context.set_default_timeout(PATIENCE_MS)
        self._context.add_init_script(WATCH)
        self._context.on("console", self._listen)
        self._context.on("weberror", lambda error: self._complaints.append(str(error.error)))

    @property
    def context(self) -> BrowserContext:
        return self._context

    def sign_in(self, username: str = ADMIN, password: str = ADMIN_PASSWORD) -> "Person":
        """Begin a session without the sign-in page."""
        ensure_account(self.service, username, password)
        body = {"username": username, "password": password}
        answer = self._context.request.post("/api/login", data=body)
        assert answer.ok, answer.text()
        return self

    def open(self, path: str) -> Page:
        """A new tab with this page, ready to be used."""
        page = self._context.new_page()
        page.goto(path)
        page.wait_for_selector("html[data-ready]")
        return page

    def expect_refusal(self, *kinds: int | str) -> None:
        """The browser notes every refused request as an error; these, by their status or by what
        follows `net::ERR_`, are part of the test."""
        self._expected.update(map(str, kinds))

    def go_offline(self) -> None:
        """Pull the cable; that requests fail from now on is part of the test."""
        self._expected.add("INTERNET_DISCONNECTED")
        self._switch(is_offline=True)

    def come_back(self) -> None:
        """Plug it in again."""
        self._switch(is_offline=False)

    def _switch(self, *, is_offline: bool) -> None:
        """Every page is told, as browsers do: on a machine that has no network at all Chromium sees
        no difference and says nothing."""
        was = [page.evaluate("navigator.onLine") for page in self._context.pages]
        self._context.set_offline(is_offline)
        event = "offline" if is_offline else "online"
        for page, was_online in zip(self._context.pages, was, strict=True):
            if page.evaluate("navigator.onLine") is was_online:
                page.evaluate("name => window.dispatchEvent(new Event(name))", event)

    def leave(self) -> None:
        """Close every tab. Fails with whatever a page complained of."""
        self._context.close()
        assert not self._complaints, "\n".join(self._complaints)

    def _listen(self, message: ConsoleMessage) -> None:
        refused = REFUSED.match(message.text)
        if message.type != "error" or (refused and refused[1] in self._expected):
            return
        self._complaints.append(f"{message.text} ({message.location.get('url')})")


class Held:
    """Requests of a person's pages that stand still until they are let go; with `answered`, their
    answers do: the service has done its part."""

    def __init__(
        self, person: Person, what: str | re.Pattern[str], *, answered: bool = False
    ) -> None:
        self.count = 0
        self._what = what
        self._answered = answered
        self._is_holding = True
        self._waiting: list[Callable[[], None]] = []
        person.context.route(what, self._hold)

    def wait(self, page: Page) -> None:
        """Until one is held."""
        end = time.monotonic() + PATIENCE_MS / 1000
        while not self._waiting:
            assert time.monotonic() < end, f"nobody asked for {self._what}"
            page.wait_for_timeout(POLL_MS)

    def let_go(self) -> None:
        """These go on, and none is held any more."""
        self._is_holding = False
        for go_on in self._waiting:
            go_on()

    def _hold(self, route: Route) -> None:
        self.count += 1
        go_on: Callable[[], None] = route.continue_
        if self._is_holding and self._answered:
            go_on = partial(route.fulfill, response=route.fetch())
        if self._is_holding:
            self._waiting.append(go_on)
        else:
            go_on()


def look_again(page: Page) -> None:
    """What a page does when its tab is looked at again: it asks at once."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def let_it_work(page: Page) -> None:
    """Give a page the time to do what it does with what it has: for what must not happen."""
    page.wait_for_timeout(WORK_MS)


def wait_pictures(page: Page) -> None:
    """Wait until every picture in sight has come: one that is taken away on its way would be an
    error of its own."""
    page.wait_for_function(
        "() => [...document.images].every((one) => !one.checkVisibility() || one.complete)"
    )


def barriers(page: Page, *rules: str) -> list[str]:
    """What keeps people from using the page as it is now, found by axe-core by all its rules or by
    these."""
    options = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else None
    violations: list[dict[str, Any]] = Axe().run(page, options=options).response["violations"]
    return [
        f"{found['id']}: {found['help']}: {node['target']} {node['failureSummary']}"
        for found in violations
        for node in found["nodes"]
    ]
