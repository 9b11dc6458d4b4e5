"""How long searches take while the blocklist changes."""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest

from benchmarks.digests import Bytes, digests, signals_of
from benchmarks.harness import row
from hashmatch.engine.index import bands
from hashmatch.engine.index.live import Snapshot
from hashmatch.model.records import Bank
from hashmatch.model.signals import EntrySignals
from hashmatch.model.verdicts import Action, BankState, Kind

_ENTRIES: Final = 1_000_000
_QUERIES: Final = 80  # Of one upload: a minute and some scene changes.
_ROUNDS: Final = 5
_ROUND_SECONDS: Final = 2.0

# Five thousand entries a second: a compaction every 1.6 s.
_AT_ONCE: Final = 50
_PAUSE_SECONDS: Final = 0.01


class _Changing:
    """A blocklist that is added to and compacted, as `usecases.replica.Replica` does it."""

    def __init__(self, some: Bytes) -> None:
        self.now = datetime.datetime.now(datetime.UTC)
        self.bank = Bank(
            "b", "b", "", Action.BLOCK, {Kind.PDQ: 31}, BankState.ACTIVE, 1, self.now, self.now
        )
        self.entries, self.compactions = 0, 0
        self.snapshot = self._added(Snapshot().with_bank(0, 1, self.bank), some)
        while (begun := self.snapshot.begin_compaction()) is not None:
            self.snapshot = begun[0].end_compaction(begun[1].run())
        self._changing, self._ended = threading.Lock(), threading.Event()

    def _added(self, to: Snapshot, some: Bytes) -> Snapshot:
        seqs = np.arange(self.entries, self.entries + len(some))
        self.entries += len(some)
        rich, ones = np.full(len(some), 100, np.uint8), np.ones_like(seqs)
        return to.with_entries(self.entries, 1, len(some)).with_signals(
            [EntrySignals(Kind.PDQ, some, rich, seqs % 60_000, seqs, ones)]
        )

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Meanwhile entries come, and are compacted."""
        self._ended.clear()
        threads = [threading.Thread(target=work) for work in (self._add, self._compact)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def _add(self) -> None:
        rng = np.random.default_rng(self.entries)
        while not self._ended.wait(_PAUSE_SECONDS):
            some = rng.integers(0, 256, (_AT_ONCE, 32), np.uint8)
            with self._changing:
                self.snapshot = self._added(self.snapshot, some)

    def _compact(self) -> None:
        while not self._ended.wait(_PAUSE_SECONDS):
            with self._changing:
                begun = self.snapshot.begin_compaction()
                if begun is None:
                    continue
                self.snapshot = begun[0]
            done = begun[1].run()
            with self._changing:
                self.snapshot = self.snapshot.end_compaction(done)
            self.compactions += 1


def test_search_while_changing(record_property: Any) -> None:
    """``search_while_changing``: 80 queries, 99th percentile, against the same without changes."""
    bands.warm_up()
    made = digests(_ENTRIES)
    changing = _Changing(made)
    rng = np.random.default_rng(0)

    def slowest() -> float:
        taken = []
        until = time.perf_counter() + _ROUND_SECONDS
        while time.perf_counter() < until:
            queries = signals_of(made[rng.integers(0, _ENTRIES, _QUERIES)])
            asked = time.perf_counter()
            found = changing.snapshot.search(queries)
            taken.append(time.perf_counter() - asked)
            if len(found) < _QUERIES:
                pytest.fail(f"{len(found)} of {_QUERIES} entries found")
        return float(np.percentile(taken, 99))

    busy, idle = [], []
    for _ in range(_ROUNDS):
        idle.append(slowest())
        with changing.busy():
            busy.append(slowest())
    what = f"{_QUERIES} queries among 1M while 5,000 entries/s come, 99th percentile"
    more = {"compactions": float(changing.compactions)}
    record_property(
        "row",
        row("search_while_changing", what, "without changes", busy, idle, more=more),
    )
