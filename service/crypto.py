"""Cryptography: password hashes, the memory of a password that was verified, signed links.

Argon2id with the parameters OWASP's Password Storage Cheat Sheet gives first (19 MiB, 2 passes,
1 lane). One verification costs tens of milliseconds, so a process remembers which password fitted
which hash, as a digest under a key that never leaves it.
"""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from itsdangerous import BadSignature, URLSafeSerializer
from passlib.hash import argon2

from service.hashing import HashingLine

# A SHA-256 digest, 32 bytes.
Digest = bytes
T = TypeVar("T")

MAX_PASSWORD_BYTES = 1024
MAX_REMEMBERED = 256
MAX_MET = 4096
ARGON2 = argon2.using(type="ID", memory_cost=19_456, rounds=2, parallelism=1)


def hash_password(password: str) -> str:
    """The Argon2id hash of a password, in PHC string format."""
    hashed: str = ARGON2.hash(password)
    return hashed


def verify_password(password: str, password_hash: str) -> bool:
    """Whether the password fits; costs tens of milliseconds either way."""
    fits: bool = ARGON2.verify(password, password_hash)
    return fits


def digest(*parts: str | bytes) -> Digest:
    """SHA-256 over parts, each with its length, so that no two lists of parts collide."""
    hashed = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        hashed.update(len(raw).to_bytes(8) + raw)
    return hashed.digest()


def sign_link(keys: Sequence[str], salt: str, content: Any) -> str:
    """`content` (JSON) as a piece of an address that nobody else can make, signed by the first
    key. Whoever has it can read it."""
    text: str = _signer(keys, salt).dumps(content)
    return text


def read_link(keys: Sequence[str], salt: str, text: str) -> Any:
    """What `sign_link` was given under the same salt and any of the keys; None for anything
    else."""
    try:
        return _signer(keys, salt).loads(text)
    except BadSignature:
        return None


def seal(keys: Sequence[str], salt: str, text: str) -> str:
    """A key that fits this text alone: its HMAC under the first signing key, 43 characters."""
    return _signer(keys, salt).make_signer().get_signature(text).decode()


def is_seal(keys: Sequence[str], salt: str, text: str, given: str) -> bool:
    """Whether `given` is the seal of this text under any of the keys."""
    signer = _signer(keys, salt).make_signer()
    return signer.verify_signature(text, given.encode(errors="replace"))


def _signer(keys: Sequence[str], salt: str) -> URLSafeSerializer:
    """itsdangerous signs with the last key of its list; ours signs with the first."""
    oldest_first = list(reversed(keys))
    return URLSafeSerializer(
        oldest_first, salt=salt, signer_kwargs={"digest_method": hashlib.sha256}
    )


class PasswordMemory:
    """Verifies passwords in a bounded line and remembers those that fitted, and from which networks
    they came."""

    def __init__(self, line: HashingLine) -> None:
        self._line = line
        self._key = secrets.token_bytes(32)
        self._fitted: OrderedDict[bytes, None] = OrderedDict()
        self._met: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._locks: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    def remembers(self, password: str, password_hash: str) -> bool:
        """Whether the password has fitted the hash before; costs next to nothing."""
        return _touch(self._fitted, self._digest(password, password_hash))

    def meet(self, password_hash: str, network: str) -> None:
        """Remember that the password of this hash came from there."""
        _remember(self._met, (password_hash, network), MAX_MET)

    def has_met(self, password_hash: str, network: str) -> bool:
        """Whether the password of this hash has come from there before."""
        return _touch(self._met, (password_hash, network))

    def one_at_a_time(self, password: str, password_hash: str) -> asyncio.Lock:
        """A lock for who brings this password: of many at once, all but the first may find that it
        is remembered."""
        key = self._digest(password, password_hash)
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock

    async def verify(self, password: str, password_hash: str, failures: int = 0) -> bool:
        """Whether the password fits the hash; at once when it did before. `failures` are those of
        who brought it, see `HashingLine`. Raises `Overloaded`."""
        if len(password.encode()) > MAX_PASSWORD_BYTES:
            return False
        if self.remembers(password, password_hash):
            return True
        fits = await self.verify_anew(password, password_hash, failures)
        if fits:
            _remember(self._fitted, self._digest(password, password_hash), MAX_REMEMBERED)
        return fits

    async def verify_anew(self, password: str, password_hash: str, failures: int = 0) -> bool:
        """Whether the password fits the hash; takes the same time for everybody. Raises
        `Overloaded`."""
        if len(password.encode()) > MAX_PASSWORD_BYTES:
            password = ""
        return await self._line.run(failures, verify_password, password, password_hash)

    def _digest(self, password: str, password_hash: str) -> bytes:
        return hashlib.blake2b(digest(password, password_hash), key=self._key).digest()


def _touch(known: OrderedDict[T, None], one: T) -> bool:
    if one not in known:
        return False
    known.move_to_end(one)
    return True


def _remember(known: OrderedDict[T, None], one: T, most: int) -> None:
    known[one] = None
    known.move_to_end(one)
    if len(known) > most:
        known.popitem(last=False)
