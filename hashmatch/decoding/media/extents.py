"""Where the parts of a file lie, by its own structure: boxes, chunks, and the end of an image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from hashmatch.decoding.media.source import Source

__all__ = [
    "LOSSLESS_JPEG",
    "LOSSY_JPEG",
    "gif_end",
    "jpeg_frame",
    "jpeg_segments",
    "mp4_boxes",
    "picture_end",
    "png_chunks",
]

_READ_BYTES: Final = 65_536
_QOI_END: Final = bytes(7) + b"\1"

# Markers of a JPEG's frame: all; those coded with loss by Huffman codes (baseline, extended and
# progressive); the one without loss. Source: ITU-T T.81, table B.1.
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
LOSSY_JPEG: Final = frozenset({0xC0, 0xC1, 0xC2})
LOSSLESS_JPEG: Final = 0xC3

# A marker that is no restart and no stuffed byte. Source: ITU-T T.81, table B.1.
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def picture_end(source: Source, name: str) -> int | None:
    """The first byte behind an image of the format ``name`` by its own structure; None if that does
    not tell. Waits for the end of the source.
    """
    source.total()
    if name == "jpeg":
        return _jpeg_end(source)
    if name == "png":
        ends = [start + 4 for kind, start, _ in png_chunks(source) if kind == b"IEND"]
        return ends[0] if ends else None
    if name == "gif":
        return gif_end(source)
    if name == "webp":
        length = int.from_bytes(source.read_at(4, 4), "little")
        return 8 + length + length % 2
    if name == "bmp":
        return int.from_bytes(source.read_at(2, 4), "little")
    if name in ("jxl", "jpeg2000") and source.read_at(0, 1) == b"\0":
        return _boxes_end(source)
    if name == "qoi":
        return _qoi_end(source)
    return None


def _boxes_end(source: Source) -> int | None:
    """Behind the last box."""
    end = None
    for kind, _, box_end in mp4_boxes(source):
        if not re.fullmatch(rb"[\x20-\x7e]{4}", kind):
            break
        end = source.total() if box_end is None else box_end
    return end


def _qoi_end(source: Source) -> int | None:
    """Source: The Quite OK Image Format, specification 1.0: eight bytes that no pixels make."""
    at = 14
    while data := source.read_at(at, _READ_BYTES):
        found = data.find(_QOI_END)
        if found >= 0:
            return at + found + len(_QOI_END)
        if len(data) < _READ_BYTES:
            break
        at += len(data) - len(_QOI_END)
    return None


def jpeg_segments(source: Source) -> Iterator[tuple[int, int, int]]:
    """(marker, start of its content, length of it) of each segment of a JPEG up to its first coded
    rows.
    """
    at = 2
    while len(head := source.read_at(at, 4)) == 4 and head[0] == 0xFF:
        if head[1] == 0xFF:  # Fill bytes.
            at += 1
            continue
        length = int.from_bytes(head[2:], "big")
        yield head[1], at + 4, length - 2
        if head[1] in (0xD9, 0xDA) or length < 2:
            return
        at += 2 + length


def jpeg_frame(source: Source) -> tuple[int, int] | None:
    """The marker of a JPEG's frame, and bits of a sample (0 if the file ends there); None if it has
    no frame.
    """
    for marker, start, _ in jpeg_segments(source):
        if marker in _JPEG_FRAMES:
            return marker, int.from_bytes(source.read_at(start, 1), "big")
    return None


def _jpeg_end(source: Source) -> int | None:
    """Behind the first end of image that is none of a preview in its segments."""
    at = 2
    while len(marker := source.read_at(at, 4)) >= 2 and marker[0] == 0xFF:
        if marker[1] == 0xFF:  # Fill bytes.
            at += 1
            continue
        if marker[1] == 0xD9:
            return at + 2
        at += 2 + int.from_bytes(marker[2:], "big")
        if marker[1] != 0xDA:
            continue
        # Coded rows, up to a marker that is none of theirs.
        while data := source.read_at(at, _READ_BYTES):
            found = _JPEG_MARKER.search(data)
            if found is not None:
                at += found.start()
                break
            if len(data) < _READ_BYTES:
                return None
            at += len(data) - 1
        else:
            return None
    return None


def mp4_boxes(source: Source) -> Iterator[tuple[bytes, int, int | None]]:
    """(type, start, end) of each top-level box; the end may lie beyond the end of the file, and is
    None if the box lasts to it. Ends where there is no box.
    """
    start = 0
    while True:
        header = source.read_at(start, 16)
        if len(header) < 8:
            return
        length = int.from_bytes(header[:4], "big")
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:], "big")
        if length == 0 and header[4:8].isalnum():
            # The last box may leave its length out. Only media may come piece by piece.
            end = None if header[4:8] == b"mdat" else source.total()
            yield header[4:8], start, end
            return
        if length < 8:
            return
        yield header[4:8], start, start + length
        start += length


def png_chunks(source: Source) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start of its content, length of it) of each chunk of a PNG, the last ``IEND``."""
    start = 8
    while len(header := source.read_at(start, 8)) == 8:
        length = int.from_bytes(header[:4], "big")
        yield header[4:], start + 8, length
        if header[4:] == b"IEND":
            return
        start += 12 + length


def gif_end(source: Source) -> int | None:
    """The first byte behind the trailer of a GIF; None if it has none."""
    flags = source.read_at(10, 1)
    start = 13 + (_colour_table(flags[0]) if flags else 0)
    while block := source.read_at(start, 10):
        if block[0] == 0x3B:
            return start + 1
        if block[0] == 0x21:
            start += 2
        elif block[0] == 0x2C and len(block) == 10:
            start += 11 + _colour_table(block[9])
        else:
            return None
        while length := source.read_at(start, 1):
            start += 1 + length[0]
            if length[0] == 0:
                break
    return None


def _colour_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
