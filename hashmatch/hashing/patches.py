"""PDQ of squares around points that stand out, from luma planes.

A frame that is cropped, tilted, written over or set into another picture has another PDQ; most of
what it shows has not changed. So bright and dark spots are sought, of whatever size, as they are
found again wherever the picture is moved to and however large it is shown; a square around each,
whose size goes with the spot's, is hashed as if it were a frame.

Spots are the largest values of the determinant of the Hessian, over places and scales: T.
Lindeberg, "Feature Detection with Automatic Scale Selection", International Journal of Computer
Vision 30 (1998), 79-116. That two hashes of unrelated squares come near is likelier than that two
frames do: one of them alone says little, see `hashmatch.policy`.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashmatch.hashing import pdq
from hashmatch.kernels import kernel

__all__ = ["MOST_OF_ENTRY", "MOST_OF_UPLOAD", "digests", "points", "warm_up"]

# So many squares of a frame, those that stand out most. Of 88 copies that were cropped, framed,
# tilted or set into another picture, a square of 78 % was found with 80 of each, of 72 % with 24 of
# an upload's frames and 40 of an entry's, each second.
MOST_OF_UPLOAD: Final = 24
MOST_OF_ENTRY: Final = 32

# Spots are sought in a plane whose longer side has so many pixels, and whose shorter has at least
# so many; in frames of more uneven shape none are.
_LONG_SIDE: Final = 256
_LEAST_SIDE: Final = 32

# The scales: the smallest in pixels, two to an octave. A spot may be a tenth of the frame.
_SIGMA: Final = 2.4
_OCTAVES: Final = 4
_STEP: Final = math.sqrt(2)

# Half the side of the square, in scales of its spot. With 4 and 3 more squares fit into a frame
# and say less: unrelated ones came within 31 bits eight times as often.
_REACH: Final = 6.0

# So much of half a side may lie outside of the frame, where its edge is repeated.
_OVERHANG: Final = 0.3

# What is less pronounced is grain. In squares of the luma's 256 levels.
_LEAST_RESPONSE: Final = 1.0

_MOST_CANDIDATES: Final = 4096

# Quality of a square none of whose rows are alike. Corners of frames, of captions and of test
# pictures are near each other: of 158 pairs within 40 bits that had nothing to do with each other,
# all but one had 0.994 of their energy alike and more; of 1,368 that had, 2 % had.
_RICHNESS: Final = 1000

_MIRROR: Final = pdq.TURNS.index("flip_horizontal")

_Plane = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
_Floats = npt.NDArray[np.float32]


def digests(
    luma: _Plane, most: int, *, mirrored: bool
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The PDQ of each square, upright and, if ``mirrored``, in a mirror too; and its quality.

    ``luma`` is uint8 or float32 ``[h, w]`` with values in 0 to 255. Returns ``(digests uint8[n, 1
    or 2, 32], quality uint8[n])`` for the ``most`` points that stand out most; fewer, or none, if
    there are not so many. Quality is 0 to 100; below 50 the square shows an edge or a corner alone.
    """
    small = _shrunk(luma)
    if small is None:
        return np.empty((0, 1 + mirrored, pdq.DIGEST_BYTES), np.uint8), np.empty(0, np.uint8)
    grids = _squares(small, _found(small, most))
    made, alike = pdq.of_grids(grids, np.array([0, _MIRROR] if mirrored else [0]))
    return made, np.clip(np.rint(_RICHNESS * (1 - alike)), 0, 100).astype(np.uint8)


def points(luma: _Plane, most: int) -> _Floats:
    """Where the squares of `digests` are: float32 ``[n, 3]``, the centre's column and row and half
    the side, as parts of the frame's longer side.
    """
    small = _shrunk(luma)
    if small is None:
        return np.empty((0, 3), np.float32)
    found = _found(small, most) + np.array([0.5, 0.5, 0], np.float32)
    return found * np.array([1, 1, _REACH], np.float32) / np.float32(max(small.shape))


def warm_up() -> None:
    """Compiles the kernels, or loads them, for every sort of plane that they take."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (8, 8)).astype(np.uint8)
    for dtype in (np.uint8, np.float32):
        plane: npt.NDArray[Any] = np.kron(coarse, np.ones((8, 8), np.uint8)).astype(dtype)
        digests(plane, 1, mirrored=True)
        digests(plane[:, :63], 1, mirrored=False)


def _shrunk(luma: _Plane) -> _Floats | None:
    """With `_LONG_SIDE` pixels on its longer side; None if it has too few on the other."""
    height, width = luma.shape
    scale = _LONG_SIDE / max(height, width)
    rows, columns = round(height * scale), round(width * scale)
    if min(rows, columns) < _LEAST_SIDE or min(height, width) < 2:
        return None
    plane = pdq.checked(luma[None])[0]
    return _resized(plane, *_tents(height, rows), *_tents(width, columns))  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=64)
def _tents(length: int, parts: int) -> tuple[npt.NDArray[np.int64], _Floats]:
    """How an axis is made ``parts`` long: where each part's band begins, and its weights.

    Each is a tent as wide as two parts, or as two pixels if that is more.
    """
    half = max(1.0, length / parts)
    band = min(length, math.ceil(2 * half) + 1)
    centres = (np.arange(parts) + 0.5) * length / parts - 0.5
    first = np.clip(np.ceil(centres - half).astype(np.int64), 0, length - band)
    places = first[:, None] + np.arange(band)
    weights = np.maximum(0, 1 - np.abs(places - centres[:, None]) / half)
    weights /= weights.sum(axis=1, keepdims=True)
    return first, weights.astype(np.float32)


@functools.lru_cache(maxsize=8)
def _bell(sigma: float) -> _Floats:
    """A Gaussian, to three and a half sigma on either side."""
    reach = math.ceil(3.5 * sigma)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma * sigma))
    return np.asarray(weights / weights.sum(), np.float32)


def _found(small: _Floats, most: int) -> _Floats:
    """Points float32 ``[n, 3]``: column, row and scale, in pixels; the most pronounced first."""
    responses = []
    plane = _blurred(small, _bell(_SIGMA))
    between = _bell(math.sqrt(_STEP**2 - 1) * _SIGMA)
    last = _bell(math.sqrt(_STEP**2 - 1) * _STEP * _SIGMA)
    for _ in range(_OCTAVES):
        coarser = _blurred(plane, between)
        responses += [_response(plane, _SIGMA), _response(coarser, _SIGMA * _STEP)]
        plane = np.ascontiguousarray(_blurred(coarser, last)[::2, ::2])
    candidates = np.empty((_MOST_CANDIDATES, 4), np.float32)
    count = 0
    for number in range(1, len(responses) - 1):
        below, own, above = responses[number - 1 : number + 2]
        # Two scales are of one size; the next is of half of it.
        count = _maxima(below, own, above, number, small.shape, candidates, count)
    some = candidates[:count]
    return some[np.argsort(-some[:, 3], kind="stable")[:most], :3]


def _squares(small: _Floats, found: _Floats) -> _Floats:
    grids = np.empty((len(found), pdq.SIDE, pdq.SIDE), np.float32)
    level, own = 0, small
    levels = np.maximum(0, np.round(np.log2(2 * _REACH * found[:, 2] / pdq.SIDE))).astype(int)
    while len(grids) and level <= levels.max():
        which = np.flatnonzero(levels == level)
        _sample(own, found, which, np.float32(2**level), grids)
        level, own = level + 1, _halved(own)
    return grids


@kernel
def _resized(plane, row_first, row_weights, col_first, col_weights):  # type: ignore[no-untyped-def]
    width = plane.shape[1]
    rows, columns = len(row_first), len(col_first)
    out = np.zeros((rows, columns), np.float32)
    line = np.empty(width, np.float32)
    for i in range(rows):
        line[:] = 0
        for k in range(row_weights.shape[1]):
            weight = row_weights[i, k]
            if weight:
                row = plane[row_first[i] + k]
                for x in range(width):
                    line[x] += weight * np.float32(row[x])
        for j in range(columns):
            total = np.float32(0)
            for k in range(col_weights.shape[1]):
                total += col_weights[j, k] * line[col_first[j] + k]
            out[i, j] = total
    return out


@kernel
def _blurred(plane, bell):  # type: ignore[no-untyped-def]
    """By a Gaussian, its edges repeated."""
    height, width = plane.shape
    reach = len(bell) // 2
    out = np.empty((height, width), np.float32)
    padded = np.empty(width + 2 * reach, np.float32)
    line = np.empty(width, np.float32)
    for y in range(height):
        line[:] = 0
        for k in range(len(bell)):
            row = plane[min(max(y + k - reach, 0), height - 1)]
            weight = bell[k]
            for x in range(width):
                line[x] += weight * row[x]
        padded[:reach] = line[0]
        padded[reach : reach + width] = line
        padded[reach + width :] = line[width - 1]
        row = out[y]
        row[:] = 0
        for k in range(len(bell)):
            weight = bell[k]
            for x in range(width):
                row[x] += weight * padded[x + k]
    return out


@kernel
def _response(plane, sigma):  # type: ignore[no-untyped-def]
    """The determinant of the Hessian, times the fourth power of the scale: comparable with others.
    The outermost pixels have none.
    """
    height, width = plane.shape
    out = np.zeros((height, width), np.float32)
    norm = np.float32(sigma**4)
    quarter = np.float32(0.25)
    for y in range(1, height - 1):
        above, own, below = plane[y - 1], plane[y], plane[y + 1]
        for x in range(1, width - 1):
            twice = own[x] + own[x]
            xx = own[x - 1] - twice + own[x + 1]
            yy = above[x] - twice + below[x]
            xy = quarter * (below[x + 1] - below[x - 1] - above[x + 1] + above[x - 1])
            out[y, x] = norm * (xx * yy - xy * xy)
    return out


@kernel
def _peak(before, own, after):  # type: ignore[no-untyped-def]
    """Where between -0.5 and 0.5 the parabola through three values has its vertex."""
    curve = before - own - own + after
    if curve >= 0:
        return np.float32(0)
    return min(np.float32(0.5), max(np.float32(-0.5), np.float32(0.5) * (before - after) / curve))


@kernel
def _most_near(response, y, x):  # type: ignore[no-untyped-def]
    """The largest value at a place and around it."""
    height, width = response.shape
    largest = np.float32(0)
    for i in range(max(0, y - 1), min(height, y + 2)):
        for j in range(max(0, x - 1), min(width, x + 2)):
            largest = max(largest, response[i, j])
    return largest


@kernel
def _maxima(below, own, above, number, shape, found, count):  # type: ignore[no-untyped-def]
    """Adds what is largest of all around it, also at the next finer scale and the next coarser."""
    octave = number // 2
    size = 2**octave
    sigma = _SIGMA * _STEP**number
    height, width = own.shape
    for y in range(2, height - 2):
        for x in range(2, width - 2):
            value = own[y, x]
            if value <= _LEAST_RESPONSE:
                continue
            largest = True
            for i in range(y - 2, y + 3):
                for j in range(x - 2, x + 3):
                    if own[i, j] > value:
                        largest = False
            if not largest:
                continue
            if number % 2:
                finer, coarser = _most_near(below, y, x), _most_near(above, y // 2, x // 2)
            else:
                finer = _most_near(
                    below, min(2 * y, below.shape[0] - 1), min(2 * x, below.shape[1] - 1)
                )
                coarser = _most_near(above, y, x)
            if finer > value or coarser > value or count == len(found):
                continue
            column = (x + _peak(own[y, x - 1], value, own[y, x + 1])) * size
            row = (y + _peak(own[y - 1, x], value, own[y + 1, x])) * size
            scale = sigma * _STEP ** _peak(finer, value, coarser)
            inside = (1 - _OVERHANG) * _REACH * scale
            if not (
                inside <= column <= shape[1] - 1 - inside and inside <= row <= shape[0] - 1 - inside
            ):
                continue
            found[count, 0], found[count, 1] = column, row
            found[count, 2], found[count, 3] = scale, value
            count += 1
    return count


@kernel
def _halved(plane):  # type: ignore[no-untyped-def]
    rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
    out = np.empty((rows, columns), np.float32)
    for y in range(rows):
        above, below = plane[2 * y], plane[2 * y + 1]
        for x in range(columns):
            total = above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1]
            out[y, x] = np.float32(0.25) * total
    return out


@kernel
def _within(place, length):  # type: ignore[no-untyped-def]
    return min(max(place, np.float32(0)), np.float32(length - 1))


@kernel
def _sample(plane, found, which, size, grids):  # type: ignore[no-untyped-def]
    """The squares around some points as grids; ``size`` is how many pixels one of ``plane`` is."""
    height, width = plane.shape
    side = grids.shape[1]
    for n in which:
        column = (found[n, 0] + np.float32(0.5)) / size - np.float32(0.5)
        row = (found[n, 1] + np.float32(0.5)) / size - np.float32(0.5)
        half = np.float32(_REACH) * found[n, 2] / size
        step = 2 * half / side
        for i in range(side):
            y = _within(row - half + (i + np.float32(0.5)) * step, height)
            top = min(int(y), height - 2)
            down = y - top
            for j in range(side):
                x = _within(column - half + (j + np.float32(0.5)) * step, width)
                left = min(int(x), width - 2)
                right = x - left
                upper = plane[top, left] + right * (plane[top, left + 1] - plane[top, left])
                lower = plane[top + 1, left] + right * (
                    plane[top + 1, left + 1] - plane[top + 1, left]
                )
                grids[n, i, j] = upper + down * (lower - upper)
