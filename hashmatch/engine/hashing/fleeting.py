"""Frames of an entry that show what the frame before did not: flicker, noise, quick cuts.

What moves is there for longer, elsewhere: squares of a frame now and then find it in all others.
What flickers is gone in the next frame, and an upload is looked at in frames of its own choice. So
of frames whose squares hardly come again every one is hashed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.hashing import patches, pdq
from hashmatch.engine.hashing.frames import FrameBatch, upright_squares
from hashmatch.model.signals import Signals

__all__ = ["FleetingFrames"]

# A square comes again if one of the frame before is so near, in bits of 256; a frame is fleeting if
# fewer than this part of its squares does. Of 29 clips' frames whose squares would not be hashed
# otherwise, these were all 94 of a clip of cells that live and die, and some 110 of 2,060 others,
# most of them blurred by motion. With a quarter 400 of the others were.
_AGAIN_BITS: Final = 40
_AGAIN: Final = 0.08

# With fewer squares of either frame nothing is said.
_LEAST_SQUARES: Final = 16

# Of one stream no more frames than these: an hour of noise would be most of an index.
_MOST_FRAMES: Final = 1000

_Words = npt.NDArray[np.uint64]


class FleetingFrames:
    """Those of one stream, as its frames come. Holds the hashes of one frame's squares."""

    def __init__(self) -> None:
        """No frame was there yet."""
        self._before: _Words | None = None
        self._left = _MOST_FRAMES

    def offer(self, batch: FrameBatch) -> list[Signals]:
        """Takes the next frame, a batch of one. Its squares as they are, if it is fleeting."""
        if not self._left:
            return []
        squares = upright_squares(batch)
        rich = squares.digests[squares.quality >= pdq.MIN_QUALITY, : patches.HASH_BYTES]
        words: _Words = np.ascontiguousarray(rich).view(np.uint64)
        before, self._before = self._before, words
        if before is None or min(len(before), len(words)) < _LEAST_SQUARES:
            return []
        apart = np.bitwise_count(words[:, None] ^ before[None]).sum(axis=-1, dtype=np.int64)
        if (apart.min(axis=1) <= _AGAIN_BITS).mean() >= _AGAIN:
            return []
        self._left -= 1
        return [squares]
