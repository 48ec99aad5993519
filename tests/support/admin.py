"""Admins at their desks: an account in the service's secrets, a session, requests in its name.

@pytest.fixture
def admin(service: Service) -> Iterator[Admin]:
    with signed_in(service) as admin:
        yield admin
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rig import Service

from service.crypto import verify_password
from service.storage.accounts import Admins

ADMIN = "serg"
ADMIN_PASSWORD = "a password of the studio"
ANSWER_SECONDS = 70.0


def secrets_dir(service: Service) -> Path:
    """The folder a service keeps its secrets in."""
    return service.media_root.parent / "secrets"


def accounts(service: Service) -> Admins:
    """The accounts of a service, as `bin/admin` changes them."""
    return Admins(secrets_dir(service))


# To verify a password takes 40 ms on either side, and nearly every test begins with a session.
verify = functools.cache(verify_password)
_sessions: dict[tuple[str, str, str], str] = {}


def ensure_account(service: Service, username: str = ADMIN, password: str = ADMIN_PASSWORD) -> None:
    """Make an account with this password unless it is there: a new one would end its sessions."""
    known = accounts(service).find(username)
    if known is None or not verify(password, known.password_hash):
        accounts(service).set_password(username, password)


class Admin:
    """A client of the admins' API; without a token it is a stranger."""

    def __init__(self, service: Service, token: str | None = None) -> None:
        self.service = service
        self.token = token
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=service.url, headers=headers, trust_env=False, timeout=ANSWER_SECONDS
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


def sign_in(
    service: Service, username: str = ADMIN, password: str = ADMIN_PASSWORD, *, anew: bool = False
) -> Admin:
    """A signed-in admin who uses a bearer token; the account is made when there is none. The
    session may have begun in a test before this one, unless it is wanted `anew`."""
    ensure_account(service, username, password)
    account = accounts(service).find(username)
    assert account is not None
    session = (service.url, username, account.password_hash)
    if anew or session not in _sessions:
        with Admin(service) as stranger:
            answer = stranger.login(username, password)
        assert answer.status_code == 200, answer.text
        _sessions[session] = answer.json()["access_token"]
    return Admin(service, _sessions[session])


@contextmanager
def signed_in(service: Service, username: str = ADMIN, *, anew: bool = False) -> Iterator[Admin]:
    """A signed-in admin for the length of a block; see `sign_in`."""
    with sign_in(service, username, anew=anew) as admin:
        yield admin
