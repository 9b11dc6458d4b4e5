"""Secret instants at which a video is looked at, whatever its packets look like.

An uploader who knows the code can put a picture of his choice wherever frames are decoded anyway,
at key frames for example, and what must not be seen in between. So instants are drawn at random
from a secret seed, and the frame that is shown at each is decoded and looked at. The running time
is cut into pieces, and one instant lies anywhere in each. Time counts, not frames: a picture that
is shown for 1 ms stands for 1 ms.

Frames that take up a part ``f`` of the running time, wherever they lie, are missed in the
``n`` pieces of a video with a probability of at most ``(1 - f) ** n``: by Jensen's inequality,
those are missed most often that take up the same part of each piece. So many instants that lie
independently of each other miss them as often at best, as a Poisson process does with
``exp(-n * f)``.
"""

from __future__ import annotations

import bisect
import hashlib
import math
import random
from typing import Final

__all__ = ["MISSED", "Instants", "found_in", "pieces_of"]

# The promise: of what is shown as long as `found_in` says, so many screenings miss all.
MISSED: Final = 0.001

# The promise holds for what makes up this part of the running time in all; of a short video for
# more, but never for more than that.
_PART: Final = 0.1
_MOST: Final = 0.98

# So many more instants than needed: a video may last a little more or less than its header says.
_SPARE: Final = 1.1

# A video whose header names no duration is taken to last as long as was seen of it, and this long.
_LEAST_MS: Final = 5_000


def found_in(duration_ms: float, found_ms: float) -> float:
    """How long in all something must be shown, in ms, so that all but one in a thousand screenings
    find it: a tenth of the running time, and ``found_ms`` at least; but of what is short no more
    than four fifths.
    """
    return max(_PART * duration_ms, min(found_ms, _MOST * duration_ms))


def pieces_of(duration_ms: float, found_ms: float) -> int:
    """The number of pieces of a video with one instant each, so that what `found_in` says is found
    as promised; 2 to 73.
    """
    part = found_in(duration_ms, found_ms) / duration_ms
    return math.ceil(_SPARE * math.log(MISSED) / math.log(1 - part))


class Instants:
    """The instants of one stream, and which of its frames are shown at them.

    Frames are named by their times in ms, as they are in the file: not rounded, so that pictures
    that follow each other within a ms are told apart. Every frame that is shown is offered as soon
    as its time is known, in any order; one is shown until the next begins.

    The number of instants is small and bounded by the promise, see `pieces_of`; in a video that is
    longer than its header says there are some 50 more for each time that it doubles.
    """

    def __init__(self, seed: int, stream: int, duration_ms: float, found_ms: float) -> None:
        """``seed``: 128 bits that the uploader does not know. ``duration_ms``: 0 if not known.
        ``found_ms``: see `found_in`.
        """
        name = f"{seed:032x} {stream}".encode()
        self._random = random.Random(hashlib.sha256(name).digest())  # noqa: S311 Secret by its seed.
        # A header may say next to nothing, and pieces are none then that a time tells apart.
        self._duration_ms = max(1.0, duration_ms) if duration_ms else 0.0
        self._found_ms = found_ms
        self._at: list[float] = []  # In ms, rising.
        self._frame: list[float | None] = []  # The frame shown, as far as is known; None: none.
        self._wanted: dict[float, int] = {}  # The number of instants of each frame that has any.
        self._looked: set[float] = set()
        self._horizon_ms: float | None = None  # Up to here frames were offered.
        self._start_ms = self._next_ms = 0.0
        self._drawn_up_to_ms = 0.0  # Of instants that are yet to be drawn none lies before this.
        # The newest piece, and the longest.
        self._piece_at_ms = self._piece_ms = self._longest_ms = 0.0

    def offer(self, frame_ms: float) -> None:
        """A frame is shown from this time on."""
        if self._horizon_ms is not None and self._horizon_ms < frame_ms < self._drawn_up_to_ms:
            self._horizon_ms = frame_ms  # As nearly always: no instant lies in between.
            return
        self._extend(frame_ms)
        if frame_ms < self._start_ms:
            self._wanted[frame_ms] = 1
            return
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

    def may_want(self, frame_ms: float) -> bool:
        """True if an instant falls on the frame, or may yet: until when it is shown is open."""
        return frame_ms in self._wanted or self._horizon_ms is None or frame_ms >= self._horizon_ms

    def look(self, frame_ms: float) -> None:
        """The frame was looked at."""
        self._looked.add(frame_ms)

    @property
    def missed(self) -> bool:
        """True if a frame was not looked at that should have been."""
        return not self._wanted.keys() <= self._looked

    def chance_of_a_miss(self, shown_ms: float) -> float:
        """The chance that no instant falls on frames that are shown for ``shown_ms`` in all,
        wherever they lie; at least that. Call `end` before.
        """
        longest_ms = self._longest_ms
        if self._horizon_ms is None:
            return 1.0
        # Of the newest piece only a part was shown: a film has so much in it as makes it missed
        # most often.
        before_ms = self._piece_at_ms - self._start_ms
        most_ms = min(self._horizon_ms - self._piece_at_ms, longest_ms)
        in_last_ms = min(most_ms, shown_ms * longest_ms / (before_ms + longest_ms))
        missed = 1 - in_last_ms / longest_ms
        if before_ms:
            part = min(1.0, (shown_ms - in_last_ms) / before_ms)
            missed *= (1 - part) ** (before_ms / longest_ms)
        return missed

    def _extend(self, horizon_ms: float) -> None:
        """Draws instants up to the latest time that is known, which the newest frame before it
        takes for now.
        """
        before = self._horizon_ms
        if before is None:
            # Pieces from here on: frames that are shown before are all looked at.
            self._start_ms = horizon_ms
            self._begin_piece(horizon_ms)
        elif horizon_ms <= before:
            return
        self._horizon_ms = horizon_ms
        while True:
            if self._next_ms < horizon_ms:
                self._at.append(self._next_ms)
                self._frame.append(None)
                if before is not None:
                    self._put(len(self._at) - 1, before)
                self._next_ms = math.inf
            next_piece_ms = self._piece_at_ms + self._piece_ms
            if next_piece_ms > horizon_ms:
                self._drawn_up_to_ms = min(self._next_ms, next_piece_ms)
                return
            self._begin_piece(next_piece_ms)

    def _begin_piece(self, at_ms: float) -> None:
        # A track may begin late: how long it has lasted is what counts, not what time it is.
        seen_ms = at_ms - self._start_ms
        if seen_ms < self._duration_ms:
            piece_ms = _piece_ms(self._duration_ms, self._found_ms)
        else:
            # How long it will last is not known. Of those it may, these need the shortest pieces.
            short_ms = max(seen_ms, self._duration_ms or _LEAST_MS)
            long_ms = max(short_ms, self._found_ms / _PART)
            piece_ms = min(_piece_ms(lasts_ms, self._found_ms) for lasts_ms in (short_ms, long_ms))
        self._piece_at_ms, self._piece_ms = at_ms, piece_ms
        self._longest_ms = max(self._longest_ms, piece_ms)
        self._next_ms = at_ms + piece_ms * self._random.random()

    def _put(self, at: int, frame_ms: float) -> None:
        before = self._frame[at]
        if before is not None:
            self._wanted[before] -= 1
            if not self._wanted[before]:
                del self._wanted[before]
        self._frame[at] = frame_ms
        self._wanted[frame_ms] = self._wanted.get(frame_ms, 0) + 1


def _piece_ms(duration_ms: float, found_ms: float) -> float:
    return duration_ms / pieces_of(duration_ms, found_ms)
