"""Layers of a stream of video that its decoder shows nothing of: transparency, second views."""

from __future__ import annotations

from typing import Any, Final

import av
import av.video.stream

from hashmatch.decoding.media.access import nal_headers
from hashmatch.decoding.media.tally import Tally
from hashmatch.model.verdicts import VerdictReason

__all__ = ["Layers"]

# What decodes the transparency of a WebM file too, by the decoder that does not.
_WITH_ALPHA: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_ALPHA_BLOCK: Final = 1  # The number of an addition to a block. Source: WebM, alpha.
# Packets at the start, and key frames, are looked into: all frames of a layer come with those.
_FIRST: Final = 3
# Of H.264: slices of a second view or layer, and of depth. Source: ITU-T H.264, table 7-1.
_H264_LAYERS: Final = frozenset({20, 21})
# What a container may put beside a packet that changes what is shown.
_UNSEEN: Final = {
    "encryption_info": "encrypted frames",
    "lcevc": "an enhancement layer (LCEVC)",
}


class Layers:
    """What lies over or beside the pictures of one stream."""

    def __init__(self, stream: av.video.stream.VideoStream, tally: Tally) -> None:
        """``decoder`` is to be used instead of the stream's, if there is one."""
        self._tally = tally
        context: Any = stream.codec_context
        self._name = context.name
        self._extradata = bytes(context.extradata or b"")
        self._has_units = self._name in ("h264", "hevc")
        self._packets = 0
        self.decoder: Any = None
        if self._name in _WITH_ALPHA and stream.metadata.get("alpha_mode") == "1":
            self.decoder = av.CodecContext.create(_WITH_ALPHA[self._name], "r")
            self.decoder.options = dict(context.options)
            self.decoder.thread_count = 1

    def check_beside(self, kind: str, content: Any) -> None:
        """Tells the tally of what a container has put beside a packet, see `side_data.beside`, and
        the decoder leaves out.
        """
        if kind in _UNSEEN:
            self._tally.add_reason(VerdictReason.UNSEEN_MEDIA, _UNSEEN[kind])
        if (
            kind == "matroska_block_additional"
            and self._name in _WITH_ALPHA
            and self.decoder is None
            and int.from_bytes(bytes(content)[:8], "big") == _ALPHA_BLOCK
        ):
            self._tally.add_reason(
                VerdictReason.UNSEEN_MEDIA, "an alpha plane that the track does not announce"
            )

    def check(self, packet: av.Packet[Any]) -> None:
        """Tells the tally of what the packet has and the decoder leaves out."""
        self._packets += 1
        if not self._has_units or (self._packets > _FIRST and not packet.is_keyframe):
            return
        for header in nal_headers(self._name, self._extradata, packet):
            if self._name == "hevc":
                if int.from_bytes(header, "big") >> 3 & 63 and len(header) == 2:
                    self._tally.add_reason(
                        VerdictReason.UNSEEN_MEDIA, "a second layer of HEVC (a view, or alpha)"
                    )
            elif header[0] & 31 in _H264_LAYERS:
                self._tally.add_reason(
                    VerdictReason.UNSEEN_MEDIA, "a second view or layer of H.264"
                )
