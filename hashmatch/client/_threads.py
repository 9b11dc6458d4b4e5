"""What `hashmatch.client.Client` stands on: an `AsyncClient` in an event loop of its own thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from hashmatch.client._async import AsyncClient

__all__ = ["ThreadedClient"]

T = TypeVar("T")


class ThreadedClient:
    """An `AsyncClient` whose calls any thread may make and wait for."""

    def __init__(self, connect: Callable[[], AsyncClient]) -> None:
        """Starts the thread, in which ``connect`` makes the client. Raises what that raises."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="hashmatch-client", daemon=True
        )
        self._thread.start()

        async def connected() -> AsyncClient:
            return connect()

        try:
            self._client = self._run(connected())
        except BaseException:
            self._end_thread()
            raise
        self.server = self._client.server

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Returns what a coroutine returns, or raises what it raises."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # A keyboard interrupt stops the call too.
            raise

    def _iterate(self, items: AsyncGenerator[T]) -> Iterator[T]:
        """Yields the items of a generator, each made when it is asked for."""

        async def following() -> tuple[T] | tuple[()]:
            try:
                return (await anext(items),)
            except StopAsyncIteration:
                return ()

        async def end() -> None:
            while getattr(items, "ag_running", False):  # A step that was cancelled a moment ago.
                await asyncio.sleep(0)
            await items.aclose()

        try:
            while found := self._run(following()):
                yield from found
        finally:
            if not self._loop.is_closed():
                self._run(end())

    def _close(self) -> None:
        """Closes the client and ends the thread. A second call does nothing."""
        if self._loop.is_closed():
            return
        self._run(self._end())
        self._end_thread()

    async def _end(self) -> None:
        await self._client.close()
        # What is left still waits to read from a source whose upload was answered early.
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _end_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
