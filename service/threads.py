"""Thread pools for work that would block the event loop; it is never left behind."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Threads:
    """One pool per kind of work, so that slow pictures never hold up a write or a password, and
    the cameras' passwords no admin."""

    disk: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, "disk"))
    images: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "images"))
    passwords: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "argon2"))
    sign_ins: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "sign-in"))
    codes: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "codes"))

    def shutdown(self) -> None:
        """Wait for what runs, forget what waits."""
        for pool in (self.disk, self.images, self.passwords, self.sign_ins, self.codes):
            pool.shutdown(cancel_futures=True)


async def in_thread(
    pool: ThreadPoolExecutor, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run `work` in `pool`. When the caller is cancelled, the thread is waited for first:
    nothing may still write to a file that its owner removes."""
    future = asyncio.wrap_future(pool.submit(work, *args, **kwargs))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if not future.cancel():
            await asyncio.wait([future])
        raise
