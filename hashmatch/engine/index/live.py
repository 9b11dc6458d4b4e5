"""The blocklist's hashes in memory, as immutable snapshots that follow each other.

A search takes one snapshot and keeps it: what it finds belongs to one revision, however many
changes come meanwhile. A change makes the next snapshot out of the present one, sharing all that
it does not touch, in about a millisecond: new rows are searched one by one, and entries that were
withdrawn are left out of what is found. When there are many of either, a compaction makes them
part of what is quick to search; nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hashmatch.engine.index.segment import MAX_ROWS, Rows, Segment
from hashmatch.model.records import Bank
from hashmatch.model.signals import EntrySignals, Signals
from hashmatch.model.verdicts import BankState, Kind

__all__ = [
    "FLAT_UPLOAD",
    "READING_QUALITIES",
    "STEADY_QUALITY",
    "Compacted",
    "Compaction",
    "Matches",
    "Snapshot",
    "Table",
    "matchable",
    "usable",
]

# Perceptual hashes below this quality (0 to 100) are too flat to match by, on both sides.
# Source: recommended by PDQ's reference implementation (ThreatExchange, pdq/README.md) and vPDQ.
MIN_QUALITY: Final = 50

# New rows are searched one by one up to about so many; beyond, they are due for compaction. So are
# withdrawn ones, if they are a part of all that large.
_NEW_ROWS: Final = 8192
_WITHDRAWN_PART: Final = 4

# A compacted segment swallows older ones up to this many times its size, so that there are never
# more than a few, and a row is copied a few times only.
_GROWTH: Final = 16

_NONE: Final = np.empty(0, np.int64)

_COLUMNS: Final = ("digests", "quality", "pts_ms", "entry", "bank")

# PDQ hashes of flat frames, from this quality on, come out alike when the frame is encoded anew:
# see `engine.hashing.steady`, whose number it is.
STEADY_QUALITY: Final = 25

# Uploads none of whose frames has this quality are searched among flat hashes too. Encoding anew
# moves a quality: an entry's that is flat may be somewhat more in an upload.
FLAT_UPLOAD: Final = 75

# And within so many bits more than the threshold. Of 84 flat pictures, JPEG of quality 30, H.264 of
# crf 35 and 2 % cut off moved steady hashes by up to 36 bits; unrelated cards, skies and dim
# photographs were not nearer than 72, slides of other layouts than 42. Simple shapes in the middle
# of a plain ground are, down to 26: what is found so is looked at by a person.
_FLAT_BEYOND: Final = 9

# Qualities of the two readings of each hash of a flat frame: as it is, and with all bits the other
# way round that are not firm. See `engine.hashing.steady`, whose numbers these are.
READING_QUALITIES: Final = (24, 23)

# A copy of a listed picture differs from it in so many firm bits at most, and a fifth of them more:
# of 554 flat pictures, encoded anew, scaled and cut, in up to 16 of 71 and 32 of 146. Unrelated
# ones differ in 29 of 100 and more.
_MOST_FIRM: Final = 4
_FIRM_PART: Final = 5

# Comparisons that are made for such an upload: five seconds of a core. Of a larger one nobody knows
# whether it is near, and so it counts as if it were.
_MOST_COMPARED: Final = 4_000_000_000


def usable(signals: Signals | EntrySignals) -> npt.NDArray[np.bool_]:
    """Which hashes are rich enough to match by: bool ``[n]``."""
    if signals.kind.exact:
        return np.ones(len(signals.quality), np.bool_)
    rich: npt.NDArray[np.bool_] = signals.quality >= MIN_QUALITY
    return rich


def matchable(signals: Signals | EntrySignals) -> npt.NDArray[np.bool_]:
    """Likewise, with those of flat frames that match where an upload has no others."""
    return usable(signals) | _steady(signals)


def _flat(signals: EntrySignals) -> npt.NDArray[np.bool_]:
    """Of entries all count, steady or not: encoded anew, a soft sky has steps, and is steady."""
    return ~usable(signals) & (signals.kind is Kind.PDQ)


def _steady(signals: Signals | EntrySignals) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (signals.quality >= STEADY_QUALITY) & ~usable(signals)
    return found & (signals.kind is Kind.PDQ)


def _are_readings(hashes: Signals, others: Signals) -> bool:
    """True if each is the other reading of the one beside it."""
    return np.array_equal(hashes.pts_ms, others.pts_ms) and np.array_equal(hashes.view, others.view)


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of a media's hash and an entry's hash within the entry's bank's threshold.

    Columns of equal length: ``media_pts_ms``, ``entry_pts_ms`` int64; ``media_view`` uint8;
    ``entry``, ``bank`` int64 (sequence numbers of the store); ``distance`` int64; ``media_row``
    int64 tells the media's hashes of one time apart.
    """

    kind: Kind
    media_pts_ms: npt.NDArray[np.int64]
    media_view: npt.NDArray[np.uint8]
    entry: npt.NDArray[np.int64]
    bank: npt.NDArray[np.int64]
    entry_pts_ms: npt.NDArray[np.int64]
    distance: npt.NDArray[np.int64]
    media_row: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.entry)

    def select(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Matches:
        """Only the pairs at ``rows`` (a mask or indices)."""
        names = [field.name for field in fields(self) if field.name != "kind"]
        return Matches(self.kind, *(getattr(self, name)[rows] for name in names))

    @classmethod
    def concatenate(cls, parts: Sequence[Matches]) -> Matches:
        """Joins matches of one kind; there is at least one part."""
        names = [field.name for field in fields(cls) if field.name != "kind"]
        return cls(
            parts[0].kind,
            *(np.concatenate([getattr(part, name) for part in parts]) for name in names),
        )


class Compaction(NamedTuple):
    """Work that makes a snapshot quicker to search: these segments of a kind (None: of flat hashes)
    become one, without the entries that were withdrawn by then.
    """

    kind: Kind | None
    segments: tuple[Segment, ...]
    withdrawn: npt.NDArray[np.int64]

    def run(self) -> Compacted:
        """Takes a second for two million rows; releases the GIL for most of it."""
        rows = Rows.concatenate([segment.rows(self.withdrawn) for segment in self.segments])
        # What was searched one by one till now gets tables, even if few are left.
        return Compacted(self, Segment.of(rows).with_bands() if len(rows) else None)


class Compacted(NamedTuple):
    """What became of a `Compaction`; no segment if all was withdrawn."""

    work: Compaction
    segment: Segment | None


@dataclass(frozen=True, slots=True)
class Table:
    """Hashes of one kind.

    ``segments``: those with bands first. ``withdrawn``: entries that still have rows here, int64,
    rising. ``usage``: entries that can match, by bank.
    """

    segments: tuple[Segment, ...] = ()
    withdrawn: npt.NDArray[np.int64] = field(default_factory=lambda: _NONE)
    withdrawn_rows: int = 0
    usage: Mapping[int, int] = field(default_factory=dict)

    def with_rows(self, rows: Rows) -> Table:
        """Those of an entry lie side by side, and there are no others of it."""
        usage = dict(self.usage)
        first = np.flatnonzero(np.diff(rows.entry, prepend=-1))  # Of each entry.
        for bank, count in zip(*np.unique(rows.bank[first], return_counts=True), strict=True):
            usage[int(bank)] = usage.get(int(bank), 0) + int(count)
        return replace(self, segments=_append(self.segments, rows), usage=usage)

    def without_entry(self, seq: int, bank: int) -> Table:
        """Once for each that has rows here."""
        count = int(sum(segment.counts(np.array([seq]))[0] for segment in self.segments))
        if not count:
            return self
        return replace(
            self,
            withdrawn=np.insert(self.withdrawn, np.searchsorted(self.withdrawn, seq), seq),
            withdrawn_rows=self.withdrawn_rows + count,
            usage={**self.usage, bank: self.usage.get(bank, 0) - 1},
        )

    def without_entries(self, seqs: npt.NDArray[np.int64], bank: int) -> Table:
        """Once for each of a bank that has rows here; ``seqs`` rise."""
        counts = np.zeros(len(seqs), np.int64)
        for segment in self.segments:
            counts += segment.counts(seqs)
        here = counts > 0
        if not here.any():
            return self
        return replace(
            self,
            withdrawn=np.union1d(self.withdrawn, seqs[here]),
            withdrawn_rows=self.withdrawn_rows + int(counts.sum()),
            usage={**self.usage, bank: self.usage.get(bank, 0) - int(here.sum())},
        )

    def rows_of(self, seq: int) -> Rows:
        """All rows of an entry that has some and was not withdrawn."""
        found = [segment.rows_of(seq) for segment in self.segments]
        return Rows.concatenate(found)

    def to_compact(self) -> slice:
        """Segments that are due; an empty slice if nothing is."""
        sizes = list(map(len, self.segments))
        if _WITHDRAWN_PART * self.withdrawn_rows > max(_WITHDRAWN_PART * _NEW_ROWS, sum(sizes)):
            first = 0
        else:
            first = sum(segment.bands is not None for segment in self.segments)
            if sum(sizes[first:]) <= _NEW_ROWS:
                return slice(0)
            size = sum(sizes[first:])
            while first and sizes[first - 1] <= min(_GROWTH * size, MAX_ROWS - size):
                first -= 1
                size += sizes[first]
        last = first + 1
        while last < len(sizes) and sum(sizes[first : last + 1]) <= MAX_ROWS:
            last += 1
        return slice(first, last)

    def compacted(self, work: Compaction, segment: Segment | None) -> Table:
        """With one segment in place of those that were compacted; what came since stays."""
        ids = set(map(id, work.segments))
        others = [each for each in self.segments if id(each) not in ids]
        if len(self.segments) - len(others) != len(ids):
            raise ValueError("another compaction took its segments")
        made = () if segment is None else (segment,)
        with_bands = [each for each in others if each.bands is not None]
        without = [each for each in others if each.bands is None]
        segments = (*with_bands, *made, *without)
        rows = sum(
            (each.counts(self.withdrawn) for each in segments), np.zeros_like(self.withdrawn)
        )
        return replace(
            self,
            segments=segments,
            withdrawn=self.withdrawn[rows > 0],
            withdrawn_rows=int(rows.sum()),
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The blocklist at one revision."""

    revision: int = 0
    banks: Mapping[int, Bank] = field(default_factory=dict)
    # Active entries of each bank, by its sequence number.
    entries: Mapping[int, int] = field(default_factory=dict)
    tables: Mapping[Kind, Table] = field(default_factory=dict)  # What can be searched.
    flat: Table = field(default_factory=Table, compare=False)  # PDQ of flat frames: `search_flat`.
    # From a file of before there were flat ones: `with_flat` is to follow.
    lacks_flat: bool = False
    # Entries that match far more than others of their bank, whatever became of them since.
    quarantined: frozenset[int] = frozenset()

    @property
    def active_entries(self) -> int:
        """Entries that an upload may be held back for: active ones of banks that act."""
        return sum(self.entries.get(seq, 0) for seq, bank in self.banks.items() if bank.acts)

    @property
    def kinds_to_compute(self) -> frozenset[Kind]:
        """Kinds that some active bank uses."""
        return frozenset(kind for bank in self._active_banks().values() for kind in bank.thresholds)

    @property
    def kinds_to_search(self) -> frozenset[Kind]:
        """Kinds by which some entry of some bank that acts can match."""
        acting = {seq: bank for seq, bank in self.banks.items() if bank.acts}
        return frozenset(
            kind
            for kind, table in (*self.tables.items(), (Kind.PDQ, self.flat))
            for seq, entries in table.usage.items()
            if entries and seq in acting and kind in acting[seq].thresholds
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all hashes, what is known of each, and the tables to find them by."""
        tables = (*self.tables.values(), self.flat)
        return sum(segment.nbytes for table in tables for segment in table.segments)

    def _active_banks(self) -> dict[int, Bank]:
        return {seq: bank for seq, bank in self.banks.items() if bank.state is BankState.ACTIVE}

    def with_bank(self, revision: int, seq: int, bank: Bank) -> Snapshot:
        """With a bank added or changed."""
        return replace(self, revision=revision, banks={**self.banks, seq: bank})

    def with_quarantine(self, revision: int, quarantined: frozenset[int]) -> Snapshot:
        """With these entries quarantined, and no others."""
        return replace(self, revision=revision, quarantined=quarantined)

    def with_entry(
        self, revision: int, seq: int, bank: int, signals: Sequence[Signals]
    ) -> Snapshot:
        """With an entry added."""
        parts = [
            EntrySignals(
                each.kind,
                each.digests,
                each.quality,
                each.pts_ms,
                np.full(len(each), seq, np.int64),
                np.full(len(each), bank, np.int64),
            )
            for each in signals
        ]
        return self.with_entries(revision, bank, 1).with_signals(parts)

    def with_entries(self, revision: int, bank: int, entries: int) -> Snapshot:
        """With so many entries of a bank added, whose hashes follow by `with_signals`."""
        counts = {**self.entries, bank: self.entries.get(bank, 0) + entries}
        return replace(self, revision=revision, entries=counts)

    def with_signals(self, parts: Iterable[EntrySignals]) -> Snapshot:
        """With the hashes of entries that were added."""
        by_kind: dict[Kind, list[Rows]] = {}
        of_flat: list[Rows] = []
        for part in parts:
            by_kind.setdefault(part.kind, []).append(_rows(part, usable(part)))
            if (flat := _flat(part)).any():
                of_flat.append(_rows(part, flat))
        tables = dict(self.tables)
        for kind, some in by_kind.items():
            rows = Rows.concatenate(some)
            if len(rows):
                tables[kind] = tables.get(kind, Table()).with_rows(rows)
        table = self.flat.with_rows(Rows.concatenate(of_flat)) if of_flat else self.flat
        return replace(self, tables=tables, flat=table)

    def with_flat(self, parts: Iterable[EntrySignals]) -> Snapshot:
        """With the flat ones among all hashes of its entries, of which it has the others."""
        only = Snapshot().with_signals(
            EntrySignals(
                part.kind,
                *(getattr(part, name)[_flat(part)] for name in _COLUMNS),
            )
            for part in parts
        )
        return replace(self, flat=only.flat, lacks_flat=False)

    def without_entry(self, revision: int, seq: int, bank: int) -> Snapshot:
        """With an entry withdrawn; once for each that was added."""
        tables = {kind: table.without_entry(seq, bank) for kind, table in self.tables.items()}
        entries = {**self.entries, bank: self.entries.get(bank, 0) - 1}
        flat = self.flat.without_entry(seq, bank)
        return replace(self, revision=revision, entries=entries, tables=tables, flat=flat)

    def without_entries(self, revision: int, seqs: npt.NDArray[np.int64], bank: int) -> Snapshot:
        """With many entries of a bank withdrawn; ``seqs`` int64, rising."""
        tables = {kind: table.without_entries(seqs, bank) for kind, table in self.tables.items()}
        entries = {**self.entries, bank: self.entries.get(bank, 0) - len(seqs)}
        flat = self.flat.without_entries(seqs, bank)
        return replace(self, revision=revision, entries=entries, tables=tables, flat=flat)

    def search(self, signals: Signals) -> Matches:
        """Every pair within the threshold of the entry's bank. Releases the GIL while it looks."""
        table = self.tables.get(signals.kind, Table())
        return self._within(table, signals.select(usable(signals)))

    def search_flat(self, signals: Signals) -> Matches:
        """What `search` leaves out of an upload that has flat frames alone: pairs of PDQ hashes of
        which one is of a flat frame. None of any other upload, as a card or a logo on black that is
        in many films says nothing of the rest of them. ``signals`` are all that it has.
        """
        if signals.kind is not Kind.PDQ or (signals.quality >= FLAT_UPLOAD).any():
            return self._within(Table(), signals)
        table, steady = self.tables.get(Kind.PDQ, Table()), signals.select(_steady(signals))
        flat = self._within(self.flat, signals.select(matchable(signals)), _FLAT_BEYOND)
        return Matches.concatenate([flat, self._within(table, steady, _FLAT_BEYOND)])

    def obscure(self, signals: Signals) -> int:
        """How many frames of an upload that has flat ones alone could be of an entry of a bank that
        acts, as far as their firm bits say. 0 for any other upload, also if some frame is told from
        others by a hash and has no readings. ``signals`` are all PDQ hashes that it has. Releases
        the GIL while it looks.
        """
        hashes, others = (
            signals.select(signals.quality == quality) for quality in READING_QUALITIES
        )
        told = signals.pts_ms[matchable(signals)]
        if signals.kind is not Kind.PDQ or not len(hashes):
            return 0
        if (signals.quality >= FLAT_UPLOAD).any() or len(np.setdiff1d(told, hashes.pts_ms)):
            return 0
        if not _are_readings(hashes, others):
            return len(np.unique(hashes.pts_ms))
        acting = {
            seq for seq, bank in self.banks.items() if bank.acts and Kind.PDQ in bank.thresholds
        }
        digests, which = np.unique(
            np.hstack([hashes.digests, others.digests]), axis=0, return_inverse=True
        )
        queries, firm = digests[:, : Kind.PDQ.width], ~np.bitwise_xor(*np.hsplit(digests, 2))
        most = _MOST_FIRM + np.bitwise_count(firm).sum(1, dtype=np.int64) // _FIRM_PART
        tables = [self.flat, self.tables.get(Kind.PDQ, Table())]
        rows = sum(len(segment) for table in tables for segment in table.segments)
        if rows * len(queries) > _MOST_COMPARED:
            return len(np.unique(hashes.pts_ms))
        near = np.zeros(len(queries), np.bool_)
        for table in tables:
            for segment in table.segments:
                near |= segment.comes_near_firmly(queries, firm, most, acting, table.withdrawn)
        return len(np.unique(hashes.pts_ms[near[which]]))

    def _within(self, table: Table, queries: Signals, beyond: int = 0) -> Matches:
        kind = queries.kind
        thresholds = {
            seq: min(bank.thresholds[kind] + beyond, kind.largest_threshold)
            for seq, bank in self._active_banks().items()
            if kind in bank.thresholds
        }
        found = [
            segment.within(queries.digests[:, : kind.hash_width], thresholds, table.withdrawn)
            for segment in table.segments
            if thresholds and len(queries)
        ]
        found.append((_NONE,) * 5)  # So that there is something to join.
        query, entry, bank, pts_ms, distance = map(np.concatenate, zip(*found, strict=True))
        return Matches(
            kind, queries.pts_ms[query], queries.view[query], entry, bank, pts_ms, distance, query
        )

    def comes_near(self, signals: Signals, beyond: int) -> bool:
        """True if some hash is within so many bits more than the threshold of a bank that acts."""
        kind = signals.kind
        thresholds = {
            seq: min(bank.thresholds[kind] + beyond, kind.largest_threshold)
            for seq, bank in self.banks.items()
            if bank.acts and kind in bank.thresholds
        }
        table = self.tables.get(kind, Table())
        queries = signals.select(usable(signals)).digests[:, : kind.hash_width]
        return bool(thresholds) and any(
            len(segment.within(queries, thresholds, table.withdrawn)[0])
            for segment in table.segments
        )

    def begin_compaction(self) -> tuple[Snapshot, Compaction] | None:
        """What is due, if anything, and the snapshot to go on from meanwhile: until
        `end_compaction` has been called on one that follows from it, there must be no other.
        """
        for kind, table in (*self.tables.items(), (None, self.flat)):
            due = table.to_compact()
            sealed = tuple(replace(each, sealed=True) for each in table.segments[due])
            if sealed:
                segments = (*table.segments[: due.start], *sealed, *table.segments[due.stop :])
                begun = self._with_table(kind, replace(table, segments=segments))
                return begun, Compaction(kind, sealed, table.withdrawn)
        return None

    def end_compaction(self, done: Compacted) -> Snapshot:
        """With what became of it; the blocklist is the same."""
        kind = done.work.kind
        before = self.flat if kind is None else self.tables[kind]
        return self._with_table(kind, before.compacted(done.work, done.segment))

    def _with_table(self, kind: Kind | None, table: Table) -> Snapshot:
        if kind is None:
            return replace(self, flat=table)
        return replace(self, tables={**self.tables, kind: table})


def _rows(part: EntrySignals, some: npt.NDArray[np.bool_]) -> Rows:
    return Rows(part.digests[some], part.entry[some], part.bank[some], part.pts_ms[some])


def _append(segments: tuple[Segment, ...], rows: Rows) -> tuple[Segment, ...]:
    """New rows, joined with the last ones while these are few."""
    if segments:
        last = segments[-1]
        if last.bands is None and not last.sealed and len(last) <= _NEW_ROWS:
            segments, rows = segments[:-1], Rows.concatenate([last.rows(_NONE), rows])
    parts = [rows[start : start + MAX_ROWS] for start in range(0, len(rows), MAX_ROWS)]
    return (*segments, *map(Segment.of, parts))
