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
    found = Rows(np.zeros((height, width, samples), np.uint8), np.zeros((height, width), np.bool_))
    at = x = y = 0
    while y < height:
        count, code = data[at : at + 2].ljust(2, b"\0")
        if at + 2 > len(data):
            # Of a picture whose last row is there, the mark of the end may be missing.
            if y == height - 1 and x >= width:
                break
            return found, (VerdictReason.TRUNCATED, "its run lengths end before its last row")
        at += 2
        if count:
            run = data[at - 1 : at - 1 + samples]
            at += samples - 1
            levels = np.frombuffer(run.ljust(samples, b"\0"), np.uint8)[None]
            if bits == _NIBBLES:
                levels = np.array([[code >> 4], [code & 15]], np.uint8)
            repeated = np.tile(levels, (-(-count // len(levels)), 1))[:count]
        elif code == _END_OF_ROW:
            x, y = 0, y + 1
            continue
        elif code == _END:
            break
        elif code == _ONWARD:
            right, down = data[at : at + 2].ljust(2, b"\0")
            at, x, y = at + 2, x + right, y + down
            if x > width or y >= height:
                return found, (VerdictReason.CORRUPT, "its run lengths leave the picture")
            continue
        else:
            count = code
            size = (count + 1) // 2 if bits == _NIBBLES else count * samples
            run = data[at : at + size]
            if len(run) < size:
                return found, (VerdictReason.TRUNCATED, "its run lengths end before its last row")
            at += size + size % 2
            repeated = np.frombuffer(run, np.uint8)
            if bits == _NIBBLES:
                repeated = np.stack([repeated >> 4, repeated & 15], axis=-1).reshape(-1)
            repeated = repeated.reshape(-1, samples)[:count]
        # What does not fit into the row is left out.
        end = min(x + count, width)
        found.levels[y, x:end] = repeated[: max(0, end - x)]
        found.covered[y, x:end] = True
        x = end
    return found, None
