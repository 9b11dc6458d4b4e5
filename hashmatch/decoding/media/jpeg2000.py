"""Structure of JPEG 2000: its boxes, and the parts of its codestream.

Source: ISO/IEC 15444-1, annexes A and I.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hashmatch.decoding.media import heif
from hashmatch.decoding.media.extents import mp4_boxes
from hashmatch.decoding.media.source import Source

__all__ = ["codestreams", "missing", "profiles"]

_START: Final = b"\xff\x4f\xff\x51"
_TILE_PART: Final = 0xFF90
_END: Final = 0xFFD9
# Colour is told by a profile that is restricted, or by any.
_BY_PROFILE: Final = (2, 3)
_MOST_HEADER: Final = 1 << 22


def _codestreams(source: Source) -> Iterator[tuple[int, int | None]]:
    """(start, end) of each; no end for one that lasts to the end of the file."""
    if source.read_at(0, 4) == _START:
        yield 0, None
        return
    for kind, start, end in mp4_boxes(source):
        if kind == b"jp2c":
            yield start + (16 if source.read_at(start, 4) == b"\0\0\0\1" else 8), end


def codestreams(source: Source) -> int:
    """How many pictures it has."""
    return sum(1 for _ in _codestreams(source))


def missing(source: Source) -> str | None:
    """Says in a sentence what is missing at its end; None if nothing is."""
    size = source.total()
    found = False
    for start, end in _codestreams(source):
        found = True
        if end is not None and end > size:
            return f"its codestream ends at byte {end}, the file at byte {size}"
        if not _is_whole(source, start, size if end is None else end):
            return "its codestream ends before its end marker"
    return None if found else "the file ends before its codestream"


def _is_whole(source: Source, start: int, end: int) -> bool:
    """Segments with their lengths, and parts of tiles with theirs, up to the end marker."""
    at = start + 2
    while at + 2 <= end:
        segment = source.read_at(at, 12)
        marker = int.from_bytes(segment[:2], "big")
        if marker == _END:
            return True
        if marker == _TILE_PART:
            length = int.from_bytes(segment[6:10], "big")
            if length == 0:  # The last one lasts to the end.
                return source.read_at(end - 2, 2) == _END.to_bytes(2, "big")
            at += max(12, length)
        else:
            at += 2 + max(2, int.from_bytes(segment[2:4], "big"))
    # Decoders do without the marker where all that comes before it is there.
    return at == end


def profiles(source: Source) -> Iterator[bytes]:
    """The ICC profiles that its header has."""
    for kind, start, end in mp4_boxes(source):
        if kind != b"jp2h" or end is None:
            continue
        data = source.read_at(start, min(end - start, _MOST_HEADER))
        for inner, at, to in heif.inner_boxes(data, 8, len(data)):
            if inner == b"colr" and at < to and data[at] in _BY_PROFILE:
                yield data[at + 3 : to]
