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

from hashmatch.engine.kernels import kernel

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
    candidates = np.empty((_MOST_CANDIDATES, 4), np.float32)
    count = _candidates(plane, _bell(_SIGMA), _bell(_SIGMA * _STEP), inside, candidates)
    height, width = plane.shape
    rows, columns = (max(1, round(_CELLS * side / max(height, width))) for side in (height, width))
    share = math.ceil(most / (rows * columns))
    strongest = _strongest_first(candidates[:count])
    chosen: _Floats = _spread(strongest, height, width, rows, columns, share)[:most]
    return chosen


def _strongest_first(candidates: _Floats) -> _Floats:
    """In the order of how pronounced they are, else as they came. Values are above nothing, so
    their bits are in the order of unsigned integers.
    """
    bits = np.ascontiguousarray(candidates[:, 3]).view(np.uint32)
    keys = (~bits).astype(np.uint64) << np.uint64(32) | np.arange(len(bits), dtype=np.uint64)
    keys.sort()
    ordered: _Floats = candidates[(keys & np.uint64(0xFFFFFFFF)).astype(np.int64)]
    return ordered


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
    rows, columns = len(rows_at), columns_at.shape[1]
    out = np.empty((rows, columns), np.float32)
    line = np.empty(plane.shape[1], np.float32)
    for i in range(rows):
        _rows_joined(plane, rows_at[i], row_weights[i], line)
        _columns_joined(line, columns_at, column_weights, out[i])
    return out


@kernel
def _rows_joined(plane, places, weights, out):  # type: ignore[no-untyped-def]
    """A sum of rows; two of them at a time, added in their order."""
    last = len(places) - 1
    for k in range(0, len(places), 2):
        one, row = weights[k], plane[places[k]]
        # Nothing of the same row, where there is no other.
        other = weights[k + 1] if k < last else np.float32(0)
        next_row = plane[places[min(k + 1, last)]]
        if k == 0:
            for x in range(len(out)):
                out[x] = one * np.float32(row[x]) + other * np.float32(next_row[x])
        elif one or other:
            for x in range(len(out)):
                total = out[x] + one * np.float32(row[x])
                out[x] = total + other * np.float32(next_row[x])


@kernel
def _columns_joined(line, places, weights, out):  # type: ignore[no-untyped-def]
    """Of each place a sum of some of a line; two of them at a time, added in their order."""
    count = len(places)
    first, own = places[0], weights[0]
    for j in range(len(out)):
        out[j] = own[j] * line[first[j]]
    for k in range(1, count - 1, 2):
        one, other = places[k], places[k + 1]
        own, next_to = weights[k], weights[k + 1]
        for j in range(len(out)):
            total = out[j] + own[j] * line[one[j]]
            out[j] = total + next_to[j] * line[other[j]]
    if count % 2 == 0:
        one, own = places[count - 1], weights[count - 1]
        for j in range(len(out)):
            out[j] += own[j] * line[one[j]]


@kernel
def _candidates(plane, bell, wider, inside, found):  # type: ignore[no-untyped-def]
    """Writes the largest values of all places and scales to ``found``: column, row, scale and
    value. Returns how many there are.

    Variances add up: blurred once more by its own sigma, a plane is a step coarser. Of the finest
    scale values are only made where they are looked at.
    """
    fine, coarse = np.float32(_SIGMA**4), np.float32((_SIGMA * _STEP) ** 4)
    count = 0
    own = _blurred(plane, bell)
    coarser = _blurred(own, bell)
    below, at = own, _responses(coarser, coarse)
    for octave in range(1, _OCTAVES):
        finest = fine if octave == 1 else np.float32(0)
        own = _halved(coarser, wider)
        above = _responses(own, fine)
        number = 2 * octave - 1
        count = _maxima(below, finest, at, above, number, plane.shape, inside, found, count)
        coarser = _blurred(own, bell)
        below, at, above = at, above, _responses(coarser, coarse)
        none = np.float32(0)
        count = _maxima(below, none, at, above, number + 1, plane.shape, inside, found, count)
        below, at = at, above
    return count


@kernel
def _down(plane, bell, y, line):  # type: ignore[no-untyped-def]
    """One row of a plane blurred by column, its edges repeated.

    Rows are taken two pairs at a time: so it is done many pixels at once.
    """
    last, width = plane.shape[0] - 1, plane.shape[1]
    own, above, below = plane[y], plane[max(y - 1, 0)], plane[min(y + 1, last)]
    middle, next_to = bell[0], bell[1]
    for x in range(width):
        line[x] = middle * own[x] + next_to * (above[x] + below[x])
    for k in range(2, _TAPS, 2):
        one, other = bell[k], bell[k + 1]
        above, below = plane[max(y - k, 0)], plane[min(y + k, last)]
        higher, lower = plane[max(y - k - 1, 0)], plane[min(y + k + 1, last)]
        for x in range(width):
            line[x] += one * (above[x] + below[x]) + other * (higher[x] + lower[x])


@kernel
def _blurred(plane, bell):  # type: ignore[no-untyped-def]
    """By a Gaussian, its edges repeated. Taps are written out, see `_down`."""
    height, width = plane.shape
    out = np.empty((height, width), np.float32)
    padded = np.empty(width + 2 * _TAPS, np.float32)
    line = padded[_TAPS : _TAPS + width]
    b0, b1, b2, b3, b4, b5, b6, b7 = bell
    for y in range(height):
        _down(plane, bell, y, line)
        padded[:_TAPS] = line[0]
        padded[_TAPS + width :] = line[width - 1]
        made = out[y]
        for x in range(width):
            made[x] = (
                b0 * padded[x + 7]
                + b1 * (padded[x + 6] + padded[x + 8])
                + b2 * (padded[x + 5] + padded[x + 9])
                + b3 * (padded[x + 4] + padded[x + 10])
                + b4 * (padded[x + 3] + padded[x + 11])
                + b5 * (padded[x + 2] + padded[x + 12])
                + b6 * (padded[x + 1] + padded[x + 13])
                + b7 * (padded[x] + padded[x + 14])
            )
    return out


@kernel
def _halved(plane, bell):  # type: ignore[no-untyped-def]
    """Every second row and column of what `_blurred` gives."""
    height, width = plane.shape
    rows, columns = (height + 1) // 2, (width + 1) // 2
    out = np.empty((rows, columns), np.float32)
    padded = np.empty(2 * (columns + _TAPS), np.float32)
    even, odd = np.empty((2, columns + _TAPS), np.float32)
    line = padded[_TAPS : _TAPS + width]
    b0, b1, b2, b3, b4, b5, b6, b7 = bell
    for i in range(rows):
        _down(plane, bell, 2 * i, line)
        padded[:_TAPS] = line[0]
        padded[_TAPS + width :] = line[width - 1]
        for x in range(columns + _TAPS):
            even[x] = padded[2 * x]
            odd[x] = padded[2 * x + 1]
        made = out[i]
        for x in range(columns):
            made[x] = (
                b0 * odd[x + 3]
                + b1 * (even[x + 3] + even[x + 4])
                + b2 * (odd[x + 2] + odd[x + 4])
                + b3 * (even[x + 2] + even[x + 5])
                + b4 * (odd[x + 1] + odd[x + 5])
                + b5 * (even[x + 1] + even[x + 6])
                + b6 * (odd[x] + odd[x + 6])
                + b7 * (even[x] + even[x + 7])
            )
    return out


@kernel
def _response(above, own, below, x, norm):  # type: ignore[no-untyped-def]
    """The determinant of the Hessian in the middle of three rows, one to the right of ``x``; times
    ``norm``, the fourth power of the scale: so it is comparable with others.
    """
    twice = own[x + 1] + own[x + 1]
    xx = own[x] - twice + own[x + 2]
    yy = above[x + 1] - twice + below[x + 1]
    xy = np.float32(0.25) * (below[x + 2] - below[x] - above[x + 2] + above[x])
    return norm * (xx * yy - xy * xy)


@kernel
def _responses(plane, norm):  # type: ignore[no-untyped-def]
    """Of each place. The outermost pixels have none."""
    height, width = plane.shape
    out = np.zeros((height, width), np.float32)
    for y in range(1, height - 1):
        above, own, below, made = plane[y - 1], plane[y], plane[y + 1], out[y, 1:]
        for x in range(width - 2):
            made[x] = _response(above, own, below, x, norm)
    return out


@kernel
def _peak(before, own, after):  # type: ignore[no-untyped-def]
    """Where between -0.5 and 0.5 the parabola through three values has its vertex."""
    curve = before - own - own + after
    if curve >= 0:
        return np.float32(0)
    return min(np.float32(0.5), max(np.float32(-0.5), np.float32(0.5) * (before - after) / curve))


@kernel
def _most_near(values, norm, y, x):  # type: ignore[no-untyped-def]
    """The largest response at a place and around it, at least nothing. ``values`` are responses;
    where ``norm`` is above nothing, they are what responses are made of.
    """
    height, width = values.shape
    largest = np.float32(0)
    if norm:
        for i in range(max(1, y - 1), min(height - 1, y + 2)):
            above, own, below = values[i - 1], values[i], values[i + 1]
            for j in range(max(0, x - 2), min(width - 2, x + 1)):
                largest = max(largest, _response(above, own, below, j, norm))
    else:
        for i in range(max(0, y - 1), min(height, y + 2)):
            for j in range(max(0, x - 1), min(width, x + 2)):
                largest = max(largest, values[i, j])
    return largest


@kernel
def _larger(one, other):  # type: ignore[no-untyped-def]
    return one if one > other else other


@kernel
def _mark(own, y, most, marks):  # type: ignore[no-untyped-def]
    """Marks the places of a row that have nothing larger within two pixels, 1 or 0 each. The first
    mark is of the third place.
    """
    least = np.float32(_LEAST_RESPONSE)
    higher, above, at, below, lower = own[y - 2], own[y - 1], own[y], own[y + 1], own[y + 2]
    for x in range(len(at)):
        pairs = _larger(_larger(higher[x], lower[x]), _larger(above[x], below[x]))
        most[x] = _larger(pairs, at[x])
    # Indices that might be below nothing would be looked up one by one.
    for x in range(len(at) - 4):
        pairs = _larger(_larger(most[x], most[x + 4]), _larger(most[x + 1], most[x + 3]))
        value = at[x + 2]
        marks[x] = (value > least) & (value >= _larger(pairs, most[x + 2]))


@kernel
def _maxima(below, norm, own, above, number, shape, inside, found, count):  # type: ignore[no-untyped-def]
    """Adds what is largest of all around it, also at the next finer scale and the next coarser.
    ``norm`` is that of ``below``, see `_most_near`. Two scales are of one size; the next is of half
    of it.
    """
    size = 2 ** (number // 2)
    sigma = _SIGMA * _STEP**number
    height, width = own.shape
    most = np.empty(width, np.float32)
    # Most places have a larger neighbour: they are left out eight at once.
    marks = np.zeros((width + 7) // 8 * 8, np.uint8)
    eight = marks.view(np.uint64)
    for y in range(2, height - 2):
        _mark(own, y, most, marks)
        for word in range(len(eight)):
            if not eight[word]:
                continue
            for place in range(8 * word, 8 * word + 8):
                if not marks[place]:
                    continue
                x = place + 2
                value = own[y, x]
                if number % 2:
                    below_y, below_x, above_y, above_x = y, x, y // 2, x // 2
                else:
                    below_y = min(2 * y, below.shape[0] - 1)
                    below_x = min(2 * x, below.shape[1] - 1)
                    above_y, above_x = y, x
                if above[above_y, above_x] > value or count == len(found):
                    continue
                coarser = _most_near(above, np.float32(0), above_y, above_x)
                if coarser > value:
                    continue
                finer = _most_near(below, norm, below_y, below_x)
                if finer > value:
                    continue
                column = (x + _peak(own[y, x - 1], value, own[y, x + 1])) * size
                row = (y + _peak(own[y - 1, x], value, own[y + 1, x])) * size
                scale = sigma * _STEP ** _peak(finer, value, coarser)
                room = inside * scale
                if not (
                    room <= column <= shape[1] - 1 - room and room <= row <= shape[0] - 1 - room
                ):
                    continue
                found[count, 0], found[count, 1] = column, row
                found[count, 2], found[count, 3] = scale, value
                count += 1
    return count


@kernel
def _spread(strongest, height, width, rows, columns, share):  # type: ignore[no-untyped-def]
    """Of what lies in ``rows`` times ``columns`` cells first the ``share`` first of each, then the
    next of each, and so on; without their values.
    """
    down, across = np.float32(rows / height), np.float32(columns / width)
    before = np.zeros(rows * columns, np.int64)
    rounds = np.empty(len(strongest), np.int64)
    starts = np.zeros(len(strongest) + 2, np.int64)
    for n in range(len(strongest)):
        row = min(rows - 1, np.int64(strongest[n, 1] * down))
        column = min(columns - 1, np.int64(strongest[n, 0] * across))
        cell = row * columns + column
        rounds[n] = before[cell] // share
        before[cell] += 1
        starts[rounds[n] + 1] += 1
    for turn in range(1, len(starts)):
        starts[turn] += starts[turn - 1]
    out = np.empty((len(strongest), 3), np.float32)
    for n in range(len(strongest)):
        out[starts[rounds[n]]] = strongest[n, :3]
        starts[rounds[n]] += 1
    return out
