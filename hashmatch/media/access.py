"""Where a decoder can begin: entries of a video stream, by what is in its packets.

A container says which of its packets are key frames, but an uploader writes the container: a frame
that refers to others, called a key frame and decoded alone, would show us what nobody is shown. So
the stream itself is asked. What it may carry in a packet that is left out is asked as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import av
import av.video.stream

from hashmatch.sampling.packets import Access

__all__ = ["Classify", "classifier"]

# What may be done with a packet.
Classify = Callable[["av.Packet[Any]"], Access]

_START_CODE: Final = b"\x00\x00\x01"

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
    harmless: frozenset[int]  # What may be left out.

    def classify(self, packet: av.Packet[Any], length: int) -> Access:
        """``length``: bytes in which the size of a unit is told; 0: start codes lie between."""
        data = memoryview(packet)
        kinds = {data[at] >> self.shift & self.mask for at in _units(data, length)}
        slices = kinds & self.slices
        if slices and slices <= self.entries:
            return Access.ENTRY
        return Access.SKIPPABLE if slices and kinds <= self.harmless else Access.NEEDED


# Source: ITU-T H.264, table 7-1. An IDR picture; and SEI, delimiter, ends and filler.
_H264 = _NalUnits(
    0, 31, frozenset(range(1, 6)), frozenset({5}), frozenset({*range(1, 7), *range(9, 13)})
)
# Source: ITU-T H.265, table 7-1. IRAP pictures; and delimiter, ends, filler and SEI.
_HEVC = _NalUnits(
    1,
    63,
    frozenset({*range(10), *range(16, 22)}),
    frozenset(range(16, 22)),
    frozenset({*range(10), *range(16, 22), *range(35, 41)}),
)


def classifier(stream: av.video.stream.VideoStream) -> Classify:
    """What tells the packets of ``stream`` apart."""
    context = stream.codec_context
    extradata = bytes(context.extradata or b"")
    name = context.name
    if name == "h264":
        # avcC begins with its version; ISO/IEC 14496-15, 5.3.3.1.
        length = (extradata[4] & 3) + 1 if extradata[:1] == b"\x01" and len(extradata) > 6 else 0
        return lambda packet: _H264.classify(packet, length)
    if name == "hevc":
        # hvcC likewise; 8.3.3.1.
        length = (extradata[21] & 3) + 1 if extradata[:1] == b"\x01" and len(extradata) > 22 else 0
        return lambda packet: _HEVC.classify(packet, length)
    if context.codec.intra_only:
        return lambda _: Access.ENTRY
    if name in _SELF_TELLING:
        return lambda packet: Access.ENTRY if packet.is_keyframe else Access.SKIPPABLE
    return lambda _: Access.NEEDED


def _units(data: memoryview, length: int) -> Iterable[int]:
    """Where the header of each NAL unit lies."""
    if length and int.from_bytes(data[:length], "big") == len(data) - length:
        return (length,)  # As most packets are.
    return _sized_units(data, length) if length else _started_units(bytes(data))


def _sized_units(data: memoryview, length: int) -> Iterator[int]:
    at = 0
    while at + length < len(data):
        size = int.from_bytes(data[at : at + length], "big")
        if size:
            yield at + length
        at += length + size


def _started_units(data: bytes) -> Iterator[int]:
    at = data.find(_START_CODE)
    while 0 <= at < len(data) - len(_START_CODE):
        yield at + len(_START_CODE)
        at = data.find(_START_CODE, at + len(_START_CODE))
