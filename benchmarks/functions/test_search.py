"""How fast, how large and how soon ready the index is."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Final

import faiss
import numpy as np
import pytest

from benchmarks.digests import Bytes, digests
from benchmarks.functions.suite import Against
from benchmarks.harness import row
from hashmatch.engine.index.bands import Bands
from hashmatch.engine.index.live import Snapshot
from hashmatch.model.signals import EntrySignals
from hashmatch.model.verdicts import Kind

_RADIUS: Final = 31  # PDQ's recommended threshold, in bits.
_WIDER: Final = 47
_BATCH: Final = 10
_BATCHES: Final = 20  # Of ours, for each of the yardstick's, which takes as long as a hundred.
_QUERIES: Final = 1000

_SIZES: Final = {"1m": 1_000_000, "10m": 10_000_000}


@dataclass(frozen=True, slots=True)
class Indexes:
    """The same digests in ours and in faiss's; what is asked for."""

    bands: Bands
    flat: Any
    multihash: Any
    queries: Bytes


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
    # As uploads are: some are of what is there, most are of nothing like it.
    queries = np.random.default_rng(1).integers(0, 256, (_QUERIES, 32), np.uint8)
    queries[::5] = made[: _QUERIES // 5]
    return request.param, Indexes(Bands(made), flat, many, queries)


@pytest.mark.parametrize(
    ("name", "other", "size", "radius"),
    [
        ("batch", "faiss flat", _BATCH, _RADIUS),
        ("batch_multihash", "faiss multi-hash", _BATCH, _RADIUS),
        ("single", "faiss flat", 1, _RADIUS),
        ("single_multihash", "faiss multi-hash", 1, _RADIUS),
        ("wider", "faiss flat", _BATCH, _WIDER),
    ],
)
def test_search(
    against: Against,
    indexes: tuple[str, Indexes],
    name: str,
    other: str,
    size: int,
    radius: int,
) -> None:
    """``search_*``: one thread, in batches and single, after the same queries."""
    count, both = indexes
    batches = itertools.cycle(np.split(both.queries, _QUERIES // size))
    theirs = both.flat if other == "faiss flat" else both.multihash

    def ours(some: list[Bytes]) -> None:
        for queries in some:
            both.bands.search(queries, radius)

    against(
        f"search_{count}_{name}",
        f"one query at radius {radius}, {size} at a time",
        other,
        ours,
        lambda some: theirs.range_search(some[0], radius + 1),
        rounds=15,
        arguments=lambda: (list(itertools.islice(batches, _BATCHES)),),
        calls=size * _BATCHES,
        yardstick_calls=size,
    )


@pytest.fixture(
    scope="module", params=["1m", pytest.param("10m", marks=pytest.mark.full)], name="made"
)
def _made(request: pytest.FixtureRequest) -> tuple[str, Bytes]:
    return request.param, digests(_SIZES[request.param])


def test_index_build(against: Against, made: tuple[str, Bytes]) -> None:
    """``index_build_*``: from digests in memory to what is searched."""
    name, some = made
    against(
        f"index_build_{name}",
        f"{len(some):,} digests of as many entries",
        "faiss flat",
        lambda: _snapshot(some),
        lambda: faiss.IndexBinaryFlat(256).add(some),
        rounds=5 if name == "1m" else 2,
    )


def test_index_bytes(record_property: Any, made: tuple[str, Bytes]) -> None:
    """``index_bytes_*``: what a digest takes in memory."""
    name, some = made
    size = _snapshot(some).nbytes / len(some)
    what = "resident bytes a digest"
    record_property(
        "row", row(f"index_bytes_{name}", what, "faiss flat", [size], [32.0], unit="bytes")
    )


def _snapshot(made: Bytes) -> Snapshot:
    """As a server makes it of what is stored."""
    seqs = np.arange(len(made))
    entries = EntrySignals(
        Kind.PDQ, made, np.full(len(made), 100, np.uint8), seqs % 60_000, seqs, np.ones_like(seqs)
    )
    snapshot = Snapshot().with_signals([entries])
    begun = snapshot.begin_compaction()
    assert begun is not None
    return begun[0].end_compaction(begun[1].run())
