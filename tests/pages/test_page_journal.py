"""The journal, one shot's story and the audit as admins see them."""

import re
from collections.abc import Callable

import pytest
from browser import CONTENT, PHONE, Held, Person, barriers, let_it_work, look_again, wait_pictures
from camera import Camera
from conftest import MakePerson
from playwright.sync_api import Page, expect
from rig import Sandbox

pytestmark = pytest.mark.browser

XSS = '<img src=x onerror="document.title=1">&<b>bold'


def rows(page: Page) -> list[str]:
    expect(page.locator("#shots")).to_have_attribute("aria-busy", "false")
    return page.locator("#rows tr").all_inner_texts()


def test_a_filter_stands_in_the_address_and_back_undoes_it(
    admin_browser: Person, camera: Camera, sandbox: Sandbox
) -> None:
    page = admin_browser.open("/journal")
    expect(page.get_by_text("No shots yet.")).to_be_visible()
    camera.shoot(slot="slot-001")
    sandbox.dial(["content_blocked"])
    camera.shoot(slot="slot-002")
    look_again(page)
    expect(page.locator("#rows tr")).to_have_count(2)
    expect(page.locator("#fresh")).to_have_text("2 new shots")
    assert barriers(page) == []

    page.get_by_label("Status").select_option("failed")

    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#rows")).to_contain_text("The provider declines this picture.")
    assert page.url.endswith("/journal?status=failed")
    with page.expect_download() as saving:
        page.get_by_text("As CSV").click()
    lines = saving.value.path().read_text().splitlines()
    assert len(lines) == 2 and "content_blocked" in lines[1]
    page.go_back()
    expect(page.locator("#rows tr")).to_have_count(2)
    expect(page.get_by_label("Status")).to_have_value("")
    page.get_by_label("Slot").select_option("slot-009")
    expect(page.get_by_text("No shot fits this filter.")).to_be_visible()
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("#rows tr")).to_have_count(2)
    assert page.url.endswith("/journal")


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/journal", "status", "failed"),
        ("/statistics", "window", "3600"),
        ("/audit", "action", "auth.logout"),
    ],
)
def test_a_filter_works_from_the_moment_it_is_seen(
    admin_browser: Person, path: str, name: str, value: str
) -> None:
    session = Held(admin_browser, "**/api/session")
    page = admin_browser.open(path)
    session.wait(page)

    page.locator(f"[name={name}]").select_option(value)

    assert page.url.endswith(f"{path}?{name}={value}")
    session.let_go()
    expect(page.locator(f"[name={name}]")).to_have_value(value)
    page.wait_for_selector(CONTENT, state="attached")


def test_the_journal_is_walked_page_by_page(admin_browser: Person, camera: Camera) -> None:
    shot = [camera.shoot().headers["x-job-id"] for _ in range(3)]
    page = admin_browser.open("/journal?limit=2")
    expect(page.locator("#rows tr")).to_have_count(2)

    page.get_by_role("link", name="Older").click()

    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator(f'#rows a[href="/journal/{shot[0]}"]')).to_be_visible()
    page.get_by_role("link", name="Newer").click()
    expect(page.locator(f'#rows a[href="/journal/{shot[2]}"]')).to_be_visible()


def test_a_link_to_a_stretch_of_time_means_the_same_in_every_zone(
    admin_browser: Person, camera: Camera
) -> None:
    camera.shoot()
    page = admin_browser.open("/journal")
    page.get_by_label("From").fill("2026-01-31T15:00")
    page.get_by_label("From").dispatch_event("change")

    expect(page.locator("#rows tr")).to_have_count(1)
    assert page.url.endswith("/journal?from=2026-01-31T12%3A00%3A00.000Z")
    page.reload()
    expect(page.get_by_label("From")).to_have_value("2026-01-31T15:00")
    page.goto("/journal?from=never")
    expect(page.locator("#rows tr")).to_have_count(1)


def test_a_picture_that_did_not_arrive_or_could_not_be_kept_is_told(
    admin_browser: Person, camera: Camera, execute: Callable[..., int]
) -> None:
    lost, unkept = (camera.shoot().headers["x-job-id"] for _ in range(2))
    execute("update job_history set delivered = false where id = %s", lost)
    execute("update job_history set stored = false where id = %s", unkept)
    page = admin_browser.open("/journal")

    told = page.locator("#rows tr")
    expect(told.filter(has_text="its device had gone").locator(f'[href$="{lost}"]')).to_be_visible()
    expect(told.filter(has_text="not be kept").locator(f'[href$="{unkept}"]')).to_be_visible()
    expect(told.locator('[data-status="warn"]')).to_have_count(2)


def test_a_shots_story_follows_its_picture_to_its_end(
    admin_browser: Person, camera: Camera, execute: Callable[..., int]
) -> None:
    job_id = camera.shoot().headers["x-job-id"]
    admin_browser.context.clock.install()
    page = admin_browser.open(f"/journal/{job_id}")
    expect(page.get_by_text("Kept until")).to_be_visible()
    expect(page.locator("#qr")).to_have_attribute("src", re.compile("^blob:"))
    wait_pictures(page)
    execute("update media_object set expires_at = now() where job_id = %s", job_id)

    page.clock.run_for(40_000)

    expect(page.get_by_text("The picture was kept for its time and is gone.")).to_be_visible()
    expect(page.locator("#picture")).to_be_hidden()


def test_a_code_that_is_refused_is_not_asked_for_again(
    admin_browser: Person, camera: Camera, execute: Callable[..., int]
) -> None:
    admin_browser.expect_refusal(410)
    job_id = camera.shoot().headers["x-job-id"]
    admin_browser.context.clock.install()
    code = Held(admin_browser, "**/qr")
    page = admin_browser.open(f"/journal/{job_id}")
    code.wait(page)
    wait_pictures(page)
    execute("update media_object set expires_at = now() where job_id = %s", job_id)

    with page.expect_response(lambda told: told.status == 410):
        code.let_go()
    page.clock.run_for(10_000)
    let_it_work(page)

    assert code.count == 1
    expect(page.locator("#qr")).to_be_hidden()


def test_a_shots_story_tells_its_picture_its_calls_and_its_device(
    make_person: MakePerson, camera: Camera, sandbox: Sandbox
) -> None:
    sandbox.dial(["no_image", "ok"])
    job_id = camera.shoot(fields={"name": XSS}).headers["x-job-id"]
    page = make_person("ru", "dark", PHONE).sign_in().open(f"/journal/{job_id}")

    expect(page.locator("#story")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#attempts tr")).to_have_count(2)
    expect(page.locator("#attempts tr").first).to_contain_text("Провайдер ответил без")
    expect(page.locator("#picture")).to_have_js_property("complete", True)
    expect(page.locator("#qr")).to_be_visible()
    expect(page.locator("#device")).to_contain_text(XSS)
    assert page.title().startswith("Снимок")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert barriers(page) == []


def test_a_shot_nobody_knows_is_told_in_words(admin_browser: Person) -> None:
    admin_browser.expect_refusal(404)
    page = admin_browser.open("/journal/nothing")

    expect(page.get_by_text("There is no shot with this number.")).to_be_visible()


def test_the_audit_tells_who_did_what_and_goes_on_by_itself(make_person: MakePerson) -> None:
    admin = make_person("en", "dark").sign_in()
    admin.context.clock.install()
    page = admin.open("/audit")
    entries = page.locator("#rows tr")
    expect(entries.first).to_contain_text("sign-in")
    expect(entries.first).to_contain_text("serg")
    assert barriers(page) == []

    slot = admin.context.request.get("/api/slots/slot-003").json()
    changed = {"version": slot["version"], "name": XSS, "max_in_flight": 2}
    assert admin.context.request.put("/api/slots/slot-003", data=changed).ok
    page.clock.run_for(11_000)
    expect(entries.first).to_contain_text("slot changed")
    expect(entries.first).to_contain_text("changed: Shots in flight, Name; version: 2")

    page.get_by_label("Action").select_option("auth.login.success")
    expect(entries).to_have_count(1)
    page.get_by_label("Who").fill("nobody")
    page.get_by_label("Who").press("Enter")
    expect(page.get_by_text("Nothing fits this filter.")).to_be_visible()
    page.go_back()
    expect(entries).to_have_count(1)
    page.goto("/audit?limit=1")
    expect(entries).to_have_count(1)
    page.get_by_role("link", name="Older").click()
    expect(entries.first).to_contain_text("sign-in")
