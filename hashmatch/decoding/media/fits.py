"""The pictures of a FITS file. Source: IAU FITS Working Group, "Definition of FITS" 4.0, part 4."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from hashmatch.decoding.media.source import Source
from hashmatch.decoding.media.unseen import Unseen

__all__ = ["missing", "pictures"]

_BLOCK_BYTES: Final = 2880
_CARD_BYTES: Final = 80
_MOST_CARDS: Final = 1 << 14
_MOST_UNITS: Final = 1024
_NUMBER: Final = re.compile(rb"= +(-?\d+)")


def _units(source: Source) -> Iterator[tuple[dict[bytes, int], int, int]]:
    """(numbers of the header, first byte, length) of the data of each header and data unit."""
    start, size = 0, source.total()
    for _ in range(_MOST_UNITS):
        if start and source.read_at(start, 9) != b"XTENSION=":
            return
        numbers: dict[bytes, int] = {}
        for number in range(_MOST_CARDS):
            card = source.read_at(start + number * _CARD_BYTES, _CARD_BYTES)
            key = card[:8].strip()
            if key == b"END" or len(card) < _CARD_BYTES:
                break
            if found := _NUMBER.match(card[8:30]):
                numbers.setdefault(key, int(found[1]))
        else:
            return
        data = start + -(-(number + 1) * _CARD_BYTES // _BLOCK_BYTES) * _BLOCK_BYTES
        axes = [max(0, numbers.get(b"NAXIS%d" % at, 0)) for at in range(1, _axes(numbers) + 1)]
        length = 1 if axes else 0
        for each in axes:
            length *= each
        length = (length + max(0, numbers.get(b"PCOUNT", 0))) * max(1, numbers.get(b"GCOUNT", 1))
        length *= abs(numbers.get(b"BITPIX", 8)) // 8
        yield numbers, data, length
        start = data + -(-length // _BLOCK_BYTES) * _BLOCK_BYTES
        if start >= size:
            return


def _axes(numbers: dict[bytes, int]) -> int:
    return min(max(0, numbers.get(b"NAXIS", 0)), 999)


def missing(source: Source) -> str | None:
    """Says in a sentence what is missing at its end; None if nothing is."""
    end = max((start + length for _, start, length in _units(source)), default=0)
    if end > source.total():
        return f"its data end at byte {end}, the file at byte {source.total()}"
    return None


def pictures(source: Source) -> Iterator[Source | Unseen]:
    """The first picture, and what beside it no decoder here shows."""
    yield source
    with_data = [numbers for numbers, _, length in _units(source) if length]
    if len(with_data) > 1:
        yield Unseen("data behind the first picture")
    axes = _axes(with_data[0]) if with_data else 0
    if any(with_data[0].get(b"NAXIS%d" % at, 1) > 1 for at in range(3, axes + 1)):
        yield Unseen("slices behind the first")
