"""Bright and dark spots of a luma plane, of whatever size: places that are found again wherever the
picture is moved to, and however large it is shown.

Spots are the largest values of the determinant of the Hessian, over places and scales: T.
Lindeberg, "Feature Detection with Automatic Scale Selection", International Journal of Computer
Vision 30 (1998), 79-116.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.kernels import kernel

__all__ = ["LONG_SIDE", "find", "shrunk"]

# Spots are sought in a plane whose longer side has so many pixels, and whose shorter has at least
# so many; in frames of more uneven shape none are.
LONG_SIDE: Final = 320
_LEAST_SIDE: Final = 32

# The scales: the smallest in pixels, two to an octave. A spot may be a tenth of the frame.
_SIGMA: Final = 2.0
_OCTAVES: Final = 4
_STEP: Final = math.sqrt(2)

# Gaussians end after so many pixels on either side: three times the widest one's sigma.
_TAPS: Final = 7

# What is less pronounced is grain. In squares of the luma's 256 levels.
_LEAST_RESPONSE: Final = 1.0

_MOST_CANDIDATES: Final = 4096

# So many cells on the longer side of the frame have their share of the spots each, so that letters
# and stickers, which stand out most, do not take all.
_CELLS: Final = 6

_Plane = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
_Floats = npt.NDArray[np.float32]


def shrunk(luma: _Plane) -> _Floats | None:
    """``luma`` ``[h, w]`` with `LONG_SIDE` pixels on its longer side, float32; None if it has too
    few on the other.
    """
    height, width = luma.shape
    scale = LONG_SIDE / max(height, width)
    rows, columns = round(height * scale), round(width * scale)
    if min(rows, columns) < _LEAST_SIDE or min(height, width) < 2:
        return None
    down, across = _tents(height, rows), _tents(width, columns)
    return _resized(luma, *down, *(column.T.copy() for column in across))  # type: ignore[no-any-return]


def find(plane: _Floats, most: int, inside: float) -> _Floats:
    """The spots of what `shrunk` gave: float32 ``[n, 3]``, column, row and scale, in pixels.

    At most ``most``: of each cell of the frame the most pronounced, then the next of each, and so
    on. They are at least ``inside`` scales from the frame's edges.
    """
    responses = []
    # Variances add up: blurred once more by its own sigma, a plane is a step coarser.
    bell, wider = _bell(_SIGMA), _bell(_SIGMA * _STEP)
    own = _blurred(plane, bell, 1)
    for _ in range(_OCTAVES):
        coarser = _blurred(own, bell, 1)
        responses += [_response(own, _SIGMA), _response(coarser, _SIGMA * _STEP)]
        own = _blurred(coarser, wider, 2)
    candidates = np.empty((_MOST_CANDIDATES, 4), np.float32)
    count = 0
    for number in range(1, len(responses) - 1):
        # Two scales are of one size; the next is of half of it.
        below, at, above = responses[number - 1 : number + 2]
        count = _maxima(below, at, above, number, plane.shape, inside, candidates, count)
    return _spread(candidates[:count], plane.shape, most)


def _spread(candidates: _Floats, shape: tuple[int, int], most: int) -> _Floats:
    """The most pronounced ones, by cells."""
    strongest = candidates[np.argsort(-candidates[:, 3], kind="stable")]
    height, width = shape
    rows, columns = (max(1, round(_CELLS * side / max(shape))) for side in (height, width))
    row = np.minimum(rows - 1, (strongest[:, 1] * (rows / height)).astype(np.int64))
    column = np.minimum(columns - 1, (strongest[:, 0] * (columns / width)).astype(np.int64))
    cell = row * columns + column
    # How many of its cell are before it.
    by_cell = np.argsort(cell, kind="stable")
    first = np.searchsorted(cell[by_cell], np.arange(rows * columns))
    before = np.empty(len(cell), np.int64)
    before[by_cell] = np.arange(len(cell)) - first[cell[by_cell]]
    share = math.ceil(most / (rows * columns))
    chosen: _Floats = strongest[np.argsort(before // share, kind="stable")[:most], :3]
    return chosen


@functools.lru_cache(maxsize=64)
def _tents(length: int, parts: int) -> tuple[npt.NDArray[np.int64], _Floats]:
    """How an axis is made ``parts`` long: the places that each part is made of, and their weights.

    Each is a tent as wide as two parts, or as two pixels if that is more; of one that is wide,
    every second or third place and so on counts, so that there are never more than five.
    """
    half = max(1.0, length / parts)
    step = math.ceil(half / 2)
    band = math.ceil(2 * half / step)
    centres = (np.arange(parts) + 0.5) * length / parts - 0.5
    places = np.ceil(centres - half).astype(np.int64)[:, None] + step * np.arange(band)
    weights = np.maximum(0, 1 - np.abs(places - centres[:, None]) / half)
    weights[(places < 0) | (places >= length)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    return np.clip(places, 0, length - 1), weights.astype(np.float32)


@functools.lru_cache(maxsize=8)
def _bell(sigma: float) -> _Floats:
    """Half a Gaussian, from its middle on."""
    weights = np.exp(-(np.arange(_TAPS + 1) ** 2) / (2 * sigma * sigma))
    return np.asarray(weights / (2 * weights.sum() - weights[0]), np.float32)


@kernel
def _resized(plane, rows_at, row_weights, columns_at, column_weights):  # type: ignore[no-untyped-def]
    """Weights by row, and by column turned."""
    width = plane.shape[1]
    rows, columns = len(rows_at), columns_at.shape[1]
    out = np.zeros((rows, columns), np.float32)
    line = np.empty(width, np.float32)
    for i in range(rows):
        line[:] = 0
        for k in range(row_weights.shape[1]):
            weight = row_weights[i, k]
            if weight:
                row = plane[rows_at[i, k]]
                for x in range(width):
                    line[x] += weight * np.float32(row[x])
        made = out[i]
        for k in range(column_weights.shape[0]):
            for j in range(columns):
                made[j] += column_weights[k, j] * line[columns_at[k, j]]
    return out


@kernel
def _blurred(plane, bell, step):  # type: ignore[no-untyped-def]
    """By a Gaussian, its edges repeated; each ``step``-th row and column of it.

    Taps are written out, and rows taken two pairs at a time: so it is done eight pixels at once.
    """
    height, width = plane.shape
    out = np.empty(((height + step - 1) // step, (width + step - 1) // step), np.float32)
    padded = np.empty(width + 2 * _TAPS, np.float32)
    blurred = np.empty(width, np.float32)
    line = padded[_TAPS : _TAPS + width]
    b0, b1, b2, b3, b4, b5, b6, b7 = bell
    for i in range(len(out)):
        y = i * step
        own, above, below = plane[y], plane[max(y - 1, 0)], plane[min(y + 1, height - 1)]
        for x in range(width):
            line[x] = b0 * own[x] + b1 * (above[x] + below[x])
        for k in range(2, _TAPS, 2):
            one, other = bell[k], bell[k + 1]
            above, below = plane[max(y - k, 0)], plane[min(y + k, height - 1)]
            higher, lower = plane[max(y - k - 1, 0)], plane[min(y + k + 1, height - 1)]
            for x in range(width):
                line[x] += one * (above[x] + below[x]) + other * (higher[x] + lower[x])
        padded[:_TAPS] = line[0]
        padded[_TAPS + width :] = line[width - 1]
        for x in range(width):
            blurred[x] = (
                b0 * padded[x + 7]
                + b1 * (padded[x + 6] + padded[x + 8])
                + b2 * (padded[x + 5] + padded[x + 9])
                + b3 * (padded[x + 4] + padded[x + 10])
                + b4 * (padded[x + 3] + padded[x + 11])
                + b5 * (padded[x + 2] + padded[x + 12])
                + b6 * (padded[x + 1] + padded[x + 13])
                + b7 * (padded[x] + padded[x + 14])
            )
        out[i] = blurred[::step]
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
def _largest(response, y, x):  # type: ignore[no-untyped-def]
    """Whether nothing within two pixels is larger."""
    value = response[y, x]
    for i in range(y - 2, y + 3):
        for j in range(x - 2, x + 3):
            if response[i, j] > value:
                return False
    return True


@kernel
def _maxima(below, own, above, number, shape, inside, found, count):  # type: ignore[no-untyped-def]
    """Adds what is largest of all around it, also at the next finer scale and the next coarser."""
    octave = number // 2
    size = 2**octave
    sigma = _SIGMA * _STEP**number
    height, width = own.shape
    least = np.float32(_LEAST_RESPONSE)
    # Most places have a larger neighbour: they are left out many at once.
    candidate = np.zeros(width, np.bool_)
    for y in range(2, height - 2):
        before, at, after = own[y - 1], own[y], own[y + 1]
        for x in range(2, width - 2):
            around = max(at[x - 1], at[x + 1], before[x], after[x])
            candidate[x] = (at[x] > least) & (at[x] >= around)
        for x in range(2, width - 2):
            if not candidate[x] or not _largest(own, y, x):
                continue
            value = own[y, x]
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
            room = inside * scale
            if not (room <= column <= shape[1] - 1 - room and room <= row <= shape[0] - 1 - room):
                continue
            found[count, 0], found[count, 1] = column, row
            found[count, 2], found[count, 3] = scale, value
            count += 1
    return count
