"""The quick exact search: only digests that may be near a query are compared with it.

Digests are cut into chunks of 16 bits that lie in a ring. Each chunk is granted some differing
bits, one more in all than the radius allows. If two digests are within the radius, then, from some
chunk on round the ring, what differs stays below what was granted: in that chunk, in it and the
next together, and so on. (Qin and Xiao, "Pigeonring", PVLDB 12, 2018; by the cycle lemma of
Dvoretzky and Motzkin, 1947. With the first chunk alone: Norouzi, Punjani and Fleet, "Fast Exact
Search in Hamming Space with Multi-Index Hashing", 2012.) So for each chunk there is a table of the
digests by that chunk's value, with the next chunk's bits beside each: one in four hundred of those
that have the first near the query's has the second near enough too, at PDQ's radius.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.index import scan
from hashmatch.engine.index.bands_kernels import (
    CHUNK_BITS,
    CHUNKS_A_WORD,
    ROW_BYTES,
    VALUES,
    build,
    search,
    sound,
)
from hashmatch.engine.index.bits import Hits, collect, frozen, to_words
from hashmatch.engine.index.parts import in_parts

__all__ = ["MAX_DIGESTS", "Bands", "warm_up"]

# Rows are numbered in 24 bits, which keeps a PDQ digest with all its tables below 128 bytes.
MAX_DIGESTS: Final = 1 << 8 * ROW_BYTES

# How much longer it takes to look up a value of a chunk than to compare the next of all digests.
# Measured; what is found does not depend on it.
_LOOKUP_COST: Final = 100

# As kernels take them.
_COLUMNS: Final = ("words", "starts", "nexts", "rows")

# All values of a chunk by the number of their bits, and how many have at most so many.
_MASKS = np.argsort(np.bitwise_count(np.arange(VALUES)), kind="stable").astype(np.uint16)
_MASK_BITS = np.bitwise_count(_MASKS).astype(np.int64)
_WITHIN = np.cumsum(np.bincount(_MASK_BITS))


class Bands:
    """Finds what `scan` finds. Immutable; searched by any number of threads at once.

    ``nbytes`` are resident: for 256 bits, 112 a digest and 4 MiB.
    """

    def __init__(self, digests: npt.NDArray[np.uint8], radius: int = 31) -> None:
        """``digests`` uint8 ``[n, width]``, width 8 to 32; they are kept, not copied, if they lie
        side by side. ``radius`` in bits is what `search` finds if it is not told another.

        Raises ``ValueError`` for more than `MAX_DIGESTS` or another shape.
        """
        if digests.ndim != 2 or digests.dtype != np.uint8 or not 8 <= digests.shape[1] <= 32:
            raise ValueError(
                f"digests are {digests.dtype} {digests.shape}, uint8 [n, 8 to 32] is needed"
            )
        if len(digests) > MAX_DIGESTS:
            raise ValueError(f"{len(digests)} digests, at most {MAX_DIGESTS} are allowed")
        width = digests.shape[1]
        shapes = _shapes(len(digests), width)
        columns: dict[str, npt.NDArray[Any]] = {
            name: np.empty(shape, dtype) for name, (dtype, shape) in shapes.items()
        }
        columns["words"] = to_words(digests)
        build(*(columns[name] for name in _COLUMNS))
        self._set(columns, width, radius)

    @classmethod
    def from_columns(
        cls, columns: Mapping[str, npt.NDArray[Any]], width: int, radius: int = 31
    ) -> Bands:
        """From `columns` as they were, without building anything.

        Raises ``ValueError`` if they do not fit together, so that a search would read elsewhere.
        """
        for name, (dtype, shape) in _shapes(len(columns["words"]), width).items():
            column = columns[name]
            if column.dtype != dtype or column.shape != shape:
                raise ValueError(
                    f"{name} is {column.dtype} {column.shape}, {np.dtype(dtype)} {shape} is needed"
                )
        made = cls.__new__(cls)
        made._set(columns, width, radius)
        if not sound(made._columns["starts"], made._columns["rows"]):
            raise ValueError("tables of rows that are not there")
        return made

    def _set(self, columns: Mapping[str, npt.NDArray[Any]], width: int, radius: int) -> None:
        self.width, self.radius = width, radius
        self._columns = {name: frozen(columns[name]) for name in _COLUMNS}

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """All that it is made of: ``words`` uint64 ``[n, w]``, as the digests were given;
        ``starts`` uint32 ``[chunks, 65537]``, where each value begins in the tables; ``nexts``
        uint16 ``[chunks, n]`` and ``rows`` uint8 ``[chunks, n, 3]`` (numbers, lowest byte first),
        the tables.
        """
        return dict(self._columns)

    def __len__(self) -> int:
        """Number of digests."""
        return len(self._columns["words"])

    @property
    def digests(self) -> npt.NDArray[np.uint8]:
        """As they were given, uint8 ``[n, width]``."""
        return self._columns["words"].view(np.uint8)[:, : self.width]

    @property
    def nbytes(self) -> int:
        """Of digests and tables."""
        return sum(column.nbytes for column in self._columns.values())

    def search(self, queries: npt.NDArray[np.uint8], radius: int | None = None) -> Hits:
        """Every pair at most ``radius`` bits apart, as `scan` gives them.

        ``queries`` uint8 ``[q, width]``. Releases the GIL, and takes several threads for many
        queries where they are free (`engine.index.parts`). Where comparing all digests would be
        quicker (few of them, a wide radius, or many that are alike), that is done. Memory beyond
        the result: below 1 MiB a thread.
        """
        if queries.ndim != 2 or queries.dtype != np.uint8 or queries.shape[1] != self.width:
            raise ValueError(
                f"queries are {queries.dtype} {queries.shape}, uint8 [q, {self.width}] is needed"
            )
        within = self.radius if radius is None else radius
        words = to_words(queries)
        granted, lookups = _granted(within, _chunks_of(self.width))
        if not len(queries) or lookups * _LOOKUP_COST > len(self):
            return in_parts(lambda some: scan.scan(some, self._columns["words"], within), words)
        columns = tuple(self._columns[name] for name in _COLUMNS)
        values = _MASKS, _MASK_BITS, _WITHIN

        def found(some: npt.NDArray[np.uint64]) -> Hits:
            return collect(
                lambda out: search(some, *columns, granted, lookups, values, within, out), len(self)
            )

        return in_parts(found, words)


def warm_up() -> None:
    """Compiles the kernels, so that no upload waits for them: some seconds on a new machine."""
    # As many as are searched by the tables; alike, so that they are compared with all too.
    alike = np.zeros((2 * _LOOKUP_COST * CHUNK_BITS, 32), np.uint8)
    Bands.from_columns(Bands(alike).columns(), 32).search(alike[:1], 0)
    scan.warm_up()


def _shapes(count: int, width: int) -> dict[str, tuple[type, tuple[int, ...]]]:
    """Of all columns, for so many digests of so many bytes."""
    chunks = _chunks_of(width)
    return {
        "words": (np.uint64, (count, -(-chunks // CHUNKS_A_WORD))),
        "starts": (np.uint32, (chunks, VALUES + 1)),
        "nexts": (np.uint16, (chunks, count)),
        "rows": (np.uint8, (chunks, count, ROW_BYTES)),
    }


def _chunks_of(width: int) -> int:
    return -(-8 * width // CHUNK_BITS)


@functools.lru_cache(maxsize=64)
def _granted(radius: int, chunks: int) -> tuple[npt.NDArray[np.int64], int]:
    """``radius + 1`` bits, spread over the chunks: at a chunk that is granted g, what differs may
    begin with up to g - 1. And how many values of chunks are so near.
    """
    granted = np.full(chunks, (radius + 1) // chunks, np.int64)
    granted[: (radius + 1) % chunks] += 1
    return granted, int(_WITHIN[np.minimum(granted[granted > 0] - 1, CHUNK_BITS)].sum())
