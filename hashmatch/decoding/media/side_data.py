"""What FFmpeg puts beside frames and packets, also where PyAV has no name for it yet."""

from __future__ import annotations

from typing import Any, Final

import av
from av.sidedata.sidedata import SideDataContainer, Type

__all__ = ["LCEVC", "beside", "beside_frame"]

_NOTHING: Final[dict[Type, Any]] = {}
# What `beside` calls a kind that has no name.
_UNKNOWN: Final = "unknown"


def _unnamed(cls: type[Type], value: object) -> Type:
    """A member for a kind of side data that is newer than PyAV's list. Without it the first frame
    that has one, such as each of a Motion JPEG with EXIF, ends as an error.
    """
    made: Any = object.__new__(cls)
    made._name_, made._value_ = f"UNNAMED_{value}", value
    known: Any = cls._value2member_map_.setdefault(value, made)
    return known  # type: ignore[no-any-return]


Type._missing_ = classmethod(_unnamed)  # type: ignore[method-assign, assignment]

# Source: FFmpeg 8, libavutil/frame.h, AV_FRAME_DATA_LCEVC.
LCEVC: Final = Type(28)


def beside_frame(frame: av.VideoFrame) -> Any:
    """What a decoder put beside a frame: a mapping by `Type`.

    Not ``frame.side_data``: a frame keeps that and is kept by it, so that the memory of each frame
    would wait for the garbage collector (400 MB in ten minutes of 1080p).
    """
    found = SideDataContainer(frame)  # type: ignore[call-arg]  # Its stub leaves it out.
    return found if len(found) else _NOTHING  # Much faster to look in.


def beside(packet: av.Packet[Any]) -> list[tuple[str, Any]]:
    """(kind, content) of each that a demuxer put beside a packet; most have none."""
    return [(_kind_of(each), each) for each in packet.iter_sidedata()]


def _kind_of(beside_packet: Any) -> str:
    try:
        return str(beside_packet.data_type)
    except IndexError:
        return _UNKNOWN
