"""The plain search, against distances counted by numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hashmatch.engine.index.bits import to_words
from hashmatch.engine.index.scan import scan, warm_up
from tests.support import lets_others_run

Digests = npt.NDArray[np.uint8]


def oracle(queries: Digests, digests: Digests, radius: int) -> list[tuple[int, int, int]]:
    """Every pair within the radius, by query, then digest."""
    found = []
    for q, query in enumerate(queries):
        for d, digest in enumerate(digests):
            distance = int(np.unpackbits(query ^ digest).sum())
            if distance <= radius:
                found.append((q, d, distance))
    return found


def pairs(queries: Digests, digests: Digests, radius: int) -> list[tuple[int, int, int]]:
    """The same by the search."""
    hits = scan(to_words(queries), to_words(digests), radius)
    return list(zip(*(column.tolist() for column in hits), strict=True))


def some_digests(n: int, width: int, spread: int, seed: int) -> Digests:
    """Digests about ``spread`` bits away from one that all share, some of them twice."""
    rng = np.random.default_rng(seed)
    flips = rng.random((n, width * 8)) < spread / (width * 8)
    digests = np.packbits(flips, axis=1) ^ np.arange(width, dtype=np.uint8)
    return digests[rng.integers(0, n, n)] if n else digests


@given(
    queries=st.integers(0, 6),
    digests=st.integers(0, 30),
    width=st.integers(1, 40),
    radius=st.integers(0, 63),
    spread=st.integers(0, 60),
    seed=st.integers(0, 2**32 - 1),
)
@example(queries=0, digests=0, width=32, radius=31, spread=0, seed=0)
@example(queries=1, digests=0, width=32, radius=63, spread=0, seed=0)
@example(queries=0, digests=1, width=8, radius=0, spread=0, seed=0)
@settings(max_examples=150, deadline=None)
def test_every_pair_within_the_radius_and_no_other(
    queries: int, digests: int, width: int, radius: int, spread: int, seed: int
) -> None:
    """A prohibited picture would pass, or an innocent one be accused."""
    wanted = some_digests(queries, width, spread, seed)
    known = some_digests(digests, width, spread, seed + 1)
    assert pairs(wanted, known, radius) == oracle(wanted, known, radius)


@pytest.mark.parametrize("queries", [4, 5, 80])
@pytest.mark.parametrize("digests", [1, 511, 512, 513, 2000])
@pytest.mark.parametrize("radius", [0, 20, 31, 130, 256])
def test_many_queries_at_once_find_the_same(queries: int, digests: int, radius: int) -> None:
    """A video's frames would find other entries than an image does."""
    known = some_digests(digests, 32, 40, seed=1)
    wanted = np.concatenate([known[-2:], some_digests(queries - len(known[-2:]), 32, 40, seed=2)])
    distances = np.bitwise_count(wanted[:, None] ^ known).sum(axis=2, dtype=np.int64)
    query, digest = np.nonzero(distances <= radius)
    found = scan(to_words(wanted), to_words(known), radius)
    np.testing.assert_array_equal(found, (query, digest, distances[query, digest]))


@pytest.mark.parametrize("width", [8, 16, 20, 32])
def test_the_radius_itself_is_within(width: int) -> None:
    """A bank's threshold would mean one bit less, or more, than it says."""
    zero = np.zeros((1, width), np.uint8)
    for flipped in range(min(64, width * 8)):
        bits = np.zeros(width * 8, np.uint8)
        bits[np.random.default_rng(flipped).permutation(width * 8)[:flipped]] = 1
        other = np.packbits(bits)[None]
        assert pairs(zero, other, flipped) == [(0, 0, flipped)]
        assert flipped == 0 or pairs(zero, other, flipped - 1) == []


def test_opposites_differ_in_every_bit() -> None:
    """The count of bits would overflow for digests that are far apart."""
    zero, ones = np.zeros((1, 32), np.uint8), np.full((1, 32), 255, np.uint8)
    assert pairs(zero, ones, 256) == [(0, 0, 256)]
    assert pairs(zero, ones, 255) == []


def test_more_pairs_than_were_expected_are_all_returned() -> None:
    """A flood of near-duplicates would push the entry that matters out of the result."""
    same = np.ones((70, 32), np.uint8)
    assert pairs(same, same, 0) == [(q, d, 0) for q in range(70) for d in range(70)]


def test_kinds_of_other_widths_are_never_compared() -> None:
    """Hashes of one kind would be searched among those of another."""
    with pytest.raises(ValueError, match="queries of 1 words, digests of 4"):
        scan(np.zeros((1, 1), np.uint64), np.zeros((1, 4), np.uint64), 0)


def test_other_threads_run_meanwhile() -> None:
    """One search in a large blocklist would hold up every other upload."""
    warm_up()
    words = to_words(np.random.default_rng(0).integers(0, 256, (40_000, 32), np.uint8))
    assert lets_others_run(lambda: scan(words[:300], words, 0), "_scan(queries")


def test_a_call_that_keeps_others_waiting_shows() -> None:
    """The test before this one would pass whatever a search does."""
    numbers = list(range(100_000))
    assert not lets_others_run(lambda: sorted(numbers, key=abs), "sorted(numbers", patience=0.5)
