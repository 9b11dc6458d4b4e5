"""Whether a plane shows anything at all: one colour, also one that fades into another, does not,
nor do bars, also some that cross, and a handful of pixels.

No shape that a person can make out on a screen must be called plain. A step of one level of 255 is
about the least that is seen (1.7 % of the light of a middle grey); so a plane is plain only if no
part of it is further than that from a surface, and its grain is fine and faint everywhere: grain
that is stronger here than there draws a picture too. A surface is any course along one axis plus
any along the other, plus one product of two of them, plus products of their powers up to the third.

Of courses alone a hash says nothing: PDQ leaves out the frequencies of one axis. One product of two
courses is a rectangle, a checkerboard, or a colour that fades behind a transparency that fades;
all its rows are alike but for their contrast, so it has no slant, no curve, and no letter but
those of bars. The powers up to the third are as many numbers as a picture of 4 x 4 pixels has.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Final

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

# Roundings of small pictures, one pixel or a few to a part, are up to twice as far off, if they are
# noise: means of four of them are half as strong (0.47 to 0.50 in gradients that were rounded
# twice). Of 129 photographs of 64 to 256 pixels in 1 % of their contrast none is below 0.56; of
# fewer pixels the means tell too little.
_ROUNDED: Final = 2.0
_OF_FOUR: Final = 1.1
_UNLIKE: Final = 0.52
_LEAST_PIXELS: Final = 2000

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
    return _is_surface(luma, gain, _OFF, _GRAIN, _FARTHEST) and all(
        _is_surface(each, 1.0, _COLOUR_OFF, _COLOUR_GRAIN, _COLOUR_FARTHEST) for each in colours
    )


def may_be_plain(grid: _Floats) -> bool:
    """False if a frame cannot be plain, by its luma as PDQ reduces it, float32 ``[64, 64]``, 0 to
    255; costs next to nothing.
    """
    return _is_near(_remains(_without_courses(grid)), _OFF)


def _is_surface(plane: _Plane, gain: float, off: float, grain: float, farthest: float) -> bool:
    left = _without_courses(plane.astype(np.float32) * np.float32(gain))
    if np.abs(left).max() <= off:
        return True
    if min(plane.shape) < _LEAST_SIDE:
        return False
    # What one product explains of a plane, it explains of the grid, and that is small.
    if not _is_near(_remains(pdq.reduced(left[None])[0]), off):
        return False
    return any(_is_grain(remains, off, grain, farthest) for remains in _remains(left))


def _is_near(remains: Iterator[_Floats], off: float) -> bool:
    return any(np.abs(left).max() <= _ROUNDED * off for left in remains)


def _is_grain(left: _Floats, off: float, grain: float, farthest: float) -> bool:
    """True if what is left of a plane is as fine and as faint as grain that nobody sees."""
    if np.abs(left).max() > farthest:
        return False
    grid = pdq.reduced(left[None])[0]
    if np.abs(grid).max() > off and not _is_rounding(left, grid, off):
        return False
    squares = pdq.reduced(np.square(left)[None])[0]
    return bool(squares.max() <= grain * grain)


def _is_rounding(left: _Floats, grid: _Floats, off: float) -> bool:
    """True if what is left, ``grid`` as PDQ reduces it, is of neighbours that have nothing to do
    with each other: then the mean of four is half as strong as one. Of a shape it is not.
    """
    if left.size < _LEAST_PIXELS:
        return False
    if np.abs(grid).max() > _ROUNDED * off or np.abs(_of_four(grid)).max() > _OF_FOUR * off:
        return False
    values = left if min(left.shape) < pdq.SIDE else grid  # Enlarged, neighbours are alike.
    strength = float(np.square(values).mean())
    return float(np.square(_of_four(values)).mean()) <= _UNLIKE**2 * strength


def _of_four(values: _Floats) -> _Floats:
    """Means of two by two, without what is odd at the ends."""
    height, width = (length // 2 * 2 for length in values.shape)
    blocks = values[:height, :width].reshape(height // 2, 2, width // 2, 2)
    means: _Floats = blocks.mean((1, 3))
    return means


def _remains(left: _Floats) -> Iterator[_Floats]:
    """What is left of a plane without courses when products are taken off it: those of powers, and
    before these the one product of two courses that explains most.
    """
    yield _without_powers(left)
    yield _without_powers(left - _product(left))


def _without_powers(left: _Floats) -> _Floats:
    grid = left if left.shape == (pdq.SIDE, pdq.SIDE) else pdq.reduced(left[None])[0]
    return left - _drawn(_weights(grid), left.shape)


def _product(left: _Floats) -> _Floats:
    """The product of two courses that is nearest to a plane, by the power method: where one product
    is nearly all that there is, few rounds reach it.
    """
    across = left[np.square(left).sum(1).argmax()]
    for _ in range(_ROUNDS):
        down = left @ across
        size = float(np.sqrt(np.square(down).sum()))
        if not size:
            return np.zeros_like(left)
        across = left.T @ (down / size)
    product: _Floats = np.outer(down / size, across)
    return product


def _without_courses(plane: _Floats) -> _Floats:
    """What is left of a plane without any course along one axis, and along the other."""
    left: _Floats = plane - plane.mean(0, keepdims=True)
    left -= left.mean(1, keepdims=True)
    return left


# Exponents of the products: down, across.
_PRODUCTS: Final = tuple(itertools.product((1, 2, 3), repeat=2))

_ROUNDS: Final = 6


def _weights(left: _Floats) -> _Floats:
    """Of each product, in a plane ``[64, 64]`` without courses: float32 ``[9]``."""
    weights: _Floats = _fit() @ left.reshape(-1)
    return weights


@functools.cache
def _fit() -> _Floats:
    """What gives the weights of the products from the values of a grid: float32 ``[9, 4096]``."""
    powers = _powers(pdq.SIDE)
    products = [np.outer(powers[down], powers[across]) for down, across in _PRODUCTS]
    return np.linalg.pinv(np.stack(products, axis=-1).reshape(-1, len(_PRODUCTS))).astype(
        np.float32
    )


def _drawn(weights: _Floats, shape: tuple[int, ...]) -> _Floats:
    """The sum of the products at each pixel of a plane."""
    down, across = (_powers(length) for length in shape)
    made = np.zeros(shape, np.float64)
    for (first, second), weight in zip(_PRODUCTS, weights, strict=True):
        made += float(weight) * np.outer(down[first], across[second])
    return made.astype(np.float32)


def _powers(length: int) -> npt.NDArray[np.float64]:
    """Powers of the middles of so many equal parts of -1 to 1, each less its mean: float64
    ``[4, length]``.
    """
    axis = (np.arange(length) + 0.5) * 2 / length - 1
    powers: npt.NDArray[np.float64] = axis[None] ** np.arange(4)[:, None]
    powers -= powers.mean(axis=1, keepdims=True)
    return powers
