import dataclasses
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from rig import ROOT

from service.config import MIN_SIGNING_KEY_BYTES, Config, ConfigError, load

DATABASE = "postgresql://photoslot:database-password@127.0.0.1/photoslot"
KEY = "a signing key of more than 32 bytes"
OTHER_KEY = "another signing key longer than 32 bytes"
WHOLE = {
    "DATABASE_URL": DATABASE,
    "PUBLIC_BASE_URL": "https://photos.example",
    "JWT_SIGNING_KEY": KEY,
}


def problems(environment: Mapping[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(environment)
    return str(raised.value).splitlines()


def names(environment: Mapping[str, str]) -> list[str]:
    """The variables that are wrong."""
    return [line.split()[0] for line in problems(environment)]


def start(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_three_variables_are_enough() -> None:
    config = load(WHOLE)

    assert config.database_url == DATABASE
    assert config.public_base_url == "https://photos.example"
    assert config.jwt_signing_keys == (KEY,)
    assert (config.host, config.port, config.processes) == ("127.0.0.1", 8000, 1)
    assert config.result_ttl_hours == 72
    assert config.media_root == Path("media").absolute()
    assert config.trusted_proxies == ()
    assert config.providers["gemini"].base_url == "https://generativelanguage.googleapis.com"
    assert config.providers["gemini"].api_key == ""


def test_every_variable_is_read() -> None:
    config = load(
        WHOLE
        | {
            "PORT": "9000",
            "WEB_CONCURRENCY": "2",
            "RELOAD": "1",
            "TRUSTED_PROXIES": " 10.0.0.1, 10.0.0.2 ,",
            "RESULT_TTL_HOURS": "1",
            "TIMEZONE": "Europe/Moscow",
            "LOG_LEVEL": "DEBUG",
            "OPENAI_API_KEY": "sk-1",
            "OPENAI_BASE_URL": "http://127.0.0.1:9001/",
        }
    )

    assert (config.port, config.processes, config.reload) == (9000, 2, True)
    assert config.trusted_proxies == ("10.0.0.1", "10.0.0.2")
    assert config.result_ttl_hours == 1
    assert config.timezone == "Europe/Moscow"
    assert config.log_level == "debug"
    assert config.providers["openai"].api_key == "sk-1"
    assert config.providers["openai"].base_url == "http://127.0.0.1:9001"


def test_all_problems_come_at_once() -> None:
    wrong = {
        "DATABASE_URL": "mysql://somewhere/db",
        "JWT_SIGNING_KEY": "short",
        "PORT": "0",
        "DB_POOL_SIZE": "many",
        "TIMEZONE": "Mars/Olympus",
        "LOG_LEVEL": "loud",
        "GEMINI_BASE_URL": "https://example.com/v1beta",
    }

    assert sorted(names(wrong)) == sorted([*wrong, "PUBLIC_BASE_URL"])


def test_a_variable_is_required_when_it_is_missing_or_blank() -> None:
    assert problems({"PUBLIC_BASE_URL": "   "}) == [
        "DATABASE_URL is required",
        "PUBLIC_BASE_URL is required",
        "JWT_SIGNING_KEY is required",
    ]


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "port").write_text("9000\n")
    environment = {name: WHOLE[name] for name in ("DATABASE_URL", "PUBLIC_BASE_URL")}

    config = load(
        environment
        | {"JWT_SIGNING_KEY_FILE": str(tmp_path / "key"), "PORT_FILE": str(tmp_path / "port")}
    )

    assert config.jwt_signing_keys == (KEY,)
    assert config.port == 9000


def test_a_value_and_its_file_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)

    found = problems(WHOLE | {"JWT_SIGNING_KEY_FILE": str(tmp_path / "key")})

    assert "JWT_SIGNING_KEY and JWT_SIGNING_KEY_FILE are both set; keep one" in found


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x80")
    missing = {"GEMINI_API_KEY_FILE": str(tmp_path / "missing")}
    binary = {"OPENAI_API_KEY_FILE": str(tmp_path / "binary")}
    folder = {"TURBOTEXT_API_KEY_FILE": str(tmp_path)}

    assert problems(WHOLE | missing | binary | folder) == [
        "GEMINI_API_KEY_FILE cannot be read: FileNotFoundError",
        "OPENAI_API_KEY_FILE cannot be read: UnicodeDecodeError",
        "TURBOTEXT_API_KEY_FILE cannot be read: IsADirectoryError",
    ]


def test_several_signing_keys_keep_their_order() -> None:
    config = load(WHOLE | {"JWT_SIGNING_KEY": f"{OTHER_KEY} , {KEY}"})

    assert config.jwt_signing_keys == (OTHER_KEY, KEY)


@pytest.mark.parametrize("keys", ["k" * (MIN_SIGNING_KEY_BYTES - 1), f"{KEY},short"])
def test_a_short_signing_key_is_refused(keys: str) -> None:
    assert problems(WHOLE | {"JWT_SIGNING_KEY": keys}) == [
        "JWT_SIGNING_KEY must be at least 32 bytes long (each of its keys)"
    ]


def test_the_length_of_a_signing_key_is_counted_in_bytes() -> None:
    key = "ключ" * (MIN_SIGNING_KEY_BYTES // 8)

    assert load(WHOLE | {"JWT_SIGNING_KEY": key}).jwt_signing_keys == (key,)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "https://photos.example",
        "https://photos.example:8443/",
        "http://[::1]:8000",
    ],
)
def test_a_base_url_is_scheme_host_and_port(url: str) -> None:
    assert load(WHOLE | {"PUBLIC_BASE_URL": url}).public_base_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "photos.example",
        "ftp://photos.example",
        "https://",
        "https://photos.example/gallery",
        "https://photos.example?x=1",
        "https://photos.example/#top",
        "https://user:password@photos.example",
        "https://photos.example:port",
        "https://[::1",
    ],
)
def test_any_other_base_url_is_refused(url: str) -> None:
    assert problems(WHOLE | {"PUBLIC_BASE_URL": url}) == [
        "PUBLIC_BASE_URL must be http(s)://host[:port] without a path"
    ]


@pytest.mark.parametrize("number", ["-1", "0", "65536", "8e3", "8000.0", "٨", "0x10"])
def test_a_port_is_a_whole_number_in_its_range(number: str) -> None:
    assert problems(WHOLE | {"PORT": number}) == ["PORT must be a whole number from 1 to 65535"]


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "ключ"])
def test_an_api_key_that_no_header_can_carry_is_refused(key: str) -> None:
    assert names(WHOLE | {"GEMINI_API_KEY": key}) == ["GEMINI_API_KEY"]


def test_a_file_is_no_media_folder(tmp_path: Path) -> None:
    (tmp_path / "media").write_bytes(b"")

    assert problems(WHOLE | {"MEDIA_ROOT": str(tmp_path / "media")}) == [
        "MEDIA_ROOT must be a folder"
    ]


def test_no_secret_shows_in_its_repr() -> None:
    shown = repr(
        load(
            WHOLE
            | {"GEMINI_API_KEY": "gemini-key", "OPENAI_API_KEY": "openai-key"}
            | {"TURBOTEXT_API_KEY": "turbotext-key", "JWT_SIGNING_KEY": f"{KEY},{KEY}2"}
        )
    )

    assert "photos.example" in shown
    for secret in ("database-password", KEY, "gemini-key", "openai-key", "turbotext-key"):
        assert secret not in shown


def test_no_secret_shows_among_the_problems() -> None:
    shown = "\n".join(
        problems(
            {
                "DATABASE_URL": "mysql://user:database-password@host/db",
                "JWT_SIGNING_KEY": "short-secret",
                "GEMINI_API_KEY": "gemini key",
            }
        )
    )

    for secret in ("database-password", "short-secret", "gemini key"):
        assert secret not in shown


def test_it_is_frozen() -> None:
    config: Config = load(WHOLE)

    with pytest.raises(dataclasses.FrozenInstanceError):
        config.port = 1  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.providers["gemini"].api_key = "other"  # type: ignore[misc]


def test_it_does_not_look_at_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9999")

    assert load(WHOLE).port == 8000


def test_the_service_ends_with_2_and_prints_every_problem(tmp_path: Path) -> None:
    wrong = {"DATABASE_URL": "nowhere", "JWT_SIGNING_KEY": "short", "PORT": "http"}

    ended = start(wrong)

    assert ended.returncode == 2
    assert ended.stderr.splitlines()[1:] == problems(wrong)
    assert len(problems(wrong)) == 4
    assert ended.stdout == ""
