"""Which of the frames that were looked at are kept: those that stand for all others."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

__all__ = ["Chosen", "Density", "FrameChooser", "Why"]

Frame = TypeVar("Frame")

_NEVER: Final = -1


@dataclass(frozen=True, slots=True)
class Density:
    """How closely a media is looked at; see `FrameChooser`.

    ``every_frame``: all are decoded, else only as many as leave no stretch of ``max_gap_ms``
    without one (see `engine.sampling.packets`). ``drawn_bits`` and ``whole_bits``: frames that
    differ by more are kept beside the others, at instants that were drawn at random, and of streams
    of which every frame is looked at all the same; None: none. ``found_ms``: what is shown for so
    long in all is found as promised, see `engine.sampling.instants.found_in`.
    """

    max_gap_ms: int
    change_bits: int
    same_bits: int = _NEVER
    every_frame: bool = False
    drawn_bits: int | None = None
    whole_bits: int | None = None
    found_ms: int = 0


class Why(enum.Enum):
    """What made a frame one of those that are kept."""

    START = "start"  # The first, or the first after times jumped back.
    CHANGE = "change"  # It does not look like the last one kept.
    BESIDE = "beside"  # It looks like the last one kept, but not quite.
    GAP = "gap"  # The last one kept would be too far from the next.
    END = "end"  # The last.


class Chosen(NamedTuple, Generic[Frame]):
    """A frame to keep, and why."""

    pts_ms: int
    frame: Frame
    why: Why


class _Looked(Generic[Frame]):
    """A frame and, once it is asked for, its sketch."""

    def __init__(self, pts_ms: int, frame: Frame, sketch: Callable[[Frame], int]) -> None:
        self.pts_ms = pts_ms
        self.frame = frame
        self._make = sketch
        self._sketch: int | None = None

    def differs(self, other: _Looked[Frame]) -> int:
        """From another frame, in bits."""
        return (self._sketched() ^ other._sketched()).bit_count()

    def _sketched(self) -> int:
        if self._sketch is None:
            self._sketch = self._make(self.frame)
        return self._sketch


class FrameChooser(Generic[Frame]):
    """Chooses as few frames as stand for all that are offered.

    None differs by more than ``change_bits`` from the kept one before it, and no two kept ones
    are further apart than ``max_gap_ms`` unless nothing was offered between them. By presentation
    time, never by count, so that the uploader's frame rate does not decide what is seen. Times
    that jump back (a broken or crafted file) start anew, so that no frame hides behind them. The
    first frame and the last are kept. One that would be kept for its time alone, but is within
    ``same_bits`` of the one kept before, is left out: nothing would be added by it. Frames that are
    chosen as `Why.BESIDE` change nothing about the others, and may be chosen again for their time.

    Holds three frames at most.
    """

    def __init__(self, density: Density, sketch: Callable[[Frame], int]) -> None:
        """``sketch`` makes of a frame the bits that frames are compared by."""
        self.largest_gap_ms = 0  # The longest time between two frames that were offered.
        self._density = density
        self._sketch = sketch
        self._last_ms = 0
        self._chosen_ms = 0
        self._kept: _Looked[Frame] | None = None
        self._held: _Looked[Frame] | None = None
        self._beside: _Looked[Frame] | None = None  # The newest since the one kept.

    def offer(
        self, pts_ms: int, frame: Frame, *, drawn: bool | None = False
    ) -> list[Chosen[Frame]]:
        """Takes the next frame in the order shown; returns those chosen by now, in order.

        ``drawn``: whether an instant that was drawn at random fell on it; None where every frame of
        the stream is offered.
        """
        looked = _Looked(pts_ms, frame, self._sketch)
        before_ms, self._last_ms = self._last_ms, pts_ms
        if self._kept is None:
            return self._choose(looked, Why.START)
        self.largest_gap_ms = max(self.largest_gap_ms, pts_ms - before_ms)
        jumped_back = pts_ms < before_ms
        chosen = []
        if jumped_back or pts_ms - self._chosen_ms > self._density.max_gap_ms:
            # Only the held one can close the gap.
            chosen += self._choose_held(Why.GAP)
        if jumped_back:
            chosen += self._choose(looked, Why.START)
        elif pts_ms - self._chosen_ms >= self._density.max_gap_ms:
            chosen += self._choose(looked, Why.GAP)
        elif looked.differs(self._kept) > self._density.change_bits:
            chosen += self._choose(looked, Why.CHANGE)
        else:
            self._held = looked
            if drawn is None:
                chosen += self._choose_beside(looked, self._density.whole_bits)
            elif drawn:
                chosen += self._choose_beside(looked, self._density.drawn_bits)
        return chosen

    def finish(self) -> list[Chosen[Frame]]:
        """The last frame, if it was not chosen yet."""
        return self._choose_held(Why.END)

    def _choose_beside(self, looked: _Looked[Frame], bits: int | None) -> list[Chosen[Frame]]:
        if bits is None:
            return []
        for other in (self._kept, self._beside):
            if other is not None and looked.differs(other) <= bits:
                return []
        self._beside = looked
        return [Chosen(looked.pts_ms, looked.frame, Why.BESIDE)]

    def _choose_held(self, why: Why) -> list[Chosen[Frame]]:
        held = self._held
        return [] if held is None else self._choose(held, why)

    def _choose(self, looked: _Looked[Frame], why: Why) -> list[Chosen[Frame]]:
        self._chosen_ms, self._held = looked.pts_ms, None
        same_bits, kept = self._density.same_bits, self._kept
        if same_bits >= 0 and kept is not None and looked.differs(kept) <= same_bits:
            return []
        self._kept, self._beside = looked, None
        return [Chosen(looked.pts_ms, looked.frame, why)]
