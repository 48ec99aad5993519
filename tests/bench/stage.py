"""Everything a measurement needs, started for real and stopped in every ending."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import embedded
import httpx
import psutil
from camera import PASSWORD
from migrate import migrate
from rig import Program, Sandbox, Service, free_port
from tables import Tables

from service.crypto import hash_password

FLOOR = Path(__file__).with_name("floor.py")
UNLIMITED = 1000


class Floor(Program):
    """The program everything is compared with, on a free port."""

    def __init__(self, folder: Path, provider_url: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, str(FLOOR), "--port", str(port), "--folder", str(folder)]
        super().__init__([*command, "--provider-url", provider_url], {}, folder / "floor.log")

    def wait_ready(self) -> "Floor":
        """Wait until it listens."""
        self.wait_until(self._listens, "the floor listens")
        return self

    def _listens(self) -> bool:
        try:
            return httpx.get(self.url, trust_env=False).status_code > 0
        except httpx.TransportError:
            return False


@dataclass(frozen=True)
class Stage:
    """A database whose slots send photos untouched and know no limit, and a sandbox."""

    folder: Path
    tables: Tables
    sandbox: Sandbox

    @contextmanager
    def service(self, **environment: str) -> Iterator[Service]:
        """The service in a process of its own, with a folder of its own."""
        home = Path(tempfile.mkdtemp(prefix="service-", dir=self.folder))
        self.tables.execute("update house set folder_marked_at = null")
        service = Service(
            home / "service.log",
            database_url=self.tables.url,
            home=home,
            provider_url=self.sandbox.url,
            environment=environment,
        )
        try:
            yield service.wait_ready()
        finally:
            service.stop()

    @contextmanager
    def floor(self) -> Iterator[Floor]:
        """The floor in a process of its own."""
        floor = Floor(Path(tempfile.mkdtemp(prefix="floor-", dir=self.folder)), self.sandbox.url)
        try:
            yield floor.wait_ready()
        finally:
            floor.stop()


@contextmanager
def open_stage() -> Iterator[Stage]:
    """PostgreSQL, migrated, and the sandbox; they and all files are gone with the block."""
    with ExitStack() as ending:
        folder = Path(tempfile.mkdtemp(prefix="photoslot-bench-"))
        ending.callback(shutil.rmtree, folder)
        ending.callback(_kill_children)
        server = embedded.start(folder / "postgres" / "data")
        ending.callback(server.stop)
        tables = Tables(server.get_uri())
        ending.callback(tables.close)
        migrate(tables.url)
        _lift_limits(tables)
        sandbox = Sandbox(folder / "sandbox.log")
        ending.callback(sandbox.stop)
        yield Stage(folder, tables, sandbox)


def _lift_limits(tables: Tables) -> None:
    tables.execute(
        "update slot set max_side_px = 0, max_in_flight = %s, ingest_password_hash = %s",
        UNLIMITED,
        hash_password(PASSWORD),
    )
    tables.execute(
        "update settings set value = jsonb_build_object('gemini', %s::integer)"
        " where key = 'provider_max_in_flight'",
        UNLIMITED,
    )


def _kill_children() -> None:
    """A Ctrl-C may come while a program is being started, before anybody knows how to stop it."""
    for child in psutil.Process().children(recursive=True):
        child.kill()
        child.wait()
