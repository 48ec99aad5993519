"""Signing in and out, as a person does it."""

import pytest
from admin import ADMIN, ADMIN_PASSWORD, ensure_account
from browser import Held, Person, barriers, let_it_work, look_again
from conftest import MakePerson
from playwright.sync_api import Page, expect
from rig import Service

pytestmark = pytest.mark.browser


@pytest.fixture
def stranger(make_person: MakePerson, service: Service) -> Person:
    """Somebody who has an account and has not signed in."""
    ensure_account(service)
    return make_person()


def type_in(page: Page, username: str, password: str) -> None:
    """Fill in the form by keyboard alone; the first field has the focus."""
    page.keyboard.type(username)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")


def test_an_admin_signs_in_by_keyboard_and_comes_to_where_the_way_led(stranger: Person) -> None:
    page = stranger.open("/slots/slot-004")
    page.wait_for_url("**/login?next=%2Fslots%2Fslot-004")
    expect(page.get_by_text("Sign in to go on.")).to_be_visible()
    expect(page.get_by_label("Name")).to_be_focused()

    type_in(page, ADMIN, ADMIN_PASSWORD)

    page.wait_for_url("**/slots/slot-004")


def test_signing_out_ends_the_session(admin_browser: Person) -> None:
    admin_browser.expect_refusal(401)
    page = admin_browser.open("/")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")

    page.goto("/")

    page.wait_for_url("**/login?next=%2F")


def test_who_signs_out_is_not_led_back_by_what_the_page_asks_meanwhile(
    admin_browser: Person,
) -> None:
    admin_browser.expect_refusal(401)
    page = admin_browser.open("/")
    answer = Held(admin_browser, "**/api/logout", answered=True)
    page.get_by_role("button", name="Sign out").click()
    answer.wait(page)
    with page.expect_response(lambda told: told.status == 401):
        look_again(page)
    let_it_work(page)
    assert page.url == f"{admin_browser.service.url}/"

    answer.let_go()

    page.wait_for_url("**/login")


def test_signing_out_that_fails_says_so(admin_browser: Person) -> None:
    admin_browser.expect_refusal(503)
    page = admin_browser.open("/")
    away = {"failure_reason": "database_unavailable"}
    page.route("**/api/logout", lambda route: route.fulfill(status=503, json=away))

    page.get_by_role("button", name="Sign out").click()

    expect(page.get_by_text("The database does not answer.")).to_be_visible()
    assert page.url == f"{admin_browser.service.url}/"


def test_a_wrong_password_is_told_at_the_field_and_can_be_typed_anew(stranger: Person) -> None:
    stranger.expect_refusal(401)
    page = stranger.open("/login?next=//elsewhere.example/")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Enter your name.")
    type_in(page, ADMIN, "a wrong password")

    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(page.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Password")).to_be_focused()
    assert barriers(page) == []
    page.keyboard.type(ADMIN_PASSWORD)
    expect(page.get_by_role("alert")).to_be_hidden()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{stranger.service.url}/")


def test_a_second_enter_is_no_second_try(stranger: Person) -> None:
    stranger.expect_refusal(401)
    page = stranger.open("/login")
    tries = Held(stranger, "**/api/login")
    type_in(page, ADMIN, "a wrong password")
    page.keyboard.press("Enter")
    let_it_work(page)
    assert tries.count == 1

    tries.let_go()

    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(page.get_by_role("button", name="Sign in")).to_be_enabled()


def test_who_is_locked_out_reads_for_how_long(stranger: Person) -> None:
    stranger.expect_refusal(429)
    page = stranger.open("/login")
    for _ in range(10):
        body = {"username": ADMIN, "password": "wrong"}
        assert stranger.context.request.post("/api/login", data=body).status == 401

    type_in(page, ADMIN, ADMIN_PASSWORD)

    expected = "Too many tries from this address. Try again in 15 minutes."
    expect(page.get_by_role("alert")).to_have_text(expected)
    page.get_by_role("button", name="Русский").click()
    page.wait_for_selector("html[lang=ru][data-ready]")
    type_in(page, ADMIN, ADMIN_PASSWORD)
    expected = "Слишком много попыток с этого адреса. Повторите через 15 минут."
    expect(page.get_by_role("alert")).to_have_text(expected)
