"""The start of a recording that begins in the midst of a group of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import av
import av.error
import av.logging
import av.video.stream

from hashmatch.sampling.packets import Access

__all__ = ["LEAD_IN", "LeadIn"]

# Added to the number of a stream, of frames before the first that a decoder can begin at.
LEAD_IN: Final = 1 << 25


class LeadIn:
    """The packets at the start of a stream that refer to pictures which are not in it.

    They stand before the first key frame, or refer to what stood there (leading pictures of an open
    group). FFmpeg and browsers begin at the key frame. Programs that hold nothing back show what a
    decoder makes of them all the same, so that is what `frames` gives; where it makes nothing of
    them, nobody sees anything.
    """

    def __init__(self, stream: av.video.stream.VideoStream, max_frame_pixels: int) -> None:
        """Of the pictures of ``stream``."""
        self._stream, self._max_pixels = stream, max_frame_pixels
        self._decoder: Any = None
        self._key: av.Packet[Any] | None = None
        self._key_access = Access.NEEDED
        self._over = self._had_key = False
        self.packets = 0

    @property
    def has_begun(self) -> bool:
        """True once there was a key frame."""
        return self._key is not None

    def takes(self, packet: av.Packet[Any], access: Access) -> bool:
        """True if a packet is one of these; it is then for `frames`. ``access``: see there."""
        if self._over:
            return False
        if self._key is None:
            if packet.is_keyframe:
                self._key, self._key_access = packet, access
                return False
            self.packets += 1
            return True
        key_pts = self._key.pts
        leads = (
            # No IDR picture: those that follow it and are shown before it may refer to others.
            self._key_access is Access.SKIPPABLE
            and not packet.is_keyframe
            and packet.pts is not None
            and key_pts is not None
            and packet.pts < key_pts
        )
        self._over = not leads
        self.packets += leads
        return leads

    def frames(self, packet: av.Packet[Any] | None) -> Iterator[av.VideoFrame]:
        """What a decoder that holds nothing back makes of a packet; for none, what is left."""
        with av.logging.Capture():  # Of course it finds fault with them.
            if self._decoder is None:
                if packet is None:
                    return
                self._decoder = self._opened()
            if self._key is not None and not self._had_key and packet is not None:
                self._had_key = True
                yield from self._decode(self._key)
            yield from self._decode(packet)

    def finish(self) -> Iterator[av.VideoFrame]:
        """What is left in the decoder, once."""
        if self._decoder is not None:
            yield from self.frames(None)
            self._decoder = None

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

    def _decode(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        try:
            return list(self._decoder.decode(packet))
        except MemoryError:
            raise
        except (av.error.FFmpegError, ValueError):
            return []
