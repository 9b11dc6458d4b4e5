"""Secret instants: as many as promised, each on the frame that is shown at it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.engine.sampling.instants import MISSED, Instants, found_in, pieces_of

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
@pytest.mark.parametrize("stated_ms", [0.0, 9_000.0, 10_000.0, 10_100.0])
@pytest.mark.parametrize("found_ms", [0.0, 3_000.0])
def test_what_is_promised_is_found_wherever_it_begins(
    begins_ms: float, stated_ms: float, found_ms: float
) -> None:
    """A track that begins late would have next to no instants, and be called looked at."""
    for seed in range(50):
        instants = Instants(seed, 0, stated_ms, found_ms)
        for number in range(250):
            instants.offer(begins_ms + 40 * number)
        instants.end(begins_ms + 10_000)
        # One in each piece; of the last one only the beginning may have been shown.
        assert len(instants._at) >= pieces_of(10_000, found_ms) - 2
        assert instants.chance_of_a_miss(found_in(10_000, found_ms)) <= MISSED


def test_frames_before_the_first_are_all_looked_at() -> None:
    """What is decoded later and shown earlier lies in no piece."""
    instants = Instants(1, 0, 1_000, 0)
    for each in (80.0, 0.0, 40.0, 120.0):
        instants.offer(each)
    assert instants.wants(0.0)
    assert instants.wants(40.0)


@given(
    st.lists(st.floats(1, 4_000), min_size=1, max_size=40),
    st.floats(0, 60_000),
    st.floats(0, 30_000),
    st.data(),
)
def test_no_film_is_missed_more_often_than_is_said(
    lasts: list[float], stated_ms: float, found_ms: float, data: st.DataObject
) -> None:
    """The chance that is told would be better than it is, for a film that lies unluckily."""
    film = data.draw(st.lists(st.booleans(), min_size=len(lasts), max_size=len(lasts)))
    starts = [0.0, *np.cumsum(lasts)]
    instants = Instants(1, 0, stated_ms, found_ms)
    pieces: list[tuple[float, float]] = []
    begin = instants._begin_piece

    def begun(at_ms: float) -> None:
        begin(at_ms)
        pieces.append((at_ms, instants._piece_ms))

    instants._begin_piece = begun  # type: ignore[method-assign]
    for each in starts[:-1]:
        instants.offer(each)
    instants.end(starts[-1])
    # Of each piece, the part of it that shows the film.
    missed = 1.0
    for at_ms, piece_ms in pieces:
        shown_ms = sum(
            max(0.0, min(start + last, at_ms + piece_ms) - max(start, at_ms))
            for start, last, own in zip(starts[:-1], lasts, film, strict=True)
            if own
        )
        missed *= 1 - min(1.0, shown_ms / piece_ms)
    total_ms = sum(last for last, own in zip(lasts, film, strict=True) if own)
    assert missed <= instants.chance_of_a_miss(total_ms) + 1e-9


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
    assert shown_ms < lasts_ms
    pieces = pieces_of(lasts_ms, found_ms)
    assert (1 - shown_ms / lasts_ms) ** pieces <= MISSED
    assert 2 <= pieces <= 73
