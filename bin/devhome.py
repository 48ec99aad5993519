"""DEV_HOME: everything one development installation keeps, and which process has it now."""

import fcntl
import hashlib
import json
import os
import secrets
import socket
import string
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from children import end_leftover, started_at
from PIL import Image, ImageDraw, ImageFilter

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
PASSWORD_LETTERS = string.ascii_lowercase + string.digits
PASSWORD_LENGTH = 16
SAMPLE_SIZE = (1200, 800)


class Refused(Exception):
    """It cannot be started as asked; the message says why and what to do."""


@dataclass(frozen=True)
class Settings:
    """The knobs."""

    port: int
    sandbox_port: int
    folder: Path
    admin_password: str | None
    ingest_password: str | None

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def sandbox_address(self) -> str:
        return f"http://{HOST}:{self.sandbox_port}"

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """From environment variables; raises `Refused`."""
        port = _port(environment, "PORT", 8000)
        return cls(
            port=port,
            sandbox_port=_port(environment, "SANDBOX_PORT", port + 1),
            folder=Path(environment.get("DEV_HOME") or ROOT / ".dev").expanduser().absolute(),
            admin_password=environment.get("DEV_ADMIN_PASSWORD") or None,
            ingest_password=environment.get("DEV_INGEST_PASSWORD") or None,
        )

    def check_ports(self) -> None:
        """Raises `Refused` when a port cannot be listened on."""
        if self.port == self.sandbox_port:
            raise Refused(f"PORT and SANDBOX_PORT are both {self.port}; they must differ")
        for name, port in (("PORT", self.port), ("SANDBOX_PORT", self.sandbox_port)):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, port))
                except OSError as error:
                    raise Refused(
                        f"port {port} cannot be used ({error.strerror}); "
                        f"stop what listens there or choose another by {name}=…"
                    ) from error


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name) or str(default)
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= 65535):
        raise Refused(f"{name} must be a number from 1 to 65535, not {value}")
    return int(value)


@dataclass(frozen=True)
class DevHome:
    """The folder. Its secrets are made once and kept, readable for their owner only."""

    folder: Path

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    def media(self, given_database_url: str | None) -> Path:
        """Where pictures lie: a folder for each database, no other one's is taken."""
        if given_database_url is None:
            return self.folder / "media"
        return self.folder / f"media-{hashlib.sha256(given_database_url.encode()).hexdigest()[:8]}"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    @contextmanager
    def occupied(self, address: str) -> Iterator[None]:
        """Live here alone; raises `Refused` while another bin/dev does. A killed one does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Refused(_occupant(lock)) from error
            lock.truncate(0)
            lock.write(json.dumps({"pid": os.getpid(), "address": address}))
            lock.flush()
            yield

    def secret(self, name: str, length: int = PASSWORD_LENGTH) -> str:
        """The secret of that name, made at the first asking."""
        path = self.folder / "credentials.json"
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        if name not in known:
            known[name] = "".join(secrets.choice(PASSWORD_LETTERS) for _ in range(length))
            _write_private(path, json.dumps(known, indent=2) + "\n")
        return known[name]

    def sample_photo(self) -> Path:
        """A photo to try a shot with."""
        path = self.folder / "sample.jpg"
        if not path.exists():
            _portrait().save(path, quality=90)
        return path

    def remember_child(self, name: str, pid: int) -> None:
        """Note a program that a killed bin/dev would leave behind."""
        children = [*self._children(), {"name": name, "pid": pid, "started": started_at(pid)}]
        _write_private(self._children_path, json.dumps(children))

    def end_leftovers(self) -> list[str]:
        """End the programs of a bin/dev that was killed; their names."""
        left = self._children()
        ended = [
            entry["name"]
            for entry in left
            if entry["started"] is not None and end_leftover(entry["pid"], entry["started"])
        ]
        self._children_path.unlink(missing_ok=True)
        return ended

    @property
    def _children_path(self) -> Path:
        return self.folder / "children.json"

    def _children(self) -> list[dict[str, Any]]:
        if not self._children_path.exists():
            return []
        children: list[dict[str, Any]] = json.loads(self._children_path.read_text())
        return children


def _occupant(lock: IO[str]) -> str:
    lock.seek(0)
    words = lock.read()
    if not words:
        return "another bin/dev is starting here"
    occupant = json.loads(words)
    return (
        f"bin/dev is already running here: pid {occupant['pid']}, {occupant['address']}. "
        f"Stop it with Ctrl-C in its terminal or `kill {occupant['pid']}`; "
        "a second service needs its own DEV_HOME and PORT."
    )


def _write_private(path: Path, text: str) -> None:
    """Replace the file in one step, so that a kill leaves the old one or the new one."""
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    aside.rename(path)


def _portrait() -> Image.Image:
    """Somebody in front of a grey studio wall."""
    width, height = SAMPLE_SIZE
    picture = Image.radial_gradient("L").resize(SAMPLE_SIZE).point(lambda value: 215 - value // 2)
    picture = Image.merge("RGB", (picture,) * 3)
    draw = ImageDraw.Draw(picture)
    middle = width // 2
    draw.ellipse((middle - 330, 560, middle + 330, 1300), fill=(52, 73, 110))
    draw.rectangle((middle - 60, 470, middle + 60, 620), fill=(205, 160, 132))
    draw.ellipse((middle - 165, 130, middle + 165, 560), fill=(74, 52, 40))
    draw.ellipse((middle - 140, 180, middle + 140, 540), fill=(224, 181, 153))
    for side in (-55, 55):
        draw.ellipse((middle + side - 14, 320, middle + side + 14, 346), fill=(52, 40, 34))
    draw.arc((middle - 60, 380, middle + 60, 460), 20, 160, fill=(150, 70, 70), width=8)
    return picture.filter(ImageFilter.GaussianBlur(1.5))
