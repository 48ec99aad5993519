"""Admins at their desks: an account in the house's secrets, a session, requests in its name.

@pytest.fixture
def admin(house: House) -> Iterator[Admin]:
    with signed_in(house) as admin:
        yield admin
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rig import House

from service.accounts import Admins
from service.crypto import verify_password

ADMIN = "serg"
ADMIN_PASSWORD = "a password of the studio"
ANSWER_SECONDS = 70.0


def secrets_dir(house: House) -> Path:
    """The folder a house keeps its secrets in."""
    return house.media_root.parent / "secrets"


def accounts(house: House) -> Admins:
    """The accounts of a house, as `bin/admin` changes them."""
    return Admins(secrets_dir(house))


def ensure_account(house: House, username: str = ADMIN, password: str = ADMIN_PASSWORD) -> None:
    """Make an account with this password unless it is there: a new one would end its sessions."""
    known = accounts(house).find(username)
    if known is None or not verify_password(password, known.password_hash):
        accounts(house).set_password(username, password)


class Admin:
    """A client of the admins' API; without a token it is a stranger."""

    def __init__(self, house: House, token: str | None = None) -> None:
        self.house = house
        self.token = token
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=house.url, headers=headers, trust_env=False, timeout=ANSWER_SECONDS
        )

    def login(self, username: str = ADMIN, password: str = ADMIN_PASSWORD) -> httpx.Response:
        """Ask for a session; this client goes on as it was, but for the cookie it was given."""
        return self.post("/api/login", json={"username": username, "password": password})

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._http.request(method, path, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def put(self, path: str, json: Any, **options: Any) -> httpx.Response:
        return self.request("PUT", path, json=json, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.request("DELETE", path, **options)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "Admin":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def sign_in(house: House, username: str = ADMIN, password: str = ADMIN_PASSWORD) -> Admin:
    """A signed-in admin who uses a bearer token; the account is made when there is none."""
    ensure_account(house, username, password)
    with Admin(house) as stranger:
        answer = stranger.login(username, password)
    assert answer.status_code == 200, answer.text
    return Admin(house, answer.json()["access_token"])


@contextmanager
def signed_in(house: House, username: str = ADMIN) -> Iterator[Admin]:
    """A signed-in admin for the length of a block."""
    with sign_in(house, username) as admin:
        yield admin
