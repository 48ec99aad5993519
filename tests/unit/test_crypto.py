from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from service.crypto import (
    MAX_MET,
    MAX_PASSWORD_BYTES,
    MAX_REMEMBERED,
    PasswordMemory,
    digest,
    hash_password,
    verify_password,
)
from service.hashing import HashingLine

pytestmark = pytest.mark.anyio

ODD = [
    "",
    " open sesame ",
    "open\0sesame",
    "пароль",
    "🔑",
    "a\r\nb",
    "{braces}",
    "'; drop table slot",
]


class CountingThreads(ThreadPoolExecutor):
    """Real threads that count how often they were given work."""

    works = 0

    def submit(self, *args: Any, **kwargs: Any) -> "Future[Any]":
        self.works += 1
        return super().submit(*args, **kwargs)


@pytest.fixture
def threads() -> Iterator[CountingThreads]:
    with CountingThreads(1) as threads:
        yield threads


def memory_of(threads: CountingThreads) -> PasswordMemory:
    return PasswordMemory(HashingLine(threads, "test"))


@pytest.fixture(scope="module")
def hashed() -> str:
    return hash_password("open sesame")


def test_the_right_password_fits_and_no_other(hashed: str) -> None:
    assert verify_password("open sesame", hashed)
    assert not verify_password("open Sesame", hashed)
    assert not verify_password("", hashed)


def test_a_hash_is_argon2id_with_the_recommended_costs(hashed: str) -> None:
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_the_same_password_never_hashes_alike(hashed: str) -> None:
    assert hash_password("open sesame") != hashed


@pytest.mark.parametrize("password", ODD)
def test_any_text_can_be_a_password(password: str) -> None:
    hashed = hash_password(password)

    assert verify_password(password, hashed)
    assert not verify_password(password + "\0", hashed)


async def test_a_password_that_fitted_is_not_verified_again(
    threads: CountingThreads, hashed: str
) -> None:
    memory = memory_of(threads)

    assert [await memory.verify("open sesame", hashed) for _ in range(3)] == [True] * 3
    assert threads.works == 1


async def test_a_wrong_password_is_verified_every_time(
    threads: CountingThreads, hashed: str
) -> None:
    memory = memory_of(threads)

    assert [await memory.verify("wrong", hashed) for _ in range(3)] == [False] * 3
    assert threads.works == 3


async def test_a_password_is_remembered_for_its_own_hash_only(
    threads: CountingThreads, hashed: str
) -> None:
    memory = memory_of(threads)
    await memory.verify("open sesame", hashed)

    assert not await memory.verify("open sesame", hash_password("changed"))
    assert threads.works == 2


async def test_each_memory_learns_for_itself(threads: CountingThreads, hashed: str) -> None:
    for _ in range(2):
        assert await memory_of(threads).verify("open sesame", hashed)

    assert threads.works == 2


async def test_an_overlong_password_is_wrong_without_any_work(
    threads: CountingThreads, hashed: str
) -> None:
    memory = memory_of(threads)

    assert not await memory.verify("ж" * (MAX_PASSWORD_BYTES // 2) + "!", hashed)
    assert threads.works == 0


async def test_the_longest_password_is_taken(threads: CountingThreads) -> None:
    longest = "ж" * (MAX_PASSWORD_BYTES // 2)

    assert await memory_of(threads).verify(longest, hash_password(longest))


@pytest.mark.parametrize("password", ODD)
async def test_odd_characters_are_just_wrong(
    threads: CountingThreads, hashed: str, password: str
) -> None:
    assert not await memory_of(threads).verify(password, hashed)


async def test_the_memory_is_bounded(
    threads: CountingThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Argon2 for every one of so many passwords would take half a minute."""
    monkeypatch.setattr("service.crypto.verify_password", lambda password, hashed: True)
    memory = memory_of(threads)
    for number in range(MAX_REMEMBERED + 1):
        await memory.verify(f"password {number}", "hash")

    await memory.verify(f"password {MAX_REMEMBERED}", "hash")
    assert threads.works == MAX_REMEMBERED + 1
    await memory.verify("password 0", "hash")
    assert threads.works == MAX_REMEMBERED + 2


async def test_only_a_password_that_fitted_is_remembered(
    threads: CountingThreads, hashed: str
) -> None:
    memory = memory_of(threads)
    for password in ("open sesame", "wrong", "ж" * MAX_PASSWORD_BYTES):
        await memory.verify(password, hashed)

    assert memory.remembers("open sesame", hashed)
    assert not memory.remembers("open sesame", "another hash")
    assert not memory.remembers("wrong", hashed)
    assert not memory.remembers("ж" * MAX_PASSWORD_BYTES, hashed)


def test_a_memory_knows_from_where_a_password_came_and_forgets_the_oldest(
    threads: CountingThreads,
) -> None:
    memory = memory_of(threads)
    for number in range(MAX_MET):
        memory.meet("hash", f"network {number}")
    assert memory.has_met("hash", "network 0")

    memory.meet("hash", "one more")

    assert memory.has_met("hash", "network 0"), "it was asked for lately"
    assert not memory.has_met("hash", "network 1")
    assert not memory.has_met("another hash", "one more")


def test_a_digest_is_that_of_its_parts() -> None:
    assert digest("a", b"b") == digest(b"a", "b")
    assert len(digest("a")) == 32


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("ab",), ("a", "b")),
        (("a",), ("a", "")),
        ((), ("",)),
        (("a", "b"), ("b", "a")),
        (("a\0", "b"), ("a", "\0b")),
        (("\0\0\0\0\0\0\0\1a",), ("", "a")),
    ],
)
def test_different_parts_never_share_a_digest(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert digest(*one) != digest(*other)
