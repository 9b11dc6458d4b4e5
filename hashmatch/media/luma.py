"""Pixels to luma planes, as they are displayed."""

from __future__ import annotations

from typing import Final

import av
import numpy as np
import numpy.typing as npt

from hashmatch.hashing.frames import FrameBatch
from hashmatch.model.verdicts import Part

__all__ = ["from_rgb", "from_rgba", "from_video_frame"]

# Weights of red, green and blue in PDQ's luma. Source: the reference implementation
# (ThreatExchange, pdq/cpp/io), which takes those of ITU-R BT.601.
_RED, _GREEN, _BLUE = np.float32(0.299), np.float32(0.587), np.float32(0.114)

# Limited-range video stretches luma over 16 to 235. Source: ITU-R BT.601, 2.5.3.
_LIMITED_GAIN: Final = 255 / 219

# Pixel formats whose first plane is 8-bit luma.
_LUMA_FIRST = frozenset(
    {"gray", "nv12", "nv16", "nv21", "nv24", "nv42"}
    | {f"yuv{sampling}p" for sampling in (410, 411, 420, 422, 440, 444)}
    | {f"yuvj{sampling}p" for sampling in (411, 420, 422, 440, 444)}
)
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_LIMITED_RANGE = 1  # AVCOL_RANGE_MPEG


def from_rgb(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Luma of RGB: uint8 ``[..., h, w, 3]`` to float32 ``[..., h, w]``, 0 to 255."""
    luma: npt.NDArray[np.float32] = (
        _RED * rgb[..., 0].astype(np.float32)
        + _GREEN * rgb[..., 1].astype(np.float32)
        + _BLUE * rgb[..., 2].astype(np.float32)
    )
    return luma


def from_rgba(rgba: npt.NDArray[np.uint8]) -> dict[Part, npt.NDArray[np.uint8]]:
    """RGBA uint8 ``[h, w, 4]`` before black and before white, each uint8 ``[h, w, 3]``.

    An uploader can hide a picture in transparency: it shows on one ground and not on the other.
    Only before black if no pixel is transparent.
    """
    colour, alpha = rgba[..., :3], rgba[..., 3:]
    if alpha.min() == 255:
        return {Part.FULL: colour}
    opacity = alpha.astype(np.float32) / 255
    before_black = colour * opacity
    return {
        Part.FULL: np.rint(before_black).astype(np.uint8),
        Part.FULL_ON_WHITE: np.rint(before_black + 255 * (1 - opacity)).astype(np.uint8),
    }


def from_video_frame(frame: av.VideoFrame, pts_ms: int, *, stream: int = 0) -> list[FrameBatch]:
    """The luma of one decoded frame, turned as it is displayed.

    8-bit luma is taken from the decoded plane as it is, with its range as the gain; other formats
    are converted first. Frames with transparency give one batch before black and one before white.
    """
    key = bool(frame.key_frame)
    times = np.array([pts_ms], np.int64)
    quarter_turns = round(frame.rotation / 90) % 4
    name = frame.format.name
    has_luma = name in _LUMA_FIRST
    if not has_luma and any(component.is_alpha for component in frame.format.components):
        grounds = from_rgba(_pixels(frame, "rgba"))
        return [
            FrameBatch(
                np.rot90(from_rgb(rgb), quarter_turns)[None], times, part, stream=stream, key=key
            )
            for part, rgb in grounds.items()
        ]
    if not has_luma and (frame.format.is_rgb or name == "pal8"):
        luma = np.rot90(from_rgb(_pixels(frame, "rgb24")), quarter_turns)
        return [FrameBatch(luma[None], times, stream=stream, key=key)]
    full_range = frame.color_range == _FULL_RANGE or name.startswith("yuvj")
    if name == "gray" and frame.color_range != _LIMITED_RANGE:
        full_range = True
    if not has_luma:
        # High bit depths and packed formats: the scaler takes the luma out and stretches it.
        frame, full_range = _converted(frame, "gray"), True
    plane = frame.planes[0]
    luma8 = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, abs(plane.line_size))
    luma8 = luma8[: frame.height, : frame.width]
    if quarter_turns:
        luma8 = np.rot90(luma8, quarter_turns)
    gain = 1.0 if full_range else _LIMITED_GAIN
    return [FrameBatch(luma8[None], times, gain=gain, stream=stream, key=key)]


def _pixels(frame: av.VideoFrame, pixel_format: str) -> npt.NDArray[np.uint8]:
    return _converted(frame, pixel_format).to_ndarray().astype(np.uint8, copy=False)


def _converted(frame: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
    # With several threads, some pixels where one's part of a frame ends are wrong now and then.
    return frame.reformat(format=pixel_format, threads=1)
