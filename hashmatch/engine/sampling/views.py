"""Parts of a frame that are worth a hash of their own."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hashmatch.engine.kernels import kernel

__all__ = ["Box", "ContentFinder", "content_box", "warm_up"]

# A line is part of a border if it is as plain as this, in parts of 255: so far its pixels may be
# from the border's luma in the mean, and this part of them may be far from it. Encoders leave
# ripples beside a sharp edge, and grain on every colour.
_MEAN_APART: Final = 6.0
_FAR: Final = 24.0
_FEW: Final = 0.04

# Pixels of a line that are looked at, spread over it.
_LOOKS: Final = 160

# Less than this part of an axis is no border: the hash of the whole frame is as good.
_LEAST_BORDER: Final = 0.01

# Content that is smaller than this part of an axis is a title on a plain ground, not a picture.
_LEAST_CONTENT: Final = 0.25


_Plane = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


class Box(NamedTuple):
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of a plane, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    def joined(self, other: Box) -> Box:
        """The least box that holds both."""
        return Box(
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
        )

    def is_within(self, height: int, width: int) -> bool:
        """True if it leaves out enough of a plane of that size to look different."""
        rows, columns = height - self.bottom + self.top, width - self.right + self.left
        return _matters(rows, columns, height, width)


class ContentFinder:
    """The content boxes of the frames of one stream, as they come.

    A dark scene is plain at its own edge, and its box too small; a border that lasts is what was
    plain in every frame so far. A film that is letterboxed for one scene has no such border. So a
    frame has up to two boxes: its own, and that of all frames up to it.
    """

    def __init__(self) -> None:
        """No frame was there yet."""
        self._lasting: Box | None = None
        self._shape = (0, 0)

    def boxes(self, luma: _Plane) -> list[Box]:
        """Of the next frame, ``luma`` as for `content_box`; none if there is no border."""
        height, width = luma.shape
        own = content_box(luma)
        if self._lasting is None or luma.shape != self._shape:
            self._lasting, self._shape = own or Box(0, height, 0, width), (height, width)
        else:
            self._lasting = self._lasting.joined(own or Box(0, height, 0, width))
        found = [] if own is None else [own]
        lasting = self._lasting
        if own is not None and lasting.is_within(height, width) and _differ(own, lasting, luma):
            found.append(lasting)
        return found


def _differ(own: Box, lasting: Box, luma: _Plane) -> bool:
    rows = max(own.top - lasting.top, lasting.bottom - own.bottom)
    columns = max(own.left - lasting.left, lasting.right - own.right)
    return _matters(rows, columns, *luma.shape)


def _matters(rows: int, columns: int, height: int, width: int) -> bool:
    return max(rows / height, columns / width) >= _LEAST_BORDER


def content_box(luma: _Plane) -> Box | None:
    """What of a plane lies within plain borders: letterboxes, frames, pillars of any colour.

    ``luma`` is uint8 or float32 ``[h, w]`` with values in 0 to 255. None if there is no border, or
    nothing within it.
    """
    luma = luma.view()
    luma.flags.writeable = False  # A kernel is compiled once for each sort of array.
    height, width = luma.shape
    top, bottom, left, right = _inside(luma)
    if bottom - top < _LEAST_CONTENT * height or right - left < _LEAST_CONTENT * width:
        return None
    box = Box(top, bottom, left, right)
    return box if box.is_within(height, width) else None


def warm_up() -> None:
    """Compiles the kernel, or loads it, for every sort of plane that it takes."""
    for dtype in (np.uint8, np.float32):
        padded = np.zeros((8, 9), dtype)
        content_box(padded)
        content_box(padded[:, :8])
        content_box(np.rot90(padded))


@kernel
def _inside(luma):  # type: ignore[no-untyped-def]
    top, bottom = _trimmed(luma, 0, luma.shape[1])
    if top == bottom:
        return 0, 0, 0, 0
    left, right = _trimmed(luma.T, top, bottom)
    return top, bottom, left, right


@kernel
def _trimmed(luma, start, end):  # type: ignore[no-untyped-def]
    """First and end of the rows that are not plain, between columns ``start`` and ``end``."""
    first, last = 0, luma.shape[0]
    ground = _mean(luma[0], start, end)
    while first < last and _is_plain(luma[first], start, end, ground):
        first += 1
    ground = _mean(luma[last - 1], start, end)
    while first < last and _is_plain(luma[last - 1], start, end, ground):
        last -= 1
    return first, last


@kernel
def _mean(line, start, end):  # type: ignore[no-untyped-def]
    step = max(1, (end - start) // _LOOKS)
    total, count = 0.0, 0
    for x in range(start, end, step):
        total += line[x]
        count += 1
    return total / count


@kernel
def _is_plain(line, start, end, ground):  # type: ignore[no-untyped-def]
    step = max(1, (end - start) // _LOOKS)
    apart, far, count = 0.0, 0, 0
    for x in range(start, end, step):
        difference = abs(line[x] - ground)
        apart += difference
        far += difference > _FAR
        count += 1
    return apart <= _MEAN_APART * count and far <= _FEW * count
