"""What of a frame lies within a border."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.engine.hashing import pdq
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.engine.sampling.views import Box, ContentFinder, content_box
from hashmatch.model.verdicts import Part
from tests.support import PATIENT

Plane = npt.NDArray[np.uint8]


def picture(seed: int, height: int = 180, width: int = 240, darkest: int = 0) -> Plane:
    """Blocks of light and dark that reach all edges."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(darkest, 256, (12, 16)).astype(np.uint8)
    return np.kron(coarse, np.ones((height // 12, width // 16), np.uint8))


def framed(
    inner: Plane, top: int, bottom: int, left: int, right: int, colour: int, grain: int = 0
) -> Plane:
    """With a border of so many rows and columns, and grain over all of it."""
    made = np.pad(inner, ((top, bottom), (left, right)), constant_values=colour).astype(np.int64)
    made += np.random.default_rng(colour).integers(-grain, grain + 1, made.shape)
    return np.clip(made, 0, 255).astype(np.uint8)


@PATIENT
@given(
    seed=st.integers(0, 1000),
    borders=st.tuples(*[st.integers(0, 40)] * 4),
    colour=st.sampled_from([0, 16, 128, 235, 255]),
    grain=st.integers(0, 5),
)
def test_borders_are_found(
    seed: int, borders: tuple[int, int, int, int], colour: int, grain: int
) -> None:
    """A letterbox of any colour would hide the picture in it."""
    top, bottom, left, right = borders
    plane = framed(picture(seed), top, bottom, left, right, colour, grain)
    height, width = plane.shape
    whole = Box(top, top + 180, left, left + 240)
    found = content_box(plane)
    if whole.is_within(height, width):
        assert found == whole
    else:
        assert found is None


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_what_was_framed_has_the_hash_of_what_is_in_the_frame(dtype: type) -> None:
    """Twelve per cent of white around it made a frame unlike any in the blocklist."""
    inner = picture(5)
    plane: npt.NDArray[Any] = framed(inner, 22, 22, 29, 29, 255, grain=3).astype(dtype)
    box = content_box(plane)
    assert box == Box(22, 202, 29, 269)
    within = FrameBatch(plane[None], np.zeros(1, np.int64)).content(*box)
    assert within.part is Part.CONTENT
    ours, _ = pdq.digest(within.luma)
    theirs, _ = pdq.digest(inner[None])
    assert int(np.bitwise_count(ours ^ theirs).sum()) <= 8
    bordered, _ = pdq.digest(plane[None])
    assert int(np.bitwise_count(bordered ^ theirs).sum()) > 31


def test_no_border_no_box() -> None:
    """Every frame would be hashed twice."""
    assert content_box(picture(1)) is None
    strip = framed(picture(1), 1, 0, 0, 0, 0)  # Less than one part in a hundred.
    assert content_box(strip) is None


@pytest.mark.parametrize("height", [1, 2, 5, 100])
def test_nothing_within_is_no_box(height: int) -> None:
    """A black frame would be hashed as a picture of one pixel, and match all others."""
    assert content_box(np.full((height, 100), 16, np.uint8)) is None
    dot = np.full((100, 100), 16, np.uint8)
    dot[50:60, 50:60] = picture(1)[:10, :10]
    assert content_box(dot) is None


def test_a_plane_of_any_layout_is_taken() -> None:
    """A worker that cannot compile any more would end at a turned or padded frame."""
    plane = framed(picture(2), 20, 10, 0, 0, 0)
    padded = np.zeros((plane.shape[0], plane.shape[1] + 16), np.uint8)
    padded[:, : plane.shape[1]] = plane
    assert content_box(padded[:, : plane.shape[1]]) == content_box(plane) == Box(20, 200, 0, 240)
    assert content_box(np.rot90(plane)) == Box(0, 240, 20, 200)


def test_a_border_that_lasts_is_told_from_a_dark_scene() -> None:
    """A film would be trimmed of its dark edges, and look like nothing in the blocklist."""
    finder = ContentFinder()
    film = [framed(picture(n, darkest=60), 30, 30, 0, 0, 0) for n in range(3)]
    dark = film[1].copy()
    dark[:, :60] = 0
    lasting = Box(30, 210, 0, 240)
    assert finder.boxes(film[0]) == [lasting]
    assert finder.boxes(dark) == [Box(30, 210, 60, 240), lasting]
    assert finder.boxes(film[2]) == [lasting]


def test_a_letterbox_of_one_scene_is_found() -> None:
    """A second of it in a video of another shape would not be seen."""
    finder = ContentFinder()
    assert finder.boxes(framed(picture(1), 0, 0, 0, 0, 0)) == []
    assert finder.boxes(framed(picture(2)[30:-30], 30, 30, 0, 0, 0)) == [Box(30, 150, 0, 240)]


def test_a_size_that_changes_begins_anew() -> None:
    """A box of the former size would reach out of the frame."""
    finder = ContentFinder()
    finder.boxes(framed(picture(1), 30, 30, 0, 0, 0))
    (box,) = finder.boxes(framed(picture(1, 60, 80), 0, 0, 20, 20, 0))
    assert box == Box(0, 60, 20, 100)
