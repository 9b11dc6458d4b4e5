"""Camera raws, seen by the pictures that cameras put into them: programs show these until they have
developed what the sensor saw, which nothing here does.

Those that are like a TIFF: Canon (CR2), Nikon (NEF), Sony (ARW), Pentax (PEF), Adobe (DNG), and
with other first bytes Olympus (ORF) and Panasonic (RW2). Sources: TIFF/EP (ISO 12234-2); DNG 1.7,
4.2 and 5; the tables of ExifTool and of libopenraw for the others.
"""

from __future__ import annotations

import bisect
import operator
import re
from collections.abc import Iterable, Iterator
from typing import Final

from hashmatch.decoding.media import heif, tiff
from hashmatch.decoding.media.extents import LOSSY_JPEG, jpeg_segments, mp4_boxes, picture_end
from hashmatch.decoding.media.source import PartSource, Source
from hashmatch.decoding.media.unseen import Unseen

__all__ = ["is_canon", "is_raw", "missing", "pictures"]

_LIKE_TIFF: Final = ("orf", "rw2")
_OTHERS: Final = ("raf", "cr3")
_JPEG: Final = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]")
_READ_BYTES: Final = 1 << 20
# Cameras put up to four pictures into a file. What looks like the start of one is looked into so
# often: bytes of a sensor do once in sixteen million.
_MOST: Final = 16
_MOST_TRIES: Final = 1024
# Pixels of the longer side of a picture in which the eye sees what there is to see in the raw.
_ENOUGH: Final = 1024
# Of mosaics, and of what was one. Source: DNG 1.7, PhotometricInterpretation.
_OF_SENSORS: Final = frozenset({32803, 34892})
_CR2: Final = b"CR"  # At byte 8. Source: as libopenraw describes it.
_MOST_MOOV: Final = 1 << 24
# Places and lengths in the header of a RAF: of its JPEG, of what it says of the sensor, and of the
# sensor's bytes. Source: as libopenraw describes it.
_RAF_PARTS: Final = (84, 92, 100)

_Extent = tuple[int, int]


def is_raw(source: Source, name: str) -> bool:
    """True for a file of the format ``name`` that is a camera raw."""
    if name == "tiff":
        return source.read_at(8, 2) == _CR2 or any(map(_is_of_sensor, _directories(source)))
    return name in _LIKE_TIFF or name in _OTHERS


def is_canon(source: Source) -> bool:
    """True for a CR3, of which no track is a film: Canon's own samples are in all of them."""
    if source.read_at(4, 8) != b"ftypcrx ":
        return False
    kinds: set[bytes] = set()
    for kind, start, end in mp4_boxes(source):
        if kind != b"moov":
            continue
        data = source.read_at(start, min((end or start) - start, _MOST_MOOV))
        for inner, at, to in heif.inner_boxes(data, 8, len(data)):
            if inner == b"trak":
                described = data.find(b"stsd", at, to)
                is_one = data[described + 8 : described + 12] == b"\0\0\0\1"
                kinds.add(data[described + 16 : described + 20] if is_one else b"")
    return bool(kinds) and kinds <= {b"CRAW", b"CTMD"}


def pictures(source: Source, name: str) -> Iterator[Source | Unseen]:
    """Every picture that a camera has put into a raw, and whether that is too little to go by."""
    directories = list(_directories(source)) if name in ("tiff", *_LIKE_TIFF) else []
    sensors = [each for each in directories if _is_of_sensor(each)]
    largest = 0
    for part in _jpegs(source, _joined(extent for each in sensors for extent in each.extents)):
        if not isinstance(part, Unseen):
            largest = max(largest, _long_side(part))
        yield part
    # Pictures that are no JPEG: of a TIFF alone, as others have their own numbers for them.
    for number, each in enumerate(directories if name == "tiff" else ()):
        if number == tiff.MOST:
            yield Unseen(f"directories behind the first {tiff.MOST}")
        elif each.has_picture and each not in sensors and not _is_jpeg(source, each):
            yield each.by_itself(source)
    enough = min([_ENOUGH, *(each.long_side for each in sensors if each.long_side)])
    if largest < enough:
        yield Unseen("what the sensor saw: the file has no picture of it that is large enough")


def missing(source: Source, name: str) -> str | None:
    """Says in a sentence what of a raw lies behind the end of the file; None if nothing does."""
    size, end = source.total(), 0
    if name == "raf":
        for at in _RAF_PARTS:
            start, length = (int.from_bytes(source.read_at(at + i, 4), "big") for i in (0, 4))
            end = max(end, start + length)
    elif name != "cr3":
        extents = (extent for each in _directories(source) for extent in each.extents)
        end = max((stop for _, stop in extents), default=0)
    return f"its last part ends at byte {end}, the file at byte {size}" if end > size else None


def _directories(source: Source) -> Iterator[tiff.Directory]:
    return tiff.directories(source)


def _is_of_sensor(directory: tiff.Directory) -> bool:
    return not _OF_SENSORS.isdisjoint(directory.photometric)


def _is_jpeg(source: Source, directory: tiff.Directory) -> bool:
    """True if its rows are one JPEG file, which is found as such, or are the sensor's."""
    extents = directory.extents
    return len(extents) == 1 and _JPEG.match(source.read_at(extents[0][0], 4)) is not None


def _joined(extents: Iterable[_Extent]) -> list[_Extent]:
    """In order; those that overlap or meet in one."""
    found: list[_Extent] = []
    for start, end in sorted(extents):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _jpegs(source: Source, sensors: list[_Extent]) -> Iterator[Source | Unseen]:
    """Every JPEG with loss within a file, but for those that a sensor's rows are."""
    found = tries = at = 0
    while (start := _next_jpeg(source, at)) is not None:
        at = start + 2
        before = bisect.bisect_right(sensors, start, key=operator.itemgetter(0)) - 1
        if before >= 0 and start < sensors[before][1]:
            at = max(at, sensors[before][1])
            continue
        tries += 1
        part = PartSource(source, start)
        if found == _MOST or tries > _MOST_TRIES:
            yield Unseen(f"all but {found} of the pictures that a camera put into it")
            return
        if not _long_side(part):
            continue
        end = picture_end(part, "jpeg")
        if end is None:
            continue  # What begins like one by chance; what is cut is told of by the structure.
        found += 1
        at = start + end
        yield PartSource(source, start, at)


def _next_jpeg(source: Source, at: int) -> int | None:
    while data := source.read_at(at, _READ_BYTES):
        hit = _JPEG.search(data)
        if hit is not None:
            return at + hit.start()
        if len(data) < _READ_BYTES:
            break
        at += len(data) - 3
    return None


def _long_side(source: Source) -> int:
    """The longer side of a JPEG with loss, in pixels; 0 for what is none: sensors' are without."""
    for marker, start, length in jpeg_segments(source):
        if marker in LOSSY_JPEG and length >= 6:
            head = source.read_at(start, 5)
            if head[0] != 8:
                return 0
            return max(int.from_bytes(head[1:3], "big"), int.from_bytes(head[3:5], "big"))
    return 0
