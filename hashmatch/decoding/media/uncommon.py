"""Formats of images that few programs write: which have next to no magic, and how long each is."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Final

from hashmatch.decoding.media.source import Source

__all__ = ["by_structure", "missing"]

_HEAD_BYTES: Final = 400
_TEXTS: Final = frozenset({"xbm", "xpm"})
_TAIL_BYTES: Final = 4096

# A text that is a whole header of one is one: both dimensions, and the array that follows.
_XBM: Final = re.compile(
    rb"\s*(?:/\*.*?\*/\s*)?#define[ \t]+(\w*?)_?width[ \t]+\d+[ \t]*[\r\n]+"
    rb"#define[ \t]+\1_?height[ \t]+\d+[ \t]*[\r\n]+"
    rb"(?:#define[ \t]+\w+_[xy]_hot[ \t]+\d+[ \t]*[\r\n]+){0,2}\s*"
    rb"(?:static[ \t]+)?(?:const[ \t]+)?(?:unsigned[ \t]+)?(?:char|short)[ \t]+\1_?bits\[\]",
    re.DOTALL,
)
# Its length, dimensions below 65,536, one plane, bits of a pixel, a packing.
_DIB: Final = re.compile(
    rb"[\x28\x6c\x7c]\0\0\0..\0\0..(?:\0\0|\xff\xff)\x01\0[\x01\x04\x08\x10\x18\x20]\0[\0-\x03]\0\0\0",
    re.DOTALL,
)
# A PhotoCD has its name behind the first sector; its base picture has 768 x 512 pixels, in a plane
# of lightness and two of a quarter.
_PCD_NAME_AT: Final = 2048
_PCD_END: Final = 96 * 2048 + 768 * 512 * 3 // 2


def by_structure(source: Source) -> tuple[str, str, str] | None:
    """The name of a format without magic at its start, as Pillow names it, and FFmpeg's decoder;
    None if the file is of none. Waits for the end of the source.
    """
    head = source.read_at(0, _HEAD_BYTES)
    if _XBM.match(head):
        return "xbm", "XBM", ""
    if _DIB.match(head):
        return "dib", "DIB", ""
    if source.read_at(_PCD_NAME_AT, 4) == b"PCD_":
        return "pcd", "PCD", ""
    if _spider_end(head) == source.total():
        return "spider", "SPIDER", ""
    if _wbmp_end(head) == source.total():
        return "wbmp", "", "wbmp"
    return None


def _wbmp_end(head: bytes) -> int | None:
    """Source: WAP-237, 4.5.1: a type and a fixed header of zero, then two numbers of any length."""
    if head[:2] != b"\0\0":
        return None
    at, numbers = 2, []
    for _ in range(2):
        number = 0
        while at < min(len(head), 12) and head[at] & 0x80:
            number = number << 7 | head[at] & 0x7F
            at += 1
        numbers.append(number << 7 | (head[at] if at < len(head) else 0))
        at += 1
    width, height = numbers
    return at + (width + 7) // 8 * height if width > 7 and height > 7 else None


def _spider_end(head: bytes) -> int | None:
    """Source: SPIDER, "image format": numbers in floating point, of which those that count records
    and bytes of the header have to fit each other.
    """
    if len(head) < 23 * 4:
        return None
    for order in "><":
        numbers = (0.0, *struct.unpack(f"{order}23f", head[: 23 * 4]))
        rows, kind, columns, records, total, length = (numbers[at] for at in (2, 5, 12, 13, 22, 23))
        is_whole = all(1 <= each < 1 << 24 and each.is_integer() for each in (rows, columns, total))
        if is_whole and kind == 1 and records * length == total:
            return int(total + rows * columns * 4)
    return None


def missing(source: Source, name: str) -> str | None:
    """Says in a sentence what is missing at the end of one of these; None if nothing is, or its
    decoder finds it out.
    """
    if name in _TEXTS:
        start = max(0, source.total() - _TAIL_BYTES)
        is_closed = b"}" in source.read_at(start, _TAIL_BYTES)
        return None if is_closed else "the file ends before the end of its array"
    if name not in _ENDS:
        return None
    least, end_of = _ENDS[name]
    head = source.read_at(0, _HEAD_BYTES)
    end = end_of(head) if len(head) >= least else least
    if end > source.total():
        return f"its picture ends at byte {end}, the file at byte {source.total()}"
    return None


def _at(head: bytes, place: int, size: int = 4, order: str = "little") -> int:
    return int.from_bytes(head[place : place + size], "big" if order == "big" else "little")


def _blp(head: bytes) -> int:
    at = 28 if head[:4] == b"BLP1" else 20
    return _at(head, at) + _at(head, at + 64)


def _sun(head: bytes) -> int:
    if _at(head, 20, order="big") == 2:  # In runs.
        return 32 + _at(head, 28, order="big") + _at(head, 16, order="big")
    bits = _at(head, 4, order="big") * _at(head, 12, order="big")
    rows = (bits + 15) // 16 * 2 * _at(head, 8, order="big")
    return 32 + _at(head, 28, order="big") + rows


def _msp(head: bytes) -> int:
    width, height = _at(head, 4, 2), _at(head, 6, 2)
    return 32 + (2 * height if head[:4] == b"LinS" else (width + 7) // 8 * height)


def _pixar(head: bytes) -> int:
    return 1024 + 3 * _at(head, 416, 2) * _at(head, 418, 2) if len(head) > 420 else 1024


def _gbr(head: bytes) -> int:
    size = _at(head, 8, order="big") * _at(head, 12, order="big") * _at(head, 16, order="big")
    return _at(head, 0, order="big") + size


# Of each the least bytes of a header, and the end by a header that is whole.
_ENDS: Final[dict[str, tuple[int, Callable[[bytes], int]]]] = {
    "blp": (156, _blp),
    "sun": (32, _sun),
    "msp": (32, _msp),
    "pixar": (_HEAD_BYTES, _pixar),
    "gbr": (28, _gbr),
    "ftex": (32, lambda head: 36 + _at(head, 32) if len(head) > 36 else 36),
    "fli": (128, lambda head: _at(head, 0) - 1),  # It may be padded to an even number.
    "flic": (128, lambda head: _at(head, 0) - 1),
    "pcd": (_HEAD_BYTES, lambda _: _PCD_END),
    "im": (512, lambda _: 512),
    "dcx": (12, lambda _: 12),
}
