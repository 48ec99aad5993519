"""Authentication API: signing in and out."""

from typing import Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from service.counters import LOGINS
from service.crypto import digest
from service.errors import InvalidCredentials, RateLimited
from service.http import guards, json_body, sessions
from service.queries import audit, ended_sessions, throttles
from service.state import State
from service.throttle import LOGIN, LOGIN_ADDRESS

log = structlog.get_logger()


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    username: str
    password: str


async def login(request: Request[State]) -> Response:
    """`POST /api/login`: a session as `access_token` and as cookie.

    The try is counted before the password is looked at, so that many at once are counted too."""
    state, address = request.state, guards.address(request)
    given = await json_body.read_json(request, Credentials)
    username = given.username.strip()[: audit.MAX_USERNAME]
    subject = digest("login", username, address)
    await _count(request, username, subject)
    account = state["admins"].find(username)
    known_hash = account.password_hash if account else state["nobody_hash"]
    fits = await state["passwords"].verify_anew(given.password, known_hash)
    if account is None or not fits:
        await _refuse(request, username, "invalid_credentials")
        raise InvalidCredentials()
    await throttles.forgive(state["db"], subject)
    await throttles.take_back(state["db"], digest("login-address", address))
    config = state["config"]
    token, session = sessions.issue(username, config.session_hours, config.jwt_signing_keys)
    await audit.add(state["db"], username, address, "auth.login.success", username, {})
    log.info("auth.login.success", username=username, address=address)
    LOGINS.labels("success").inc()
    response = json_body.answer(
        {
            "access_token": token,
            "token_type": "Bearer",
            "username": username,
            "expires_at": session.ends,
        }
    )
    _set_cookie(response, state, token)
    return response


async def logout(request: Request[State]) -> Response:
    """`POST /api/logout`: ends this session everywhere."""
    state, session = request.state, guards.session(request)
    await ended_sessions.add(state["db"], session.jti, session.ends)
    await audit.add(
        state["db"], session.username, guards.address(request), "auth.logout", session.username, {}
    )
    response = Response(status_code=204, headers={"Cache-Control": "no-store"})
    response.delete_cookie(**_cookie(state))
    return response


async def show_session(request: Request[State]) -> Response:
    """`GET /api/session`: who is signed in, until when, and how others reach this service."""
    session, config = guards.session(request), request.state["config"]
    return json_body.answer(
        {
            "username": session.username,
            "expires_at": session.ends,
            "public_base_url": config.public_base_url,
        }
    )


async def _count(request: Request[State], username: str, subject: bytes) -> None:
    """Count this try for the name at this address, and for the address as a whole."""
    db, address = request.state["db"], guards.address(request)
    wide = digest("login-address", address)
    for counted, limit in ((wide, LOGIN_ADDRESS), (subject, LOGIN)):
        if not await throttles.count(db, counted, limit):
            seconds = await throttles.blocked_seconds(db, [wide, subject])
            await _refuse(request, username, "rate_limited")
            raise RateLimited(retry_after=seconds or 1)


async def _refuse(request: Request[State], username: str, reason: str) -> None:
    address = guards.address(request)
    log.warning("auth.login.failure", username=username, address=address, reason=reason)
    LOGINS.labels(reason).inc()
    await audit.add(
        request.state["db"], username, address, "auth.login.failure", username, {"reason": reason}
    )


def _set_cookie(response: Response, state: State, token: str) -> None:
    response.set_cookie(value=token, max_age=state["config"].session_hours * 3600, **_cookie(state))


def _cookie(state: State) -> dict[str, Any]:
    base = state["config"].public_base_url
    return {
        "key": sessions.cookie_name(base),
        "path": "/",
        "secure": base.startswith("https:"),
        "httponly": True,
        "samesite": "strict",
    }
