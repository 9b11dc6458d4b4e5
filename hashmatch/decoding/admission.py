"""Which uploads are taken, and which are told at once to come again: never a queue without end.

One caller's flood leaves room for others. What is left is shared among those who have uploads under
way and one more, so that somebody new always finds a place.
"""

from __future__ import annotations

import contextlib
import contextvars
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hashmatch.errors import Overloaded

__all__ = ["CALLER", "Admission", "AdmissionLimits", "Ticket"]

# Who asks: set by whoever takes a request, for the time that it is worked on.
CALLER: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="")

# How much the newest upload counts in the average of how long one keeps a worker.
_NEWEST_PART: Final = 0.1
_FIRST_GUESS_SECONDS: Final = 0.5

# One place in so many is kept for callers that have none.
_FOR_NEWCOMERS: Final = 4
_SHORTEST_RETRY_MS: Final = 200
_LONGEST_RETRY_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """``max_uploads`` under way at once; ``max_waiting`` of them for a worker, of which there are
    ``workers``.
    """

    max_uploads: int
    max_waiting: int
    workers: int


class Ticket:
    """One upload's place."""

    def __init__(self, admission: Admission, caller: str) -> None:
        self.caller = caller
        self._admission = admission
        self._started_at: float | None = None

    def started(self) -> None:
        """It has got a worker. Again if it was taken from it meanwhile: nothing changes by that."""
        if self._started_at is None:
            self._started_at = time.monotonic()
            self._admission._waiting[self.caller] -= 1


class Admission:
    """One per server; for use within one event loop."""

    def __init__(self, limits: AdmissionLimits) -> None:
        """Nobody is there yet."""
        self._limits = limits
        self._uploads: Counter[str] = Counter()  # Under way, by caller.
        self._waiting: Counter[str] = Counter()  # Of them, those that had no worker yet.
        self._seconds = _FIRST_GUESS_SECONDS

    @property
    def uploads(self) -> int:
        """Under way now."""
        return self._uploads.total()

    @property
    def waiting(self) -> int:
        """Of them, those that had no worker yet."""
        return self._waiting.total()

    def check_room(self) -> None:
        """Raises `Overloaded` where `admitted` would now: ask before an upload is even begun."""
        caller = CALLER.get()
        if not (
            self._has_room(self._uploads, caller, self._limits.max_uploads)
            and self._has_room(self._waiting, caller, self._limits.max_waiting)
        ):
            raise self._refusal()

    @contextlib.contextmanager
    def admitted(self) -> Iterator[Ticket]:
        """A place for an upload of `CALLER`, until the block ends. Raises `Overloaded`."""
        self.check_room()
        caller = CALLER.get()
        ticket = Ticket(self, caller)
        self._uploads[caller] += 1
        self._waiting[caller] += 1
        try:
            yield ticket
        finally:
            if ticket._started_at is None:
                self._waiting[caller] -= 1
            else:
                took = time.monotonic() - ticket._started_at
                self._seconds += _NEWEST_PART * (took - self._seconds)
            self._uploads[caller] -= 1
            if not self._uploads[caller]:
                del self._uploads[caller], self._waiting[caller]

    def _has_room(self, taken: Counter[str], caller: str, most: int) -> bool:
        held = taken.get(caller, 0)
        if not held:
            return taken.total() < most
        callers = len(self._uploads.keys() | {caller})
        # What was a fair share when others were fewer may be more than one now.
        return held < most // (callers + 1) and taken.total() < most - most // _FOR_NEWCOMERS

    def _refusal(self) -> Overloaded:
        error = Overloaded("as many uploads as can be dealt with are under way; try again")
        rounds = self.waiting / self._limits.workers
        retry_ms = round(1000 * self._seconds * rounds)
        error.retry_after_ms = min(_LONGEST_RETRY_MS, max(_SHORTEST_RETRY_MS, retry_ms))
        return error
