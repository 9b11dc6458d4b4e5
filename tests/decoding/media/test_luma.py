"""Pixels to luma: the same picture whatever the layout, depth, range and turn it comes in."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.decoding.media import luma
from hashmatch.decoding.media.announced import Crop
from hashmatch.engine.hashing import pdq
from hashmatch.model.verdicts import Part

Plane = npt.NDArray[np.uint8]


def grey(height: int = 90, width: int = 122, low: int = 16, high: int = 235) -> Plane:
    """A textured plane of these levels; the width is no multiple of what decoders align to."""
    rng = np.random.default_rng(7)
    y = np.linspace(0, 2 * np.pi, height)[:, None]
    x = np.linspace(0, 2 * np.pi, width)[None, :]
    picture = np.zeros((height, width))
    for _ in range(30):
        rows, columns = rng.uniform(-7, 7, 2)
        wave = np.sin(rows * y + columns * x + rng.uniform(0, 2 * np.pi))
        picture += wave / (1 + np.hypot(rows, columns))
    picture -= picture.min()
    plane: Plane = np.rint(picture / picture.max() * (high - low) + low).astype(np.uint8)
    return plane


def yuv(plane: Plane, pixel_format: str, *, full: bool = False) -> av.VideoFrame:
    """A colourless frame whose luma is ``plane``."""
    height, width = plane.shape
    frame = av.VideoFrame(width, height, pixel_format)
    for number, each in enumerate(frame.planes):
        rows = np.full((each.height, each.line_size), 128, np.uint8)
        if number == 0:
            rows[:, :width] = plane
        each.update(rows.tobytes())
    frame.color_range = 2 if full else 1
    return frame


def hashed(frame: av.VideoFrame) -> tuple[Plane, int]:
    """PDQ and quality of the only batch of a frame."""
    (batch,) = luma.from_video_frame(frame, 0)
    digests, quality = pdq.digest(batch.luma, gain=batch.gain)
    return digests[0], int(quality[0])


def bits(a: Plane, b: Plane) -> int:
    """How many bits two digests differ in."""
    return int(np.bitwise_count(a ^ b).sum())


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
@settings(deadline=None)
def test_weights_of_the_colours(red: int, green: int, blue: int) -> None:
    """Coloured pictures would hash differently from the reference."""
    found = luma.from_rgb(np.array([[[red, green, blue]]], np.uint8))
    assert found.dtype == np.float32
    assert abs(float(found[0, 0]) - (0.299 * red + 0.587 * green + 0.114 * blue)) < 1e-4


def test_a_batch_of_pictures_is_as_its_pictures() -> None:
    """Frames hashed together would hash differently."""
    rgb = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
    together = luma.from_rgb(rgb)
    assert all(np.array_equal(luma.from_rgb(rgb[i]), together[i]) for i in range(3))


@given(
    st.integers(0, 255),
    st.integers(0, 255),
)
@settings(deadline=None)
def test_transparency_shows_the_ground(level: int, alpha: int) -> None:
    """A picture hidden in transparency would pass: nobody would look at it on the other ground."""
    rgba = np.array([[[level, level, level, alpha], [9, 9, 9, 0]]], np.uint8)
    grounds = luma.from_rgba(rgba)
    assert list(grounds) == [Part.FULL, Part.FULL_ON_WHITE]
    black, white = (grounds[part][0].astype(float) for part in grounds)
    assert abs(black[0] - level * alpha / 255).max() <= 0.5001
    assert abs(white[0] - (level * alpha / 255 + 255 - alpha)).max() <= 0.5001
    assert (black[1].tolist(), white[1].tolist()) == ([0] * 3, [255] * 3)


def test_an_opaque_picture_has_one_ground() -> None:
    """Every picture with an alpha channel would be hashed twice."""
    rgba = np.full((4, 4, 4), 255, np.uint8)
    assert list(luma.from_rgba(rgba)) == [Part.FULL]


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv410p", "yuv411p", "nv12", "nv21"]
)
def test_luma_is_the_decoded_plane(pixel_format: str) -> None:
    """A decoder's padding would be hashed, or the colours taken for luma."""
    plane = grey()
    (batch,) = luma.from_video_frame(yuv(plane, pixel_format), 40)
    assert np.array_equal(batch.luma[0], plane)
    assert batch.pts_ms.tolist() == [40]
    assert batch.gain == pytest.approx(255 / 219)


def test_the_range_is_the_gain() -> None:
    """Frames of ordinary video would be called too flat to match by."""
    faint = grey(low=80, high=130)
    limited, limited_quality = hashed(yuv(faint, "yuv420p"))
    full, full_quality = hashed(yuv(faint, "yuv420p", full=True))
    assert np.array_equal(limited, full)
    assert limited_quality > full_quality
    (batch,) = luma.from_video_frame(yuv(faint, "yuvj420p"), 0)
    assert batch.gain == 1


def test_a_range_that_is_not_told_is_limited() -> None:
    """Most files tell no range; their frames would be called flatter than a player shows them."""
    frame = yuv(grey(), "yuv420p")
    frame.color_range = 0
    (batch,) = luma.from_video_frame(frame, 0)
    assert batch.gain == pytest.approx(255 / 219)


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p10le", "yuv422p12le", "p010le", "yuyv422", "uyvy422", "gray10le"]
)
def test_deep_and_packed_formats_hash_as_plain_ones(pixel_format: str) -> None:
    """The same video in ten bits would not be recognised, or be called flat."""
    plain = yuv(grey(), "yuv420p")
    expected, quality = hashed(plain)
    found, found_quality = hashed(plain.reformat(format=pixel_format, threads=1))
    assert bits(found, expected) <= 4
    assert abs(found_quality - quality) <= 3


@pytest.mark.parametrize("pixel_format", ["rgb24", "bgr24", "gbrp", "rgb48le", "bgr0", "gray"])
def test_rgb_and_grey_hash_as_luma(pixel_format: str) -> None:
    """The same picture without compression would not be recognised."""
    plane = grey(low=0, high=255)
    rgb = av.VideoFrame.from_ndarray(np.repeat(plane[..., None], 3, axis=2), format="rgb24")
    found, quality = hashed(rgb.reformat(format=pixel_format, threads=1))
    expected, expected_quality = pdq.digest(plane[None])
    assert bits(found, expected[0]) <= 4
    assert abs(quality - int(expected_quality[0])) <= 3


@pytest.mark.parametrize("pixel_format", ["rgba", "bgra", "argb", "yuva420p", "ya8", "gbrap"])
def test_a_frame_with_transparency_is_seen_on_both_grounds(pixel_format: str) -> None:
    """A picture that shows on white only would pass."""
    plane = grey(low=0, high=255)
    rgba = np.dstack([np.zeros((*plane.shape, 3), np.uint8), plane])
    frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=pixel_format, threads=1)
    black, white, opaque = luma.from_video_frame(frame, 7)
    assert (black.part, white.part) == (Part.FULL, Part.FULL_ON_WHITE)
    # Programs that know no transparency show the colours: here there are none.
    assert (opaque.part, opaque.stream != black.stream) == (Part.FULL, True)
    assert opaque.luma.max() <= 17
    assert black.luma.max() <= 17
    found, _ = pdq.digest(white.luma)
    # Black of this opacity before white is the picture inside out.
    expected, _ = pdq.digest((255 - plane)[None])
    assert bits(found[0], expected[0]) <= 6
    assert black.pts_ms.tolist() == white.pts_ms.tolist() == [7]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (5, 7), (91, 123)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le", "rgb24", "rgba"])
def test_odd_sizes(height: int, width: int, pixel_format: str) -> None:
    """A frame of an odd size would end the worker, or lose its last row."""
    plane = grey(height, width) if min(height, width) > 1 else np.full((1, 1), 40, np.uint8)
    frame: Any = yuv(plane, "yuv420p")
    if pixel_format != "yuv420p":
        frame = frame.reformat(format=pixel_format, threads=1)
    for batch in luma.from_video_frame(frame, 0):
        assert batch.luma.shape == (1, height, width)


def test_rgb_that_is_called_yuv() -> None:
    """A decoy in the green plane would be all that is looked at."""
    planes = [grey(low=0, high=255), np.flipud(grey(low=0, high=255)), grey(low=0, high=255) // 2]
    frame = av.VideoFrame(122, 90, "yuv444p")
    for plane, content in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, :122] = content
        plane.update(rows.tobytes())
    frame.color_range = 2
    frame.colorspace = 0
    stored, shown = luma.from_video_frame(frame, 0)
    assert np.array_equal(stored.luma[0], planes[0])
    expected = luma.from_rgb(np.stack([planes[2], planes[0], planes[1]], axis=-1))
    assert np.array_equal(shown.luma[0], expected)
    assert shown.stream != stored.stream


def test_what_lies_outside_of_the_range_is_cut_off() -> None:
    """A decoy in levels that are blacker than black would be what is hashed."""
    plane = np.where(grey() > 125, 250, 2).astype(np.uint8)
    (stored, shown) = luma.from_video_frame(yuv(plane, "yuv420p"), 0)
    assert np.array_equal(stored.luma[0], plane)
    assert sorted(np.unique(shown.luma).tolist()) == [0, 255]


@pytest.mark.parametrize(("left", "top"), [(0, 0), (4, 6)])
def test_crops_are_streams_of_their_own(left: int, top: int) -> None:
    """What some programs show would be taken for a frame of what others show."""
    plane = grey()
    crops = (Crop(top, 10, left, 20), Crop(0, 0, 500, 0))
    whole, cropped = luma.from_video_frame(yuv(plane, "yuv420p"), 0, stream=3, crops=crops)
    assert np.array_equal(whole.luma[0], plane)
    assert np.array_equal(cropped.luma[0], plane[top:80, left:102])
    assert whole.stream == 3
    assert cropped.stream % 1024 == 3
    assert cropped.stream != 3
