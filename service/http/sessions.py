"""Session tokens: JWT, HS256, signed with the first key and verified with any of them."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import jwt
from starlette.requests import Request

from service.errors import Unauthorized
from service.storage.accounts import Admins

ALGORITHM = "HS256"
AUDIENCE = "photoslot"
REQUIRED = ["sub", "iat", "exp", "jti", "aud"]
MAX_TOKEN_BYTES = 4096
BEARER = "Bearer "


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in admin."""

    username: str
    jti: UUID
    issued_at: float
    expires_at: float

    @property
    def ends(self) -> datetime:
        return datetime.fromtimestamp(self.expires_at, UTC)


def issue(username: str, hours: int, keys: Sequence[str]) -> tuple[str, Session]:
    """A new session of `hours`, and its token."""
    now = time.time()
    session = Session(username, uuid4(), now, now + hours * 3600)
    claims = {
        "sub": username,
        "iat": session.issued_at,
        "exp": session.expires_at,
        "jti": str(session.jti),
        "aud": AUDIENCE,
    }
    return jwt.encode(claims, keys[0], ALGORITHM), session


def verify(token: str, keys: Sequence[str], admins: Admins) -> Session:
    """The session of a token that is signed by one of the keys, unexpired, and whose admin still
    has the password it was begun with. Raises `Unauthorized`."""
    session = _decode(token, keys)
    account = admins.find(session.username)
    if account is None or session.issued_at < account.changed_at:
        raise Unauthorized("This session has ended. Sign in again.")
    return session


def _decode(token: str, keys: Sequence[str]) -> Session:
    if len(token) > MAX_TOKEN_BYTES:
        raise Unauthorized()
    for key in keys:
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                options={"require": REQUIRED},
            )
            return Session(
                claims["sub"], UUID(claims["jti"]), float(claims["iat"]), float(claims["exp"])
            )
        except jwt.InvalidSignatureError:
            continue
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError):
            break
    raise Unauthorized("This session has ended. Sign in again.")


def cookie_name(public_base_url: str) -> str:
    """`__Host-` demands Secure, and Secure demands https: plain http gets a plain name."""
    return "__Host-session" if public_base_url.startswith("https:") else "session"


def bearer(request: Request[Any]) -> str | None:
    """The token of an `Authorization: Bearer` header; None when there is none, or none in it."""
    given = request.headers.get("authorization", "")
    token = given.removeprefix(BEARER).strip() if given.startswith(BEARER) else ""
    return token or None


def new_password() -> str:
    """A password nobody has to think up: 96 bits."""
    return secrets.token_urlsafe(12)
