"""Runs the whole path once before the first upload, so that no upload waits for it.

Kernels compile, and PyAV and Pillow load parts of themselves, when they are first used.
"""

from __future__ import annotations

import io
import tempfile

import av
import numpy as np

from hashmatch.channel import Job
from hashmatch.media.source import FileSource
from hashmatch.media.tally import Tally
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind
from hashmatch.sampling.frames import Density
from hashmatch.worker.inspect import inspect

__all__ = ["warm_up"]

_JOB = Job(
    kinds=(Kind.PDQ,),
    turns=True,
    density=Density(max_gap_ms=1000, change_bits=60),
    max_duration_ms=60_000,
    max_frame_pixels=1 << 20,
)


def warm_up() -> None:
    """Decodes and hashes a small clip that it makes itself, in memory."""
    with tempfile.TemporaryFile() as file:
        file.write(_clip())
        file.flush()
        inspect(FileSource(file), _JOB, _discard)


def _discard(signals: list[Signals], tally: Tally) -> None:
    """Nobody wants these hashes."""


def _clip() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height = 64, 64
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        for _ in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise)))
        container.mux(stream.encode())
    return buffer.getvalue()
