"""Which frames are looked at: as few as may be, and no stretch without one."""

from __future__ import annotations

import itertools

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hashmatch.engine.sampling.frames import Density, FrameChooser, Why

Chosen = list[tuple[int, int]]

gaps = st.integers(1, 50)
# Times of frames as they are shown, any number of them at one time, some far apart.
in_order = st.lists(st.integers(0, 60), max_size=60).map(
    lambda steps: [sum(steps[: i + 1]) for i in range(len(steps))]
)
in_any_order = st.lists(st.integers(-100, 100), max_size=40)


def sample(times: list[int], max_gap_ms: int) -> tuple[list[Chosen], FrameChooser[int]]:
    """What each frame made the chooser choose, and at last the end, where all look alike; frames
    are their numbers.
    """
    chooser: FrameChooser[int] = FrameChooser(Density(max_gap_ms, change_bits=0), alike)
    steps = [chooser.offer(pts_ms, number) for number, pts_ms in enumerate(times)]
    return [[each[:2] for each in step] for step in (*steps, chooser.finish())], chooser


def alike(_: object) -> int:
    """A sketch by which no frame differs from another."""
    return 0


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
    steps, chooser = sample(times, max_gap_ms)
    for (before_ms, before), (after_ms, after) in itertools.pairwise(flat(steps)):
        assert after_ms - before_ms <= max_gap_ms or after == before + 1
    widths = [after - before for before, after in itertools.pairwise(times)]
    assert chooser.largest_gap_ms == max(widths, default=0)


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
    density = Density(1000, change_bits=0)
    chooser: FrameChooser[str] = FrameChooser(density, alike)
    chooser.offer(0, "a")
    chooser.offer(10, "b")
    assert chooser.finish() == [(10, "b", Why.END)]
    assert chooser.finish() == []
    assert FrameChooser[str](density, alike).finish() == []


pictures = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=40)


def sketch(bits: int) -> int:
    """A frame that is its own sketch."""
    return bits


def differ(one: int, other: int) -> int:
    """Bits in which two frames do."""
    return (one ^ other).bit_count()


@given(pictures, st.integers(0, 8), st.integers(1, 500))
@settings(deadline=None)
def test_what_is_left_out_looks_like_what_was_kept(
    frames: list[tuple[int, int]], change_bits: int, max_gap_ms: int
) -> None:
    """A scene would have no hash at all, and not be recognised."""
    chooser: FrameChooser[int] = FrameChooser(Density(max_gap_ms, change_bits), sketch)
    kept: list[tuple[int, int]] = []
    for pts_ms, picture in frames:
        kept += [each[:2] for each in chooser.offer(pts_ms, picture)]
        # Whether it was kept itself, waits, or was left out: the newest kept one stands for it.
        assert kept
        assert differ(kept[-1][1], picture) <= change_bits or kept[-1] == (pts_ms, picture)
        assert pts_ms - kept[-1][0] < max_gap_ms or kept[-1] == (pts_ms, picture)
    kept += [each[:2] for each in chooser.finish()]
    assert not frames or kept[-1] == frames[-1]


@given(pictures, st.integers(0, 8), st.integers(0, 8), st.integers(1, 500))
@settings(deadline=None)
def test_no_two_of_an_entry_that_follow_each_other_are_the_same(
    frames: list[tuple[int, int]], change_bits: int, same_bits: int, max_gap_ms: int
) -> None:
    """An entry of a still scene would fill the index with one hash, again and again."""
    chooser = FrameChooser(Density(max_gap_ms, change_bits, same_bits), sketch)
    chosen = [each for pts_ms, picture in frames for each in chooser.offer(pts_ms, picture)]
    chosen += chooser.finish()
    assert bool(chosen) == bool(frames)
    for before, after in itertools.pairwise(chosen):
        assert differ(before.frame, after.frame) > same_bits
    # And what is left out is the same as what is there, or little else.
    for _, picture in frames:
        nearest = min(differ(picture, each.frame) for each in chosen)
        assert nearest <= change_bits + same_bits


def test_why_a_frame_is_kept_is_said() -> None:
    """Whoever looks at a storyboard would not know what made a frame one of it."""
    chooser = FrameChooser(Density(1000, change_bits=2), sketch)
    frames = [(0, 0), (400, 1), (800, 255), (1500, 255), (1900, 255), (100, 0), (200, 0)]
    chosen = [each for pts_ms, picture in frames for each in chooser.offer(pts_ms, picture)]
    assert [(each.pts_ms, each.why) for each in [*chosen, *chooser.finish()]] == [
        (0, Why.START),
        (800, Why.CHANGE),
        (1500, Why.GAP),
        (1900, Why.GAP),
        (100, Why.START),
        (200, Why.END),
    ]


def test_what_is_nearly_the_same_is_kept_beside() -> None:
    """A cover that is far enough from a listed picture not to match would stand for it."""
    density = Density(10_000, change_bits=5, drawn_bits=1, whole_bits=2)
    pictures = [0b0, 0b11, 0b111, 0b1111, 0b1110, 0b111111]
    for drawn, kept in ((False, [0, 5]), (True, [0, 1, 3, 5]), (None, [0, 2, 5])):
        chooser = FrameChooser(density, sketch)
        chosen = []
        for number, picture in enumerate(pictures):
            chosen += chooser.offer(number * 100, picture, drawn=drawn)
        assert [each.pts_ms // 100 for each in chosen] == kept
        assert [each.why for each in chosen[1:-1]] == [Why.BESIDE] * (len(kept) - 2)


@given(st.lists(st.integers(0, 255), max_size=40))
def test_of_a_whole_stream_nothing_is_far_from_what_is_kept(pictures: list[int]) -> None:
    """Frames that all are looked at would hide between those that are kept."""
    chooser = FrameChooser(Density(1000, change_bits=6, whole_bits=2), sketch)
    chosen = []
    for number, picture in enumerate(pictures):
        chosen += chooser.offer(number * 90, picture, drawn=None)
        assert min(differ(picture, each.frame) for each in chosen) <= 2


def test_a_sketch_is_made_only_where_it_is_needed() -> None:
    """Frames a second apart would cost more than they must."""
    made = []

    def counted(picture: int) -> int:
        made.append(picture)
        return sketch(picture)

    chooser = FrameChooser(Density(1000, change_bits=2), counted)
    for second in range(5):
        chooser.offer(second * 1000, second)
    assert made == []
    chooser.offer(4100, 9)
    assert made == [9, 4]
