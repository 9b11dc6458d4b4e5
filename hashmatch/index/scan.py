"""The plain search: every query with every digest. What any other index must agree with."""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["Hits", "scan", "to_words", "warm_up"]

_WORD_BYTES: Final = 8

# (query_index int64[k], digest_index int64[k], distance int64[k]), ordered by query, then digest.
Hits = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]


def to_words(digests: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Digests uint8 ``[n, width]`` as uint64 ``[n, ceil(width / 8)]``, filled up with zeros.

    Distances between digests of one width are those between their words.
    """
    count, width = digests.shape
    words = -(-width // _WORD_BYTES)
    padded = np.zeros((count, words * _WORD_BYTES), np.uint8)
    padded[:, :width] = digests
    return padded.view(np.uint64)


def scan(queries: npt.NDArray[np.uint64], digests: npt.NDArray[np.uint64], radius: int) -> Hits:
    """Every pair at most ``radius`` bits apart.

    ``queries`` uint64 ``[q, w]`` and ``digests`` uint64 ``[n, w]`` from `to_words`. Releases the
    GIL. Memory beyond the result: none.
    """
    if queries.shape[1] != digests.shape[1]:
        raise ValueError(f"queries of {queries.shape[1]} words, digests of {digests.shape[1]}")
    capacity = 1024
    while True:
        out = np.empty((3, capacity), np.int64)
        found = int(_scan(queries, digests, radius, out))
        if found <= capacity:
            return out[0, :found], out[1, :found], out[2, :found]
        capacity = found  # Too many to hold: now their number is known.


def warm_up() -> None:
    """Compiles the kernel, so that no upload waits for it: some seconds on a new machine."""
    one = np.zeros((1, 4), np.uint64)
    scan(one, one, 0)


@numba.njit(nogil=True, cache=True)
def _bit_count(x: Any) -> Any:
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


@numba.njit(nogil=True, cache=True)
def _scan(queries, digests, radius, out):  # type: ignore[no-untyped-def]
    """Returns how many pairs there are; writes as many as ``out`` holds."""
    found = 0
    for q in range(queries.shape[0]):
        for d in range(digests.shape[0]):
            distance = np.int64(0)
            for w in range(queries.shape[1]):
                distance += np.int64(_bit_count(queries[q, w] ^ digests[d, w]))
                if distance > radius:
                    break
            if distance <= radius:
                if found < out.shape[1]:
                    out[0, found] = q
                    out[1, found] = d
                    out[2, found] = distance
                found += 1
    return found
