"""Digests as words, and what kernels count and fetch."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.engine.index.bits import popcount, prefetch, to_words


@given(st.integers(0, 5), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_words_hold_the_digest_and_zeros(n: int, width: int, seed: int) -> None:
    """Digests whose width is no multiple of eight would differ in bits that they do not have."""
    digests = np.random.default_rng(seed).integers(0, 256, (n, width), np.uint8)
    words = to_words(digests)
    assert words.dtype == np.uint64
    assert words.shape == (n, -(-width // 8))
    spread = words.view(np.uint8)
    assert np.array_equal(spread[:, :width], digests)
    assert not spread[:, width:].any()


def test_words_of_whole_digests_are_no_copy() -> None:
    """Ten million digests would be held twice."""
    digests = np.zeros((3, 32), np.uint8)
    assert np.shares_memory(to_words(digests), digests)
    # Rows of a larger array do not lie side by side.
    wide = np.random.default_rng(0).integers(0, 256, (3, 40), np.uint8)
    assert np.array_equal(to_words(wide[:, :32]).view(np.uint8), wide[:, :32])


@numba.njit
def count(values):  # type: ignore[no-untyped-def]
    """Bits of each."""
    counts = np.empty_like(values)
    for i in range(values.shape[0]):
        prefetch(values.reshape(1, -1), 0, i)  # Changes nothing.
        counts[i] = popcount(values[i])
    return counts


@pytest.mark.parametrize("dtype", [np.uint16, np.uint64])
def test_bits_are_counted_as_numpy_does(dtype: type) -> None:
    """All distances would be wrong."""
    most = np.iinfo(dtype).max
    values = np.random.default_rng(0).integers(0, most, 1000, dtype, endpoint=True)
    values[:3] = 0, 1, most
    before = values.copy()
    assert np.array_equal(count(values), np.bitwise_count(values))
    assert np.array_equal(values, before)
