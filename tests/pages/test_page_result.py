"""The guest's page: a picture to look at, keep, share and take back, and what is left when it is
gone."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from browser import PHONE, Held, Person, barriers, look_again
from camera import Camera
from conftest import MakePerson
from playwright.sync_api import Page, expect
from rig import Sandbox, Service, until
from tables import Rows

pytestmark = pytest.mark.browser


NOBODYS_JOB = "b5a1c7e2-0d3f-4a68-9c41-7f2e8d90a613"
KEPT_HOURS = 72
SHARE = """
    window.shared = [];
    navigator.canShare = ({files}) => files.every((file) => file.size > 0);
    navigator.share = async (what) => window.shared.push(what);
"""


def picture_is_there(page: Page) -> None:
    picture = page.get_by_role("img", name="Your edited photo")
    expect(picture).to_be_visible()
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("image => image.naturalWidth") > 0


def test_a_guest_takes_the_picture_back_while_another_looks_at_it(
    make_person: MakePerson, camera: Camera, service: Service
) -> None:
    link = camera.shoot().headers["x-page-url"]
    guest, friend = make_person(screen=PHONE), make_person()
    page = guest.open(link)
    picture_is_there(page)
    assert page.url == link.partition("#")[0], "the key is not in the bar, to be copied from there"
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert barriers(page) == []
    hers = friend.open(page.url)
    picture_is_there(hers)
    expect(hers.get_by_role("button", name="Delete the photo")).to_be_hidden()

    page.reload()
    page.get_by_role("button", name="Delete the photo").click()
    page.get_by_role("button", name="Cancel").click()
    picture_is_there(page)
    page.get_by_role("button", name="Delete the photo").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("heading", name="This photo was deleted")).to_be_visible()
    look_again(hers)

    expect(hers.get_by_role("heading", name="This photo was deleted")).to_be_visible()
    for gone in (page, hers):
        expect(gone.get_by_role("img", name="Your edited photo")).to_be_hidden()
        expect(gone.get_by_role("link", name="Download")).to_be_hidden()
    assert barriers(hers) == []
    assert httpx.get(f"{service.url}/public/results/{link.split('/')[-1][:36]}").status_code == 410


def test_the_code_opens_on_a_phone_with_the_key_of_who_has_it(
    make_person: MakePerson, camera: Camera
) -> None:
    link = camera.shoot().headers["x-page-url"]
    asked: list[str | None] = []
    page = make_person("ru", "dark").open(link)
    page.on("request", lambda r: "/qr" in r.url and asked.append(r.headers.get("x-delete-key")))

    page.get_by_role("button", name="QR-код").click()

    code = page.get_by_role("img", name="QR-код этой страницы")
    expect(code).to_have_js_property("complete", True)
    assert code.evaluate("image => image.naturalWidth") > 0
    assert asked == [link.partition("#")[2]]
    expect(page.get_by_role("dialog")).to_contain_text("тот может и удалить")
    assert barriers(page) == []


def test_the_picture_is_shared_as_a_file_and_saved(make_person: MakePerson, camera: Camera) -> None:
    shot = camera.shoot()
    guest = make_person(screen=PHONE)
    guest.context.add_init_script(SHARE)
    page = guest.open(shot.headers["x-page-url"])
    picture_is_there(page)

    page.get_by_role("button", name="Share").click()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download").click()

    job_id = shot.headers["x-job-id"]
    page.wait_for_function("shared.length === 1")
    assert page.evaluate("shared.map(({url, files}) => [url ?? null, files[0].name])") == [
        [None, f"{job_id}.jpeg"]
    ]
    assert saved.value.path().read_bytes() == shot.content


def test_a_picture_ends_on_its_second_under_the_readers_eyes(
    make_person: MakePerson, camera: Camera
) -> None:
    """By the reader's own clock: the service is not asked again for it."""
    guest = make_person()
    guest.context.clock.install()
    page = guest.open(camera.shoot().headers["x-page-url"])
    picture_is_there(page)
    expect(page.get_by_text("Kept until")).to_be_visible()
    asked = Held(guest, "**/api/jobs/*")

    page.clock.fast_forward((KEPT_HOURS * 3600 + 1) * 1000)

    expect(page.get_by_role("heading", name="This photo was kept for its time")).to_be_visible()
    asked.let_go()
    expect(page.get_by_role("img", name="Your edited photo")).to_be_hidden()
    assert barriers(page) == []


def test_a_page_that_has_no_picture_says_why(
    make_person: MakePerson, camera: Camera, sandbox: Sandbox, rows: Rows
) -> None:
    guest = make_person("ru", "dark", PHONE)
    guest.expect_refusal(404)
    page = guest.open(f"/r/{NOBODYS_JOB}")
    expect(page.get_by_role("heading", name="По этому адресу нет фотографии")).to_be_visible()
    assert barriers(page) == []

    sandbox.dial(["content_blocked"])
    camera.shoot()
    [failed] = rows("select id from job_history")
    page = guest.open(f"/r/{failed['id']}")
    expect(page.get_by_role("heading", name="Эта фотография не получилась")).to_be_visible()
    assert barriers(page) == []


def test_a_picture_that_is_being_made_appears_by_itself(
    make_person: MakePerson, camera: Camera, sandbox: Sandbox, rows: Rows
) -> None:
    sandbox.dial(latency_s=5.0)
    guest = make_person()
    guest.open("/login")
    with ThreadPoolExecutor() as threads:
        shot = threads.submit(camera.shoot)
        [pending] = until(lambda: rows("select id from job_history"), "a shot that runs")
        page = guest.open(f"/r/{pending['id']}")
        expect(page.get_by_role("heading", name="Your photo is being made")).to_be_visible()
        assert shot.result().status_code == 200

    look_again(page)
    picture_is_there(page)


def test_the_page_survives_a_lost_network(make_person: MakePerson, camera: Camera) -> None:
    guest: Person = make_person()
    page = guest.open(camera.shoot().headers["x-page-url"])
    picture_is_there(page)
    guest.go_offline()
    expect(page.get_by_text("No connection to Photoslot.").first).to_be_visible()
    picture_is_there(page)

    guest.come_back()

    expect(page.get_by_text("No connection to Photoslot.").first).to_be_hidden()
