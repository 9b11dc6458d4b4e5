"""The plain search: every query with every digest. What any other index must agree with."""

from __future__ import annotations

from typing import Final

import numba
import numpy as np
import numpy.typing as npt

from hashmatch.index.bits import Hits, popcount, to_words

__all__ = ["Hits", "scan", "scan_one", "to_words", "warm_up"]

# Words of the digests that most searches are for: PDQ's 256 bits. Written out, they take a quarter
# of the time.
_USUAL_WORDS: Final = 4


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
def _scan(queries, digests, radius, out):  # type: ignore[no-untyped-def]
    """Returns how many pairs there are; writes as many as ``out`` holds."""
    found = 0
    for q in range(queries.shape[0]):
        found = scan_one(queries, q, digests, radius, out, found)
    return found


@numba.njit(nogil=True, cache=True)
def scan_one(queries, q, digests, radius, out, found):  # type: ignore[no-untyped-def]
    """All pairs of one query, after the first ``found``; returns how many there are by then."""
    query = queries[q]
    usual = query.shape[0] == _USUAL_WORDS
    for d in range(digests.shape[0]):
        if usual:
            distance = np.int64(
                popcount(query[0] ^ digests[d, 0])
                + popcount(query[1] ^ digests[d, 1])
                + popcount(query[2] ^ digests[d, 2])
                + popcount(query[3] ^ digests[d, 3])
            )
        else:
            distance = np.int64(0)
            for w in range(query.shape[0]):
                distance += np.int64(popcount(query[w] ^ digests[d, w]))
        if distance <= radius:
            if found < out.shape[1]:
                out[0, found] = q
                out[1, found] = d
                out[2, found] = distance
            found += 1
    return found
