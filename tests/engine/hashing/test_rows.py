"""Rows of products: to the bit what adding one term after the other gives."""

from __future__ import annotations

import numpy as np
import pytest
from numba import TypingError

from hashmatch.engine.hashing.rows import row_product
from hashmatch.engine.kernels import kernel

_SIZES = [(1, 16), (5, 32), (32, 16), (64, 64)]
_PRODUCTS = {size: row_product(*size) for size in _SIZES}


@pytest.mark.parametrize("size", _SIZES)
def test_sums_are_added_in_the_order_of_their_terms(size: tuple[int, int]) -> None:
    """Another order gives other bits, and another hash on another processor."""
    product = _PRODUCTS[size]

    @kernel
    def all_rows(left, matrix, out):  # type: ignore[no-untyped-def]
        for i in range(len(left)):
            product(left, matrix, out, i)

    rng = np.random.default_rng(sum(size))
    left = rng.normal(0, 1, (3, size[0])).astype(np.float32)
    matrix = rng.normal(0, 255, size).astype(np.float32)
    out = np.full((3, size[1]), np.nan, np.float32)
    all_rows(left, matrix, out)
    wanted = np.zeros_like(out)
    for term in range(size[0]):
        wanted += left[:, term, None] * matrix[term]
    assert np.array_equal(out, wanted)


def test_what_it_cannot_read_is_refused() -> None:
    """It reads memory as it lies, and would read something else."""
    with pytest.raises(ValueError, match="20 columns; a multiple of 16"):
        row_product(4, 20)
    product = _PRODUCTS[32, 16]

    @kernel
    def first_row(left, matrix, out):  # type: ignore[no-untyped-def]
        product(left, matrix, out, 0)

    left, out = np.zeros((1, 32), np.float32), np.zeros((1, 16), np.float32)
    matrix = np.zeros((16, 32), np.float32)
    with pytest.raises(TypingError):
        first_row(left, matrix.T, out)
    with pytest.raises(TypingError):
        first_row(left, matrix.T.astype(np.float64, order="C"), out)
