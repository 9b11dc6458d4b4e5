"""The account of what was looked at: it says no more than is so."""

from __future__ import annotations

import pytest

from hashmatch.engine.sampling.looks import Looks, Plan, Stretch
from hashmatch.engine.sampling.packets import Doubt

PLAN = Plan(max_gap_ms=1000, found_ms=0, seed=1)


def looked_at(looks: Looks, shown: list[float], looked: list[float], end_ms: float) -> None:
    """All frames that are shown, and those that came out and were looked at."""
    for each in shown:
        looks.shown(each)
    looks.end(end_ms)
    for each in looked:
        looks.looked(each)


def test_all_seen_is_promised_as_all_seen() -> None:
    """A video of which nothing was left out would be told to be sampled."""
    looks = Looks(PLAN, 0, 1_000)
    times = [0.0, 250.0, 500.0, 750.0]
    looked_at(looks, times, times, 1_000)
    assert looks.promise() == (0, 1000, 0)


def test_the_longest_piece_and_the_share_are_of_time() -> None:
    """Frames would be counted, and one that is shown for a second weigh as one for a moment."""
    looks = Looks(Plan(1000, 10**9, 1), 0, 10_000)
    shown = [0.0, 1_000.0, 1_010.0, 1_020.0, 4_000.0, 9_000.0]
    for each in shown:
        looks.shown(each)
    looks.end(10_000)
    looked = sorted({0.0, 4_000.0, 9_000.0, *(each for each in shown if looks.wants(each))})
    for each in looked:
        looks.looked(each)
    lasts = dict(zip(shown, [1_000, 10, 10, 2_980, 5_000, 1_000], strict=True))
    unseen = [each for each in shown if each not in looked]
    promise = looks.promise()
    share = sum(lasts[each] for each in unseen)
    assert promise.seen_permille == int(1000 * (1 - share / 10_000))
    assert promise.longest_unseen_ms <= share


def test_a_frame_that_had_to_be_looked_at_and_was_not() -> None:
    """What an instant fell on would go unseen without a word."""
    looks = Looks(PLAN, 0, 1_000)
    looked_at(looks, [0.0, 250.0, 500.0, 750.0], [0.0], 1_000)
    with pytest.raises(Doubt, match="did not come out"):
        looks.promise()


def test_two_frames_of_one_time_are_not_taken_for_one() -> None:
    """A player shows the later one; a cover of the same time would be looked at in its stead."""
    looks = Looks(PLAN, 0, 3_000)
    looked_at(looks, [0.0, 1_000.0, 1_000.0, 2_000.0], [0.0, 1_000.0, 2_000.0], 3_000)
    with pytest.raises(Doubt, match="one time"):
        looks.promise()


def test_a_header_that_says_too_much_keeps_no_promise() -> None:
    """Ten seconds that are said to be ten hours would have next to no instants."""
    looks = Looks(PLAN, 0, 36_000_000)
    for number in range(250):
        looks.shown(40.0 * number)
    looks.end(10_000)
    looks.looked(0.0)
    with pytest.raises(Doubt):
        looks.promise()


def test_a_packet_that_stands_out_is_decoded_up_to() -> None:
    """Where a film follows a cover, its first frame costs bits; nobody would look at it."""
    looks = Looks(Plan(1000, 10**9, 1), 0, 10**9)
    times = [40.0 * number for number in range(1, 25)]
    sizes = [100] * 24
    sizes[3] = 9_000
    for each in times:
        looks.shown(each)
    stretch = Stretch(times, sizes, sync_size=10_000, end_ms=1_000.0, may_lead=False)
    assert looks.number_ahead(stretch) == 4
    assert looks.wants(times[3])
    assert looks.number_ahead(stretch) == 0  # They have been decoded.
