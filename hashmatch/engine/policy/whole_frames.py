"""How unlikely it is that whole frames of an upload are so near an entry's by chance.

One near frame has a score (`Evidence.score`); several that are near in the same order, and show
different pictures, are less likely than one by each. Frames of one scene are alike: if one is near
by chance, so are the others, so that a picture counts once however long it stands.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.index.bits import to_words
from hashmatch.engine.index.live import Matches
from hashmatch.engine.index.segment import Rows
from hashmatch.engine.policy import timing
from hashmatch.model.signals import turn_of

__all__ = ["frame_score", "score_of_several"]

# Probability that two whole frames of unrelated films are within d bits: exp(-18.6 - 0.418 * (72 -
# d)). Of 1.2e8 pairs of 153 clean uploads and 29 clips, 1,912 were within 90 bits, 28 within 80 and
# 1 within 72; a normal distribution, which the middle follows, would fall faster still. What is
# tried: eight turns of 25 frames, with ten million hashes.
_LOG_CHANCE: Final = -18.6
_LOG_CHANCE_A_BIT: Final = 0.418
_CHANCE_AT: Final = 72
_TRIED: Final = 8 * 25 * 10_000_000

# Frames of an entry that may be meant once one pair says when: a second around it, of four.
_TRIED_AROUND: Final = 8

# Pictures of an entry that differ in more bits than these are different, and so many count.
_OTHER: Final = 48
_MOST: Final = 8


def frame_score(distance: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """See `Evidence.score`: of a whole frame's PDQ at so many bits; both int64 ``[n]``."""
    score: npt.NDArray[np.int64] = np.rint(_surprise(distance) - math.log(_TRIED)).astype(np.int64)
    return score


def score_of_several(matches: Matches, entry: Rows) -> int:
    """See `Evidence.score`: of all PDQ matches of one entry, of which there is one at least, and
    all of its rows.
    """
    entry = entry[np.argsort(entry.pts_ms, kind="stable")]
    turns = np.array([turn_of(view) for view in matches.media_view.tolist()])
    best = int(frame_score(matches.distance.min(keepdims=True))[0])
    for turn in np.unique(turns):
        own = matches.select(turns == turn)
        rows = timing.agreeing(own.media_pts_ms, own.entry_pts_ms, own.distance)
        nearest_first = rows[np.argsort(own.distance[rows], kind="stable")]
        places = np.searchsorted(entry.pts_ms, own.entry_pts_ms[nearest_first])
        words = to_words(np.ascontiguousarray(entry.digests[places]))
        kept: list[int] = []
        for k in range(len(words)):
            apart = np.bitwise_count(words[kept] ^ words[k]).sum(axis=1, dtype=np.int64)
            if (apart > _OTHER).all():
                kept.append(k)
            if len(kept) == _MOST:
                break
        surprise = _surprise(own.distance[nearest_first[kept]])
        more = np.maximum(0, surprise[1:] - math.log(_TRIED_AROUND)).sum()
        best = max(best, round(float(surprise[0] + more) - math.log(_TRIED)))
    return best


def _surprise(distance: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    more = (_CHANCE_AT - distance).astype(np.float64)
    surprise: npt.NDArray[np.float64] = _LOG_CHANCE_A_BIT * more - _LOG_CHANCE
    return surprise
