"""How fast frames and clips are hashed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pdqhash

from benchmarks.harness import Row, cpu_seconds, interleaved, row, wall_seconds
from benchmarks.media import clip_720p
from hashmatch.channel import Job
from hashmatch.hashing import pdq
from hashmatch.media.source import FileSource
from hashmatch.model.verdicts import Kind
from hashmatch.worker.inspect import inspect

__all__ = ["rows"]

_JOB = Job(
    kinds=(Kind.PDQ,),
    turns=True,
    max_gap_ms=1000,
    min_change_bits=0,
    max_duration_ms=3_600_000,
    max_frame_pixels=1 << 26,
)


def rows() -> Iterator[Row]:
    """``pdq`` and ``hash_clip_*``."""
    yield _pdq()
    for key_frames in ("each_second", "one"):
        yield _hash_clip(key_frames)


def _pdq() -> Row:
    with av.open(str(clip_720p("each_second"))) as container:
        frame = next(container.decode(video=0))
    rgb = frame.to_ndarray(format="rgb24")
    luma = np.asarray(frame.to_ndarray(format="gray"), np.uint8)[None]
    times = 50

    def ours() -> float:
        return wall_seconds(lambda: [pdq.digest(luma) for _ in range(times)]) / times

    def theirs() -> float:
        return wall_seconds(lambda: pdqhash.compute(rgb))

    values, yardsticks = interleaved(ours, theirs, rounds=9)
    return row("pdq", "one 720p luma frame", "pdqhash.compute", values, yardsticks)


def _hash_clip(key_frames: str) -> Row:
    path = clip_720p(key_frames)

    def ours() -> float:
        with path.open("rb") as file:
            return cpu_seconds(lambda: inspect(FileSource(file), _JOB, _discard))

    values, yardsticks = interleaved(ours, lambda: cpu_seconds(lambda: _vpdq(path)), rounds=5)
    return row(
        f"hash_clip_{key_frames}",
        "10 s of 720p, bytes to signals",
        "the vPDQ recipe",
        values,
        yardsticks,
    )


def _discard(signals: Any, tally: Any) -> None:
    """Nobody wants these hashes."""


def _vpdq(path: Path) -> list[np.ndarray]:
    """What vPDQ does: decodes every frame, and hashes one a second as RGB."""
    hashes = []
    with av.open(io.BytesIO(path.read_bytes()), "r") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        each = round(float(stream.average_rate or 25))
        for number, frame in enumerate(container.decode(stream)):
            if number % each == 0:
                hashes.append(pdqhash.compute(frame.to_ndarray(format="rgb24"))[0])
    return hashes
