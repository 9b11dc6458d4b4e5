"""Which moment of an entry each matching frame of an upload shows.

A frame often matches several of an entry: little moves from one to the next. The copy runs at one
speed, though, from one point on: the line on which most frames lie says which of the matches are
meant. A vote over offsets is in M. Douze, H. Jegou and C. Schmid, "An Image-Based Approach to Video
Copy Detection With Spatio-Temporal Post-Filtering", IEEE Transactions on Multimedia 12 (2010).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["agreeing", "chosen"]

# Speeds that are tried: as it was first, backwards last. Steps of a twentieth are half a second in
# ten, which is what a bin of the vote holds. Of squares it holds more: an entry has those of frames
# some 700 ms apart, so that a moment may lie half of that from the line, on either side.
_SPEEDS: Final = (
    1.0,
    *np.round(np.arange(0.5, 1.0, 0.05), 2).tolist(),
    *np.round(np.arange(1.05, 2.05, 0.05), 2).tolist(),
    -1.0,
)
_BIN_MS: Final = 500
_SQUARES_BIN_MS: Final = 800

# Another speed has to explain so many more frames.
_MORE_FRAMES: Final = 2

_Integers = npt.NDArray[np.int64]


def chosen(
    media_ms: _Integers, entry_ms: _Integers, distance: _Integers, *, squares: bool = False
) -> _Integers:
    """For each moment of the upload the pair that is meant, in order of time: indices.

    Arrays are int64 ``[n]``, n at least 1; ``squares``: they are of those. The pair meant is
    the one nearest to the line of most frames; where none is within a bin of it, the one whose
    hashes are nearest.
    """
    if len(np.unique(media_ms)) == len(media_ms):
        return np.argsort(media_ms, kind="stable")  # There is nothing to choose.
    bin_ms = _SQUARES_BIN_MS if squares else _BIN_MS
    return _chosen(media_ms, entry_ms, distance, bin_ms)[0]


def agreeing(media_ms: _Integers, entry_ms: _Integers, distance: _Integers) -> _Integers:
    """Of `chosen`, those that are near the line of most frames."""
    rows, far = _chosen(media_ms, entry_ms, distance, _BIN_MS)
    return rows[~far[rows]]


def _chosen(
    media_ms: _Integers, entry_ms: _Integers, distance: _Integers, bin_ms: int
) -> tuple[_Integers, npt.NDArray[np.bool_]]:
    off_line = np.abs(entry_ms - _line(media_ms, entry_ms, bin_ms))
    far = off_line > bin_ms
    order = np.lexsort((entry_ms, distance, np.where(far, 0, off_line), far, media_ms))
    first = np.ones(len(order), np.bool_)
    first[1:] = np.diff(media_ms[order]) != 0
    return order[first], far


def _line(media_ms: _Integers, entry_ms: _Integers, bin_ms: int) -> npt.NDArray[np.float64]:
    """What most frames say is shown of the entry ``media_ms`` of the upload, in ms: float64."""
    most, best = 0, np.zeros(len(media_ms))
    for speed in _SPEEDS:
        offsets = entry_ms - speed * media_ms
        # Each vote goes to two bins, so that no line is split between them.
        bins = np.floor(offsets / bin_ms).astype(np.int64)
        votes = np.unique(
            np.stack([np.concatenate([bins, bins + 1]), np.tile(media_ms, 2)]), axis=1
        )
        number, counts = np.unique(votes[0], return_counts=True)
        frames = int(counts.max())
        if frames > most + (_MORE_FRAMES - 1 if most else 0):
            # Where little moves many lines hold as many frames: the one in their middle is least
            # far off.
            tied = number[counts == frames]
            place = tied[(len(tied) - 1) // 2]
            own = offsets[(bins == place) | (bins + 1 == place)]
            most, best = frames, float(np.median(own)) + speed * media_ms
    return best
