"""Which moment of an entry a frame shows, where it looks like several."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.engine.policy import timing


def ambiguous(speed: float, offset_ms: int, frames: int = 12) -> tuple[np.ndarray, ...]:
    """Frames a second apart that match what is meant, and what is half a second and two seconds
    off as well, nearer.
    """
    media = np.repeat(np.arange(frames) * 900, 5)
    meant = np.rint(offset_ms + speed * media).astype(np.int64)
    entry = meant + np.tile([0, 2000, -2000, 5500, -7000], frames)
    # What is meant is farthest in bits, now and then.
    distance = np.tile([20, 18, 22, 10, 30], frames)
    keep = np.ones(len(media), np.bool_)
    keep[1::25] = False
    return media[keep], entry[keep], distance[keep], meant[keep]


@pytest.mark.parametrize("speed", [1.0, 0.8, 1.25, 0.5, 2.0, -1.0])
@pytest.mark.parametrize("offset_ms", [0, 4321, -900])
def test_frames_lie_on_the_line_of_most(speed: float, offset_ms: int) -> None:
    """A reviewer would be shown other seconds than those that match."""
    rng = np.random.default_rng(1)
    media, entry, distance, meant = ambiguous(speed, offset_ms)
    # What is not meant comes and goes.
    wrong = entry != meant
    entry = entry + wrong * rng.integers(-900, 900, len(entry))
    rows = timing.chosen(media, entry, distance)
    assert media[rows].tolist() == sorted(set(media.tolist()))
    assert np.abs(entry[rows] - meant[rows]).max() <= 500


def test_what_is_off_the_line_is_the_nearest() -> None:
    """Two stretches of a film in another order would lose one of them."""
    media = np.array([0, 1000, 2000, 3000, 9000, 9000])
    entry = np.array([5000, 6000, 7000, 8000, 100, 40_000])
    distance = np.array([9, 9, 9, 9, 5, 8])
    assert timing.chosen(media, entry, distance).tolist() == [0, 1, 2, 3, 4]


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 31)),
        min_size=1,
        max_size=40,
    )
)
def test_each_moment_of_the_upload_is_shown_once(rows: list[tuple[int, int, int]]) -> None:
    """A frame would count twice, or not at all."""
    media, entry, distance = np.array(rows, np.int64).T
    found = timing.chosen(media * 250, entry * 250, distance)
    assert media[found].tolist() == sorted(set(media.tolist()))


def test_of_lines_with_as_many_frames_the_middle_is_meant() -> None:
    """Where little moves each frame matches much of an entry: its start was told."""
    media = np.repeat(np.array([4000, 4400, 4800, 5200]), 5)
    entry = media + np.tile([-4000, -3000, -2000, -1000, 0], 4)
    rows = timing.chosen(media, entry, np.full(len(media), 9))
    assert np.abs((entry - media)[rows] + 2000).max() <= 500
