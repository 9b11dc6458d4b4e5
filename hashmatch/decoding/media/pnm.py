"""The pictures of a netpbm file, which follow each other. Source: Netpbm, "pnm" and "pam"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from hashmatch.decoding.media.source import PartSource, Source

__all__ = ["missing", "pictures"]

_HEAD_BYTES: Final = 4096
_BLANK: Final = rb"(?:\s|#[^\n]*\n)+"
_NUMBER: Final = rb"(\d+)"
_BITS: Final = re.compile(b"P4" + (_BLANK + _NUMBER) * 2 + rb"\s")
_LEVELS: Final = re.compile(b"P([56])" + (_BLANK + _NUMBER) * 3 + rb"\s")
_FLOATS: Final = re.compile(rb"P([Ff])\s+(\d+)\s+(\d+)\s+[-+.\deE]+\s")
_ANY: Final = re.compile(rb"P7\n((?:[^\n]*\n)*?)ENDHDR\n")
_BEGINS: Final = re.compile(rb"P[4-7Ff]\s")


def _length(head: bytes) -> int | None:
    """Bytes of the picture that begins with ``head``; None if that does not tell: of levels in
    plain text there is no telling.
    """
    if found := _BITS.match(head):
        width, height = int(found[1]), int(found[2])
        return found.end() + (width + 7) // 8 * height
    if found := _LEVELS.match(head):
        samples = 3 if found[1] == b"6" else 1
        width, height, most = (int(found[i]) for i in (2, 3, 4))
        return found.end() + width * height * samples * (2 if most > 255 else 1)
    if found := _FLOATS.match(head):
        samples = 3 if found[1] == b"F" else 1
        return found.end() + int(found[2]) * int(found[3]) * samples * 4
    if found := _ANY.match(head):
        said = dict(re.findall(rb"(?m)^(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d+)", found[1]))
        if len(said) < 4:
            return None
        width, height, depth, most = (
            int(said[name]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL")
        )
        return found.end() + width * height * depth * (2 if most > 255 else 1)
    return None


def _places(source: Source) -> Iterator[tuple[int, int | None]]:
    """(first byte, length) of each picture."""
    start = 0
    while True:
        head = source.read_at(start, _HEAD_BYTES)
        if start and not _BEGINS.match(head):
            return
        length = _length(head)
        yield start, length
        if length is None:
            return
        start += max(1, length)


def pictures(source: Source) -> Iterator[Source]:
    """Each picture as a file of its own."""
    for start, length in _places(source):
        yield PartSource(source, start, None if length is None else start + length)


def missing(source: Source) -> str | None:
    """Says in a sentence what is missing at its end; None if nothing is."""
    for start, length in _places(source):
        if length is not None and start + length > source.total():
            return f"its picture ends at byte {start + length}, the file at byte {source.total()}"
    return None
