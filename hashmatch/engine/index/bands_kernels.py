"""What `engine.index.bands` is made of, compiled: how its tables are built and searched."""

from __future__ import annotations

from typing import Final

import numpy as np

from hashmatch.engine.index.bits import differing, popcount, prefetch, put
from hashmatch.engine.index.scan import scan_one
from hashmatch.engine.kernels import kernel

__all__ = ["CHUNKS_A_WORD", "CHUNK_BITS", "ROW_BYTES", "VALUES", "build", "search", "sound"]

CHUNK_BITS: Final = 16
CHUNKS_A_WORD: Final = 64 // CHUNK_BITS
VALUES: Final = 1 << CHUNK_BITS
ROW_BYTES: Final = 3

# How much longer it takes to compare a candidate, which lies anywhere, than the next of all
# digests; and so many neighbours in a table take as long as one of all. Measured; what is found
# does not depend on them.
_CANDIDATE_COST: Final = 64
_NEIGHBOURS: Final = 8

# Neighbours that are compared together; if one of them is near enough, so many of them.
_BLOCK: Final = 256
_FEW: Final = 32

# Candidates that are compared together.
_CANDIDATES: Final = 1024
_CACHE_LINE: Final = 64


@kernel
def build(words, starts, nexts, rows):  # type: ignore[no-untyped-def]
    """Sorts the rows by each chunk."""
    chunks = words.view(np.uint16)
    tables = starts.shape[0]
    at = np.empty(VALUES, np.uint32)
    for i in range(tables):
        at[:] = 0
        for row in range(chunks.shape[0]):
            at[chunks[row, i]] += np.uint32(1)
        total = np.uint32(0)
        for value in range(VALUES):
            starts[i, value] = total
            total += at[value]
            at[value] = starts[i, value]
        starts[i, VALUES] = total
        following = (i + 1) % tables
        for row in range(chunks.shape[0]):
            place = at[chunks[row, i]]
            at[chunks[row, i]] += np.uint32(1)
            nexts[i, place] = chunks[row, following]
            for byte in range(ROW_BYTES):
                rows[i, place, byte] = row >> 8 * byte & 0xFF


@kernel
def sound(starts, rows):  # type: ignore[no-untyped-def]
    """Whether all that tables from elsewhere point at is there: a search does not ask."""
    count = rows.shape[1]
    for i in range(starts.shape[0]):
        if starts[i, 0] != 0 or starts[i, VALUES] != count:
            return False
        for value in range(VALUES):
            if starts[i, value] > starts[i, value + 1]:
                return False
        highest = np.int64(-1)
        for place in range(count):
            row = np.int64(0)
            for byte in range(ROW_BYTES):
                row |= np.int64(rows[i, place, byte]) << 8 * byte
            highest = max(highest, row)
        if highest >= count:
            return False
    return True


@kernel
def search(  # type: ignore[no-untyped-def]
    queries, words, starts, nexts, rows, granted, lookups, values, radius, out
):
    """Returns how many pairs there are; writes as many as ``out`` holds.

    What is looked at lies anywhere, and waiting for it would be most of a search: it is fetched
    while the queries before are compared.
    """
    # For two queries, of each lookup: its table, where it begins and ends there, and how many bits
    # of the next chunk may differ.
    looked = np.empty((2, 4, lookups), np.int64)
    neighbours = np.zeros(2, np.int64)
    candidates = np.empty((2, _CANDIDATES), np.int64)  # Table and place in it; then the row.
    found = 0
    for q in range(-1, queries.shape[0]):
        following = (q + 1) % 2
        if q + 2 < queries.shape[0]:
            _fetch_starts(queries[q + 2], starts, granted, values)
        if q + 1 < queries.shape[0]:
            neighbours[following] = _look_up(
                queries[q + 1], starts, granted, values, looked[following]
            )
        if q < 0:
            for k in range(lookups):
                _fetch(nexts, looked[following], k)
            continue
        ahead = looked[following, :, : lookups if q + 1 < queries.shape[0] else 0]
        if neighbours[q % 2] > words.shape[0] * _NEIGHBOURS:
            pairs = -1
        else:
            pairs = _search_one(
                q, queries[q], words, nexts, rows, granted, radius,
                looked[q % 2], ahead, candidates, out, found,
            )  # fmt: skip
        # So many may be alike that it would take longer than comparing all.
        found = scan_one(queries, q, words, radius, out, found) if pairs < 0 else pairs
    return found


@kernel
def _search_one(  # type: ignore[no-untyped-def]
    q, query, words, nexts, rows, granted, radius, looked, ahead, candidates, out, found
):
    """Adds the pairs of one query, after the first ``found``; returns how many there are by then,
    or -1 if there are too many candidates. Fetches what is ``looked`` at for the query ``ahead``.
    """
    table, begin, until, allowed = looked
    allowance, waiting = words.shape[0], 0
    for k in range(looked.shape[1]):
        if k < ahead.shape[1]:
            _fetch(nexts, ahead, k)
        i, place, end = table[k], begin[k], until[k]
        beside = _chunk(query, (i + 1) % nexts.shape[0])
        while place < end:
            part = nexts[i, place : min(end, place + _BLOCK)]
            if _nearest(part, beside) <= allowed[k]:
                waiting = _collect(part, beside, allowed[k], i, place, rows, candidates, waiting)
            place += part.shape[0]
            if waiting > _CANDIDATES - _BLOCK:
                found = _compare(
                    q, query, words, rows, granted, radius, candidates, waiting, out, found
                )
                allowance -= waiting * _CANDIDATE_COST
                waiting = 0
        if allowance < 0:
            return -1
    return _compare(q, query, words, rows, granted, radius, candidates, waiting, out, found)


@kernel
def _chunk(words, i):  # type: ignore[no-untyped-def]
    """The i-th 16 bits of a digest."""
    shift = np.uint64(CHUNK_BITS * (i % CHUNKS_A_WORD))
    return np.uint16(words[i // CHUNKS_A_WORD] >> shift)


@kernel
def _nearest(part, beside):  # type: ignore[no-untyped-def]
    """The fewest bits by which one of ``part`` differs."""
    nearest = np.uint16(CHUNK_BITS)
    for p in range(part.shape[0]):
        nearest = min(nearest, popcount(np.uint16(part[p] ^ beside)))
    return nearest


@kernel
def _collect(part, beside, allowed, i, place, rows, candidates, waiting):  # type: ignore[no-untyped-def]
    """Adds those that are near enough to the candidates; returns how many wait by then."""
    for first in range(0, part.shape[0], _FEW):
        few = part[first : first + _FEW]
        if few.shape[0] == _FEW and _nearest(few, beside) > allowed:
            continue
        for p in range(few.shape[0]):
            if popcount(np.uint16(few[p] ^ beside)) <= allowed:
                at = place + first + p
                prefetch(rows[i], at, 0)
                candidates[0, waiting], candidates[1, waiting] = i, at
                waiting += 1
    return waiting


@kernel
def _fetch_starts(query, starts, granted, values):  # type: ignore[no-untyped-def]
    """What `_look_up` reads."""
    masks, _, within = values
    for i in range(starts.shape[0]):
        if granted[i] > 0:
            own = _chunk(query, i)
            for k in range(within[min(granted[i] - 1, CHUNK_BITS)]):
                prefetch(starts, i, np.int64(own ^ masks[k]))


@kernel
def _look_up(query, starts, granted, values, looked):  # type: ignore[no-untyped-def]
    """Where each value of a chunk that is near enough to the query's lies. Returns how many rows
    have one of them.
    """
    masks, bits, within = values
    table, begin, until, allowed = looked
    tables = starts.shape[0]
    count, neighbours = 0, 0
    for i in range(tables):
        if granted[i] == 0:
            continue
        own, both = _chunk(query, i), granted[i] + granted[(i + 1) % tables] - 1
        for k in range(within[min(granted[i] - 1, CHUNK_BITS)]):
            value = np.int64(own ^ masks[k])
            table[count] = i
            begin[count] = starts[i, value]
            until[count] = starts[i, value + 1]
            allowed[count] = both - bits[k]
            neighbours += until[count] - begin[count]
            count += 1
    return neighbours


@kernel
def _fetch(nexts, looked, k):  # type: ignore[no-untyped-def]
    """All neighbours of a lookup."""
    table, begin, until = looked[0, k], looked[1, k], looked[2, k]
    if begin < until:
        for p in range(begin, until, _CACHE_LINE // 2):
            prefetch(nexts, table, p)
        prefetch(nexts, table, until - 1)


@kernel
def _compare(  # type: ignore[no-untyped-def]
    q, query, words, rows, granted, radius, candidates, waiting, out, found
):
    """Adds the candidates that are within the radius; returns how many pairs there are by now."""
    for c in range(waiting):
        i, place = candidates[0, c], candidates[1, c]
        row = np.int64(0)
        for byte in range(ROW_BYTES):
            row |= np.int64(rows[i, place, byte]) << 8 * byte
        prefetch(words, row, 0)
        candidates[1, c] = row
    for c in range(waiting):
        i, row = candidates[0, c], candidates[1, c]
        distance = differing(query, words, row)
        if distance <= radius and _first_start(query, words[row], granted) == i:
            found = put(out, found, q, row, distance)
    return found


@kernel
def _first_start(query, digest, granted):  # type: ignore[no-untyped-def]
    """The first chunk from which on, round the ring, what differs stays below what was granted:
    the pair is found there, and may be at others, but is counted once.
    """
    tables = granted.shape[0]
    for start in range(tables):
        left = np.int64(0)
        for step in range(tables):
            i = (start + step) % tables
            differs = popcount(np.uint16(_chunk(query, i) ^ _chunk(digest, i)))
            left += granted[i] - np.int64(differs)
            if left <= 0:
                break
        if left > 0:
            return start
    return -1  # Cannot be: what is granted in all is more than what differs.
