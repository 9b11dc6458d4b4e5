"""Which format a media has, by its first bytes.

FFmpeg and Pillow are only ever asked to open the one format named here, so that a playlist, a
script or an exotic format cannot reach a parser nobody meant to expose.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

from hashmatch.media import heif
from hashmatch.media.source import Source

__all__ = [
    "Family",
    "Format",
    "gif_end",
    "mp4_boxes",
    "picture_end",
    "png_chunks",
    "readings",
    "sniff",
    "track_handlers",
    "ts_layout",
]

_MP4_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot"}
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}

# Boxes read before giving up on finding "moov" or "mdat": real files have fewer than ten.
_MAX_LEADING_BOXES = 64

# Bytes of a "moov" box in which tracks are sought.
_MOST_MOOV = 1 << 24

_READ_BYTES = 65_536
# Where the first byte of the first packet of a transport stream is, and how far it is to the next:
# as they are broadcast; with the time in four bytes before each (camcorders, Blu-ray); with sixteen
# bytes behind each that mend them. Source: ISO/IEC 13818-1, 2.4.3.2; ETSI EN 300 421 (outer code).
_TS_LAYOUTS = ((0, 188), (4, 192), (0, 204))
_TS_PACKETS = 3  # So many must begin with the right byte.
_HEAD_BYTES = 4 + (_TS_PACKETS - 1) * 204 + 1
_MOST_SEARCHED = 1 << 20

# A marker that is no restart and no stuffed byte. Source: ITU-T T.81, table B.1.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


class Family(enum.Enum):
    """Who decodes a format."""

    IMAGE = "image"
    VIDEO = "video"
    NOBODY = "nobody"  # It is known, but nothing here decodes it.


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its name for people, and as Pillow (image) or FFmpeg (video) names it."""

    name: str
    family: Family
    decoder_name: str
    # True if a demuxer can read it from start to end without seeking.
    streamable: bool = False
    # Where in the file it begins: a film can come behind an image.
    start: int = 0


def readings(source: Source) -> Iterator[Format]:
    """Every format that a viewer may take the file for, that of its first bytes first: a file
    that is an image to one program can be a film to another, and each shows its own pictures.

    Lazy: what follows the first is found out, and the end of the source waited for, only when it
    is asked for.
    """
    head = source.read_at(0, _HEAD_BYTES)
    if head[4:8] in _MP4_FIRST_BOXES:
        yield from _mp4_readings(source, head)
        return
    found = _by_first_bytes(head)
    if found is None:
        return
    yield found
    end = picture_end(source, found) if found.family is Family.IMAGE else None
    film = None if end is None else _film_behind(source, end)
    if film is not None:
        yield Format("mov", Family.VIDEO, "mov", start=film)


def _film_behind(source: Source, start: int) -> int | None:
    """Where the MP4 begins that phones put behind a photograph; None if there is none."""
    while data := source.read_at(start, _MOST_SEARCHED):
        at = data.find(b"ftyp", 4)
        while at >= 4 and data[at - 4 : at - 1] != bytes(3):  # The box of a film is short.
            at = data.find(b"ftyp", at + 1)
        if at >= 4:
            return start + at - 4
        if len(data) < _MOST_SEARCHED:
            break
        start += len(data) - 8
    return None


def picture_end(source: Source, image_format: Format) -> int | None:
    """The first byte behind an image by its own structure; None if that does not tell. Waits for
    the end of the source.
    """
    source.total()
    name = image_format.name
    if name == "jpeg":
        return _jpeg_end(source)
    if name == "png":
        ends = [start + 4 for kind, start, _ in png_chunks(source) if kind == b"IEND"]
        return ends[0] if ends else None
    if name == "gif":
        return gif_end(source)
    if name == "webp":
        length = int.from_bytes(source.read_at(4, 4), "little")
        return 8 + length + length % 2
    if name == "bmp":
        return int.from_bytes(source.read_at(2, 4), "little")
    return None


def _jpeg_end(source: Source) -> int | None:
    """Behind the first end of image that is none of a preview in its segments."""
    at = 2
    while len(marker := source.read_at(at, 4)) >= 2 and marker[0] == 0xFF:
        if marker[1] == 0xFF:  # Fill bytes.
            at += 1
            continue
        if marker[1] == 0xD9:
            return at + 2
        at += 2 + int.from_bytes(marker[2:], "big")
        if marker[1] != 0xDA:
            continue
        # Coded rows, up to a marker that is none of theirs.
        while data := source.read_at(at, _READ_BYTES):
            found = _JPEG_MARKER.search(data)
            if found is not None:
                at += found.start()
                break
            if len(data) < _READ_BYTES:
                return None
            at += len(data) - 1
        else:
            return None
    return None


def sniff(source: Source) -> Format | None:
    """The first of `readings` that is decoded here; None if there is none."""
    return next((each for each in readings(source) if each.family is not Family.NOBODY), None)


def _by_first_bytes(head: bytes) -> Format | None:
    for magic, name in (
        (b"\xff\xd8\xff", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"II*\x00", "tiff"),
        (b"MM\x00*", "tiff"),
    ):
        if head.startswith(magic):
            return Format(name, Family.IMAGE, name.upper())
    if head.startswith(b"BM") and head[14:15] in (b"\x0c", b"\x28", b"\x38", b"\x6c", b"\x7c"):
        return Format("bmp", Family.IMAGE, "BMP")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Format("webp", Family.IMAGE, "WEBP")
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return Format("avi", Family.VIDEO, "avi", streamable=True)
    for magic, name in (
        (b"\x1aE\xdf\xa3", "matroska"),
        (b"FLV\x01", "flv"),
        (b"OggS", "ogg"),
        (b"\x00\x00\x01\xba", "mpeg"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    ):
        if head.startswith(magic):
            return Format(name, Family.VIDEO, name, streamable=True)
    if ts_layout(head) is not None:
        return Format("mpegts", Family.VIDEO, "mpegts", streamable=True)
    return None


def ts_layout(head: bytes) -> tuple[int, int] | None:
    """Where the first packet of a transport stream begins and how far it is to the next, in bytes;
    None if ``head``, the start of a file, is of no such stream.
    """
    for first, distance in _TS_LAYOUTS:
        if head[first::distance][:_TS_PACKETS] == b"G" * _TS_PACKETS:
            return first, distance
    return None


def _mp4_readings(source: Source, head: bytes) -> Iterator[Format]:
    """Of films and images in boxes: brands say what a file was made to be, but programs look for
    films and items where the boxes say that they are.
    """
    is_image = head[4:8] == b"ftyp" and head[8:12] in _AVIF_BRANDS | _HEIF_BRANDS
    streamed = False
    if not is_image:
        for count, (kind, _, _) in enumerate(mp4_boxes(source)):
            if kind == b"moov":
                yield Format("mov", Family.VIDEO, "mov", streamable=True)
                streamed = True
            if kind in (b"moov", b"mdat") or count == _MAX_LEADING_BOXES:
                break
    source.total()
    stills = _still_format(source, head)
    has_film = _has_film(source)
    if is_image and stills is not None:
        yield stills
    if not streamed and (has_film or stills is None):
        yield Format("mov", Family.VIDEO, "mov")
    if not is_image and stills is not None:
        yield stills


def _still_format(source: Source, head: bytes) -> Format | None:
    """The format of the items of a file, or of the sequence that is their like; None if it has
    none.
    """
    if head[4:8] != b"ftyp":
        return None
    avif = Format("avif", Family.IMAGE, "AVIF")
    for kind, start, end in mp4_boxes(source):
        if kind == b"meta" and end is not None and heif.handler(source, start) == b"pict":
            found = heif.items(source, start, end)
            primary = found.primary or 0
            is_avif = b"av01" in found.coded(primary) or (
                primary not in found.kinds and head[8:12] in _AVIF_BRANDS
            )
            return avif if is_avif else Format("heif", Family.NOBODY, "")
    if head[8:12] in _AVIF_BRANDS:
        return avif
    return Format("heif", Family.NOBODY, "") if head[8:12] in _HEIF_BRANDS else None


def _has_film(source: Source) -> bool:
    """True if there is a film beside what the decoder of AVIF shows: it looks at one track of
    pictures, and at those that are its transparency.
    """
    return any(
        kind == b"moov" and track_handlers(source, start, end) != [b"pict"]
        for kind, start, end in mp4_boxes(source)
    )


def track_handlers(source: Source, start: int, end: int | None) -> list[bytes]:
    """What each track of a ``moov`` box is of, without those that belong to others."""
    data = source.read_at(start, min((end or start) - start, _MOST_MOOV))
    found = []
    for kind, at, to in heif.inner_boxes(data, 8, len(data)):
        if kind == b"trak":
            at_handler = data.find(b"hdlr", at, to)
            of = data[at_handler + 12 : at_handler + 16] if at_handler >= 0 else b""
            if of != b"auxv":
                found.append(of)
    return found


def mp4_boxes(source: Source) -> Iterator[tuple[bytes, int, int | None]]:
    """(type, start, end) of each top-level box; the end may lie beyond the end of the file, and is
    None if the box lasts to it. Ends where there is no box.
    """
    start = 0
    while True:
        header = source.read_at(start, 16)
        if len(header) < 8:
            return
        length = int.from_bytes(header[:4], "big")
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:], "big")
        if length == 0 and header[4:8].isalnum():
            # The last box may leave its length out. Only media may come piece by piece.
            end = None if header[4:8] == b"mdat" else source.total()
            yield header[4:8], start, end
            return
        if length < 8:
            return
        yield header[4:8], start, start + length
        start += length


def png_chunks(source: Source) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start of its content, length of it) of each chunk of a PNG, the last ``IEND``."""
    start = 8
    while len(header := source.read_at(start, 8)) == 8:
        length = int.from_bytes(header[:4], "big")
        yield header[4:], start + 8, length
        if header[4:] == b"IEND":
            return
        start += 12 + length


def gif_end(source: Source) -> int | None:
    """The first byte behind the trailer of a GIF; None if it has none."""
    flags = source.read_at(10, 1)
    start = 13 + (_colour_table(flags[0]) if flags else 0)
    while block := source.read_at(start, 10):
        if block[0] == 0x3B:
            return start + 1
        if block[0] == 0x21:
            start += 2
        elif block[0] == 0x2C and len(block) == 10:
            start += 11 + _colour_table(block[9])
        else:
            return None
        while length := source.read_at(start, 1):
            start += 1 + length[0]
            if length[0] == 0:
                break
    return None


def _colour_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
