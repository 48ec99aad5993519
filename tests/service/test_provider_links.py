"""Links for a provider that fetches its inputs from us: whole, for a window, for nobody else."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import photos
import pytest
from conftest import MakeService
from rig import SIGNING_KEY, Service

from service.crypto import sign_link
from service.shots.provider_links import SALT

Signed = Callable[..., str]
NEW_KEY = "another signing key that only the tests have: 53 bytes"


@pytest.fixture
def photo(service: Service) -> Path:
    """What lies on the bench of a running shot."""
    path = service.media_root / "temp" / "0f2c1a63-9d4b-4f2e-8c55-6a8f1c0d7e21.77.photo"
    path.write_bytes(photos.jpeg())
    return path


@pytest.fixture
def signed(service: Service, photo: Path) -> Signed:
    """`signed()` is the link of the photo; what is given differs from a good one."""

    def link(
        mime: str = "image/jpeg",
        seconds: float = 30,
        key: str = SIGNING_KEY,
        salt: str = SALT,
        name: str = "picture.jpg",
    ) -> str:
        ends = datetime.now(UTC) + timedelta(seconds=seconds)
        content = [f"temp/{photo.name}", mime, int(ends.timestamp())]
        return f"{service.url}/public/media/{sign_link([key], salt, content)}/{name}"

    return link


def fetch(url: str, method: str = "GET", **headers: str) -> httpx.Response:
    """What a program without cookies gets."""
    return httpx.request(method, url, headers=headers, trust_env=False)


@pytest.mark.parametrize(
    ("mime", "name"), [("image/jpeg", "picture.jpg"), ("image/png", "picture.png")]
)
def test_a_link_gives_the_whole_picture_with_its_type_and_length(
    signed: Signed, photo: Path, mime: str, name: str
) -> None:
    answer = fetch(signed(mime=mime, name=name), range="bytes=0-9")

    assert answer.status_code == 200
    assert answer.content == photo.read_bytes()
    assert answer.headers["content-type"] == mime
    assert int(answer.headers["content-length"]) == photo.stat().st_size
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-robots-tag"] == "noindex"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_head_tells_type_and_length(signed: Signed, photo: Path) -> None:
    answer = fetch(signed(), "HEAD")

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "image/jpeg"
    assert int(answer.headers["content-length"]) == photo.stat().st_size


def test_a_link_ends_with_its_window(signed: Signed) -> None:
    for method in ("GET", "HEAD"):
        assert_over(fetch(signed(seconds=-1), method))


def test_a_link_ends_with_its_shot(signed: Signed, photo: Path) -> None:
    link = signed()
    assert fetch(link).status_code == 200
    photo.unlink()

    assert_over(fetch(link))


def assert_over(answer: httpx.Response) -> None:
    assert answer.status_code == 410
    assert answer.headers["x-failure-reason"] == "result_expired"


@pytest.mark.parametrize(
    "other",
    [{"key": "k" * 40}, {"salt": "photoslot.share"}, {"name": "picture.png"}, {"name": "x.jpg"}],
    ids=["a stranger's key", "a link of another kind", "another type", "another name"],
)
def test_what_this_service_did_not_sign_is_not_there(signed: Signed, other: dict[str, str]) -> None:
    answer = fetch(signed(**other))

    assert (answer.status_code, answer.json()["failure_reason"]) == (404, "not_found")


def test_a_changed_link_is_not_there(signed: Signed) -> None:
    url = signed()
    at = url.index("/public/media/") + len("/public/media/") + 8
    changed = url[:at] + ("A" if url[at] != "A" else "B") + url[at + 1 :]

    assert fetch(changed).json()["failure_reason"] == "not_found"
    assert fetch(f"{url}/more").status_code == 404


def test_every_process_serves_it_also_after_a_change_of_keys(
    make_service: MakeService, signed: Signed, photo: Path, service: Service
) -> None:
    other = make_service(JWT_SIGNING_KEY=f"{NEW_KEY},{SIGNING_KEY}")
    photo.write_bytes(data := photos.jpeg())

    assert fetch(signed().replace(service.url, other.url)).content == data
    assert fetch(signed(key=NEW_KEY).replace(service.url, other.url)).content == data
    assert fetch(signed(key=NEW_KEY)).status_code == 404


def test_a_link_is_not_written_into_the_log(service: Service, signed: Signed) -> None:
    fetch(url := signed())

    line = service.wait_log("request", path="/public/media/", status=200)
    token = url.split("/")[-2]
    assert token not in str(line)
    assert all(token not in str(line) for line in service.log)
