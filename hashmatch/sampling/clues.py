"""What the sizes of packets say of pictures that change, before any is decoded.

A picture that differs from the one before it costs bits. So a packet that is large beside those
around it is looked at, whatever else is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["stand_out"]

# A packet is large if it has this part of the bytes of the picture that a decoder began at. Where a
# film follows a cover at key frames, x264, x265, VP9 and MPEG-4 encode its first frame with 0.3 to
# 3 times the bytes of the cover.
_LARGE: Final = 0.25

# One that is large stands out if it also has this many times the bytes that four fifths of its
# neighbours have at most (of frames between others there are two or three times as many as of
# those that they refer to), or more bytes than the picture that the decoder began at.
_TIMES: Final = 3
_MOST: Final = 0.8


def stand_out(sizes: Sequence[int], neighbours: Sequence[int], sync_size: int) -> list[bool]:
    """Of packets of ``sizes`` bytes, which are large beside their ``neighbours``; ``sync_size``
    bytes has the picture that a decoder began at, before them.
    """
    if not sizes or max(sizes) <= _LARGE * sync_size:
        return [False] * len(sizes)
    usual = sorted(neighbours)[int(_MOST * (len(neighbours) - 1))]
    least = max(_LARGE * sync_size, min(_TIMES * usual, sync_size))
    return [size > least for size in sizes]
