"""Limits how many uploads a client begins at once, so that an upload which a full server would
refuse is not sent, and costs neither side anything.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

from grpc import aio

from hashmatch.errors import ConfigInvalid, DeadlineExceeded, Overloaded
from hashmatch.wire.status import TAKEN_KEY, error_from_call

__all__ = ["Gate"]

# Number of refusals in a row, without an accepted upload, that close the gate. More than one, as
# several servers may stand behind one name, and a full one says nothing of the others.
_REFUSALS_TO_CLOSE: Final = 4

Request = TypeVar("Request")
Response = TypeVar("Response")


class Gate:
    """One per client; for use within one event loop.

    An upload is beginning until the server says that it has a place. While the gate is closed, an
    upload begins only when another ends. After the server's delay the limit of beginning uploads
    restarts at one, and grows by one with each accepted upload, up to ``max_beginning``.
    """

    def __init__(self, max_beginning: int) -> None:
        """At most ``max_beginning`` uploads begin at once. Raises `ConfigInvalid` below 1."""
        if max_beginning < 1:
            raise ConfigInvalid(
                f"max_beginning: {max_beginning}; at least 1 is needed", setting="max_beginning"
            )
        self._max_beginning = max_beginning
        self._limit = max_beginning  # Of beginning uploads, at present.
        self._beginning = 0
        self._ended = 0  # Uploads since the gate was closed, in whose place none has begun.
        self._refusals = 0  # In a row.
        self._closed_until = 0.0  # As `time.monotonic` counts.
        self._refused_with = ""  # Message of the last refusal.
        self._line: deque[tuple[asyncio.Future[None], float]] = deque()  # With their deadlines.

    @property
    def is_closed(self) -> bool:
        """True until the server's delay is over, or an upload is taken."""
        return time.monotonic() < self._closed_until

    async def answer(
        self,
        begin: Callable[[float | None], aio.StreamUnaryCall[Request, Response]],
        timeout: float | None,
    ) -> Response:
        """Returns the response to the call that ``begin`` makes when its turn has come.

        ``timeout``: seconds until the deadline, the wait in line included; None: no deadline.
        ``begin`` gets the seconds that are left.

        Raises the `HashmatchError` that a failed call stands for. While the gate is closed, an
        upload whose deadline comes before the gate opens, or that has none, raises the server's
        last refusal with the rest of its delay, and is not sent.
        """
        until = None if timeout is None else time.monotonic() + timeout
        await self._turn(until)
        try:
            call = begin(None if until is None else max(0.001, until - time.monotonic()))
            try:
                metadata = await call.initial_metadata()
            except asyncio.CancelledError:
                call.cancel()
                raise
            if metadata.get(TAKEN_KEY) is None:  # It was refused, or the server does not tell.
                return await self._answer(call)
            self._taken()
        finally:
            self._beginning -= 1
            self._let_in()
        try:
            return await self._answer(call)
        finally:
            if self.is_closed:
                self._ended += 1
            self._let_in()

    async def _turn(self, until: float | None) -> None:
        """Waits for the turn of an upload, which is counted as beginning then."""
        patience = until or 0.0
        if self.is_closed and patience <= self._closed_until:
            raise self._refusal()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append((turn, patience))
        self._let_in()
        try:
            async with asyncio.timeout(None if until is None else until - time.monotonic()):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._beginning -= 1  # It came at the very moment that nobody wanted it.
                self._let_in()
            if isinstance(error, TimeoutError):
                raise DeadlineExceeded("no answer within the deadline") from None
            raise

    def _let_in(self) -> None:
        while self._line and self._has_room():
            turn, _ = self._line.popleft()
            if not turn.done():
                if self.is_closed:
                    self._ended -= 1
                self._beginning += 1
                turn.set_result(None)

    def _has_room(self) -> bool:
        return self._ended > 0 if self.is_closed else self._beginning < self._limit

    async def _answer(self, call: aio.StreamUnaryCall[Request, Response]) -> Response:
        try:
            return await call
        except aio.AioRpcError as failed:
            error = error_from_call(failed)
            if isinstance(error, Overloaded):
                self._refused(error)
            raise error from failed

    def _taken(self) -> None:
        self._refusals = 0
        self._closed_until = 0.0
        self._limit = min(self._max_beginning, self._limit + 1)

    def _refused(self, error: Overloaded) -> None:
        self._refusals += 1
        self._refused_with = str(error)
        if self._refusals < _REFUSALS_TO_CLOSE:
            return
        delay = error.retry_after_ms / 1000
        self._closed_until = time.monotonic() + delay
        self._limit = 1
        self._ended = 0
        self._open_in(delay)
        line, self._line = self._line, deque()
        for turn, patience in line:
            if turn.done():
                continue
            if patience <= self._closed_until:
                turn.set_exception(self._refusal())
            else:
                self._line.append((turn, patience))

    def _open_in(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._opens)

    def _opens(self) -> None:
        left = self._closed_until - time.monotonic()
        if left > 0:  # It was closed anew, or the clock is early.
            self._open_in(left)
        else:
            self._let_in()

    def _refusal(self) -> Overloaded:
        error = Overloaded(self._refused_with)
        left = self._closed_until - time.monotonic()
        error.retry_after_ms = max(1, math.ceil(1000 * left))
        return error
