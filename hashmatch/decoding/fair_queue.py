"""Things that are free, given to those who wait for them: to each caller in turn."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

__all__ = ["FairQueue"]

T = TypeVar("T")


class FairQueue(Generic[T]):
    """For use within one event loop. One caller's own are served in their order."""

    def __init__(self) -> None:
        """Nothing is free, and nobody waits."""
        self._free: deque[T] = deque()
        self._waiting: dict[str, deque[asyncio.Future[T]]] = {}  # The next caller's first.

    @property
    def is_waited_for(self) -> bool:
        """True if somebody waits."""
        return bool(self._waiting)

    def put(self, thing: T) -> None:
        """It is free: for whoever is next."""
        while self._waiting:
            caller, futures = next(iter(self._waiting.items()))
            future = futures.popleft()
            del self._waiting[caller]  # To the end, if more of its wait.
            if futures:
                self._waiting[caller] = futures
            if not future.done():
                future.set_result(thing)
                return
        self._free.append(thing)

    async def get(self, caller: str) -> T:
        """Waits for what is free."""
        if self._free:
            return self._free.popleft()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(future)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.put(future.result())  # It came at the very moment that nobody wanted it.
            else:
                self._forget(caller, future)
            raise

    def _forget(self, caller: str, future: asyncio.Future[T]) -> None:
        futures = self._waiting.get(caller, deque())
        if future in futures:
            futures.remove(future)
            if not futures:
                del self._waiting[caller]
