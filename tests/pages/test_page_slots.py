"""The fifteen cards: how slots stand, kept fresh, and what can be done from there."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from admin import Admin, signed_in
from browser import Held, Person, barriers, let_it_work, look_again
from camera import Camera
from conftest import MakePerson
from playwright.sync_api import Locator, Page, expect
from rig import Sandbox, Service

pytestmark = pytest.mark.browser

XSS = '<img src=x onerror="document.title=1">&<b>bold'


@pytest.fixture
def colleague(service: Service) -> Iterator[Admin]:
    """Another admin, at work over the API."""
    with signed_in(service, "igor") as admin:
        yield admin


def card(page: Page, name: str) -> Locator:
    return page.locator(".card").filter(has=page.get_by_role("heading", name=name, exact=True))


def test_a_shot_arrives_on_its_card_without_reloading(
    admin_browser: Person, camera: Camera, sandbox: Sandbox
) -> None:
    page = admin_browser.open("/")
    third = card(page, "Slot 3")
    expect(page.locator(".card")).to_have_count(15)
    expect(third).to_contain_text("Ready; no shot in the last hour")
    expect(third.locator("img")).to_be_hidden()

    job_id = camera.shoot(slot="slot-003").headers["x-job-id"]
    look_again(page)

    expect(third).to_have_attribute("data-status", "ok")
    expect(third).to_contain_text("Works; last picture just now")
    expect(third).to_contain_text("100%")
    expect(third.locator("img")).to_have_attribute("src", f"/public/results/{job_id}/preview")
    expect(third.locator("img")).to_have_js_property("complete", True)

    sandbox.dial(["content_blocked"])
    for _ in range(2):
        camera.shoot(slot="slot-003")
    look_again(page)

    expect(third).to_have_attribute("data-status", "bad")
    expect(third).to_contain_text("The provider declines this picture.")
    expect(third).to_contain_text("33%")
    assert barriers(page) == []


def test_every_state_has_its_shape_and_its_words(
    make_person: MakePerson, slot: Callable[..., None], execute: Callable[..., int]
) -> None:
    slot("slot-001", is_active=False)
    slot("slot-002", ingest_password_hash=None)
    execute(
        "insert into job_history (id, slot_id, slot_version, status, provider, operation,"
        " client_address, created_at, finished_at, total_ms)"
        " select gen_random_uuid(), 'slot-004', 1, 'done', 'gemini', 'image_edit',"
        " '10.0.0.1', now() - interval '60 s', now(), 46000"
    )
    page = make_person("ru", "dark").sign_in().open("/")

    for name, light, words in (
        ("Slot 1", "off", "Выключен: камеры получают отказ"),
        ("Slot 2", "bad", "Нет пароля приёма: камеры получают отказ"),
        ("Slot 4", "warn", "Работает, но почти выбирает отведённое время"),
        ("Slot 5", "idle", "Готов; за последний час снимков не было"),
    ):
        expect(card(page, name).locator("[data-part=light]")).to_have_attribute("data-icon", light)
        expect(card(page, name)).to_contain_text(words)
    expect(page.locator("#summary")).to_have_text(
        "2 слота требуют внимания · 14 включено · 0 снимков в работе"
    )
    assert barriers(page) == []


def test_a_slot_is_switched_off_after_a_question(admin_browser: Person, camera: Camera) -> None:
    page = admin_browser.open("/")
    switch = page.get_by_role("switch", name="Slot 2: takes shots")
    switch.click()
    page.get_by_role("button", name="Cancel").click()
    expect(switch).to_be_checked()
    assert camera.shoot(slot="slot-002").status_code == 200

    switch.click()
    expect(page.get_by_role("dialog")).to_contain_text("Switch off Slot 2?")
    page.get_by_role("button", name="Switch off").click()

    expect(switch).not_to_be_checked()
    expect(page.get_by_text("Slot 2 is off.")).to_be_visible()
    assert camera.shoot(slot="slot-002").json()["failure_reason"] == "slot_disabled"
    switch.click()
    expect(switch).to_be_checked()


def test_a_switch_waits_until_it_is_known_how_the_slot_stands(admin_browser: Person) -> None:
    """Also when the page has asked just before: that answer is older than the change."""
    page = admin_browser.open("/")
    switch = page.get_by_role("switch", name="Slot 2: takes shots")
    expect(switch).to_be_checked()
    before = Held(admin_browser, "**/api/slots", answered=True)
    look_again(page)
    before.wait(page)
    switch.click()
    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_text("Slot 2 is off.")).to_be_visible()
    let_it_work(page)
    expect(switch).to_be_disabled()

    before.let_go()

    expect(switch).to_be_enabled()
    expect(switch).not_to_be_checked()
    expect(switch).to_be_focused()
    switch.click()
    expect(page.get_by_text("Slot 2 is on.")).to_be_visible()


def test_two_admins_do_not_undo_each_other(admin_browser: Person, colleague: Admin) -> None:
    admin_browser.expect_refusal(409)
    page = admin_browser.open("/")
    switch = page.get_by_role("switch", name="Slot 2: takes shots")
    switch.click()
    change: dict[str, Any] = {"version": 1, "name": XSS}
    assert colleague.put("/api/slots/slot-002", change).status_code == 200

    page.get_by_role("button", name="Switch off").click()

    expect(page.get_by_text("Somebody else has just changed this slot")).to_be_visible()
    expect(card(page, XSS)).to_have_attribute("data-status", "idle")
    assert page.title() == "Slots · Photoslot"


def test_the_ingest_link_is_copied(admin_browser: Person) -> None:
    admin_browser.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = admin_browser.open("/")
    page.get_by_role("button", name="Copy the ingest link of slot-007").click()
    expect(page.get_by_text("Copied.")).to_be_visible()

    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{admin_browser.service.url}/api/ingest/slot-007"


def test_the_page_survives_a_lost_network(admin_browser: Person, camera: Camera) -> None:
    page = admin_browser.open("/")
    expect(card(page, "Slot 1")).to_contain_text("Ready")
    admin_browser.go_offline()
    expect(page.get_by_text("No connection to Photoslot.").first).to_be_visible()
    camera.shoot()

    admin_browser.come_back()

    expect(card(page, "Slot 1")).to_contain_text("Works")
    expect(page.get_by_text("No connection to Photoslot.").first).to_be_hidden()
