"""Rows side by side: in the order of their entries, in as few bytes as hold them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.engine.index.segment import Rows, Segment

NONE = np.empty(0, np.int64)


def rows(entries: list[int], seed: int = 0, width: int = 32) -> Rows:
    """A row of each of these entries, in this order."""
    rng = np.random.default_rng(seed)
    count = len(entries)
    return Rows(
        rng.integers(0, 256, (count, width), np.uint8),
        np.array(entries, np.int64),
        np.array([entry % 3 for entry in entries], np.int64),
        rng.integers(-5, 10**6, count),
    )


def as_set(some: Rows) -> list[tuple[bytes, int, int, int]]:
    """Rows in an order of their own."""
    return sorted(
        zip(
            [digest.tobytes() for digest in some.digests],
            some.entry.tolist(),
            some.bank.tolist(),
            some.pts_ms.tolist(),
            strict=True,
        )
    )


@given(st.lists(st.integers(1, 30), max_size=60), st.sets(st.integers(0, 31)))
@settings(deadline=None)
def test_rows_are_kept_counted_and_left_out(entries: list[int], withdrawn: set[int]) -> None:
    """An entry would match by the hash of another, or be counted wrong when it is withdrawn."""
    given_rows = rows(entries)
    segment = Segment.of(given_rows)
    assert segment.entry.tolist() == sorted(entries)
    assert as_set(segment.rows(NONE)) == as_set(given_rows)
    asked = np.array([0, *range(1, 32), 2**40], np.int64)
    assert segment.counts(asked).tolist() == [entries.count(int(seq)) for seq in asked]
    rest = segment.rows(np.array(sorted(withdrawn), np.int64))
    kept = np.array([entry not in withdrawn for entry in entries], np.bool_)
    assert as_set(rest) == as_set(given_rows[kept])


@pytest.mark.parametrize("width", [8, 16, 20, 32])
def test_it_finds_the_same_with_tables(width: int) -> None:
    """A compaction would change what is found."""
    some = rows(list(range(1, 40_001)), width=width)
    segment = Segment.of(some)
    queries = some.digests[::4000]
    for radius in (0, 20, 31):
        one, other = segment.search(queries, radius), segment.with_bands().search(queries, radius)
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert segment.with_bands().with_bands().bands is not None


@pytest.mark.parametrize(
    ("largest", "dtype"),
    [(255, np.uint8), (256, np.uint16), (70_000, np.uint32), (2**33, np.uint64)],
)
def test_numbers_take_as_few_bytes_as_they_need(largest: int, dtype: type) -> None:
    """Ten million rows would take twice the memory."""
    segment = Segment.of(rows([1, largest]))
    assert segment.entry.dtype == dtype
    found = segment.within(segment.digests, {0: 31, 1: 31, 2: 31}, NONE)
    assert found[1].tolist() == [1, largest]
    assert all(column.dtype == np.int64 for column in found)


def test_thresholds_are_each_banks_own_and_the_withdrawn_are_left_out() -> None:
    """A strict bank would match as loosely as the loosest, or a withdrawn entry accuse."""
    some = rows([1, 2, 3, 4])
    some.digests[:] = 0
    some.digests[:, 0] = [0, 1, 3, 7]  # 0 to 3 bits from the query; banks 1, 2, 0, 1
    segment = Segment.of(some)
    query = np.zeros((1, 32), np.uint8)
    assert segment.within(query, {0: 1, 1: 31, 2: 1}, NONE)[1].tolist() == [1, 2, 4]
    assert segment.within(query, {1: 31}, np.array([1]))[1].tolist() == [4]
    assert segment.within(query, {2: 0}, NONE)[1].tolist() == []
