"""Which frames are looked at: as few as may be, and no stretch without one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hashmatch.sampling import Sampler, Thinner

Chosen = list[tuple[int, int]]

gaps = st.integers(1, 50)
# Times of frames as they are shown, any number of them at one time, some far apart.
in_order = st.lists(st.integers(0, 60), max_size=60).map(
    lambda steps: [sum(steps[: i + 1]) for i in range(len(steps))]
)
in_any_order = st.lists(st.integers(-100, 100), max_size=40)


def sample(times: list[int], max_gap_ms: int) -> tuple[list[Chosen], Sampler[int]]:
    """What each frame made the sampler choose, and at last the end; frames are their numbers."""
    sampler: Sampler[int] = Sampler(max_gap_ms)
    steps = [sampler.offer(pts_ms, number) for number, pts_ms in enumerate(times)]
    return [*steps, sampler.finish()], sampler


def flat(steps: list[Chosen]) -> Chosen:
    """All that were chosen, in the order of choosing."""
    return [each for step in steps for each in step]


@given(in_any_order, gaps)
@settings(deadline=None)
def test_first_and_last_are_chosen_in_order_and_once(times: list[int], max_gap_ms: int) -> None:
    """The last frame of a video, where a splice may hide, would not be looked at."""
    chosen = flat(sample(times, max_gap_ms)[0])
    numbers = [number for _, number in chosen]
    assert numbers == sorted(set(numbers))
    assert all(times[number] == pts_ms for pts_ms, number in chosen)
    if times:
        assert (numbers[0], numbers[-1]) == (0, len(times) - 1)


@given(in_order, gaps)
@settings(deadline=None)
@example([0, 1000, 1001], 1000)
@example([0, 999, 1999], 1000)
def test_no_gap_that_the_media_itself_has_not(times: list[int], max_gap_ms: int) -> None:
    """A prohibited second between two frames would not be looked at."""
    steps, sampler = sample(times, max_gap_ms)
    chosen = flat(steps)
    widths = []
    for (before_ms, before), (after_ms, after) in itertools.pairwise(chosen):
        widths.append(after_ms - before_ms)
        assert after_ms - before_ms <= max_gap_ms or after == before + 1
    assert sampler.largest_gap_ms == max(widths, default=0)


@given(st.lists(st.integers(0, 400), unique=True, max_size=60).map(sorted), gaps)
@settings(deadline=None)
def test_as_few_frames_as_may_be(times: list[int], max_gap_ms: int) -> None:
    """Every upload would take longer than it must."""
    chosen = flat(sample(times, max_gap_ms)[0])
    # The fewest from the first frame to each: a frame is reached from any that is near enough, or
    # from the one before it.
    fewest = [1] * len(times)
    for i in range(1, len(times)):
        near = [fewest[j] for j in range(i) if times[i] - times[j] <= max_gap_ms]
        fewest[i] = 1 + min(near, default=fewest[i - 1])
    assert len(chosen) <= (fewest[-1] if times else 0)


@given(in_any_order, gaps)
@settings(deadline=None)
def test_a_frame_behind_a_jump_back_is_looked_at(times: list[int], max_gap_ms: int) -> None:
    """A crafted file could hide frames behind times that were there before."""
    numbers = {number for _, number in flat(sample(times, max_gap_ms)[0])}
    for number in range(1, len(times)):
        if times[number] < times[number - 1]:
            # The frame before the jump too: nothing later could stand for it.
            assert {number - 1, number} <= numbers


def test_a_jump_back_starts_anew() -> None:
    """The frames between two jumps would be measured against a time of before."""
    steps, _ = sample([0, 500, 1000, 100, 600, 1100, 1200], 1000)
    assert flat(steps) == [(0, 0), (1000, 2), (100, 3), (1100, 5), (1200, 6)]


def test_the_held_frame_comes_before_the_one_that_pushes_it_out() -> None:
    """Frames would be hashed out of order, and the segments of a match be wrong."""
    steps, _ = sample([0, 900, 5000], 1000)
    assert steps == [[(0, 0)], [], [(900, 1), (5000, 2)], []]


@given(in_any_order, gaps)
@settings(deadline=None)
def test_holds_at_most_one_frame(times: list[int], max_gap_ms: int) -> None:
    """A long video would fill the memory of the worker with frames."""
    steps, _ = sample(times, max_gap_ms)
    offered = 0
    for step in steps[:-1]:
        offered += 1
        assert all(number >= offered - 2 for _, number in step)
    assert all(number == offered - 1 for _, number in steps[-1])


def test_the_frame_rate_does_not_decide() -> None:
    """An uploader could choose what is seen by adding frames."""
    for rate in (1, 5, 24, 60, 240):
        times = [round(i * 1000 / rate) for i in range(10 * rate + 1)]
        chosen = flat(sample(times, 1000)[0])
        assert [pts_ms for pts_ms, _ in chosen] == list(range(0, 10_001, 1000))


def test_finishing_twice_adds_nothing() -> None:
    """The last frame would be hashed twice."""
    sampler: Sampler[str] = Sampler(1000)
    sampler.offer(0, "a")
    sampler.offer(10, "b")
    assert sampler.finish() == [(10, "b")]
    assert sampler.finish() == []
    assert Sampler[str](1000).finish() == []


digests = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=40).map(
    lambda frames: [(pts_ms, np.frombuffer(bytes([bits]), np.uint8)) for pts_ms, bits in frames]
)


@given(digests, st.integers(0, 8), st.integers(1, 500))
@settings(deadline=None)
def test_what_is_left_out_looks_like_what_was_kept(
    frames: list[tuple[int, np.ndarray[Any, Any]]], min_change_bits: int, max_gap_ms: int
) -> None:
    """A scene of an entry would have no hash at all, and uploads of it not be recognised."""
    thinner = Thinner(min_change_bits, max_gap_ms)
    last: tuple[int, np.ndarray[Any, Any]] | None = None
    for pts_ms, digest in frames:
        far = last is None or int(np.unpackbits(last[1] ^ digest).sum()) > min_change_bits
        late = last is None or not 0 <= pts_ms - last[0] < max_gap_ms
        kept = thinner.keep(pts_ms, digest)
        assert kept == (far or late or not min_change_bits)
        if kept:
            last = pts_ms, digest
