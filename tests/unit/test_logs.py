"""Log lines and words for a terminal: what strangers send is shown, never obeyed."""

import io
import json
import logging

import children
import pytest
import structlog

from service.logs import printable, set_up_logging

ODD = {
    "escape": "\x1b[2J\x1b]0;owned\x07",
    "C1 control sequence": "\x9b31m",
    "delete": "a\x7f\x08b",
    "carriage return": "good\rbad",
    "line feed": "serg\nready http://evil.example",
    "right to left": "\u202egpj.exe",
    "isolate": "\u2066x\u2069",
    "line separator": "a\u2028b",
    "byte order mark": "\ufeffa",
    "tag": "\U000e0041",
    "half a pair": "\ud800",
}


def is_harmless(text: str) -> bool:
    return all(one.isprintable() for one in text)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_log_line_has_nothing_a_terminal_obeys_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    written = io.StringIO()
    monkeypatch.setattr("sys.stdout", written)
    set_up_logging("info")
    try:
        structlog.get_logger().warning("auth.login.failure", username=odd)
        logging.getLogger("a library").warning("%s", odd)
    finally:
        structlog.reset_defaults()

    ours, library = written.getvalue().splitlines()
    assert is_harmless(ours) and is_harmless(library)
    assert json.loads(ours)["username"] == json.loads(library)["event"] == odd


@pytest.mark.parametrize("odd", [odd for odd in ODD.values() if "\n" not in odd])
def test_words_for_a_terminal_are_escaped(odd: str) -> None:
    assert is_harmless(printable(odd))
    assert json.loads(f'"{printable(odd)}"') == odd


def test_words_that_do_no_harm_stay_as_they_are() -> None:
    words = "Студия\tÄrger: 東京 🙂\nand a second line"

    assert printable(words) == words


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_bin_dev_shows_a_strangers_words_on_one_harmless_line(odd: str) -> None:
    line = {"event": "auth.login.failure", "level": "warning", "username": odd, "reason": odd}
    shot = {"event": "shot", "slot": odd, "status": 401, "reason": odd}

    for said in (line, shot):
        shown = children._readable(json.dumps(said, ensure_ascii=False))
        assert shown is not None
        assert is_harmless(printable(shown))
