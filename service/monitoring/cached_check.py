"""Cached check: something slow looked at on behalf of many who ask (stale-while-revalidate)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

PATIENCE_SECONDS = 0.02
SILENT_SECONDS = 5.0
STILL_GOOD = 3

T = TypeVar("T")

log = structlog.get_logger()


class CachedCheck(Generic[T]):
    """The outcome of the last look at something.

    Who asks when it is older than `fresh_seconds` sets off a new look; nobody looks twice at a
    time. An outcome that is not much older is given all the same, else the new one is waited for,
    for a moment. A look that has not come back after SILENT_SECONDS, or that raised, counts as
    `silent`; the next one begins anew."""

    def __init__(
        self, look: Callable[[], Awaitable[T]], *, fresh_seconds: float, silent: T
    ) -> None:
        self._look = look
        self._fresh_seconds = fresh_seconds
        self._silent = silent
        self._task: asyncio.Future[T] | None = None
        self._started = 0.0
        self._last: T | None = None
        self._seen_at = 0.0

    async def get(self) -> T:
        """The outcome; the first to ask waits for it."""
        task = self._looking()
        if not task.done() and (patience := self._patience()):
            await asyncio.wait([task], timeout=patience)
        if task.done():
            self._last = task.result()
        elif self._last is None or self._age() >= SILENT_SECONDS:
            self._last = self._silent
        return self._last

    def peek(self) -> T | None:
        """The outcome of the last look that came back, without waiting; None before the first."""
        task = self._looking()
        if task.done():
            self._last = task.result()
        return self._last

    def _looking(self) -> "asyncio.Future[T]":
        """The look under way, or the last one while it is fresh."""
        task = self._task
        if task is None or (task.done() and self._age() >= self._fresh_seconds):
            if task:
                self._last, self._seen_at = task.result(), self._started
            self._started = asyncio.get_running_loop().time()
            task = self._task = asyncio.ensure_future(self._looked())
        return task

    async def _looked(self) -> T:
        try:
            return await self._look()
        except Exception:
            log.exception("check.failed")
            return self._silent

    def _patience(self) -> float:
        if self._last is None:
            return SILENT_SECONDS
        age = asyncio.get_running_loop().time() - self._seen_at
        return 0.0 if age < STILL_GOOD * self._fresh_seconds else PATIENCE_SECONDS

    def _age(self) -> float:
        return asyncio.get_running_loop().time() - self._started
