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
from collections.abc import Iterable
from typing import Final

__all__ = ["MISSED", "PART", "Instants", "rate_of"]

# The promise: what makes up this part of the running time is missed by this part of screenings.
PART: Final = 0.1
MISSED: Final = 0.001

# Instants in a video, whatever it lasts: 69.1. A rate that is too low by this factor, because a
# video lasts a little less than its header says, still keeps the promise.
_SLACK: Final = 1.05
_INSTANTS: Final = -math.log(MISSED) / PART * _SLACK

# A video whose header names no duration is taken to last as long as was seen of it, and this long.
_LEAST_MS: Final = 5_000


def rate_of(duration_ms: float) -> float:
    """Instants for each ms of a video that lasts ``duration_ms``."""
    return _INSTANTS / max(1.0, duration_ms)


class Instants:
    """The instants of one stream, and which of its frames are shown at them.

    Frames are named by their times in ms, as they are in the file: not rounded, so that pictures
    that follow each other within a ms are told apart. Every frame that is shown is offered as soon
    as its time is known, in any order; one is shown until the next begins. The number of instants
    is about 73, and for a video that is longer than its header says some 73 more for each time that
    it doubles.
    """

    def __init__(self, seed: int, stream: int, duration_ms: float) -> None:
        """``seed``: 128 bits that the uploader does not know. ``duration_ms``: 0 if not known."""
        name = f"{seed:032x} {stream}".encode()
        self._random = random.Random(hashlib.sha256(name).digest())  # noqa: S311 Secret by its seed.
        self._duration_ms = duration_ms
        self._at: list[float] = []  # In ms, rising.
        self._mark: list[float] = []  # Uniform in 0 to 1: which remain when they are thinned.
        self._frame: list[float | None] = []  # The frame shown, as far as is known; None: none.
        self._looked: list[bool] = []  # At that frame.
        self._horizon_ms: float | None = None  # Up to here frames were offered.
        self._next_ms = 0.0
        self._wanted: dict[float, int] = {}  # Frames with instants, and the number of these.

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
        """True if the frame has to be looked at, as far as is known by now."""
        return frame_ms in self._wanted

    def look(self, frame_ms: float) -> None:
        """The frame was looked at."""
        if frame_ms in self._wanted:
            at = bisect.bisect_left(self._at, frame_ms)
            while at < len(self._at) and self._frame[at] == frame_ms:
                self._looked[at] = True
                at += 1

    def thin(self, start_ms: float, end_ms: float, part: float) -> None:
        """Leaves ``part`` (0 to 1) of the instants from ``start_ms`` up to ``end_ms``: always the
        same ones.
        """
        at = bisect.bisect_left(self._at, start_ms)
        gone = []
        while at < len(self._at) and self._at[at] < end_ms:
            if self._mark[at] >= part:
                gone.append(at)
            at += 1
        for index in reversed(gone):
            self._unput(index)
            for column in (self._at, self._mark, self._frame, self._looked):
                del column[index]

    @property
    def missed(self) -> bool:
        """True if a frame was not looked at that should have been."""
        return any(
            frame is not None and not looked
            for frame, looked in zip(self._frame, self._looked, strict=True)
        )

    def _extend(self, horizon_ms: float) -> None:
        """Draws instants up to the latest time that is known, which the newest frame before it
        takes for now.
        """
        before = self._horizon_ms
        if before is None:
            # Instants from here on: what is shown before the first frame is nothing.
            self._next_ms = horizon_ms + self._gap(horizon_ms)
        elif horizon_ms <= before:
            return
        self._horizon_ms = horizon_ms
        while self._next_ms < horizon_ms:
            self._at.append(self._next_ms)
            self._mark.append(self._random.random())
            self._frame.append(None)
            self._looked.append(False)
            if before is not None:
                self._put(len(self._at) - 1, before)
            self._next_ms += self._gap(self._next_ms)

    def _gap(self, now_ms: float) -> float:
        lasts_ms = max(self._duration_ms, now_ms, 0 if self._duration_ms else _LEAST_MS)
        return -math.log(1.0 - self._random.random()) / rate_of(lasts_ms)

    def _put(self, at: int, frame_ms: float) -> None:
        self._unput(at)
        self._frame[at], self._looked[at] = frame_ms, False
        self._wanted[frame_ms] = self._wanted.get(frame_ms, 0) + 1

    def _unput(self, at: int) -> None:
        frame = self._frame[at]
        if frame is not None:
            self._wanted[frame] -= 1
            if not self._wanted[frame]:
                del self._wanted[frame]


def chance_of_a_miss(stretches: Iterable[tuple[float, float]], lasts_ms: float) -> float:
    """An upper bound of the chance that what makes up `PART` of the running time is missed.

    ``stretches``: (how long in ms, instants for each ms) of all that could go unseen; the rest of
    ``lasts_ms`` was looked at. The worst case: it lies where instants are rarest.
    """
    left_ms, expected = PART * lasts_ms, 0.0
    for length_ms, rate in sorted(stretches, key=lambda each: each[1]):
        part_ms = min(left_ms, length_ms)
        expected += part_ms * rate
        left_ms -= part_ms
    return 0.0 if left_ms > 0 else math.exp(-expected)
