"""The ready light on a page: it asks before it costs, shows how far it is, and says what to do."""

import json

import pytest
from browser import PHONE, Held, Person, barriers
from conftest import MakePerson
from playwright.sync_api import Locator, Page, expect
from rig import Sandbox
from tables import ChangeSlot, Execute

pytestmark = pytest.mark.browser


XSS = '<img src=x onerror="document.title=1">&<b>bold'

CHECKS = ("database", "clock")


def finding(page: Page, name: str) -> Locator:
    return page.locator(".finding").filter(has=page.get_by_role("heading", name=name))


def test_one_red_slot_makes_the_light_red_and_says_what_to_do(
    admin_browser: Person, sandbox: Sandbox, execute: Execute, slot: ChangeSlot
) -> None:
    execute("update slot set is_active = id in ('slot-001', 'slot-002')")
    slot("slot-002", name=XSS, settings={"prompt": "[sandbox outcome=content_blocked]"})
    sandbox.dial(latency_s=1.0)
    page = admin_browser.open("/preflight")
    expect(page.get_by_role("heading", name="Not checked yet")).to_be_visible()

    page.get_by_role("button", name="Check with photos").click()
    expect(page.get_by_role("dialog")).to_contain_text("Take a test photo on 2 slots?")
    assert sandbox.calls(action="generate") == []
    page.get_by_role("button", name="Take them").click()

    expect(page.get_by_text("7 of 9 checks")).to_be_visible()
    expect(page.get_by_role("button", name="Check with photos")).to_be_disabled()
    expect(finding(page, "Slot 1")).to_contain_text("Waiting…")
    expect(page.get_by_role("heading", name="Not ready")).to_be_visible()
    expect(
        page.get_by_text("1 check failed · 1 warning · 2 orders at the providers")
    ).to_be_visible()
    expect(finding(page, "Slot 1")).to_contain_text("Works.")
    expect(finding(page, "Slot 1").get_by_role("img")).to_have_js_property("complete", True)
    red = finding(page, XSS)
    expect(red).to_have_attribute("data-status", "bad")
    expect(red).to_contain_text("The provider declines this picture.")
    expect(red).to_contain_text("IMAGE_SAFETY")
    expect(finding(page, "Public address")).to_contain_text("Set PUBLIC_BASE_URL")
    assert page.title() == "Preflight · Photoslot"
    assert barriers(page) == []


def test_a_second_click_is_no_second_order(
    admin_browser: Person, sandbox: Sandbox, execute: Execute
) -> None:
    execute("update slot set is_active = id = 'slot-001'")
    page = admin_browser.open("/preflight")
    slots = Held(admin_browser, "**/api/slots")
    page.get_by_role("button", name="Check with photos").dblclick()
    slots.wait(page)
    slots.let_go()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Check with photos")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Take them").click()

    expect(page.get_by_text("1 order at the providers")).to_be_visible()
    assert slots.count == 2
    assert len(sandbox.calls(action="generate")) == 1


def test_without_photos_it_costs_nothing_and_speaks_russian(
    make_person: MakePerson, sandbox: Sandbox
) -> None:
    page = make_person("ru", "dark", PHONE).sign_in().open("/preflight")
    page.get_by_role("button", name="Проверить без фото").click()

    expect(page.get_by_role("heading", name="Готово, есть предупреждения")).to_be_visible()
    expect(page.locator(".finding")).to_have_count(22)
    expect(finding(page, "База данных")).to_contain_text("Отвечает")
    assert sandbox.calls(action="generate") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert barriers(page) == []


def test_a_check_that_is_cut_off_says_so(admin_browser: Person) -> None:
    page = admin_browser.open("/preflight")
    plan = {"checks": [{"check": name, "subject": None, "name": None} for name in CHECKS]}
    page.route("**/api/preflight", lambda route: route.fulfill(body=json.dumps(plan) + "\n{"))

    page.get_by_role("button", name="Check without photos").click()

    expect(page.get_by_text("The check was cut off.")).to_be_visible()
    expect(page.get_by_role("heading", name="Not checked yet")).to_be_visible()
    expect(page.get_by_role("button", name="Check without photos")).to_be_enabled()
    assert barriers(page) == []
