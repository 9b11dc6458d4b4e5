"""Pictures set into a picture are cut out of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.engine.hashing import pdq
from hashmatch.engine.hashing.frames import FrameBatch, hash_frames
from hashmatch.engine.index.live import usable
from hashmatch.engine.sampling import insets
from hashmatch.engine.sampling.insets import Inset, InsetFinder
from hashmatch.model.verdicts import Kind, Part, Turn
from tests.support import PATIENT

Plane = npt.NDArray[np.uint8]


def film(seed: int, height: int, width: int, frames: int = 8) -> list[Plane]:
    """Clouds that move a little from frame to frame."""
    rng = np.random.default_rng(seed)
    high, wide = height + 32, width + 32
    rows, columns = np.fft.fftfreq(high)[:, None], np.fft.rfftfreq(wide)[None]
    loudness = np.exp(-((rows**2 + columns**2) * (min(height, width) / 4) ** 2))
    clouds = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(high, wide))) * loudness, (high, wide))
    clouds = np.clip(128 + 64 * (clouds - clouds.mean()) / clouds.std(), 0, 255).astype(np.uint8)
    shown = []
    for number in range(frames):
        y, x = 2 * number % 32, 3 * number % 32
        shown.append(clouds[y : y + height, x : x + width])
    return shown


def set_in(host: list[Plane], inner: list[Plane], top: int, left: int) -> list[Plane]:
    """The one film before the other."""
    drawn = []
    for below, above in zip(host, inner, strict=True):
        both = below.copy()
        both[top : top + above.shape[0], left : left + above.shape[1]] = above
        drawn.append(both)
    return drawn


def found(frames: list[Plane]) -> list[Inset]:
    """All insets of a stream with a frame every half second."""
    finder = InsetFinder()
    insets = []
    for number, frame in enumerate(frames):
        insets += finder.offer(500 * number, frame)
    return insets + finder.finish()


def nearest(insets: list[Inset], inner: list[Plane]) -> int:
    """Fewest bits between an inset's frame and the frame that was set in at that time."""
    apart = [256]
    for inset in insets:
        ours, _ = pdq.digest(inset.luma)
        theirs, _ = pdq.digest(inner[inset.pts_ms // 500][None])
        apart.append(int(np.bitwise_count(ours ^ theirs).sum()))
    return min(apart)


@PATIENT
@given(
    seed=st.integers(0, 1000),
    height=st.integers(72, 140),
    width=st.integers(96, 170),  # No strips.
    corner=st.tuples(
        st.sampled_from([0.0, 0.05, 0.5, 0.95, 1.0]), st.sampled_from([0.0, 0.3, 1.0])
    ),
)
def test_an_inset_is_cut_out(
    seed: int, height: int, width: int, corner: tuple[float, float]
) -> None:
    """Anywhere in the frame, also where the frame ends on two sides of it."""
    host, inner = film(seed, 240, 320), film(seed + 2000, height, width)
    top, left = round((240 - height) * corner[0]), round((320 - width) * corner[1])
    shown = found(set_in(host, inner, top, left))
    assert nearest(shown, inner) <= 31


@pytest.mark.parametrize(("scale", "dtype"), [(1, np.float32), (3, np.uint8), (3, np.float32)])
def test_of_large_frames_and_of_images_too(scale: int, dtype: type) -> None:
    """Frames beyond 480 pixels are looked at smaller, and images come as floats."""
    inner = film(1, 90, 120)
    small = set_in(film(2, 240, 320), inner, 12, 190)
    large: list[Any] = [
        np.kron(frame, np.ones((scale, scale), np.uint8)).astype(dtype) for frame in small
    ]
    insets = found(large)
    assert nearest(insets, inner) <= 31
    assert max(inset.luma.shape[2] for inset in insets) < 480


def test_upright_films_too() -> None:
    """What is sought across is sought down."""
    inner = film(1, 120, 90)
    assert nearest(found(set_in(film(2, 320, 240), inner, 12, 10)), inner) <= 31


def test_one_frame_is_enough() -> None:
    """An image is all there is of it."""
    inner = film(1, 90, 120, frames=1)
    assert nearest(found(set_in(film(2, 240, 320, frames=1), inner, 12, 190)), inner) <= 31


def test_an_inset_for_a_part_of_the_time() -> None:
    """Frames are looked at in groups: one that was not there at first is found later."""
    inner = film(1, 90, 120)
    host = film(2, 240, 320)
    shown = found(host + set_in(host, inner, 12, 190) + host[:3])
    within = [each for each in shown if 8 * 500 <= each.pts_ms < 16 * 500]
    moved = [Inset(each.pts_ms - 8 * 500, each.luma) for each in within]
    assert nearest(moved, inner) <= 31


def test_a_film_that_is_all_there_is_has_none() -> None:
    """Its frames would be hashed for nothing."""
    assert [len(found(film(seed, 240, 320))) for seed in range(5)] == [0] * 5


def test_frames_of_another_size_begin_anew() -> None:
    """A broken file may change its size with every frame."""
    inner = film(1, 90, 120)
    shown = set_in(film(2, 240, 320), inner, 12, 190)
    cut = [frame[:, :-10] if number >= 4 else frame for number, frame in enumerate(shown)]
    insets = found(cut)
    assert {each.pts_ms for each in insets} <= {500 * number for number in range(8)}
    assert nearest(insets, inner) <= 31


def test_no_more_than_a_group_is_held() -> None:
    """A film of hours has thousands of frames."""
    finder = InsetFinder()
    frame = film(3, 240, 320, frames=1)[0]
    given_back = sum(len(finder.offer(500 * number, frame)) for number in range(64))
    assert given_back == sum(len(found([frame] * 8)) for _ in range(8))
    assert finder.finish() == []


@pytest.mark.parametrize("shape", [(1, 1), (2, 500), (500, 2), (39, 320), (40, 40)])
def test_frames_too_small_for_an_inset(shape: tuple[int, int]) -> None:
    """Nothing to cut out, and nothing read beside them."""
    rng = np.random.default_rng(0)
    for inset in found([rng.integers(0, 256, shape).astype(np.uint8) for _ in range(8)]):
        assert min(inset.luma.shape[1:]) >= 8


def test_strips_are_no_insets() -> None:
    """Bars of an application lie in many films, and look like one another."""
    bar = film(7, 60, 300)
    shown = found(set_in(film(8, 240, 320), bar, 170, 10))
    assert all(max(each.luma.shape[1:]) <= 2.5 * min(each.luma.shape[1:]) for each in shown)


def test_what_is_one_row_over_and_over_is_not_hashed() -> None:
    """Edges and bars are near hashes of films that have nothing to do with them."""

    def hashes(luma: Plane) -> int:
        batch = FrameBatch(luma[None], np.zeros(1, np.int64), Part.INSET)
        made = hash_frames(batch, [Kind.PDQ], turns=True)
        return sum(int(usable(each).sum()) for each in made)

    row = np.repeat(np.array([20, 200, 90, 255]), 30)
    darker = np.repeat(np.array([1.0, 0.5, 0.8]), 30)
    bars: Plane = np.rint(np.outer(darker, row)).astype(np.uint8)
    assert hashes(bars) == hashes(bars.T) == 0
    assert hashes(np.full((90, 120), 77, np.uint8)) == 0
    assert hashes(film(1, 90, 120, frames=1)[0]) == len(Turn)
    assert hashes(film(1, 90, 120, frames=1)[0][:20]) == 0


@pytest.mark.parametrize("step", [2, 3, 5])
def test_a_large_frame_is_made_of_means(step: int) -> None:
    """An edge would be elsewhere than in the frame, or have another strength."""
    rng = np.random.default_rng(step)
    luma = rng.integers(0, 256, (40 * step + step - 1, 61 * step + 1)).astype(np.uint8)
    squares = luma[: 40 * step, : 61 * step].reshape(40, step, 61, step)
    assert np.array_equal(insets._means(luma, step), np.floor(squares.mean(axis=(1, 3)) + 0.5))


@pytest.mark.parametrize("shape", [(3, 9), (5, 10), (7, 40)])
def test_edges_are_compared_with_the_lines_beside_them(shape: tuple[int, int]) -> None:
    """Written out for speed; each place has the same neighbours."""
    edges = np.random.default_rng(0).integers(0, 900, shape).astype(np.int32)
    sums = insets._sums(edges, 8)
    stands_out = np.zeros((shape[0] + 1, shape[1]))
    for at in range(1, shape[1]):
        apart = [at + side * away for away in (2, 3, 4) for side in (-1, 1)]
        beside = edges[:, [each for each in apart if 1 <= each < shape[1]]].mean(axis=1)
        stands_out[1:, at] = (edges[:, at] - beside) / (edges[:, at] + beside + 32)
    assert sums == pytest.approx(np.cumsum(stands_out, axis=0), abs=1e-5)
