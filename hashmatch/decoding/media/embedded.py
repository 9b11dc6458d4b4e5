"""Pictures within and behind the picture that a file is: previews, second views, what was added."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from hashmatch.decoding.media import tiff
from hashmatch.decoding.media.extents import picture_end
from hashmatch.decoding.media.formats import Family, Format, sniff
from hashmatch.decoding.media.source import BytesSource, PartSource, Source
from hashmatch.decoding.media.unseen import Unseen

__all__ = ["behind", "of_exif", "of_photoshop", "of_tiff"]

# How images begin that come behind others.
_IMAGES: Final = re.compile(
    rb"\xff\xd8\xff[\xc0-\xfe]|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP", re.DOTALL
)
# And films: those of phones are MP4, which has a reading of its own (see `formats.readings`).
_FILMS: Final = re.compile(
    rb"\x1aE\xdf\xa3.{0,40}?(?:webm|matroska)|RIFF....AVI |FLV\x01", re.DOTALL
)
_MP4: Final = re.compile(rb"\0\0\0[\x10-\x80]ftyp")
_READ_BYTES: Final = 1 << 20
_OVERLAP: Final = 64

# Source: Adobe Photoshop File Formats, image resource 1036: a JPEG behind 28 bytes.
_THUMBNAIL: Final = 1036
_THUMBNAIL_HEADER: Final = 28


def behind(source: Source, image_format: Format) -> Iterator[Source | Unseen]:
    """Images that begin behind the end of the image that a file is; an MP4, and what is behind it,
    is left to its own reading.
    """
    end = picture_end(source, image_format.name)
    if end is None:
        return
    for start in _starts(source, end):
        head = source.read_at(start, _OVERLAP)
        if _FILMS.match(head):
            yield Unseen(f"a film begins at byte {start}, behind the image")
            continue
        part = PartSource(source, start)
        found = sniff(part)
        if found is None or found.family is not Family.IMAGE:
            continue
        ends = picture_end(part, found.name)
        if ends is not None:
            yield PartSource(source, start, start + ends)
        elif found.name != "jpeg":
            yield Unseen(f"an image without an end begins at byte {start}")


def _starts(source: Source, start: int) -> Iterator[int]:
    found_at = -1
    while data := source.read_at(start, _READ_BYTES):
        film = _MP4.search(data)
        hits = [m.start() for pattern in (_IMAGES, _FILMS) for m in pattern.finditer(data)]
        for at in sorted(hits):
            if start + at > found_at and (film is None or at < film.start()):
                found_at = start + at
                yield found_at
        if film is not None or len(data) < _READ_BYTES:
            return
        start += len(data) - _OVERLAP


def of_exif(exif: bytes) -> Iterator[Source | Unseen]:
    """The previews in an image's EXIF."""
    blob = exif.removeprefix(b"Exif\0\0")
    if not tiff.is_tiff(blob):
        return
    source = BytesSource(blob)
    for directory in tiff.directories(source):
        preview = directory.preview(source)
        if preview is not None:
            yield preview
        elif directory.has_picture:
            yield directory.alone(source)


def of_photoshop(resources: object) -> Iterator[Source]:
    """The preview that Photoshop leaves in a JPEG."""
    thumbnail = resources.get(_THUMBNAIL) if isinstance(resources, dict) else None
    if isinstance(thumbnail, bytes) and thumbnail[_THUMBNAIL_HEADER:].startswith(b"\xff\xd8\xff"):
        yield BytesSource(thumbnail[_THUMBNAIL_HEADER:])


def of_tiff(source: Source) -> Iterator[Source | Unseen]:
    """Pictures of a TIFF that are no pages of it."""
    for number, directory in enumerate(tiff.directories(source)):
        if number == tiff.MOST:
            yield Unseen(f"directories behind the first {tiff.MOST}")
            return
        preview = directory.preview(source)
        if preview is not None:
            yield preview
        elif directory.has_picture and not directory.chained:
            yield directory.alone(source)
