"""GIF, composed as browsers do: what no frame has covered is transparent.

Pillow fills it with a colour of the file's choice. Source: GIF89a specification.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from hashmatch.decoding.media.extents import gif_end
from hashmatch.decoding.media.faults import Damaged
from hashmatch.decoding.media.source import Source
from hashmatch.errors import MediaError
from hashmatch.model.verdicts import VerdictReason

__all__ = ["missing", "pictures"]

_IMAGE, _EXTENSION, _GRAPHIC_CONTROL = 0x2C, 0x21, 0xF9
_CLEARED, _PUT_BACK = 2, 3
_HAS_TABLE: Final = 0x80


@dataclass(frozen=True, slots=True)
class _Frame:
    """An image of the file, and what the control block before it says."""

    control: bytes
    descriptor: bytes
    start: int  # Of what follows the descriptor, up to ``end``.
    end: int

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom."""
        left, top, width, height = (
            int.from_bytes(self.descriptor[i : i + 2], "little") for i in (1, 3, 5, 7)
        )
        return left, top, left + width, top + height

    @property
    def disposal(self) -> int:
        return self.control[0] >> 2 & 7 if self.control else 0

    @property
    def shown_ms(self) -> int:
        return 10 * int.from_bytes(self.control[1:3], "little")


def pictures(source: Source, most_pixels: int) -> Iterator[tuple[Image.Image, int | None]]:
    """Yields each picture as it is shown, in RGBA, and the time it is to be shown for, in
    milliseconds; None for the only one. Raises `Image.DecompressionBombError` for more pixels than
    ``most_pixels``, `MediaError` if there is none, and `Damaged`.
    """
    head = source.read_at(0, 13 + 768)
    if len(head) < 13:
        raise Damaged("a GIF that ends within its head")
    table = head[13 : 13 + _table_bytes(head[10])]
    frames = list(_frames(source, 13 + len(table)))
    if not frames:
        raise MediaError(VerdictReason.NO_PICTURE, "there is no image in it")
    width, height = (int.from_bytes(head[i : i + 2], "little") for i in (6, 8))
    # As browsers do, where the first image is larger than the screen of the file.
    width, height = max(width, frames[0].place[2]), max(height, frames[0].place[3])
    if not width or not height:
        raise MediaError(VerdictReason.NO_PICTURE, "it has no width or no height")
    if width * height > most_pixels:
        raise Image.DecompressionBombError
    canvas = Image.new("RGBA", (width, height))
    for frame in frames:
        left, top, right, bottom = frame.place
        if (right - left) * (bottom - top) > most_pixels:
            raise Image.DecompressionBombError
        before = canvas.copy() if frame.disposal == _PUT_BACK else canvas
        if left < right and top < bottom:  # Else it shows what was there, for a time.
            put = _decoded(source, frame, head[:13], table)
            canvas.paste(put, (left, top), put)
        yield canvas.copy(), frame.shown_ms if len(frames) > 1 else None
        if frame.disposal == _CLEARED:
            canvas.paste((0, 0, 0, 0), frame.place)
        elif frame.disposal == _PUT_BACK:
            canvas = before


def missing(source: Source) -> str | None:
    """Says in a sentence what is missing at its end; None if nothing is, or the trailer alone."""
    if gif_end(source) is not None:
        return None
    head = source.read_at(10, 1)
    ends = [each.end for each in _frames(source, 13 + _table_bytes(head[0] if head else 0))]
    if ends and ends[-1] <= source.total() and _ends_behind(source, ends[-1]):
        return None
    return "the file ends before its trailer"


def _decoded(source: Source, frame: _Frame, head: bytes, table: bytes) -> Image.Image:
    """An image of the file as one of its own."""
    size = frame.descriptor[5:9]
    transparent = frame.control[3] if frame.control and frame.control[0] & 1 else None
    before = head[:6] + size + head[10:13] + table
    behind = (
        b"\x2c" + bytes(4) + frame.descriptor[5:]
        + source.read_at(frame.start, frame.end - frame.start) + b"\x3b"
    )  # fmt: skip
    file = before + _control(transparent) + behind
    try:
        return _picture(file)
    except OSError as error:
        # Its data ends before its last pixel: browsers show those that there are.
        if "truncated" not in str(error) or frame.end > source.total():
            raise
    # Pillow fills what it does not decode with what is transparent.
    by_fill = [_indices(before + _control(fill) + behind) for fill in (0, 1)]
    covered = by_fill[0] == by_fill[1]
    shown = _picture(file, is_whole=False)
    opaque = np.asarray(shown.getchannel("A")) * covered
    shown.putalpha(Image.fromarray(opaque.astype(np.uint8)))
    return shown


def _control(transparent: int | None) -> bytes:
    """A control block of a picture with a transparent colour, or without."""
    return b"" if transparent is None else b"\x21\xf9\x04\x01\0\0" + bytes([transparent, 0])


@contextlib.contextmanager
def _unfinished(*, is_whole: bool) -> Iterator[None]:
    """Within, Pillow shows what it has of a picture that is not whole."""
    ImageFile.LOAD_TRUNCATED_IMAGES = not is_whole
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _indices(file: bytes) -> npt.NDArray[np.uint8]:
    """Of a picture, also of one that is not whole, uint8 ``[h, w]``."""
    with _unfinished(is_whole=False), Image.open(io.BytesIO(file), formats=["GIF"]) as image:
        image.load()
        return np.asarray(image)


def _picture(file: bytes, *, is_whole: bool = True) -> Image.Image:
    with _unfinished(is_whole=is_whole), Image.open(io.BytesIO(file), formats=["GIF"]) as image:
        image.load()
        try:
            return image.convert("RGBA")
        except ValueError:  # Of a palette without the colour that is transparent.
            hole = np.asarray(image) == image.info.pop("transparency", None)
            shown = image.convert("RGBA")
            shown.putalpha(Image.fromarray(np.where(hole, 0, 255).astype(np.uint8)))
            return shown


def _frames(source: Source, start: int) -> Iterator[_Frame]:
    """Every image that is there, up to the trailer or to what is no block."""
    control = b""
    while block := source.read_at(start, 10):
        if block[0] == _IMAGE and len(block) == 10:
            data = start + 10
            end = _blocks_end(source, data + _table_bytes(block[9]) + 1)
            yield _Frame(control, block, data, end)
            control, start = b"", end
        elif block[0] == _EXTENSION:
            if block[1:3] == bytes([_GRAPHIC_CONTROL, 4]):
                control = block[3:7]
            start = _blocks_end(source, start + 2)
        else:
            return


def _ends_behind(source: Source, start: int) -> bool:
    """True if behind a place there are whole extensions, and nothing else that a viewer reads."""
    size = source.total()
    while start < size:
        block = source.read_at(start, 1)[0]
        if block != _EXTENSION:
            return block != _IMAGE  # What is no block is the end to browsers too.
        start = _blocks_end(source, start + 2)
    return start == size


def _blocks_end(source: Source, start: int) -> int:
    while (length := source.read_at(start, 1)) and length[0]:
        start += 1 + length[0]
    return start + 1


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & _HAS_TABLE else 0
