"""The items of an image file format (HEIF, AVIF): which pictures a file has beside its first.

Source: ISO/IEC 23008-12 and ISO/IEC 14496-12, 8.11.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from hashmatch.media.source import Source

__all__ = ["Items", "handler", "inner_boxes", "items"]

# Bytes of a ``meta`` box that are read: those of a grid of a thousand tiles have 50,000.
_MOST_BYTES: Final = 1 << 22

# Items that are no pictures: metadata, and what a viewer follows only when it is clicked.
_NO_PICTURES: Final = frozenset({b"Exif", b"mime", b"uri ", b"rgan", b"exif"})
# Source: libavif, src/read.c, which are decoded when the primary item is one of them.
_AVIF_PICTURES: Final = frozenset({b"av01", b"grid", b"sato"})
_PARTS_OF: Final = b"dimg"
_BESIDE: Final = b"auxl"
_ALPHA: Final = (
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha",
    b"urn:mpeg:hevc:2015:auxid:1",
)


@dataclass(slots=True)
class Items:
    """The items of a ``meta`` box."""

    primary: int | None = None
    # Where in the file the number of the primary item is written, and in how many bytes.
    primary_at: int = 0
    primary_bytes: int = 2
    kinds: dict[int, bytes] = field(default_factory=dict)
    references: list[tuple[bytes, int, tuple[int, ...]]] = field(default_factory=list)
    properties: dict[int, list[tuple[bytes, bytes]]] = field(default_factory=dict)
    # Where in the file the kinds of an item's references are written.
    references_at: dict[int, list[int]] = field(default_factory=dict)
    damaged: bool = False

    def coded(self, item: int) -> set[bytes]:
        """How the pictures that an item is made of are coded, such as ``av01``."""
        found: set[bytes] = set()
        waiting, seen = [item], set()
        while waiting:
            each = waiting.pop()
            if each in seen:
                continue
            seen.add(each)
            parts = self._parts(each)
            if parts:
                waiting += parts
            elif each in self.kinds:
                found.add(self.kinds[each])
        return found

    def others(self) -> list[int]:
        """Pictures beside the primary one which are neither parts of one that is looked at, nor
        its transparency.
        """
        shown_with: set[int] = set()
        for item, kind in self.kinds.items():
            if kind in (b"grid", b"sato"):
                shown_with.update(self._parts(item))
        for kind, item, to in self.references:
            if kind == _BESIDE and self._is_alpha(item) and to:
                shown_with.add(item)
                shown_with.update(self._parts(item))
        return [
            item
            for item, kind in self.kinds.items()
            if item != self.primary and kind not in _NO_PICTURES and item not in shown_with
        ]

    def is_avif(self, item: int) -> bool:
        """True if the decoder of AVIF shows this item when it is the primary one."""
        return self.kinds.get(item) in _AVIF_PICTURES and self.coded(item) == {b"av01"}

    def property_of(self, item: int | None, kind: bytes) -> bytes | None:
        """The content of a property of an item; None if it has none."""
        for each, content in self.properties.get(item or 0, ()):
            if each == kind:
                return content
        return None

    def _parts(self, item: int) -> list[int]:
        return [
            part
            for kind, whole, parts in self.references
            if kind == _PARTS_OF and whole == item
            for part in parts
        ]

    def _is_alpha(self, item: int) -> bool:
        content = self.property_of(item, b"auxC") or b""
        return content[4:].split(b"\0")[0] in _ALPHA


def inner_boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, start of its content, its end) of each box between two places of ``data``; the end
    is at most ``end``. Ends where there is no box.
    """
    while start + 8 <= end:
        length = int.from_bytes(data[start : start + 4], "big")
        header = 8
        if length == 1:
            length, header = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        elif length == 0:
            length = end - start
        if length < header:
            return
        yield data[start + 4 : start + 8], start + header, min(start + length, end)
        start += length


def handler(source: Source, start: int) -> bytes:
    """What a ``meta`` box of a file says that it is of (``pict`` for pictures); empty if it does
    not say. ``start`` is the box's own first byte.
    """
    head = source.read_at(start, 64)
    at = head.find(b"hdlr")
    return head[at + 12 : at + 16] if at >= 0 else b""


def items(source: Source, start: int, end: int) -> Items:
    """The items of the ``meta`` box that lies between these bytes of a file."""
    found = Items()
    data = source.read_at(start, min(end - start, _MOST_BYTES))
    found.damaged = len(data) < end - start
    header = 16 if data[:4] == b"\0\0\0\1" else 8
    properties: list[tuple[bytes, bytes]] = []
    for kind, at, to in inner_boxes(data, header + 4, len(data)):
        if kind == b"pitm" and found.primary is None:
            found.primary_bytes = 4 if data[at] else 2
            found.primary_at = start + at + 4
            found.primary = int.from_bytes(data[at + 4 : at + 4 + found.primary_bytes], "big")
        elif kind == b"iinf":
            _read_infos(found, data, at, to)
        elif kind == b"iref":
            _read_references(found, data, at, to, start)
        elif kind == b"iprp":
            for inner, inner_at, inner_to in inner_boxes(data, at, to):
                if inner == b"ipco":
                    properties = [
                        (each, data[each_at:each_to])
                        for each, each_at, each_to in inner_boxes(data, inner_at, inner_to)
                    ]
                elif inner == b"ipma":
                    _read_associations(found, data[inner_at:inner_to], properties)
    return found


def _read_infos(found: Items, data: bytes, at: int, to: int) -> None:
    first = at + (8 if data[at] else 6)
    for kind, start, end in inner_boxes(data, first, to):
        if kind != b"infe" or data[start] < 2:
            continue
        wide = 4 if data[start] > 2 else 2
        item = int.from_bytes(data[start + 4 : start + 4 + wide], "big")
        kind_at = start + 4 + wide + 2
        if kind_at + 4 <= end:
            found.kinds[item] = data[kind_at : kind_at + 4]


def _read_references(found: Items, data: bytes, at: int, to: int, base: int) -> None:
    wide = 4 if data[at] else 2
    for kind, start, end in inner_boxes(data, at + 4, to):
        numbers = [
            int.from_bytes(data[each : each + wide], "big")
            for each in (start, *range(start + wide + 2, end, wide))
        ]
        found.references.append((kind, numbers[0], tuple(numbers[1:])))
        if kind in (b"thmb", _BESIDE):
            found.references_at.setdefault(numbers[0], []).append(base + start - 4)


def _read_associations(found: Items, data: bytes, properties: list[tuple[bytes, bytes]]) -> None:
    if len(data) < 8:
        return
    wide_item = 4 if data[0] else 2
    wide_index = 2 if data[3] & 1 else 1
    at = 8
    for _ in range(int.from_bytes(data[4:8], "big")):
        if at + wide_item >= len(data):
            return
        item = int.from_bytes(data[at : at + wide_item], "big")
        count = data[at + wide_item]
        at += wide_item + 1
        for _ in range(count):
            index = int.from_bytes(data[at : at + wide_index], "big")
            index &= (1 << 8 * wide_index - 1) - 1  # The highest bit: essential.
            at += wide_index
            if 0 < index <= len(properties):
                found.properties.setdefault(item, []).append(properties[index - 1])
