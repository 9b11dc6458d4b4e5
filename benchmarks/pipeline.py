"""The pipeline of one upload as a worker runs it, without a server around it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import cpu_seconds
from hashmatch.decoding.channel import Job
from hashmatch.decoding.media.source import FileSource
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine.sampling import densities
from hashmatch.model.records import Coverage, DecodeLimits
from hashmatch.model.verdicts import Kind

__all__ = ["UPLOAD_JOB", "coverage_of_clip", "hash_clip", "signals_of_clip"]

# As a server asks for it: see hashmatch.usecases.screenings.
UPLOAD_JOB: Final = Job(
    kinds=(Kind.PDQ,),
    turns=True,
    density=densities.UPLOAD,
    limits=DecodeLimits(max_duration_ms=3_600_000, max_frame_pixels=1 << 26),
    seed=0,
)

# Each upload has a seed of its own. The same ones follow each other in each run, so that two runs
# look at the same frames.
_SEEDS: Final = itertools.cycle(range(9))


def signals_of_clip(path: Path) -> None:
    """From the bytes of a clip to its signals, one thread."""
    coverage_of_clip(path)


def coverage_of_clip(path: Path) -> Coverage:
    """Likewise; what was looked at."""
    with path.open("rb") as file:
        job = replace(UPLOAD_JOB, seed=next(_SEEDS))
        return inspect(FileSource(file), job, _discard).coverage


def hash_clip(path: Path) -> float:
    """Processor seconds that `signals_of_clip` takes."""
    return cpu_seconds(lambda: signals_of_clip(path))


def _discard(signals: Any, tally: Any) -> None:
    """Nobody wants these hashes."""
