"""Lifespan: what is opened before the first request and closed after the last, the checks at start,
the healing of what a killed process left."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import FrameType

import structlog

from service.config import Config
from service.counters import DB_MAX_CONNECTIONS, watch_process
from service.crypto import PasswordMemory, hash_password
from service.errors import PhotoslotError, StorageError, StorageFull
from service.hashing import HashingLine
from service.http.sessions import new_password
from service.intake import Intake
from service.monitoring.checks import open_checks
from service.monitoring.provider_health import ProviderHealth
from service.pictures.qr import QrCodes
from service.providers.http import open_client
from service.queries import installation, jobs
from service.site import Web
from service.state import State
from service.storage.accounts import Admins, ProviderKeys
from service.storage.database import open_database
from service.storage.media import Media
from service.storage.schema import misfit
from service.threads import Threads
from service.upkeep import cleanup
from service.upkeep.media_owner import claim_folder
from service.upkeep.worker_lease import open_worker_lease

log = structlog.get_logger()


@asynccontextmanager
async def open_state(config: Config) -> AsyncIterator[State]:
    """Open everything that outlives a request, heal what a killed process left, close it again."""
    threads = Threads()
    async with (
        open_database(config.database_url, config.db_pool_size) as db,
        open_worker_lease(config.database_url) as lease,
        open_client(max_connections=config.max_in_flight) as client,
    ):
        media = await claim_folder(db, Media(config.media_root, lease.worker))
        keys = ProviderKeys(config.secrets_dir, config.providers)
        checks = open_checks(config, db, media, threads, ProviderHealth(db, client, keys))
        state = State(
            config=config,
            db=db,
            media=media,
            client=client,
            threads=threads,
            passwords=PasswordMemory(HashingLine(threads.passwords, "camera")),
            sign_ins=PasswordMemory(HashingLine(threads.sign_ins, "admin")),
            codes=QrCodes(threads.codes),
            intake=Intake(config, media),
            worker=lease.worker,
            holds_lease=lease.is_held,
            admins=Admins(config.secrets_dir),
            provider_keys=keys,
            nobody_hash=hash_password(new_password()),
            web=Web(reload=config.reload),
            checks=checks,
        )
        await _heal(state)
        healing = asyncio.create_task(_heal_later(state))
        DB_MAX_CONNECTIONS.set(config.db_pool_size)
        watching = asyncio.create_task(watch_process(db.connections))
        restore = _refuse_shots_on_sigterm(state["intake"])
        try:
            yield state
        finally:
            restore()
            watching.cancel()
            healing.cancel()
            threads.shutdown()


async def find_problems(config: Config) -> list[str]:
    """Why this service cannot start now, in words for the operator; empty when it can."""
    found, media = [], Media(config.media_root)
    try:
        async with open_database(config.database_url, 1) as db:
            if problem := misfit(await installation.migrations(db)):
                found.append(f"the schema of the database {problem}")
            else:
                await claim_folder(db, media)
    except (StorageError, StorageFull) as error:
        found.append(f"MEDIA_ROOT cannot be used: {error.private}")
    except PhotoslotError as error:
        found.append(f"DATABASE_URL cannot be used: {error.private}")
    return found


async def _heal_later(state: State) -> None:
    """Heal once more when the lease of a process that died just before this one started has run
    out, and our own session is old enough to prove it."""
    await asyncio.sleep(jobs.SETTLED_SECONDS)
    try:
        await _heal(state)
    except PhotoslotError as error:
        log.error("not_healed", reason=error.reason, why=error.private)


async def _heal(state: State) -> None:
    """Put right what processes that died have left, as far as it is known which these are."""
    healed = await cleanup.heal(cleanup.cleaner_of(state))
    if healed != cleanup.Cleaned():
        log.warning(
            "healed",
            interrupted_jobs=healed.interrupted,
            adopted_jobs=healed.adopted,
            removed_files=healed.files,
        )


def _refuse_shots_on_sigterm(intake: Intake) -> Callable[[], None]:
    """From SIGTERM on no new shot is taken; the server's own handler then lets running ones end.
    Gives the function that takes this back."""
    previous = signal.getsignal(signal.SIGTERM)

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        intake.shutting_down = True
        if callable(previous):
            previous(number, frame)

    try:
        signal.signal(signal.SIGTERM, on_sigterm)
    except ValueError:
        # Only the main thread may set handlers; a test that runs the app elsewhere gets no signals.
        return lambda: None
    return lambda: None if previous is None else _restore(previous)


def _restore(previous: "signal._HANDLER") -> None:
    signal.signal(signal.SIGTERM, previous)
