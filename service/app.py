"""The roof: every route on one screen, the layers around them, what lives with the process."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service import config as configuration
from service import queries
from service.admin import auth, journal, preflight, providers, slots, statistics, templates
from service.admin import settings as house_settings
from service.config import Config
from service.counters import DB_MAX_CONNECTIONS, REFUSALS, watch_process
from service.crypto import PasswordMemory, hash_password
from service.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PhotoslotError,
    StorageError,
)
from service.guests import gallery, results
from service.http import pages
from service.http.guards import AdminOnly, SameOrigin, SignInFirst
from service.http.middleware import LingeringClose, UnexpectedErrors
from service.http.sessions import new_password
from service.logs import AccessLog, set_up_logging
from service.machines import metrics, probes
from service.monitoring.checks import open_watch
from service.monitoring.provider_health import Pulses
from service.providers.http import open_client
from service.shots import ingest, provider_links
from service.site import Web
from service.state import Intake, State
from service.storage.accounts import Admins, ProviderKeys
from service.storage.database import open_database
from service.storage.media import Media
from service.storage.schema import misfit
from service.threads import Threads
from service.upkeep import cleanup
from service.upkeep.media_owner import claim_folder
from service.upkeep.worker_lock import open_lifeline

log = structlog.get_logger()

Handler = Callable[[Request[State]], Awaitable[Response]]


def admin(path: str, endpoint: Handler, method: str) -> Route:
    """A route for signed-in admins only; their browsers must be on our own pages."""
    guards = [Middleware(AdminOnly), Middleware(SameOrigin)]
    return Route(path, endpoint, methods=[method], middleware=guards)


def page(path: str, name: str, *guards: Middleware) -> Route:
    """The address of a page; its files are named like it (see `service.site`)."""
    return Route(path, pages.page(name), methods=["GET"], name=name, middleware=guards)


def admin_page(path: str, name: str) -> Route:
    """The address of a page that shows nothing to who is not signed in."""
    return page(path, name, Middleware(SignInFirst))


ROUTES = [
    # devices
    Route("/api/ingest/{slot_id}", ingest.receive, methods=["POST"]),
    Route("/ingest/{slot_id}", ingest.receive, methods=["POST"]),
    # public
    Route("/public/results/{job_id}", results.show, methods=["GET"]),
    Route("/public/results/{job_id}", results.remove, methods=["DELETE"]),
    Route("/public/results/{job_id}/preview", results.show_preview, methods=["GET"]),
    Route("/public/results/{job_id}/qr", results.show_code, methods=["GET"]),
    Route("/public/media/{token}/{name}", provider_links.show, methods=["GET"]),
    Route("/public/proof/{nonce}", preflight.prove, methods=["GET"]),
    Route("/api/jobs/{job_id}", journal.show_job, methods=["GET"]),
    Route("/public/slots", gallery.show_all, methods=["GET"]),
    Route("/public/slots/{slot_id}", gallery.show_slot, methods=["GET"]),
    Route("/public/shares/qr", gallery.show_code, methods=["GET"]),
    # admins
    Route("/api/login", auth.login, methods=["POST"], middleware=[Middleware(SameOrigin)]),
    admin("/api/logout", auth.logout, "POST"),
    admin("/api/session", auth.show_session, "GET"),
    admin("/api/slots", slots.list_slots, "GET"),
    admin("/api/slots/{slot_id}", slots.show, "GET"),
    admin("/api/slots/{slot_id}", slots.change, "PUT"),
    admin("/api/slots/{slot_id}/versions", slots.list_versions, "GET"),
    admin("/api/slots/{slot_id}/versions/{version:int}/restore", slots.restore, "POST"),
    admin("/api/slots/{slot_id}/test-run", slots.test_run, "POST"),
    admin("/api/slots/{slot_id}/cleanup", slots.clean, "POST"),
    admin("/api/cleanup", slots.clean_all, "POST"),
    admin("/api/template-media", templates.list_templates, "GET"),
    admin("/api/template-media", templates.add, "POST"),
    admin("/api/template-media/{template_id:uuid}", templates.show, "GET"),
    admin("/api/template-media/{template_id:uuid}", templates.remove, "DELETE"),
    admin("/api/template-media/{template_id:uuid}/preview", templates.show_preview, "GET"),
    admin("/api/settings", house_settings.show, "GET"),
    admin("/api/settings", house_settings.change, "PUT"),
    admin("/api/providers", providers.list_providers, "GET"),
    admin("/api/jobs", journal.list_jobs, "GET"),
    admin("/api/audit", journal.list_audit, "GET"),
    admin("/api/preflight", preflight.run, "POST"),
    admin("/api/stats", statistics.show, "GET"),
    admin("/api/stats/slots", statistics.show_slots, "GET"),
    admin("/api/shares", gallery.list_shares, "GET"),
    admin("/api/shares", gallery.add_share, "POST"),
    admin("/api/shares/{share_id:uuid}", gallery.revoke_share, "DELETE"),
    # machines
    Route("/livez", probes.livez, methods=["GET"]),
    Route("/healthz", probes.healthz, methods=["GET"]),
    Route("/metrics", metrics.show, methods=["GET"]),
]

PAGES = [
    admin_page("/", "slots"),
    page("/login", "login"),
    admin_page("/slots/{slot_id}", "slot"),
    admin_page("/journal", "journal"),
    admin_page("/journal/{job_id}", "job"),
    admin_page("/statistics", "statistics"),
    admin_page("/settings", "settings"),
    admin_page("/audit", "audit"),
    admin_page("/shares", "shares"),
    admin_page("/preflight", "preflight"),
    page("/r/{job_id}", "result"),
    page("/g", "gallery"),
    page("/g/{slot_id}", "gallery"),
    page("/show", "show"),
    page("/show/{slot_id}", "show"),
    Route("/static/{version}/{path:path}", pages.asset, methods=["GET"]),
]


def create_app(config: Config) -> Starlette:
    """The service as an ASGI application."""
    set_up_logging(config.log_level)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[State]:
        async with open_state(config) as state:
            yield state

    app = Starlette(
        routes=[*ROUTES, *PAGES],
        lifespan=lifespan,
        middleware=[
            Middleware(AccessLog),
            Middleware(LingeringClose),
            Middleware(UnexpectedErrors),
        ],
        exception_handlers={PhotoslotError: refuse, HTTPException: refuse},
    )
    app.router.redirect_slashes = False
    return app


def app_from_environment() -> Starlette:
    """The factory a server process calls."""
    return create_app(configuration.from_environment())


@asynccontextmanager
async def open_state(config: Config) -> AsyncIterator[State]:
    """Open everything that outlives a request, heal what a killed process left, close it again."""
    threads = Threads()
    Media(config.media_root).prepare()
    async with (
        open_database(config.database_url, config.db_pool_size) as db,
        open_lifeline(config.database_url) as worker,
        open_client(max_connections=config.max_in_flight) as client,
    ):
        media = Media(config.media_root, worker)
        keys = ProviderKeys(config.secrets_dir, config.providers)
        watch = open_watch(config, db, media, threads, Pulses(db, client, keys))
        state = State(
            config=config,
            db=db,
            media=media,
            client=client,
            threads=threads,
            passwords=PasswordMemory(threads.passwords),
            intake=Intake(config, media),
            worker=worker,
            admins=Admins(config.secrets_dir),
            provider_keys=keys,
            nobody_hash=hash_password(new_password()),
            web=Web(reload=config.reload),
            watch=watch,
        )
        healing = None if await _heal(state) else asyncio.create_task(_heal_later(state))
        DB_MAX_CONNECTIONS.set(config.db_pool_size)
        watching = asyncio.create_task(watch_process(db.connections))
        restore = _refuse_shots_on_sigterm(state["intake"])
        try:
            yield state
        finally:
            restore()
            watching.cancel()
            if healing:
                healing.cancel()
            threads.shutdown()


async def find_problems(config: Config) -> list[str]:
    """Why this house cannot be opened now, in words for the operator; empty when it can."""
    found, media = [], Media(config.media_root)
    try:
        media.prepare()
    except PhotoslotError as error:
        found.append(f"MEDIA_ROOT cannot be used: {error.private}")
    try:
        async with open_database(config.database_url, 1) as db:
            if problem := misfit(await queries.house_migrations(db)):
                found.append(f"the schema of the database {problem}")
            elif not found:
                await claim_folder(db, media)
    except StorageError as error:
        found.append(f"MEDIA_ROOT is not this database's: {error.private}")
    except PhotoslotError as error:
        found.append(f"DATABASE_URL cannot be used: {error.private}")
    return found


async def _heal_later(state: State) -> None:
    """Heal once more when it is known who lives: PostgreSQL has just started too, as after a power
    cut."""
    await asyncio.sleep(queries.SETTLED_SECONDS)
    try:
        await _heal(state)
    except PhotoslotError as error:
        log.error("not_healed", reason=error.reason, why=error.private)


async def _heal(state: State) -> bool:
    """Put right what processes that died have left; whether it was known which these are."""
    is_known = await queries.workers_alive(state["db"]) is not None
    healed = await cleanup.heal(cleanup.cleaner_of(state))
    if healed != cleanup.Cleaned():
        log.warning(
            "healed",
            interrupted_jobs=healed.interrupted,
            adopted_jobs=healed.adopted,
            removed_files=healed.files,
        )
    return is_known


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


async def refuse(request: Request[Any], error: Exception) -> Response:
    """Every refusal in the one JSON shape, for a person's browser as a page, with one counter and a
    reason in the request's line."""
    answer = error if isinstance(error, PhotoslotError) else _from_http(error)
    REFUSALS.labels(answer.reason).inc()
    request.scope["line"].update(reason=answer.reason, why=answer.private)
    shown = pages.refusal(request, answer)
    return shown or JSONResponse(answer.body(), answer.status, answer.all_headers())


def _from_http(error: Exception) -> PhotoslotError:
    """Starlette's own 404 and 405, with their headers."""
    assert isinstance(error, HTTPException)
    kinds: dict[int, type[PhotoslotError]] = {404: NotFound, 405: MethodNotAllowed}
    answer = kinds.get(error.status_code, InvalidRequest)()
    answer.headers.update(error.headers or {})
    return answer
