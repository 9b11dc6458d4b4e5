"""Whether all of a media is there, by its own structure, and what no decoder looks at."""

from __future__ import annotations

import zlib

import numpy as np

from hashmatch.media.formats import TS_PACKET, Format, gif_end, mp4_boxes, png_chunks
from hashmatch.media.source import Source

__all__ = ["damaged_chunk", "missing_bytes", "scrambled", "unseen_media"]

_READ_BYTES = 65_536
_ASF = b"\x30\x26\xb2\x75"


def missing_bytes(source: Source, media_format: Format) -> str | None:
    """Says in a sentence what of the media is missing by its own structure; None if nothing is.

    Waits for the end of the source. Formats that declare no length can at least not end, or lose
    their step, within a packet; a JPEG's missing end is found by its decoder.
    """
    size = source.total()
    name = media_format.name
    if name in ("mov", "avif"):
        return _mp4_missing(source, size)
    if name in ("avi", "webp"):
        declared = 8 + int.from_bytes(source.read_at(4, 4), "little")
        return _beyond("RIFF chunk", declared, size)
    if name == "matroska":
        return _matroska_missing(source, size)
    if name in ("mpegts", "flv", "ogg"):
        return {"mpegts": _ts_missing, "flv": _flv_missing, "ogg": _ogg_missing}[name](source, size)
    if name == "png":
        return None if _png_ends(source) else "the file ends before its IEND chunk"
    if name == "gif":
        return None if gif_end(source) is not None else "the file ends before its trailer"
    return None


def _beyond(what: str, declared: int, size: int) -> str | None:
    if declared <= size:
        return None
    return f"its {what} ends at byte {declared}, the file at byte {size}"


def _mp4_missing(source: Source, size: int) -> str | None:
    kinds = set()
    boxes_end = 0
    fragment = 0  # Number of the newest; each has its samples in the boxes before the next.
    has_samples = True
    for kind, start, end in mp4_boxes(source):
        if kind == b"moof":
            number = _fragment_number(source, start)
            if not has_samples or (fragment and number != fragment + 1):
                return f"a fragment is missing before byte {start}"
            fragment, has_samples = number, False
        elif kind == b"mdat":
            if fragment and has_samples:
                return f"a fragment's header is missing before byte {start}"
            has_samples = True
        kinds.add(kind)
        boxes_end = size if end is None else end
        if boxes_end > size:
            return _beyond(f"{kind.decode('ascii', 'replace')!a} box", boxes_end, size)
    if not _ends_in_zeros(source, boxes_end, size):
        # A demuxer stops there without a word, whatever comes after.
        return f"its boxes end at byte {boxes_end}, the file at byte {size}"
    if b"moov" not in kinds and b"meta" not in kinds:
        return "the file ends before its 'moov' box"
    return None


def _fragment_number(source: Source, start: int) -> int:
    """The sequence number in the ``mfhd`` box that a ``moof`` box begins with."""
    return int.from_bytes(source.read_at(start + 20, 4), "big")


def unseen_media(source: Source, media_format: Format) -> str | None:
    """Says in a sentence what of the media no decoder looks at; None if there is nothing.

    Waits for the end of the source.
    """
    if media_format.name == "asf":
        return _second_asf(source)
    if media_format.name != "mov":
        return None
    films = [start for kind, start, _ in mp4_boxes(source) if kind == b"moov"]
    return f"a second film begins before byte {films[1]}" if len(films) > 1 else None


def _ends_in_zeros(source: Source, start: int, size: int) -> bool:
    """True if nothing but padding is left."""
    while start < size:
        chunk = source.read_at(start, _READ_BYTES)
        if chunk.count(0) != len(chunk):
            return False
        start += len(chunk)
    return True


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
    start = 0
    while chunk := source.read_at(start, TS_PACKET * 512):
        starts = chunk[::TS_PACKET]
        if starts.count(b"G") != len(starts):
            return f"its packets are out of step after byte {start}"
        start += len(chunk)
    return "the file ends within a packet" if size % TS_PACKET else None


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
    start = 0
    while chunk := source.read_at(start, TS_PACKET * 512):
        heads = np.frombuffer(chunk[: len(chunk) // TS_PACKET * TS_PACKET], np.uint8)
        heads = heads.reshape(-1, TS_PACKET)[:, :4]
        padding = (heads[:, 1] & 0x1F == 0x1F) & (heads[:, 2] == 0xFF)
        if ((heads[:, 3] & 0xC0 != 0) & ~padding).any():
            return "scrambled packets"
        start += len(chunk)
    return None


def _flv_missing(source: Source, size: int) -> str | None:
    """Tags of known kinds, each with its length; the length is repeated behind, but for the last
    one perhaps.
    """
    start = int.from_bytes(source.read_at(5, 4), "big") + 4
    while start < size:
        header = source.read_at(start, 4)
        if header[0] & 0x1F not in (8, 9, 18):
            return f"there is no tag at byte {start}"
        start += 15 + int.from_bytes(header[1:], "big")
    return _beyond("last tag", start - 4, size)


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


def _png_ends(source: Source) -> bool:
    return any(kind == b"IEND" for kind, _, _ in png_chunks(source))


def damaged_chunk(source: Source, media_format: Format) -> str | None:
    """Says in a sentence which part of a PNG does not fit its check sum: its decoder does not
    always look. None for other formats.
    """
    if media_format.name != "png":
        return None
    start = 8
    while len(header := source.read_at(start, 8)) == 8:
        length = int.from_bytes(header[:4], "big")
        check = zlib.crc32(header[4:])
        for offset in range(0, length, _READ_BYTES):
            size = min(_READ_BYTES, length - offset)
            check = zlib.crc32(source.read_at(start + 8 + offset, size), check)
        if source.read_at(start + 8 + length, 4) != check.to_bytes(4, "big"):
            return f"the chunk at byte {start} does not fit its check sum"
        if header[4:] == b"IEND":
            break
        start += 12 + length
    return None
