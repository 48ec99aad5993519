"""The application: every route on one screen, and the middleware around them."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.admin import (
    auth,
    journal,
    preflight,
    providers,
    settings,
    shares,
    slots,
    statistics,
    templates,
)
from service.config import Config, from_environment
from service.errors import PhotoslotError
from service.guests import gallery, results
from service.http import pages
from service.http.errors import refuse
from service.http.guards import AdminOnly, SameOrigin, SignInFirst
from service.http.middleware import CloseEarly, UnexpectedErrors
from service.lifespan import open_state
from service.logs import AccessLog, set_up_logging
from service.machines import metrics, probes
from service.shots import ingest, provider_links
from service.state import State

Handler = Callable[[Request[State]], Awaitable[Response]]


def device(verb: str, path: str, endpoint: Handler) -> Route:
    """A route for cameras, which show a slot's password with the photo."""
    return Route(path, endpoint, methods=[verb])


def public(verb: str, path: str, endpoint: Handler) -> Route:
    """A route for whoever knows an id or holds a link."""
    return Route(path, endpoint, methods=[verb])


def admin(verb: str, path: str, endpoint: Handler) -> Route:
    """A route for signed-in admins only; their browsers must be on our own pages."""
    guards = [Middleware(AdminOnly), Middleware(SameOrigin)]
    return Route(path, endpoint, methods=[verb], middleware=guards)


def sign_in(verb: str, path: str, endpoint: Handler) -> Route:
    """The route that makes an admin of somebody; a browser must be on our own pages."""
    return Route(path, endpoint, methods=[verb], middleware=[Middleware(SameOrigin)])


def machine(verb: str, path: str, endpoint: Handler) -> Route:
    """A route for probes and scrapers."""
    return Route(path, endpoint, methods=[verb])


def page(path: str, name: str, *guards: Middleware) -> Route:
    """The address of a page; its files are named like it (see `service.site`)."""
    return Route(path, pages.page(name), methods=["GET"], name=name, middleware=guards)


def admin_page(path: str, name: str) -> Route:
    """The address of a page that shows nothing to who is not signed in."""
    return page(path, name, Middleware(SignInFirst))


ROUTES = [
    device("POST", "/api/ingest/{slot_id}", ingest.receive),
    device("POST", "/ingest/{slot_id}", ingest.receive),
    public("GET", "/public/results/{job_id}", results.show),
    public("DELETE", "/public/results/{job_id}", results.remove),
    public("GET", "/public/results/{job_id}/preview", results.show_preview),
    public("GET", "/public/results/{job_id}/qr", results.show_code),
    public("GET", "/public/media/{token}/{name}", provider_links.show),
    public("GET", "/public/proof/{nonce}", preflight.prove),
    public("GET", "/api/jobs/{job_id}", journal.show_job),
    public("GET", "/public/slots", gallery.show_all),
    public("GET", "/public/slots/{slot_id}", gallery.show_slot),
    public("GET", "/public/shares/qr", gallery.show_code),
    sign_in("POST", "/api/login", auth.login),
    admin("POST", "/api/logout", auth.logout),
    admin("GET", "/api/session", auth.show_session),
    admin("GET", "/api/slots", slots.list_slots),
    admin("GET", "/api/slots/{slot_id}", slots.show),
    admin("PUT", "/api/slots/{slot_id}", slots.change),
    admin("GET", "/api/slots/{slot_id}/versions", slots.list_versions),
    admin("POST", "/api/slots/{slot_id}/versions/{version:int}/restore", slots.restore),
    admin("POST", "/api/slots/{slot_id}/test-run", slots.test_shot),
    admin("POST", "/api/slots/{slot_id}/cleanup", slots.clean),
    admin("POST", "/api/cleanup", slots.clean_all),
    admin("GET", "/api/template-media", templates.list_templates),
    admin("POST", "/api/template-media", templates.add),
    admin("GET", "/api/template-media/{template_id:uuid}", templates.show),
    admin("DELETE", "/api/template-media/{template_id:uuid}", templates.remove),
    admin("GET", "/api/template-media/{template_id:uuid}/preview", templates.show_preview),
    admin("GET", "/api/settings", settings.show),
    admin("PUT", "/api/settings", settings.change),
    admin("GET", "/api/providers", providers.list_providers),
    admin("GET", "/api/jobs", journal.list_jobs),
    admin("GET", "/api/audit", journal.list_audit),
    admin("POST", "/api/preflight", preflight.run),
    admin("GET", "/api/stats", statistics.show),
    admin("GET", "/api/stats/slots", statistics.show_slots),
    admin("GET", "/api/shares", shares.list_shares),
    admin("POST", "/api/shares", shares.add),
    admin("DELETE", "/api/shares/{share_id:uuid}", shares.revoke),
    machine("GET", "/livez", probes.livez),
    machine("GET", "/healthz", probes.healthz),
    machine("GET", "/metrics", metrics.show),
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
    public("GET", "/static/{version}/{path:path}", pages.asset),
]


def create_app(config: Config) -> Starlette:
    """The service as an ASGI application."""
    set_up_logging(config.log_level)
    app = Starlette(
        routes=[*ROUTES, *PAGES],
        lifespan=lambda _app: open_state(config),
        middleware=[
            Middleware(AccessLog),
            Middleware(CloseEarly),
            Middleware(UnexpectedErrors),
        ],
        exception_handlers={PhotoslotError: refuse, HTTPException: refuse},
    )
    app.router.redirect_slashes = False
    return app


def app_from_environment() -> Starlette:
    """The factory a server process calls."""
    return create_app(from_environment())
