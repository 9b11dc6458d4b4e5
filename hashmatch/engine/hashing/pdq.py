"""PDQ, the 256-bit perceptual hash, from luma planes, in batches.

The algorithm is the one of "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing
Algorithm" (Facebook, 2019), written as the matrix products it is made of. For a plane ``Y``:

1. ``G = A_h @ Y @ A_w.T``: two passes of a box filter ("Jarosz filter"), of which only 64 x 64
   centres are kept. Both steps are linear and separable, so each axis is one banded matrix.
2. ``C = D @ G @ D.T``: the rows 1 to 16 of a 64-point DCT (row 0, the mean, is left out).
3. A bit is set where ``C`` exceeds its median (the 128th smallest of the 256).

Turning or mirroring a frame only transposes ``C`` and flips signs in it, so all eight come from
one transform.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.hashing.rows import row_product
from hashmatch.engine.kernels import kernel

__all__ = [
    "BITS",
    "DIGEST_BYTES",
    "MIN_QUALITY",
    "SIDE",
    "TURNS",
    "checked",
    "digest",
    "dihedral",
    "of_grids",
    "of_reduced",
    "reduced",
    "transform",
    "warm_up",
]

BITS: Final = 256
DIGEST_BYTES: Final = BITS // 8

# Hashes below this quality (of 0 to 100) are too flat to tell frames apart.
# Source: recommended by the reference implementation (ThreatExchange, pdq/README.md) and vPDQ.
MIN_QUALITY: Final = 50

# The frame is reduced to SIDE x SIDE before the DCT, which keeps FREQUENCIES x FREQUENCIES.
# Source: the reference implementation, pdqhashing.cpp.
SIDE: Final = 64
FREQUENCIES: Final = 16

# Rows of the grid that are made together.
_LINES: Final = 4

# Bytes that a processor fetches together.
_CACHE_LINE: Final = 64

# Planes with a shorter side say nothing: digest and quality are 0. Source: as above.
_MIN_SIDE: Final = 5

# Width of the box: one part in 2 * SIDE of the axis, rounded up. Source: as above.
_BOXES_PER_AXIS: Final = 2 * SIDE

# Gradients are summed in steps of 1/100 of the luma range and scaled so that 100 is "rich".
# Source: as above (an empirical scale of the authors).
_QUALITY_DIVISOR: Final = 90

# The order in which `dihedral` returns the turns and mirrors of a frame. Each names what was
# done to the *hashed* frame: row k is the digest of the frame after TURNS[k]. Rotations are
# counter-clockwise, as numpy.rot90 turns.
TURNS: Final = (
    "none",
    "rotate_90",
    "rotate_180",
    "rotate_270",
    "flip_vertical",
    "flip_horizontal",
    "transpose",
    "anti_transpose",
)

_Luma = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


def digest(
    luma: _Luma, *, gain: float = 1.0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """PDQ digests of a batch of luma planes.

    ``luma`` is uint8 or float32 ``[n, h, w]`` with values in 0 to 255; rows may be strided (a
    decoder's padded plane), pixels of a row must lie side by side. ``gain`` is what luma must be
    multiplied by to span 0 to 255: 255/219 for the limited range of most video. Digests do not
    depend on it, quality does.

    Returns ``(digests uint8[n, 32], quality uint8[n])``; quality is 0 to 100. The first bit of
    the first byte is the highest frequency pair, as the reference prints it. Both are 0 for
    planes with a side below 5 pixels.

    Raises ``ValueError`` for an array of another shape or dtype, or without pixels.
    """
    digests, quality = dihedral(luma, gain=gain, turns=1)
    return digests[:, 0], quality


def reduced(luma: _Luma) -> npt.NDArray[np.float32]:
    """Luma planes reduced to the grid that a digest is made of; every pixel has its share.

    Takes what `digest` takes. Returns float32 ``[n, 64, 64]``, values in the range of ``luma``; all
    0 for planes with a side below 5 pixels. Nearly all of a digest's cost is this step.
    """
    luma = checked(luma)
    height, width = luma.shape[1:]
    grids = np.zeros((len(luma), SIDE, SIDE), np.float32)
    if min(height, width) >= _MIN_SIDE:
        _reduce_batch(luma, *_bands(height), *_bands(width), grids)
    return grids


def of_reduced(
    grids: npt.NDArray[np.float32], *, gain: float = 1.0, turns: int = len(TURNS)
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """What `dihedral` returns, of planes that `reduced` has reduced: float32 ``[n, 64, 64]``."""
    digests = np.zeros((len(grids), turns, DIGEST_BYTES), np.uint8)
    quality = np.zeros(len(grids), np.uint8)
    _hash_batch(grids, np.float32(gain), _dct(), digests, quality)
    return digests, quality


def dihedral(
    luma: _Luma, *, gain: float = 1.0, turns: int = len(TURNS)
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """PDQ digests of every turn and mirror of a batch of luma planes, from one transform each.

    Takes what `digest` takes. Returns ``(digests uint8[n, turns, 32], quality uint8[n])`` for the
    first ``turns`` of `TURNS`.
    """
    return of_reduced(reduced(luma), gain=gain, turns=turns)


def of_grids(
    grids: npt.NDArray[np.float32], turns: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Digests of what was reduced to a grid elsewhere, and how alike its rows are.

    ``grids`` float32 ``[n, side, side]``, ``side`` a multiple of 4, `FREQUENCIES` and more;
    ``turns`` int64 ``[t]``, indices of `TURNS`. Returns ``(digests uint8[n, t, 32], alike
    float32[n])``. ``alike`` is 1 where the transform is one row times one column, as it is of edges
    and corners, and a quarter and more.
    """
    digests = np.zeros((len(grids), len(turns), DIGEST_BYTES), np.uint8)
    alike = np.empty(len(grids), np.float32)
    _hash_grids(grids, turns, _dct(grids.shape[1]), digests, alike)
    return digests, alike


def transform(grid: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The 16 x 16 frequencies of one grid that `reduced` gave, float32; slower than in a hash."""
    rows, columns = _dct()
    return np.asarray(rows @ grid @ columns, np.float32)


def warm_up() -> None:
    """Compiles the kernels, or loads them, for every sort of plane that they take."""
    for dtype in (np.uint8, np.float32):
        padded = np.zeros((1, _MIN_SIDE, _MIN_SIDE + 1), dtype)
        for luma in (padded, padded[:, :, :_MIN_SIDE]):
            dihedral(luma)


def checked(luma: _Luma) -> _Luma:
    """As kernels take it: pixels of a row side by side, and not to be written to.

    Raises ``ValueError`` for an array of another shape or dtype, or without pixels.
    """
    if luma.ndim != 3 or luma.dtype not in (np.uint8, np.float32) or 0 in luma.shape[1:]:
        raise ValueError(
            f"luma is {luma.dtype} of shape {luma.shape}; uint8 or float32 [n, h, w] with at "
            "least one pixel is needed"
        )
    if luma.strides[2] != luma.itemsize:
        luma = luma.copy(order="C")
    luma = luma.view()
    luma.flags.writeable = False  # A kernel is compiled once for each sort of array.
    return luma


# Every box within a border has a size of its own. Some kilobytes each.
@functools.lru_cache(maxsize=1024)
def _bands(length: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The banded matrix ``A`` of one axis: ``(first int64[64], weights float32[64, band])``.

    ``A[i, first[i] + k] = weights[i, k]``. Row ``i`` is the row of two box passes at the centre
    of the i-th of 64 equal parts. A box at ``x`` covers ``[x + lead - size, x + lead)`` cut off
    at both ends, and divides by what is left of it.
    """
    size = -(-length // _BOXES_PER_AXIS)
    first = np.empty(SIDE, np.int64)
    weights = np.zeros((SIDE, min(length, 2 * size)), np.float64)
    _fill_bands(length, size, (size + 2) // 2, first, weights)
    return first, weights.astype(np.float32)


@kernel
def _fill_bands(length, size, lead, first, weights):  # type: ignore[no-untyped-def]
    for i in range(len(first)):
        centre = int((i + 0.5) * length / len(first))
        begin, end = max(0, centre + lead - size), min(length, centre + lead)
        # Rows near the end have shorter bands: shift them so that every band stays inside.
        first[i] = min(max(0, begin + lead - size), length - weights.shape[1])
        for x in range(begin, end):
            start, stop = max(0, x + lead - size), min(length, x + lead)
            share = 1 / ((end - begin) * (stop - start))
            for at in range(start - first[i], stop - first[i]):
                weights[i, at] += share


@functools.lru_cache(maxsize=4)
def _dct(side: int = SIDE) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Rows 1 to 16 of the orthonormal DCT-II, float32 ``[16, side]``, and as columns."""
    i = np.arange(1, FREQUENCIES + 1)[:, None]
    j = np.arange(side)[None, :]
    rows = math.sqrt(2 / side) * np.cos(math.pi / (2 * side) * i * (2 * j + 1))
    single = np.asarray(rows, np.float32)
    return single, np.ascontiguousarray(single.T)


@kernel
def _reduce_batch(luma, row_first, row_weights, col_first, col_weights, grids):  # type: ignore[no-untyped-def]
    frames, _, width = luma.shape
    lines = np.empty((_LINES, width), np.float32)
    fetched = np.empty(1, np.int64)
    for n in range(frames):
        _reduce(luma[n], row_first, row_weights, col_first, col_weights, lines, fetched, grids[n])


@kernel
def _hash_batch(grids, gain, dct, out, quality):  # type: ignore[no-untyped-def]
    half = np.empty((FREQUENCIES, SIDE), np.float32)
    transform = np.empty((FREQUENCIES, FREQUENCIES), np.float32)
    for n in range(len(grids)):
        quality[n] = _quality(grids[n], gain)
        _transform(grids[n], dct, half, transform)
        for turn in range(out.shape[1]):
            _threshold(transform, turn, out[n, turn])


@kernel
def _hash_grids(grids, turns, dct, out, alike):  # type: ignore[no-untyped-def]
    half = np.empty((FREQUENCIES, grids.shape[1]), np.float32)
    transform = np.empty((FREQUENCIES, FREQUENCIES), np.float32)
    for n in range(len(grids)):
        _transform(grids[n], dct, half, transform)
        alike[n] = _alike(transform)
        for t in range(len(turns)):
            _threshold(transform, turns[t], out[n, t])


@kernel
def _alike(transform):  # type: ignore[no-untyped-def]
    """The root of the sum of the singular values' fourth powers, over the sum of their squares."""
    product = np.zeros((FREQUENCIES, FREQUENCIES), np.float32)
    # The innermost loop goes along rows, so that several numbers are added at once.
    for k in range(0, FREQUENCIES, 4):
        for i in range(FREQUENCIES):
            one, two = transform[i, k], transform[i, k + 1]
            three, four = transform[i, k + 2], transform[i, k + 3]
            for j in range(FREQUENCIES):
                total = product[i, j] + one * transform[j, k] + two * transform[j, k + 1]
                product[i, j] = total + three * transform[j, k + 2] + four * transform[j, k + 3]
    energy, squared = np.float32(0), np.float32(0)
    for i in range(FREQUENCIES):
        energy += product[i, i]
        for j in range(FREQUENCIES):
            squared += product[i, j] * product[i, j]
    return np.sqrt(squared) / energy if energy > 0 else np.float32(1)


@kernel
def _reduce(plane, row_first, row_weights, col_first, col_weights, lines, fetched, grid):  # type: ignore[no-untyped-def]
    """``grid = A_h @ plane @ A_w.T``, rows first: each plane row is read about once.

    Four lines at a time, so that their sums do not wait for each other, and two rows at a time,
    so that a line is loaded and kept half as often; the order of all sums is as if one by one.
    """
    band = row_weights.shape[1]
    for top in range(0, SIDE, _LINES):
        _fetch(plane, row_first[top], row_first[top + _LINES - 1] + band, fetched)
        lines[:] = 0
        for r in range(_LINES):
            line = lines[r]
            start = row_first[top + r]
            for k in range(0, band - 1, 2):
                weight, next_weight = row_weights[top + r, k], row_weights[top + r, k + 1]
                row, next_row = plane[start + k], plane[start + k + 1]
                for x in range(line.shape[0]):
                    total = line[x] + weight * np.float32(row[x])
                    line[x] = total + next_weight * np.float32(next_row[x])
            if band % 2:
                weight = row_weights[top + r, band - 1]
                row = plane[start + band - 1]
                for x in range(line.shape[0]):
                    line[x] += weight * np.float32(row[x])
        for j in range(SIDE):
            first = col_first[j]
            one = two = three = four = np.float32(0)
            for k in range(col_weights.shape[1]):
                weight = col_weights[j, k]
                one += weight * lines[0, first + k]
                two += weight * lines[1, first + k]
                three += weight * lines[2, first + k]
                four += weight * lines[3, first + k]
            grid[top, j], grid[top + 1, j] = one, two
            grid[top + 2, j], grid[top + 3, j] = three, four


@kernel
def _fetch(plane, first_row, end_row, fetched):  # type: ignore[no-untyped-def]
    """Brings rows into the cache. A decoder has written much since it wrote them: where the sums
    would wait for one line after the other, a third of a digest's time is spent waiting.
    """
    total = 0
    for y in range(first_row, end_row):
        row = plane[y]
        for x in range(0, row.shape[0], _CACHE_LINE // row.itemsize):
            total += int(row[x])
    fetched[0] = total  # Else none of it would be compiled.


@kernel
def _quality(grid, gain):  # type: ignore[no-untyped-def]
    total = 0
    step = np.float32(gain * np.float32(100))
    for i in range(SIDE):
        for j in range(SIDE):
            if i + 1 < SIDE:
                total += abs(int((grid[i, j] - grid[i + 1, j]) * step / np.float32(255)))
            if j + 1 < SIDE:
                total += abs(int((grid[i, j] - grid[i, j + 1]) * step / np.float32(255)))
    return min(100, total // _QUALITY_DIVISOR)


_WHOLE_ROWS, _WHOLE_COLUMNS = row_product(SIDE, SIDE), row_product(SIDE, FREQUENCIES)
_HALF_ROWS = row_product(2 * FREQUENCIES, 2 * FREQUENCIES)
_HALF_COLUMNS = row_product(2 * FREQUENCIES, FREQUENCIES)


@kernel
def _transform(grid, dct, half, transform):  # type: ignore[no-untyped-def]
    """``transform = D @ grid @ D.T``; ``dct`` is (D, D.T)."""
    rows, columns = dct
    if len(grid) == SIDE:
        for i in range(FREQUENCIES):
            _WHOLE_ROWS(rows, grid, half, i)
        for i in range(FREQUENCIES):
            _WHOLE_COLUMNS(half, columns, transform, i)
    elif len(grid) == 2 * FREQUENCIES:
        for i in range(FREQUENCIES):
            _HALF_ROWS(rows, grid, half, i)
        for i in range(FREQUENCIES):
            _HALF_COLUMNS(half, columns, transform, i)
    else:
        half[:] = 0
        transform[:] = 0
        for i in range(FREQUENCIES):
            _add_product(rows[i], grid, half[i])
            _add_product(half[i], columns, transform[i])


@kernel
def _add_product(weights, matrix, line):  # type: ignore[no-untyped-def]
    """``line += weights @ matrix``; four rows at a time, added in their order."""
    for k in range(0, weights.shape[0], 4):
        one, two, three, four = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        for j in range(line.shape[0]):
            total = line[j] + one * matrix[k, j]
            total += two * matrix[k + 1, j]
            total += three * matrix[k + 2, j]
            line[j] = total + four * matrix[k + 3, j]


@kernel
def _turned(transform, turn, i, j):  # type: ignore[no-untyped-def]
    """Element ``[i, j]`` of the DCT of the frame after ``TURNS[turn]``.

    Mirroring an axis negates its odd frequencies. Index 0 stands for frequency 1, so those are
    the even indices.
    """
    if turn == 0:
        return transform[i, j]
    odd_row, odd_column = i % 2 == 0, j % 2 == 0
    if turn == 1:
        value, negate = transform[j, i], odd_row
    elif turn == 2:
        value, negate = transform[i, j], odd_row != odd_column
    elif turn == 3:
        value, negate = transform[j, i], odd_column
    elif turn == 4:
        value, negate = transform[i, j], odd_row
    elif turn == 5:
        value, negate = transform[i, j], odd_column
    elif turn == 6:
        value, negate = transform[j, i], False
    else:
        value, negate = transform[j, i], odd_row != odd_column
    return -value if negate else value


@kernel
def _at_place(keys, place):  # type: ignore[no-untyped-def]
    """The key that would stand at ``place`` if ``keys`` were sorted: the largest number that so few
    are below, bit by bit. Counts without a branch: a selection by parts took most of the time of a
    digest.
    """
    largest = np.uint32(0)
    for bit in range(31, -1, -1):
        trial = largest | np.uint32(1 << bit)
        below = np.int32(0)
        for i in range(BITS):
            below += np.int32(keys[i] < trial)
        if below <= place:
            largest = trial
    return largest


@kernel
def _threshold(transform, turn, out):  # type: ignore[no-untyped-def]
    values = np.empty(BITS, np.float32)
    for i in range(FREQUENCIES):
        for j in range(FREQUENCIES):
            # Plus zero: negative zero is as large as zero.
            values[i * FREQUENCIES + j] = _turned(transform, turn, i, j) + np.float32(0)
    # IEEE 754 numbers in the order of unsigned integers.
    keys = values.view(np.uint32)
    for i in range(BITS):
        keys[i] ^= np.uint32(0xFFFFFFFF) if keys[i] >> 31 else np.uint32(0x80000000)
    median = _at_place(keys, BITS // 2 - 1)
    for byte in range(DIGEST_BYTES):
        eight = np.uint32(0)
        for bit in range(8):
            eight |= np.uint32(keys[8 * byte + bit] > median) << np.uint32(bit)
        # The first coefficient is the last bit of the digest.
        out[DIGEST_BYTES - 1 - byte] = eight
