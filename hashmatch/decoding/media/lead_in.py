"""The start of a recording that begins in the midst of a group of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import av
import av.error
import av.logging
import av.video.stream

from hashmatch.engine.sampling.packets import PacketRole

__all__ = ["LEAD_IN", "LeadIn"]

# Added to the number of a stream, of what a decoder makes of it that holds nothing back.
LEAD_IN: Final = 1 << 25

# Codecs whose decoders need packets and extradata and no more. For others (containers name depths
# and palettes) a decoder of its own would show nothing.
_CODECS: Final = frozenset({
    "h264", "hevc", "vvc", "mpeg1video", "mpeg2video", "mpegvideo", "vp8", "vp9", "libvpx",
    "libvpx-vp9", "libdav1d",
})  # fmt: skip

# Packets behind the first key frame that may still refer to what stood before it.
_MOST_AFTER: Final = 64


class LeadIn:
    """The packets at the start of a stream that refer to pictures which are not in it.

    They stand before the first key frame, or refer to what stood there (leading pictures of an open
    group). FFmpeg and browsers begin at the key frame. Programs that hold nothing back show what a
    decoder makes of them all the same, so that is what `frames` gives; where it makes nothing of
    them, nobody sees anything.
    """

    @staticmethod
    def is_for(name: str) -> bool:
        """True if streams of a decoder of this name may begin anywhere."""
        return name in _CODECS

    def __init__(self, stream: av.video.stream.VideoStream, max_frame_pixels: int) -> None:
        """Of the pictures of ``stream``."""
        self._stream, self._max_pixels = stream, max_frame_pixels
        self._decoder: Any = None
        self._key: av.Packet[Any] | None = None
        self._is_open = False  # The key frame is none that all before it is forgotten by.
        self._after: list[av.Packet[Any]] = []  # From the key frame on, not decoded here by now.
        self._number_after = 0
        self._leading = True
        self._forgives = False
        self.packets = 0

    @property
    def has_begun(self) -> bool:
        """True once there was a key frame."""
        return self._key is not None

    @property
    def is_over(self) -> bool:
        """True once nothing is left that could be one of these packets, or be taken for one."""
        return self._key is not None and not self._is_open and not self._forgives

    def takes(self, packet: av.Packet[Any], access: PacketRole) -> bool:
        """True if a packet is one of these, and for no other decoder."""
        if self._key is None:
            self._after.append(packet)
            if not packet.is_keyframe:
                self.packets += 1
                self._forgives = True
                return True
            self._key = packet
            # An IDR picture is an entry; for other codecs, decoders know what to leave out.
            self._is_open = access is PacketRole.SKIPPABLE
            return False
        if not self._is_open:
            return False
        self._number_after += 1
        if packet.is_keyframe or self._number_after > _MOST_AFTER:
            self._is_open = False
            return False
        self._after.append(packet)
        key_pts = self._key.pts
        if not (packet.pts is not None and key_pts is not None and packet.pts < key_pts):
            self._leading = False
        self.packets += self._leading
        self._forgives |= self._leading
        return self._leading

    def forgives(self) -> bool:
        """True if damage of the newest packet may come of what is not there: from the key frame
        on, `frames` gives what is made of it.
        """
        self._forgives |= self._is_open
        return self._is_open

    def frames(self) -> Iterator[av.VideoFrame]:
        """What is made of these packets, and of damaged ones behind them, by now."""
        if not self._forgives:
            if not self._is_open:
                self._after.clear()
            return
        waiting, self._after = self._after, []
        for packet in waiting:
            yield from self._decode(packet)
        if self._key is not None and not self._is_open:
            yield from self.finish()

    def finish(self) -> Iterator[av.VideoFrame]:
        """What is left."""
        if self._forgives:
            waiting, self._after, self._forgives = self._after, [], False
            for packet in waiting:
                yield from self._decode(packet)
            yield from self._decode(None)
        self._is_open = False

    def _decode(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        with av.logging.Capture():  # Of course it finds fault with them.
            try:
                if self._decoder is None:
                    self._decoder = self._opened()
                return list(self._decoder.decode(packet))
            except MemoryError:
                raise
            except (av.error.FFmpegError, ValueError):
                return []

    def _opened(self) -> Any:
        context: Any = self._stream.codec_context
        decoder: Any = av.CodecContext.create(context.name, "r")
        decoder.extradata = context.extradata
        decoder.width, decoder.height = context.width, context.height
        decoder.options = {
            "max_pixels": str(self._max_pixels),
            "flags": "+output_corrupt",
            "flags2": "+showall",
        }
        decoder.thread_count = 1
        return decoder
