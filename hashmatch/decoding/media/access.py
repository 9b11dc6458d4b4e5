"""Where a decoder can begin, and what it can do without: asked of the stream itself.

A container says which of its packets are key frames, but an uploader writes the container: a frame
that refers to others, called a key frame and decoded alone, would show us what nobody is shown.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import av
import av.video.stream

from hashmatch.engine.sampling.packets import PacketRole

__all__ = ["Classifier", "nal_headers"]

_START_CODE: Final = b"\x00\x00\x01"

# The size of a unit, as nearly all files tell it, and the unit's first byte.
_SIZED: Final = struct.Struct(">IB")
_SIZE_BYTES: Final = 4

# Their frames say of themselves whether they are key frames, which is held against the container's
# word when they are decoded; nothing but a key frame carries what outlasts it.
_SELF_TELLING = frozenset({"vp8", "vp9", "libdav1d", "av1"})


@dataclass(frozen=True, slots=True)
class _NalUnits:
    """How a stream of NAL units is told by their types."""

    shift: int  # Of the type in the first byte of a unit.
    mask: int
    slices: frozenset[int]
    entries: frozenset[int]  # Slices that refer to no other picture: the decoder refuses others.
    leading: frozenset[int]
    sets: frozenset[int]  # Parameter sets.
    harmless: frozenset[int]  # Of the rest, what a decoder learns nothing from.

    def kind(self, header: int) -> int:
        """The type of a unit by its first byte."""
        return header >> self.shift & self.mask

    def access(self, kinds: set[int]) -> PacketRole:
        """Of a packet with units of these types."""
        slices = kinds & self.slices
        if not slices:
            return PacketRole.NEEDED
        if slices <= self.entries:
            return PacketRole.ENTRY
        return PacketRole.LEADING if slices <= self.leading else PacketRole.SKIPPABLE


# Source: ITU-T H.264, table 7-1. IDR pictures; sequence and picture parameter sets; SEI, delimiter,
# ends and filler.
_H264 = _NalUnits(
    shift=0,
    mask=31,
    slices=frozenset(range(1, 6)),
    entries=frozenset({5}),
    leading=frozenset(),
    sets=frozenset({7, 8}),
    harmless=frozenset({6, 9, 10, 11, 12}),
)
# Source: ITU-T H.265, table 7-1. IRAP pictures; RADL and RASL pictures; video, sequence and picture
# parameter sets; delimiter, ends, filler and SEI.
_HEVC = _NalUnits(
    shift=1,
    mask=63,
    slices=frozenset({*range(10), *range(16, 22)}),
    entries=frozenset(range(16, 22)),
    leading=frozenset(range(6, 10)),
    sets=frozenset({32, 33, 34}),
    harmless=frozenset(range(35, 41)),
)


class Classifier:
    """What may be done with the packets of one stream."""

    def __init__(self, stream: av.video.stream.VideoStream) -> None:
        """The stream's decoder is known."""
        context = stream.codec_context
        extradata = bytes(context.extradata or b"")
        is_sized = extradata[:1] == b"\x01"  # The version of avcC and of hvcC.
        self._units: _NalUnits | None = None
        self._length = 0  # Bytes in which the size of a unit is told; 0: start codes lie between.
        self._known: tuple[bytes, ...] = ()  # Parameter sets of the newest packet that had any.
        # Source: ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1.
        if context.name == "h264":
            self._units = _H264
            self._length = (extradata[4] & 3) + 1 if is_sized and len(extradata) > 4 else 0
        elif context.name == "hevc":
            self._units = _HEVC
            self._length = (extradata[21] & 3) + 1 if is_sized and len(extradata) > 21 else 0
        # By the first byte of a packet's only unit.
        self._of_one: tuple[PacketRole, ...] = ()
        if self._units is not None:
            kinds = map(self._units.kind, range(256))
            self._of_one = tuple(self._units.access({kind}) for kind in kinds)
        self._all_entries = context.codec.intra_only
        self._self_telling = context.name in _SELF_TELLING
        # Frames that are decoded after an entry may be shown before it.
        self.may_lead = self._units is not None and bool(self._units.leading)

    def access(self, packet: av.Packet[Any]) -> PacketRole:
        """Of a packet that was not yet decoded."""
        if self._units is not None:
            only = self._only_unit(packet)
            if only is not None:
                return self._of_one[only]
            units = self._units
            data = memoryview(packet)
            return units.access({units.kind(data[at]) for at, _ in _units_of(data, self._length)})
        if self._all_entries or (self._self_telling and packet.is_keyframe):
            return PacketRole.ENTRY
        return PacketRole.SKIPPABLE if self._self_telling else PacketRole.NEEDED

    def given(self, packet: av.Packet[Any]) -> None:
        """The decoder gets this packet: from now on it knows its parameter sets."""
        if self._units is not None and not self._is_one_slice(packet):
            self._known = self._sets_of(self._units, memoryview(packet)) or self._known

    def can_do_without(self, packet: av.Packet[Any]) -> bool:
        """True if a decoder that never gets the packet shows the same after the next entry."""
        if self._units is None:
            return True
        data = bytes(packet)
        if self._is_one_slice(packet):
            return data.find(_START_CODE, _SIZE_BYTES) < 0
        if not _is_sound(data, self._length):
            return False
        view = memoryview(data)
        kinds = {self._units.kind(view[at]) for at, _ in _units_of(view, self._length)}
        if not kinds <= self._units.slices | self._units.harmless | self._units.sets:
            return False
        return self._sets_of(self._units, view) in ((), self._known)

    def _only_unit(self, packet: av.Packet[Any]) -> int | None:
        """The first byte of a packet's unit, if it is one sized unit and no more, as most are."""
        following = packet.size - _SIZE_BYTES
        if self._length == _SIZE_BYTES and following > 0:
            size, first_byte = _SIZED.unpack_from(packet)
            if size == following:
                return int(first_byte)
        return None

    def _is_one_slice(self, packet: av.Packet[Any]) -> bool:
        only = self._only_unit(packet)
        return only is not None and self._of_one[only] is not PacketRole.NEEDED

    def _sets_of(self, units: _NalUnits, data: memoryview) -> tuple[bytes, ...]:
        return tuple(
            bytes(data[at:end])
            for at, end in _units_of(data, self._length)
            if units.kind(data[at]) in units.sets
        )


def nal_headers(codec: str, extradata: bytes, packet: av.Packet[Any]) -> Iterator[bytes]:
    """The first two bytes of each NAL unit of a packet of H.264 or HEVC."""
    at = 4 if codec == "h264" else 21
    length = (extradata[at] & 3) + 1 if extradata[:1] == b"\x01" and len(extradata) > at else 0
    data = memoryview(packet)
    for start, _ in _units_of(data, length):
        yield bytes(data[start : start + 2])


def _units_of(data: memoryview, length: int) -> Iterable[tuple[int, int]]:
    """Where each NAL unit begins and ends."""
    return _sized_units(data, length) if length else _started_units(bytes(data))


def _sized_units(data: memoryview, length: int) -> Iterator[tuple[int, int]]:
    at = 0
    while at + length < len(data):
        size = int.from_bytes(data[at : at + length], "big")
        if size:
            yield at + length, min(at + length + size, len(data))
        at += length + size


def _started_units(data: bytes) -> Iterator[tuple[int, int]]:
    at = data.find(_START_CODE)
    while 0 <= at < len(data) - len(_START_CODE):
        following = data.find(_START_CODE, at + len(_START_CODE))
        yield at + len(_START_CODE), len(data) if following < 0 else following
        at = following


def _is_sound(data: bytes, length: int) -> bool:
    """False if other parsers could find other units in a packet of sized ones: sizes that do not
    add up, or start codes inside (which emulation prevention keeps out of honest ones).
    """
    if not length:
        return True
    at = 0
    while at + length <= len(data):
        start, end = at + length, at + length + int.from_bytes(data[at : at + length], "big")
        if data.find(_START_CODE, start, end) >= 0:
            return False
        at = end
    return at == len(data)
