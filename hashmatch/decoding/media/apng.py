"""Animated PNG, composed as its specification says and browsers do.

Pillow lets the still of an animation show through its frames, takes one transparent picture over
another for an opaque one, and ends at the count that a file states. Source: PNG, third edition, 12.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from PIL import Image

from hashmatch.decoding.media.extents import png_chunks
from hashmatch.decoding.media.faults import Damaged
from hashmatch.decoding.media.source import Source

__all__ = ["Animation", "read"]

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CONTROL: Final = struct.Struct(">5I2H2B")
_TO_TRANSPARENT, _TO_PREVIOUS = 1, 2
_OVER: Final = 1
# What the pixels of a frame are read with.
_SHARED: Final = frozenset({b"PLTE", b"tRNS", b"sBIT"})
_HUNDREDTHS: Final = 100  # Of a second, where a file gives no unit.


@dataclass(slots=True)
class _Frame:
    """A frame as it is written: its place, its time, and where its data lies in the file."""

    width: int
    height: int
    left: int
    top: int
    shown_ms: int
    disposal: int
    blending: int
    data: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class Animation:
    """What an animated PNG has; ``still`` has the data of a picture that is none of its frames."""

    header: bytes
    shared: bytes
    frames: list[_Frame]
    still: list[tuple[int, int]]
    # False if chunks are out of order, or frames without data: viewers differ in what they show.
    is_sound: bool = True

    def pictures(self, source: Source, most_pixels: int) -> Iterator[tuple[Image.Image, int]]:
        """Yields each picture as it is shown, in RGBA, and for how long, in milliseconds: the still
        for none. Raises `Image.DecompressionBombError` for more pixels than ``most_pixels``, and
        `Damaged` for what is no animation.
        """
        width, height = struct.unpack(">II", self.header[:8])
        if width * height > most_pixels:
            raise Image.DecompressionBombError
        if self.still:
            yield self._decoded(source, width, height, self.still), 0
        canvas = Image.new("RGBA", (width, height))
        for number, frame in enumerate(self.frames):
            right, bottom = frame.left + frame.width, frame.top + frame.height
            if not frame.data:
                continue
            if right > width or bottom > height:
                raise Damaged("a frame outside of its picture")
            place = (frame.left, frame.top, right, bottom)
            before = canvas.crop(place)
            put = self._decoded(source, frame.width, frame.height, frame.data)
            if frame.blending == _OVER:
                put = Image.alpha_composite(before, put)
            canvas.paste(put, place)
            yield canvas.copy(), frame.shown_ms
            if frame.disposal == _TO_TRANSPARENT or (
                frame.disposal == _TO_PREVIOUS and number == 0
            ):
                canvas.paste((0, 0, 0, 0), place)
            elif frame.disposal == _TO_PREVIOUS:
                canvas.paste(before, place)

    def _decoded(
        self, source: Source, width: int, height: int, data: list[tuple[int, int]]
    ) -> Image.Image:
        packed = b"".join(source.read_at(start, length) for start, length in data)
        header = struct.pack(">II", width, height) + self.header[8:]
        file = (
            _SIGNATURE
            + _chunk(b"IHDR", header)
            + self.shared
            + _chunk(b"IDAT", packed)
            + _chunk(b"IEND", b"")
        )
        with Image.open(io.BytesIO(file), formats=["PNG"]) as image:
            image.load()
            if image.mode.startswith("I"):
                # 16 bits of grey: 8 of them are enough.
                levels = image.point(lambda level: level * (1 / 256)).convert("L")
                levels.info = {}
                return levels.convert("RGBA")
            return image.convert("RGBA")


def read(source: Source) -> Animation | None:
    """What an animated PNG has; None for one that is not animated. Frames are found by what is
    there, not by what the file says that there is.
    """
    found = Animation(b"", b"", [], [])
    expected = 0
    for kind, start, length in png_chunks(source):
        if kind == b"IHDR":
            found.header = source.read_at(start, 13)
        elif kind in _SHARED and not found.still and not found.frames:
            found.shared += _chunk(kind, source.read_at(start, min(length, 1024)))
        elif kind == b"IDAT":
            (found.frames[-1].data if found.frames else found.still).append((start, length))
        elif kind in (b"fcTL", b"fdAT"):
            content = source.read_at(start, min(length, 26))
            number = int.from_bytes(content[:4], "big")
            found.is_sound &= number == expected
            expected = number + 1
            if kind == b"fcTL":
                found.frames.append(_frame(content))
            elif found.frames:
                found.frames[-1].data.append((start + 4, length - 4))
    found.is_sound &= all(frame.data for frame in found.frames)
    return found if found.frames else None


def _frame(content: bytes) -> _Frame:
    _, width, height, left, top, time, unit, disposal, blending = _CONTROL.unpack(content)
    shown_ms = round(1000 * time / (unit or _HUNDREDTHS))
    return _Frame(width, height, left, top, shown_ms, disposal, blending)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
