"""Squares of an upload that lie as those of an entry do: what hashes of squares say together.

Hashes of squares (`Kind.PDQ_PATCH`) come near each other by chance now and then, and where two
films show the same wall or floor. A copy has them near, and in the same arrangement: moved, made
larger or smaller, mirrored and turned all alike. So one near pair says how the upload would have to
show the entry, and the others are counted that lie where it says: the Hough transform's idea, as D.
Lowe uses it in "Distinctive Image Features from Scale-Invariant Keypoints", International Journal
of Computer Vision 60 (2004), 91-110, section 7.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hashmatch.engine.hashing import patches
from hashmatch.engine.index.bits import to_words
from hashmatch.engine.index.live import Matches
from hashmatch.engine.index.scan import scan
from hashmatch.engine.index.segment import Rows
from hashmatch.model.signals import Signals

__all__ = ["SURE_NEARNESS", "SURE_SCORE", "Agreement", "agreement"]

# Pairs of one entry are taken in up to this distance, in bits of 256, once some are nearer.
_RADIUS: Final = 60

# An upload is compared with an entry around so many of their nearest pairs, so many ms before and
# after, and so many ways to lie are tried: what that costs does not grow with the length of either.
_MOST_SEEDS: Final = 32
_AROUND_MS: Final = 5000
_MOST_PAIRS: Final = 20_000
_SEED_CELL: Final = 0.1  # Of places that are one, where pairs are chosen to begin from.

# How far from its place a square may be: as a part of the entry's longer side, as the upload shows
# it, and of the way to the pair that says where it should be; and by how much larger or smaller.
_OFF: Final = 0.06
_OFF_BY_WAY: Final = 0.08
_LEAST_ZOOM: Final = 0.3
_OFF_SIZE: Final = 0.3

# Squares nearer than this in place and size are one thing that is shown, over several frames too.
_SAME_PLACE: Final = 0.03
_SAME_SIZE: Final = 0.3
_MOST_PLACES: Final = 12

# Probability that two squares of unrelated films are within d bits: exp(-15.3 - 0.17 * (64 - d)).
# Fitted to 4.9e9 pairs of 153 clean uploads and 29 clips, of which 1,086 were within 64 bits, 64
# within 44 and 1 within 24; pairs of films of the same floor are among them.
_LOG_CHANCE: Final = -15.3
_LOG_CHANCE_A_BIT: Final = 0.17
_CHANCE_AT: Final = 64

# Of unrelated pairs, so many lie where they should by chance. An area of 0.02 of the frame's (twice
# the tolerances) and a sixth of all sizes would be less.
_LOG_ARRANGED: Final = math.log(0.02)

# What the score is less by, for all that was tried: a thousand squares of an upload with ten
# million of entries (some eighty near pairs), each of which says where the others should be.
_LOG_TRIED: Final = math.log(80 * _MOST_SEEDS)

# From this score on chance does not explain it: less than one clean upload of a million, by the
# probabilities above, as exp(-14) is.
SURE_SCORE: Final = 14.0

# Films of one place agree too, with few squares of a frame and none very near. A pair of equal
# squares counts 4, one of 36 bits 1, and half as much for each 8 bits more. Of 182 uploads some
# twenty agreed with an entry that was filmed at the same place, with 11.2 and less in their three
# best frames together, 4.3 and less in the best.
SURE_NEARNESS: Final = 12.0
_SURE_FRAME: Final = 5.0
_BEYOND_DOUBT: Final = 2 * SURE_NEARNESS
_ENOUGH_TRIED: Final = 12
_BEST_FRAMES: Final = 3
_NEAR: Final = 36
_NEAR_HALF: Final = 8
_MOST_NEAR: Final = 4.0

# What agrees lies in so much of the entry's frame, with the squares around it, or it is a logo or
# the line of a name that many films bear: an area in squares of the frame's longer side. And a
# copy that blocks is wider and higher than a banner. Of 207 altered copies that squares alone
# found, two agreed in less.
_LEAST_AREA: Final = 0.06
_LEAST_SIDE: Final = 0.25

_Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """An upload's squares that lie as those of one entry do.

    ``media_pts_ms``, ``entry_pts_ms`` and ``distance`` int64 ``[n]``: the pairs. ``places`` is how
    many different things they show, 12 at most. ``score`` is the natural logarithm of how unlikely
    it is that unrelated media agree so well, in an upload of a thousand squares against ten million
    (`SURE_SCORE`). ``nearness``: see `SURE_NEARNESS`; ``same`` says that it is as near as copies
    are, not only films of one place, and more than a banner. ``mirrored``, and ``tilt`` in degrees:
    as the upload shows it.
    """

    media_pts_ms: _Integers
    entry_pts_ms: _Integers
    distance: _Integers
    places: int
    score: float
    nearness: float
    same: bool
    mirrored: bool
    tilt: int

    @property
    def rank(self) -> tuple[bool, float, float]:
        """More is surer. The best frames say best: of a picture that moves along, all frames lie
        nearly as well somewhat earlier and elsewhere.
        """
        return self.same, self.nearness, self.score


class _Pairs(NamedTuple):
    """Near pairs of one upload and one entry, the nearest first: columns of equal length.

    ``square`` numbers the upload's squares; the others are of the upload's and the entry's.
    """

    square: _Integers
    distance: _Integers
    media_ms: _Integers
    entry_ms: _Integers
    media: patches.Squares
    entry: patches.Squares

    def take(self, some: npt.NDArray[np.bool_] | _Integers) -> _Pairs:
        """Only those at ``some`` (a mask or indices)."""
        return _Pairs(
            self.square[some],
            self.distance[some],
            self.media_ms[some],
            self.entry_ms[some],
            self.media.take(some),
            self.entry.take(some),
        )


def agreement(media: Signals, entry: Rows, seeds: Matches) -> Agreement | None:
    """How well an upload agrees with one entry; None if no better than chance may explain, or by a
    small part of the entry's frame.


    ``media`` are squares of the upload, ``entry`` all of the entry's, ``seeds`` the pairs of the
    two that the search found. Some ms for clips of seconds, a second at most. Releases the GIL for
    most of it.
    """
    moments = np.stack([seeds.media_pts_ms, seeds.entry_pts_ms], axis=1) // _AROUND_MS
    by_distance = np.argsort(seeds.distance, kind="stable")
    nearest = by_distance[_first_of_each(moments[by_distance])]
    pairs = _pairs(
        media.select(_around(media.pts_ms, seeds.media_pts_ms[nearest])),
        entry[_around(entry.pts_ms, seeds.entry_pts_ms[nearest])],
    )
    within = int(np.searchsorted(pairs.distance, seeds.distance.max(), "right"))
    best: Agreement | None = None
    places = np.stack([*pairs.media[:2], *pairs.entry[:2]], axis=1)[:within] / _SEED_CELL
    for tried, seed in enumerate(_first_of_each(np.floor(places)), 1):
        found = _weighed(
            pairs.take(_arranged(pairs, seed)), len(entry), pairs.take(np.array([seed]))
        )
        if found and (best is None or found.rank > best.rank):
            best = found
        if best and best.same and best.nearness >= _BEYOND_DOUBT and tried >= _ENOUGH_TRIED:
            break  # No other way to lie would change what becomes of it.
    return best if best and best.score >= SURE_SCORE else None


def _first_of_each(keys: npt.NDArray[Any]) -> list[int]:
    """The first rows that are not equal to one before, `_MOST_SEEDS` at most: what is near in every
    frame, as a mark of the application is, does not take the places of all else.
    """
    _, first = np.unique(keys, axis=0, return_index=True)
    some: list[int] = np.sort(first)[:_MOST_SEEDS].tolist()
    return some


def _around(times: _Integers, some: _Integers) -> npt.NDArray[np.bool_]:
    """Which times are near one of some."""
    rising = np.unique(some)
    first = np.searchsorted(rising, times - _AROUND_MS, "left")
    near: npt.NDArray[np.bool_] = first < np.searchsorted(rising, times + _AROUND_MS, "right")
    return near


def _pairs(media: Signals, entry: Rows) -> _Pairs:
    width = patches.HASH_BYTES
    square, row, distance = scan(
        to_words(np.ascontiguousarray(media.digests[:, :width])),
        to_words(np.ascontiguousarray(entry.digests[:, :width])),
        _RADIUS,
    )
    order = np.argsort(distance, kind="stable")[:_MOST_PAIRS]
    square, row = square[order], row[order]
    return _Pairs(
        square,
        distance[order],
        media.pts_ms[square],
        entry.pts_ms[row],
        patches.places(media.digests[square, width:]),
        patches.places(entry.digests[row, width:]),
    )


def _arranged(pairs: _Pairs, seed: int) -> npt.NDArray[np.bool_]:
    """Which pairs lie as one of them says: bool ``[n]``."""
    media, entry = pairs.media, pairs.entry
    zoom = np.log(media.size / entry.size)
    by = math.exp(float(zoom[seed]))
    # In a mirror it is turned the other way round.
    turn = math.radians(float(entry.tilt[seed]))
    turn = -turn if entry.mirrored[seed] else turn
    right, down = entry.column - entry.column[seed], entry.row - entry.row[seed]
    across = media.column - media.column[seed]
    along = media.row - media.row[seed]
    across = across - by * (math.cos(turn) * right + math.sin(turn) * down)
    along = along - by * (math.cos(turn) * down - math.sin(turn) * right)
    allowed = _OFF * max(by, _LEAST_ZOOM) + _OFF_BY_WAY * by * np.hypot(right, down)
    arranged: npt.NDArray[np.bool_] = (
        (entry.mirrored == entry.mirrored[seed])
        & (np.abs(zoom - zoom[seed]) < _OFF_SIZE)
        & (np.hypot(across, along) < allowed)
    )
    return arranged


def _weighed(pairs: _Pairs, entry_rows: int, seed: _Pairs) -> Agreement | None:
    """What pairs say that lie as they should; the nearest come first."""
    distances = _places(pairs)
    width, height = _extent(pairs.entry)
    # What says where the others should be says no more.
    if len(distances) == 1 or width * height < _LEAST_AREA:
        return None
    chance = _LOG_CHANCE + _LOG_CHANCE_A_BIT * (distances - _CHANCE_AT)
    surprise = -(chance + _LOG_ARRANGED + math.log(entry_rows))
    score = float(np.maximum(0, surprise[1:]).sum()) - _LOG_TRIED
    _, first = np.unique(pairs.square, return_index=True)  # The nearest of each square.
    near = np.minimum(_MOST_NEAR, np.exp2((_NEAR - pairs.distance[first]) / _NEAR_HALF))
    _, frame = np.unique(pairs.media_ms[first], return_inverse=True)
    frames = np.sort(np.bincount(frame, near))[::-1]
    nearness = float(frames[:_BEST_FRAMES].sum())
    return Agreement(
        media_pts_ms=pairs.media_ms,
        entry_pts_ms=pairs.entry_ms,
        distance=pairs.distance,
        places=len(distances),
        score=score,
        nearness=nearness,
        same=min(width, height) >= _LEAST_SIDE
        and bool(nearness >= SURE_NEARNESS or frames[0] >= _SURE_FRAME),
        mirrored=bool(seed.entry.mirrored[0]),
        tilt=int(seed.entry.tilt[0]),
    )


def _extent(of: patches.Squares) -> tuple[float, float]:
    """Width and height of what holds all squares, as parts of the frame's longer side."""
    width, height = (
        float((each + of.size).max() - (each - of.size).min()) for each in (of.column, of.row)
    )
    return width, height


def _places(pairs: _Pairs) -> npt.NDArray[np.float64]:
    """The least distance at each place of the upload, rising: float64 ``[n]``, n up to
    `_MOST_PLACES`.
    """
    where = np.stack([pairs.media.column, pairs.media.row, np.log(pairs.media.size)], axis=1)
    cells = np.floor(where / np.array([_SAME_PLACE, _SAME_PLACE, _SAME_SIZE])).astype(np.int64)
    _, first = np.unique(cells, axis=0, return_index=True)
    kept: list[int] = []
    for one in np.sort(first).tolist():
        apart = np.abs(where[kept] - where[one])
        if not ((apart[:, :2].sum(axis=1) < _SAME_PLACE) & (apart[:, 2] < _SAME_SIZE)).any():
            kept.append(one)
        if len(kept) == _MOST_PLACES:
            break
    return pairs.distance[kept].astype(np.float64)
