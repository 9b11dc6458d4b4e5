"""The pictures of an icon or a cursor, each of which some program shows.

Source: Microsoft, "Icons" (1995), and BITMAPINFOHEADER.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final

from PIL import Image

from hashmatch.decoding.media import bmp
from hashmatch.decoding.media.source import PartSource, SeekableReader, Source

__all__ = ["end", "picture", "pictures"]

_HEADER_BYTES: Final = 6
_ENTRY_BYTES: Final = 16
_PNG: Final = b"\x89PNG\r\n\x1a\n"


def _entries(source: Source) -> Iterator[tuple[bytes, int, int]]:
    """(entry, first byte, length) of each picture that the directory lists."""
    count = int.from_bytes(source.read_at(4, 2), "little")
    for number in range(count):
        entry = source.read_at(_HEADER_BYTES + number * _ENTRY_BYTES, _ENTRY_BYTES)
        if len(entry) < _ENTRY_BYTES:
            return
        yield (
            entry,
            int.from_bytes(entry[12:], "little"),
            int.from_bytes(entry[8:12], "little"),
        )


def end(source: Source) -> int:
    """The first byte behind the last picture, by the directory."""
    count = int.from_bytes(source.read_at(4, 2), "little")
    ends = [start + length for _, start, length in _entries(source)]
    return max([_HEADER_BYTES + count * _ENTRY_BYTES, *ends])


def pictures(source: Source) -> Iterator[Source]:
    """Each picture, the largest first and once: a PNG, or a DIB (see `picture`)."""
    seen = set()
    found = sorted(_entries(source), key=lambda each: -((each[0][0] or 256) * (each[0][1] or 256)))
    for _, start, _ in found:
        # Its length is left aside, as viewers do: some are too short.
        if start not in seen:
            seen.add(start)
            yield PartSource(source, start)


def picture(source: Source, most_pixels: int) -> Image.Image:
    """One of `pictures`, in RGB or RGBA. Raises `Damaged` and what Pillow raises for PNG, and
    `Image.DecompressionBombError` for more than ``most_pixels`` pixels.
    """
    if source.read_at(0, len(_PNG)) == _PNG:
        image = Image.open(io.BufferedReader(SeekableReader(source)), formats=["PNG"])
        image.load()
        image.format = "PNG"
        return image
    colours = bmp.of_icon(source, most_pixels)
    colours.format = "ICO"
    return colours
