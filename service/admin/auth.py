"""Authentication API: signing in and out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from service.counters import LOGINS
from service.crypto import Digest, digest
from service.errors import InvalidCredentials, Overloaded, RateLimited
from service.http import guards, json_body, sessions
from service.queries import audit, ended_sessions, throttles
from service.state import State
from service.throttle import LOGIN, LOGIN_ACCOUNT, LOGIN_ADDRESS, Throttle, network

log = structlog.get_logger()

# Where an account signed in from within so many days, at its last so many sign-ins, it is known.
KNOWN_DAYS = 90
KNOWN_SIGN_INS = 100


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    username: str
    password: str


async def login(request: Request[State]) -> Response:
    """`POST /api/login`: a session as `access_token` and as cookie.

    The try is counted before the password is looked at, so that many at once are counted too."""
    state, address = request.state, guards.address(request)
    given = await json_body.read_json(request, Credentials)
    username = given.username.strip()[: audit.MAX_USERNAME]
    tries = await _count(request, username)
    account = state["admins"].find(username)
    known_hash = account.password_hash if account else state["nobody_hash"]
    try:
        fits = await state["sign_ins"].verify_anew(given.password, known_hash, tries[0].failures)
    except Overloaded:
        await _take_back(state, tries)
        raise
    if account is None or not fits:
        await _refuse(request, username, tries)
    await _forgive(state, tries)
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


@dataclass(frozen=True, slots=True)
class _Try:
    """One try of a subject that was counted, and how many it has now."""

    subject: Digest
    limit: Throttle
    whom: str
    failures: int


async def _count(request: Request[State], username: str) -> list[_Try]:
    """Count this try for the address, for the name at this address, and for the name wherever it
    is tried: that one slows down who guesses from many addresses, and does not count where its
    account is known. Raises `RateLimited`."""
    db, sender = request.state["db"], network(guards.address(request))
    counted = []
    for whom, limit, subject in (
        ("address", LOGIN_ADDRESS, digest("login-address", sender)),
        ("account_at_address", LOGIN, digest("login", username, sender)),
        ("account", LOGIN_ACCOUNT, digest("login-account", username)),
    ):
        failures = await throttles.count(db, subject, limit)
        if failures is not None:
            counted.append(_Try(subject, limit, whom, failures))
        elif whom != "account" or not await _is_known(request, username, sender):
            LOGINS.labels("rate_limited").inc()
            seconds = await throttles.blocked_seconds(db, [subject])
            raise RateLimited(retry_after=seconds or 1)
    return counted


async def _is_known(request: Request[State], username: str, sender: str) -> bool:
    db = request.state["db"]
    found = await audit.signed_in_from(db, username, KNOWN_DAYS, KNOWN_SIGN_INS)
    return sender in map(network, found)


async def _forgive(state: State, tries: list[_Try]) -> None:
    """The password was right: whoever mistyped it here before begins anew, whoever else was wrong
    at this address or with this name stays counted."""
    for one in tries:
        if one.limit is LOGIN:
            await throttles.forgive(state["db"], one.subject)
        else:
            await throttles.take_back(state["db"], one.subject)


async def _take_back(state: State, tries: list[_Try]) -> None:
    for one in tries:
        await throttles.take_back(state["db"], one.subject)


async def _refuse(request: Request[State], username: str, tries: list[_Try]) -> NoReturn:
    """Write down a wrong name or password, and whom it shuts out: what is tried while somebody is
    shut out leaves nothing but its line in the access log."""
    LOGINS.labels("invalid_credentials").inc()
    await _note_failure(request, username, {"reason": "invalid_credentials"})
    for one in tries:
        if one.failures >= one.limit.tries:
            begun = {"reason": "rate_limited", "shut_out": one.whom, "tries": one.failures}
            await _note_failure(request, username, begun)
    raise InvalidCredentials()


async def _note_failure(request: Request[State], username: str, details: Mapping[str, Any]) -> None:
    db, address = request.state["db"], guards.address(request)
    log.warning("auth.login.failure", username=username, address=address, **details)
    await audit.add(db, username, address, "auth.login.failure", username, details)


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
