"""Kinds of BMP that Pillow refuses, or shows otherwise than browsers: any masks, transparency of 16
bits, two bits a pixel, palettes of other lengths.

Source: Microsoft, BITMAPV5HEADER and the headers before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from hashmatch.decoding.media import run_lengths
from hashmatch.decoding.media.faults import DAMAGED, Damaged
from hashmatch.decoding.media.source import PartSource, Source

__all__ = ["is_uncommon", "of_icon", "picture"]

_FILE_HEADER: Final = 14
_CORE: Final = 12  # Of OS/2, whose numbers are short and whose palette has no fourth byte.
_INFO: Final = 40  # Masks follow it, or are part of the longer headers.
_WITH_ALPHA_MASK: Final = 56
_WITH_ALPHA: Final = 32  # Bits a pixel, of icons.
_ALPHA: Final = 0xFF000000
_PLAIN, _BY_MASKS, _BY_MASKS_AND_ALPHA = 0, 3, 6
# In run lengths, by how they are coded and the bits of a pixel; those of 24 bits are of OS/2 alone.
_RUN_LENGTHS: Final = ((1, 8), (2, 4), (4, 24))
_OS2: Final = 64
# Of red, green, blue and alpha, where a file has none.
_MASKS: Final = {
    16: (0x7C00, 0x3E0, 0x1F, 0),
    24: (0xFF0000, 0xFF00, 0xFF, 0),
    32: (0xFF0000, 0xFF00, 0xFF, 0),
}
_INDICES: Final = (1, 2, 4, 8)
_Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Header:
    """What stands before the rows; places are counted from the header of the picture."""

    size: int
    width: int
    height: int
    top_down: bool
    bits: int
    coded: int
    colours: int
    masks: tuple[int, int, int, int]

    @property
    def in_run_lengths(self) -> bool:
        """True if it is."""
        if self.coded == _RUN_LENGTHS[2][0] and self.size != _OS2:
            return False  # A JPEG, to others.
        return (self.coded, self.bits) in _RUN_LENGTHS

    @property
    def stride(self) -> int:
        return (self.width * self.bits + 31) // 32 * 4

    @property
    def palette_entry(self) -> int:
        return 3 if self.size == _CORE else 4

    @property
    def palette_end(self) -> int:
        """Where it ends, if it is as long as the header says."""
        return self.size + min(self.colours, 1 << self.bits) * self.palette_entry

    @property
    def rows_at(self) -> int:
        """Where the rows are if nothing says it: behind the palette."""
        masks = {_BY_MASKS: 12, _BY_MASKS_AND_ALPHA: 16}.get(self.coded, 0)
        colours = self.colours or (1 << self.bits if self.bits in _INDICES else 0)
        return self.size + (masks if self.size == _INFO else 0) + colours * self.palette_entry


def is_uncommon(source: Source) -> bool:
    """True for one by masks or in run lengths, or whose rows begin within its palette: there Pillow
    shows another picture than browsers do.
    """
    try:
        header = _header(PartSource(source, _FILE_HEADER))
    except Damaged:
        return False
    is_within = header.bits in _INDICES and _rows_at(source) < header.palette_end
    return header.coded != _PLAIN or is_within


def picture(source: Source, most_pixels: int) -> Image.Image:
    """A picture in RGB or RGBA; what is wrong with it, if it is shown in part, is told in its
    ``info`` as `DAMAGED`. Raises `Damaged`, and `Image.DecompressionBombError` for more than
    ``most_pixels`` pixels.
    """
    within = PartSource(source, _FILE_HEADER)
    header = _header(within)
    at = max(_rows_at(source), header.size)
    if not header.in_run_lengths:
        image = Image.fromarray(_pixels(within, header, at, most_pixels))
    else:
        if header.width * header.height > most_pixels:
            raise Image.DecompressionBombError
        rows, wrong = run_lengths.rows(
            within.read_at(at, within.total()), header.width, header.height, header.bits
        )
        # What no run covers is transparent, or of the first colour.
        table = _palette(within, header, at) if header.bits in _INDICES else None
        colours = rows.levels[..., ::-1] if table is None else table[rows.levels[..., 0]]
        opaque = rows.covered.astype(np.uint8) * np.uint8(255)
        pixels = colours if rows.covered.all() else np.dstack([colours, opaque])
        image = Image.fromarray(np.ascontiguousarray(pixels if header.top_down else pixels[::-1]))
        if wrong is not None:
            image.info[DAMAGED] = wrong
    image.format = "BMP"
    return image


def _rows_at(source: Source) -> int:
    """Where the rows are, counted from the header of the picture."""
    return _number(source.read_at(0, _FILE_HEADER), 10) - _FILE_HEADER


def of_icon(source: Source, most_pixels: int) -> Image.Image:
    """A picture of an icon: without the header of a file, and with as many rows of a mask behind
    it, which counts unless the picture has transparency of its own. Raises as `picture` does.
    """
    header = _header(source)
    header = replace(header, height=header.height // 2)
    if header.bits == _WITH_ALPHA and header.coded == _PLAIN:
        header = replace(header, masks=(*header.masks[:3], _ALPHA))
    at = header.rows_at
    pixels = _pixels(source, header, at, most_pixels)
    if pixels.shape[2] == 4 and pixels[..., 3].any():
        return Image.fromarray(pixels)
    stride = (header.width + 31) // 32 * 4
    data = source.read_at(at + header.stride * header.height, stride * header.height)
    if len(data) < stride * header.height:
        return Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    bits = np.unpackbits(np.frombuffer(data, np.uint8).reshape(header.height, stride), axis=1)
    opaque = (1 - (bits if header.top_down else bits[::-1])[:, : header.width]) * np.uint8(255)
    return Image.fromarray(np.dstack([pixels[..., :3], opaque.astype(np.uint8)]))


def _header(source: Source) -> _Header:
    size = _number(source.read_at(0, 4), 0)
    head = source.read_at(0, size if _CORE < size < _INFO else _INFO + 16).ljust(_INFO + 16, b"\0")
    if size == _CORE:
        width, height, bits = _number(head, 4, 2), _number(head, 6, 2), _number(head, 10, 2)
        coded, colours = _PLAIN, 0
    else:
        width = _number(head, 4)
        height = int.from_bytes(head[8:12], "little", signed=True)
        bits, coded, colours = _number(head, 14, 2), _number(head, 16), _number(head, 32)
    if not width or not height:
        raise Damaged("a BMP that is empty")
    if bits not in (*_INDICES, *_MASKS):
        raise Damaged(f"a BMP of {bits} bits a pixel")
    masks = _MASKS.get(bits, (0, 0, 0, 0))
    if coded in (_BY_MASKS, _BY_MASKS_AND_ALPHA):
        has_alpha = size >= _WITH_ALPHA_MASK or coded == _BY_MASKS_AND_ALPHA
        red, green, blue, alpha = (_number(head, _INFO + 4 * i) for i in range(4))
        masks = (red, green, blue, alpha if has_alpha else 0)
    made = _Header(size, width, abs(height), height < 0, bits, coded, min(colours, 1 << 16), masks)
    if coded not in (_PLAIN, _BY_MASKS, _BY_MASKS_AND_ALPHA) and not made.in_run_lengths:
        raise Damaged("a BMP that is coded in an uncommon way")
    return made


def _pixels(source: Source, header: _Header, at: int, most_pixels: int) -> _Pixels:
    """Pixels uint8 ``[h, w, 3]`` or ``[h, w, 4]``, the rows ``at`` a place."""
    if not header.height:
        raise Damaged("a BMP without rows")
    if header.width * header.height > most_pixels:
        raise Image.DecompressionBombError
    size = header.stride * header.height
    data = source.read_at(at, size)
    if len(data) < size:
        raise Damaged("truncated BMP")
    lines = np.frombuffer(data, np.uint8).reshape(header.height, header.stride)
    if not header.top_down:
        lines = lines[::-1]
    if header.bits in _INDICES:
        pixels = _by_palette(_palette(source, header, at), lines, header.width, header.bits)
    else:
        pixels = _by_masks(header.masks, lines, header.width, header.bits // 8)
    return np.ascontiguousarray(pixels)


def _number(head: bytes, at: int, length: int = 4) -> int:
    return int.from_bytes(head[at : at + length], "little")


def _palette(source: Source, header: _Header, rows_at: int) -> _Pixels:
    """Colours uint8 ``[2 ** bits, 3]``; those that the file lacks are black."""
    most, width = 1 << header.bits, header.palette_entry
    # What the header counts is read even where the rows are said to begin before its end.
    count = min(header.colours or max(0, rows_at - header.size) // width, most)
    data = source.read_at(header.size, count * width)
    table = np.zeros((most, 3), np.uint8)
    known = np.frombuffer(data[: len(data) // width * width], np.uint8).reshape(-1, width)
    table[: len(known)] = known[:, 2::-1]
    return table


def _by_palette(table: _Pixels, lines: _Pixels, width: int, bits: int) -> _Pixels:
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    indices = (lines[..., None] >> shifts) & np.uint8((1 << bits) - 1)
    pixels: _Pixels = table[indices.reshape(len(lines), -1)[:, :width]]
    return pixels


def _by_masks(masks: tuple[int, int, int, int], lines: _Pixels, width: int, size: int) -> _Pixels:
    samples = lines[:, : width * size].reshape(len(lines), width, size)
    pixels = np.zeros(samples.shape[:2], np.uint32)
    for number in range(size):
        pixels |= samples[..., number].astype(np.uint32) << np.uint32(8 * number)
    planes = []
    for mask in masks if masks[3] else masks[:3]:
        shift = (mask & -mask).bit_length() - 1 if mask else 0
        most = max(1, mask >> shift)
        levels = (pixels & np.uint32(mask)) >> np.uint32(shift)
        planes.append(np.rint(levels * (255 / most)).astype(np.uint8))
    return np.stack(planes, axis=-1)
