"""What nobody may choose as a password."""

import pytest

from service.password_rules import COMMON, MIN_PASSWORD, is_common


@pytest.mark.parametrize(
    "password", ["password", "PASSWORD", "Password1", "12345678", "qwertyuiop", "iloveyou"]
)
def test_the_commonest_are_known_in_whatever_case(password: str) -> None:
    assert is_common(password)


@pytest.mark.parametrize("password", ["a password of the studio", "", "пароль-пароль", "# The"])
def test_others_are_not(password: str) -> None:
    assert not is_common(password)


def test_there_are_enough_that_are_long_enough_to_be_chosen() -> None:
    """ASVS 5, 6.2.4: at least the top 3000 that the other rules allow."""
    lines = [line for line in COMMON.read_text().splitlines() if not line.startswith("# ")]

    assert len(set(lines)) == len(lines) >= 3000
    assert all(len(line) >= MIN_PASSWORD and line == line.casefold() for line in lines)
