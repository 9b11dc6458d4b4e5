"""The directories of a TIFF, or of the EXIF of an image: each can have a picture.

Source: TIFF 6.0, section 2, and EXIF 2.32, 4.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from hashmatch.media.source import PartSource, PatchedSource, Source

__all__ = ["MOST", "Directory", "directories", "is_tiff"]

# More than any honest file has; a crafted one could go round for ever.
MOST: Final = 64
_MOST_TAGS: Final = 1000

_SIZES: Final = {3: 2, 4: 4, 13: 4}  # Of types that can be a place or a length.
_STRIPS: Final = 273
_TILES: Final = 324
_SUB_DIRECTORIES: Final = 330
_JPEG_START: Final = 513
_JPEG_LENGTH: Final = 514


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

    def preview(self, source: Source) -> Source | None:
        """The JPEG file that it says is its preview."""
        start, length = self.tags.get(_JPEG_START), self.tags.get(_JPEG_LENGTH)
        if not start or not length or self.has_picture:
            return None
        return PartSource(source, start[0], start[0] + length[0])

    def alone(self, source: Source) -> Source:
        """The file as it would be if this was its first directory."""
        return PatchedSource(source, {4: self.at.to_bytes(4, _order(source.read_at(0, 2)))})


def is_tiff(head: bytes) -> bool:
    """True for the first bytes of a TIFF."""
    return head[:4] in (b"II*\0", b"MM\0*")


def _order(head: bytes) -> Literal["little", "big"]:
    return "little" if head[:2] == b"II" else "big"


def directories(source: Source) -> Iterator[Directory]:
    """All directories, those within others too; at most `MOST` and one, by which it is told that
    there are more.
    """
    order = _order(source.read_at(0, 2))
    waiting = [(int.from_bytes(source.read_at(4, 4), order), True)]
    seen: set[int] = set()
    while waiting and len(seen) <= MOST:
        at, chained = waiting.pop(0)
        if at in seen or at < 8:
            continue
        seen.add(at)
        count = int.from_bytes(source.read_at(at, 2), order)
        if count > _MOST_TAGS:
            continue
        entries = source.read_at(at + 2, 12 * count + 4)
        tags: dict[int, list[int]] = {}
        for entry in range(0, min(12 * count, len(entries) - 11), 12):
            tag = int.from_bytes(entries[entry : entry + 2], order)
            if tag in (_STRIPS, _TILES, _SUB_DIRECTORIES, _JPEG_START, _JPEG_LENGTH):
                tags[tag] = _values(source, entries[entry : entry + 12], order)
        following = int.from_bytes(entries[12 * count : 12 * count + 4], order)
        waiting.append((following, chained))
        waiting += [(each, False) for each in tags.get(_SUB_DIRECTORIES, ())]
        yield Directory(at, chained, tags)


def _values(source: Source, entry: bytes, order: Literal["little", "big"]) -> list[int]:
    size = _SIZES.get(int.from_bytes(entry[2:4], order), 0)
    count = min(int.from_bytes(entry[4:8], order), MOST)
    if not size:
        return []
    data = entry[8:12]
    if size * count > 4:
        data = source.read_at(int.from_bytes(data, order), size * count)
    return [int.from_bytes(data[i * size : (i + 1) * size], order) for i in range(count)]
