"""The settings of the service in the hands of admins."""

from collections.abc import Iterator

import pytest
from admin import Admin, signed_in
from browser import PHONE, Held, Person, barriers, look_again
from camera import Camera
from conftest import MakePerson
from playwright.sync_api import Page, expect
from rig import Service

pytestmark = pytest.mark.browser


@pytest.fixture
def colleague(service: Service) -> Iterator[Admin]:
    """Another admin, at work over the API."""
    with signed_in(service, "igor") as admin:
        yield admin


def opened(person: Person) -> Page:
    page = person.open("/settings")
    expect(page.locator("#settings")).to_have_attribute("aria-busy", "false")
    return page


def test_settings_are_saved_and_a_wrong_one_is_told_at_its_field(admin_browser: Person) -> None:
    admin_browser.expect_refusal(422)
    page = opened(admin_browser)
    window = page.get_by_label("Window, s")
    page.get_by_label("Pictures are kept, hours").fill("24")
    window.fill("99")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("At most 60.")).to_be_visible()
    expect(window).to_be_focused()
    expect(page.get_by_label("Pictures are kept, hours")).to_have_value("24")

    window.fill("30")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("Saved; in force at once.")).to_be_visible()
    page.reload()
    expect(window).to_have_value("30")
    assert barriers(page) == []


def test_a_new_password_is_asked_about_and_a_key_is_never_shown_again(
    admin_browser: Person, camera: Camera
) -> None:
    page = opened(admin_browser)
    page.get_by_role("button", name="Make up a password").click()
    password = page.get_by_label("Ingest password of all slots").input_value()
    page.get_by_label("OpenAI: API key").fill("sk-secret-of-mine")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_contain_text("Replace the password of every slot?")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()

    expect(page.get_by_text("Saved; in force at once.")).to_be_visible()
    assert len(password) == 12
    answer = camera.shoot(password=password)
    assert answer.status_code == 200, answer.text
    page.reload()
    key = page.get_by_label("OpenAI: API key")
    expect(key).to_have_value("")
    expect(key).to_have_attribute("placeholder", "set here")
    assert "sk-secret-of-mine" not in page.content()
    page.get_by_role("checkbox", name="Give up the key set here").check()
    page.get_by_role("button", name="Save").click()
    expect(key).to_have_attribute("placeholder", "set in the environment")


def test_a_second_click_saves_once_and_what_is_typed_meanwhile_stays(
    admin_browser: Person,
) -> None:
    page = opened(admin_browser)
    window, hours = page.get_by_label("Window, s"), page.get_by_label("Pictures are kept, hours")
    key, save = page.get_by_label("OpenAI: API key"), page.get_by_role("button", name="Save")
    window.fill("20")
    answer = Held(admin_browser, "**/api/settings", answered=True)
    save.dblclick()
    answer.wait(page)
    hours.fill("24")
    key.fill("sk-secret-of-mine")
    expect(save).to_be_disabled()
    assert answer.count == 1

    answer.let_go()

    expect(page.get_by_text("Saved; in force at once.")).to_be_visible()
    expect(hours).to_have_value("24")
    expect(key).to_have_value("sk-secret-of-mine")
    save.click()
    expect(page.locator("#state")).to_be_empty()
    page.reload()
    expect(window).to_have_value("20")
    expect(hours).to_have_value("24")
    expect(key).to_have_attribute("placeholder", "set here")


def test_two_admins_see_both_sides(admin_browser: Person, colleague: Admin) -> None:
    admin_browser.expect_refusal(409)
    page = opened(admin_browser)
    page.get_by_label("Window, s").fill("20")
    version = colleague.get("/api/settings").json()["version"]
    change = {"version": version, "sync_response_seconds": 55, "result_ttl_hours": 24}
    assert colleague.put("/api/settings", change).status_code == 200

    page.get_by_role("button", name="Save").click()

    conflict = page.locator("#conflict")
    expect(conflict).to_contain_text("55")
    expect(conflict).to_contain_text("20")
    conflict.get_by_role("button", name="Keep what I typed").click()
    expect(page.locator("[name=result_ttl_hours]")).to_have_value("24")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved; in force at once.")).to_be_visible()
    saved = colleague.get("/api/settings").json()
    assert (saved["sync_response_seconds"], saved["result_ttl_hours"]) == (20, 24)


def test_a_session_that_ends_takes_nothing_away(admin_browser: Person) -> None:
    admin_browser.expect_refusal(401)
    page = opened(admin_browser)
    key = page.get_by_label("OpenAI: API key")
    key.fill("sk-secret-of-mine")
    admin_browser.context.clear_cookies()

    look_again(page)

    banner = page.get_by_text("Sign in again and go on here: nothing you typed is lost.")
    expect(banner).to_be_visible()
    standing = page.get_by_role("status").filter(has_text="Your session has ended.")
    expect(standing).to_be_visible()
    admin_browser.sign_in()
    look_again(page)
    expect(banner).to_be_hidden()
    expect(standing).to_be_hidden()
    expect(key).to_have_value("sk-secret-of-mine")


def test_expired_files_are_removed_after_a_question(make_person: MakePerson) -> None:
    page = opened(make_person("ru", "dark", PHONE).sign_in())
    page.get_by_role("button", name="Удалить просроченное").click()
    page.get_by_role("dialog").get_by_role("button", name="Удалить просроченное").click()

    expect(page.locator("#cleaned")).to_contain_text("Удалено 0 файлов")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert barriers(page) == []
