"""Runs all that a media may need once before the first upload.

So no upload waits for it: kernels compile, and libraries load parts of themselves, when they are
first used. And a worker that is confined (`decoding.worker.confine`) can load nothing any more.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Final

from hashmatch.decoding.channel import Job
from hashmatch.decoding.media.samples import load_decoders, samples
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.media.tally import Tally
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine.hashing import patches, pdq
from hashmatch.engine.sampling import densities, insets, views
from hashmatch.model.records import DecodeLimits
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind

__all__ = ["warm_up"]

# What libraries turn texts of files with.
_ENCODINGS: Final = ("ascii", "latin-1", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "cp1252")

_UPLOAD: Final = Job(
    kinds=(Kind.PDQ, Kind.PHASH, Kind.PDQ_PATCH),
    turns=True,
    density=densities.UPLOAD,
    limits=DecodeLimits(max_duration_ms=60_000, max_frame_pixels=1 << 20),
    seed=0,
)
_ENTRY: Final = replace(_UPLOAD, turns=False, density=densities.ENTRY)


def warm_up() -> None:
    """Decodes and hashes media of all sorts that it makes itself, in memory."""
    for text in _ENCODINGS:
        "a".encode(text).decode(text)
    load_decoders()
    importlib.import_module("hashmatch.engine.hashing.phash")
    pdq.warm_up()
    patches.warm_up()
    views.warm_up()
    insets.warm_up()
    made = list(samples())
    _look(made, _UPLOAD)
    # What is done with frames of entries alone needs no more than two: a clip's, and a picture's.
    _look(made[:2], _ENTRY)


def _look(made: list[bytes], job: Job) -> None:
    for media in made:
        inspect(BytesSource(media), job, _discard)
        inspect(BytesSource(media[: len(media) // 2]), job, _discard)  # What fails, fails here.


def _discard(signals: list[Signals], tally: Tally) -> None:
    """Nobody wants these hashes."""
