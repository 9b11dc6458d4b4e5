"""Which frames to look at."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Sampler", "Thinner"]

Frame = TypeVar("Frame")


class Sampler(Generic[Frame]):
    """Chooses as few frames as leave no gap above ``max_gap_ms`` that the media itself has not.

    By presentation time, never by count, so that the uploader's frame rate does not decide what
    is seen. The first and the last frame are always chosen. Times that jump back (a broken or
    crafted file) start anew, so that no frame hides behind them. Holds at most one frame.
    """

    def __init__(self, max_gap_ms: int) -> None:
        """``max_gap_ms`` is at least 1."""
        self.largest_gap_ms = 0  # The longest time between two chosen frames so far.
        self._max_gap_ms = max_gap_ms
        self._chosen_ms: int | None = None
        self._held: tuple[int, Frame] | None = None

    def offer(self, pts_ms: int, frame: Frame) -> list[tuple[int, Frame]]:
        """Takes the next frame in the order shown; returns those chosen by now, in order."""
        chosen = []
        if self._held is not None:
            held_ms = self._held[0]
            # Once this frame is further from the last chosen one than the gap allows, or does not
            # follow the held one at all, only the held one can close the gap.
            if (
                self._chosen_ms is None
                or not held_ms <= pts_ms <= self._chosen_ms + self._max_gap_ms
            ):
                chosen += self.finish()
        last = self._chosen_ms
        if last is None or pts_ms < last or pts_ms - last >= self._max_gap_ms:
            chosen.append(self._choose(pts_ms, frame))
        else:
            self._held = pts_ms, frame
        return chosen

    def finish(self) -> list[tuple[int, Frame]]:
        """The last frame, if it was not chosen yet."""
        if self._held is None:
            return []
        return [self._choose(*self._held)]

    def _choose(self, pts_ms: int, frame: Frame) -> tuple[int, Frame]:
        if self._chosen_ms is not None:
            self.largest_gap_ms = max(self.largest_gap_ms, pts_ms - self._chosen_ms)
        self._chosen_ms, self._held = pts_ms, None
        return pts_ms, frame


class Thinner:
    """Leaves out hashed frames that look like the last one kept.

    What is kept stands for the whole: no frame differs by more than ``min_change_bits`` from the
    kept one before it, and none is further from it than ``max_gap_ms``. So a still scene costs a
    hash now and then, and fast motion one for nearly every frame.
    """

    def __init__(self, min_change_bits: int, max_gap_ms: int) -> None:
        """With ``min_change_bits`` 0 all frames are kept."""
        self._min_change_bits = min_change_bits
        self._max_gap_ms = max_gap_ms
        self._kept: tuple[int, npt.NDArray[np.uint8]] | None = None

    def keep(self, pts_ms: int, digest: npt.NDArray[np.uint8]) -> bool:
        """Whether to keep the next frame; ``digest`` uint8 ``[width]``."""
        if self._kept is not None and self._min_change_bits:
            kept_ms, kept = self._kept
            near = int(np.bitwise_count(kept ^ digest).sum()) <= self._min_change_bits
            if near and 0 <= pts_ms - kept_ms < self._max_gap_ms:
                return False
        self._kept = pts_ms, digest
        return True
