"""Which packets are looked at because of their size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.engine.sampling.clues import is_large, stand_out

KEY = 10_000
sizes = st.lists(st.integers(1, 100_000), max_size=40)


@pytest.mark.parametrize(("size", "large"), [(4000, False), (4001, True), (10_000, True)])
def test_a_packet_is_large_beside_the_key_frame(size: int, large: bool) -> None:
    """A picture that differs from the one before costs bits, one that goes on does not."""
    assert is_large(size, KEY) is large


def test_a_new_picture_among_small_changes_stands_out() -> None:
    """A cut between key frames."""
    assert stand_out([300, 400, 9000, 350, 300], KEY) == [False, False, True, False, False]


def test_frames_that_all_cost_much_do_not_stand_out() -> None:
    """Noise, or a film in motion: each would be decoded, at the cost of decoding all."""
    assert not any(stand_out([5000, 5200, 4900, 5100], KEY))


def test_more_bytes_than_the_key_frame_stand_out_whatever_is_beside() -> None:
    """Covers that are small, and pictures of a film beside them that are all large."""
    assert stand_out([12_000] * 6, KEY) == [True] * 6


def test_nothing_is_large_of_nothing() -> None:
    """A stretch without packets is asked about too."""
    assert stand_out([], KEY) == []


@given(sizes, st.integers(1, 100_000))
def test_what_stands_out_is_large(some: list[int], key: int) -> None:
    """And the largest of all stands out wherever another does."""
    found = stand_out(some, key)
    assert len(found) == len(some)
    assert all(is_large(size, key) for size, out in zip(some, found, strict=True) if out)
    if any(found):
        assert found[some.index(max(some))]


@given(sizes, st.integers(1, 1000), st.integers(2, 50))
def test_only_proportions_matter(some: list[int], key: int, times: int) -> None:
    """A film of more bits a second is looked at alike."""
    assert stand_out(some, key) == stand_out([size * times for size in some], key * times)
