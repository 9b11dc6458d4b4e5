"""PDQ of squares around points that stand out, from luma planes.

A frame that is cropped, tilted, written over or set into another picture has another PDQ; most of
what it shows has not changed. So spots are sought (`engine.hashing.spots`), and a square around
each, whose size goes with the spot's, is hashed as if it were a frame. That two hashes of unrelated
squares come near is likelier than that two frames do: what a square says is weighed together with
others, by where they lie, see `engine.policy`. So each digest ends in its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hashmatch.engine.hashing import pdq, spots
from hashmatch.engine.kernels import kernel

__all__ = [
    "HASH_BYTES",
    "PLACE_BYTES",
    "Look",
    "Squares",
    "digests",
    "places",
    "warm_up",
]

# A digest is a hash, then a place.
HASH_BYTES: Final = pdq.DIGEST_BYTES
PLACE_BYTES: Final = 4

# Half the side of the square, in scales of its spot. With 4 and 3 more squares fit into a frame
# and say less: unrelated ones came within 31 bits eight times as often.
_REACH: Final = 6.0

# So much of half a side may lie outside of the frame, where its edge is repeated.
_OVERHANG: Final = 0.3

# A square is hashed from so many pixels a side: twice as many as PDQ has frequencies. Spots are
# small; there is no more in them.
_SIDE: Final = 2 * pdq.FREQUENCIES

# Quality of a square none of whose rows are alike. Corners of frames, of captions and of test
# pictures are near each other: of 158 pairs within 40 bits that had nothing to do with each other,
# all but one had 0.994 of their energy alike and more; of 1,368 that had, 2 % had.
_RICHNESS: Final = 1000

# A square is taken from a plane in which it is `_SIDE` to twice as many pixels wide, or from the
# finest. Of 29 pictures in pictures 26 were found so, 25 with planes 1.4 times as coarse, 23 with
# planes twice as coarse.
_FINENESS: Final = math.sqrt(2)

# Pixels around a plane. A square's corners, turned, are 1.42 half sides from its centre, which is
# 0.7 of them inside; half a side is at most 32 pixels.
_FRAME: Final = 26

_MIRROR: Final = pdq.TURNS.index("flip_horizontal")

# Of a place's bytes. Sizes are told in steps of a thirty-second of an octave.
_SIZES_AN_OCTAVE: Final = 32
_LEAST_SIZE: Final = 1 / 64
_UPRIGHT: Final = 64
_MIRRORED: Final = 128

_Plane = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
_Floats = npt.NDArray[np.float32]


class Look(NamedTuple):
    """How squares are looked at: ``most`` of them, those that stand out most, turned clockwise by
    ``tilt`` whole degrees (-63 to 63).
    """

    most: int
    tilt: int = 0


class Squares(NamedTuple):
    """Where squares lie: columns float32 ``[n]``.

    ``column`` and ``row`` of the centre and ``size``, half the side, are parts of the frame's
    longer side. ``tilt`` in degrees; ``mirrored`` bool: all are as a mirror shows them.
    """

    column: _Floats
    row: _Floats
    size: _Floats
    tilt: _Floats
    mirrored: npt.NDArray[np.bool_]

    def take(self, some: npt.NDArray[Any]) -> Squares:
        """Only those at ``some`` (a mask or indices)."""
        return Squares(
            self.column[some], self.row[some], self.size[some], self.tilt[some], self.mirrored[some]
        )


def digests(
    luma: _Plane, looks: Sequence[Look], *, mirrored: bool
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """The digest of each square for each look, upright and then, if ``mirrored``, in a mirror too.

    ``luma`` is uint8 or float32 ``[h, w]`` with values in 0 to 255. Returns ``(digests uint8[n,
    HASH_BYTES + PLACE_BYTES], quality uint8[n], flipped bool[n])``; fewer, or none, where not so
    many spots are. Quality is 0 to 100; below 50 the square shows an edge or a corner alone.
    """
    views = np.array([0, _MIRROR] if mirrored else [0])
    plane = spots.shrunk(pdq.checked(luma[None])[0])
    made, qualities, flips = [np.empty((0, HASH_BYTES + PLACE_BYTES), np.uint8)], [], []
    if plane is not None:
        inside = (1 - _OVERHANG) * _REACH
        found = spots.find(plane, max(look.most for look in looks), inside)
        for look in looks:
            some = found[: look.most]
            hashes, alike = pdq.of_grids(_squares(plane, some, look.tilt), views)
            quality = np.clip(np.rint(_RICHNESS * (1 - alike)), 0, 100).astype(np.uint8)
            for view in range(len(views)):
                where = _encoded(some, plane.shape, look.tilt, flipped=view > 0)
                made.append(np.hstack([hashes[:, view], where]))
                qualities.append(quality)
                flips.append(np.full(len(some), view > 0))
    none = np.empty(0)
    return (
        np.concatenate(made),
        np.concatenate([none, *qualities]).astype(np.uint8),
        np.concatenate([none, *flips]).astype(np.bool_),
    )


def places(codes: npt.NDArray[np.uint8]) -> Squares:
    """Where squares lie, from the last `PLACE_BYTES` of their digests, uint8 ``[n, 4]``."""
    column, row, size, turn = codes.T.astype(np.float32)
    mirrored = turn >= _MIRRORED
    return Squares(
        column / np.float32(255),
        row / np.float32(255),
        np.exp2(size / np.float32(_SIZES_AN_OCTAVE)) * np.float32(_LEAST_SIZE),
        turn - np.float32(_UPRIGHT) - np.float32(_MIRRORED) * mirrored,
        mirrored,
    )


def warm_up() -> None:
    """Compiles the kernels, or loads them, for every sort of plane that they take."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (8, 8)).astype(np.uint8)
    for dtype in (np.uint8, np.float32):
        plane: npt.NDArray[Any] = np.kron(coarse, np.ones((8, 8), np.uint8)).astype(dtype)
        for luma in (plane, plane[:, :63]):
            digests(luma, [Look(1), Look(1, 4)], mirrored=True)


def _encoded(
    found: _Floats, shape: tuple[int, int], tilt: int, *, flipped: bool
) -> npt.NDArray[np.uint8]:
    """Places as bytes, uint8 ``[n, 4]``: column and row of the centre, in 255ths of the frame's
    longer side; half the side; and the turn: 64 is upright, a degree more is one more; 128 more
    is mirrored.
    """
    longer = max(shape)
    column, row = (found[:, :2].T + 0.5) / longer
    if flipped:
        column = shape[1] / longer - column
    size = _SIZES_AN_OCTAVE * np.log2(_REACH * found[:, 2] / (longer * _LEAST_SIZE))
    turn = np.full(len(found), _UPRIGHT + tilt + _MIRRORED * flipped)
    columns = [255 * column, 255 * row, size, turn]
    codes: npt.NDArray[np.uint8] = np.clip(np.rint(np.stack(columns, 1)), 0, 255).astype(np.uint8)
    return codes


def _squares(plane: _Floats, found: _Floats, tilt: int) -> _Floats:
    """What is in them, float32 ``[n, _SIDE, _SIDE]``, each from a plane that is fine enough."""
    grids = np.empty((len(found), _SIDE, _SIDE), np.float32)
    levels = np.maximum(0, np.round(np.log2(_FINENESS * _REACH * found[:, 2] / _SIDE)))
    turn = math.radians(tilt)
    for level in range(int(levels.max(initial=-1)) + 1):
        plane = _halved(plane) if level else plane
        which = np.flatnonzero(levels == level)
        if tilt:
            _sample(_framed(plane), found, which, 2.0**level, math.cos(turn), math.sin(turn), grids)
        else:
            _sample_upright(plane, found, which, 2.0**level, grids)
    return grids


@kernel
def _halved(plane):  # type: ignore[no-untyped-def]
    rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
    out = np.empty((rows, columns), np.float32)
    for y in range(rows):
        above, below, made = plane[2 * y], plane[2 * y + 1], out[y]
        for x in range(columns):
            total = above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1]
            made[x] = np.float32(0.25) * total
    return out


@kernel
def _sample_upright(plane, found, which, pixel, grids):  # type: ignore[no-untyped-def]
    """What `_sample` gives for a tilt of nothing, to the bit, in half the time: all rows of a
    square look at the same columns.
    """
    height, width = plane.shape
    side = grids.shape[1]
    # Of numbers that might be below nothing, each would be looked at once more.
    first, second = np.empty((2, side), np.uint32)
    right = np.empty(side, np.float32)
    lines = np.empty((2, side), np.float32)
    for n in which:
        column = (found[n, 0] + 0.5) / pixel - 0.5 + _FRAME
        row = (found[n, 1] + 0.5) / pixel - 0.5 + _FRAME
        half = _REACH * found[n, 2] / pixel
        step = 2 * half / side
        left = np.float32(column + (0.5 * step - half))
        for j in range(side):
            at = left + np.float32(j) * np.float32(step)
            place = np.int32(at)
            right[j] = at - np.float32(place)
            first[j] = min(max(place - _FRAME, 0), width - 1)
            second[j] = min(max(place + 1 - _FRAME, 0), width - 1)
        under, held = 0, -1  # Of the two lines the lower one, and the row that it is of.
        for i in range(side):
            at = np.float32(row + ((i + 0.5) * step - half))
            top = np.int32(at)
            below = at - np.float32(top)
            higher = min(max(top - _FRAME, 0), height - 1)
            lower = min(max(top + 1 - _FRAME, 0), height - 1)
            if higher == held:
                under = 1 - under
            else:
                _between(plane[higher], first, second, right, lines[1 - under])
            _between(plane[lower], first, second, right, lines[under])
            held = lower
            over_line, under_line, made = lines[1 - under], lines[under], grids[n, i]
            for j in range(side):
                made[j] = over_line[j] + below * (under_line[j] - over_line[j])


@kernel
def _between(line, first, second, right, out):  # type: ignore[no-untyped-def]
    """Values of a line between two places each, ``right`` parts of the way to the second."""
    for j in range(len(out)):
        value = line[first[j]]
        out[j] = value + right[j] * (line[second[j]] - value)


@kernel
def _framed(plane):  # type: ignore[no-untyped-def]
    """With its edges repeated: squares lie in part outside, and their corners more so."""
    height, width = plane.shape
    out = np.empty((height + 2 * _FRAME, width + 2 * _FRAME), np.float32)
    for y in range(len(out)):
        row = plane[min(max(y - _FRAME, 0), height - 1)]
        out[y, :_FRAME] = row[0]
        out[y, _FRAME : _FRAME + width] = row
        out[y, _FRAME + width :] = row[width - 1]
    return out


@kernel
def _sample(framed, found, which, pixel, cosine, sine, grids):  # type: ignore[no-untyped-def]
    """The squares around some points as grids; ``pixel`` is the side of one of ``framed``."""
    side = grids.shape[1]
    for n in which:
        column = (found[n, 0] + 0.5) / pixel - 0.5 + _FRAME
        row = (found[n, 1] + 0.5) / pixel - 0.5 + _FRAME
        half = _REACH * found[n, 2] / pixel
        step = 2 * half / side
        # A pixel to the right, and how far the next row's first is from this one's.
        across, down = np.float32(cosine * step), np.float32(sine * step)
        left = 0.5 * step - half
        for i in range(side):
            up = (i + 0.5) * step - half
            x, y = (
                np.float32(column + cosine * left - sine * up),
                np.float32(row + sine * left + cosine * up),
            )
            for j in range(side):
                at_x, at_y = x + np.float32(j) * across, y + np.float32(j) * down
                first, top = np.int32(at_x), np.int32(at_y)
                right, below = at_x - np.float32(first), at_y - np.float32(top)
                over = framed[top, first]
                over += right * (framed[top, first + 1] - over)
                under = framed[top + 1, first]
                under += right * (framed[top + 1, first + 1] - under)
                grids[n, i, j] = over + below * (under - over)
