"""Which of the pictures of one file show the same, so that nothing is hashed twice.

A preview is nearly always the picture itself, and a picture with a colour profile looks nearly the
same without it; what differs is looked at.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["Seen", "alike", "cells"]

# Pictures are compared in cells, as many a side as PDQ looks at, block by block, so that no part
# of a picture is small beside the rest.
_CELLS: Final = 64
_BLOCK: Final = 8

# What may be left between two pictures, in parts of a block's contrast: it turns the vector that a
# hash is made of by 9 degrees, and so about 12 of 256 bits.
_REST: Final = 0.15
# And in levels of 255: previews of photographs, 160 pixels wide, were measured to keep 1.5 to 2.9
# at edges. A picture of no more contrast is too flat to be found.
_NOISE: Final = 3.0

# Pictures that a new one is compared with.
_MOST: Final = 8


def alike(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> bool:
    """True if two pictures, as `cells` of luma, are the same but for brightness."""
    difference = _blocks(a - b)
    contrast = _blocks(b).std(axis=1)
    rest = (difference - np.median(difference)).__abs__()
    allowed = np.maximum(_NOISE, _REST * contrast)
    return bool((np.sqrt((rest**2).mean(axis=1)) <= allowed).all())


def cells(luma: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """A plane ``[h, w]`` as float32 ``[64, 64]``, whatever its size."""
    plane = Image.fromarray(np.asarray(luma, np.float32))
    return np.asarray(plane.resize((_CELLS, _CELLS), Image.Resampling.BILINEAR))


def _blocks(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    count = _CELLS // _BLOCK
    by_block = plane.reshape(count, _BLOCK, count, _BLOCK).swapaxes(1, 2)
    return by_block.reshape(count * count, _BLOCK * _BLOCK)


class Seen:
    """The first pictures of a file, each by its ground."""

    def __init__(self) -> None:
        """None so far."""
        self._lumas: list[tuple[int, npt.NDArray[Any]]] = []
        self._cells: list[npt.NDArray[np.float32] | None] = []

    def add(self, part: int, luma: npt.NDArray[Any]) -> None:
        """A plane ``[h, w]`` is looked at; costs nothing until another is compared with it."""
        if len(self._lumas) < _MOST:
            self._lumas.append((part, luma))
            self._cells.append(None)

    def has(self, part: int, luma: npt.NDArray[Any]) -> bool:
        """True if a plane is like one that is looked at already."""
        new = cells(luma)
        for number, (other_part, other) in enumerate(self._lumas):
            if other_part != part:
                continue
            known = self._cells[number]
            if known is None:
                known = self._cells[number] = cells(other)
            if alike(new, known):
                return True
        return False
