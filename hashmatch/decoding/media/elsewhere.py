"""Films within files that begin as something else.

FFmpeg, and mpv with it, finds a format by what is in the first megabyte, not by the first bytes
alone: a photograph with a transport stream in its metadata is a film to them. Nobody writes such
files but to hide something, so that they are named, and not decoded.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Final

import numpy as np

from hashmatch.decoding.media.bare import HEAD_BYTES, bare_stream
from hashmatch.decoding.media.source import Source

__all__ = ["film_within"]

# Source: FFmpeg, libavformat/internal.h, PROBE_BUF_MAX.
_PROBED_BYTES: Final = 1 << 20
_READ_BYTES: Final = 1 << 20
_OVERLAP: Final = 512

# Formats that FFmpeg is sure of wherever they begin.
_NUT: Final = b"NM\x7a\x56\x1f\x5f\x04\xad"
_MXF: Final = bytes.fromhex("060e2b34020501010d0102010102")
# Formats that it is sure of by their own first bytes, before it looks for streams.
_SURE: Final = frozenset({
    "mov", "matroska", "flv", "ogg", "asf", "avi", "gif", "tiff", "webp", "png", "avif", "heif",
    "yuv4mpegpipe", "wav", "flac", "mxf",
})  # fmt: skip

# Six packets of ten in step are a transport stream to FFmpeg.
_TS_DISTANCES: Final = (188, 192, 204)
_TS_WINDOW, _TS_IN_STEP = 10, 6
# A packet that begins a unit, with or without a field before it, and what a film's units begin by.
_TS_UNIT: Final = re.compile(rb"G[\x40-\x7f\xc0-\xff].[\x10-\x1f\x30-\x3f]", re.DOTALL)
_TS_ADAPTED: Final = 0x20
_PES: Final = re.compile(rb"\0\0\x01[\xbd\xe0-\xef\xfd]")

# Packs, or packets of pictures. Source: ISO/IEC 13818-1, 2.5.3.3 and 2.4.3.6; 11172-1, 2.4.3.
_PACK: Final = re.compile(rb"\0\0\x01\xba[\x21\x23\x25\x27\x29\x2b\x2d\x2f\x44-\x47\x4c-\x4f"
                          rb"\x54-\x57\x5c-\x5f\x64-\x67\x6c-\x6f\x74-\x77\x7c-\x7f]")  # fmt: skip
_PICTURES: Final = re.compile(
    rb"\0\0\x01[\xe0-\xef]..(?:[\x80-\x8f][\x00\x80-\x83\xc0-\xc3]|\xff*[\x21-\x2f\x31-\x3f\x0f])",
    re.DOTALL,
)
# One alone can stand in any compressed data.
_FEW: Final = 3

# What streams without a container begin with: of H.264, HEVC, VVC, MPEG and VC-1; of DV. Whole
# sequences are held against `bare_stream`.
_UNITS: Final = re.compile(
    rb"\0\0\x01(?:[\x06\x07\x09\x27\x47\x67]|[\x40\x46\x4e]\x01|\0[\x61-\x7f\xa1-\xa7]|[\x0f\xb0\xb3])"
)
# Among the units of an MP4, whose sizes stand before them as start codes might, those with sizes of
# 256 to 511 bytes: no such two come so soon after each other. Parameter sets, or headers of MPEG.
_SETS: Final = re.compile(
    rb"\0\0\x01[\x27\x47\x67].{3,240}?\0\0\x01[\x28\x48\x68]"
    rb"|\0\0\x01\x40\x01.{3,240}?\0\0\x01\x42\x01"
    rb"|\0\0\x01\xb3.{8,200}?\0\0\x01[\xb5\xb8\0]",
    re.DOTALL,
)
_DV: Final = re.compile(rb"\x1f\x07\0[\x3f\xbf]")
_MOST_BEGINNINGS: Final = 4096
# AVS, and Dirac. Source: GB/T 20090.2, 7.1; SMPTE ST 2042-1, 9.6 (a header of a sequence).
_OTHERS: Final = re.compile(rb"\0\0\x01\xb0[\x20\x48].{20,400}?\0\0\x01\xb3|BBCD\0", re.DOTALL)
# H.263, and its older relative: many pictures must follow each other. Source: ITU-T H.263, 5.1.
_H263: Final = re.compile(rb"\0\0[\x80-\x83].[\x04-\x1f]", re.DOTALL)


def film_within(source: Source, name: str, film_at: int | None = None) -> str | None:
    """Says in a phrase what film a file of the format ``name`` is to FFmpeg besides; None if it is
    none. ``film_at``: where an MP4 begins behind it that is looked at as a film. Waits for the end
    of the source.
    """
    size = source.total()
    head = source.read_at(0, min(size, _PROBED_BYTES))
    if name != "NUT" and _NUT in head:
        return "a film in NUT"
    if name != "mxf" and _MXF in head:
        return "a film in MXF"
    if name in _SURE:
        return None
    if name != "mpegts" and _in_step(head) and _has_units(source, size):
        return "a transport stream"
    if name != "mpeg" and _is_program(head, by_packets=name != "mpegts"):
        return "a program stream"
    if name not in ("mpegts", "mpeg") and not _is_bare(name):
        before = head if film_at is None else head[:film_at]
        if _has_bare(before) or _SETS.search(head, len(before)) is not None:
            return "a stream without a container"
    return None


def _is_bare(name: str) -> bool:
    return name in ("av1", "dv", "h264", "hevc", "m4v", "mpegvideo", "obu", "vc1", "vvc", "ivf")


def _in_step(head: bytes) -> bool:
    """True if packets of a transport stream lie at one distance, few of them missing."""
    data = np.frombuffer(head, np.uint8)
    if len(data) < _TS_WINDOW * _TS_DISTANCES[0]:
        return False
    begins = np.zeros(len(data), np.uint8)
    # It has a payload or a field, or is padding.
    begins[:-3] = (data[:-3] == ord("G")) & (
        (data[3:] & 0x30 != 0) | ((data[1:-2] & 0x1F == 0x1F) & (data[2:-1] == 0xFF))
    )
    if np.count_nonzero(begins) < _TS_IN_STEP:
        return False
    for distance in _TS_DISTANCES:
        rows = begins[: len(begins) // distance * distance].reshape(-1, distance)
        sums = np.cumsum(rows, axis=0, dtype=np.int32)
        if len(rows) < _TS_WINDOW:
            continue
        in_window = sums[_TS_WINDOW - 1 :].copy()
        in_window[1:] -= sums[:-_TS_WINDOW]
        if (in_window >= _TS_IN_STEP).any():
            return True
    return False


def _has_units(source: Source, size: int) -> bool:
    """True if a packet of a transport stream begins a unit of a film."""
    for data in _pieces(source, size):
        for found in _TS_UNIT.finditer(data):
            start = found.end()
            if data[start - 1] & _TS_ADAPTED:
                start += 1 + data[start] if start < len(data) else 0
            if _PES.match(data, start):
                return True
    return False


def _pieces(source: Source, size: int) -> Iterator[bytes]:
    for start in range(0, size, _READ_BYTES - _OVERLAP):
        yield source.read_at(start, min(_READ_BYTES, size - start))


def _is_program(head: bytes, *, by_packets: bool) -> bool:
    """``by_packets``: packets of pictures are told by their headers alone."""
    packs = _count(_PACK, head)
    if not by_packets:
        return packs >= _FEW
    pictures = _count(_PICTURES, head)
    return pictures >= _FEW or packs >= _FEW or (packs > 0 and pictures > 0)


def _count(pattern: re.Pattern[bytes], head: bytes) -> int:
    """How often it is found, up to `_FEW`."""
    return sum(1 for _ in itertools.islice(pattern.finditer(head), _FEW))


def _has_bare(head: bytes) -> bool:
    if _OTHERS.search(head) is not None:
        return True
    if sum(1 for _ in _H263.finditer(head)) * 256 > len(head) > _OVERLAP:
        return True
    for pattern in (_UNITS, _DV):
        for number, found in enumerate(pattern.finditer(head)):
            if bare_stream(head[found.start() : found.start() + HEAD_BYTES]) is not None:
                return True
            if number == _MOST_BEGINNINGS:
                break
    return False
