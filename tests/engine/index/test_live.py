"""Snapshots of the blocklist, against a list that is searched one by one."""

from __future__ import annotations

import datetime
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hashmatch.engine.index import bands, live
from hashmatch.engine.index import snapshot as files
from hashmatch.engine.index.live import MIN_QUALITY, Compaction, Matches, Snapshot, Table, usable
from hashmatch.model.records import Bank
from hashmatch.model.signals import EntrySignals, Signals, view_code
from hashmatch.model.verdicts import Action, BankState, Kind, Part, Turn
from tests.support import TORTURE

NOW = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
KINDS = (Kind.PDQ, Kind.PHASH, Kind.SHA1)


def bank(thresholds: dict[Kind, int], state: BankState = BankState.ACTIVE) -> Bank:
    """A bank with these thresholds."""
    return Bank("bnk_1", "swords", "", Action.BLOCK, thresholds, state, 1, NOW, NOW)


def some_signals(kind: Kind, n: int, seed: int) -> Signals:
    """Hashes near one that all of the kind share; some are too flat."""
    rng = np.random.default_rng(seed)
    share = rng.choice([0, 0.01, 0.06], (n, 1))
    return Signals(
        kind,
        np.packbits(rng.random((n, kind.width * 8)) < share, axis=1),
        rng.choice([0, MIN_QUALITY - 1, MIN_QUALITY, 100], n, p=[0.1, 0.1, 0.4, 0.4]).astype(
            np.uint8
        ),
        rng.integers(0, 5, n) * 1000,
        np.array([view_code(Part.FULL, Turn(turn)) for turn in rng.integers(1, 9, n)], np.uint8),
    )


@dataclass(frozen=True)
class Model:
    """What a snapshot should hold, kept in the plainest way."""

    banks: dict[int, Bank] = field(default_factory=dict)
    entries: dict[int, tuple[int, list[Signals]]] = field(default_factory=dict)

    def can_match(self) -> list[tuple[int, int, Signals]]:
        """Entry, bank and hashes of all that is in use."""
        return [
            (seq, bank_seq, each)
            for seq, (bank_seq, signals) in self.entries.items()
            for each in signals
            if self.banks[bank_seq].state is BankState.ACTIVE
            and each.kind in self.banks[bank_seq].thresholds
        ]

    def search(self, query: Signals, *, flat: bool = False) -> list[tuple[int, ...]]:
        """Every pair, compared bit by bit; with ``flat`` those of which one is of a flat frame."""
        found = []
        for seq, bank_seq, each in self.can_match():
            if each.kind is not query.kind:
                continue
            threshold = self.banks[bank_seq].thresholds[each.kind] + (9 if flat else 0)
            for q in np.flatnonzero((matchable if flat else rich)(query)):
                for e in np.flatnonzero(np.full(len(each), True) if flat else rich(each)):
                    if flat and rich(query)[q] and rich(each)[e]:
                        continue
                    distance = int(np.unpackbits(query.digests[q] ^ each.digests[e]).sum())
                    if distance <= threshold:
                        times = int(query.pts_ms[q]), int(each.pts_ms[e])
                        found.append((*times, int(query.view[q]), seq, bank_seq, distance))
        return sorted(found)


def rich(signals: Signals) -> np.ndarray[Any, Any]:
    """Exact hashes, and perceptual ones of at least the quality that is needed."""
    return np.array([signals.kind.exact or quality >= 50 for quality in signals.quality], np.bool_)


def matchable(signals: Signals) -> np.ndarray[Any, Any]:
    """Likewise, and PDQ of flat frames that is steady."""
    steady = [signals.kind is Kind.PDQ and quality >= 25 for quality in signals.quality]
    return rich(signals) | np.array(steady, np.bool_)


def as_flat(query: Signals) -> Signals:
    """The same hashes, as of an upload that has flat frames alone."""
    return replace(query, quality=np.minimum(query.quality, np.uint8(74)))


def rows(matches: Matches) -> list[tuple[int, ...]]:
    """Matches one by one, to compare by."""
    columns = (
        matches.media_pts_ms,
        matches.entry_pts_ms,
        matches.media_view,
        matches.entry,
        matches.bank,
        matches.distance,
    )
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


class Blocklist(RuleBasedStateMachine):
    """Changes in any order, and searches in the snapshots of now and of before."""

    def __init__(self) -> None:
        super().__init__()
        self.snapshot, self.model = Snapshot(), Model()
        self.before = [(self.snapshot, self.model)]
        self.seq = 0
        self.work: Compaction | None = None
        self.set_bank(1, {Kind.PDQ: 31, Kind.PHASH: 8, Kind.SHA1: 0}, BankState.ACTIVE)

    def change(self, snapshot: Snapshot, model: Model) -> None:
        """Both sides at the next revision."""
        assert snapshot.revision == self.snapshot.revision + 1
        self.snapshot, self.model = snapshot, model
        self.before.append((snapshot, model))

    @rule(
        seq=st.integers(1, 3),
        thresholds=st.dictionaries(st.sampled_from(KINDS), st.integers(0, 15)),
        state=st.sampled_from(BankState),
    )
    def set_bank(self, seq: int, thresholds: dict[Kind, int], state: BankState) -> None:
        """Adds a bank, or changes or archives one."""
        allowed = {kind: min(bits, kind.largest_threshold) for kind, bits in thresholds.items()}
        new = bank(allowed, state)
        self.change(
            self.snapshot.with_bank(self.snapshot.revision + 1, seq, new),
            replace(self.model, banks={**self.model.banks, seq: new}),
        )

    @precondition(lambda self: self.model.banks)
    @rule(
        data=st.data(),
        kinds=st.sets(st.sampled_from(KINDS)),
        n=st.integers(0, 4),
        seed=st.integers(0, 999),
    )
    def add(self, data: st.DataObject, kinds: set[Kind], n: int, seed: int) -> None:
        """Adds an entry to any bank."""
        bank_seq = data.draw(st.sampled_from(sorted(self.model.banks)))
        signals = [some_signals(kind, n, seed) for kind in kinds]
        self.seq += 1
        self.change(
            self.snapshot.with_entry(self.snapshot.revision + 1, self.seq, bank_seq, signals),
            replace(self.model, entries={**self.model.entries, self.seq: (bank_seq, signals)}),
        )
        if data.draw(st.booleans()):
            self.begin_compaction()

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        """Withdraws an entry."""
        seq = data.draw(st.sampled_from(sorted(self.model.entries)))
        bank_seq, _ = self.model.entries[seq]
        self.change(
            self.snapshot.without_entry(self.snapshot.revision + 1, seq, bank_seq),
            replace(self.model, entries={k: v for k, v in self.model.entries.items() if k != seq}),
        )

    @rule()
    def begin_compaction(self) -> None:
        """What is due is begun; changes and searches go on meanwhile."""
        begun = None if self.work else self.snapshot.begin_compaction()
        if begun is not None:
            self.snapshot, self.work = begun
            self.before.append((self.snapshot, self.model))

    @precondition(lambda self: self.work is not None)
    @rule()
    def end_compaction(self) -> None:
        """And ended."""
        assert self.work is not None
        done = self.work.run()
        assert done.segment is None or done.segment.bands is not None
        self.snapshot, self.work = self.snapshot.end_compaction(done), None
        self.before.append((self.snapshot, self.model))

    @precondition(lambda self: self.work is None)
    @rule()
    def reload(self) -> None:
        """A server is started again, from its file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "index"
            assert files.save(path, "a store", self.snapshot)
            loaded = files.load(path, "a store")
        for seq, each in self.model.banks.items():
            loaded = loaded.with_bank(loaded.revision, seq, each)
        assert loaded.revision == self.snapshot.revision
        self.snapshot = loaded
        self.before.append((self.snapshot, self.model))

    @rule(data=st.data(), n=st.integers(0, 6), seed=st.integers(0, 99))
    def search(self, data: st.DataObject, n: int, seed: int) -> None:
        """Searches in a snapshot of now and one of before."""
        for snapshot, model in (self.before[-1], data.draw(st.sampled_from(self.before[-8:]))):
            for kind in KINDS:
                query = some_signals(kind, n, seed)
                assert rows(snapshot.search(query)) == model.search(query)
            low = as_flat(some_signals(Kind.PDQ, n, seed))
            assert rows(snapshot.search_flat(low)) == model.search(low, flat=True)

    @invariant()
    def counts_are_right(self) -> None:
        """What a snapshot says of itself."""
        active = [seq for seq, each in self.model.banks.items() if each.state is BankState.ACTIVE]
        in_active = [e for e, (bank_seq, _) in self.model.entries.items() if bank_seq in active]
        assert self.snapshot.active_entries == len(in_active)
        used = {kind for seq in active for kind in self.model.banks[seq].thresholds}
        assert self.snapshot.kinds_to_compute == used
        can_match = {
            each.kind
            for _, _, each in self.model.can_match()
            if rich(each).any() or (each.kind is Kind.PDQ and len(each))
        }
        assert self.snapshot.kinds_to_search == can_match


EXAMPLES = 200 if TORTURE else 30


def test_any_changes_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A withdrawn entry would still accuse, an active one be missed, or an old search change."""
    # So that a few rows are compacted, and searched by tables.
    monkeypatch.setattr(live, "_NEW_ROWS", 1)
    monkeypatch.setattr(live, "MAX_ROWS", 12)
    monkeypatch.setattr(bands, "_LOOKUP_COST", 0)
    run_state_machine_as_test(
        Blocklist, settings=settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
    )


def test_nothing_matches_in_an_empty_blocklist() -> None:
    """The first upload to a new server would end as an internal error."""
    for kind in Kind:
        assert rows(Snapshot().search(some_signals(kind, 3, 1))) == []
        assert rows(Snapshot().search(some_signals(kind, 0, 1))) == []
    assert Snapshot().active_entries == 0
    assert Snapshot().kinds_to_compute == Snapshot().kinds_to_search == frozenset()


def one(kind: Kind, digest: bytes, quality: int = 100) -> Signals:
    """One hash."""
    return Signals.from_columns(kind, digest, bytes([quality]), bytes(8), b"\x08")


@pytest.mark.parametrize("kind", Kind)
def test_thresholds_are_each_banks_own(kind: Kind) -> None:
    """A strict bank would match as loosely as the loosest one."""
    loosest = kind.largest_threshold
    snapshot = Snapshot().with_bank(1, 1, bank({kind: 0})).with_bank(2, 2, bank({kind: loosest}))
    # Only the last bit that is compared differs.
    rest = bytes(kind.width - kind.hash_width)
    exact = bytes(kind.width)
    near = bytes(kind.hash_width - 1) + b"\x01" + rest
    for seq, digest in ((1, exact), (2, near), (3, near), (4, exact)):
        snapshot = snapshot.with_entry(seq + 2, seq, 1 + seq % 2, [one(kind, digest)])
    found = {row[3] for row in rows(snapshot.search(one(kind, near)))}
    # Entries 1 and 3 are in the second bank, 2 and 4 in the strict one.
    assert found == ({2, 3, 1} if loosest else {2, 3})


def test_flat_hashes_match_on_neither_side() -> None:
    """A black frame of an entry would accuse every video with a black frame."""
    flat, rich_enough = one(Kind.PDQ, bytes(32), 49), one(Kind.PDQ, bytes(32), 50)
    snapshot = Snapshot().with_bank(1, 1, bank({Kind.PDQ: 31}))
    for entry, query, count in (
        (flat, rich_enough, 0),
        (rich_enough, flat, 0),
        (rich_enough, rich_enough, 1),
    ):
        assert len(snapshot.with_entry(2, 1, 1, [entry]).search(query)) == count
    assert usable(one(Kind.SHA256, bytes(32), 0)).all()


def test_flat_frames_match_where_an_upload_has_no_others() -> None:
    """A card that is listed would pass; or a logo that a film begins with would hold all others."""
    card, noise = one(Kind.PDQ, bytes(32), 30), one(Kind.PDQ, bytes(32), 24)
    richer, rich_enough = one(Kind.PDQ, bytes(32), 60), one(Kind.PDQ, bytes(32), 75)
    snapshot = Snapshot().with_bank(1, 1, bank({Kind.PDQ: 31}))
    for entry, query, count in (
        ([card], [card], 1),
        ([card], [richer], 1),
        ([rich_enough], [card], 1),
        ([richer], [richer], 0),  # As `search` finds them.
        ([noise], [card], 1),  # What is soft in an entry is steady with an encoder's steps.
        ([card], [noise], 0),
        ([card], [card, rich_enough], 0),
    ):
        filled = snapshot.with_entry(2, 1, 1, Signals.concatenate(entry))
        (media,) = Signals.concatenate(query)
        assert len(filled.search_flat(media)) == count
        assert len(filled.without_entry(3, 1, 1).search_flat(media)) == 0


def read_twice(digest: bytes, firm: int, pts_ms: int = 0, quality: int = 10) -> list[Signals]:
    """A hash that is not steady, and its readings: so many of its first bits are firm."""
    loose = np.packbits(np.arange(256) >= firm)
    other = (np.frombuffer(digest, np.uint8) ^ loose).tobytes()
    return [
        replace(one(Kind.PDQ, each, graded), pts_ms=np.array([pts_ms], np.int64))
        for each, graded in ((digest, quality), (digest, 24), (other, 23))
    ]


def bits(*ranges: tuple[int, int]) -> bytes:
    """A digest in which these bits are set."""
    flags = np.zeros(256, np.bool_)
    for first, end in ranges:
        flags[first:end] = True
    return np.packbits(flags).tobytes()


def test_a_frame_that_cannot_be_told_from_the_list_is_counted() -> None:
    """A listed wall would pass; or each wall be held for ever."""
    snapshot = Snapshot().with_bank(1, 1, bank({Kind.PDQ: 31}))
    for listed, firm, count in (
        (bits(), 40, 1),
        (bits((40, 256)), 40, 1),  # Only bits that say nothing differ.
        (bits((0, 12)), 40, 1),
        (bits((0, 13)), 40, 0),
        (bits((0, 36)), 160, 1),
        (bits((0, 37)), 160, 0),
    ):
        (media,) = Signals.concatenate(read_twice(bits(), firm))
        for quality in (10, 30, 80):  # However rich the entry is.
            entry = one(Kind.PDQ, listed, quality)
            filled = snapshot.with_entry(2, 1, 1, [entry])
            assert filled.obscure(media) == count
            assert filled.without_entry(3, 1, 1).obscure(media) == 0
            shadow = replace(bank({Kind.PDQ: 31}), state=BankState.ARCHIVED)
            assert filled.with_bank(3, 1, shadow).obscure(media) == 0
            assert filled.with_bank(3, 1, bank({Kind.PHASH: 5})).obscure(media) == 0


def test_who_has_a_frame_that_can_be_told_is_not_held() -> None:
    """A film would be held for the wall that it begins with; or pass because of a frame that was
    read twice itself.
    """
    snapshot = Snapshot().with_bank(1, 1, bank({Kind.PDQ: 31}))
    snapshot = snapshot.with_entry(2, 1, 1, [one(Kind.PDQ, bits())])
    wall, later = read_twice(bits(), 60), read_twice(bits(), 60, pts_ms=1000)
    for more, count in (
        ([], 1),
        (later, 2),
        (read_twice(bits((0, 30)), 60, pts_ms=1000), 1),
        ([one(Kind.PDQ, bits((0, 99)), 60)], 1),  # Of a frame that was read twice.
        ([replace(one(Kind.PDQ, bits((0, 99)), 30), pts_ms=np.array([500]))], 0),
        ([one(Kind.PDQ, bits((0, 99)), 75)], 0),
    ):
        (media,) = Signals.concatenate([*wall, *more])
        assert snapshot.obscure(media) == count
    assert snapshot.obscure(one(Kind.PHASH, bytes(8))) == 0


def test_readings_that_do_not_belong_together_are_no_proof(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half of a pair would say that all bits are firm, and a list that nobody went through that
    nothing is near.
    """
    snapshot = Snapshot().with_bank(1, 1, bank({Kind.PDQ: 31}))
    snapshot = snapshot.with_entry(2, 1, 1, [one(Kind.PDQ, bits((0, 99)))])
    (whole,) = Signals.concatenate(read_twice(bits(), 60))
    assert snapshot.obscure(whole) == 0
    assert snapshot.obscure(whole.select(np.array([0, 1]))) == 1
    monkeypatch.setattr(live, "_MOST_COMPARED", 0)
    assert snapshot.obscure(whole) == 1


def test_a_file_without_flat_hashes_is_given_them() -> None:
    """After an upgrade a listed card would pass, until somebody lists it again."""
    entries = [one(Kind.PDQ, bytes(32), 30), one(Kind.PDQ, bytes(32), 80)]
    added = Snapshot().with_bank(1, 1, bank({Kind.PDQ: 31}))
    for seq, each in enumerate(entries, 1):
        added = added.with_entry(seq, seq, 1, [each])
    parts = [
        EntrySignals(
            Kind.PDQ, each.digests, each.quality, each.pts_ms, np.array([seq]), np.ones(1, int)
        )
        for seq, each in enumerate(entries, 1)
    ]
    older = replace(added, flat=Table(), lacks_flat=True).with_flat(parts)
    assert not older.lacks_flat
    assert rows(older.search_flat(entries[0])) == rows(added.search_flat(entries[0]))
    assert older.kinds_to_search == {Kind.PDQ}


def test_many_small_entries_end_in_few_segments() -> None:
    """Following a blocklist of single hashes would take time that grows with its square."""
    snapshot = Snapshot().with_bank(1, 1, bank({Kind.MD5: 0}))
    for seq in range(1, 400):
        digest = seq.to_bytes(16, "big")
        snapshot = snapshot.with_entry(seq + 1, seq, 1, [one(Kind.MD5, digest)])
    assert len(snapshot.tables[Kind.MD5].segments) == 1
    for seq in (1, 57, 399):
        (row,) = rows(snapshot.search(one(Kind.MD5, seq.to_bytes(16, "big"))))
        assert row[3] == seq


def test_searches_during_changes_and_compactions_see_their_revision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A search would miss an entry, or accuse by a withdrawn one, for as long as others change."""
    monkeypatch.setattr(live, "_NEW_ROWS", 100)
    monkeypatch.setattr(bands, "_LOOKUP_COST", 1)
    digests = many(2000, seed=0)[0].digests
    snapshot = Snapshot().with_bank(0, 1, bank({Kind.PDQ: 31}))
    changing, ended, compactions = threading.Lock(), threading.Event(), 0

    # Entry n comes at revision 2 n; every third goes five revisions later.
    def change() -> None:
        nonlocal snapshot
        try:
            for seq in range(1, len(digests)):
                with changing:
                    new = one(Kind.PDQ, digests[seq].tobytes())
                    snapshot = snapshot.with_entry(2 * seq, seq, 1, [new])
                    if seq > 3 and (seq - 2) % 3 == 0:
                        snapshot = snapshot.without_entry(2 * seq + 1, seq - 2, 1)
                while compactions < seq // 200:  # More are due by then.
                    time.sleep(0.001)
        finally:
            ended.set()

    def compact() -> None:
        nonlocal snapshot, compactions
        while not ended.is_set():
            with changing:
                begun = snapshot.begin_compaction()
                if begun is not None:
                    snapshot = begun[0]
            if begun is not None:
                done = begun[1].run()
                with changing:
                    snapshot = snapshot.end_compaction(done)
                compactions += 1
            time.sleep(0.001)

    threads = [threading.Thread(target=work) for work in (change, compact)]
    for thread in threads:
        thread.start()
    rng, searches = np.random.default_rng(1), 0
    while not ended.is_set():
        taken = snapshot
        newest = taken.revision // 2
        asked = np.union1d(rng.integers(1, len(digests), 40), [max(1, newest), max(1, newest - 2)])
        expected = [
            seq
            for seq in asked
            if 2 * seq <= taken.revision and (seq % 3 or taken.revision < 2 * seq + 5)
        ]
        found = taken.search(frames(digests[asked]))
        assert sorted(found.entry) == expected
        searches += 1
    for thread in threads:
        thread.join()
    assert searches > 20


def test_joined_matches_keep_their_columns() -> None:
    """Evidence would name an entry that another frame had matched."""
    snapshot = Snapshot().with_bank(1, 1, bank({Kind.PDQ: 31}))
    for seq in (1, 2):
        snapshot = snapshot.with_entry(seq + 1, seq, 1, [some_signals(Kind.PDQ, 4, seq)])
    parts = [snapshot.search(some_signals(Kind.PDQ, 4, seed)) for seed in (3, 4, 5)]
    joined = Matches.concatenate(parts)
    assert rows(joined) == sorted(row for part in parts for row in rows(part))
    assert joined.kind is Kind.PDQ
    assert len(joined) > 0


def compacted(snapshot: Snapshot) -> Snapshot:
    """With all that is due done."""
    while (begun := snapshot.begin_compaction()) is not None:
        snapshot, work = begun
        snapshot = snapshot.end_compaction(work.run())
    return snapshot


def many(entries: int, seed: int, first: int = 1) -> list[EntrySignals]:
    """Entries of a hash each, no two alike."""
    digests = np.random.default_rng(seed).integers(0, 256, (entries, 32), np.uint8)
    seqs = np.arange(first, first + entries)
    quality = np.full(entries, 100, np.uint8)
    return [EntrySignals(Kind.PDQ, digests, quality, seqs * 7, seqs, np.ones(entries, np.int64))]


def frames(digests: npt.NDArray[np.uint8]) -> Signals:
    """Of a video, one a second."""
    count = len(digests)
    quality, view = np.full(count, 100, np.uint8), np.full(count, view_code(Part.FULL), np.uint8)
    return Signals(Kind.PDQ, digests, quality, 1000 * np.arange(count), view)


def segments(snapshot: Snapshot) -> list[tuple[int, bool]]:
    """Their sizes, and whether they have tables."""
    return [(len(each), each.bands is not None) for each in snapshot.tables[Kind.PDQ].segments]


def test_a_blocklist_ends_in_few_segments() -> None:
    """A search would go through one after the other, or a compaction would copy all each time."""
    snapshot = compacted(Snapshot().with_bank(1, 1, bank({Kind.PDQ: 31})))
    copied = 0
    for step in range(60):
        parts = many(2000, step, 1 + 2000 * step)
        snapshot = snapshot.with_entries(step + 2, 1, 2000).with_signals(parts)
        begun = snapshot.begin_compaction()
        if begun is not None:
            copied += sum(map(len, begun[1].segments))
            snapshot = compacted(snapshot)
        last = segments(snapshot)
        assert sum(with_bands for _, with_bands in last) <= 3
        assert sum(size for size, with_bands in last if not with_bands) <= 8192
        assert sum(size for size, _ in last) == 2000 * (step + 1)
    assert copied <= 10 * 120_000
    for step in (0, 31, 59):
        part = many(2000, step)[0]
        times, views = np.zeros(2000, np.int64), np.full(2000, view_code(Part.FULL), np.uint8)
        query = Signals(Kind.PDQ, part.digests, part.quality, times, views)
        found = snapshot.search(query)
        assert found.entry.tolist() == list(range(1 + 2000 * step, 2001 + 2000 * step))
        assert found.entry_pts_ms.tolist() == [7 * seq for seq in found.entry]


def test_what_is_withdrawn_takes_no_room_for_ever() -> None:
    """A blocklist that changes much would end in nothing but withdrawn entries."""
    snapshot = Snapshot().with_bank(1, 1, bank({Kind.PDQ: 31})).with_entries(2, 1, 20_000)
    snapshot = compacted(snapshot.with_signals(many(20_000, 0)))
    for seq in range(1, 8194):
        snapshot = snapshot.without_entry(seq + 2, seq, 1)
        if seq == 8192:
            assert snapshot.begin_compaction() is None
    small = compacted(snapshot)
    assert segments(small) == [(20_000 - 8193, True)]
    assert small.tables[Kind.PDQ].withdrawn_rows == len(small.tables[Kind.PDQ].withdrawn) == 0
    assert small.active_entries == snapshot.active_entries == 20_000 - 8193
    for seq in range(8194, 20_001):
        small = small.without_entry(seq, seq, 1)
    assert segments(compacted(small)) == []
    assert compacted(small).kinds_to_search == frozenset()


def test_two_compactions_at_once_are_refused() -> None:
    """Rows of one would be lost, or be there twice."""
    snapshot = Snapshot().with_bank(1, 1, bank({Kind.PDQ: 31})).with_entries(2, 1, 20_000)
    begun = snapshot.with_signals(many(20_000, 0)).begin_compaction()
    assert begun is not None
    done = begun[0].end_compaction(begun[1].run())
    with pytest.raises(ValueError, match="another compaction took its segments"):
        done.end_compaction(begun[1].run())


def test_a_digest_takes_no_more_than_128_bytes() -> None:
    """Ten million would not fit beside all else that a server holds."""
    snapshot = Snapshot().with_bank(1, 1, bank({Kind.PDQ: 31})).with_entries(2, 1, 1_000_000)
    snapshot = compacted(snapshot.with_signals(many(1_000_000, 0)))
    assert snapshot.nbytes <= 128 * 1_000_000
