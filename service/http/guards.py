"""Guards, middleware around the admins' routes: who is it, does a browser send
this on its own behalf.

Guards raise and sit on the routes themselves, inside the error handlers.
"""

import hmac
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Forbidden, Unauthorized
from service.http import sessions
from service.http.sessions import Session
from service.queries import ended_sessions
from service.state import State

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# What `Sec-Fetch-Site` says of an address that was typed, and of our own links.
OUR_SITES = ("none", "same-origin")
LOOPBACK = ("127.0.0.1", "::1")
OUR_NAMES = ("localhost", *LOOPBACK)
# A proxy in front is on this host too, but speaks for somebody else.
PASSED_ON = ("x-forwarded-for", "x-real-ip", "forwarded", "via")


class SameOrigin:
    """Refuses an unsafe request that a browser sends for another site.

    Browsers say where a request comes from in `Sec-Fetch-Site`, older ones in `Origin`; a request
    with neither, or with a bearer token, does not ride on a browser's cookies
    (https://words.filippo.io/csrf/)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request[State](scope)
        if request.method not in SAFE_METHODS and sessions.bearer(request) is None:
            _check_origin(request)
        await self._app(scope, receive, send)


def _check_origin(request: Request[State]) -> None:
    site = request.headers.get("sec-fetch-site")
    if site in OUR_SITES:
        return
    if site is not None:
        raise Forbidden()
    origin = request.headers.get("origin")
    ours = (request.headers.get("host"), urlsplit(request.state["config"].public_base_url).netloc)
    if origin is not None and origin.partition("://")[2] not in ours:
        raise Forbidden()


class AdminOnly:
    """Lets only a signed-in admin pass; handlers find out who by `admin(request)`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["session"] = await session_of(Request[State](scope))
        await self._app(scope, receive, send)


class SignInFirst:
    """Leads a browser without a session to the sign-in, before the page asks in vain for all it
    shows.

    A link on another site comes without the SameSite=Strict cookie even of who is signed in: there
    the page finds out by itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request[State](scope)
        if request.headers.get("sec-fetch-site") in OUR_SITES and not carries_session(request):
            url, headers = f"/login?next={_here(scope)}", {"Cache-Control": "no-store"}
            await RedirectResponse(url, 303, headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _here(scope: Scope) -> str:
    """The address of a request as a value of a query."""
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    return quote(scope["raw_path"] + query, safe="")


def carries_session(request: Request[State]) -> bool:
    """Whether a request claims to come from an admin."""
    name = sessions.cookie_name(request.state["config"].public_base_url)
    return sessions.bearer(request) is not None or name in request.cookies


async def session_of(request: Request[State]) -> Session:
    """The session a request carries. Raises `Unauthorized`."""
    state = request.state
    config = state["config"]
    token = sessions.bearer(request)
    if token is None:
        token = request.cookies.get(sessions.cookie_name(config.public_base_url))
    if not token:
        raise Unauthorized()
    session = sessions.verify(token, config.jwt_signing_keys, state["admins"])
    if await ended_sessions.contains(state["db"], session.jti):
        raise Unauthorized("This session has ended. Sign in again.")
    return session


def session(request: Request[State]) -> Session:
    """The session behind a request that passed `AdminOnly`."""
    found: Session = request.scope["session"]
    return found


def admin(request: Request[State]) -> str:
    """The name of the admin behind a request that passed `AdminOnly`."""
    return session(request).username


def is_insider(request: Request[State]) -> bool:
    """Whether a machine of ours asks: it knows METRICS_TOKEN or, where there is none, it sits on
    this host with no proxy between."""
    if token := request.state["config"].metrics_token:
        given = sessions.bearer(request) or ""
        return hmac.compare_digest(given.encode(), token.encode())
    passed_on = any(name in request.headers for name in PASSED_ON)
    return address(request) in LOOPBACK and not passed_on and _is_our_host(request)


def _is_our_host(request: Request[State]) -> bool:
    """Whether a request was meant for us: a browser on this host asks whatever name a page of
    another site has had point here (DNS rebinding)."""
    ours = urlsplit(request.state["config"].public_base_url).hostname
    return _hostname(request.headers.get("host", "")) in (*OUR_NAMES, ours)


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def address(request: Request[State]) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else "unknown"
