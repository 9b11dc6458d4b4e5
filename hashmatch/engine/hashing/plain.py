"""Whether a plane shows anything at all: one colour, also one that fades into another, does not,
nor do bars, and a handful of pixels.

No shape that a person can make out on a screen must be called plain. A step of one level of 255 is
about the least that is seen (1.7 % of the light of a middle grey); so a plane is plain only if no
part of it is further than that from a smooth surface, or from one line over and over, and its grain
is fine and faint everywhere: grain that is stronger here than there draws a picture too.

Of bars a hash says nothing at all: PDQ leaves out the frequencies that are of one axis alone.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.hashing import pdq

__all__ = ["is_plain", "may_be_plain"]

# Levels of 255 that a part of the frame, as large as PDQ looks at, may be from the surface. Red,
# green and blue may be somewhat more while the luma is not: encoders keep them less exactly, a step
# of one level of their chroma is two.
_OFF: Final = 1.0
_COLOUR_OFF: Final = 2.5

# Single pixels: the root of the mean square in each part, and the farthest of all.
_GRAIN: Final = 2.0
_FARTHEST: Final = 9.0

# Red, green and blue take the grain of three planes.
_COLOUR_GRAIN: Final = 4.0
_COLOUR_FARTHEST: Final = 18.0

_LEAST_SIDE: Final = 5  # Below, `pdq.reduced` says nothing.

_Plane = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
_Floats = npt.NDArray[np.float32]


def is_plain(luma: _Plane, gain: float, colours: Sequence[_Plane]) -> bool:
    """True if nobody sees anything in a frame but a colour, one that fades, bars, or a handful of
    pixels.

    ``luma`` ``[h, w]`` times ``gain`` spans 0 to 255. ``colours`` are the red, green and blue that
    it was made of, each ``[h, w]`` of any size, 0 to 255; the frame is not plain if there are none.
    """
    if not colours:
        return False
    if max(luma.shape) < _LEAST_SIDE:
        return True
    return any(
        is_so(luma, gain, _OFF, _GRAIN, _FARTHEST)
        and all(is_so(each, 1.0, _COLOUR_OFF, _COLOUR_GRAIN, _COLOUR_FARTHEST) for each in colours)
        for is_so in (_is_smooth, _are_alike, _are_alike_across)
    )


def may_be_plain(grid: _Floats) -> bool:
    """False if a frame cannot be plain, by its luma as PDQ reduces it, float32 ``[64, 64]``, 0 to
    255; costs next to nothing.
    """
    return any(
        (
            _is_near(grid, _weights(grid), _OFF),
            *(np.abs(grid - grid.mean(axis, keepdims=True)).max() <= _OFF for axis in (0, 1)),
        )
    )


def _weights(grid: _Floats) -> _Floats:
    weights: _Floats = _surface()[0] @ grid.reshape(-1)
    return weights


def _is_near(grid: _Floats, weights: _Floats, off: float) -> bool:
    return bool(np.abs(grid.reshape(-1) - _surface()[1] @ weights).max() <= off)


def _is_smooth(plane: _Plane, gain: float, off: float, grain: float, farthest: float) -> bool:
    low, high = float(plane.min()), float(plane.max())
    if (high - low) * gain <= off:
        return True
    if min(plane.shape) < _LEAST_SIDE:
        return False
    grid = pdq.reduced(plane.astype(np.float32)[None])[0] * np.float32(gain)
    weights = _weights(grid)
    if not _is_near(grid, weights, off):
        return False
    from_surface = plane.astype(np.float32) * np.float32(gain) - _drawn(weights, plane.shape)
    return _is_grain(from_surface, grain, farthest)


def _are_alike(
    plane: _Plane, gain: float, off: float, grain: float, farthest: float, axis: int = 0
) -> bool:
    """True if all rows of a plane show the same; with ``axis`` 1 all columns."""
    levels = plane.astype(np.float32) * np.float32(gain)
    from_mean = levels - levels.mean(axis, keepdims=True)
    if min(plane.shape) < _LEAST_SIDE:
        return bool(np.abs(from_mean).max() <= off)
    if np.abs(pdq.reduced(from_mean[None])).max() > off:
        return False
    return _is_grain(from_mean, grain, farthest)


def _are_alike_across(
    plane: _Plane, gain: float, off: float, grain: float, farthest: float
) -> bool:
    return _are_alike(plane, gain, off, grain, farthest, axis=1)


def _is_grain(levels: _Floats, grain: float, farthest: float) -> bool:
    """True if what is left of a plane draws nothing."""
    if np.abs(levels).max() > farthest:
        return False
    squares = pdq.reduced(np.square(levels)[None])[0]
    return bool(squares.max() <= grain * grain)


@functools.cache
def _surface() -> tuple[_Floats, _Floats]:
    """What fits a surface of the second order to a grid: its weights from the grid's values,
    float32 ``[6, 4096]``, and the values from the weights.
    """
    at = _axis(pdq.SIDE)
    across, down = np.meshgrid(at, at)
    ones = np.ones_like(across)
    terms = np.stack([ones, across, down, across**2, down**2, across * down], axis=-1)
    flat = terms.reshape(-1, terms.shape[-1])
    return np.linalg.pinv(flat).astype(np.float32), flat.astype(np.float32)


def _drawn(weights: _Floats, shape: tuple[int, ...]) -> _Floats:
    """The surface at each pixel of a plane."""
    down, across = (_axis(length) for length in shape)
    level, right, below, right2, below2, both = (float(each) for each in weights)
    row = level + right * across + right2 * across**2
    column = below * down + below2 * down**2
    drawn: npt.NDArray[Any] = row[None] + column[:, None] + both * np.outer(down, across)
    return drawn.astype(np.float32)


def _axis(length: int) -> npt.NDArray[np.float64]:
    """The middles of so many equal parts of -1 to 1."""
    axis: npt.NDArray[np.float64] = (np.arange(length) + 0.5) * 2 / length - 1
    return axis
