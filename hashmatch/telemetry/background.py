"""Work that goes on beside other work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

__all__ = ["Behind", "meanwhile"]


@contextlib.asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """``work`` goes on until the block ends, and is cancelled then."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Behind:
    """Work that goes on behind an answer; for use within one event loop."""

    def __init__(self) -> None:
        """There is none yet."""
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How much there is."""
        return len(self._tasks)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begins it. It is for ``work`` to catch what may fail."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ended(self) -> None:
        """When all that has begun by now has ended."""
        await asyncio.gather(*self._tasks)
