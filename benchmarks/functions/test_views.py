"""What looking at an upload in all its views costs, against looking at it once as it is."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from benchmarks.digests import digests
from benchmarks.functions.suite import Against
from benchmarks.media import clip_720p, short_clip
from benchmarks.pipeline import UPLOAD_JOB
from hashmatch.decoding.channel import Job
from hashmatch.decoding.media.source import FileSource
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine.hashing.exact import ExactHasher
from hashmatch.engine.index.live import Snapshot
from hashmatch.model.records import DEFAULT_THRESHOLDS, Bank
from hashmatch.model.signals import EntrySignals, Signals
from hashmatch.model.verdicts import Action, BankState, Kind

# A million of the entries are bare hashes, as lists have them; of some eighty clips of ten seconds
# there are squares.
_ENTRIES: Final = 1_000_000
_SQUARES: Final = 100_000

# Enough: the spread of nine was 1 to 2 % of processor time.
_ROUNDS: Final = 5
_UPLOADS: Final = 3
_CORPUS_ROUNDS: Final = 2

_SINGLE: Final = replace(UPLOAD_JOB, turns=False)
_ALL: Final = replace(UPLOAD_JOB, kinds=(Kind.PDQ, Kind.PDQ_PATCH))


@pytest.fixture(scope="module")
def blocklist() -> Snapshot:
    """Nothing in it matches."""
    now = datetime.datetime.now(datetime.UTC)
    bank = Bank("b", "b", "", Action.BLOCK, DEFAULT_THRESHOLDS, BankState.ACTIVE, 1, now, now)
    rng = np.random.default_rng(0)
    made = Snapshot().with_bank(0, 1, bank).with_entries(1, 1, _ENTRIES)
    some = {
        Kind.PDQ: np.concatenate(
            [digests(1000), rng.integers(0, 256, (_ENTRIES - 1000, 32), np.uint8)]
        ),
        Kind.PDQ_PATCH: rng.integers(0, 256, (_SQUARES, Kind.PDQ_PATCH.width), np.uint8),
    }
    for kind, rows in some.items():
        numbers = np.arange(len(rows))
        rich = np.full(len(rows), 100, np.uint8)
        made = made.with_signals(
            [EntrySignals(kind, rows, rich, numbers, numbers, np.ones_like(numbers))]
        )
    while (begun := made.begin_compaction()) is not None:
        made = begun[0].end_compaction(begun[1].run())
    return made


def _screen(path: Path, job: Job, blocklist: Snapshot) -> None:
    """As a worker and a server do it together, without what a connection and a store cost."""

    def found(signals: Sequence[Signals], _: object) -> None:
        for each in signals:
            blocklist.search(each)

    ExactHasher((Kind.MD5, Kind.SHA1)).update(path.read_bytes())
    with path.open("rb") as file:
        inspect(FileSource(file), job, found)


def _screen_all(paths: Sequence[Path], job: Job, blocklist: Snapshot) -> None:
    for path in paths:
        _screen(path, job, blocklist)


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("size", ["360p", "720p"])
def test_views(size: str, blocklist: Snapshot, against: Against) -> None:
    """``views_*``: processor time of both sides, at a million entries."""
    path = short_clip(".mp4") if size == "360p" else clip_720p("each_second")
    against(
        f"views_{size}",
        f"ten seconds of {size}: turns, borders, squares; a million entries",
        "one view of each frame",
        lambda: _screen_all([path] * _UPLOADS, _ALL, blocklist),
        lambda: _screen_all([path] * _UPLOADS, _SINGLE, blocklist),
        rounds=_ROUNDS,
        calls=_UPLOADS,
        yardstick_calls=_UPLOADS,
    )


@pytest.mark.benchmark(timer=time.process_time)
def test_views_of_real_clips(blocklist: Snapshot, against: Against) -> None:
    """``views_corpus``: processor time of both sides, of every other file in HASHMATCH_CORPUS
    together, for each: all of them say the same and take a minute more.
    """
    folder = os.environ.get("HASHMATCH_CORPUS")
    if not folder:
        pytest.skip("HASHMATCH_CORPUS names no folder")
    paths = sorted(path for path in Path(folder).iterdir() if path.is_file())[::2]
    against(
        "views_corpus",
        "real clips: turns, borders, insets, squares; a million entries",
        "one view of each frame",
        lambda: _screen_all(paths, _ALL, blocklist),
        lambda: _screen_all(paths, _SINGLE, blocklist),
        rounds=_CORPUS_ROUNDS,
        warm_up=False,
        calls=len(paths),
        yardstick_calls=len(paths),
        media=f"{len(paths)} files",
    )
