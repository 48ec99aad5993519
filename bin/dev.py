"""Development environment: everything a developer needs is started, explained and stopped in order.

Ctrl-C (or SIGTERM, or a closed terminal) lets shots in hand end, then stops the service, the
sandbox and PostgreSQL; a second one ends all of it at once. Exit codes: 0 stopped as asked,
1 something failed, 2 it cannot be started like this, 130 ended at once.
"""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from pathlib import Path
from typing import NoReturn

import embedded
import httpx
import migrate
import psutil
import psycopg
from children import Child, ChildDied, child, first_to_end, follow
from devhome import HOST, DevHome, Refused, Settings

from service.config import ConfigError, database_url_from_environment
from service.crypto import hash_password, verify_password
from service.logs import printable
from service.queries import slots
from service.storage.accounts import Admins
from service.storage.database import open_database

PROVIDERS = ("GEMINI", "OPENAI", "TURBOTEXT")
ADMINS = ("serg", "igor")
SLOTS = tuple(f"slot-{number:03}" for number in range(1, 16))
SIGNING_KEY_LENGTH = 64
SANDBOX_KEY = "sandbox"
SANDBOX_LATENCY_SECONDS = 1.5
SANDBOX_STOP_SECONDS = 10.0
READY_SECONDS = 60.0
POLL_SECONDS = 0.1
# A shot in hand may take the longest window.
SERVICE_STOP_SECONDS = 70.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FAILURES = (
    ChildDied,
    embedded.PostgresFailed,
    migrate.Refused,
    psycopg.OperationalError,
)


def main() -> int:
    """Run until told to stop; gives the exit code."""
    try:
        settings = Settings.read(os.environ)
        home = DevHome(settings.folder)
        with home.occupied(settings.address):
            for name in home.end_leftovers():
                say(f"ended a {name} that an earlier run had left behind")
            settings.check_ports()
            return asyncio.run(run_until_told(home, settings))
    except (Refused, ConfigError) as error:
        return complain(error, 2)
    except FAILURES as error:
        return complain(error, 1)


async def run_until_told(home: DevHome, settings: Settings) -> int:
    """Everything between the start and a signal."""
    life = asyncio.create_task(run(home, settings))
    told = False

    def on_signal() -> None:
        nonlocal told
        if told:
            end_at_once(home)
        told = True
        say("stopping; shots in hand may end (Ctrl-C once more ends them at once)")
        life.cancel()

    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    try:
        await life
    except asyncio.CancelledError:
        pass
    except FAILURES:
        # The terminal's Ctrl-C also ends the programs that are just starting PostgreSQL.
        if not told:
            raise
    say("stopped")
    return 0


async def run(home: DevHome, settings: Settings) -> None:
    """Start everything, introduce it, and wait; whatever ends this stops everything again."""
    async with AsyncExitStack() as stack:
        database_url = await stack.enter_async_context(database(home))
        for version in await asyncio.to_thread(migrate.migrate, database_url):
            say(f"migrated the database to {version}")
        sandbox = await stack.enter_async_context(start_sandbox(home, settings))
        service = await stack.enter_async_context(start_service(home, settings, database_url))
        watching = asyncio.create_task(follow(service.log, say))
        try:
            await wait_until_ready(service, settings.address)
            password = settings.ingest_password or home.secret("ingest_password")
            slot = await slot_with_password(database_url, password)
            admin = admins_password(home, settings)
            introduce(home, settings, slot, password, admin)
            await first_to_end([service, sandbox])
        finally:
            watching.cancel()


@asynccontextmanager
async def database(home: DevHome) -> AsyncIterator[str]:
    """The URL of the server that DATABASE_URL names, else of the embedded one."""
    if is_given("DATABASE_URL"):
        yield database_url_from_environment()
        return
    if not home.postgres.exists():
        say("making a database; only the first start takes this long")
    # A thread cannot be cancelled: it is waited for, whatever happens, so that what it started
    # can be stopped.
    starting = asyncio.create_task(asyncio.to_thread(embedded.start, home.postgres))
    try:
        server = await asyncio.shield(starting)
        yield server.get_uri()
    finally:
        server = await starting
        await asyncio.to_thread(server.stop)


def start_sandbox(home: DevHome, settings: Settings) -> AbstractAsyncContextManager[Child]:
    """All providers, simulated."""
    where = ["--host", HOST, "--port", str(settings.sandbox_port)]
    return child(
        "sandbox",
        ["service.sandbox", *where, "--latency-s", str(SANDBOX_LATENCY_SECONDS)],
        environment=os.environ,
        log=home.log("sandbox"),
        patience_seconds=SANDBOX_STOP_SECONDS,
        remember=home.remember_child,
    )


def start_service(
    home: DevHome, settings: Settings, database_url: str
) -> AbstractAsyncContextManager[Child]:
    """The service; it starts itself anew when its code changes."""
    return child(
        "service",
        ["service"],
        environment=service_environment(home, settings, database_url),
        log=home.log("service"),
        patience_seconds=SERVICE_STOP_SECONDS,
        remember=home.remember_child,
    )


def service_environment(home: DevHome, settings: Settings, database_url: str) -> dict[str, str]:
    """What the service reads. A provider whose base URL was given at the start is the real one,
    with the key that was given; the others are the sandbox's, which never sees a real key."""
    ours = {
        "HOST": HOST,
        "PORT": str(settings.port),
        "RELOAD": "1",
        "WEB_CONCURRENCY": "1",
        "DATABASE_URL": database_url,
        "MEDIA_ROOT": str(home.media(database_url if is_given("DATABASE_URL") else None)),
        "SECRETS_DIR": str(home.secrets),
    }
    for name in PROVIDERS:
        if not is_given(f"{name}_BASE_URL"):
            ours[f"{name}_BASE_URL"] = settings.sandbox_address
            ours[f"{name}_API_KEY"] = SANDBOX_KEY
    if not is_given("PUBLIC_BASE_URL"):
        ours["PUBLIC_BASE_URL"] = settings.address
    if not is_given("JWT_SIGNING_KEY"):
        ours["JWT_SIGNING_KEY"] = home.secret("jwt_signing_key", SIGNING_KEY_LENGTH)
    replaced = {f"{name}_FILE" for name in ours}
    return {name: value for name, value in os.environ.items() if name not in replaced} | ours


def is_given(name: str) -> bool:
    """Whether a variable is set, itself or as a file."""
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


async def wait_until_ready(service: Child, address: str) -> None:
    """Wait until the service can take a shot; raises `ChildDied` when it cannot."""
    try:
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient(trust_env=False) as client:
            while not await is_healthy(client, address):
                service.check()
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        raise ChildDied(
            f"the service is not ready after {READY_SECONDS:g} s:\n{service.last_words()}"
        ) from error


async def is_healthy(client: httpx.AsyncClient, address: str) -> bool:
    """Whether the service answers and finds itself well."""
    try:
        return (await client.get(f"{address}/healthz")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


async def slot_with_password(database_url: str, password: str) -> str:
    """The first slot that takes the password. When none does, as on a fresh database, all of them
    get it; passwords an admin has given to some slots are left alone."""
    async with open_database(database_url, size=1) as db:
        fits: dict[str | None, bool] = {None: False}
        for slot_id in SLOTS:
            slot = await slots.for_ingest(db, slot_id, b"", 1)
            hashed = slot.ingest_password_hash if slot else None
            if hashed not in fits and hashed is not None:
                fits[hashed] = verify_password(password, hashed)
            if fits[hashed]:
                return slot_id
        await slots.set_every_ingest_password(db, hash_password(password))
        return SLOTS[0]


def admins_password(home: DevHome, settings: Settings) -> str | None:
    """The password that both admins take; None when bin/admin has given them others, which are left
    alone unless DEV_ADMIN_PASSWORD says what they shall be."""
    password = settings.admin_password or home.secret("admin_password")
    admins = Admins(home.secrets)
    for name in ADMINS:
        account = admins.find(name)
        fits = account is not None and verify_password(password, account.password_hash)
        if account is None or (settings.admin_password and not fits):
            admins.set_password(name, password)
    accounts = [admins.find(name) for name in ADMINS]
    fit = all(one and verify_password(password, one.password_hash) for one in accounts)
    return password if fit else None


def introduce(
    home: DevHome, settings: Settings, slot: str, password: str, admin: str | None
) -> None:
    """Say where everything is and how to take the first shot."""
    given = [name.lower() for name in PROVIDERS if is_given(f"{name}_BASE_URL")]
    simulated = [name.lower() for name in PROVIDERS if name.lower() not in given]
    print()
    print(f"  address          {settings.address}")
    print(f"  admins           {' and '.join(ADMINS)}")
    print(f"  admin password   {admin or 'as bin/admin has set it'}")
    print(f"  ingest password  {password}")
    if simulated:
        print(f"  simulated        {', '.join(simulated)} at {settings.sandbox_address}")
    if given:
        print(f"  real             {', '.join(given)}")
    print(f"  logs             {home.log('service').parent}")
    print()
    print("  Take a shot (any photo does):")
    print()
    print(f"    {curl_line(settings.address, slot, password, home.sample_photo())}")
    print()
    print(f"ready {settings.address}", flush=True)


def curl_line(address: str, slot: str, password: str, photo: Path) -> str:
    """A shot as a command line that works when pasted."""
    form = "-F" if password.isalnum() else "--form-string"  # -F gives a meaning to @ < ; =
    return shlex.join(
        [
            *("curl", "-sS", "-D", "-", form, f"password={password}"),
            *("-F", f"fileToUpload=@{photo}", f"{address}/api/ingest/{slot}"),
            *("-o", "edited.jpg"),
        ]
    )


def end_at_once(home: DevHome) -> NoReturn:
    """Kill everything this process started."""
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    server = embedded.running(home.postgres)
    if server is not None:
        # PostgreSQL's "immediate shutdown": it recovers at the next start.
        server.send_signal(signal.SIGQUIT)
    say("ended at once")
    os._exit(130)


def say(words: str) -> None:
    """One line for the person at the terminal; parts of it may come from outside."""
    print(printable(words), flush=True)


def complain(error: Exception, code: int) -> int:
    """Say what went wrong; gives the exit code."""
    print(printable(f"bin/dev: {str(error).strip()}"), file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
