"""How many uploads a client begins at once: so that what a server cannot take is not sent to it,
and costs neither side anything.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from grpc import aio

from hashmatch.errors import ConfigInvalid, DeadlineExceeded, Overloaded
from hashmatch.wire.status import TAKEN_KEY, error_from_call

__all__ = ["Gate"]

# Several servers may stand behind one name, and one that is full says nothing of the others: so
# many refusals in a row, without an upload that was taken, close the gate.
_REFUSALS_TO_CLOSE: Final = 4


class Gate:
    """One per client; for use within one event loop.

    An upload is beginning until the server says that it has a place. Once the gate is closed,
    one begins whenever another has ended; when the server's delay is over a single one, and with
    each that is taken one more at once.
    """

    def __init__(self, max_beginning: int) -> None:
        """At most ``max_beginning`` uploads begin at once. Raises `ConfigInvalid`."""
        if max_beginning < 1:
            raise ConfigInvalid(
                f"max_beginning: {max_beginning}; at least 1 is needed", setting="max_beginning"
            )
        self._max_beginning = max_beginning
        self._most = max_beginning  # Now.
        self._beginning = 0
        self._ended = 0  # Since it was closed, and none has begun for it.
        self._refusals = 0  # In a row.
        self._closed_until = 0.0
        self._said = ""  # By the server that refused last.
        self._line: deque[tuple[asyncio.Future[None], float]] = deque()  # With their deadlines.

    @property
    def is_closed(self) -> bool:
        """True until the server's delay is over, or an upload is taken."""
        return time.monotonic() < self._closed_until

    async def answer(self, begin: Callable[[float | None], Any], timeout: float | None) -> Any:
        """What the call answers that ``begin`` makes of the seconds it may take; of ``timeout``,
        less those in line. None: as long as it takes.

        Raises the error that a failed call stands for. While the gate is closed, whoever may not
        wait until it opens gets the server's last refusal, with what is left of its delay, and
        nothing is sent; None may never.
        """
        until = None if timeout is None else time.monotonic() + timeout
        await self._turn(until)
        try:
            call = begin(None if until is None else max(0.001, until - time.monotonic()))
            try:
                taken = TAKEN_KEY in await call.initial_metadata()
            except asyncio.CancelledError:
                call.cancel()
                raise
            if not taken:  # It was refused, or the server does not tell.
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
        """Waits for it; the upload is counted as beginning then."""
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
        return self._ended > 0 if self.is_closed else self._beginning < self._most

    async def _answer(self, call: Any) -> Any:
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
        self._most = min(self._max_beginning, self._most + 1)

    def _refused(self, error: Overloaded) -> None:
        self._refusals += 1
        self._said = str(error)
        if self._refusals < _REFUSALS_TO_CLOSE:
            return
        delay = error.retry_after_ms / 1000
        self._closed_until = time.monotonic() + delay
        self._most = 1
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
        error = Overloaded(self._said)
        left = self._closed_until - time.monotonic()
        error.retry_after_ms = max(1, math.ceil(1000 * left))
        return error
