"""Searches of many queries in several threads, where some are free."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.index.bits import Hits

__all__ = ["LEAST", "in_parts"]

# Queries that are worth a thread: some ms of work in a large blocklist.
LEAST: Final = 128

# One of all the processor's threads is the caller's own.
_HELPERS: Final = (os.cpu_count() or 1) - 1

_free: Final = threading.Semaphore(_HELPERS)


def in_parts(
    search: Callable[[npt.NDArray[np.uint64]], Hits], queries: npt.NDArray[np.uint64]
) -> Hits:
    """What ``search`` finds for all ``queries``, `LEAST` or more in a thread.

    Takes only helpers that no other search has at the moment, and waits for none.
    """
    parts = 1
    while (parts + 1) * LEAST <= len(queries) and _free.acquire(blocking=False):
        parts += 1
    try:
        if parts == 1:
            return search(queries)
        own, *others = np.array_split(queries, parts)
        begun = [_pool().submit(search, part) for part in others]
        found = [search(own), *(part.result() for part in begun)]
    finally:
        for _ in range(parts - 1):
            _free.release()
    firsts = np.cumsum([0, len(own), *map(len, others)])
    query = np.concatenate([hits[0] + first for hits, first in zip(found, firsts, strict=False)])
    digest, distance = (np.concatenate([hits[place] for hits in found]) for place in (1, 2))
    return query, digest, distance


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_HELPERS, "hashmatch-search")
