"""The page of a slot: what is typed is tried, saved, compared, brought back and never lost."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import photos
import pytest
from admin import ADMIN, ADMIN_PASSWORD, Admin, ensure_account, signed_in
from browser import CONTENT, PHONE, Held, Person, barriers, look_again
from camera import Camera
from conftest import MakePerson
from playwright.sync_api import Dialog, FilePayload, Locator, Page, expect
from rig import Sandbox, Service, until
from tables import Rows

pytestmark = pytest.mark.browser


PATH = "/slots/slot-001"
XSS = '<img src=x onerror="document.title=1">&<b>bold'
NEW_PROMPT = "Make it snow. A quiet winter evening."
PHOTO = FilePayload(name="shot.jpg", mimeType="image/jpeg", buffer=photos.jpeg())
STYLE = FilePayload(name="style.png", mimeType="image/png", buffer=photos.png(320, 200))
NO_PICTURE = FilePayload(name=f"{XSS}.jpg", mimeType="image/jpeg", buffer=photos.html())
HANDED_OVER = """
    ([node, kind, bytes]) => {
        const given = new DataTransfer();
        given.items.add(new File([new Uint8Array(bytes)], "given.png", { type: "image/png" }));
        const how = { dataTransfer: given, clipboardData: given, bubbles: true, cancelable: true };
        node.dispatchEvent(new (kind === "drop" ? DragEvent : ClipboardEvent)(kind, how));
    }
"""


@pytest.fixture
def colleague(service: Service) -> Iterator[Admin]:
    """Another admin, at work over the API."""
    with signed_in(service, "igor") as admin:
        yield admin


def open_slot(person: Person, path: str = PATH) -> Page:
    """The page of a slot with its form filled in and the test shot at hand."""
    page = person.open(path)
    expect(page.locator("#work")).to_have_attribute("aria-busy", "false")
    expect(shot_panel(page).locator("[data-part=choose]")).to_be_enabled()
    return page


def prompt(page: Page) -> Locator:
    return page.locator("[name='settings.prompt']")


def plan(page: Page) -> Locator:
    return page.locator("#plan")


def shot_panel(page: Page) -> Locator:
    return page.locator("#test-shot")


def save(page: Page, version: int) -> None:
    page.locator("#save").click()
    expect(page.locator("#state")).to_have_text(f"Version {version}")


def saved(rows: Rows, slot_id: str = "slot-001") -> dict[str, Any]:
    """A slot's row."""
    [row] = rows("select * from slot where id = %s", slot_id)
    return row


def hand_over(box: Locator, kind: str, picture: bytes) -> None:
    """Drop or paste a picture on a box, as a browser tells a page of it."""
    node = box.element_handle()
    box.page.evaluate(HANDED_OVER, [node, kind, list(picture)])


def test_a_prompt_is_tried_saved_used_and_brought_back(
    admin_browser: Person, camera: Camera, sandbox: Sandbox, rows: Rows
) -> None:
    page = open_slot(admin_browser)
    before = prompt(page).input_value()
    expect(page.locator("#save")).to_be_disabled()
    prompt(page).fill(NEW_PROMPT)
    expect(page.locator("#state")).to_have_text("Not saved yet")

    shot_panel(page).locator("input[type=file]").set_input_files(PHOTO)

    expect(shot_panel(page).locator(".compare img")).to_have_count(2)
    for picture, width in ((".before", 640), ("[data-part=after]", 1200)):
        expect(shot_panel(page).locator(picture)).to_be_visible()
        expect(shot_panel(page).locator(picture)).to_have_js_property("naturalWidth", width)
    expect(shot_panel(page).locator("[data-part=stages]")).to_contain_text("Provider")
    [call] = sandbox.calls()
    assert NEW_PROMPT in json.dumps(call)
    assert saved(rows)["version"] == 1
    shot_panel(page).get_by_label("Before and after").fill("20")
    assert "--cut: 80%" in (shot_panel(page).locator(".before").get_attribute("style") or "")

    save(page, 2)
    assert saved(rows)["settings"]["prompt"] == NEW_PROMPT
    expect(page.locator("#no-results")).to_be_visible()
    job_id = camera.shoot().headers["x-job-id"]
    assert NEW_PROMPT in json.dumps(sandbox.calls()[-1])
    look_again(page)
    last = page.locator("#results a")
    expect(last).to_have_attribute("href", f"/journal/{job_id}")
    expect(last.locator("img")).to_have_js_property("complete", True)
    assert barriers(page) == []

    page.locator("#versions summary").first.click()
    expect(page.locator("#versions .diff").first).to_contain_text(NEW_PROMPT)
    expect(page.locator("#versions .diff").first).to_contain_text(before)
    page.locator("#versions summary").last.click()
    page.get_by_role("button", name="Restore this version").click()
    expect(page.get_by_role("dialog")).to_contain_text("Restore version 1?")
    page.get_by_role("dialog").get_by_role("button", name="Restore this version").click()
    expect(prompt(page)).to_have_value(before)
    expect(page.locator("#state")).to_have_text("Version 3")
    assert saved(rows)["settings"]["prompt"] == before


def test_a_stale_save_shows_both_sides_and_a_choice(
    admin_browser: Person, colleague: Admin, rows: Rows
) -> None:
    admin_browser.expect_refusal(409)
    page = open_slot(admin_browser)
    prompt(page).fill(NEW_PROMPT)
    theirs = {"settings": {"prompt": XSS}, "name": XSS}
    assert colleague.put("/api/slots/slot-001", {"version": 1, **theirs}).status_code == 200

    page.locator("#save").click()

    conflict = page.locator("#conflict")
    expect(conflict).to_be_focused()
    expect(conflict).to_contain_text("igor saved version 2 in the meantime.")
    asked = conflict.get_by_role("row").filter(has_text="Prompt")
    expect(asked.get_by_role("cell")).to_have_text([XSS, NEW_PROMPT])
    assert barriers(page) == []
    page.get_by_role("button", name="Keep what I typed").click()
    save(page, 3)
    assert saved(rows)["settings"]["prompt"] == NEW_PROMPT

    prompt(page).fill("Something else")
    assert colleague.put("/api/slots/slot-001", {"version": 3, **theirs}).status_code == 200
    page.once("dialog", lambda question: question.accept())
    page.reload()
    expect(page.get_by_text("igor saved version 4 in the meantime.")).to_be_visible()
    with page.expect_response(lambda answer: answer.request.method == "PUT") as unasked:
        page.locator("#save").click()
    assert unasked.value.status == 409
    page.get_by_role("button", name="Take what is saved").click()

    expect(prompt(page)).to_have_value(XSS)
    expect(page.locator("#state")).to_have_text("Version 4")
    expect(page.get_by_role("heading", name=XSS)).to_be_visible()
    page.locator("#versions summary").first.click()
    expect(page.locator("#versions .diff").first).to_contain_text(XSS)
    assert page.title() == f"{XSS} · Photoslot"


def test_a_template_is_put_to_use_kept_while_used_and_removed(
    admin_browser: Person, rows: Rows, disk: Callable[..., list[str]]
) -> None:
    admin_browser.expect_refusal(409, 415)
    page = open_slot(admin_browser)
    plan(page).locator("input[type=file]").set_input_files([NO_PICTURE, STYLE])
    expect(plan(page).locator(".tile")).to_have_count(1)
    expect(plan(page).locator(".problem:visible")).to_contain_text(f"{XSS}.jpg: Only JPEG")
    drop = plan(page).locator(".drop")
    hand_over(drop, "drop", photos.png(300, 200))
    expect(plan(page).locator(".tile")).to_have_count(2)
    hand_over(drop.get_by_role("button").first, "paste", photos.png(200, 300))
    expect(plan(page).locator(".tile")).to_have_count(3)
    plan(page).get_by_role("button", name="Take out the template").nth(2).click()
    plan(page).get_by_label("Role").first.select_option("style")
    plan(page).get_by_label("Role").last.select_option("background")

    save(page, 2)

    roles = [use["role"] for use in saved(rows)["templates"]]
    assert roles == ["style", "background"]
    library = page.get_by_role("dialog", name="Templates")
    page.get_by_role("button", name="Choose an uploaded one").first.click()
    expect(library.locator(".tile")).to_have_count(3)
    used = library.locator(".tile").filter(has_text="slot-001").first
    used.get_by_role("button", name="Delete template").click()
    page.get_by_role("dialog", name="Delete this").get_by_text("Delete template").click()
    expect(library.get_by_role("alert")).to_contain_text("Take it out of the slot first")
    assert barriers(page) == []
    unused = library.locator(".tile").filter(has_text="not used")
    unused.get_by_role("button", name="Delete template").click()
    page.get_by_role("dialog", name="Delete this").get_by_text("Delete template").click()

    expect(library.locator(".tile")).to_have_count(2)
    assert len(disk("templates")) == 2
    assert page.title() == "Slot 1 · Photoslot"


def test_another_provider_gets_what_is_still_valid_and_no_foreign_model(
    admin_browser: Person, rows: Rows, slot: Callable[..., None]
) -> None:
    slot("slot-001", settings={"prompt": NEW_PROMPT, "model": "gemini-3.1-flash-image"})
    page = open_slot(admin_browser)
    model = page.locator("[name='settings.model']")
    expect(model).to_have_value("gemini-3.1-flash-image")

    plan(page).get_by_label("Provider").select_option("openai")

    expect(plan(page).get_by_label("Provider")).to_be_focused()
    expect(prompt(page)).to_have_value(NEW_PROMPT)
    expect(model).to_have_value("gpt-image-2.6-flare")
    plan(page).get_by_label("Operation").select_option("style_transfer")
    expect(prompt(page)).to_have_value(NEW_PROMPT)
    plan(page).get_by_label("Provider").select_option("gemini")
    expect(model).to_have_value("gemini-3.1-flash-image")
    plan(page).get_by_label("Operation").select_option("image_edit")
    expect(page.locator("#save")).to_be_disabled()
    plan(page).get_by_label("Provider").select_option("openai")
    page.get_by_label("Use a fallback").check()
    page.locator("[name='fallback.provider']").select_option("turbotext")
    page.get_by_label("Use a fallback").uncheck()
    page.get_by_label("Use a fallback").check()
    save(page, 2)

    row = saved(rows)
    assert (row["provider"], row["settings"]) == ("openai", {"prompt": NEW_PROMPT})
    assert row["fallback"]["provider"] == "turbotext"
    assert row["fallback"]["settings"]["prompt"] == NEW_PROMPT


@pytest.mark.parametrize(
    ("language", "high", "role", "number"),
    [
        ("en", "At most 60.", "Add a template in the role “style”.", "Enter a number."),
        ("ru", "Не больше 60.", "Добавьте образец в роли «стиль».", "Введите число."),
    ],
)
def test_a_wrong_value_is_told_at_its_field_in_the_readers_language(
    make_person: MakePerson, language: str, high: str, role: str, number: str
) -> None:
    person = make_person(language).sign_in()
    person.expect_refusal(422)
    page = open_slot(person)
    wait, daily = page.locator("[name=sync_response_seconds]"), page.locator("[name=daily_limit]")
    prompt(page).fill(NEW_PROMPT)
    wait.fill("61")
    page.locator("#save").click()

    expect(wait).to_be_focused()
    expect(page.locator("#limits .problem:visible")).to_have_text(high)
    assert barriers(page) == []
    wait.fill("60")
    expect(page.locator("#limits .problem:visible")).to_have_count(0)
    daily.press_sequentially("1e")
    page.locator("#save").click()
    expect(daily).to_be_focused()
    expect(page.locator("#limits .problem:visible")).to_have_text(number)

    daily.fill("")
    page.locator("[name=operation]").select_option("style_transfer")
    page.locator("#save").click()
    expect(plan(page).locator(".drop")).to_be_focused()
    expect(plan(page).locator(".problem:visible")).to_have_text(role)
    expect(prompt(page)).to_have_value(NEW_PROMPT)
    assert barriers(page) == []
    hand_over(plan(page).locator(".drop"), "drop", photos.png(300, 200))
    expect(plan(page).locator(".tile")).to_have_count(1)
    expect(plan(page).locator(".problem:visible")).to_have_count(0)
    page.locator("#save").click()
    expect(page.locator("#state")).to_contain_text("2")


def test_what_a_model_takes_is_told_as_the_form_offers_it(make_person: MakePerson) -> None:
    person = make_person("ru").sign_in()
    person.expect_refusal(422)
    page = open_slot(person)
    page.locator("[name=provider]").select_option("openai")
    page.locator("[name='settings.model']").fill("gpt-image-2")
    plan(page).get_by_text("Другие настройки").click()
    page.locator("[name='settings.quality']").select_option("xhigh")

    page.locator("#save").click()

    told = plan(page).locator(".problem:visible")
    expect(told).to_have_text("gpt-image-2 берёт: низкое, среднее, высокое.")


def test_a_fault_that_a_page_has_no_words_for_is_told_in_the_services(
    admin_browser: Person,
) -> None:
    """As while an upgrade is under way: the page is older than what answers."""
    admin_browser.expect_refusal(422)
    fault = {"path": "name", "code": "tired", "params": {"hours": 9}, "message": "Expected a rest"}
    refusal = {"failure_reason": "invalid_fields", "details": "", "errors": [fault]}
    page = open_slot(admin_browser)
    page.route("**/api/slots/*", lambda route: route.fulfill(status=422, json=refusal))
    page.locator("[name=name]").fill("Night shift")

    page.locator("#save").click()

    expect(page.locator("#limits .problem:visible")).to_have_text("Expected a rest")


def test_what_is_typed_survives_leaving_and_the_password_is_kept_nowhere(
    admin_browser: Person, camera: Camera
) -> None:
    page = open_slot(admin_browser)
    prompt(page).fill(NEW_PROMPT)
    page.get_by_label("Ingest password").fill("a new secret")
    questions: list[str] = []
    answers = iter(["stay", "go"])

    def answer(question: Dialog) -> None:
        questions.append(question.type)
        question.accept() if next(answers) == "go" else question.dismiss()

    page.on("dialog", answer)
    page.get_by_role("link", name="All slots").click()
    expect(prompt(page)).to_have_value(NEW_PROMPT)
    page.reload()

    expect(page.get_by_text("What you typed and did not save is here again.")).to_be_visible()
    assert questions == ["beforeunload", "beforeunload"]
    expect(prompt(page)).to_have_value(NEW_PROMPT)
    expect(page.get_by_label("Ingest password")).to_have_value("")
    kept = page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])")
    assert NEW_PROMPT in kept and "secret" not in kept
    page.get_by_role("button", name="Discard").click()
    expect(page.locator("#state")).to_have_text("Version 1")
    assert page.evaluate("sessionStorage.length") == 0

    page.get_by_label("Ingest password").fill("a new secret")
    save(page, 2)
    assert camera.shoot(password="a new secret").status_code == 200


def test_who_must_sign_in_again_stays_with_what_was_typed(
    admin_browser: Person, camera: Camera
) -> None:
    admin_browser.expect_refusal(401)
    page = open_slot(admin_browser)
    prompt(page).fill(NEW_PROMPT)
    page.get_by_label("Ingest password").fill("a new secret")
    admin_browser.context.clear_cookies()

    page.locator("#save").click()

    expect(page.locator("#trouble")).to_have_text("Your session has ended. Sign in again.")
    assert barriers(page) == []
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Sign in in another tab").click()
    beside = opened.value
    beside.get_by_label("Name").fill(ADMIN)
    beside.get_by_label("Password").fill(ADMIN_PASSWORD)
    beside.keyboard.press("Enter")
    beside.wait_for_url(f"{admin_browser.service.url}/")
    save(page, 2)
    expect(page.locator("#signed-out")).to_be_hidden()
    expect(page.locator("#trouble")).to_be_hidden()
    expect(prompt(page)).to_have_value(NEW_PROMPT)
    assert camera.shoot(password="a new secret").status_code == 200


def test_from_sign_in_to_save_by_keyboard_alone(
    make_person: MakePerson, service: Service, rows: Rows
) -> None:
    ensure_account(service)
    page = make_person("ru").open(PATH)
    page.wait_for_url("**/login?next=*")
    page.keyboard.type(ADMIN)
    page.keyboard.press("Tab")
    page.keyboard.type(ADMIN_PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#work")).to_have_attribute("aria-busy", "false")

    tab_to(page, prompt(page))
    page.keyboard.press("Control+a")
    page.keyboard.type(NEW_PROMPT)
    page.keyboard.press("Control+s")
    expect(page.locator("#state")).to_have_text("Версия 2")
    assert saved(rows)["settings"]["prompt"] == NEW_PROMPT

    page.keyboard.type("!")
    expect(prompt(page)).to_have_value(f"{NEW_PROMPT}!")
    tab_to(page, page.locator("#save"), "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Версия 3")


def tab_to(page: Page, control: Locator, key: str = "Tab") -> None:
    """Press a key until the focus is where it is wanted."""
    for _ in range(40):
        if control.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} does not lead to {control}")


def test_what_stands_beside_the_form_comes_when_its_scripts_did_not_at_first(
    admin_browser: Person,
) -> None:
    admin_browser.expect_refusal("FAILED")
    admin_browser.context.route("**/slot/history.js", lambda route: route.abort(), times=1)

    page = open_slot(admin_browser)

    expect(page.locator("#versions li")).to_have_count(1)
    expect(page.locator("#curl")).to_contain_text("/api/ingest/")


def test_what_stands_beside_the_form_has_its_name_and_waits_until_its_scripts_come(
    admin_browser: Person, service: Service
) -> None:
    """By name: a reader of the screen meets every button before it works."""
    admin_browser.context.grant_permissions(["clipboard-read", "clipboard-write"])
    scripts = Held(admin_browser, re.compile("/slot/(test-shot|history|side).js"))
    window = Held(admin_browser, "**/api/settings")
    page = admin_browser.open(PATH)
    page.wait_for_selector(CONTENT, state="attached")
    names = ["Copy the link", "Copy the command", "Choose a file", "Use the camera"]
    waiting = [page.locator(".side").get_by_role("button", name=name) for name in names]
    for button in waiting:
        expect(button).to_be_disabled()
    assert barriers(page) == []

    scripts.let_go()
    window.wait(page)

    for button in waiting[2:]:
        expect(button).to_be_disabled()
    window.let_go()
    for button in waiting:
        expect(button).to_be_enabled()
    waiting[0].click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"{service.url}/api/ingest/slot-001"


def test_older_versions_come_once_however_often_they_are_asked_for(
    admin_browser: Person, colleague: Admin
) -> None:
    for version in range(1, 60):
        change = {"version": version, "name": f"Slot of version {version + 1}"}
        assert colleague.put("/api/slots/slot-001", change).status_code == 200
    page = open_slot(admin_browser)
    listed = page.locator("#versions [data-part=number]")
    expect(listed).to_have_count(49)
    expect(page.get_by_text("The first version.")).to_have_count(0)
    answers = Held(admin_browser, re.compile("/versions"))
    page.get_by_role("button", name="Older versions").dblclick()
    answers.wait(page)

    answers.let_go()

    expect(page.get_by_role("button", name="Older versions")).to_be_hidden()
    assert listed.all_text_contents() == [f"Version {number}" for number in range(60, 0, -1)]


def test_a_template_is_chosen_out_of_those_there_are_now(admin_browser: Person) -> None:
    page = open_slot(admin_browser)
    plan(page).locator("input[type=file]").set_input_files(STYLE)
    expect(plan(page).locator(".tile")).to_have_count(1)
    library = page.get_by_role("dialog", name="Templates")
    choose = page.get_by_role("button", name="Choose an uploaded one").first
    choose.click()
    expect(library.locator(".tile")).to_have_count(1)
    library.get_by_role("button", name="Close").click()
    answer = Held(admin_browser, "**/api/template-media")
    choose.click()
    answer.wait(page)
    expect(library.locator(".tile")).to_have_count(0)

    answer.let_go()
    library.get_by_role("button", name="Use").click()

    expect(plan(page).locator(".tile")).to_have_count(2)


def test_a_photo_of_the_webcam_is_tried(admin_browser: Person, rows: Rows) -> None:
    page = open_slot(admin_browser)
    page.get_by_role("button", name="Use the camera").click()
    expect(shot_panel(page).locator("video")).to_be_visible()

    page.get_by_role("button", name="Take the photo").dblclick()

    expect(shot_panel(page).get_by_role("status")).to_have_text("Done")
    expect(shot_panel(page).locator("video")).to_be_hidden()
    assert page.evaluate("document.querySelector('video').srcObject") is None
    [job] = rows("select id, source, status from job_history")
    assert (job["source"], job["status"]) == ("test", "done")
    story = page.get_by_role("link", name="Story of this shot")
    expect(story).to_have_attribute("href", f"/journal/{job['id']}")


def test_a_test_shot_that_fails_says_why_and_one_that_takes_long_can_be_cancelled(
    admin_browser: Person, sandbox: Sandbox, rows: Rows
) -> None:
    admin_browser.expect_refusal(415, 422)
    page = open_slot(admin_browser)
    file, told = shot_panel(page).locator("input[type=file]"), shot_panel(page).get_by_role(
        "status"
    )
    file.set_input_files(NO_PICTURE)
    expect(told).to_have_text("Only JPEG, PNG, WebP and HEIC pictures are taken.")
    sandbox.dial(["content_blocked"])
    hand_over(shot_panel(page).locator(".drop"), "paste", photos.png(300, 200))
    expect(told).to_contain_text("The provider declines this picture.")
    sandbox.dial(latency_s=3)
    hand_over(shot_panel(page).locator(".drop"), "drop", photos.png(300, 200))
    expect(told).to_have_text("The provider is editing")

    shot_panel(page).get_by_role("button", name="Cancel").click()

    expect(told).to_contain_text("Cancelled.")
    assert barriers(page) == []
    pending = "select id from job_history where status = 'pending'"
    until(lambda: not rows(pending), "what was paid for has ended")


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("ru", "dark")])
def test_nothing_stands_in_the_way_on_a_phone(
    make_person: MakePerson, language: str, theme: str
) -> None:
    page = open_slot(make_person(language, theme, PHONE).sign_in())
    assert barriers(page) == []
    page.locator("#has-fallback").check()
    page.locator("#versions summary").first.click()
    shot_panel(page).locator("input[type=file]").set_input_files(PHOTO)
    expect(shot_panel(page).locator(".compare img").first).to_be_visible()

    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_a_slot_that_is_not_there_is_told_in_words(admin_browser: Person) -> None:
    admin_browser.expect_refusal(404)
    page = admin_browser.open("/slots/slot-099")

    told = "There is no such slot: slots are slot-001 to slot-015."
    expect(page.get_by_role("alert")).to_have_text(told)
    expect(page.get_by_role("heading")).to_have_text("slot-099")
    assert barriers(page) == []
