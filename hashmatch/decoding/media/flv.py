"""FLV by its tags: where a film ends, and another begins behind it.

Source: Adobe, "Video File Format Specification" 10.1, annex E.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hashmatch.decoding.media.source import PartSource, Source

__all__ = ["FirstFilm", "films_behind", "missing", "unseen"]

_MAGIC: Final = b"FLV\x01"
_TAGS: Final = frozenset({8, 9, 18})  # Sound, pictures, script.
_KIND: Final = 0x1F
_MOST_FILMS: Final = 16
# Behind the header of a film as if it were a tag: where demuxers go on. The length is "LV" and 1.
_SKIPPED: Final = 15 + int.from_bytes(_MAGIC[1:], "big")
_TAG_BYTES: Final = 15  # Around the data of a tag, the length that is repeated behind it included.


class FirstFilm:
    """A source of an FLV file up to the header of the next film that was put behind it: demuxers
    take that for a tag, and skip megabytes.
    """

    def __init__(self, source: Source) -> None:
        """Of which nothing was read yet."""
        self._source = source
        self._at: int | None = None  # Of the first tag that is not yet passed.
        self._end: int | None = None
        self._in_step = True

    def read_at(self, offset: int, size: int, *, whole: bool = True) -> bytes:
        """See `Source`."""
        data = self._source.read_at(offset, size, whole=whole)
        reached = offset + len(data)
        self._walk(reached)
        at = self._at
        if self._end is None and self._in_step and at is not None and at < reached:
            if offset < at:
                return data[: at - offset]  # A header may begin there.
            self._walk(at + len(self._source.read_at(at, len(_MAGIC))))
        if self._end is None:
            return data
        return data[: max(0, self._end - offset)]

    def total(self) -> int:
        """See `Source`."""
        total = self._source.total()
        self._walk(total)
        return total if self._end is None else self._end

    def _walk(self, to: int) -> None:
        """Passes tags that lie before a place up to which all bytes are there."""
        if self._at is None:
            self._at = _first_tag(self._source)
        while self._in_step and self._end is None and self._at + len(_MAGIC) <= to:
            head = self._source.read_at(self._at, len(_MAGIC))
            if head == _MAGIC:
                self._end = self._at
            elif head[0] & _KIND not in _TAGS:
                self._in_step = False
            else:
                self._at += _TAG_BYTES + int.from_bytes(head[1:], "big")


def films_behind(source: Source) -> Iterator[int]:
    """Where films begin that were put behind the first of an FLV file, up to `_MOST_FILMS`. Waits
    for its end.
    """
    start, total = 0, source.total()
    for _ in range(_MOST_FILMS):
        end = start + FirstFilm(PartSource(source, start)).total()
        if end >= total:
            return
        yield end
        start = end


def unseen(source: Source) -> str | None:
    """Says in a phrase what of an FLV file players show otherwise than film by film; None if there
    is nothing. ``source`` begins with a film.
    """
    end, total = FirstFilm(PartSource(source, 0)).total(), source.total()
    if end < total and end + _SKIPPED < total:
        return "a second film that is so long that players go on within it"
    for number, _ in enumerate(films_behind(source), 1):
        if number == _MOST_FILMS:
            return f"more films than {_MOST_FILMS} behind each other"
    return None


def missing(source: Source, size: int) -> str | None:
    """Says what is missing of tags of known kinds, each with its length; the length is repeated
    behind, but for the last one perhaps.
    """
    start = _first_tag(source)
    while start < size:
        header = source.read_at(start, 4)
        if header[0] & _KIND not in _TAGS:
            return f"there is no tag at byte {start}"
        start += _TAG_BYTES + int.from_bytes(header[1:], "big")
    if start - 4 > size:
        return f"its last tag ends at byte {start - 4}, the file at byte {size}"
    return None


def _first_tag(source: Source) -> int:
    return int.from_bytes(source.read_at(5, 4), "big") + 4
