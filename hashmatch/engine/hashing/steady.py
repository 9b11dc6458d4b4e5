"""Which hashes of flat frames can be relied on to come out alike when the frame is encoded anew.

A bit of a PDQ says whether a frequency is above the median. Of a frame with little in it many are
so near the median that a rounding decides: such a hash is not found again. PDQ's quality does not
say which: it counts steps of light, and a dark room has none that are large enough, nor has a card
with one line of print, whose frequencies are far apart all the same.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.hashing import pdq

__all__ = ["STEADY_QUALITY", "graded"]

# Qualities from here to `pdq.MIN_QUALITY` are of hashes that are flat and steady.
STEADY_QUALITY: Final = 25

# A frequency nearer the median than this, in levels of 255, may cross it: what JPEG of quality 30
# and H.264 of crf 35 were measured to change. So many of the 256 may be.
_NEAR: Final = 0.5
_MOST_NEAR: Final = 28


def graded(
    grids: npt.NDArray[np.float32], quality: npt.NDArray[np.uint8], gain: float
) -> npt.NDArray[np.uint8]:
    """Quality uint8 ``[n]`` as PDQ has it, but for what is below `pdq.MIN_QUALITY`: of that, steady
    hashes have `STEADY_QUALITY` and more, and others less. ``grids`` float32 ``[n, 64, 64]``.
    """
    low = np.flatnonzero(quality < pdq.MIN_QUALITY)
    if not len(low):
        return quality
    made = quality.copy()
    steady = np.array([_is_steady(each * np.float32(gain)) for each in grids[low]])
    least, most = np.uint8(STEADY_QUALITY), np.uint8(STEADY_QUALITY - 1)
    made[low] = np.where(steady, np.maximum(made[low], least), np.minimum(made[low], most))
    return made


def _is_steady(grid: npt.NDArray[Any]) -> bool:
    values = pdq.transform(grid).reshape(-1)
    median = np.partition(values, len(values) // 2 - 1)[len(values) // 2 - 1]
    return int((np.abs(values - median) < _NEAR).sum()) - 1 <= _MOST_NEAR  # Itself is one.
