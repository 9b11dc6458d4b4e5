"""Whether all of a media is there, by its own structure, and what no decoder looks at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.decoding.media import (
    dds,
    fits,
    floats,
    flv,
    gif,
    ico,
    jpeg2000,
    png,
    pnm,
    psd,
    raw,
    uncommon,
)
from hashmatch.decoding.media.extents import mp4_boxes, picture_end
from hashmatch.decoding.media.formats import Format, ts_layout
from hashmatch.decoding.media.source import Source

__all__ = ["damaged_chunk", "is_segment", "missing_bytes", "scrambled", "unseen_media"]

_READ_BYTES = 65_536
_TS_PACKET, _TS_SYNC = 188, 0x47
_TS_PACKETS = 512  # Of a transport stream, so many packets are read at once.
_BOX_HEAD_BYTES = 8
# What a box may be at the outermost level, and by what frames are found. Source: ISO/IEC 14496-12,
# table 1.
_BOXES = frozenset(
    b"ftyp styp moov moof mdat mfra free skip wide uuid meta udta sidx ssix prft pdin emsg".split()
)
_OF_FILMS = re.compile(rb"moov|moof|mdat|traf|trak")
_ASF = b"\x30\x26\xb2\x75"


def missing_bytes(source: Source, media_format: Format) -> str | None:
    """Says in a sentence what of the media is missing by its own structure; None if nothing is.

    Waits for the end of the source. Formats that declare no length can at least not end, or lose
    their step, within a packet; a JPEG's missing end is found by its decoder.
    """
    size = source.total()
    name = media_format.name
    if raw.is_raw(source, name):
        missing = raw.missing(source, name)
        return _mp4_missing(source, size, is_film=False) if name == "cr3" else missing
    if name in ("mov", "avif", "heif"):
        return _mp4_missing(source, size, is_film=name == "mov")
    if name in ("avi", "webp"):
        declared = 8 + int.from_bytes(source.read_at(4, 4), "little")
        return _beyond("RIFF chunk", declared, size)
    if name == "matroska":
        return _matroska_missing(source, size)
    if name in _BY_STRUCTURE:
        return _BY_STRUCTURE[name](source, size)
    if name == "ico":
        return _beyond("last picture", ico.end(source), size)
    if name == "jxl":
        return _beyond("last box", picture_end(source, name) or 0, size)
    if name == "qoi":
        return "the file ends before its end marker" if picture_end(source, name) is None else None
    if name in _OF_IMAGES:
        return _OF_IMAGES[name](source)
    return uncommon.missing(source, name)


def _beyond(what: str, declared: int, size: int) -> str | None:
    if declared <= size:
        return None
    return f"its {what} ends at byte {declared}, the file at byte {size}"


def _mp4_missing(source: Source, size: int, *, is_film: bool) -> str | None:
    kinds = set()
    boxes_end = 0
    # Each fragment has its samples in the boxes before the next. Their numbers say nothing: they
    # have gaps where tracks were taken out, and are counted by track where those were put together.
    in_fragment, has_samples = False, True
    for kind, start, end in mp4_boxes(source):
        if kind == b"moof":
            if not has_samples:
                return f"a fragment is missing before byte {start}"
            in_fragment, has_samples = True, False
        elif kind == b"mdat":
            if in_fragment and has_samples:
                return f"a fragment's header is missing before byte {start}"
            has_samples = True
        if end is not None and end > size:
            if kind in _BOXES:
                return _beyond(f"{kind.decode()!a} box", end, size)
            break  # No box: what a camera has put behind the last one.
        kinds.add(kind)
        boxes_end = size if end is None else end
    behind = source.read_at(boxes_end, _BOX_HEAD_BYTES)
    # Of a still, places are listed: what is behind its boxes and is none shows nothing.
    begun = (is_film or b"moov" in kinds) and len(behind) < _BOX_HEAD_BYTES and any(behind)
    # A film behind a photograph is a file of its own.
    if begun or (is_film and _has_boxes(source, boxes_end, size)):
        # A demuxer stops there without a word, whatever comes after.
        return f"its boxes end at byte {boxes_end}, the file at byte {size}"
    if not kinds & {b"moov", b"meta", b"mini"}:
        return "the file ends before its 'moov' box"
    return None


def is_segment(source: Source) -> bool:
    """True if a file has fragments of a film, as servers send them one by one, and no header. Waits
    for the end of the source where the first box is none of a film's.
    """
    first = source.read_at(4, 4)
    if first not in (b"styp", b"moof", b"sidx", b"emsg", b"prft"):
        return False
    kinds = {kind for kind, _, _ in mp4_boxes(source)}
    return b"moof" in kinds and not kinds & {b"moov", b"meta"}


def unseen_media(source: Source, media_format: Format) -> str | None:
    """Says in a sentence what of the media no decoder looks at; None if there is nothing.

    Waits for the end of the source.
    """
    if media_format.name == "asf":
        return _second_asf(source)
    if media_format.name == "flv":
        return flv.unseen(source)
    if media_format.name != "mov":
        return None
    films = [start for kind, start, _ in mp4_boxes(source) if kind == b"moov"]
    return f"a second film begins before byte {films[1]}" if len(films) > 1 else None


def _has_boxes(source: Source, start: int, size: int) -> bool:
    """True if a part of a file could hold more of a film: what cameras and editors put behind the
    last box has none of the boxes that frames are found by.
    """
    overlap = 3
    while start < size:
        chunk = source.read_at(start, _READ_BYTES)
        if _OF_FILMS.search(chunk):
            return True
        start += max(1, len(chunk) - overlap)
        if len(chunk) <= overlap:
            break
    return False


def _matroska_missing(source: Source, size: int) -> str | None:
    """The EBML header and the segment after it both declare their length."""
    start = 0
    for what in ("EBML header", "segment"):
        length, content = _ebml_length(source.read_at(start + 4, 8))
        if length is None:
            return None  # Of unknown length: a live recording. It ends where it ends.
        start += 4 + content + length
        if start > size:
            return _beyond(what, start, size)
    return None


def _ebml_length(data: bytes) -> tuple[int | None, int]:
    """(value, bytes it takes) of a length; None if all its bits are set ("unknown")."""
    if not data or data[0] == 0:
        return None, 1
    width = 9 - data[0].bit_length()
    mask = (1 << 7 * width) - 1
    value = int.from_bytes(data[:width], "big") & mask
    return (None if value == mask else value), width


def _ts_missing(source: Source, size: int) -> str | None:
    """Packets of one length, each of which begins with the same byte."""
    for start, heads in _ts_heads(source):
        if (heads[:, 0] != _TS_SYNC).any():
            return f"its packets are out of step after byte {start}"
    _, distance = _ts_layout_of(source)
    return "the file ends within a packet" if size % distance else None


def _ts_layout_of(source: Source) -> tuple[int, int]:
    return ts_layout(source.read_at(0, 4 * _TS_PACKET)) or (0, _TS_PACKET)


def _ts_heads(source: Source) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """The first four bytes of each packet of a transport stream, uint8 ``[n, 4]``, some at a time,
    and where in the file the first of them is.
    """
    first, distance = _ts_layout_of(source)
    start = 0
    while chunk := source.read_at(start, distance * _TS_PACKETS):
        padded = np.frombuffer(chunk + bytes(-len(chunk) % distance), np.uint8)
        heads = padded.reshape(-1, distance)[:, first : first + 4]
        # Of the last packet there may be less.
        whole = -(-(len(chunk) - first) // distance)
        yield start, heads[:whole]
        start += len(chunk)


def _second_asf(source: Source) -> str | None:
    """Objects follow each other: GUID and length."""
    start, size = 0, source.total()
    while start < size:
        head = source.read_at(start, 24)
        if start and head[:4] == _ASF:
            return f"a second film begins at byte {start}"
        length = int.from_bytes(head[16:24], "little")
        if length < 24:
            break
        start += length
    return None


def scrambled(source: Source) -> str | None:
    """Says in a phrase what of a transport stream is scrambled; None if nothing is. Source: ISO/IEC
    13818-1, 2.4.3.3.
    """
    for _, heads in _ts_heads(source):
        padding = (heads[:, 1] & 0x1F == 0x1F) & (heads[:, 2] == 0xFF)
        if ((heads[:, 3] & 0xC0 != 0) & ~padding).any():
            return "scrambled packets"
    return None


def _ps_missing(source: Source, size: int) -> str | None:
    """The last packet of a program stream has its length. Source: ISO/IEC 13818-1, 2.5.3."""
    start = 0
    while len(head := source.read_at(start, 14)) >= 6 and head[:3] == b"\0\0\1":
        if head[3] == 0xBA:  # A pack: of MPEG-2 with stuffing, of MPEG-1 without.
            is_second = head[4] >> 6 == 1
            start += 14 + (head[13] & 7 if len(head) == 14 else 0) if is_second else 12
        elif head[3] == 0xB9:
            start += 4
        elif head[3] > 0xB9:
            start += 6 + int.from_bytes(head[4:6], "big")
        else:
            return None
    return _beyond("last packet", start, size)


def _asf_missing(source: Source, size: int) -> str | None:
    """Objects, each with its length. Source: Microsoft, "Advanced Systems Format", 3."""
    start = 0
    while len(head := source.read_at(start, 24)) == 24:
        length = int.from_bytes(head[16:], "little")
        if length < 24:  # Of data whose length was not known when it was written.
            return None
        start += length
        if start > size:
            return _beyond("last object", start, size)
    return None


def _ogg_missing(source: Source, size: int) -> str | None:
    """Pages, each with the lengths of its segments."""
    start = 0
    while start < size:
        header = source.read_at(start, 27 + 255)
        if header[:4] != b"OggS" or len(header) < 27:
            return f"there is no page at byte {start}"
        segments = header[26]
        start += 27 + segments + sum(header[27 : 27 + segments])
    return _beyond("last page", start, size)


def damaged_chunk(source: Source, media_format: Format) -> str | None:
    """Says in a sentence which part of a PNG or an EXR does not fit its check sum: their decoders
    do not always look. None for other formats.
    """
    if media_format.name == "exr":
        return floats.damaged(source)
    return png.damaged(source) if media_format.name == "png" else None


_BY_STRUCTURE: Final[dict[str, Callable[[Source, int], str | None]]] = {
    "mpegts": _ts_missing,
    "mpeg": _ps_missing,
    "asf": _asf_missing,
    "flv": flv.missing,
    "ogg": _ogg_missing,
}
_OF_IMAGES: Final[dict[str, Callable[[Source], str | None]]] = {
    "dds": dds.missing,
    "exr": floats.missing,
    "fits": fits.missing,
    "gif": gif.missing,
    "jpeg2000": jpeg2000.missing,
    "png": png.missing,
    "pnm": pnm.missing,
    "psd": psd.missing,
}
