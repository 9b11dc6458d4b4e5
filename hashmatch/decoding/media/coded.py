"""Coded pictures of image files, decoded by FFmpeg: one item's bytes in, its pixels out."""

from __future__ import annotations

import struct
from typing import Any, Final

import av
from av.video.reformatter import ColorRange
from PIL import Image

from hashmatch.decoding.media import by_ffmpeg
from hashmatch.errors import MediaError
from hashmatch.model.verdicts import VerdictReason

__all__ = ["CODES", "CONFIGS", "frame", "image"]

# Code points of primaries and transfer of a picture, under this key of its ``info``.
CODES: Final = "hashmatch:codes"

# By the kind of an item: the decoder, and the property that tells how to begin.
_CODECS: Final = {
    b"hvc1": ("hevc", b"hvcC"),
    b"hev1": ("hevc", b"hvcC"),
    b"av01": ("libdav1d", b"av1C"),
    b"avc1": ("h264", b"avcC"),
    b"jpeg": ("mjpeg", b"jpgC"),
    b"j2k1": ("jpeg2000", b""),
}
# By the kind of an item: the property that tells its decoder how to begin.
CONFIGS: Final = {kind: config for kind, (_, config) in _CODECS.items()}

# Code points that say nothing. Source: ITU-T H.273.
_NOT_SAID: Final = 2
_MATRICES: Final = frozenset({1, 4, 5, 6, 7, 9, 10})  # Those that FFmpeg turns to RGB.
_BT601: Final = 5
_LUMA_ONLY: Final = 1


def frame(kind: bytes, config: bytes, data: bytes, max_pixels: int) -> tuple[av.VideoFrame, bool]:
    """The first frame of an item, and whether it is the only one. Raises `Damaged`."""
    codec, _ = _CODECS[kind]
    if kind == b"jpeg":
        data, config = config + data, b""
    found = by_ffmpeg.frames(codec, data, max_pixels, extradata=config)
    return found[0], len(found) == 1


def image(frame: av.VideoFrame, nclx: bytes) -> Image.Image:
    """A frame in L or RGB; what is known of its colours is in ``info``. ``nclx`` is what an item
    says of them, without its type.
    """
    codes = int(frame.color_primaries), int(frame.color_trc)
    matrix, is_full = int(frame.colorspace), int(frame.color_range) == int(ColorRange.JPEG)
    if nclx:
        primaries, transfer, matrix, flags = struct.unpack_from(">3HB", nclx)
        codes, is_full = (primaries, transfer), bool(flags & 0x80)
    is_rgb = "rgb" in frame.format.name or "gbr" in frame.format.name
    is_grey = len(frame.format.components) == _LUMA_ONLY
    ways: dict[str, Any] = {}
    if not is_rgb:
        ways["src_color_range"] = ColorRange.JPEG if is_full else ColorRange.MPEG
        ways["dst_color_range"] = ColorRange.JPEG
    if not is_rgb and not is_grey:
        # As FFmpeg takes what it does not know.
        frame.colorspace = ways["src_colorspace"] = matrix if matrix in _MATRICES else _BT601
    try:
        shown = frame.reformat(format="gray" if is_grey else "rgb24", threads=1, **ways)
    except OSError as error:  # What PyAV makes of FFmpeg's "not supported".
        raise MediaError(
            VerdictReason.UNSUPPORTED, f"nothing here converts {frame.format.name} pictures"
        ) from error
    made = Image.fromarray(shown.to_ndarray())
    if codes != (_NOT_SAID, _NOT_SAID):
        made.info[CODES] = codes
    return made
