"""Chunks of AVI that its demuxer leaves out."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any

import av
import pytest

from hashmatch.decoding.channel import Job
from hashmatch.decoding.media.riff import empty_chunks
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine.sampling import densities
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import Kind, VerdictReason
from tests.support import picture


def avi(repeated: Sequence[int], frames: int = 30) -> bytes:
    """A film whose frames of these numbers are none: the one before is shown for longer."""
    target = io.BytesIO()
    with av.open(target, "w", format="avi") as output:
        stream: Any = output.add_stream("mpeg4", rate=15)
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        for number in range(frames):
            if number in repeated:
                continue
            frame = av.VideoFrame.from_ndarray(picture(number // 10), format="rgb24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return target.getvalue()


def with_chunks(data: bytes, name: bytes, count: int) -> bytes:
    """With so many empty chunks at the end of its pictures, counted by the header."""
    end = data.index(b"idx1")
    made = bytearray(data[:end] + (name + bytes(4)) * count + data[end:])
    header = made.index(b"strh") + 8 + 32
    total = struct.unpack_from("<I", made, header)[0]
    struct.pack_into("<I", made, header, total + count)
    movi = made.index(b"movi") - 4
    for at in (4, movi):
        struct.pack_into("<I", made, at, struct.unpack_from("<I", made, at)[0] + 8 * count)
    return bytes(made)


def reasons(data: bytes) -> list[VerdictReason]:
    """Why not all of it was looked at."""
    job = Job((Kind.PDQ,), False, densities.UPLOAD, DecodeLimits(60_000, 1 << 20), seed=1)
    done = inspect(BytesSource(data), job, lambda signals, tally: None)
    return [each.code for each in done.reasons]


@pytest.mark.parametrize("repeated", [(5,), (5, 6, 7, 20), (28,)])
def test_frames_that_repeat_are_not_missed(repeated: tuple[int, ...]) -> None:
    """What ordinary programs write would be TRUNCATED, again and again."""
    data = avi(repeated)
    assert empty_chunks(BytesSource(data), 0) == len(repeated)
    assert reasons(data) == []


def test_frames_that_repeat_at_the_end_are_not_missed() -> None:
    """Whoever stops a recording while nothing moves could not upload it."""
    data = with_chunks(avi(()), b"00dc", 4)
    assert empty_chunks(BytesSource(data), 0) == 4
    assert reasons(data) == []


def test_frames_that_are_missing_are_missed() -> None:
    """What was cut off would never be looked at: other streams' chunks count for nothing."""
    data = with_chunks(avi(()), b"01dc", 4)
    assert empty_chunks(BytesSource(data), 0) == 0
    assert VerdictReason.TRUNCATED in reasons(data)
