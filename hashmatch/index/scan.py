"""The plain search: every query with every digest. What any other index must agree with."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from hashmatch.index.bits import Hits, collect, differing, put, to_words

__all__ = ["scan", "scan_one", "warm_up"]


def scan(queries: npt.NDArray[np.uint64], digests: npt.NDArray[np.uint64], radius: int) -> Hits:
    """Every pair at most ``radius`` bits apart.

    ``queries`` uint64 ``[q, w]`` and ``digests`` uint64 ``[n, w]`` from `to_words`. Releases the
    GIL. Memory beyond the result: none.
    """
    if queries.shape[1] != digests.shape[1]:
        raise ValueError(f"queries of {queries.shape[1]} words, digests of {digests.shape[1]}")
    return collect(lambda out: _scan(queries, digests, radius, out))


def warm_up() -> None:
    """Compiles the kernel, so that no upload waits for it: some seconds on a new machine."""
    one = to_words(np.zeros((1, 32), np.uint8))
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
    for d in range(digests.shape[0]):
        distance = differing(query, digests, d)
        if distance <= radius:
            found = put(out, found, q, d, distance)
    return found
