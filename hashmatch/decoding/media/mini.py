"""The short form of an image file's items: a picture, its transparency and its gain map, told in
bits rather than boxes (``mini``).

Source: ISO/IEC 23008-12:2025, annex O, MinimizedImageBox.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from hashmatch.decoding.media.extents import mp4_boxes
from hashmatch.decoding.media.faults import Damaged
from hashmatch.decoding.media.heif import Items, Places
from hashmatch.decoding.media.source import Source

__all__ = ["is_avif", "items"]

# A header has fewer bytes; profiles and pictures come behind it.
_MOST_HEADER: Final = 512
_MOST_PROFILE: Final = 1 << 20

# What a picture is coded as, by the minor version of the file. Source: annex O.4.
_CODINGS: Final = {b"avif": (b"av01", b"av1C"), b"heic": (b"hvc1", b"hvcC")}

_COLOUR, _ALPHA, _GAIN_MAP = 1, 2, 3
_ALPHA_NAME: Final = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"
# Quarter turns and mirrors by EXIF orientation.
_ANGLES: Final = {3: 2, 5: 1, 6: 3, 7: 3, 8: 1}
_AXES: Final = {2: 1, 4: 0, 5: 0, 7: 0}


class _Bits:
    """Reads numbers of so many bits one after another. Raises `Damaged` behind the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def next(self, size: int) -> int:
        first, self._at = self._at, self._at + size
        last = (self._at + 7) // 8
        if last > len(self._data):
            raise Damaged("the header of a picture ends too early")
        number = int.from_bytes(self._data[first // 8 : last], "big")
        return number >> (8 * last - self._at) & (1 << size) - 1

    def flag(self) -> bool:
        return bool(self.next(1))

    def bytes_read(self) -> int:
        return (self._at + 7) // 8


def is_avif(source: Source) -> bool | None:
    """True if a file in short form is an AVIF, false if it is another; None if it is in no such
    form.
    """
    if any(kind == b"mini" for kind, _, _ in mp4_boxes(source)):
        return items(source).kinds[_COLOUR] == b"av01"
    return None


def items(source: Source) -> Items:
    """The items of a file in short form, as if it had a list of them; without any if they cannot
    be read.
    """
    for kind, start, end in mp4_boxes(source):
        if kind == b"mini":
            try:
                return _items(source, start + 8, source.total() if end is None else end)
            except Damaged:
                return Items(1, {_COLOUR: b"\0\0\0\0"}, doubts=["a header that ends too early"])
    return Items()


@dataclass(slots=True)
class _Coded:
    """A picture: its size, what is said of its colours, and how long its parts are in bytes."""

    size: tuple[int, int]
    nclx: bytes = b""
    config: int = 0
    data: int = 0


@dataclass(slots=True)
class _Header:
    """What stands before the bytes of all pictures."""

    coding: tuple[bytes, bytes]
    orientation: int
    colour: _Coded
    alpha: _Coded | None = None
    is_premultiplied: bool = False
    gain_map: _Coded | None = None
    profile: int = 0
    # Bytes between the profile and the first picture.
    between: int = 0


def _nclx(primaries: int, transfer: int, matrix: int, *, is_full: bool) -> bytes:
    return struct.pack(">4s3HB", b"nclx", primaries, transfer, matrix, is_full << 7)


def _header(bits: _Bits, implied: tuple[bytes, bytes]) -> _Header:
    bits.next(2)
    (
        coding_told, is_float, is_full, has_alpha, codes_told, has_hdr, has_icc, has_exif, has_xmp
    ) = (bits.flag() for _ in range(9))  # fmt: skip
    sampling, orientation = bits.next(2), bits.next(3) + 1
    of_side = 15 if bits.flag() else 7
    colour = _Coded((bits.next(of_side) + 1, bits.next(of_side) + 1))
    _skip_siting(bits, sampling)
    _skip_depth(bits, is_float=is_float)
    made = _Header(implied, orientation, colour)
    if has_alpha:
        made.alpha, made.is_premultiplied = _Coded(colour.size), bits.flag()
    codes = (2, 2, 6) if has_icc else (1, 13, 6)
    if codes_told:
        codes = bits.next(8), bits.next(8), bits.next(8) if sampling else 2
    colour.nclx = _nclx(*codes, is_full=is_full)
    if coding_told:
        made.coding = bits.next(32).to_bytes(4, "big"), bits.next(32).to_bytes(4, "big")
    has_tone_profile = False
    if has_hdr:
        if bits.flag():
            made.gain_map, has_tone_profile = _gain_map(bits, of_side)
        for _ in range(1 if made.gain_map is None else 2):
            _skip_light(bits)
    _read_lengths(made, bits, has_icc, has_tone_profile, has_exif + has_xmp)
    return made


def _gain_map(bits: _Bits, of_side: int) -> tuple[_Coded, bool]:
    """A gain map, and whether what it makes has a profile."""
    made = _Coded((bits.next(of_side) + 1, bits.next(of_side) + 1))
    made.nclx = _nclx(2, 2, bits.next(8), is_full=bits.flag())
    _skip_siting(bits, bits.next(2))
    _skip_depth(bits, is_float=bits.flag())
    has_profile = bits.flag()
    if bits.flag():
        bits.next(25)  # Code points of what it makes.
    return made, has_profile


def _read_lengths(
    made: _Header, bits: _Bits, has_icc: bool, has_tone_profile: bool, others: int
) -> None:
    """``others``: how many of EXIF and XMP there are; they lie behind all pictures."""
    has_metadata = has_icc or others or made.gain_map is not None
    of_metadata = 20 if has_metadata and bits.flag() else 10
    of_config = 12 if bits.flag() else 3
    of_data = 28 if bits.flag() else 15
    if has_icc:
        made.profile = bits.next(of_metadata) + 1
    if has_tone_profile:
        made.between = bits.next(of_metadata) + 1
    if made.gain_map is not None:
        made.between += bits.next(of_metadata)
        made.gain_map.data = bits.next(of_data)
        made.gain_map.config = bits.next(of_config) if made.gain_map.data else 0
    made.colour.config, made.colour.data = bits.next(of_config), bits.next(of_data) + 1
    if made.alpha is not None:
        made.alpha.data = bits.next(of_data)
        made.alpha.config = bits.next(of_config) if made.alpha.data else 0
    if others:
        bits.next(1 + of_metadata * others)  # Whether they are packed; their lengths.


def _items(source: Source, start: int, end: int) -> Items:
    bits = _Bits(source.read_at(start, min(_MOST_HEADER, end - start)))
    header = _header(bits, _CODINGS.get(source.read_at(12, 4), (bytes(4), b"")))
    at = start + bits.bytes_read()
    # Configurations in this order, then metadata, then pictures in another.
    pictures = {_COLOUR: header.colour, _ALPHA: header.alpha, _GAIN_MAP: header.gain_map}
    configs: dict[int, bytes] = {}
    for item, coded in pictures.items():
        if coded is not None:
            configs[item] = source.read_at(at, coded.config) or configs.get(_COLOUR, b"")
            at += coded.config
    profile = source.read_at(at, min(header.profile, _MOST_PROFILE))
    at += header.profile + header.between
    found = Items(_COLOUR)
    for item in (_ALPHA, _GAIN_MAP, _COLOUR):
        coded = pictures[item]
        if coded is None or not coded.data:
            continue
        found.kinds[item] = header.coding[0]
        found.places[item] = Places([(at, coded.data)])
        at += coded.data
        properties = found.properties[item] = [
            (header.coding[1], configs[item]),
            (b"ispe", struct.pack(">4x2I", *coded.size)),
        ]
        if coded.nclx:
            properties.append((b"colr", coded.nclx))
    if _ALPHA in found.kinds:
        found.properties[_ALPHA].append((b"auxC", bytes(4) + _ALPHA_NAME))
        found.refer(b"auxl", _ALPHA, (_COLOUR,))
        if header.is_premultiplied:
            found.refer(b"prem", _COLOUR, (_ALPHA,))
    properties = found.properties[_COLOUR]
    if profile:
        properties.append((b"colr", b"prof" + profile))
    if header.orientation in _ANGLES:
        properties.append((b"irot", bytes([_ANGLES[header.orientation]])))
    if header.orientation in _AXES:
        properties.append((b"imir", bytes([_AXES[header.orientation]])))
    return found


def _skip_siting(bits: _Bits, sampling: int) -> None:
    """Where chroma samples lie; ``sampling`` 1 is 4:2:0, 2 is 4:2:2."""
    bits.next({1: 2, 2: 1}.get(sampling, 0))


def _skip_depth(bits: _Bits, *, is_float: bool) -> None:
    if is_float:
        bits.next(2)
    elif bits.flag():
        bits.next(3)


def _skip_light(bits: _Bits) -> None:
    """What the light is like that a picture was made in and for."""
    content, mastering, volume, ambient, reference, white = (bits.flag() for _ in range(6))
    bits.next(32 * content + 192 * mastering)
    if volume:
        told = bits.next(8)
        bits.next(192 * bool(told & 32) + 32 * (told & 28).bit_count())
    bits.next(64 * ambient + 128 * reference + 32 * white)
