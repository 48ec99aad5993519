"""Password hashes, and the memory of a password that was already verified.

Argon2id with the parameters OWASP's Password Storage Cheat Sheet gives first (19 MiB, 2 passes,
1 lane). One verification costs tens of milliseconds, so a process remembers which password fitted
which hash, as a digest under a key that never leaves it.
"""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

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
