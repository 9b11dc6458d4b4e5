"""Whether a file can be a Truevision TGA: it has no first bytes of its own.

Source: Truevision TGA File Format Specification, version 2.0.
"""

from __future__ import annotations

from typing import Final

from hashmatch.decoding.media.source import Source

__all__ = ["HEADER_BYTES", "is_plausible", "rows_start"]

HEADER_BYTES: Final = 18
_FOOTER: Final = b"TRUEVISION-XFILE."
_FOOTER_BYTES: Final = 26

# Kinds of image and how many bits their pixels can have: with a palette, in colour, in grey; 8 more
# for those in run lengths.
_DEPTHS: Final = {1: (8, 16), 2: (15, 16, 24, 32), 3: (8, 16)}
_RUN_LENGTHS: Final = 8
_PALETTE_DEPTHS: Final = (15, 16, 24, 32)
# Bytes that a run has at least, and pixels that it has at most.
_RUN_BYTES: Final = 2
_RUN_PIXELS: Final = 128


def is_plausible(source: Source) -> bool:
    """True if a header stands at the start of which nothing contradicts the rest, the length of the
    file included; a footer says so besides, but older files have none. Waits for the end of the
    source if the header is plausible.
    """
    head = source.read_at(0, HEADER_BYTES)
    if len(head) < HEADER_BYTES:
        return False
    kind, depth, descriptor = head[2], head[16], head[17]
    runs, plain = kind > _RUN_LENGTHS, kind & ~_RUN_LENGTHS
    width, height = (int.from_bytes(head[i : i + 2], "little") for i in (12, 14))
    if depth not in _DEPTHS.get(plain, ()) or not width or not height:
        return False
    if head[1] > 1 or (plain == 1 and head[1] != 1) or descriptor & 0xC0:
        return False
    entries = int.from_bytes(head[5:7], "little")
    if head[1]:
        if head[7] not in _PALETTE_DEPTHS or not entries:
            return False
    elif any(head[3:8]) and not has_footer(source):
        return False
    if descriptor & 0x0F > 8:
        return False
    pixels = width * height
    least = pixels * ((depth + 7) // 8) if not runs else -(-pixels // _RUN_PIXELS) * _RUN_BYTES
    # Half a file is still one; of what is no TGA the numbers rarely fit so well.
    return has_footer(source) or rows_start(head) + least // 2 <= source.total()


def has_footer(source: Source) -> bool:
    """True if the file ends with the footer of version 2. Waits for the end of the source."""
    end = source.total()
    return source.read_at(max(0, end - _FOOTER_BYTES), _FOOTER_BYTES)[8:-1] == _FOOTER


def rows_start(head: bytes) -> int:
    """The first byte of the pixels, by the first `HEADER_BYTES` of a file."""
    entries = int.from_bytes(head[5:7], "little") if head[1] else 0
    return HEADER_BYTES + head[0] + entries * ((head[7] + 7) // 8)
