"""The items of an image file format (HEIF, AVIF): which pictures a file has beside its first.

Source: ISO/IEC 23008-12 and ISO/IEC 14496-12, 8.11.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from hashmatch.decoding.media.extents import mp4_boxes
from hashmatch.decoding.media.faults import Damaged
from hashmatch.decoding.media.source import PatchedSource, Source

__all__ = ["Items", "Places", "handler", "inner_boxes", "items", "sets_of_items", "without_items"]

# Bytes of a ``meta`` box that are read: those of a grid of a thousand tiles have 50,000.
_MOST_BYTES: Final = 1 << 22

# Items that are no pictures: metadata, and what a viewer follows only when it is clicked.
_NO_PICTURES: Final = frozenset({b"Exif", b"mime", b"uri ", b"rgan", b"exif"})
# Those that are pictures even if they do not say how large they are, as damaged ones may not.
_PICTURES: Final = frozenset(
    b"av01 hvc1 hev1 lhv1 avc1 vvc1 evc1 jpeg j2k1 unci mski grid iovl iden tmap sato".split()
)
# Pictures that are made of others in full, so that those need not be looked at by themselves.
_MADE_OF_PARTS: Final = frozenset({b"grid", b"sato"})
_PARTS_OF: Final = b"dimg"
_BESIDE: Final = b"auxl"
_ALPHA: Final = (
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha",
    b"urn:mpeg:hevc:2015:auxid:1",
)


@dataclass(slots=True)
class Places:
    """Where the bytes of an item are: (start, length) of each part, in the file or, where
    ``in_list`` says so, in the ``idat`` box of the list of items. A length of 0: to the end.
    """

    parts: list[tuple[int, int]]
    in_list: bool = False
    # What keeps them from being read, in words.
    elsewhere: str = ""


@dataclass(slots=True)
class Items:
    """The items of a ``meta`` box."""

    primary: int | None = None
    kinds: dict[int, bytes] = field(default_factory=dict)
    references: list[tuple[bytes, int, tuple[int, ...]]] = field(default_factory=list)
    properties: dict[int, list[tuple[bytes, bytes]]] = field(default_factory=dict)
    places: dict[int, Places] = field(default_factory=dict)
    # Start and end of the bytes that lie within the list itself, in the file.
    inner: tuple[int, int] = 0, 0
    # Why not all of it is known, in words.
    doubts: list[str] = field(default_factory=list)
    _parts: dict[int, list[int]] = field(default_factory=dict)
    _beside: dict[int, list[int]] = field(default_factory=dict)
    _premultiplied: set[int] = field(default_factory=set)

    def refer(self, kind: bytes, of: int, to: tuple[int, ...]) -> None:
        """Adds a reference of one item to others."""
        self.references.append((kind, of, to))
        if kind == _PARTS_OF:
            self._parts.setdefault(of, []).extend(to)
        elif kind == _BESIDE:
            for each in to:
                self._beside.setdefault(each, []).append(of)
        elif kind == b"prem":
            self._premultiplied.add(of)

    def coded(self, item: int) -> set[bytes]:
        """How the pictures that an item is made of are coded, such as ``av01``."""
        found: set[bytes] = set()
        waiting, seen = [item], set()
        while waiting:
            each = waiting.pop()
            if each in seen:
                continue
            seen.add(each)
            parts = self.parts(each)
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
            if kind in _MADE_OF_PARTS:
                shown_with.update(self.parts(item))
        for kind, item, to in self.references:
            if kind == _BESIDE and self._is_alpha(item) and to:
                shown_with.add(item)
                shown_with.update(self.parts(item))
        return [
            item
            for item, kind in self.kinds.items()
            if item != self.primary and self._is_picture(item, kind) and item not in shown_with
        ]

    def property_of(self, item: int | None, kind: bytes) -> bytes | None:
        """The content of a property of an item; None if it has none."""
        for each, content in self.properties.get(item or 0, ()):
            if each == kind:
                return content
        return None

    def parts(self, item: int) -> list[int]:
        """The items that an item is made of, in order."""
        return self._parts.get(item, [])

    def alpha(self, item: int) -> int | None:
        """The item that is the transparency of an item; None if it has none."""
        return next(filter(self._is_alpha, self._beside.get(item, ())), None)

    def is_premultiplied(self, item: int) -> bool:
        """True if the colours of an item are multiplied by its transparency."""
        return item in self._premultiplied

    def described_by(self, item: int, kind: bytes) -> list[int]:
        """Items of a kind that describe an item, such as ``Exif``."""
        return [
            of
            for reference, of, to in self.references
            if reference == b"cdsc" and item in to and self.kinds.get(of) == kind
        ]

    def content(self, source: Source, item: int) -> bytes:
        """The bytes of an item of a file. Raises `Damaged` if they are not all there."""
        places = self.places.get(item)
        if places is None:
            raise Damaged("an item without a place")
        if places.elsewhere:
            raise Damaged(places.elsewhere)
        base, end = self.inner if places.in_list else (0, source.total())
        found, left = [], source.total()
        for start, length in places.parts:
            at = base + start
            wanted = length or max(0, end - at)
            left -= wanted
            if at + wanted > end or left < 0:
                raise Damaged("an item that ends behind the file")
            found.append(source.read_at(at, wanted))
        return b"".join(found)

    def _is_picture(self, item: int, kind: bytes) -> bool:
        """False for metadata of any kind: every picture has to say how large it is."""
        if kind in _NO_PICTURES:
            return False
        return kind in _PICTURES or self.property_of(item, b"ispe") is not None

    def _is_alpha(self, item: int) -> bool:
        content = self.property_of(item, b"auxC") or b""
        return content[4:].split(b"\0")[0] in _ALPHA


def sets_of_items(source: Source) -> list[tuple[int, int]]:
    """Start and end of each ``meta`` box of pictures at the outermost level of a file."""
    return [
        (start, end)
        for kind, start, end in mp4_boxes(source)
        if kind == b"meta" and end is not None and handler(source, start) == b"pict"
    ]


def without_items(source: Source) -> Source:
    """A file of which only the tracks are left: FFmpeg takes each item for a stream."""
    return PatchedSource(source, {start + 4: b"free" for start, _ in sets_of_items(source)})


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
    if end - start > _MOST_BYTES:
        found.doubts.append("items behind the first 4 MiB of their list")
    header = 16 if data[:4] == b"\0\0\0\1" else 8
    properties: list[tuple[bytes, bytes]] = []
    for kind, at, to in inner_boxes(data, header + 4, len(data)):
        if kind == b"pitm" and found.primary is None:
            found.primary = int.from_bytes(data[at + 4 : at + (8 if data[at] else 6)], "big")
        elif kind == b"iinf":
            _read_infos(found, data, at, to)
        elif kind == b"iref":
            _read_references(found, data, at, to)
        elif kind == b"iloc":
            _read_places(found, data[at:to])
        elif kind == b"idat":
            found.inner = start + at, start + to
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


def _read_references(found: Items, data: bytes, at: int, to: int) -> None:
    wide = 4 if data[at] else 2
    for kind, start, end in inner_boxes(data, at + 4, to):
        numbers = [
            int.from_bytes(data[each : each + wide], "big")
            for each in (start, *range(start + wide + 2, end, wide))
        ]
        found.refer(kind, numbers[0], tuple(numbers[1:]))


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


class _Numbers:
    """Reads numbers one after another; those behind the end are 0."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def next(self, size: int) -> int:
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "big")

    def is_over(self) -> bool:
        return self.at >= len(self.data)


def _read_places(found: Items, data: bytes) -> None:
    """Source: ISO/IEC 14496-12, 8.11.3."""
    if len(data) < 8:
        return
    version = data[0]
    numbers = _Numbers(data, 4)
    sizes = numbers.next(2)
    of_offset, of_length, of_base, of_index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(numbers.next(4 if version == 2 else 2)):
        if numbers.is_over():
            found.doubts.append("places of items are missing")
            return
        item = numbers.next(4 if version == 2 else 2)
        way = numbers.next(2) & 15 if version else 0
        elsewhere = "an item in another file" if numbers.next(2) else ""
        if way not in (0, 1):
            elsewhere = "an item whose place is told by another"
        base = numbers.next(of_base)
        parts = []
        for _ in range(numbers.next(2)):
            if numbers.is_over() and of_offset + of_length:
                break
            numbers.next(of_index if version else 0)
            start = base + numbers.next(of_offset)
            parts.append((start, numbers.next(of_length)))
        if item in found.places:
            found.doubts.append("an item in two places")
        found.places.setdefault(item, Places(parts, way == 1, elsewhere))
