"""Configuration: what the operator decides before the start, read once, whole and loudly.

`load()` takes a mapping (the environment), reports every problem at once and gives a frozen
`Config`. Any variable `X` may also be given as `X_FILE`, the path of a file with its value.
"""

import os
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

MIN_SIGNING_KEY_BYTES = 32
MIN_TOKEN_LENGTH = 16
# The package prometheus_client looks for this name when it is imported.
SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"

T = TypeVar("T")


class ConfigError(Exception):
    """One or more variables are missing or wrong; the message names all of them."""


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """Where a provider is reached and with which key; an empty key is `not configured`."""

    base_url: str
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """The service's configuration. Secrets are hidden in `repr`."""

    database_url: str = field(repr=False)
    media_root: Path
    secrets_dir: Path
    public_base_url: str
    jwt_signing_keys: tuple[str, ...] = field(repr=False)
    host: str
    port: int
    processes: int
    reload: bool
    trusted_proxies: tuple[str, ...]
    db_pool_size: int
    result_ttl_hours: int
    temp_ttl_seconds: int
    job_retention_days: int
    max_in_flight: int
    max_spool_mb: int
    min_free_disk_mb: int
    max_image_megapixels: int
    timezone: str
    session_hours: int
    log_level: str
    metrics_token: str = field(repr=False)
    providers: Mapping[str, ProviderAccount]


def from_environment() -> Config:
    """The `Config` of this process's environment."""
    return load(os.environ)


def database_url_from_environment() -> str:
    """Only `DATABASE_URL`, for commands that need nothing else."""
    reader = _Reader(os.environ)
    url = reader.text("DATABASE_URL", check=_is_postgres_url)
    reader.complain()
    return url


def secrets_dir_from_environment() -> Path:
    """Only `SECRETS_DIR`."""
    reader = _Reader(os.environ)
    folder = reader.folder("SECRETS_DIR", "secrets")
    reader.complain()
    return folder


def share_metrics(folder: str) -> None:
    """Have the processes started from here count together, in files under `folder`."""
    os.environ[SHARED_METRICS] = folder


def shared_metrics() -> Path | None:
    """The folder where several processes count together; None for one that counts alone."""
    folder = os.environ.get(SHARED_METRICS)
    return Path(folder) if folder else None


def media_root_from_environment() -> Path:
    """Only `MEDIA_ROOT`."""
    reader = _Reader(os.environ)
    folder = reader.folder("MEDIA_ROOT", "media")
    reader.complain()
    return folder


def load(environment: Mapping[str, str]) -> Config:
    """Read and check everything; raises `ConfigError` naming every problem."""
    read = _Reader(environment)
    config = Config(
        database_url=read.text("DATABASE_URL", check=_is_postgres_url),
        media_root=read.folder("MEDIA_ROOT", "media"),
        secrets_dir=read.folder("SECRETS_DIR", "secrets"),
        public_base_url=read.base_url("PUBLIC_BASE_URL"),
        jwt_signing_keys=read.signing_keys("JWT_SIGNING_KEY"),
        host=read.text("HOST", "127.0.0.1"),
        port=read.number("PORT", 8000, low=1, high=65535),
        processes=read.number("WEB_CONCURRENCY", 1, low=1, high=64),
        reload=read.number("RELOAD", 0, low=0, high=1) == 1,
        trusted_proxies=read.words("TRUSTED_PROXIES"),
        db_pool_size=read.number("DB_POOL_SIZE", 8, low=1, high=100),
        result_ttl_hours=read.number("RESULT_TTL_HOURS", 72, low=1, high=24 * 365),
        temp_ttl_seconds=read.number("TEMP_TTL_SECONDS", 60, low=10, high=24 * 3600),
        job_retention_days=read.number("JOB_RETENTION_DAYS", 400, low=31, high=36_500),
        max_in_flight=read.number("MAX_IN_FLIGHT", 300, low=1, high=10_000),
        max_spool_mb=read.number("MAX_SPOOL_MB", 4096, low=1, high=1_000_000),
        min_free_disk_mb=read.number("MIN_FREE_DISK_MB", 512, low=0, high=10_000_000),
        max_image_megapixels=read.number("MAX_IMAGE_MEGAPIXELS", 120, low=1, high=1000),
        session_hours=read.number("SESSION_HOURS", 12, low=1, high=24 * 7),
        timezone=read.text("TIMEZONE", "UTC", check=_is_timezone),
        log_level=read.choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
        metrics_token=read.token("METRICS_TOKEN"),
        providers={
            "gemini": read.account("GEMINI", "https://generativelanguage.googleapis.com"),
            "openai": read.account("OPENAI", "https://api.openai.com"),
            "turbotext": read.account("TURBOTEXT", "https://www.turbotext.ru"),
        },
    )
    read.complain()
    return config


class _Reader:
    """Reads variables one by one and remembers what was wrong with each."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._problems: list[str] = []

    def complain(self) -> None:
        if self._problems:
            raise ConfigError("\n".join(self._problems))

    def text(
        self,
        name: str,
        default: str | None = None,
        *,
        check: Callable[[str], str | None] = lambda _: None,
    ) -> str:
        """The value; `check` gives the broken rule in words, or None."""
        value = self._value(name)
        if not value and default is None:
            return self._problem(name, "is required", "")
        value = value or default or ""
        broken = check(value) if value else None
        return self._problem(name, broken, value) if broken else value

    def number(self, name: str, default: int, *, low: int, high: int) -> int:
        value = self._value(name)
        if not value:
            return default
        if value.isascii() and value.isdigit() and low <= int(value) <= high:
            return int(value)
        return self._problem(name, f"must be a whole number from {low} to {high}", default)

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = (self._value(name) or default).lower()
        if value in allowed:
            return value
        return self._problem(name, f"must be one of {', '.join(allowed)}", default)

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(word.strip() for word in self._value(name).split(",") if word.strip())

    def folder(self, name: str, default: str) -> Path:
        path = Path(self._value(name) or default).expanduser()
        if path.exists() and not path.is_dir():
            self._problem(name, "must be a folder", path)
        return path.absolute()

    def base_url(self, name: str, default: str | None = None) -> str:
        return self.text(name, default, check=_is_base_url).rstrip("/")

    def signing_keys(self, name: str) -> tuple[str, ...]:
        """The first key signs, all of them verify: put a new one in front to rotate."""
        keys = self.words(name)
        if not keys:
            self._problem(name, "is required", keys)
        if any(len(key.encode()) < MIN_SIGNING_KEY_BYTES for key in keys):
            rule = f"must be at least {MIN_SIGNING_KEY_BYTES} bytes long (each of its keys)"
            self._problem(name, rule, keys)
        return keys

    def token(self, name: str) -> str:
        value = self.text(name, "", check=_is_header_text)
        if value and len(value) < MIN_TOKEN_LENGTH:
            self._problem(name, f"must be at least {MIN_TOKEN_LENGTH} characters long", value)
        return value

    def account(self, prefix: str, base_url: str) -> ProviderAccount:
        return ProviderAccount(
            base_url=self.base_url(f"{prefix}_BASE_URL", base_url),
            api_key=self.text(f"{prefix}_API_KEY", "", check=_is_header_text),
        )

    def _value(self, name: str) -> str:
        path = self._environment.get(f"{name}_FILE")
        if not path:
            return self._environment.get(name, "").strip()
        if self._environment.get(name):
            return self._problem(name, f"and {name}_FILE are both set; keep one", "")
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            return self._problem(f"{name}_FILE", f"cannot be read: {type(error).__name__}", "")

    def _problem(self, name: str, rule: str, value: T) -> T:
        self._problems.append(f"{name} {rule}")
        return value


def _is_postgres_url(value: str) -> str | None:
    good = urlsplit(value).scheme in ("postgresql", "postgres")
    return None if good else "must be a postgresql:// URL"


def _is_base_url(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.path in ("", "/")
        good = good and not (parts.query or parts.fragment or parts.username) and parts.port != 0
    except ValueError:
        good = False
    return None if good else "must be http(s)://host[:port] without a path"


def _is_header_text(value: str) -> str | None:
    good = value.isascii() and value.isprintable() and " " not in value
    return None if good else "must be printable ASCII without spaces"


def _is_timezone(value: str) -> str | None:
    try:
        if value != "UTC":
            zoneinfo.ZoneInfo(value)
        return None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return "must be a time zone name such as Europe/Moscow"
