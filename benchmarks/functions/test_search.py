"""How fast, how large and how soon ready the index is."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np
import pytest

from benchmarks.digests import Bytes, digests, signals_of
from benchmarks.functions.suite import Against
from benchmarks.harness import row
from hashmatch.index.live import Snapshot
from hashmatch.index.scan import scan, to_words

_RADIUS: Final = 31  # PDQ's recommended threshold, in bits.
_BATCH: Final = 10
_QUERIES: Final = 1000

# Rows of the index belong to entries of this many, as clips of some length give.
_ENTRY_ROWS: Final = 1000

_SIZES: Final = {"1m": 1_000_000, "10m": 10_000_000}


@dataclass(frozen=True, slots=True)
class Indexes:
    """The same digests in ours and in faiss's."""

    made: Bytes
    words: Any
    flat: Any
    multihash: Any


@pytest.fixture(
    scope="module", params=["1m", pytest.param("10m", marks=pytest.mark.full)], name="indexes"
)
def _indexes(request: pytest.FixtureRequest) -> tuple[str, Indexes]:
    faiss.omp_set_num_threads(1)
    made = digests(_SIZES[request.param])
    flat = faiss.IndexBinaryFlat(256)
    flat.add(made)
    many = faiss.IndexBinaryMultiHash(256, 16, 16)
    many.nflip = 1  # Finds nearly all within 31 bits: what threatexchange uses it for.
    many.add(made)
    return request.param, Indexes(made, to_words(made), flat, many)


@pytest.mark.parametrize("other", ["faiss flat", "faiss multi-hash"])
@pytest.mark.parametrize("size", [_BATCH, 1])
def test_search(against: Against, indexes: tuple[str, Indexes], size: int, other: str) -> None:
    """``search_*``: one thread, in batches and single, after the same queries."""
    name, both = indexes
    queries = both.made[:: len(both.made) // _QUERIES][:_QUERIES].copy()
    starts = itertools.cycle(range(0, len(queries) - size, size))
    theirs = both.flat if other == "faiss flat" else both.multihash

    def next_queries() -> tuple[Bytes]:
        start = next(starts)
        return (queries[start : start + size],)

    suffix = "" if other == "faiss flat" else "_multihash"
    against(
        f"search_{name}_{'batch' if size > 1 else 'single'}{suffix}",
        f"one query at radius {_RADIUS}, {size} at a time",
        other,
        lambda some: scan(to_words(some), both.words, _RADIUS),
        lambda some: theirs.range_search(some, _RADIUS + 1),
        rounds=15,
        arguments=next_queries,
        calls=size,
        yardstick_calls=size,
    )


def test_index_build(against: Against) -> None:
    """``index_build``: from digests in memory to what is searched."""
    made = digests(_SIZES["1m"])
    against(
        "index_build",
        "1M digests in entries of 1,000",
        "faiss flat",
        functools.partial(_snapshot, made),
        lambda: faiss.IndexBinaryFlat(256).add(made),
        rounds=5,
    )


def test_index_load(against: Against, tmp_path: Path) -> None:
    """``index_load``: the same from files."""
    stored, theirs = tmp_path / "columns.npy", tmp_path / "flat.index"
    made = digests(_SIZES["1m"])
    np.save(stored, made)
    flat = faiss.IndexBinaryFlat(256)
    flat.add(made)
    faiss.write_index_binary(flat, str(theirs))
    against(
        "index_load",
        "1M digests from disk",
        "faiss flat",
        lambda: _snapshot(np.load(stored)),
        lambda: faiss.read_index_binary(str(theirs)),
        rounds=5,
    )


def test_index_bytes(record_property: Any) -> None:
    """``index_bytes``: what a digest takes in memory."""
    made = digests(_SIZES["1m"])
    size = _snapshot(made).nbytes / len(made)
    what = "resident bytes a digest"
    made_row = row("index_bytes", what, "faiss flat", [size], [32.0], unit="bytes")
    record_property("row", made_row)


def _snapshot(made: Bytes) -> Snapshot:
    snapshot = Snapshot()
    for number, start in enumerate(range(0, len(made), _ENTRY_ROWS)):
        entry = signals_of(made[start : start + _ENTRY_ROWS])
        snapshot = snapshot.with_entry(number, number, 1, [entry])
    return snapshot
