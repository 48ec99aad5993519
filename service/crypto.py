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
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer
from passlib.hash import argon2

# A SHA-256 digest, 32 bytes.
Digest = bytes

MAX_PASSWORD_BYTES = 1024
MAX_REMEMBERED = 256
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
    """Verifies passwords in a bounded thread and remembers those that fitted."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._key = secrets.token_bytes(32)
        self._fitted: OrderedDict[bytes, None] = OrderedDict()

    async def verify(self, password: str, password_hash: str) -> bool:
        """Whether the password fits the hash; at once when it did before."""
        if len(password.encode()) > MAX_PASSWORD_BYTES:
            return False
        known = hashlib.blake2b(digest(password, password_hash), key=self._key).digest()
        if known in self._fitted:
            self._fitted.move_to_end(known)
            return True
        fits = await self.verify_anew(password, password_hash)
        if fits:
            self._fitted[known] = None
            if len(self._fitted) > MAX_REMEMBERED:
                self._fitted.popitem(last=False)
        return fits

    async def verify_anew(self, password: str, password_hash: str) -> bool:
        """Whether the password fits the hash; takes the same time for everybody."""
        if len(password.encode()) > MAX_PASSWORD_BYTES:
            password = ""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, verify_password, password, password_hash)
