"""Streams without a container, or with next to none: what tells them apart by their first bytes.

None of them has a name at its start, so each has to be right in several places.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ["HEAD_BYTES", "bare_stream", "sound_by_header"]

# Parameter sets, and the first picture behind them, lie within.
HEAD_BYTES: Final = 4096

_START: Final = b"\0\0\1"
# Profiles of H.264. Source: ITU-T H.264, annexes A, F and G.
_H264_PROFILES: Final = frozenset({44, 66, 77, 83, 86, 88, 100, 110, 118, 122, 128, 138, 244})

# Of MPEG-1 and 2, 3 layers, by the four bits of a header: kbit/s. Source: ISO/IEC 11172-3, 2.4.2.3.
_MPEG1_KBITS: Final = {
    1: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_MPEG2_KBITS: Final = {
    1: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES: Final = (44_100, 48_000, 32_000)
_AC3: Final = b"\x0b\x77"
_SOUND_FRAMES: Final = 2  # So many must follow each other.


def bare_stream(head: bytes) -> str | None:
    """The name that FFmpeg has for a stream that begins with ``head`` (`HEAD_BYTES`); None if it is
    none that is known here.
    """
    if _is_dv(head):
        return "dv"
    if head[:3] == b"\x12\0\x0a":  # A delimiter, and the header of a sequence. Source: AV1, 5.3.
        return "obu"
    if _is_annex_b_of_av1(head):
        return "av1"
    if head.startswith((_START, b"\0" + _START)):
        return _by_units(head)
    return _sound(head)


def _is_dv(head: bytes) -> bool:
    """The first blocks of a frame: its header, and two of subcodes. Source: IEC 61834-2, 5."""
    return (
        head[:3] == b"\x1f\x07\0"
        and len(head) > 160
        and head[3] & 0x7F == 0x3F
        and head[80] >> 5 == head[160] >> 5 == 1
    )


def _is_annex_b_of_av1(head: bytes) -> bool:
    """Sizes of a temporal unit, of a frame, and of its delimiter. Source: AV1, annex B."""
    at, sizes = 0, []
    for _ in range(2):
        size = shift = 0
        for byte in head[at : at + 4]:
            at, size, shift = at + 1, size | (byte & 0x7F) << shift, shift + 7
            if not byte & 0x80:
                break
        sizes.append(size)
    unit, frame = sizes
    return 8 < frame < unit and head[at : at + 2] == b"\1\x10" and head[at + 3 : at + 4] == b"\x08"


def _by_units(head: bytes) -> str | None:
    units = list(_units(head))
    kinds = [unit[0] for unit in units]
    first = units[0] if units else b""
    if len(first) < 8:
        return _nal_stream(units)
    if first[0] == 0xB3 and first[1:4] != bytes(3) and first[4] & 15 in range(1, 9):
        # A sequence of MPEG-1 or 2, with its extension or a group behind it.
        return "mpegvideo" if kinds[1:2] and kinds[1] in (0xB5, 0xB8, 0xB2, 0) else None
    if first[0] == 0x0F and first[1] >> 6 == 3:  # A sequence of VC-1, of the advanced profile.
        return "vc1" if 0x0E in kinds[1:] else None
    return _nal_stream(units)


def _nal_stream(units: list[bytes]) -> str | None:
    kinds = [unit[0] for unit in units]
    if kinds[:1] == [0xB0] and any(0x20 <= kind < 0x30 for kind in kinds):
        return "m4v"  # Source: ISO/IEC 14496-2, 6.2.2.
    if any(kind & 0x80 for kind in kinds) or not units:
        return None
    if all(len(unit) > 1 and unit[1] == 1 and not unit[0] & 1 for unit in units):
        found = [kind >> 1 for kind in kinds]
        if found[0] in (32, 35, 39) and {32, 33, 34} <= set(found):
            return "hevc"  # Source: ITU-T H.265, 7.4.2.2.
    if all(len(unit) > 1 and unit[0] == 0 and unit[1] & 7 for unit in units):
        found = [unit[1] >> 3 for unit in units]
        if found[0] in (12, 13, 14, 15, 20) and {15, 16} <= set(found):
            return "vvc"  # Source: ITU-T H.266, 7.4.2.2.
    found = [kind & 31 for kind in kinds]
    sets = [unit for unit in units if unit[0] & 31 == 7]
    if found[0] in (6, 7, 9) and 8 in found and sets and sets[0][0] >> 5:
        return "h264" if len(sets[0]) > 1 and sets[0][1] in _H264_PROFILES else None
    return None


def _units(head: bytes) -> Iterator[bytes]:
    """What stands between start codes."""
    at = head.find(_START)
    while at >= 0:
        following = head.find(_START, at + 3)
        unit = head[at + 3 : following if following >= 0 else len(head)]
        if unit:
            yield unit
        at = following


def sound_by_header(head: bytes) -> str | None:
    """``mp3`` or ``aac`` if ``head`` begins with the header of a frame: little to go by."""
    if _mp3_bytes(head[:7]):
        return "mp3"
    return "aac" if _adts_bytes(head[:7]) else None


def _sound(head: bytes) -> str | None:
    if head[:2] == _AC3 and head.find(_AC3, 2) > 0 and len(head) > 5:
        version = head[5] >> 3  # Source: ATSC A/52, 5.4.2.1 and annex E.
        return "ac3" if version <= 10 else "eac3" if version <= 16 else None
    for name, length in (("mp3", _mp3_bytes), ("aac", _adts_bytes)):
        at = 0
        for _ in range(_SOUND_FRAMES):
            step = length(head[at : at + 7])
            at += step
            if not step:
                break
        else:
            if length(head[at : at + 7]) or at >= len(head):
                return name
    return None


def _mp3_bytes(header: bytes) -> int:
    """The length of a frame of MPEG sound by its header; 0 if it is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    rate, kbits, pad = header[2] >> 2 & 3, header[2] >> 4, header[2] >> 1 & 1
    if version == 1 or layer == 4 or rate == 3 or kbits in (0, 15):
        return 0
    hertz = _RATES[rate] >> (0, 0, 1, 0)[version] >> (2 if version == 0 else 0)
    bits = 1000 * (_MPEG1_KBITS if version == 3 else _MPEG2_KBITS)[layer][kbits]
    if layer == 1:
        return (12 * bits // hertz + pad) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits // hertz + pad


def _adts_bytes(header: bytes) -> int:
    """The length of a frame of AAC by its header; 0 if it is none. Source: ISO/IEC 13818-7, 6.2."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return 0
    if header[2] >> 2 & 15 > 12:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length > 7 else 0
