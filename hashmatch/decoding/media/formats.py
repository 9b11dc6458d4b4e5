"""Which format a media has, by its first bytes.

FFmpeg and Pillow are only ever asked to open the one format named here, so that a playlist, a
script or an exotic format cannot reach a parser nobody meant to expose.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from hashmatch.decoding.media import heif, mini, raw, tga, uncommon
from hashmatch.decoding.media.bare import HEAD_BYTES, bare_stream, sound_by_header
from hashmatch.decoding.media.extents import mp4_boxes, picture_end
from hashmatch.decoding.media.flv import films_behind
from hashmatch.decoding.media.source import PartSource, Source

__all__ = ["Family", "Format", "readings", "sniff", "track_handlers", "ts_layout"]

_MP4_FIRST_BOXES = frozenset(b"ftyp moov mdat free skip wide styp pnot moof sidx emsg prft".split())
_AVIF_BRANDS = {b"avif", b"avis"}
# Source: ISO/IEC 23008-12, annexes B to L, and AV1 Image File Format.
_HEIF_BRANDS = frozenset(
    b"heic heix heim heis hevc hevx hevm hevs mif1 mif2 mif3 msf1 miaf avci avcs jpeg jpgs j2ki "
    b"j2is vvic vvis evbi evmi unif".split()
)

# Boxes read before giving up on finding "moov" or "mdat": real files have fewer than ten.
_MAX_LEADING_BOXES = 64

# Bytes of a "moov" box in which tracks are sought.
_MOST_MOOV = 1 << 24

# Where the first byte of the first packet of a transport stream is, and how far it is to the next:
# as they are broadcast; with the time in four bytes before each (camcorders, Blu-ray); with sixteen
# bytes behind each that mend them. Source: ISO/IEC 13818-1, 2.4.3.2; ETSI EN 300 421 (outer code).
_TS_LAYOUTS = ((0, 188), (4, 192), (0, 204))
_TS_PACKETS = 3  # So many must begin with the right byte.
_HEAD_BYTES = 4 + (_TS_PACKETS - 1) * 204 + 1
_MOST_SEARCHED = 1 << 20


# What may stand before sound: titles, covers. Source: ID3v2, 3.1.
_TAG = re.compile(rb"ID3[\x02-\x04].[\x00-\xf0][\x00-\x7f]{4}", re.DOTALL)
_TAG_BYTES = 10
_TAGGED = frozenset({"mp3", "aac", "ac3", "eac3"})
_MOST_TAGS = 8  # One behind the other.
_PADDING_BYTES = HEAD_BYTES * 4  # Zeros that programs leave behind a tag, and what follows.


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
    # The decoder of FFmpeg that an image is for, where Pillow's is none, or far slower.
    codec: str = ""


@dataclass(frozen=True, slots=True)
class _Beginning:
    """The first bytes of every file of a format."""

    begins: re.Pattern[bytes]
    format: Format


def _image(name: str, begins: bytes, *, codec: str = "") -> _Beginning:
    """``begins`` is a regular expression of what stands at the start."""
    made = Format(name, Family.IMAGE, name.upper(), codec=codec)
    return _Beginning(re.compile(begins, re.DOTALL), made)


def _film_of(name: str) -> Format:
    return Format(name, Family.VIDEO, name, streamable=True)


def _film(name: str, begins: bytes) -> _Beginning:
    """Of a format that FFmpeg reads from start to end without seeking."""
    return _Beginning(re.compile(begins, re.DOTALL), _film_of(name))


def _sound(name: str, begins: bytes) -> _Beginning:
    """Of a format of sound alone, which may have a cover picture."""
    return _Beginning(re.compile(begins, re.DOTALL), Format(name, Family.VIDEO, name))


def _unread(name: str, begins: bytes) -> _Beginning:
    """Of a format that nothing here decodes: it is named."""
    return _Beginning(re.compile(begins, re.DOTALL), Format(name, Family.NOBODY, ""))


# Sought in this order.
_BY_FIRST_BYTES = (
    _image("jpeg", rb"\xff\xd8\xff"),
    _image("png", rb"\x89PNG\r\n\x1a\n"),
    _image("gif", rb"GIF8[79]a"),
    # With places of 32 bits, or of 64 (BigTIFF).
    _image("tiff", rb"II[*+]\x00|MM\x00[*+]"),
    # Bytes 14 to 17 are the length of the header that follows.
    _image("raf", rb"FUJIFILMCCD-RAW "),
    _image("orf", rb"IIR[OS]|MMOR"),
    _image("rw2", rb"IIU\x00"),
    _image("bmp", rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00"),
    _image("webp", rb"RIFF.{4}WEBP"),
    # A bare codestream, or boxes.
    _image("jxl", rb"\xff\x0a|\x00\x00\x00\x0cJXL \r\n\x87\n"),
    _image("jpeg2000", rb"\xff\x4f\xff\x51|\x00\x00\x00\x0cjP  \r\n\x87\n"),
    # Icons (1) and cursors (2); the first picture lies within 16 MiB, and is shorter.
    _image("ico", rb"\x00\x00[\x01\x02]\x00[^\x00]\x00.{11}\x00.{3}\x00"),
    _image("icns", rb"icns"),
    _image("qoi", rb"qoif", codec="qoi"),
    _image("pnm", rb"P[14][\s#]", codec="pbm"),
    _image("pnm", rb"P[25][\s#]", codec="pgm"),
    _image("pnm", rb"P[36][\s#]", codec="ppm"),
    _image("pnm", rb"P7\n", codec="pam"),
    _image("pnm", rb"P[Ff]\s", codec="pfm"),
    # Version, run lengths, bits of a sample; and behind the palette a zero and the planes.
    _image("pcx", rb"\x0a[\x00\x02-\x05]\x01[\x01\x02\x04\x08].{60}\x00[\x01-\x04]"),
    # Run lengths or none, bytes of a sample, dimensions.
    _image("sgi", rb"\x01\xda[\x00\x01][\x01\x02]\x00[\x01-\x03]"),
    _image("dds", rb"DDS \x7c\x00\x00\x00"),
    _image("psd", rb"8BPS\x00[\x01\x02]"),
    _image("blp", rb"BLP[12]"),
    _image("hdr", rb"#\?(RADIANCE|RGBE)\s", codec="hdr"),
    _image("exr", rb"v/1\x01\x02", codec="exr"),
    _image("fits", rb"SIMPLE  = +T[ /]"),
    _image("xpm", rb"/\* XPM \*/"),
    _image("im", rb"Image type: [\w ]+ image\r?\n"),
    _image("dcx", rb"\xb1\x68\xde\x3a"),
    _image("msp", rb"DanM|LinS"),
    _image("pixar", rb"\x80\xe8\x00\x00"),
    _image("sun", rb"\x59\xa6\x6a\x95"),
    _image("gbr", rb"\x00\x00.{2}\x00\x00\x00\x02.{12}GIMP"),
    _image("ftex", rb"FTEX"),
    # Of one frame it is a picture; of several, a film.
    _image("fli", rb".{4}[\x11\x12]\xaf\x01\x00.{4}\x08\x00"),
    _film("flic", rb".{4}[\x11\x12]\xaf.{6}\x08\x00"),
    _film("avi", rb"RIFF.{4}AVI "),
    _film("matroska", rb"\x1aE\xdf\xa3"),
    _film("flv", rb"FLV\x01"),
    _film("ogg", rb"OggS"),
    _film("mpeg", rb"\x00\x00\x01\xba"),
    _film("asf", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    _film("ivf", rb"DKIF\x00\x00"),
    _film("yuv4mpegpipe", rb"YUV4MPEG2 "),
    # Its first partition. Source: SMPTE ST 377-1, 7.1.
    _Beginning(
        re.compile(rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02"),
        Format("mxf", Family.VIDEO, "mxf"),
    ),
    _sound("wav", rb"(RIFF|RF64|RIFX).{4}WAVE"),
    _sound("flac", rb"fLaC"),
    _sound("aiff", rb"FORM.{4}AIF[FC]"),
    _sound("caf", rb"caff\x00\x01"),
    _sound("amr", rb"#!AMR(-WB)?\n"),
    _sound("au", rb"\.snd\x00\x00"),
    _sound("wv", rb"wvpk"),
    _sound("ape", rb"MAC "),
    _unread("RealMedia", rb"\.RMF"),
    _unread("Flash", rb"[FCZ]WS[\x01-\x40]"),
    _unread("Bink", rb"BIK[a-k]|KB2[a-k]"),
    _unread("Smacker", rb"SMK[24]"),
    _unread("NUT", rb"nut/multimedia container\x00"),
    _unread("GXF", rb"\x00\x00\x00\x00\x01\xbc\x00\x00"),
    _unread("WTV", rb"\xb7\xd8\x00\x20\x37\x49\xda\x11\xa6\x4e\x00\x07\xe9\x5e\xad\x8d"),
)


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
    found = _by_first_bytes(head) or _bare(source)
    if found is None and tga.is_plausible(source):
        found = Format("tga", Family.IMAGE, "TGA")
    if found is None and (uncommonly := uncommon.by_structure(source)):
        name, of_pillow, codec = uncommonly
        found = Format(name, Family.IMAGE, of_pillow, codec=codec)
    if found is None:
        return
    yield found
    if found.start:
        source = PartSource(source, found.start)
    if found.name == "flv":
        for start in films_behind(source):
            yield replace(found, start=found.start + start)
    end = picture_end(source, found.name) if found.family is Family.IMAGE else None
    film = None if end is None else _film_behind(source, end)
    if film is not None:
        yield Format("mov", Family.VIDEO, "mov", start=found.start + film)


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


def sniff(source: Source) -> Format | None:
    """The first of `readings` that is decoded here; None if there is none."""
    return next((each for each in readings(source) if each.family is not Family.NOBODY), None)


def _by_first_bytes(head: bytes) -> Format | None:
    for each in _BY_FIRST_BYTES:
        if each.begins.match(head):
            return each.format
    if ts_layout(head) is not None:
        return Format("mpegts", Family.VIDEO, "mpegts", streamable=True)
    return None


def _bare(source: Source) -> Format | None:
    """Streams without a container, and whatever stands behind a tag of sound."""
    tag = source.read_at(0, _TAG_BYTES)
    if not _TAG.match(tag):
        name = bare_stream(source.read_at(0, HEAD_BYTES))
        return None if name is None else _film_of(name)
    start = 0
    for _ in range(_MOST_TAGS):
        start += _TAG_BYTES + sum((each & 127) << 7 * (3 - at) for at, each in enumerate(tag[6:]))
        tag = source.read_at(start, _TAG_BYTES)
        if not _TAG.match(tag):
            break
    head = source.read_at(start, _PADDING_BYTES)
    padding = len(head) - len(head.lstrip(b"\0"))
    known = bare_stream(head) or bare_stream(head[padding : padding + HEAD_BYTES])
    if known in _TAGGED:
        return _film_of(known)
    # FFmpeg passes over the tag, whatever comes then.
    found = _by_first_bytes(head)
    if found is None and known is not None:
        found = _film_of(known)
    if found is None and head[4:8] in _MP4_FIRST_BOXES:
        found = Format("mov", Family.VIDEO, "mov")
    if found is None and (name := sound_by_header(head[padding:])):
        return _film_of(name)
    if found is None:
        return Format("tagged, but unknown", Family.NOBODY, "")
    return found if found.name == "flac" else replace(found, start=start)


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
    if raw.is_canon(source):
        yield Format("cr3", Family.IMAGE, "")
        return
    if not is_image:
        for count, (kind, start, _) in enumerate(mp4_boxes(source)):
            if kind == b"meta" and heif.handler(source, start) == b"pict":
                break  # FFmpeg takes each item for a stream: these are to be left out first.
            if kind == b"moov":
                yield Format("mov", Family.VIDEO, "mov", streamable=True)
                streamed = True
            if kind in (b"moov", b"mdat") or count == _MAX_LEADING_BOXES:
                break
    source.total()
    stills = _still_format(source, head)
    behind, own_end = ([], source.total()) if stills is None else _films_behind(source)
    has_film = _has_film(
        PartSource(source, 0, own_end), is_avif=stills is not None and stills.name == "avif"
    )
    if is_image and stills is not None:
        yield stills
    if not streamed and (has_film or stills is None):
        yield Format("mov", Family.VIDEO, "mov")
    if not is_image and stills is not None:
        yield stills
    for start in behind:
        yield Format("mov", Family.VIDEO, "mov", start=start)


def _films_behind(source: Source) -> tuple[list[int], int]:
    """Where the films begin that phones put behind a photograph in boxes: in one of its own
    (``mpvd``), as a second file, or behind bytes that are no boxes; and where its own boxes end.
    Source: Android Motion photo format 1.0.
    """
    size, behind = source.total(), 0
    found: list[int] = []
    for kind, start, end in mp4_boxes(source):
        if end is not None and end > size:
            break
        if kind == b"mpvd":
            is_long = source.read_at(start, 4) == b"\0\0\0\1"
            found.append(start + (16 if is_long else 8))
        elif kind == b"ftyp" and start:
            return [*found, start], start
        behind = size if end is None else end
    film = _film_behind(source, behind) if behind < size else None
    return (found if film is None else [*found, film]), behind


def _still_format(source: Source, head: bytes) -> Format | None:
    """The format of the items of a file, or of the sequence that is their like; None if it has
    none.
    """
    if head[4:8] != b"ftyp":
        return None
    avif, other = Format("avif", Family.IMAGE, "AVIF"), Format("heif", Family.IMAGE, "")
    is_short_avif = mini.is_avif(source)
    if is_short_avif is not None:
        return avif if is_short_avif else other
    for start, end in heif.sets_of_items(source):
        found = heif.items(source, start, end)
        primary = found.primary or 0
        is_avif = b"av01" in found.coded(primary) or (
            primary not in found.kinds and head[8:12] in _AVIF_BRANDS
        )
        return avif if is_avif else other
    if head[8:12] in _AVIF_BRANDS:
        return avif
    has_tracks = any(kind == b"moov" for kind, _, _ in mp4_boxes(source))
    return other if head[8:12] in _HEIF_BRANDS and not has_tracks else None


def _has_film(source: Source, *, is_avif: bool) -> bool:
    """True if there is a film beside what the decoder of AVIF shows, if it is one: it looks at one
    track of pictures, and at those that are its transparency.
    """
    return any(
        kind == b"moov" and not (is_avif and track_handlers(source, start, end) == [b"pict"])
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
