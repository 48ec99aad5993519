"""Thread pool for decoding and drawing, which never happen on the event loop."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

THREADS = max(2, os.cpu_count() or 2)

_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sandbox")


async def in_thread(work: Callable[[], Result]) -> Result:
    """Run blocking work in the bounded pool."""
    return await asyncio.get_running_loop().run_in_executor(_pool, work)
