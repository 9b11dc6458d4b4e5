"""The blocklist's hashes in memory, as immutable snapshots that follow each other.

A search takes one snapshot and keeps it: what it finds belongs to one revision, however many
changes come meanwhile. A change makes the next snapshot out of the present one, sharing all that
it does not touch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.index.scan import scan, to_words
from hashmatch.model.records import Bank
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import BankState, Kind

__all__ = ["Matches", "Snapshot", "usable"]

# Perceptual hashes below this quality (0 to 100) are too flat to match by, on both sides.
# Source: recommended by PDQ's reference implementation (ThreatExchange, pdq/README.md) and vPDQ.
MIN_QUALITY: Final = 50

# A new segment swallows older ones up to this many times its size, so that there are never more
# than a few and a row is copied a few times only.
_GROWTH: Final = 2


def usable(signals: Signals) -> npt.NDArray[np.bool_]:
    """Which hashes are rich enough to match by: bool ``[n]``."""
    if signals.kind.exact:
        return np.ones(len(signals), np.bool_)
    rich: npt.NDArray[np.bool_] = signals.quality >= MIN_QUALITY
    return rich


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of a media's hash and an entry's hash within the entry's bank's threshold.

    Columns of equal length: ``media_pts_ms``, ``entry_pts_ms`` int64; ``media_view`` uint8;
    ``entry``, ``bank`` int64 (sequence numbers of the store); ``distance`` int64.
    """

    kind: Kind
    media_pts_ms: npt.NDArray[np.int64]
    media_view: npt.NDArray[np.uint8]
    entry: npt.NDArray[np.int64]
    bank: npt.NDArray[np.int64]
    entry_pts_ms: npt.NDArray[np.int64]
    distance: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.entry)

    @classmethod
    def concatenate(cls, parts: Sequence[Matches]) -> Matches:
        """Joins matches of one kind; there is at least one part."""
        names = [field.name for field in fields(cls) if field.name != "kind"]
        return cls(
            parts[0].kind,
            *(np.concatenate([getattr(part, name) for part in parts]) for name in names),
        )


@dataclass(frozen=True, slots=True)
class _Segment:
    """Rows of one kind. Columns of equal length; ``words`` uint64 ``[n, w]``."""

    words: npt.NDArray[np.uint64]
    entry: npt.NDArray[np.int64]
    bank: npt.NDArray[np.int64]
    pts_ms: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.entry)

    @property
    def nbytes(self) -> int:
        return self.words.nbytes + self.entry.nbytes + self.bank.nbytes + self.pts_ms.nbytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The blocklist at one revision."""

    revision: int = 0
    banks: Mapping[int, Bank] = field(default_factory=dict)
    # Active entries of each bank, by its sequence number.
    entries: Mapping[int, int] = field(default_factory=dict)
    # Those of them that have hashes of a kind, by bank and kind.
    _usage: Mapping[tuple[int, Kind], int] = field(default_factory=dict)
    _tables: Mapping[Kind, tuple[_Segment, ...]] = field(default_factory=dict)
    _withdrawn: frozenset[int] = frozenset()

    @property
    def active_entries(self) -> int:
        """Entries that can match: active ones of active banks."""
        return sum(self.entries.get(seq, 0) for seq, bank in self._active_banks().items())

    @property
    def kinds_to_compute(self) -> frozenset[Kind]:
        """Kinds that some active bank uses."""
        return frozenset(kind for bank in self._active_banks().values() for kind in bank.thresholds)

    @property
    def kinds_to_search(self) -> frozenset[Kind]:
        """Kinds by which some entry of some active bank can match."""
        active = self._active_banks()
        return frozenset(
            kind
            for (seq, kind), entries in self._usage.items()
            if entries and seq in active and kind in active[seq].thresholds
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all hashes and what is known of each."""
        return sum(segment.nbytes for segments in self._tables.values() for segment in segments)

    def _active_banks(self) -> dict[int, Bank]:
        return {seq: bank for seq, bank in self.banks.items() if bank.state is BankState.ACTIVE}

    def with_bank(self, revision: int, seq: int, bank: Bank) -> Snapshot:
        """With a bank added or changed."""
        return replace(self, revision=revision, banks={**self.banks, seq: bank})

    def with_entry(self, revision: int, seq: int, bank: int, signals: list[Signals]) -> Snapshot:
        """With an entry added."""
        tables, usage = dict(self._tables), dict(self._usage)
        for each in signals:
            rows = each.select(usable(each))
            segment = _Segment(
                to_words(rows.digests),
                np.full(len(rows), seq, np.int64),
                np.full(len(rows), bank, np.int64),
                rows.pts_ms,
            )
            if len(segment):
                tables[each.kind] = _append(tables.get(each.kind, ()), segment)
                usage[bank, each.kind] = usage.get((bank, each.kind), 0) + 1
        entries = {**self.entries, bank: self.entries.get(bank, 0) + 1}
        return replace(self, revision=revision, entries=entries, _usage=usage, _tables=tables)

    def without_entry(self, revision: int, seq: int, bank: int) -> Snapshot:
        """With an entry withdrawn."""
        if seq in self._withdrawn:
            return replace(self, revision=revision)
        usage = dict(self._usage)
        for kind, segments in self._tables.items():
            if any((segment.entry == seq).any() for segment in segments):
                usage[bank, kind] -= 1
        return replace(
            self,
            revision=revision,
            entries={**self.entries, bank: self.entries.get(bank, 0) - 1},
            _usage=usage,
            _withdrawn=self._withdrawn | {seq},
        )

    def search(self, signals: Signals) -> Matches:
        """Every pair within the threshold of the entry's bank. Releases the GIL while it looks."""
        active = self._active_banks()
        thresholds = {
            seq: bank.thresholds[signals.kind]
            for seq, bank in active.items()
            if signals.kind in bank.thresholds
        }
        queries = signals.select(usable(signals))
        found = [
            _search_segment(queries, segment, thresholds, self._withdrawn)
            for segment in self._tables.get(signals.kind, ())
            if thresholds
        ]
        found.append((np.empty(0, np.int64),) * 5)  # So that there is something to join.
        query, entry, bank, pts_ms, distance = map(np.concatenate, zip(*found, strict=True))
        return Matches(
            signals.kind, queries.pts_ms[query], queries.view[query], entry, bank, pts_ms, distance
        )


def _search_segment(
    queries: Signals,
    segment: _Segment,
    thresholds: Mapping[int, int],
    withdrawn: frozenset[int],
) -> tuple[npt.NDArray[np.int64], ...]:
    widest = max(thresholds.values())
    query, row, distance = scan(to_words(queries.digests), segment.words, widest)
    entry, bank = segment.entry[row], segment.bank[row]
    within = np.zeros(len(row), np.bool_)
    for seq, threshold in thresholds.items():
        within |= (bank == seq) & (distance <= threshold)
    if withdrawn:
        within &= ~np.isin(entry, list(withdrawn))
    return (
        query[within],
        entry[within],
        bank[within],
        segment.pts_ms[row[within]],
        distance[within],
    )


def _append(segments: tuple[_Segment, ...], new: _Segment) -> tuple[_Segment, ...]:
    kept = len(segments)
    size = len(new)
    while kept and len(segments[kept - 1]) <= _GROWTH * size:
        kept -= 1
        size += len(segments[kept])
    merged = (*segments[kept:], new)
    if len(merged) == 1:
        return (*segments, new)
    columns = (
        np.concatenate([getattr(segment, name) for segment in merged])
        for name in ("words", "entry", "bank", "pts_ms")
    )
    return (*segments[:kept], _Segment(*columns))
