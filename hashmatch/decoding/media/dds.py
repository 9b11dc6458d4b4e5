"""The pictures of a texture (DDS): faces of a cube, entries of an array, slices of a volume; of
each the largest level. Source: Microsoft, "DDS", DDS_HEADER, DDS_HEADER_DXT10 and DXGI_FORMAT.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hashmatch.decoding.media.source import BytesSource, JoinedSource, PartSource, Source

__all__ = ["missing", "pictures"]

_HEADER_BYTES: Final = 128
_MORE_BYTES: Final = 20  # DDS_HEADER_DXT10
_PALETTE_BYTES: Final = 1024
_HAS_LEVELS: Final = 0x20000  # DDSD_MIPMAPCOUNT
_HAS_PALETTE: Final = 0x20  # DDPF_PALETTEINDEXED8
_HAS_CODE: Final = 0x4  # DDPF_FOURCC
_IS_CUBE: Final = 0x200  # DDSCAPS2_CUBEMAP
_FACES: Final = 0xFC00  # DDSCAPS2_CUBEMAP_POSITIVEX to NEGATIVEZ
_IS_VOLUME: Final = 0x200000  # DDSCAPS2_VOLUME
_IS_CUBE_MORE: Final = 0x4  # D3D10_RESOURCE_MISC_TEXTURECUBE
_MOST_LEVELS: Final = 32

# Bytes of a block of 4 x 4 pixels, by code, and by number.
_BLOCK_OF_CODE: Final = {
    **dict.fromkeys((b"DXT1", b"ATI1", b"BC4U", b"BC4S"), 8),
    **dict.fromkeys((b"DXT2", b"DXT3", b"DXT4", b"DXT5", b"ATI2", b"BC5U", b"BC5S"), 16),
}
_BLOCK_OF_NUMBER: Final = {
    **dict.fromkeys((*range(70, 73), *range(79, 82)), 8),
    **dict.fromkeys((*range(73, 79), *range(82, 85), *range(94, 100)), 16),
}
# Bits of a pixel without blocks, by number: up to which number, and how many.
_BITS: Final = ((4, 128), (8, 96), (22, 64), (47, 32), (59, 16), (65, 8), (84, 0), (86, 16))
_BITS_BEHIND: Final = 32


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the pictures of a file lie."""

    start: int  # Bytes before the first.
    level_bytes: int  # Of the largest level.
    apart: int  # Bytes from one to the next.
    count: int


def _layout(source: Source) -> _Layout:
    head = source.read_at(0, _HEADER_BYTES + _MORE_BYTES).ljust(_HEADER_BYTES + _MORE_BYTES, b"\0")
    numbers = [int.from_bytes(head[at : at + 4], "little") for at in range(0, len(head), 4)]
    flags, height, width, depth = numbers[2], numbers[3], numbers[4], numbers[6]
    levels = max(1, min(numbers[7], _MOST_LEVELS)) if flags & _HAS_LEVELS else 1
    kind, code, bits, caps = numbers[20], head[84:88], numbers[22], numbers[28]
    start, count, block = _HEADER_BYTES, 1, 0
    if caps & _IS_CUBE:
        count = (caps & _FACES).bit_count() or 6
    if kind & _HAS_CODE and code == b"DX10":
        start += _MORE_BYTES
        number = numbers[32]
        block = _BLOCK_OF_NUMBER.get(number, 0)
        bits = next((each for last, each in _BITS if number <= last), _BITS_BEHIND)
        count = max(1, numbers[35]) * (6 if numbers[34] & _IS_CUBE_MORE else 1)
    elif kind & _HAS_CODE:
        block = _BLOCK_OF_CODE.get(code, 0)
    elif kind & _HAS_PALETTE:
        start += _PALETTE_BYTES
        bits = 8
    sizes = [_level_bytes(width >> each, height >> each, block, bits) for each in range(levels)]
    if caps & _IS_VOLUME:
        return _Layout(start, sizes[0], sizes[0], max(1, depth))
    return _Layout(start, sizes[0], sum(sizes), count)


def _level_bytes(width: int, height: int, block: int, bits: int) -> int:
    width, height = max(1, width), max(1, height)
    if block:
        return (width + 3) // 4 * ((height + 3) // 4) * block
    return (width * bits + 7) // 8 * height


def pictures(source: Source) -> Iterator[Source]:
    """Each picture as a file of its own."""
    layout = _layout(source)
    if layout.count == 1 or not layout.level_bytes:
        yield source
        return
    head = BytesSource(source.read_at(0, layout.start))
    for number in range(layout.count):
        start = layout.start + number * layout.apart
        if start >= source.total():
            return  # `missing` says so.
        yield JoinedSource(head, PartSource(source, start, start + layout.level_bytes))


def missing(source: Source) -> str | None:
    """Says in a sentence what is missing at its end; None if nothing is. Smaller levels, which
    viewers of the largest do not ask for, may be.
    """
    layout = _layout(source)
    end = layout.start + (layout.count - 1) * layout.apart + layout.level_bytes
    if end > source.total():
        return f"its pictures end at byte {end}, the file at byte {source.total()}"
    return None
