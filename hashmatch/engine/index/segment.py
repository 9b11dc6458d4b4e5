"""Rows of one kind of the blocklist, side by side and never changed: what a search goes through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.index.bands import MAX_DIGESTS, Bands
from hashmatch.engine.index.bits import Hits, to_words
from hashmatch.engine.index.scan import comes_near_firmly, scan

__all__ = ["MAX_ROWS", "Rows", "Segment"]

MAX_ROWS: Final = MAX_DIGESTS

# Bytes of a digest that are compared: what follows says where it was taken, and is only kept.
_COMPARED: Final = 32

_Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Rows:
    """Hashes of one kind that can match, of any number of entries.

    Columns of equal length: ``digests`` uint8 ``[n, width]``; ``entry``, ``bank`` int64 (sequence
    numbers of the store); ``pts_ms`` int64.
    """

    digests: npt.NDArray[np.uint8]
    entry: npt.NDArray[np.int64]
    bank: npt.NDArray[np.int64]
    pts_ms: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Number of hashes."""
        return len(self.entry)

    def __getitem__(self, some: slice | npt.NDArray[Any]) -> Rows:
        """Some of them: a slice, a mask or indices."""
        return Rows(self.digests[some], self.entry[some], self.bank[some], self.pts_ms[some])

    @classmethod
    def concatenate(cls, parts: Sequence[Rows]) -> Rows:
        """Joins rows of one kind; there is at least one part."""
        return cls(
            np.concatenate([part.digests for part in parts]),
            np.concatenate([part.entry for part in parts]),
            np.concatenate([part.bank for part in parts]),
            np.concatenate([part.pts_ms for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows in the order of their entries, in as few bytes as hold them.

    ``digests`` uint8 ``[n, 32 at most]`` are what is compared; ``places`` uint8 ``[n, k]`` are the
    rest of each, often none. ``bands`` is there where they are many enough to be worth it. One that
    is ``sealed`` is about to be replaced by another that holds its rows.
    """

    digests: npt.NDArray[np.uint8]
    places: npt.NDArray[np.uint8]
    entry: _Integers
    bank: _Integers
    pts_ms: _Integers
    bands: Bands | None = None
    sealed: bool = False

    @classmethod
    def of(cls, rows: Rows) -> Segment:
        """Of rows in any order."""
        if (rows.entry[1:] < rows.entry[:-1]).any():
            rows = rows[np.argsort(rows.entry, kind="stable")]
        digests = np.ascontiguousarray(rows.digests[:, :_COMPARED])
        places = np.ascontiguousarray(rows.digests[:, _COMPARED:])
        return cls(digests, places, _narrow(rows.entry), _narrow(rows.bank), _narrow(rows.pts_ms))

    def __len__(self) -> int:
        """Number of hashes."""
        return len(self.entry)

    @property
    def nbytes(self) -> int:
        """Of all columns and tables."""
        digests = self.digests if self.bands is None else self.bands
        columns = digests, self.places, self.entry, self.bank, self.pts_ms
        return sum(column.nbytes for column in columns)

    def rows(self, without: npt.NDArray[np.int64]) -> Rows:
        """All rows but those of the entries ``without``, int64, rising."""
        return self._rows(~_among(self.entry, without) if len(without) else slice(None))

    def rows_of(self, entry: int) -> Rows:
        """All rows of one entry."""
        first, last = self._bounds(np.array([entry]))
        return self._rows(slice(int(first[0]), int(last[0])))

    def _rows(self, some: slice | npt.NDArray[np.bool_]) -> Rows:
        return Rows(
            np.hstack([self.digests[some], self.places[some]]),
            self.entry[some].astype(np.int64),
            self.bank[some].astype(np.int64),
            self.pts_ms[some].astype(np.int64),
        )

    def counts(self, entries: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Rows of each of these entries."""
        first, last = self._bounds(entries)
        return last - first

    def _bounds(
        self, entries: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where the rows of each of these entries begin and end."""
        most = np.iinfo(self.entry.dtype).max
        # Keys of another type than the column's would make a copy of the column.
        keys = np.minimum(entries, most).astype(self.entry.dtype)
        first, last = (np.searchsorted(self.entry, keys, side) for side in ("left", "right"))
        return first, np.where(entries <= most, last, first)

    def with_bands(self) -> Segment:
        """The same, quick to search. Takes a second for two million rows; releases the GIL."""
        if self.bands is not None:
            return self
        bands = Bands(self.digests)
        return replace(self, digests=bands.digests, bands=bands)

    def search(self, queries: npt.NDArray[np.uint8], radius: int) -> Hits:
        """Every pair at most ``radius`` bits apart. Releases the GIL."""
        if self.bands is not None:
            return self.bands.search(queries, radius)
        return scan(to_words(queries), to_words(self.digests), radius)

    def within(
        self,
        queries: npt.NDArray[np.uint8],
        thresholds: Mapping[int, int],
        withdrawn: npt.NDArray[np.int64],
    ) -> tuple[npt.NDArray[np.int64], ...]:
        """Every pair within the threshold of its bank, but those of entries ``withdrawn``.

        (query, entry, bank, pts_ms, distance), int64 each. ``thresholds`` by bank, at least one.
        """
        query, row, distance = self.search(queries, max(thresholds.values()))
        entry, bank = self.entry[row].astype(np.int64), self.bank[row].astype(np.int64)
        wanted = np.zeros(len(row), np.bool_)
        for seq, threshold in thresholds.items():
            wanted |= (bank == seq) & (distance <= threshold)
        wanted &= ~_among(entry, withdrawn)
        pts_ms = self.pts_ms[row[wanted]].astype(np.int64)
        return query[wanted], entry[wanted], bank[wanted], pts_ms, distance[wanted]

    def comes_near_firmly(
        self,
        queries: npt.NDArray[np.uint8],
        firm: npt.NDArray[np.uint8],
        most: npt.NDArray[np.int64],
        banks: Iterable[int],
        withdrawn: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.bool_]:
        """Which queries differ from a row of some banks, but those of entries ``withdrawn``, in at
        most ``most`` of their firm bits: bool ``[q]``. ``queries`` and ``firm`` uint8 ``[q, 32]``,
        ``most`` int64 ``[q]``. Compares all of them: see `Bands` for what is quicker.
        """
        wanted = np.isin(self.bank, list(banks)) & ~_among(self.entry, withdrawn)
        words = to_words(self.digests)
        return comes_near_firmly(to_words(queries), to_words(firm), most, words, wanted)


def _narrow(column: npt.NDArray[np.int64]) -> _Integers:
    """The same numbers in the smallest type that holds them."""
    low, high = int(column.min(initial=0)), int(column.max(initial=0))
    return column.astype(np.promote_types(np.min_scalar_type(low), np.min_scalar_type(high)))


def _among(
    values: _Integers | npt.NDArray[np.int64], rising: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Which values are in an array that rises."""
    if not len(rising):
        return np.zeros(len(values), np.bool_)
    place = np.minimum(np.searchsorted(rising, values), len(rising) - 1)
    found: npt.NDArray[np.bool_] = rising[place] == values
    return found
