"""The short form of an image file's items: a picture, its transparency and its gain map, told in
bits rather than boxes (``mini``).

Source: ISO/IEC 23008-12:2025, annex O, MinimizedImageBox.
"""

from __future__ import annotations

import struct
from typing import Final

from hashmatch.media.extents import mp4_boxes
from hashmatch.media.faults import Damaged
from hashmatch.media.heif import Items, Places
from hashmatch.media.source import Source

__all__ = ["is_avif", "items"]

# A header has fewer bytes; profiles and pictures come behind it.
_MOST_HEADER: Final = 512
_MOST_PROFILE: Final = 1 << 20

# What a picture is coded as, by the minor version of the file. Source: annex O.4.
_CODINGS: Final = {b"avif": (b"av01", b"av1C"), b"heic": (b"hvc1", b"hvcC")}

_COLOUR, _ALPHA, _TONE_MAPPED, _GAIN_MAP = 1, 2, 3, 4
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


def _items(source: Source, start: int, end: int) -> Items:
    bits = _Bits(source.read_at(start, min(_MOST_HEADER, end - start)))
    bits.next(2)
    (
        coding_told, is_float, is_full, has_alpha, codes_told, has_hdr, has_icc, has_exif, has_xmp
    ) = (bits.flag() for _ in range(9))  # fmt: skip
    sampling, orientation = bits.next(2), bits.next(3) + 1
    of_side = 15 if bits.flag() else 7
    size = bits.next(of_side) + 1, bits.next(of_side) + 1
    _skip_siting(bits, sampling)
    _skip_depth(bits, is_float=is_float)
    is_premultiplied = has_alpha and bits.flag()
    primaries, transfer, matrix = (2, 2, 6) if has_icc else (1, 13, 6)
    if codes_told:
        primaries, transfer = bits.next(8), bits.next(8)
        matrix = bits.next(8) if sampling else 2
    coding, config_name = _CODINGS.get(source.read_at(12, 4), (b"\0\0\0\0", b""))
    if coding_told:
        coding, config_name = (bits.next(32).to_bytes(4, "big") for _ in range(2))
    gain_size: tuple[int, int] | None = None
    gain_colour, tone_icc = b"", False
    if has_hdr and bits.flag():
        gain_size = bits.next(of_side) + 1, bits.next(of_side) + 1
        gain_matrix, gain_full = bits.next(8), bits.flag()
        gain_colour = struct.pack(">4s3HB", b"nclx", 2, 2, gain_matrix, gain_full << 7)
        _skip_siting(bits, bits.next(2))
        _skip_depth(bits, is_float=bits.flag())
        tone_icc = bits.flag()
        if bits.flag():
            bits.next(25)
    for _ in range(has_hdr + (gain_size is not None)):
        _skip_light(bits)

    has_metadata = has_icc or has_exif or has_xmp or gain_size is not None
    of_metadata = 20 if has_metadata and bits.flag() else 10
    of_config = 12 if bits.flag() else 3
    of_data = 28 if bits.flag() else 15
    icc = bits.next(of_metadata) + 1 if has_icc else 0
    tone_profile = bits.next(of_metadata) + 1 if tone_icc else 0
    gain_metadata, gain_data, gain_config = 0, 0, 0
    if gain_size is not None:
        gain_metadata, gain_data = bits.next(of_metadata), bits.next(of_data)
        gain_config = bits.next(of_config) if gain_data else 0
    main_config, main_data = bits.next(of_config), bits.next(of_data) + 1
    alpha_data = bits.next(of_data) if has_alpha else 0
    alpha_config = bits.next(of_config) if alpha_data else 0
    if has_exif or has_xmp:
        # Whether they are packed. They lie behind all pictures and are not looked at.
        bits.next(1 + of_metadata * (has_exif + has_xmp))

    at = start + bits.bytes_read()
    configs = []
    for length in (main_config, alpha_config, gain_config):
        configs.append(source.read_at(at, length))
        at += length
    profile = source.read_at(at, min(icc, _MOST_PROFILE))
    at += icc + tone_profile + gain_metadata

    found = Items(_COLOUR)
    colour = struct.pack(">4s3HB", b"nclx", primaries, transfer, matrix, is_full << 7)

    def add(item: int, config: bytes, size: tuple[int, int], length: int) -> None:
        nonlocal at
        found.kinds[item] = coding
        found.properties[item] = [
            (config_name, config or configs[0]),
            (b"ispe", struct.pack(">4x2I", *size)),
        ]
        found.places[item] = Places([(at, length)])
        at += length

    if alpha_data:
        add(_ALPHA, configs[1], size, alpha_data)
        found.properties[_ALPHA].append((b"auxC", bytes(4) + _ALPHA_NAME))
        found.references.append((b"auxl", _ALPHA, (_COLOUR,)))
        if is_premultiplied:
            found.references.append((b"prem", _COLOUR, (_ALPHA,)))
    if gain_size is not None and gain_data:
        add(_GAIN_MAP, configs[2], gain_size, gain_data)
        found.properties[_GAIN_MAP].append((b"colr", gain_colour))
        found.kinds[_TONE_MAPPED] = b"tmap"
        found.references.append((b"dimg", _TONE_MAPPED, (_COLOUR, _GAIN_MAP)))
    add(_COLOUR, configs[0], size, main_data)
    properties = found.properties[_COLOUR]
    properties.append((b"colr", colour))
    if profile:
        properties.append((b"colr", b"prof" + profile))
    # Both pictures are turned: the transparency with the colours that it belongs to.
    if orientation in _ANGLES:
        properties.append((b"irot", bytes([_ANGLES[orientation]])))
    if orientation in _AXES:
        properties.append((b"imir", bytes([_AXES[orientation]])))
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
