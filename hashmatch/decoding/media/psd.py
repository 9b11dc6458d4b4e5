"""The pictures of a Photoshop document: the composite that viewers show, and each layer, which
editors show. Source: Adobe, "Photoshop File Formats Specification".
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from hashmatch.decoding.media.source import BytesSource, JoinedSource, PartSource, Source
from hashmatch.decoding.media.unseen import Unseen

__all__ = ["missing", "pictures", "within"]

_HEADER_BYTES: Final = 26
_MOST_LAYERS: Final = 256
_MOST_UNPACKED: Final = 1 << 26  # Bytes of all layers that zip unpacks.
# Blocks with layers of 16 or 32 bits, and with the files of smart objects.
_OF_EDITORS: Final = re.compile(rb"8BIM(Layr|Lr16|Lr32|lnk[23DE])(?!\0\0\0\0)(.{4})", re.DOTALL)
_KEY_BYTES: Final = 11  # And the length, but for a byte: none is found twice.
# How the images among those files begin, and within how much.
_IMAGE: Final = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]|\x89PNG\r\n\x1a\n|II\*\0|MM\0\*")
_MOST_DESCRIBED: Final = 1 << 14
_READ_BYTES: Final = 1 << 20

_RAW, _RUNS, _ZIP = 0, 1, 2
_MOST_LITERAL: Final = 128
_DEPTHS: Final = frozenset({8, 16})
_MOST_SIDE: Final = 30_000
# Colours of a document that the layers can be made documents of, and how many channels each has.
_GREY, _RGB, _CMYK = 1, 3, 4
_CHANNELS: Final = {_GREY: 1, _RGB: 3, _CMYK: 4}
_TRANSPARENCY: Final = 0xFFFF

# Image resources: whether the composite is one of all layers, and a JPEG behind 28 bytes.
_VERSION: Final = 1057
_THUMBNAIL: Final = 1036
_THUMBNAIL_HEADER: Final = 28


class _Document(NamedTuple):
    """The header, and where the sections are: (first byte, end)."""

    channels: int
    height: int
    width: int
    depth: int
    colours: int
    resources: tuple[int, int]
    layers: tuple[int, int]

    @property
    def rows(self) -> int:
        """Where the composite begins."""
        return self.layers[1]


def _read(source: Source) -> _Document:
    """The header of a document of version 1."""
    head = source.read_at(0, _HEADER_BYTES).ljust(_HEADER_BYTES, b"\0")
    at, places = _HEADER_BYTES, []
    for _ in range(3):
        start = at + 4
        at = start + int.from_bytes(source.read_at(at, 4).ljust(4, b"\0"), "big")
        places.append((start, at))
    channels, height, width, depth, colours = struct.unpack(">HIIHH", head[12:])
    return _Document(channels, height, width, depth, colours, places[1], places[2])


def missing(source: Source) -> str | None:
    """Says in a sentence what is missing at its end; None if nothing is."""
    if source.read_at(4, 2) != b"\0\1":
        return None
    found = _read(source)
    row_bytes = (found.width * found.depth + 7) // 8
    rows, end = found.channels * found.height, found.rows + 2
    kind = int.from_bytes(source.read_at(found.rows, 2), "big")
    if kind == _RAW:
        end += rows * row_bytes
    elif kind == _RUNS:
        counts = source.read_at(end, 2 * rows) if rows < source.total() else b""
        lengths = struct.unpack(f">{len(counts) // 2}H", counts[: len(counts) // 2 * 2])
        end += 2 * rows + sum(lengths)
    if end > source.total():
        return f"its rows end at byte {end}, the file at byte {source.total()}"
    return None


def pictures(source: Source) -> Iterator[Source | Unseen]:
    """The composite, and each layer as a document of its own."""
    yield source
    if source.read_at(4, 2) != b"\0\1":
        return
    found = _read(source)
    for number, start, _ in _resources(source, *found.resources):
        if number == _VERSION and source.read_at(start + 4, 1) == b"\0":
            yield Unseen("a document without a composite of its layers")
    yield from _layers(source, found)


def within(source: Source) -> Iterator[Source | Unseen]:
    """The small copies that Photoshop leaves for file managers, and the files that layers show."""
    if source.read_at(4, 2) != b"\0\1":
        return
    found = _read(source)
    for number, start, end in _resources(source, *found.resources):
        if number == _THUMBNAIL:
            yield PartSource(source, start + _THUMBNAIL_HEADER, end)
    start, end = found.layers
    behind = start + 4 + int.from_bytes(source.read_at(start, 4), "big")
    for key, at, length in _blocks_of_editors(source, behind, end):
        if key.startswith(b"lnk"):
            yield from _files(source, at, at + length)


def _files(source: Source, start: int, end: int) -> Iterator[Source | Unseen]:
    """The images among the files of a block; each begins with its length."""
    while start + 4 <= end:
        length = int.from_bytes(source.read_at(start, 8), "big")
        head = source.read_at(start + 8, min(length, _MOST_DESCRIBED))
        image = _IMAGE.search(head)
        if image is None or start + 8 + length > end:
            yield Unseen("a file that a layer shows")
            return
        yield PartSource(source, start + 8 + image.start(), start + 8 + length)
        start += 8 + (length + 3) // 4 * 4


def _resources(source: Source, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, first byte, end) of each image resource."""
    while start + 12 <= end:
        head = source.read_at(start, 7)
        if len(head) < 7 or head[:4] not in (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR"):
            return
        at = start + 6 + (head[6] + 2) // 2 * 2
        length = int.from_bytes(source.read_at(at, 4), "big")
        yield int.from_bytes(head[4:6], "big"), at + 4, at + 4 + length
        start = at + 4 + (length + 1) // 2 * 2


def _layers(source: Source, found: _Document) -> Iterator[Source | Unseen]:
    start, end = found.layers
    head = source.read_at(start, 6)
    if end - start < 6 or len(head) < 6:
        return
    count = abs(int.from_bytes(head[4:], "big", signed=True))
    layers_end = start + 4 + int.from_bytes(head[:4], "big")
    if any(key.startswith(b"L") for key, *_ in _blocks_of_editors(source, layers_end, end)):
        yield Unseen("layers of 16 or 32 bits")
    if layers_end == start + 4:
        return
    records, at = [], start + 6
    for _ in range(count):
        box = source.read_at(at, 18)
        if len(box) < 18:
            yield Unseen("layers of a damaged document")
            return
        *sides, channels = struct.unpack(">4iH", box)
        table = source.read_at(at + 18, 6 * channels)
        more = source.read_at(at + 18 + 6 * channels + 12, 4)
        if len(table) < 6 * channels or len(more) < 4:
            yield Unseen("layers of a damaged document")
            return
        records.append((sides, list(struct.iter_unpack(">HI", table))))
        at += 18 + 6 * channels + 16 + int.from_bytes(more, "big")
    unpacked = 0
    for number, (sides, table_of) in enumerate(records):
        if number == _MOST_LAYERS:
            yield Unseen(f"layers behind the first {_MOST_LAYERS}")
            return
        height, width = sides[2] - sides[0], sides[3] - sides[1]
        size = sum(length for _, length in table_of)
        if height > 0 and width > 0:
            places, place = {}, at
            for kind, length in table_of:
                places[kind] = (place, length)
                place += length
            if any(source.read_at(each, 2) == b"\0\2" for each, _ in places.values()):
                unpacked += height * width * len(places) * found.depth // 8
            if unpacked > _MOST_UNPACKED:
                yield Unseen("layers that are packed too well")
                return
            yield _document_of(source, found, places, height, width)
        at += size


def _blocks_of_editors(source: Source, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(key, first byte, length) of each block behind the layers that editors show and viewers do
    not.
    """
    while start < end and (data := source.read_at(start, min(end - start, _READ_BYTES))):
        for match in _OF_EDITORS.finditer(data):
            yield match[1], start + match.end(), int.from_bytes(match[2], "big")
        start += max(1, len(data) - _KEY_BYTES)
        if len(data) <= _KEY_BYTES:
            return


def _document_of(
    source: Source, found: _Document, places: dict[int, tuple[int, int]], height: int, width: int
) -> Source | Unseen:
    """A layer as a document without layers, its rows as they are or in runs."""
    wanted = list(range(_CHANNELS.get(found.colours, 0)))
    if found.colours == _RGB and _TRANSPARENCY in places:
        wanted.append(_TRANSPARENCY)
    if max(width, height) > _MOST_SIDE:
        return Unseen("a layer that is too large for a document")
    if found.depth not in _DEPTHS or not wanted or any(each not in places for each in wanted):
        return Unseen("a layer of an uncommon kind")
    parts = [places[each] for each in wanted]
    kinds = [int.from_bytes(source.read_at(place, 2), "big") for place, _ in parts]
    row_bytes = width * found.depth // 8
    if not set(kinds) <= {_RAW, _RUNS, _ZIP}:
        return Unseen("a layer that is packed in an uncommon way")
    kind = _RUNS if _RUNS in kinds else _RAW
    head = b"8BPS\0\1" + bytes(6)
    head += struct.pack(">HIIHH", len(wanted), height, width, found.depth, found.colours)
    head += bytes(12) + struct.pack(">H", kind)
    counts, tables, rows = 2 * height * kind, list[Source](), list[Source]()
    for own_kind, (place, length) in zip(kinds, parts, strict=True):
        own: Source = PartSource(source, place + 2, place + length)
        if own_kind == _ZIP:
            try:
                data = zlib.decompressobj().decompress(own.read_at(0, length), row_bytes * height)
            except zlib.error:
                return Unseen("a layer that is damaged")
            own = BytesSource(data)
        if own_kind != _RUNS and kind == _RUNS:
            own = BytesSource(_in_runs(own.read_at(0, row_bytes * height), row_bytes))
        tables.append(PartSource(own, 0, counts))
        rows.append(PartSource(own, counts))
    return JoinedSource(BytesSource(head), *tables, *rows)


def _in_runs(rows: bytes, width: int) -> bytes:
    """Rows without codes as the lengths of rows in runs, and those. Source: PackBits, of TIFF 6.0:
    a byte less than the number of those that follow as they are.
    """
    packed = [
        b"".join(
            bytes([len(piece) - 1]) + piece
            for at in range(start, min(start + width, len(rows)), _MOST_LITERAL)
            if (piece := rows[at : min(at + _MOST_LITERAL, start + width)])
        )
        for start in range(0, len(rows), width)
    ]
    return b"".join(len(each).to_bytes(2, "big") for each in packed) + b"".join(packed)
