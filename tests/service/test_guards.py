"""Strangers, and other people's pages, at the admins' doors."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import quote

import httpx
import pytest
from admin import ADMIN, ADMIN_PASSWORD, Admin, ensure_account, signed_in
from conftest import MakeService
from rig import Service
from tables import Rows

from service import app

ID = "00000000-0000-4000-8000-000000000000"
SAMPLES = {"slot_id": "slot-001", "version:int": "1"}
# Cameras, guests, machines and whoever wants to become an admin: the only ones who need no session.
OPEN = {
    ("POST", "/api/ingest/{slot_id}"),
    ("POST", "/ingest/{slot_id}"),
    ("GET", "/public/results/{job_id}"),
    ("GET", "/public/results/{job_id}/preview"),
    ("GET", "/public/results/{job_id}/qr"),
    ("DELETE", "/public/results/{job_id}"),
    ("GET", "/public/media/{token}/{name}"),
    ("GET", "/public/proof/{nonce}"),
    ("GET", "/public/shares/qr"),
    ("GET", "/public/slots"),
    ("GET", "/public/slots/{slot_id}"),
    ("GET", "/api/jobs/{job_id}"),
    ("POST", "/api/login"),
    ("GET", "/livez"),
    ("GET", "/healthz"),
    ("GET", "/metrics"),
}
CLOSED = sorted(
    (method, route.path)
    for route in app.ROUTES
    for method in (route.methods or set()) - {"HEAD"}
    if (method, route.path) not in OPEN
)
GUESTS_PAGES = ["/login", "/r/{job_id}", "/g", "/g/{slot_id}", "/show", "/show/{slot_id}"]
ADMINS_PAGES = sorted(
    route.path
    for route in app.PAGES
    if route.path not in GUESTS_PAGES and "/static/" not in route.path
)
SAVE = {"version": 1, "name": "Renamed"}


def sample(path: str) -> str:
    return re.sub(r"{([^}]+)}", lambda found: SAMPLES.get(found[1], ID), path)


@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin


@pytest.fixture
def page(admin: Admin) -> Iterator[Admin]:
    """A browser with the session's cookie."""
    with Admin(admin.service) as page:
        assert page.login().is_success
        yield page


def test_there_are_closed_doors() -> None:
    assert len(CLOSED) > 20
    assert ("PUT", "/api/slots/{slot_id}") in CLOSED


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_a_stranger_is_refused(service: Service, method: str, path: str) -> None:
    with Admin(service) as stranger:
        answer = stranger.request(method, sample(path))

    assert answer.status_code == 401, answer.text
    assert answer.json() == {
        "status": "error",
        "failure_reason": "unauthorized",
        "details": "Sign in first.",
        "job_id": None,
    }
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["x-failure-reason"] == "unauthorized"


@pytest.mark.parametrize(("method", "path"), [door for door in CLOSED if door[0] != "GET"])
def test_another_sites_page_cannot_use_the_cookie(page: Admin, method: str, path: str) -> None:
    answer = page.request(method, sample(path), headers={"sec-fetch-site": "cross-site"})

    assert (answer.status_code, answer.headers["x-failure-reason"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "OURS"},
        {"sec-fetch-site": "nonsense"},
        {"sec-fetch-site": ""},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1.evil.example"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://["},
        {"origin": "OURS@evil.example"},
    ],
)
def test_a_cookie_from_elsewhere_changes_nothing(
    page: Admin, service: Service, rows: Rows, headers: dict[str, str]
) -> None:
    headers = {name: value.replace("OURS", service.url) for name, value in headers.items()}

    answer = page.put("/api/slots/slot-001", SAVE, headers=headers)

    assert (answer.status_code, answer.headers["x-failure-reason"]) == (403, "forbidden")
    assert rows("select name from slot where id = 'slot-001'") == [{"name": "Slot 1"}]


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "same-origin", "origin": "OURS"},
        {"sec-fetch-site": "none"},
        {"origin": "OURS"},
        {},
    ],
)
def test_the_cookie_works_on_our_own_pages(
    page: Admin, service: Service, headers: dict[str, str]
) -> None:
    headers = {name: value.replace("OURS", service.url) for name, value in headers.items()}

    answer = page.put("/api/slots/slot-001", SAVE, headers=headers)

    assert answer.status_code == 200, answer.text


def test_reading_is_left_to_the_cookies_own_rule(page: Admin) -> None:
    # SameSite=Strict keeps the cookie at home; a GET changes nothing anyway.
    answer = page.get("/api/slots", headers={"sec-fetch-site": "cross-site"})

    assert answer.status_code == 200


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://x.y"}])
def test_a_bearer_token_may_come_from_anywhere(admin: Admin, headers: dict[str, str]) -> None:
    answer = admin.put("/api/slots/slot-001", SAVE, headers=headers)

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("value", ["Bearer x", "Bearer", "bearer x", "Basic c2VyZzp4"])
def test_an_authorization_header_does_not_carry_a_cookie_over(
    page: Admin, rows: Rows, value: str
) -> None:
    headers = {"authorization": value, "sec-fetch-site": "cross-site"}

    answer = page.put("/api/slots/slot-001", SAVE, headers=headers)

    assert answer.status_code in (401, 403)
    assert rows("select name from slot where id = 'slot-001'") == [{"name": "Slot 1"}]


@pytest.mark.parametrize("value", ["Bearer ", "Bearer  ", "Bearer \t", "Bearer\t", " Bearer "])
@pytest.mark.parametrize("site", [("sec-fetch-site", "cross-site"), ("origin", "https://x.y")])
def test_an_authorization_header_without_a_token_does_not_carry_a_cookie_over(
    page: Admin, service: Service, rows: Rows, value: str, site: tuple[str, str]
) -> None:
    """On the wire: clients take the blanks away."""
    session = page.login().cookies["session"]
    headers = {
        "authorization": value,
        "cookie": f"session={session}",
        "content-type": "application/json",
        site[0]: site[1],
    }
    connection = HTTPConnection("127.0.0.1", service.port, timeout=10)
    with closing(connection):
        connection.request("PUT", "/api/slots/slot-001", json.dumps(SAVE), headers)
        assert connection.getresponse().status in (401, 403)

    assert rows("select name from slot where id = 'slot-001'") == [{"name": "Slot 1"}]


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://x.y"}])
def test_another_sites_page_cannot_sign_in(
    service: Service, rows: Rows, headers: dict[str, str]
) -> None:
    ensure_account(service)
    with Admin(service) as stranger:
        credentials = {"username": ADMIN, "password": ADMIN_PASSWORD}
        answer = stranger.post("/api/login", json=credentials, headers=headers)

    assert (answer.status_code, answer.headers["x-failure-reason"]) == (403, "forbidden")
    assert "set-cookie" not in answer.headers
    assert rows("select * from login_throttle") == []


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_who_cannot_be_signed_in_is_led_to_the_sign_in_at_once(service: Service, site: str) -> None:
    with Admin(service) as stranger:
        for path in (*map(sample, ADMINS_PAGES), "/slots/slot-001%20x?c=d&e=f"):
            answer = stranger.get(path, headers={"sec-fetch-site": site})

            assert (answer.status_code, answer.headers["cache-control"]) == (303, "no-store")
            assert answer.headers["location"] == f"/login?next={quote(path, safe='')}"


def test_a_link_from_elsewhere_leaves_it_to_the_page_who_is_signed_in(
    service: Service, page: Admin
) -> None:
    # SameSite=Strict keeps the cookie back, and old browsers do not tell where a link was.
    with Admin(service) as stranger:
        for headers in ({"sec-fetch-site": "cross-site"}, {}):
            assert stranger.get("/journal", headers=headers).status_code == 200
    assert page.get("/journal", headers={"sec-fetch-site": "none"}).status_code == 200


@pytest.mark.parametrize("path", GUESTS_PAGES)
def test_a_guest_is_never_asked_to_sign_in(service: Service, path: str) -> None:
    with Admin(service) as guest:
        assert guest.get(sample(path), headers={"sec-fetch-site": "none"}).status_code == 200


def test_the_public_name_is_ours_too(make_service: MakeService) -> None:
    service = make_service(PUBLIC_BASE_URL="https://photos.example")
    with signed_in(service) as admin:
        cookie = {"cookie": f"__Host-session={admin.token}"}

        def save(origin: str) -> httpx.Response:
            with Admin(service) as page:
                headers = {**cookie, "origin": origin}
                return page.post("/api/cleanup", headers=headers)

        assert save("https://photos.example").status_code == 200
        assert save("https://photos.example.evil.example").status_code == 403
