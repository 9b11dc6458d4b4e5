"""Which hashes of flat frames can be relied on to come out alike when the frame is encoded anew.

A bit of a PDQ says whether a frequency is above the median. Of a frame with little in it many are
so near the median that a rounding decides: such a hash is not found again. PDQ's quality does not
say which: it counts steps of light, and a dark room has none that are large enough, nor has a card
with one line of print, whose frequencies are far apart all the same.

Of a hash that is not steady some bits are firm: their frequencies are far from the median. A copy
has those bits, and a hash that differs in many of them is of another picture. An upload tells which
they are by a second reading of each hash of a flat frame, in which all other bits are the other way
round; also where the hash is steady, as a listed one that was not may be so once it was encoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.hashing import pdq

__all__ = ["MOST_QUALITY", "READING_QUALITIES", "STEADY_QUALITY", "graded", "grain_of", "readings"]

# Qualities from here to `pdq.MIN_QUALITY` are of hashes that are flat and steady.
STEADY_QUALITY: Final = 25

# A frequency nearer the median than this, in levels of 255, may cross it: what JPEG of quality 30
# and H.264 of crf 35 were measured to change. So many of the 256 may be.
_NEAR: Final = 0.5
_MOST_NEAR: Final = 28

# Qualities of the two readings of a hash of a flat frame: as it is, and with all bits the other
# way round that are not firm. Unsteady hashes themselves have less.
READING_QUALITIES: Final = (24, 23)

# A bit is firm whose frequency is so many levels from the median. Of 114 flat pictures in four
# encodings copies had up to 26 of 155 firm bits otherwise (at half a level: 66 of 196).
_FIRM: Final = 2.0

# Grain moves frequencies too: a bit is firm only if its own is as many deviations of that away.
_OF_GRAIN: Final = 4.0

# Grain that would move them farther makes a frame rich; what looks like it is a small drawing.
_MOST_OF_GRAIN: Final = 10.0

# With fewer a hash tells nothing: grain of a covered lens is up to 34 bits, half of which are
# others after the next encoder.
_LEAST_FIRM: Final = 40

# Frames of more have hashes that are searched as they are. Encoding anew makes steps where there
# were none, so that an upload of a flat picture is somewhat richer.
MOST_QUALITY: Final = 74

_LAPLACIAN: Final = 3
_LAPLACIAN_GAIN: Final = 6.0  # The root of the sum of its squares.
_MEDIAN_OF_NORMAL: Final = 0.6745  # Of its sizes, in standard deviations.

_TURNED: Final[tuple[Callable[[npt.NDArray[Any]], npt.NDArray[Any]], ...]] = (
    lambda grid: grid,
    lambda grid: np.rot90(grid, 1),
    lambda grid: np.rot90(grid, 2),
    lambda grid: np.rot90(grid, 3),
    np.flipud,
    np.fliplr,
    np.transpose,
    lambda grid: np.rot90(np.transpose(grid), 2),
)  # In the order of `pdq.TURNS`.


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
    least, most = np.uint8(STEADY_QUALITY), np.uint8(min(READING_QUALITIES) - 1)
    made[low] = np.where(steady, np.maximum(made[low], least), np.minimum(made[low], most))
    return made


def readings(
    grid: npt.NDArray[np.float32], digests: npt.NDArray[np.uint8], gain: float, grain: float
) -> npt.NDArray[np.uint8]:
    """Both readings of the hashes of one frame, uint8 ``[2, turns, 32]``: ``digests`` uint8
    ``[turns, 32]`` of its first turns, and these with the bits turned round that are not firm.
    Empty (``[0, turns, 32]``) where too few bits are firm. ``grid`` is float32 ``[64, 64]``;
    ``grain`` is how far it moves a frequency, see `grain_of`.
    """
    levels = grid * np.float32(gain)
    least = max(_FIRM, min(_MOST_OF_GRAIN, _OF_GRAIN * grain))
    firm = np.array([_off_median(_TURNED[turn](levels)) >= least for turn in range(len(digests))])
    if firm[0].sum() < _LEAST_FIRM:
        return np.empty((0, *digests.shape), np.uint8)
    return np.stack([digests, digests ^ _packed(~firm)])


def grain_of(luma: npt.NDArray[Any], gain: float) -> float:
    """By how much grain moves a frequency of a plane ``[h, w]``, as a standard deviation in levels
    of 255; 0 for planes of fewer pixels than the grid has: these are drawn, one by one.

    The median of a Laplacian's sizes tells grain and leaves out edges (J. Immerkaer, "Fast noise
    variance estimation", Computer Vision and Image Understanding 64 (1996), 300-302).
    """
    height, width = luma.shape
    if height * width < pdq.SIDE**2 or min(height, width) < _LAPLACIAN:
        return 0.0
    levels = luma.astype(np.float32) * np.float32(gain)
    down = levels[:-2] - 2 * levels[1:-1] + levels[2:]
    both = down[:, :-2] - 2 * down[:, 1:-1] + down[:, 2:]
    pixel = float(np.median(np.abs(both))) / (_LAPLACIAN_GAIN * _MEDIAN_OF_NORMAL)
    # The grid and its transform keep of white noise what is left of it by averaging.
    return pixel * pdq.SIDE / float(np.sqrt(height * width))


def _is_steady(grid: npt.NDArray[Any]) -> bool:
    return int((_off_median(grid) < _NEAR).sum()) - 1 <= _MOST_NEAR  # Itself is one.


def _off_median(grid: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """How far the frequencies are from their median, float32 ``[256]``."""
    values = pdq.transform(np.ascontiguousarray(grid)).reshape(-1)
    median = np.partition(values, len(values) // 2 - 1)[len(values) // 2 - 1]
    off: npt.NDArray[np.float32] = np.abs(values - median)
    return off


def _packed(bits: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Flags ``[n, 256]``, one for each frequency, as digests have them: uint8 ``[n, 32]``."""
    return np.packbits(bits, axis=-1, bitorder="little")[:, ::-1]
