"""The plain search: every query with every digest. What any other index must agree with."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.index.bits import (
    USUAL_WORDS,
    Hits,
    collect,
    differing,
    frozen,
    popcount,
    put,
    to_words,
)
from hashmatch.engine.kernels import kernel

__all__ = ["comes_near_firmly", "scan", "scan_one", "warm_up"]

# From so many queries on it pays to turn the digests, a block at a time, so that the processor
# compares several at once: a fifth of the time for eighty queries. Measured.
_MANY: Final = 5
_BLOCK: Final = 512

# Up to this radius half of the bits tell that a block has nothing near, but for one of a hundred:
# of unrelated pairs 0.002 % differ in 40 bits of 128 or fewer, 0.2 % in 47.
_HALF: Final = 42


def scan(queries: npt.NDArray[np.uint64], digests: npt.NDArray[np.uint64], radius: int) -> Hits:
    """Every pair at most ``radius`` bits apart.

    ``queries`` uint64 ``[q, w]`` and ``digests`` uint64 ``[n, w]`` from `to_words`. Releases the
    GIL. Memory beyond the result: 16 KiB.
    """
    if queries.shape[1] != digests.shape[1]:
        raise ValueError(f"queries of {queries.shape[1]} words, digests of {digests.shape[1]}")
    return collect(lambda out: _scan(queries, digests, radius, out), len(digests))


def comes_near_firmly(
    queries: npt.NDArray[np.uint64],
    firm: npt.NDArray[np.uint64],
    most: npt.NDArray[np.int64],
    digests: npt.NDArray[np.uint64],
    wanted: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Which queries differ from a digest in at most ``most`` of their firm bits: bool ``[q]``.

    ``queries`` and ``firm`` uint64 ``[q, 4]``, ``digests`` uint64 ``[n, 4]``, from `to_words`;
    ``most`` int64 ``[q]``; ``wanted`` bool ``[n]`` leaves digests out. Releases the GIL.
    """
    near = np.zeros(len(queries), np.bool_)
    _comes_near_firmly(queries, firm, most, digests, frozen(wanted), near)
    return near


def warm_up() -> None:
    """Compiles the kernel, so that no upload waits for it: some seconds on a new machine."""
    one = to_words(np.zeros((1, 32), np.uint8))
    scan(one, one, 0)
    comes_near_firmly(one, one, np.zeros(1, np.int64), one, np.ones(1, np.bool_))


@kernel
def _scan(queries, digests, radius, out):  # type: ignore[no-untyped-def]
    """Returns how many pairs there are; writes as many as ``out`` holds."""
    found = 0
    if queries.shape[0] < _MANY or queries.shape[1] != USUAL_WORDS:
        for q in range(queries.shape[0]):
            found = scan_one(queries, q, digests, radius, out, found)
        return found
    turned = np.zeros((USUAL_WORDS, _BLOCK), np.uint64)
    looked_at = USUAL_WORDS // 2 if radius <= _HALF else USUAL_WORDS
    for first in range(0, digests.shape[0], _BLOCK):
        block = digests[first : first + _BLOCK]
        for w in range(looked_at):
            for d in range(block.shape[0]):
                turned[w, d] = block[d, w]
        for q in range(queries.shape[0]):
            nearest = _half(queries[q], turned) if radius <= _HALF else _nearest(queries[q], turned)
            if nearest <= radius:
                for d in range(block.shape[0]):
                    distance = differing(queries[q], block, d)
                    if distance <= radius:
                        found = put(out, found, q, first + d, distance)
    return found


@kernel
def _comes_near_firmly(queries, firm, most, digests, wanted, near):  # type: ignore[no-untyped-def]
    for q in range(queries.shape[0]):
        one, two, three, four = queries[q, 0], queries[q, 1], queries[q, 2], queries[q, 3]
        bits, more, others, rest = firm[q, 0], firm[q, 1], firm[q, 2], firm[q, 3]
        for d in range(digests.shape[0]):
            distance = popcount((one ^ digests[d, 0]) & bits)
            distance += popcount((two ^ digests[d, 1]) & more)
            distance += popcount((three ^ digests[d, 2]) & others)
            distance += popcount((four ^ digests[d, 3]) & rest)
            if np.int64(distance) <= most[q] and wanted[d]:
                near[q] = True
                break


@kernel
def _nearest(query, turned):  # type: ignore[no-untyped-def]
    """The fewest bits by which one of a block differs, uint64; what was there before the last block
    may count as well.
    """
    first, second, third, fourth = query[0], query[1], query[2], query[3]
    nearest = np.uint64(64 * USUAL_WORDS)
    for d in range(_BLOCK):
        distance = popcount(first ^ turned[0, d]) + popcount(second ^ turned[1, d])
        distance += popcount(third ^ turned[2, d]) + popcount(fourth ^ turned[3, d])
        nearest = min(nearest, distance)
    return nearest


@kernel
def _half(query, turned):  # type: ignore[no-untyped-def]
    """Likewise, of the first half of the bits: none is nearer in all of them."""
    first, second = query[0], query[1]
    nearest = np.uint64(64 * USUAL_WORDS)
    for d in range(_BLOCK):
        distance = popcount(first ^ turned[0, d]) + popcount(second ^ turned[1, d])
        nearest = min(nearest, distance)
    return nearest


@kernel
def scan_one(queries, q, digests, radius, out, found):  # type: ignore[no-untyped-def]
    """All pairs of one query, after the first ``found``; returns how many there are by then."""
    query = queries[q]
    for d in range(digests.shape[0]):
        distance = differing(query, digests, d)
        if distance <= radius:
            found = put(out, found, q, d, distance)
    return found
