"""Password rules: what nobody may choose, whoever asks (ASVS 5, 6.2.1 and 6.2.4).

A password that is in force already stays so; the rules are for new ones.
"""

from functools import cache
from pathlib import Path

MIN_PASSWORD = 8
COMMON = Path(__file__).parent / "common_passwords.txt"


def is_common(password: str) -> bool:
    """Whether it is one of those that are guessed first, in whatever case."""
    return password.casefold() in _common()


@cache
def _common() -> frozenset[str]:
    lines = COMMON.read_text(encoding="ascii").splitlines()
    return frozenset(line for line in lines if not line.startswith("# "))
