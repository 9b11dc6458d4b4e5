"""The directories of a TIFF, or of the EXIF of an image: each can have a picture.

Source: TIFF 6.0, section 2, and EXIF 2.32, 4.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from hashmatch.decoding.media.source import PartSource, PatchedSource, Source

__all__ = ["MOST", "Directory", "directories", "is_tiff", "missing", "profile"]

# More than any honest file has; a crafted one could go round for ever.
MOST: Final = 64
_MOST_TAGS: Final = 1000

_SIZES: Final = {3: 2, 4: 4, 13: 4, 16: 8, 18: 8}  # Of types that can be a place or a length.
# Of the strips of a picture no honest file has more.
_MOST_STRIPS: Final = 1 << 20
_WIDTH: Final = 256
_HEIGHT: Final = 257
_BITS: Final = 258
_COMPRESSION: Final = 259
_PHOTOMETRIC: Final = 262
_STRIPS: Final = 273
_STRIP_LENGTHS: Final = 279
_TILES: Final = 324
_TILE_LENGTHS: Final = 325
_SUB_DIRECTORIES: Final = 330
_ICC_PROFILE: Final = 34675
_MOST_PROFILE: Final = 1 << 22
_JPEG_START: Final = 513
_JPEG_LENGTH: Final = 514
_READ: Final = frozenset(
    {
        _WIDTH,
        _HEIGHT,
        _BITS,
        _COMPRESSION,
        _PHOTOMETRIC,
        _SUB_DIRECTORIES,
        _JPEG_START,
        _JPEG_LENGTH,
    }
)
_OF_ROWS: Final = frozenset({_STRIPS, _STRIP_LENGTHS, _TILES, _TILE_LENGTHS})
# Of those, so many are read for each directory, of which there may be many.
_MOST_ROWS: Final = 1 << 12
# Samples of whole bytes, of grey or red, green and blue, by a palette or YCbCr: neither mosaics of
# sensors nor what zero is white in. Source: TIFF 6.0, section 8.
_WHOLE_BYTES: Final = frozenset({8, 16, 32})
_OF_SCREENS: Final = ([1], [2], [3], [6])


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory; ``chained`` if programs that turn pages come by it."""

    at: int
    chained: bool
    tags: dict[int, list[int]]

    @property
    def has_picture(self) -> bool:
        """True if it says where the rows of a picture are."""
        return _STRIPS in self.tags or _TILES in self.tags

    @property
    def is_plain(self) -> bool:
        """True if nothing in how its levels are stored is uncommon: decoders that know little of
        that show noise, or the negative.
        """
        bits = self.tags.get(_BITS, [1])
        return _WHOLE_BYTES.issuperset(bits) and self.tags.get(_PHOTOMETRIC) in _OF_SCREENS

    @property
    def photometric(self) -> list[int]:
        """What its levels are of."""
        return self.tags.get(_PHOTOMETRIC, [])

    @property
    def compression(self) -> int:
        """How its rows are packed."""
        return next(iter(self.tags.get(_COMPRESSION, [])), 1)

    @property
    def long_side(self) -> int:
        """Its longer side, in pixels; 0 if it does not say."""
        return max(*self.tags.get(_WIDTH, [])[:1], *self.tags.get(_HEIGHT, [])[:1], 0, 0)

    @property
    def extents(self) -> list[tuple[int, int]]:
        """The first byte of each strip or tile, and the first behind it."""
        return [
            (start, start + length)
            for places, lengths in ((_STRIPS, _STRIP_LENGTHS), (_TILES, _TILE_LENGTHS))
            for start, length in zip(
                self.tags.get(places, ()), self.tags.get(lengths, ()), strict=False
            )
        ]

    def preview(self, source: Source) -> Source | None:
        """The JPEG file that it says is its preview."""
        start, length = self.tags.get(_JPEG_START), self.tags.get(_JPEG_LENGTH)
        if not start or not length or self.has_picture:
            return None
        return PartSource(source, start[0], start[0] + length[0])

    def alone(self, source: Source) -> Source:
        """The file as it would be if this was its first directory."""
        layout = _layout(source)
        return PatchedSource(source, {layout.first_at: layout.place(self.at)})

    def by_itself(self, source: Source) -> Source:
        """The file as it would be if this was its only directory."""
        layout = _layout(source)
        count, entries = _entries(source, layout, self.at)
        start = self.at + layout.count_width
        patches = {
            layout.first_at: layout.place(self.at),
            start + layout.entry * count: layout.place(0),
        }
        for number, (tag, _) in enumerate(_tags(layout, entries[: layout.entry * count])):
            if tag == _SUB_DIRECTORIES:  # Has none of them then.
                patches[start + number * layout.entry + 4] = bytes(layout.width)
        return PatchedSource(source, patches)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How wide the numbers of a file are, in bytes: those of BigTIFF are twice as wide."""

    order: Literal["little", "big"]
    width: int  # Of places.
    count_width: int  # Of the number of tags.

    @property
    def first_at(self) -> int:
        """Where it says where its first directory is."""
        return self.width

    @property
    def entry(self) -> int:
        """Bytes of a tag."""
        return 4 + 2 * self.width

    def place(self, at: int) -> bytes:
        return at.to_bytes(self.width, self.order)

    def number(self, data: bytes) -> int:
        return int.from_bytes(data, self.order)


def _layout(source: Source) -> _Layout:
    """Source: TIFF 6.0, section 2; BigTIFF as libtiff describes it."""
    head = source.read_at(0, 4)
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    return _Layout(order, 8, 8) if 0x2B in head[2:4] else _Layout(order, 4, 2)


def is_tiff(head: bytes) -> bool:
    """True for the first bytes of a TIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def directories(source: Source) -> Iterator[Directory]:
    """All directories, those within others too; at most `MOST` and one, by which it is told that
    there are more.
    """
    layout = _layout(source)
    waiting = [(layout.number(source.read_at(layout.first_at, layout.width)), True)]
    seen: set[int] = set()
    while waiting and len(seen) <= MOST:
        at, chained = waiting.pop(0)
        if at in seen or at < 8:
            continue
        seen.add(at)
        count, entries = _entries(source, layout, at)
        if count > _MOST_TAGS:
            continue
        tags: dict[int, list[int]] = {}
        for tag, entry in _tags(layout, entries[: layout.entry * count]):
            if tag in _READ or tag in _OF_ROWS:
                most = _MOST_ROWS if tag in _OF_ROWS else MOST
                tags[tag] = _values(source, entry, layout, most)
        following = layout.number(entries[layout.entry * count :][: layout.width])
        waiting.append((following, chained))
        waiting += [(each, False) for each in tags.get(_SUB_DIRECTORIES, ())]
        yield Directory(at, chained, tags)


def _entries(source: Source, layout: _Layout, at: int) -> tuple[int, bytes]:
    """How many tags the directory at a place has, and their bytes with the place that follows."""
    count = layout.number(source.read_at(at, layout.count_width))
    if count > _MOST_TAGS:
        return count, b""
    size = layout.entry * count + layout.width
    return count, source.read_at(at + layout.count_width, size)


def _tags(layout: _Layout, entries: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, all its bytes) of each whole entry."""
    for start in range(0, len(entries) - layout.entry + 1, layout.entry):
        entry = entries[start : start + layout.entry]
        yield layout.number(entry[:2]), entry


def profile(source: Source) -> bytes:
    """The ICC profile of the first page; empty if it has none."""
    layout = _layout(source)
    at = layout.number(source.read_at(layout.first_at, layout.width))
    count, entries = _entries(source, layout, at)
    for tag, entry in _tags(layout, entries[: layout.entry * count]):
        if tag == _ICC_PROFILE:
            length = layout.number(entry[4 : 4 + layout.width])
            place = layout.number(entry[-layout.width :])
            return source.read_at(place, min(length, _MOST_PROFILE))
    return b""


def missing(source: Source) -> str | None:
    """Says in a sentence what of the pages lies behind the end of the file; None if nothing does,
    or the directories do not tell.
    """
    layout, size = _layout(source), source.total()
    at = layout.number(source.read_at(layout.first_at, layout.width))
    seen: set[int] = set()
    while at >= 8 and at not in seen and len(seen) < MOST:
        seen.add(at)
        count, entries = _entries(source, layout, at)
        if count > _MOST_TAGS:
            return None
        if len(entries) < layout.entry * count or at >= size:
            return f"a directory lies behind the end of the file, at byte {at}"
        values = {}
        for tag, entry in _tags(layout, entries[: layout.entry * count]):
            if tag in (_STRIPS, _STRIP_LENGTHS, _TILES, _TILE_LENGTHS):
                values[tag] = _values(source, entry, layout, _MOST_STRIPS)
        for places, lengths in ((_STRIPS, _STRIP_LENGTHS), (_TILES, _TILE_LENGTHS)):
            both = zip(values.get(places, ()), values.get(lengths, ()), strict=False)
            end = max((start + length for start, length in both), default=0)
            if end > size:
                return f"its rows end at byte {end}, the file at byte {size}"
        at = layout.number(entries[layout.entry * count :][: layout.width])
    return None


def _values(source: Source, entry: bytes, layout: _Layout, most: int) -> list[int]:
    size = _SIZES.get(layout.number(entry[2:4]), 0)
    count = min(layout.number(entry[4 : 4 + layout.width]), most)
    if not size:
        return []
    data = entry[-layout.width :]
    if size * count > layout.width:
        data = source.read_at(layout.number(data), size * count)
    return [layout.number(data[i : i + size]) for i in range(0, min(size * count, len(data)), size)]
