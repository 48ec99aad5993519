"""Galleries for guests: from the admin's link to the hall and the phone, until the link ends."""

from collections.abc import Iterator

import pytest
from admin import Admin, signed_in
from browser import PHONE, Held, Person, barriers, let_it_work, look_again, wait_pictures
from camera import Camera
from conftest import MakePerson
from playwright.sync_api import Page, expect
from rig import Service
from tables import ChangeSlot, Execute

from service.pictures.qr import qr_code

pytestmark = pytest.mark.browser


XSS = '<img src=x onerror="document.title=1">&<b>bold'


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


def share(admin: Admin, slot_id: str | None = None, label: str = "") -> dict[str, str]:
    told: dict[str, str] = admin.post(
        "/api/shares", json={"slot_id": slot_id, "label": label}
    ).json()
    return told


def thumbs(page: Page) -> list[str]:
    """The jobs whose pictures are shown, in their order."""
    found = page.locator(".thumb").evaluate_all("all => all.map((one) => one.pathname)")
    return [path.removeprefix("/r/") for path in found]


def test_a_link_made_by_an_admin_is_opened_by_a_guest(
    admin_browser: Person, make_person: MakePerson, camera: Camera, slot: ChangeSlot
) -> None:
    slot("slot-002", name=XSS)
    older, newer = (camera.shoot(slot="slot-002").headers["x-job-id"] for _ in range(2))
    camera.shoot()
    desk = admin_browser.open("/shares")
    expect(desk.get_by_text("No link works now.")).to_be_visible()
    assert barriers(desk) == []
    desk.get_by_label("Shows").select_option(f"{XSS} (slot-002)")
    desk.get_by_label("Name").fill(XSS)
    desk.get_by_label("Name").press("Enter")

    dialog = desk.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name=XSS)).to_be_visible()
    link = dialog.locator("#code-address").inner_text()
    drawn = desk.request.get(dialog.get_by_role("img").get_attribute("src") or "")
    assert drawn.body() == qr_code(link)
    assert barriers(desk) == []
    phone = make_person("ru", "dark", PHONE).open(link)

    expect(phone.get_by_role("heading", name=XSS)).to_be_visible()
    expect(phone.get_by_text("2 фотографии")).to_be_visible()
    assert thumbs(phone) == [newer, older]
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert barriers(phone) == []
    assert desk.title() == "Galleries · Photoslot"

    dialog.get_by_role("button", name="Close").click()
    desk.get_by_role("button", name="Take back").click()
    expect(desk.get_by_role("dialog")).to_contain_text(XSS)
    desk.get_by_role("dialog").get_by_role("button", name="Take back").click()
    expect(desk.get_by_text("1 link that has ended")).to_be_visible()
    desk.get_by_text("1 link that has ended").click()
    expect(desk.locator("#over [data-part=state]")).to_contain_text("Taken back")
    assert barriers(desk) == []


def test_the_name_of_a_gallery_outlives_the_session(admin_browser: Person) -> None:
    admin_browser.expect_refusal(401)
    desk = admin_browser.open("/shares")
    desk.get_by_label("Name").fill("Wedding")
    admin_browser.context.clear_cookies()
    desk.get_by_role("button", name="Make a link").click()
    expect(desk.get_by_role("link", name="Sign in in another tab")).to_be_visible()
    admin_browser.sign_in()

    desk.get_by_role("button", name="Make a link").click()

    expect(desk.get_by_role("dialog").get_by_role("heading", name="Wedding")).to_be_visible()
    expect(desk.get_by_text("Your session has ended.").first).to_be_hidden()


def test_an_answer_from_before_the_session_ended_does_not_hide_that_it_has(
    admin_browser: Person,
) -> None:
    admin_browser.expect_refusal(401)
    desk = admin_browser.open("/shares")
    desk.get_by_label("Name").fill("Wedding")
    make = desk.get_by_role("button", name="Make a link")
    expect(make).to_be_enabled()
    before = Held(admin_browser, "**/api/slots", answered=True)
    look_again(desk)
    before.wait(desk)
    admin_browser.context.clear_cookies()
    make.click()
    sign_in = desk.get_by_role("link", name="Sign in in another tab")
    expect(sign_in).to_be_visible()

    before.let_go()
    let_it_work(desk)

    expect(sign_in).to_be_visible()


def test_a_link_is_made_once_it_can_be_chosen_what_it_opens(admin_browser: Person) -> None:
    slots = Held(admin_browser, "**/api/slots")
    desk = admin_browser.open("/shares")
    slots.wait(desk)
    make = desk.get_by_role("button", name="Make a link")
    expect(make).to_be_disabled()

    slots.let_go()

    expect(make).to_be_enabled()
    expect(desk.get_by_label("Works for")).to_have_value("72")


def test_a_picture_that_comes_after_its_link_has_ended_is_not_shown(
    make_person: MakePerson, admin: Admin, camera: Camera
) -> None:
    camera.shoot()
    link = share(admin)
    guest = make_person()
    guest.expect_refusal(403)
    pictures = Held(guest, "**/public/results/*", answered=True)
    hall = guest.open(link["show_url"])
    pictures.wait(hall)
    admin.delete(f"/api/shares/{link['id']}")
    look_again(hall)
    expect(hall.get_by_role("heading", name="does not work any more")).to_be_visible()

    pictures.let_go()
    let_it_work(hall)

    assert hall.locator("#slides img").count() == 0


def test_a_link_that_ends_takes_the_pictures_from_the_screen(
    make_person: MakePerson, admin: Admin, camera: Camera
) -> None:
    camera.shoot()
    link = share(admin, "slot-001")
    people = [make_person(), make_person()]
    for person in people:
        person.expect_refusal(403)
    page, hall = people[0].open(link["page_url"]), people[1].open(link["show_url"])
    expect(page.locator(".thumb")).to_have_count(1)
    expect(hall.locator("#slides img")).to_have_count(1)

    admin.delete(f"/api/shares/{link['id']}")
    for each in (page, hall):
        look_again(each)

    expect(page.get_by_role("heading", name="does not work any more")).to_be_visible()
    expect(hall.get_by_role("heading", name="does not work any more")).to_be_visible()
    expect(page.locator(".thumb")).to_have_count(0)
    expect(hall.locator("#slides img")).to_have_count(0)
    expect(hall.locator("#code")).to_be_hidden()
    assert barriers(page) == barriers(hall) == []


def test_pictures_are_gone_through_by_keyboard(
    make_person: MakePerson, admin: Admin, camera: Camera, execute: Execute
) -> None:
    jobs = [camera.shoot().headers["x-job-id"] for _ in range(3)][::-1]
    page = make_person().open(share(admin)["page_url"])
    large = page.locator("#large")
    page.locator(".thumb").first.focus()
    page.keyboard.press("Enter")
    expect(large).to_have_attribute("src", f"/public/results/{jobs[0]}")
    expect(page.get_by_text("1 of 3")).to_be_visible()
    assert barriers(page) == []

    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    expect(large).to_have_attribute("src", f"/public/results/{jobs[1]}")
    expect(page.get_by_role("link", name="Open its page")).to_have_attribute(
        "href", f"/r/{jobs[1]}"
    )
    wait_pictures(page)
    execute("update media_object set cleaned_at = now() where job_id = %s", jobs[1])
    look_again(page)

    expect(large).to_have_attribute("src", f"/public/results/{jobs[2]}")
    expect(page.get_by_text("2 of 2")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert thumbs(page) == [jobs[0], jobs[2]]


def test_a_gallery_is_offline_and_back(
    make_person: MakePerson, admin: Admin, camera: Camera
) -> None:
    guest = make_person()
    page = guest.open(share(admin)["page_url"])
    expect(page.get_by_role("heading", name="No photos yet")).to_be_visible()
    assert barriers(page) == []
    guest.go_offline()
    expect(page.get_by_text("No connection to Photoslot.").first).to_be_visible()
    camera.shoot(slot="slot-009")

    guest.come_back()

    expect(page.locator(".thumb")).to_have_count(1)
    expect(page.get_by_role("heading", name="Slot 9")).to_be_visible()


def test_a_slide_show_takes_in_new_pictures_by_itself(
    make_person: MakePerson, admin: Admin, camera: Camera
) -> None:
    hall = make_person("ru")
    page = hall.open(share(admin, "slot-001")["show_url"])
    expect(page.get_by_role("heading", name="Здесь появится первая фотография")).to_be_visible()
    expect(page.get_by_role("img", name="QR-код галереи")).to_have_js_property("complete", True)
    assert barriers(page) == []
    first = camera.shoot().headers["x-job-id"]
    look_again(page)
    shown = page.locator("#slides img")
    expect(shown).to_have_attribute("data-job", first)

    hall.go_offline()
    second = camera.shoot().headers["x-job-id"]
    expect(shown).to_have_attribute("data-job", first)
    hall.come_back()

    expect(shown).to_have_attribute("data-job", second)
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Продолжить (пробел)")).to_be_attached()
    page.keyboard.press("ArrowLeft")
    expect(shown).to_have_attribute("data-job", first)
    assert barriers(page) == []
