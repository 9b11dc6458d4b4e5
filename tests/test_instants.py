"""Secret instants: as many as promised, each on the frame that is shown at it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.sampling.instants import MISSED, Instants, chance_of_a_miss, found_in, rate_for

SEEDS = 2_000


def wanted(instants: Instants, times: list[float], end_ms: float) -> list[float]:
    """The frames that instants fall on, once all are known."""
    for each in times:
        instants.offer(each)
    instants.end(end_ms)
    return [each for each in times if instants.wants(each)]


@given(st.integers(0, 2**128 - 1), st.permutations(range(1, 60)))
def test_the_order_in_which_frames_come_does_not_matter(seed: int, order: list[int]) -> None:
    """Frames out of order would have instants that belong to others, and be passed over."""
    times = [float(40 * number) for number in range(60)]
    in_order = Instants(seed, 0, 2_400, 0)
    shuffled = Instants(seed, 0, 2_400, 0)
    for instants in (in_order, shuffled):
        instants.offer(0.0)
    # How far is known by then decides when instants are drawn, never which.
    expected = wanted(in_order, times[1:], 2_400)
    for number in order:
        shuffled.offer(times[number])
    shuffled.end(2_400)
    assert [each for each in times[1:] if shuffled.wants(each)] == expected


def test_one_seed_says_the_same_again_and_others_do_not() -> None:
    """A screening could not be repeated; or one uploader's instants would be everybody's."""
    times = [float(40 * number) for number in range(2_500)]
    first, again, other, track = (
        wanted(Instants(seed, stream, 100_000, 0), times, 100_000)
        for seed, stream in ((1, 0), (1, 0), (2, 0), (1, 1))
    )
    assert first == again
    assert first != other
    assert first != track


@pytest.mark.parametrize("begins_ms", [0.0, 1_000_000.0])
@pytest.mark.parametrize("stated_ms", [0.0, 10_000.0])
def test_what_is_promised_is_found_wherever_it_begins(begins_ms: float, stated_ms: float) -> None:
    """A track that begins late would have next to no instants, and be called looked at."""
    times = [begins_ms + 40 * number for number in range(250)]
    numbers = []
    for seed in range(300):
        instants = Instants(seed, 0, stated_ms, 0)
        for each in times:
            instants.offer(each)
        instants.end(begins_ms + 10_000)
        numbers.append(len(instants._at))
    expected = rate_for(found_in(10_000, 0)) * 10_000
    # Three times what the mean of so many draws of a Poisson number is off.
    assert np.mean(numbers) > expected - 3 * math.sqrt(expected / len(numbers))


def test_a_tenth_in_pieces_is_missed_no_more_often_than_promised() -> None:
    """Whoever spreads a film over the running time would not be found."""
    times = [float(40 * number) for number in range(250)]
    film = set(times[5::10])  # A tenth, a frame at a time.
    missed = sum(
        not film & set(wanted(Instants(seed, 0, 10_000, 0), times, 10_000)) for seed in range(SEEDS)
    )
    # One in a thousand of 2,000 is two: more than nine has a chance of 5 in 100,000.
    assert missed <= 9


def test_what_was_not_looked_at_is_known() -> None:
    """A frame that never comes out of the decoder would count as seen."""
    instants = Instants(1, 0, 1_000, 0)
    frames = wanted(instants, [0.0, 250.0, 500.0, 750.0], 1_000)
    assert frames
    assert instants.missed
    for each in frames:
        instants.look(each)
    assert not instants.missed


@given(st.floats(10, 1e8), st.floats(0, 1e5))
def test_the_promise_is_of_a_tenth_and_of_some_seconds(lasts_ms: float, found_ms: float) -> None:
    """What is promised of a long upload, or of a short one, would not be what is documented."""
    shown_ms = found_in(lasts_ms, found_ms)
    assert lasts_ms / 10 <= shown_ms * (1 + 1e-9)
    assert shown_ms <= lasts_ms * (1 + 1e-9)
    assert chance_of_a_miss(rate_for(shown_ms), shown_ms) <= MISSED
