"""What the boxes of an MP4 or QuickTime file say of its pictures, beside FFmpeg's reading of them.

FFmpeg's demuxer passes over what it does not know, and leaves out samples that it cannot sort in:
what is announced here is held against what came out of it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np

from hashmatch.decoding.media.announced import Announced, Crop, VideoTrack
from hashmatch.decoding.media.source import PatchedSource, Source

__all__ = ["as_plain", "embedded_pictures", "fragments", "header", "top_boxes"]

# A header of a film of a day with a hundred thousand frames an hour takes some tens of MB.
_MAX_HEADER_BYTES: Final = 1 << 28
_MAX_BOXES: Final = 20_000
# Embedded pictures are small and few; a hostile file could have thousands.
_MAX_PICTURES: Final = 16

# Handlers of tracks that players show as pictures. Source: ISO/IEC 14496-12 and 23008-12
# (`vide`, `auxv`, `pict`), QuickTime File Format (sprites, panoramas, 3D, Flash).
_SHOWN_HANDLERS: Final = frozenset({
    b"vide", b"auxv", b"pict", b"sprt", b"qtvr", b"pano", b"stpn", b"qd3d", b"flsh", b"fsh4",
})  # fmt: skip
_FILM_HANDLERS: Final = frozenset({b"vide", b"auxv", b"pict"})

# Sample entries of encrypted video. Source: ISO/IEC 14496-12, 8.12 (encv); Apple (drmi).
_ENCRYPTED: Final = frozenset({b"encv", b"drmi"})
# Entries whose configuration FFmpeg hands to the decoder as it changes, or whose frames carry it.
_SWITCHABLE: Final = frozenset({
    b"avc1", b"avc3", b"hvc1", b"hev1", b"dvh1", b"dvhe", b"vp08", b"vp09", b"jpeg", b"mjpa",
    b"png ", b"apch", b"apcn", b"apcs", b"apco", b"ap4h", b"ap4x",
})  # fmt: skip
_OTHER_NAMES: Final = {b"dav1": b"av01"}
_ENTRY_FIELDS: Final = 78  # Bytes of a visual sample entry before its boxes. Source: 12.1.3.2.

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"

Box = tuple[bytes, int, int]  # Type, where its content begins, where it ends.


def top_boxes(source: Source) -> Iterator[tuple[bytes, int, int, int]]:
    """Type, start, start of the content and end of each box of the file; ends where there is none
    that is sound.
    """
    start = 0
    while True:
        head = source.read_at(start, 16)
        if len(head) < 8:
            return
        length, content = int.from_bytes(head[:4], "big"), start + 8
        if length == 1 and len(head) == 16:
            length, content = int.from_bytes(head[8:], "big"), start + 16
        if length < content - start:
            return
        yield head[4:8], start, content, start + length
        start += length


def header(source: Source) -> Announced:
    """What the film's header announces; waits for no more than its bytes. Nothing where there is
    no header.
    """
    announced = Announced()
    for kind, _, content, end in top_boxes(source):
        if kind != b"moov":
            continue
        if end - content > _MAX_HEADER_BYTES:
            announced.name("a film's header that is too large to be read")
            break
        data = source.read_at(content, end - content)
        compressed = next(_inside(data, 0, len(data), b"cmov"), None)
        if compressed is not None:
            inflated = _inflated(data, compressed)
            if inflated is None:
                announced.name("a compressed header that cannot be read")
                break
            data = inflated
        _Header(data, announced).read()
        break
    return announced


def as_plain(source: Source) -> Source:
    """The file, with sample entries of Dolby Vision that FFmpeg does not know named as those of the
    codec that they are of; waits for no more than the header's bytes. Source: Dolby Vision Streams
    within the ISO Base Media File Format, 3.
    """
    patches = {}
    for kind, _, content, end in top_boxes(source):
        if kind != b"moov":
            continue
        if end - content <= _MAX_HEADER_BYTES:
            data = source.read_at(content, end - content)
            path = b"trak", b"mdia", b"minf", b"stbl", b"stsd"
            for _, at, stop in _inside(data, 0, len(data), *path):
                for entry, inner, _ in _boxes(data, at + 8, stop):
                    if entry in _OTHER_NAMES:
                        patches[content + inner - 4] = _OTHER_NAMES[entry]
        break
    return PatchedSource(source, patches) if patches else source


def _inflated(data: bytes, compressed: Box) -> bytes | None:
    """The boxes of a header that QuickTime has compressed; None if they cannot be read."""
    body = next(_inside(data, compressed[1], compressed[2], b"cmvd"), None)
    if body is None:
        return None
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(data[body[1] + 4 : body[2]], _MAX_HEADER_BYTES)
    except zlib.error:
        return None
    return inflated[8:] if inflated[4:8] == b"moov" and inflater.eof else None


def fragments(source: Source, announced: Announced) -> None:
    """Holds the fragments of a film against its header; waits for the end of the source."""
    known = {track.number for track in announced.tracks}
    by_number = {track.number: track for track in announced.tracks}
    others: set[int] = set()
    for kind, _, content, end in top_boxes(source):
        if kind == b"moov":
            data = source.read_at(content, min(end - content, _MAX_HEADER_BYTES))
            others = {number for number, _ in _track_numbers(data)}
        if kind != b"moof" or end - content > _MAX_HEADER_BYTES:
            continue
        data = source.read_at(content, end - content)
        for _, start, stop in _inside(data, 0, len(data), b"traf"):
            for _, at, last in _inside(data, start, stop, b"tfhd"):
                if last - at < 8:
                    continue
                flags, number = struct.unpack_from(">II", data, at)
                if number not in known | others:
                    announced.name("fragments of a track that the header does not list")
                elif number in by_number:
                    description = at + 8 + (8 if flags & 1 else 0)
                    if flags & 2 and data[description : description + 4] > b"\0\0\0\1":
                        announced.name("fragments of a second sample description")
                    by_number[number].samples = (by_number[number].samples or 0) + sum(
                        int.from_bytes(data[run + 4 : run + 8], "big")
                        for _, run, _ in _inside(data, start, stop, b"trun")
                    )


def embedded_pictures(data: bytes) -> Iterator[bytes]:
    """JPEG and PNG files that begin within some bytes, each up to the end of them: their decoders
    find their ends.
    """
    at = found = 0
    while found < _MAX_PICTURES:
        starts = [start for magic in (_JPEG, _PNG) if (start := data.find(magic, at)) >= 0]
        if not starts:
            return
        at = min(starts)
        yield data[at:]
        found += 1
        at += 1


def _track_numbers(data: bytes) -> Iterator[tuple[int, Box]]:
    for box in _inside(data, 0, len(data), b"trak"):
        for _, at, end in _inside(data, box[1], box[2], b"tkhd"):
            place = at + (20 if data[at : at + 1] == b"\1" else 12)
            if place + 4 <= end:
                yield int.from_bytes(data[place : place + 4], "big"), box


def _boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Boxes one after the other, as far as they are sound."""
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        length, content = int.from_bytes(data[start : start + 4], "big"), start + 8
        if length == 1 and start + 16 <= end:
            length, content = int.from_bytes(data[start + 8 : start + 16], "big"), start + 16
        elif length == 0:
            length = end - start
        if length < content - start or start + length > end:
            return
        yield data[start + 4 : start + 8], content, start + length
        start += length


def _inside(data: bytes, start: int, end: int, *path: bytes) -> Iterator[Box]:
    """Boxes that a path of types leads to."""
    for box in _boxes(data, start, end):
        if box[0] == path[0]:
            if len(path) == 1:
                yield box
            else:
                yield from _inside(data, box[1], box[2], *path[1:])


class _Header:
    """A film's header on its way into what it announces."""

    def __init__(self, data: bytes, announced: Announced) -> None:
        self._data, self._announced = data, announced

    def read(self) -> None:
        data, end = self._data, len(self._data)
        if next(_inside(data, 0, end, b"rmra"), None):
            self._announced.name("a film in another file, which this one refers to")
        default_description = {}
        for _, at, stop in _inside(data, 0, end, b"mvex", b"trex"):
            if stop - at >= 12:
                number, description = struct.unpack_from(">II", data, at + 4)
                default_description[number] = description
        for number, (_, start, stop) in _track_numbers(data):
            if default_description.get(number, 1) > 1:
                self._announced.name("fragments of a second sample description")
            self._track(number, start, stop)
        for path in ((b"udta",), (b"meta",), (b"trak", b"udta"), (b"trak", b"meta")):
            for _, start, stop in _inside(data, 0, end, *path):
                self._announced.pictures += embedded_pictures(data[start:stop])
        del self._announced.pictures[_MAX_PICTURES:]

    def _track(self, number: int, start: int, stop: int) -> None:
        data = self._data
        handler = b""
        for _, at, end in _inside(data, start, stop, b"mdia", b"hdlr"):
            handler = data[at + 8 : min(at + 12, end)]
        if handler not in _SHOWN_HANDLERS:
            return
        if handler not in _FILM_HANDLERS:
            self._announced.name(f"a track of {handler.decode('ascii')!r} pictures")
            return
        track = VideoTrack(number)
        self._announced.tracks.append(track)
        if next(_inside(data, start, stop, b"matt"), None):
            self._announced.name("a matte over a track")
        for _, at, end in _inside(data, start, stop, b"edts", b"elst"):
            self._edits(at, end)
        for _, table, end in _inside(data, start, stop, b"mdia", b"minf"):
            for _, at, last in _inside(data, table, end, b"dinf", b"dref"):
                self._references(at, last)
            for _, at, last in _inside(data, table, end, b"stbl"):
                self._samples(track, at, last)

    def _edits(self, at: int, end: int) -> None:
        wide = self._data[at : at + 1] == b"\1"
        size = 20 if wide else 12
        for entry in range(at + 8, end - size + 1, size):
            rate = int.from_bytes(self._data[entry + size - 4 : entry + size], "big", signed=True)
            if rate != 1 << 16:
                self._announced.uneven = True

    def _references(self, at: int, end: int) -> None:
        """Where the samples lie: in this file, if the lowest flag of the reference is set."""
        for _, content, _ in _boxes(self._data, at + 8, end):
            if not int.from_bytes(self._data[content : content + 4], "big") & 1:
                self._announced.name("frames in another file, which this one refers to")

    def _samples(self, track: VideoTrack, start: int, stop: int) -> None:
        data = self._data
        entries: list[Box] = []
        for _, at, end in _inside(data, start, stop, b"stsd"):
            entries += _boxes(data, at + 8, end)
        for kind, at, end in entries:
            boxes = list(_boxes(data, at + _ENTRY_FIELDS, end))
            if kind in _ENCRYPTED or any(inner == b"sinf" for inner, _, _ in boxes):
                track.encrypted = True
            width, height = struct.unpack_from(">HH", data, at + 24) if end - at >= 28 else (0, 0)
            for inner, content, last in boxes:
                if inner == b"clap" and last - content >= 32:
                    track.crops += _clean_aperture(data, content, width, height)
        for _, at, end in _inside(data, start, stop, b"stsc"):
            runs = np.frombuffer(data, ">u4", (end - at - 8) // 4, at + 8)
            used = {int(each) - 1 for each in np.unique(runs[2::3])}
            self._descriptions(entries, used)
        for _, at, end in _inside(data, start, stop, b"stsz"):
            if end - at >= 12:
                size, count = struct.unpack_from(">II", data, at + 4)
                sizes = np.frombuffer(data, ">u4", min(count, (end - at - 12) // 4), at + 12)
                track.samples = count if size else int(np.count_nonzero(sizes))

    def _descriptions(self, entries: list[Box], used: set[int]) -> None:
        """FFmpeg decodes samples of the first kind of description alone."""
        if len(entries) < 2:
            return
        kinds = {entries[each][0] for each in used if 0 <= each < len(entries)}
        kinds.add(entries[0][0])
        if len(kinds) > 1:
            self._announced.name("samples of a second sample description")
        elif not kinds <= _SWITCHABLE:
            bodies = {self._data[entry[1] : entry[2]] for entry in entries}
            if len(bodies) > 1:
                self._announced.name("samples of a second sample description")


def _clean_aperture(data: bytes, at: int, width: int, height: int) -> list[Crop]:
    """The crop that a ``clap`` box asks for. Source: ISO/IEC 14496-12, 12.1.4."""
    numbers = struct.unpack_from(">IIIIiIiI", data, at)
    if not all(numbers[1::2]) or not width or not height:
        return []
    wide, high, across, down = (
        numbers[each] / numbers[each + 1] for each in range(0, len(numbers), 2)
    )
    left = (width - wide) / 2 + across
    top = (height - high) / 2 + down
    edges = (top, height - high - top, left, width - wide - left)
    crop = Crop(*(max(0, round(edge)) for edge in edges))
    return [crop] if any(crop) else []
