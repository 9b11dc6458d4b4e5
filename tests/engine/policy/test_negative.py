"""What negative banks overrule, and what they do not."""

from __future__ import annotations

import datetime
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.engine.index.live import Matches, Snapshot
from hashmatch.engine.policy import (
    Judgement,
    agreements,
    judge,
    matched_entries,
    may_overrule_files,
    sure_block,
    weigh,
)
from hashmatch.engine.policy.negative import FAR, hash_keys, nearest, sift
from hashmatch.model.records import Bank, BankPolicy, EntryRef
from hashmatch.model.verdicts import Action, BankMode, BankState, Effect, Kind, Verdict
from hashmatch.usecases.screenings import _Search
from tests.engine.policy.test_squares import Film
from tests.support import signals

NOW = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
BLOCKING, NEGATIVE = 1, 2
KINDS = {Kind.PDQ: 31, Kind.PDQ_PATCH: 40, Kind.SHA256: 0, Kind.MD5: 0}
BANKS = {
    BLOCKING: Bank("bnk_1", "b", "", Action.BLOCK, KINDS, BankState.ACTIVE, 1, NOW, NOW),
    NEGATIVE: Bank("bnk_2", "n", "", Action.OVERRULE, KINDS, BankState.ACTIVE, 1, NOW, NOW),
}


def found(kind: Kind, *rows: tuple[int, int, int, int]) -> Matches:
    """Matches of (time, hash of that time, bank, distance); each bank has one entry, as the bank
    is numbered.
    """
    pts, row, bank, distance = np.array(rows, np.int64).reshape(-1, 4).T
    view = np.full(len(pts), 8, np.uint8)
    return Matches(kind, pts, view, bank, bank, np.zeros_like(pts), distance, row)


def judged(*matches: Matches) -> Judgement:
    """What becomes of an upload."""
    refs = {seq: EntryRef(f"ent_{seq}", "", "", "", "") for seq in BANKS}
    return judge(weigh(matches, BANKS, refs), ())


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([(0, 0, BLOCKING, 20)], Verdict.BLOCK),
        # As near, nearer, and farther.
        ([(0, 0, BLOCKING, 20), (0, 0, NEGATIVE, 20)], Verdict.NO_MATCH),
        ([(0, 0, BLOCKING, 20), (0, 0, NEGATIVE, 4)], Verdict.NO_MATCH),
        ([(0, 0, BLOCKING, 20), (0, 0, NEGATIVE, 21)], Verdict.BLOCK),
        # Another frame, and another picture of the frame.
        ([(0, 0, BLOCKING, 20), (1000, 0, NEGATIVE, 0)], Verdict.BLOCK),
        ([(0, 0, BLOCKING, 20), (0, 1, NEGATIVE, 0)], Verdict.BLOCK),
        # A title card, and then the film.
        (
            [(0, 0, BLOCKING, 0), (0, 0, NEGATIVE, 0), (1000, 0, BLOCKING, 9)],
            Verdict.BLOCK,
        ),
        ([(0, 0, NEGATIVE, 0)], Verdict.NO_MATCH),
    ],
)
def test_frames(rows: list[tuple[int, int, int, int]], verdict: Verdict) -> None:
    """A title card would accuse whoever uses it, or a harmless frame would excuse a film."""
    judgement = judged(found(Kind.PDQ, *rows))
    assert judgement.verdict is verdict
    overruled = verdict is Verdict.NO_MATCH and rows[0][2] == BLOCKING
    assert [each.effect for each in judgement.unacted] == [Effect.OVERRULED] * overruled
    assert all(each.entry.entry_id == "ent_1" for each in judgement.unacted)


def test_what_is_left_of_an_entry_is_told_by_its_own_frames() -> None:
    """A reviewer would be shown the harmless title card as what matched."""
    pairs = [(0, 0, BLOCKING, 0), (0, 0, NEGATIVE, 0), (9000, 0, BLOCKING, 9)]
    judgement = judged(found(Kind.PDQ, *pairs))
    (evidence,) = judgement.evidence
    assert (evidence.frames, evidence.segments[0].media_start_ms) == (1, 9000)
    assert evidence.distance == 9


def test_files() -> None:
    """What a person found harmless would be refused for ever; or any file that shares its MD5
    would pass.
    """
    frames = found(Kind.PDQ, (0, 0, BLOCKING, 0))
    for kind, verdict in ((Kind.SHA256, Verdict.NO_MATCH), (Kind.MD5, Verdict.BLOCK)):
        assert judged(frames, found(kind, (0, 0, NEGATIVE, 0))).verdict is verdict
        both = found(kind, (0, 0, NEGATIVE, 0), (0, 0, BLOCKING, 0))
        assert judged(both).verdict is verdict


def test_nothing_is_decided_early_that_may_be_overruled() -> None:
    """An upload would be refused for a title card, or before its file is known."""
    three = [(t, 0, BLOCKING, 0) for t in range(3)]
    assert sure_block([found(Kind.PDQ, *three)], BANKS)
    assert not sure_block([found(Kind.PDQ, *three, (2, 0, NEGATIVE, 0))], BANKS)
    snapshot = Snapshot().with_bank(1, NEGATIVE, BANKS[NEGATIVE])
    assert not may_overrule_files(snapshot)
    frames = snapshot.with_entry(2, 7, NEGATIVE, [signals(7)])
    assert not may_overrule_files(frames)
    file = snapshot.with_entry(2, 7, NEGATIVE, [signals(7, kind=Kind.SHA256)])
    assert may_overrule_files(file)
    assert not may_overrule_files(file.without_entry(3, 7, NEGATIVE))
    archived = replace(BANKS[NEGATIVE], state=BankState.ARCHIVED)
    assert not may_overrule_files(file.with_bank(3, NEGATIVE, archived))


def test_a_blocklist_of_negative_banks_is_empty() -> None:
    """Uploads would be NO_MATCH where nothing can match."""
    snapshot = Snapshot()
    for number, bank in enumerate(
        [
            BANKS[NEGATIVE],
            replace(BANKS[BLOCKING], policy=replace(BANKS[1].policy, mode=BankMode.SHADOW)),
            replace(BANKS[BLOCKING], policy=replace(BANKS[1].policy, traffic_percent=0)),
        ]
    ):
        snapshot = snapshot.with_bank(1, number, bank)
        snapshot = snapshot.with_entry(2, 10 + number, number, [signals(number)])
    assert snapshot.active_entries == 0
    assert snapshot.kinds_to_search == set()
    assert Kind.PDQ in snapshot.kinds_to_compute
    snapshot = snapshot.with_bank(3, 9, BANKS[BLOCKING]).with_entry(4, 9, 9, [signals(9)])
    assert snapshot.active_entries == 1
    assert snapshot.kinds_to_search == {Kind.PDQ}


ROWS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 2),
        st.sampled_from([BLOCKING, NEGATIVE]),
        st.integers(0, 5),
    ),
    max_size=20,
)


@given(ROWS)
@settings(deadline=None)
def test_each_pair_is_weighed_or_overruled_by_a_nearer_one(
    rows: list[tuple[int, int, int, int]],
) -> None:
    """The vectorised search for the nearest would lose pairs, or mix up hashes."""
    sifted = sift([found(Kind.PDQ, *rows)], BANKS)
    (counting,), (overruled,) = sifted.counting, sifted.overruled
    expected = {
        row
        for row in rows
        if row[2] == BLOCKING
        and not any(
            each[:2] == row[:2] and each[2:] <= (NEGATIVE, row[3]) and each[2] == NEGATIVE
            for each in rows
        )
    }

    def pairs(some: Matches) -> set[tuple[int, ...]]:
        columns = (some.media_pts_ms, some.media_row, some.bank, some.distance)
        return set(map(tuple, np.stack(columns, axis=1).tolist()))

    assert pairs(counting) == expected
    assert pairs(counting) | pairs(overruled) == {row for row in rows if row[2] == BLOCKING}
    keys = hash_keys(np.arange(4).repeat(3), np.tile(np.arange(3), 4))
    nearest_of = nearest(sifted.negative[0], keys)
    for (pts, row), near in zip(keys.tolist(), nearest_of.tolist(), strict=True):
        theirs = [each[3] for each in rows if each[:3] == (pts, row, NEGATIVE)]
        assert near == min(theirs, default=FAR)


def test_squares_that_a_negative_entry_has_are_not_weighed() -> None:
    """A mark that a harmless film bears too would make it a copy."""
    film, other = Film(1), Film(2)
    banks = {seq: replace(bank, thresholds={Kind.PDQ_PATCH: 40}) for seq, bank in BANKS.items()}
    snapshot = Snapshot().with_bank(1, BLOCKING, banks[BLOCKING])
    snapshot = snapshot.with_bank(1, NEGATIVE, banks[NEGATIVE])
    snapshot = snapshot.with_entry(2, 1, BLOCKING, [film.entry()])
    upload = film.upload()
    assert set(agreements([snapshot.search(upload)], [upload], snapshot)) == {1}
    elsewhere = snapshot.with_entry(3, 2, NEGATIVE, [other.entry()])
    assert set(agreements([elsewhere.search(upload)], [upload], elsewhere)) == {1}
    same = snapshot.with_entry(3, 2, NEGATIVE, [film.entry()])
    near = same.search(upload)
    assert agreements([near], [upload], same) == {}
    assert matched_entries([near], {}) == []
    # In batches, as an upload comes.
    first, second = upload.select(np.arange(20)), upload.select(np.arange(20, 40))
    batches = Matches.concatenate([same.search(first), same.search(second)])
    assert agreements([batches], [first, second], same) == {}
    # A worse copy of the negative film than of the listed one is the listed one.
    worse = snapshot.with_entry(3, 2, NEGATIVE, [Film(1).upload(bits=25)])
    assert set(agreements([worse.search(upload)], [upload], worse)) == {1}


def test_a_negative_bank_in_shadow_overrules_nothing() -> None:
    """A list of harmless media that is only tried would let uploads pass."""
    shadow = replace(BANKS[NEGATIVE], policy=BankPolicy(mode=BankMode.SHADOW))
    banks = {**BANKS, NEGATIVE: shadow}
    pairs = [(0, 0, BLOCKING, 20), (0, 0, NEGATIVE, 0), (9, 0, NEGATIVE, 0)]
    sifted = sift([found(Kind.PDQ, *pairs)], banks)
    assert [each.bank.tolist() for each in sifted.counting] == [[BLOCKING]]
    three = [(t, 0, BLOCKING, 0) for t in range(3)] + [(t, 0, NEGATIVE, 0) for t in range(3)]
    assert sure_block([found(Kind.PDQ, *three)], banks)
    snapshot = Snapshot().with_bank(1, NEGATIVE, shadow)
    file = snapshot.with_entry(2, 7, NEGATIVE, [signals(7, kind=Kind.SHA256)])
    assert not may_overrule_files(file)


@pytest.mark.parametrize("batches", [[0, 1], [1, 0]])
async def test_pictures_of_one_moment_are_told_apart(batches: list[int]) -> None:
    """A title card as a second stream, or on another ground, would have a film pass."""
    bad, card = signals(11), signals(12)
    snapshot = Snapshot().with_bank(1, BLOCKING, BANKS[BLOCKING])
    snapshot = snapshot.with_bank(1, NEGATIVE, BANKS[NEGATIVE])
    snapshot = snapshot.with_entry(2, BLOCKING, BLOCKING, [bad])
    snapshot = snapshot.with_entry(3, NEGATIVE, NEGATIVE, [card])
    search = _Search(snapshot)
    for number in batches:
        await search.add_all([(bad, card)[number]])
    assert judged(*search.matches).verdict is Verdict.BLOCK
