"""Pixels to luma planes, as they are displayed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type
from PIL import Image

from hashmatch.decoding.media import curves, dolby_vision, icc
from hashmatch.decoding.media.announced import Crop
from hashmatch.decoding.media.geometry import Geometry
from hashmatch.decoding.media.side_data import LCEVC, beside_frame
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.errors import MediaError
from hashmatch.model.verdicts import Part, VerdictReason

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
_Plane = npt.NDArray[Any]
_Tell = Callable[[str], None]

# Streams in one file are fewer; a number beyond is another way to show one of them.
_LAYER: Final = 1024
_GEOMETRIES: Final = 512
# Ways to make luma of the same pixels.
_OPAQUE, _NOT_YUV, _TONED, _CLIPPED, _PROFILED, _SHAPED = range(1, 7)
# Those that show no other colours than the first does.
_OF_THE_SAME_COLOURS: Final = (0, _TONED, _CLIPPED, _SHAPED)

# Of limited range: so far outside of it no encoder's ripples go, and a picture that lies there has
# more of it than this. Every eighth pixel of two dozen rows is looked at: of rows between them
# nothing has to be read from memory.
_FAR_BELOW, _FAR_ABOVE = np.uint8(10), np.uint8(241)
_MANY: Final = 0.05
_ROWS, _COLUMNS = 24, 8

_IDENTITY = 0  # AVCOL_SPC_RGB
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


def _unheard(unseen: str) -> None:
    raise MediaError(VerdictReason.UNSEEN_MEDIA, unseen)


def from_video_frame(
    frame: av.VideoFrame,
    pts_ms: int,
    *,
    stream: int = 0,
    crops: tuple[Crop, ...] = (),
    drawn: bool | None = None,
    tell: _Tell = _unheard,
) -> list[FrameBatch]:
    """The luma of one decoded frame, as it is displayed.

    8-bit luma is taken from the decoded plane as it is, with its range as the gain; other formats
    are converted first. Frames with transparency give one batch before black and one before white.
    The first batch is the whole frame. Where viewers differ (``crops`` are those that the container
    asks for), what others show follows, each as a stream of its own: its number is ``stream`` and a
    multiple of 1,024. ``drawn`` is theirs, see `FrameBatch`. ``tell`` is told in a phrase of what
    others show and this does not give.
    """
    key = bool(frame.key_frame)
    times = np.array([pts_ms], np.int64)
    beside = beside_frame(frame)
    if beside and LCEVC in beside:
        tell("an enhancement layer (LCEVC)")
    geometry = Geometry(frame, beside, crops, tell)
    return [
        FrameBatch(
            picture[None],
            times,
            part,
            gain=gain,
            stream=stream + _LAYER * (_GEOMETRIES * way + number),
            key=key,
            drawn=drawn,
            colours=functools.partial(_colours, frame) if way in _OF_THE_SAME_COLOURS else None,
        )
        for way, part, plane, gain in _planes(frame, beside, tell)
        for number, picture in geometry.pictures(plane)
    ]


def _planes(
    frame: av.VideoFrame, beside: Mapping[Type, Any], tell: _Tell
) -> Iterator[tuple[int, Part, _Plane, float]]:
    """Each way to make luma of a frame that some viewer uses: its number, the ground, the plane
    ``[h, w]`` and the gain.
    """
    name = frame.format.name
    has_luma = name in _LUMA_FIRST
    if not has_luma and any(component.is_alpha for component in frame.format.components):
        pixels = _pixels(frame, "rgba")
        grounds = from_rgba(pixels)
        for part, rgb in grounds.items():
            yield 0, part, from_rgb(rgb), 1.0
        if len(grounds) > 1:
            yield _OPAQUE, Part.FULL, from_rgb(pixels[..., :3]), 1.0
        return
    if not has_luma and (frame.format.is_rgb or name == "pal8"):
        yield from _profiled(frame, from_rgb(_pixels(frame, "rgb24")), 1.0, beside, tell)
        return
    full_range = frame.color_range == _FULL_RANGE or name.startswith("yuvj")
    if name == "gray" and frame.color_range != _LIMITED_RANGE:
        full_range = True
    decoded = frame
    if not has_luma:
        # High bit depths and packed formats: the scaler takes the luma out and stretches it.
        frame, full_range = _converted(frame, "gray"), True
    plane = frame.planes[0]
    luma8 = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, abs(plane.line_size))
    luma8 = luma8[: frame.height, : frame.width]
    gain = 1.0 if full_range else _LIMITED_GAIN
    yield from _profiled(decoded, luma8, gain, beside, tell)
    if decoded.colorspace == _IDENTITY and name.startswith("yuv"):
        # Called green, blue and red: most decoders say so by the format, some by this alone.
        green, blue, red = (_samples(each) for each in _converted(decoded, "yuv444p").planes)
        yield _NOT_YUV, Part.FULL, from_rgb(np.stack([red, green, blue], axis=-1)), gain
    yield from _toned(decoded, luma8, gain, beside, tell)


def _toned(
    frame: av.VideoFrame,
    luma8: npt.NDArray[np.uint8],
    gain: float,
    beside: Mapping[Type, Any],
    tell: _Tell,
) -> Iterator[tuple[int, Part, _Plane, float]]:
    """A frame whose levels some viewers turn into others."""
    if frame.color_trc in curves.SHOWN:
        yield _TONED, Part.FULL, curves.SHOWN[int(frame.color_trc)][_stretched(luma8, gain)], 1.0
    if (raw := beside.get(Type.DOVI_METADATA)) is not None:
        shown = dolby_vision.levels(bytes(raw), limited=frame.color_range != _FULL_RANGE)
        if shown is None:
            tell("a curve of Dolby Vision that is not followed here")
        else:
            yield _SHAPED, Part.FULL, shown[_stretched(luma8, gain)], 1.0
    if gain != 1.0:
        some = luma8[:: max(1, len(luma8) // _ROWS), ::_COLUMNS]
        # Of unsigned numbers: what lies below is as what lies above.
        if np.count_nonzero(some - _FAR_BELOW > _FAR_ABOVE - _FAR_BELOW) > _MANY * some.size:
            yield _CLIPPED, Part.FULL, _stretched(luma8, gain), 1.0


def _profiled(
    frame: av.VideoFrame, plane: _Plane, gain: float, beside: Mapping[Type, Any], tell: _Tell
) -> Iterator[tuple[int, Part, _Plane, float]]:
    """A frame as it is, and as an ICC profile has it that some players follow."""
    yield 0, Part.FULL, plane, gain
    raw = beside.get(Type.ICC_PROFILE)
    profile = bytes(raw) if raw is not None else b""
    if profile and not icc.is_nearly_srgb(profile):
        image = Image.fromarray(_pixels(frame, "rgb24"))
        turned, doubtful = icc.shown(image, image, profile)
        if doubtful:
            tell("a colour profile that is not followed here")
        if turned is not None:
            yield _PROFILED, Part.FULL, from_rgb(np.asarray(turned)), 1.0


def _colours(frame: av.VideoFrame) -> list[_Plane]:
    if any(component.is_alpha for component in frame.format.components):
        return []  # They are others on each ground.
    rgb = _pixels(frame, "rgb24")
    return [rgb[..., channel] for channel in range(3)]


def _samples(plane: Any) -> npt.NDArray[np.uint8]:
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, abs(plane.line_size))
    return rows[: plane.height, : plane.width]


def _stretched(luma8: npt.NDArray[np.uint8], gain: float) -> npt.NDArray[np.uint8]:
    """Full range, with what lies outside of it cut off, as screens do."""
    if gain == 1.0:
        return luma8
    levels = np.clip(np.rint((np.arange(256) - 16) * gain), 0, 255).astype(np.uint8)
    stretched: npt.NDArray[np.uint8] = levels[luma8]
    return stretched


def _pixels(frame: av.VideoFrame, pixel_format: str) -> npt.NDArray[np.uint8]:
    return _converted(frame, pixel_format).to_ndarray().astype(np.uint8, copy=False)


def _converted(frame: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
    # With several threads, some pixels where one's part of a frame ends are wrong now and then.
    return frame.reformat(format=pixel_format, threads=1)
