"""How unlikely whole frames are to be so near by chance: one, and several that agree."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from hashmatch.engine.index.live import Matches, Snapshot
from hashmatch.engine.index.segment import Rows
from hashmatch.engine.policy import scores, weigh
from hashmatch.engine.policy.whole_frames import frame_score, score_of_several
from hashmatch.model.records import EntryRef
from hashmatch.model.signals import Signals, view_code
from hashmatch.model.verdicts import Action, Kind, Part, Turn
from tests.engine.index.test_live import bank
from tests.support import flipped, signals

FRAMES = 6
DIFFERENT = signals(1, FRAMES)


def test_scores_are_chances_against_ten_million_hashes() -> None:
    """A threshold on the score would promise another rate of wrong blocks than it has."""
    distances = np.arange(0, 64)
    scores = frame_score(distances)
    assert (np.diff(scores) <= 0).all()
    # The nearest of 1.2e8 unrelated pairs was 72 bits apart: as likely as not, one is.
    chance = np.exp(-18.6)
    assert chance * 1.2e8 == pytest.approx(1, abs=0.1)
    expected = -math.log(chance * math.exp(-0.418 * 41) * 8 * 25 * 1e7)
    assert scores[31] == round(expected) == 14


def still(count: int = FRAMES) -> Signals:
    """Frames that all show one picture."""
    one = signals(2, count)
    return Signals(
        one.kind, np.repeat(one.digests[:1], count, axis=0), one.quality, one.pts_ms, one.view
    )


def pairs(
    distances: list[int], *, offset_ms: int = 5000, jumping: bool = False, turns: int = 1
) -> Matches:
    """Frame k of an upload, some seconds later, with frame k of an entry."""
    count = len(distances)
    times = np.arange(count) * 1000
    media = np.random.default_rng(4).permutation(times) * 3 if jumping else times + offset_ms
    all_turns = (Turn.NONE, Turn.FLIP_HORIZONTAL)
    view = [view_code(Part.FULL, all_turns[k % turns]) for k in range(count)]
    ones: npt.NDArray[np.int64] = np.ones(count, np.int64)
    return Matches(
        Kind.PDQ,
        media,
        np.array(view, np.uint8),
        ones,
        ones,
        times,
        np.array(distances),
        np.zeros(count, np.int64),
    )


def rows(of: Signals) -> Rows:
    """An entry's."""
    ones = np.ones(len(of), np.int64)
    return Rows(of.digests, ones, ones, of.pts_ms)


def test_several_different_pictures_say_more_than_one() -> None:
    """Copies that changed much would wait for a person each time."""
    alone = score_of_several(pairs([45]), rows(DIFFERENT))
    assert alone == frame_score(np.array([45]))[0] == 8
    two = score_of_several(pairs([45, 45]), rows(DIFFERENT))
    assert two > 30
    assert score_of_several(pairs([45] * FRAMES), rows(DIFFERENT)) > two
    # Those that are nearer count as they are, in any order.
    assert score_of_several(pairs([45, 45, 31]), rows(DIFFERENT)) > two
    assert score_of_several(pairs([31, 45, 45]), rows(DIFFERENT)) == score_of_several(
        pairs([45, 31, 45]), rows(DIFFERENT)
    )


def test_a_picture_counts_once_however_long_it_stands() -> None:
    """A still that is near by chance would block whoever shows it for ten seconds."""
    assert score_of_several(pairs([45] * FRAMES), rows(still())) == 8


@pytest.mark.parametrize("given", [{"jumping": True}, {"turns": 2}])
def test_frames_that_do_not_agree_on_when_or_how_say_less(given: dict[str, int]) -> None:
    """Pairs by chance lie anywhere."""
    agreeing = score_of_several(pairs([45] * FRAMES), rows(DIFFERENT))
    assert score_of_several(pairs([45] * FRAMES, **given), rows(DIFFERENT)) < agreeing  # type: ignore[arg-type]


@pytest.mark.parametrize(("entry", "action"), [(DIFFERENT, Action.BLOCK), (still(), Action.REVIEW)])
def test_a_wide_bank_blocks_by_several_frames(entry: Signals, action: Action) -> None:
    """A list of bare hashes would find changed copies for review alone, or block by one frame."""
    snapshot = Snapshot().with_bank(1, 1, bank({Kind.PDQ: 50})).with_entry(2, 7, 1, [entry])
    found = [snapshot.search(flipped(entry, 45))]
    several = scores(found, snapshot)
    refs = {7: EntryRef("ent_7", "", "", "", "")}
    (evidence,) = weigh(found, snapshot.banks, refs, of_several=several)
    assert (evidence.action, evidence.score) == (action, several[7])
    # What is near enough by itself is not looked at any closer.
    near = [snapshot.search(flipped(entry, 20))]
    assert scores(near, snapshot) == {}
    (evidence,) = weigh(near, snapshot.banks, refs)
    assert evidence.action is Action.BLOCK
