"""The figures of the service as admins see them."""

import pytest
from browser import PHONE, Person, barriers, look_again
from camera import Camera
from conftest import MakePerson
from playwright.sync_api import expect
from rig import Sandbox

pytestmark = pytest.mark.browser


def test_shots_are_counted_drawn_and_told_in_a_table(
    admin_browser: Person, camera: Camera, sandbox: Sandbox
) -> None:
    page = admin_browser.open("/statistics?window=3600")
    expect(page.get_by_text("No shots in this time.")).to_be_visible()
    camera.shoot(slot="slot-002")
    sandbox.dial(["content_blocked"])
    camera.shoot(slot="slot-003")
    look_again(page)

    figures = page.locator("#figures")
    expect(figures).to_contain_text("50%")
    expect(page.locator("#outcomes svg g")).not_to_have_count(0)
    page.locator("#outcomes .plot").press("End")
    expect(page.locator("#outcomes .told")).to_contain_text("done: 1, failed: 1, out of time: 0")
    page.locator("#durations .plot").press("End")
    expect(page.locator("#durations .told")).to_contain_text("95% ready within: ")
    page.locator("#outcomes summary").click()
    expect(page.locator("#outcomes [data-part=rows] tr").last).to_contain_text("1")
    expect(page.locator("#slots tr")).to_have_count(2)
    expect(page.locator("#why")).to_contain_text("The provider declines this picture.")
    assert barriers(page) == []

    page.get_by_label("Slot", exact=True).select_option("slot-002")
    expect(figures).to_contain_text("100%")
    assert page.url.endswith("/statistics?window=3600&slot_id=slot-002")
    page.go_back()
    expect(figures).to_contain_text("50%")


def test_it_is_readable_on_a_phone_in_the_dark(make_person: MakePerson, camera: Camera) -> None:
    camera.shoot()
    page = make_person("ru", "dark", PHONE).sign_in().open("/statistics")

    expect(page.locator("#figures")).to_contain_text("Успешно")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert barriers(page) == []
