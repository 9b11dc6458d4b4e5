"""Rows of a BMP that are in run lengths. Source: Microsoft, "Bitmap Compression"; OS/2 2.0 for
those of 24 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.model.verdicts import VerdictReason

__all__ = ["Rows", "rows"]

_END_OF_ROW, _END, _ONWARD = 0, 1, 2
_NIBBLES: Final = 4
_OF_DIGITS: Final = bytes.maketrans(b"0123456789abcdef", bytes(range(16)))
_CUT: Final = (VerdictReason.TRUNCATED, "its run lengths end before its last row")


@dataclass(frozen=True, slots=True)
class Rows:
    """Levels uint8 ``[h, w, 1]`` or ``[h, w, 3]``, those of indices alone in one; and which pixels
    any run covers, bool ``[h, w]``. The first row is that which is stored first.
    """

    levels: npt.NDArray[np.uint8]
    covered: npt.NDArray[np.bool_]


def rows(
    data: bytes, width: int, height: int, bits: int
) -> tuple[Rows, tuple[VerdictReason, str] | None]:
    """The rows as far as they are sound, and why they are not, if they are not."""
    samples = 3 if bits == 24 else 1
    levels, covered = bytearray(width * height * samples), bytearray(width * height)
    wrong = _fill(levels, covered, data, width, height, bits)
    shape = height, width, samples
    return Rows(
        np.frombuffer(levels, np.uint8).reshape(shape),
        np.frombuffer(covered, np.bool_).reshape(shape[:2]),
    ), wrong


def _repeated(value: bytes, count: int, bits: int) -> bytes:
    """A number of pixels of one value, or of two by turns."""
    if bits == _NIBBLES:
        return (_nibbles(value) * ((count + 1) // 2))[:count]
    return value * count


def _nibbles(data: bytes) -> bytes:
    return data.hex().encode().translate(_OF_DIGITS)


def _fill(
    levels: bytearray, covered: bytearray, data: bytes, width: int, height: int, bits: int
) -> tuple[VerdictReason, str] | None:
    samples = 3 if bits == 24 else 1
    at = x = y = 0
    piece = bytearray()  # Of the row, from ``x`` on.

    def put() -> int:
        """Writes the piece, as far as it fits into the row; returns where it ends."""
        count = min(len(piece) // samples, width - x)
        start = y * width + x
        levels[start * samples : (start + count) * samples] = piece[: count * samples]
        covered[start : start + count] = b"\1" * count
        piece.clear()
        return x + count

    while y < height:
        if at + 2 > len(data):
            # Of a picture whose last row is there, the mark of the end may be missing.
            return None if put() >= width and y == height - 1 else _CUT
        count, code = data[at], data[at + 1]
        at += 2
        if count:
            run = _repeated(data[at - 1 : at - 1 + samples], count, bits)
            at += samples - 1
        elif code == _END_OF_ROW:
            put()
            x, y = 0, y + 1
            continue
        elif code == _END:
            break
        elif code == _ONWARD:
            x = put()
            right, down = data[at : at + 2].ljust(2, b"\0")
            at, x, y = at + 2, x + right, y + down
            if x > width or y >= height:
                return VerdictReason.CORRUPT, "its run lengths leave the picture"
            continue
        else:
            count = code
            size = (count + 1) // 2 if bits == _NIBBLES else count * samples
            run = data[at : at + size]
            if len(run) < size:
                put()
                return _CUT
            at += size + size % 2
            run = _nibbles(run)[:count] if bits == _NIBBLES else run
        if len(piece) < width * samples:  # What is behind the end of a row is left out.
            piece += run
    if y < height:
        put()
    return None
