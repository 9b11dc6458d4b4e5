"""Secret instants at which a video is looked at, whatever its packets look like.

An uploader who knows the code can put a picture of his choice wherever frames are decoded anyway,
at key frames for example, and what must not be seen in between. So instants are drawn at random
from a secret seed, and the frame that is shown at each is decoded and looked at. They are a Poisson
process: whether one falls into a stretch does not depend on any other stretch, so that frames which
are shown for ``t`` ms in all, wherever they lie, are missed with a probability of
``exp(-rate * t)``. Time counts, not frames: a picture that is shown for 1 ms stands for 1 ms.
"""

from __future__ import annotations

import bisect
import hashlib
import math
import random
from typing import Final

__all__ = ["MISSED", "Instants", "chance_of_a_miss", "found_in", "rate_for"]

# The promise: of what is shown as long as `found_in` says, so many screenings miss all.
MISSED: Final = 0.001

# The promise holds for what makes up this part of the running time in all.
_PART: Final = 0.1

# A rate that is too low by this factor, because a video lasts a little less than its header says,
# still keeps the promise.
_SLACK: Final = 1.02
_EXPECTED: Final = -math.log(MISSED) * _SLACK

# A video whose header names no duration is taken to last as long as was seen of it, and this long.
_LEAST_MS: Final = 5_000


def found_in(duration_ms: float, found_ms: float) -> float:
    """How long in all something must be shown, in ms, so that all but one in a thousand screenings
    find it: a tenth of the running time, and ``found_ms`` at least; of what is shorter, all of it.
    """
    return max(_PART * duration_ms, min(found_ms, duration_ms))


def rate_for(shown_ms: float) -> float:
    """Instants for each ms, so that frames shown for ``shown_ms`` in all are found as promised."""
    return _EXPECTED / max(1.0, shown_ms)


def chance_of_a_miss(rate: float, shown_ms: float) -> float:
    """The chance that none of ``rate`` instants for each ms falls on frames that are shown for
    ``shown_ms`` in all.
    """
    return math.exp(-rate * shown_ms)


class Instants:
    """The instants of one stream, and which of its frames are shown at them.

    Frames are named by their times in ms, as they are in the file: not rounded, so that pictures
    that follow each other within a ms are told apart. Every frame that is shown is offered as soon
    as its time is known, in any order; one is shown until the next begins.

    The number of instants is small and bounded by the promise: 7 for each time that ``shown_ms``
    fits into the running time, and no more than 71; in a video that is longer than its header says
    some 50 more for each time that it doubles.
    """

    def __init__(self, seed: int, stream: int, duration_ms: float, found_ms: float) -> None:
        """``seed``: 128 bits that the uploader does not know. ``duration_ms``: 0 if not known.
        ``found_ms``: see `found_in`.
        """
        name = f"{seed:032x} {stream}".encode()
        self._random = random.Random(hashlib.sha256(name).digest())  # noqa: S311 Secret by its seed.
        self._duration_ms, self._found_ms = duration_ms, found_ms
        self._at: list[float] = []  # In ms, rising.
        self._frame: list[float | None] = []  # The frame shown, as far as is known; None: none.
        self._wanted: dict[float, int] = {}  # The number of instants of each frame that has any.
        self._looked: set[float] = set()
        self._horizon_ms: float | None = None  # Up to here frames were offered.
        self._start_ms = self._next_ms = 0.0

    def offer(self, frame_ms: float) -> None:
        """A frame is shown from this time on."""
        self._extend(frame_ms)
        at = bisect.bisect_left(self._at, frame_ms)
        while at < len(self._at):
            before = self._frame[at]
            if before is not None and before >= frame_ms:
                break
            self._put(at, frame_ms)
            at += 1

    def end(self, end_ms: float) -> None:
        """The last frame is shown until this time."""
        self._extend(end_ms)

    def wants(self, frame_ms: float) -> bool:
        """True if an instant falls on the frame, as far as is known by now."""
        return frame_ms in self._wanted

    def look(self, frame_ms: float) -> None:
        """The frame was looked at."""
        self._looked.add(frame_ms)

    @property
    def missed(self) -> bool:
        """True if a frame was not looked at that should have been."""
        return not self._wanted.keys() <= self._looked

    def _extend(self, horizon_ms: float) -> None:
        """Draws instants up to the latest time that is known, which the newest frame before it
        takes for now.
        """
        before = self._horizon_ms
        if before is None:
            # Instants from here on: what is shown before the first frame is nothing.
            self._start_ms = horizon_ms
            self._next_ms = horizon_ms + self._gap(horizon_ms)
        elif horizon_ms <= before:
            return
        self._horizon_ms = horizon_ms
        while self._next_ms < horizon_ms:
            self._at.append(self._next_ms)
            self._frame.append(None)
            if before is not None:
                self._put(len(self._at) - 1, before)
            self._next_ms += self._gap(self._next_ms)

    def _gap(self, now_ms: float) -> float:
        # A track may begin late: how long it has lasted is what counts, not what time it is.
        seen_ms = now_ms - self._start_ms
        lasts_ms = max(self._duration_ms, seen_ms, 0 if self._duration_ms else _LEAST_MS)
        rate = rate_for(found_in(lasts_ms, self._found_ms))
        return -math.log(1.0 - self._random.random()) / rate

    def _put(self, at: int, frame_ms: float) -> None:
        before = self._frame[at]
        if before is not None:
            self._wanted[before] -= 1
            if not self._wanted[before]:
                del self._wanted[before]
        self._frame[at] = frame_ms
        self._wanted[frame_ms] = self._wanted.get(frame_ms, 0) + 1
