"""How fast frames and clips are hashed, and how much of that is decoding."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
import pdqhash

from benchmarks.harness import Row, cpu_seconds, interleaved, row, wall_seconds
from benchmarks.media import clip_720p
from hashmatch.channel import Job
from hashmatch.hashing import pdq
from hashmatch.media.source import FileSource
from hashmatch.model.verdicts import Kind
from hashmatch.screening import CHANGE_BITS, MAX_GAP_MS
from hashmatch.worker.inspect import inspect

__all__ = ["UPLOAD_JOB", "hash_clip", "rows"]

# As a server asks for it: see hashmatch.screening.
UPLOAD_JOB: Final = Job(
    kinds=(Kind.PDQ,),
    turns=True,
    max_gap_ms=MAX_GAP_MS,
    min_change_bits=CHANGE_BITS,
    max_duration_ms=3_600_000,
    max_frame_pixels=1 << 26,
)

_PDQ_CALLS: Final = 40


def rows() -> Iterator[Row]:
    """``pdq``, ``hash_clip_*`` and ``decode_floor_*``."""
    yield _pdq()
    for key_frames in ("each_second", "one"):
        path = clip_720p(key_frames)
        yield _clip_row(f"hash_clip_{key_frames}", "the vPDQ recipe", path, _vpdq)
        yield _clip_row(f"decode_floor_{key_frames}", "decoding alone", path, _decode)


def hash_clip(path: Path) -> float:
    """Processor seconds from the bytes of a clip to its signals, one thread."""
    with path.open("rb") as file:
        return cpu_seconds(lambda: inspect(FileSource(file), UPLOAD_JOB, _discard))


def _discard(signals: Any, tally: Any) -> None:
    """Nobody wants these hashes."""


def _pdq() -> Row:
    with av.open(str(clip_720p("each_second"))) as container:
        frame = next(container.decode(video=0))
    rgb = frame.to_ndarray(format="rgb24")
    luma = np.asarray(frame.to_ndarray(format="gray"), np.uint8)[None]

    def ours() -> float:
        return wall_seconds(lambda: [pdq.digest(luma) for _ in range(_PDQ_CALLS)]) / _PDQ_CALLS

    def theirs() -> float:
        return wall_seconds(lambda: pdqhash.compute(rgb))

    values, yardsticks = interleaved(ours, theirs, rounds=31)
    return row("pdq", "one 720p luma frame", "pdqhash.compute", values, yardsticks)


def _clip_row(name: str, yardstick_name: str, path: Path, yardstick: Any) -> Row:
    values, yardsticks = interleaved(
        lambda: hash_clip(path), lambda: cpu_seconds(lambda: yardstick(path)), rounds=6
    )
    return row(name, "10 s of 720p, bytes to signals", yardstick_name, values, yardsticks)


def _vpdq(path: Path) -> list[npt.NDArray[Any]]:
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


def _decode(path: Path) -> int:
    """PyAV alone, decoding what the sampler of today needs: every frame."""
    with av.open(io.BytesIO(path.read_bytes()), "r") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))
