"""From matches to a verdict: a match first, then doubts, and NO_MATCH only where there are none."""

from __future__ import annotations

import datetime
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.engine.index.live import Matches
from hashmatch.engine.policy import Agreement, judge, matched_entries, sure_block, weigh
from hashmatch.model.records import Bank, EntryRef, Evidence, Reason
from hashmatch.model.signals import view_code
from hashmatch.model.verdicts import Action, BankState, Kind, Part, Turn, Verdict, VerdictReason

NOW = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
REVIEWING, BLOCKING = 1, 2
FULL = view_code(Part.FULL)
MIRRORED = view_code(Part.FULL, Turn.FLIP_HORIZONTAL)
DOUBT = Reason(VerdictReason.TRUNCATED, "the file ends early")

# (media_pts_ms, media_view, entry, bank, entry_pts_ms, distance, numbers)
Row = tuple[int, int, int, int, int, int]


def bank(seq: int) -> Bank:
    """A bank that reviews or blocks, by its number."""
    action = Action.BLOCK if seq == BLOCKING else Action.REVIEW
    thresholds = {Kind.PDQ: 31, Kind.PDQ_PATCH: 31, Kind.PHASH: 10, Kind.SHA256: 0, Kind.MD5: 0}
    return Bank(f"bnk_{seq}", f"bank {seq}", "", action, thresholds, BankState.ACTIVE, 1, NOW, NOW)


BANKS = {seq: bank(seq) for seq in (REVIEWING, BLOCKING)}


def refs(*seqs: int) -> dict[int, EntryRef]:
    """What entries are called; an odd number is in the reviewing bank."""
    return {seq: EntryRef(f"ent_{seq}", "", "", "", f"bank {bank_of(seq)}") for seq in seqs}


def bank_of(entry: int) -> int:
    """The bank of an entry."""
    return REVIEWING if entry % 2 else BLOCKING


def matches(kind: Kind, *rows: Row) -> Matches:
    """Matches from rows."""
    columns = np.array(rows, np.int64).reshape(-1, 6).T
    numbers = np.arange(len(rows))
    media_pts_ms, view, entry, bank, entry_pts_ms, distance = columns
    views = view.astype(np.uint8)
    return Matches(kind, media_pts_ms, views, entry, bank, entry_pts_ms, distance, numbers)


def match(entry: int, media_ms: int = 0, *, entry_ms: int = 0, distance: int = 0) -> Row:
    """A match of a frame as displayed."""
    return media_ms, FULL, entry, bank_of(entry), entry_ms, distance


@st.composite
def some_matches(draw: st.DrawFn) -> list[Matches]:
    """Any matches of some kinds."""
    row = st.builds(
        lambda entry, media_ms, view, entry_ms, distance: (
            media_ms * 500,
            view,
            entry,
            bank_of(entry),
            entry_ms * 250,
            distance,
        ),
        st.integers(1, 5),
        st.integers(0, 20),
        st.sampled_from([FULL, MIRRORED]),
        st.integers(0, 8),
        st.integers(0, 10),
    )
    kinds = draw(st.lists(st.sampled_from([Kind.PDQ, Kind.PHASH]), unique=True))
    return [matches(kind, *draw(st.lists(row, max_size=25))) for kind in kinds]


def rows_of(found: list[Matches]) -> list[tuple[Kind, Row]]:
    """Matches one by one."""
    return [
        (each.kind, row)
        for each in found
        for row in zip(
            each.media_pts_ms.tolist(),
            each.media_view.tolist(),
            each.entry.tolist(),
            each.bank.tolist(),
            each.entry_pts_ms.tolist(),
            each.distance.tolist(),
            strict=True,
        )
    ]


@given(some_matches())
@settings(deadline=None)
def test_each_entry_and_kind_that_matched_is_evidence_once(found: list[Matches]) -> None:
    """A matched entry would be missing from the verdict, or be shown twice."""
    evidence = weigh(found, BANKS, refs(*range(6)))
    rows = rows_of(found)
    assert sorted((each.kind, each.entry.entry_id) for each in evidence) == sorted(
        {(kind, f"ent_{row[2]}") for kind, row in rows}
    )
    assert matched_entries(found) == sorted({row[2] for _, row in rows})
    for each in evidence:
        own = [r for kind, r in rows if (kind, f"ent_{r[2]}") == (each.kind, each.entry.entry_id)]
        assert each.distance == min(row[5] for row in own)
        assert each.frames == len({row[0] for row in own})
        assert each.action is BANKS[own[0][3]].action
        assert each.threshold == BANKS[own[0][3]].thresholds[each.kind]


@given(some_matches())
@settings(deadline=None)
def test_segments_cover_every_matched_frame_once(found: list[Matches]) -> None:
    """A reviewer would look at the wrong seconds, or at more than needed."""
    for each in weigh(found, BANKS, refs(*range(6))):
        times = sorted(
            {
                row[0]
                for kind, row in rows_of(found)
                if (kind, f"ent_{row[2]}") == (each.kind, each.entry.entry_id)
            }
        )
        covered = []
        for segment in each.segments:
            inside = [t for t in times if segment.media_start_ms <= t <= segment.media_end_ms]
            assert segment.frames == len(inside)
            assert (inside[0], inside[-1]) == (segment.media_start_ms, segment.media_end_ms)
            assert all(b - a <= 2500 for a, b in itertools.pairwise(inside))
            assert segment.entry_start_ms <= segment.entry_end_ms
            covered += inside
        assert covered == times
        for before, after in itertools.pairwise(each.segments):
            assert after.media_start_ms - before.media_end_ms > 2500


@given(some_matches())
@settings(deadline=None)
def test_the_order_of_matches_does_not_matter(found: list[Matches]) -> None:
    """The same upload would get another answer each time it is screened."""
    shuffled = []
    for each in found:
        rows = [row for _, row in rows_of([each])]
        order = np.random.default_rng(len(rows)).permutation(len(rows))
        shuffled.append(matches(each.kind, *(rows[i] for i in order)))
    names = refs(*range(6))
    assert sorted(weigh(found, BANKS, names), key=repr) == sorted(
        weigh(shuffled, BANKS, names), key=repr
    )


def test_the_nearest_view_of_a_frame_counts() -> None:
    """A mirrored copy would be called a poor match of the picture as displayed."""
    (evidence,) = weigh(
        [
            matches(
                Kind.PDQ,
                (0, FULL, 2, BLOCKING, 700, 20),
                (0, MIRRORED, 2, BLOCKING, 900, 4),
                (0, MIRRORED, 2, BLOCKING, 800, 4),
            )
        ],
        BANKS,
        refs(2),
    )
    assert (evidence.turn, evidence.distance, evidence.frames) == (Turn.FLIP_HORIZONTAL, 4, 1)
    (segment,) = evidence.segments
    assert (segment.entry_start_ms, segment.entry_end_ms) == (800, 800)


def test_of_equally_near_views_the_one_as_displayed_counts() -> None:
    """A symmetric picture would be reported as mirrored."""
    (evidence,) = weigh(
        [matches(Kind.PDQ, (0, MIRRORED, 2, BLOCKING, 0, 4), (0, FULL, 2, BLOCKING, 0, 4))],
        BANKS,
        refs(2),
    )
    assert evidence.turn is Turn.NONE


def test_surest_evidence_comes_first() -> None:
    """The first thing a reviewer sees would be the weakest."""
    found = [
        matches(
            Kind.PDQ,
            match(1, 0, distance=0),
            *(match(2, t, distance=20) for t in range(0, 2000, 1000)),
            *(match(4, t, distance=20) for t in range(0, 5000, 1000)),
        ),
        matches(Kind.PHASH, *(match(6, t) for t in range(0, 9000, 1000))),
        matches(Kind.SHA256, match(8), match(3)),
    ]
    evidence = weigh(found, BANKS, refs(1, 2, 3, 4, 6, 8))
    order = [each.entry.entry_id for each in evidence]
    # Blocking banks, the very file, PDQ by the sum of nearness, then pHash; then the others.
    assert order == ["ent_8", "ent_4", "ent_2", "ent_6", "ent_3", "ent_1"]
    assert [bool(each.segments) for each in evidence] == [False, True, True, True, False, True]


def test_what_many_entries_share_says_little_of_which_it_is() -> None:
    """A reviewer would be shown another film with the same title card first."""
    card = [match(seq, t) for seq in range(2, 22, 2) for t in (0, 1000, 2000)]
    film = [match(8, t, distance=16) for t in (3000, 4000)]
    evidence = weigh([matches(Kind.PDQ, *card, *film)], BANKS, refs(*range(2, 22, 2)))
    assert len(evidence) == 10
    assert evidence[0].entry.entry_id == "ent_8"
    # Even if each frame of another is nearer.
    worse = [match(10, 3000, distance=28)]
    both = [matches(Kind.PDQ, *card[:15], *card[18:], *film, *worse)]
    assert weigh(both, BANKS, refs(*range(2, 22, 2)))[0].entry.entry_id == "ent_8"


def test_a_flood_of_matches_never_hides_a_blocking_one() -> None:
    """An upload could avoid BLOCK by matching many entries of a reviewing bank."""
    found = [matches(Kind.PDQ, *(match(seq) for seq in range(1, 601, 2)), match(2, distance=31))]
    evidence = weigh(found, BANKS, refs(2, *range(1, 601, 2)))
    assert len(evidence) == 100
    assert judge(evidence, ()).verdict is Verdict.BLOCK
    assert evidence[0].entry.entry_id == "ent_2"


@pytest.mark.parametrize(
    ("found", "sure"),
    [
        ([], False),
        ([matches(Kind.PDQ)], False),
        ([matches(Kind.SHA256)], False),
        ([matches(Kind.SHA256, match(2))], True),
        ([matches(Kind.MD5, match(2))], True),
        ([matches(Kind.SHA256, match(1))], False),
        ([matches(Kind.PDQ, *(match(1, t) for t in range(0, 9000, 1000)))], False),
        ([matches(Kind.PDQ, match(2, 0), match(2, 1000))], False),
        ([matches(Kind.PDQ, match(2, 0), match(2, 1000), match(2, 2000))], True),
        # One frame that matches three frames, or in three views, is one frame.
        ([matches(Kind.PDQ, *(match(2, 0, entry_ms=t) for t in (0, 250, 500)))], False),
        # Frames of different entries do not add up.
        ([matches(Kind.PDQ, match(2, 0), match(4, 1000), match(6, 2000))], False),
        ([matches(Kind.SHA256, match(1)), matches(Kind.MD5, match(4))], True),
        (
            [matches(Kind.PDQ, match(1, 0), *(match(2, t) for t in (0, 1, 2)), match(3, 5))],
            True,
        ),
    ],
)
def test_what_decides_before_the_end(found: list[Matches], sure: bool) -> None:
    """An upload would be refused for a title card, or decoded to the end for nothing."""
    assert sure_block(found, BANKS) is sure


@given(some_matches())
@settings(deadline=None)
def test_an_early_block_is_a_block_at_the_end(found: list[Matches]) -> None:
    """An upload refused early would have been let through had it been looked at in whole."""
    if sure_block(found, BANKS):
        evidence = weigh(found, BANKS, refs(*range(6)))
        assert judge(evidence, [DOUBT]).verdict is Verdict.BLOCK


def evidence(entry: int, kind: Kind = Kind.PDQ) -> Evidence:
    """Evidence for one entry."""
    (found,) = weigh([matches(kind, match(entry, 1500, entry_ms=250))], BANKS, refs(entry))
    return found


@pytest.mark.parametrize("doubts", [(), (DOUBT,)])
@pytest.mark.parametrize("entries", [(), (1,), (2,), (1, 2), (2, 1)])
def test_verdicts(entries: tuple[int, ...], doubts: tuple[Reason, ...]) -> None:
    """A media that was not looked at in whole would be published."""
    judgement = judge(tuple(evidence(entry) for entry in entries), doubts)
    if 2 in entries:
        expected = Verdict.BLOCK
    elif entries:
        expected = Verdict.REVIEW
    else:
        expected = Verdict.INCONCLUSIVE if doubts else Verdict.NO_MATCH
    assert judgement.verdict is expected
    assert len(judgement.evidence) == len(entries)
    # Doubts stay among the reasons, and there is always a reason.
    assert set(doubts) <= set(judgement.reasons)
    codes = {reason.code for reason in judgement.reasons} - {DOUBT.code}
    if entries:
        assert codes == {VerdictReason.PERCEPTUAL_MATCH}
    else:
        assert codes == (set() if doubts else {VerdictReason.NOTHING_FOUND})


def test_reasons_say_what_matched_and_when() -> None:
    """A person could not tell where in the upload to look, or by what it was found."""
    both = judge((evidence(2, Kind.SHA256), evidence(2), evidence(1)), ())
    assert [(reason.code, reason.detail) for reason in both.reasons] == [
        (VerdictReason.EXACT_MATCH, "the very file of an entry of 'bank 2'"),
        (
            VerdictReason.PERCEPTUAL_MATCH,
            "seconds 1.5 show seconds 0.2 of an entry of 'bank 2'",
        ),
    ]


def test_reasons_name_the_turn() -> None:
    """A reviewer would not see the likeness in a mirrored picture."""
    found = [
        matches(
            Kind.PDQ,
            *((t, MIRRORED, 2, BLOCKING, t + 3000, 2) for t in (0, 1000)),
            (9000, MIRRORED, 2, BLOCKING, 0, 2),
        )
    ]
    (reason,) = judge(weigh(found, BANKS, refs(2)), ()).reasons
    assert reason.detail == (
        "seconds 0.0-1.0 show seconds 3.0-4.0, seconds 9.0 show seconds 0.0"
        " of an entry of 'bank 2', flip_horizontal"
    )


def agreed(*, same: bool = True, mirrored: bool = False) -> Agreement:
    """Squares of two frames that lie as an entry's do."""
    times = np.array([0, 0, 1000, 1000])
    distance = np.array([10, 20, 30, 40])
    return Agreement(times, times + 3000, distance, 4, 40.4, 9.0, same, mirrored, 0)


def test_squares_say_nothing_unless_they_agree() -> None:
    """A spot on a wall would accuse an uploader, or a cropped copy would pass."""
    found = [matches(Kind.PDQ_PATCH, *(match(2, 1000 * (n // 2), distance=38) for n in range(4)))]
    assert weigh(found, BANKS, refs(2)) == ()
    assert not sure_block(found, BANKS)
    (evidence,) = weigh(found, BANKS, refs(2), {2: agreed(mirrored=True)})
    assert (evidence.action, evidence.distance, evidence.frames) == (Action.BLOCK, 10, 2)
    assert (evidence.turn, evidence.score) == (Turn.FLIP_HORIZONTAL, 40)
    (reason,) = judge((evidence,), ()).reasons
    assert reason.detail.startswith("parts of seconds 0.0-1.0 show seconds 3.0-4.0 of an entry")


def test_films_of_one_place_are_held_for_review() -> None:
    """Whoever films in the same room would be accused of what was filmed there."""
    found = [matches(Kind.PDQ_PATCH, match(2), match(1))]
    evidence = weigh(found, BANKS, refs(1, 2), {2: agreed(same=False), 1: agreed()})
    assert {each.action for each in evidence} == {Action.REVIEW}
    assert judge(evidence, ()).verdict is Verdict.REVIEW


def test_the_score_of_a_frame_grows_as_it_is_nearer() -> None:
    """A reviewer could not tell a sure match from a doubtful one."""
    scores = []
    for distance in (0, 10, 20, 31):
        (evidence,) = weigh([matches(Kind.PDQ, match(2, distance=distance))], BANKS, refs(2))
        scores.append(evidence.score or 0)
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] == 14  # One upload in a million, at the default threshold.
    (exact,) = weigh([matches(Kind.SHA256, match(2))], BANKS, refs(2))
    assert exact.score is None
