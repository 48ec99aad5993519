"""Connections: who goes when there are too many."""

from dataclasses import dataclass

import pytest

from service.http import connections
from service.http.connections import Connections, speaks_for_many


@dataclass(eq=False)
class Someone:
    network: str
    idle_since: float = 0.0
    is_idle: bool = True
    speaks_for_many: bool = False
    is_gone: bool = False

    def give_up(self) -> None:
        self.is_gone = True


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 4)
    monkeypatch.setattr(connections, "MAX_CONNECTIONS_OF_NETWORK", 2)


def entered(*people: Someone) -> list[bool]:
    """Who of them is gone when all have come in this order; whoever goes leaves at once."""
    opened = Connections()
    for one in people:
        opened.enter(one)
        for other in people:
            if other.is_gone and other in opened._open:
                opened.leave(other)
    return [one.is_gone for one in people]


def test_what_is_shipped() -> None:
    assert connections.MAX_CONNECTIONS == 2000
    assert connections.MAX_CONNECTIONS_OF_NETWORK == 500


def test_of_one_network_the_one_goes_that_has_waited_longest(limits: None) -> None:
    first, second = Someone("a", idle_since=5), Someone("a", idle_since=3)
    assert entered(first, second, Someone("a", idle_since=9)) == [False, True, False]


def test_nobody_who_waits_for_an_answer_goes(limits: None) -> None:
    busy = [Someone("a", is_idle=False), Someone("a", is_idle=False)]
    assert entered(*busy, Someone("a")) == [False, False, True]


def test_over_all_somebody_of_the_busiest_network_goes(limits: None) -> None:
    others = [Someone("b", idle_since=1), Someone("c"), Someone("a", 2), Someone("a", 3)]
    assert entered(*others, Someone("d", 9)) == [False, False, True, False, False]


def test_who_speaks_for_many_is_bounded_by_the_number_of_all_only(limits: None) -> None:
    proxy = [Someone("a", idle_since=n, speaks_for_many=True) for n in range(4)]
    assert entered(*proxy) == [False] * 4
    assert entered(*proxy, Someone("a", 9, speaks_for_many=True))[0]


@pytest.mark.parametrize(
    ("address", "proxies", "many"),
    [
        ("127.0.0.1", [], True),
        ("::1", [], True),
        ("10.0.0.7", ["10.0.0.7"], True),
        ("10.0.0.7", ["10.0.0.0/24"], True),
        ("10.0.1.7", ["10.0.0.0/24"], False),
        ("203.0.113.9", ["*"], True),
        ("203.0.113.9", ["a name"], False),
        ("unknown", ["*"], False),
    ],
)
def test_this_host_and_trusted_proxies_speak_for_many(
    address: str, proxies: list[str], many: bool
) -> None:
    assert speaks_for_many(address, proxies) is many
