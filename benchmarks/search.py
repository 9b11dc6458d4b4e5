"""How fast, how large and how soon ready the index is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import faiss
import numpy as np
import numpy.typing as npt

from benchmarks.harness import Row, interleaved, row, wall_seconds
from hashmatch.index.live import Snapshot
from hashmatch.index.scan import scan, to_words
from hashmatch.model.signals import Signals, view_code
from hashmatch.model.verdicts import Kind, Part

__all__ = ["digests", "rows", "signals_of"]

_RADIUS: Final = 31  # PDQ's recommended threshold, in bits.
_BATCH: Final = 10

# Rows of the index belong to entries of this many, as clips of some length give.
_ENTRY_ROWS: Final = 1000

Bytes = npt.NDArray[np.uint8]


def digests(count: int, seed: int = 0) -> Bytes:
    """Random digests with some near neighbours: every tenth is a copy with up to 40 bits flipped.

    uint8 ``[count, 32]``.
    """
    rng = np.random.default_rng(seed)
    made = rng.integers(0, 256, (count, 32), np.uint8)
    copies = made[::10]
    flips = rng.integers(0, 256, (len(copies), 40))
    for column in range(flips.shape[1]):
        wanted = rng.random(len(copies)) < column / flips.shape[1]
        places = flips[wanted, column]
        copies[wanted, places // 8] ^= np.uint8(1) << (places % 8).astype(np.uint8)
    made[1::10][: len(copies)] = copies
    return made


def signals_of(rows_of: Bytes) -> Signals:
    """Digests as signals of a video with a frame a second."""
    count = len(rows_of)
    return Signals(
        Kind.PDQ,
        rows_of,
        np.full(count, 100, np.uint8),
        np.arange(count, dtype=np.int64) * 1000,
        np.full(count, view_code(Part.FULL), np.uint8),
    )


def rows(full: bool) -> Iterator[Row]:
    """``search_*`` and ``index_*``, at 1M digests, and with ``full`` at 10M."""
    faiss.omp_set_num_threads(1)
    for name, count in (("1m", 1_000_000), *((("10m", 10_000_000),) if full else ())):
        made = digests(count)
        yield from _search(name, made)
        if name == "1m":
            yield from _index(made)


def _search(name: str, made: Bytes) -> Iterator[Row]:
    words = to_words(made)
    flat = faiss.IndexBinaryFlat(256)
    flat.add(made)
    queries = made[:: len(made) // 1000][:1000].copy()
    many = faiss.IndexBinaryMultiHash(256, 16, 16)
    many.nflip = 1  # Finds nearly all within 31 bits: what threatexchange uses it for.
    many.add(made)
    others: dict[str, Callable[[Bytes], object]] = {
        "faiss flat": lambda some: flat.range_search(some, _RADIUS + 1),
        "faiss multi-hash": lambda some: many.range_search(some, _RADIUS + 1),
    }
    for size, label in ((_BATCH, "batch"), (1, "single")):
        for other, find in others.items():
            turn = iter(range(10_000))

            def taken(size: int = size, turn: Iterator[int] = turn) -> Bytes:
                start = next(turn) * size % (len(queries) - size)
                return queries[start : start + size]

            def ours(size: int = size, taken: Callable[[], Bytes] = taken) -> float:
                some = to_words(taken())
                return wall_seconds(lambda: scan(some, words, _RADIUS)) / size

            def theirs(
                size: int = size,
                taken: Callable[[], Bytes] = taken,
                find: Callable[[Bytes], object] = find,
            ) -> float:
                some = taken()
                return wall_seconds(lambda: find(some)) / size

            values, yardsticks = interleaved(ours, theirs, rounds=15)
            suffix = "" if other == "faiss flat" else "_multihash"
            yield row(
                f"search_{name}_{label}{suffix}",
                f"one query at radius {_RADIUS}, {size} at a time",
                other,
                values,
                yardsticks,
            )


def _index(made: Bytes) -> Iterator[Row]:
    def build() -> float:
        return wall_seconds(lambda: _snapshot(made))

    def build_flat() -> float:
        flat = faiss.IndexBinaryFlat(256)
        return wall_seconds(lambda: flat.add(made))

    values, yardsticks = interleaved(build, build_flat, rounds=3)
    yield row("index_build", "1M digests in entries of 1,000", "faiss flat", values, yardsticks)

    with tempfile.TemporaryDirectory(prefix="hashmatch-bench-") as folder:
        stored, theirs = Path(folder) / "columns.npy", Path(folder) / "flat.index"
        np.save(stored, made)
        flat = faiss.IndexBinaryFlat(256)
        flat.add(made)
        faiss.write_index_binary(flat, str(theirs))
        values, yardsticks = interleaved(
            lambda: wall_seconds(lambda: _snapshot(np.load(stored))),
            lambda: wall_seconds(lambda: faiss.read_index_binary(str(theirs))),
            rounds=3,
        )
    yield row("index_load", "1M digests from disk", "faiss flat", values, yardsticks)

    size = _snapshot(made).nbytes / len(made)
    yield row("index_bytes", "resident bytes a digest", "faiss flat", [size], [32.0], unit="bytes")


def _snapshot(made: Bytes) -> Snapshot:
    snapshot = Snapshot()
    for number, start in enumerate(range(0, len(made), _ENTRY_ROWS)):
        entry = signals_of(made[start : start + _ENTRY_ROWS])
        snapshot = snapshot.with_entry(number, number, 1, [entry])
    return snapshot
