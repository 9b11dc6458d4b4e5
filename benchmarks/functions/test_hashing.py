"""How fast frames and clips are hashed, and how much of that is decoding."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import av
import numpy as np
import numpy.typing as npt
import pdqhash
import pytest

from benchmarks.functions.suite import Against
from benchmarks.media import clip_720p, looped, short_1080p
from benchmarks.pipeline import signals_of_clip
from hashmatch.engine.hashing import pdq

_PDQ_CALLS: Final = 40
# Enough: the spread of fifteen was 1 % of processor time.
_ROUNDS: Final = 9


def test_pdq(against: Against) -> None:
    """``pdq``: one frame, one thread."""
    with av.open(str(clip_720p("each_second"))) as container:
        frame = next(container.decode(video=0))
    rgb = frame.to_ndarray(format="rgb24")
    luma = np.asarray(frame.to_ndarray(format="gray"), np.uint8)[None]

    def ours() -> None:
        for _ in range(_PDQ_CALLS):
            pdq.digest(luma)

    against(
        "pdq",
        "one 720p luma frame",
        "pdqhash.compute",
        ours,
        lambda: pdqhash.compute(rgb),
        rounds=31,
        calls=_PDQ_CALLS,
    )


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


# What the sampler chooses of either clip, as FFmpeg's own switch for it.
_MODES: Final[dict[str, Literal["NONKEY", "NONREF"]]] = {"each_second": "NONKEY", "one": "NONREF"}


# Between key frames it decodes up to secret instants: so many frames, on average of its seeds.
_TO_INSTANTS: Final = 13


def _decode(path: Path) -> int:
    """PyAV alone, decoding what the sampler chooses."""
    with av.open(io.BytesIO(path.read_bytes()), "r") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.skip_frame = "NONREF"
        count = 0
        for packet in container.demux(stream):
            count += len(packet.decode())
            if count > _TO_INSTANTS:
                stream.codec_context.skip_frame = _MODES[path.stem.removeprefix("720p_")]
        return count


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("key_frames", ["each_second", "one"])
@pytest.mark.parametrize(
    ("name", "yardstick_name", "yardstick"),
    [("hash_clip", "the vPDQ recipe", _vpdq), ("decode_floor", "decoding alone", _decode)],
)
def test_clip(
    against: Against,
    name: str,
    yardstick_name: str,
    yardstick: Callable[[Path], object],
    key_frames: str,
) -> None:
    """``hash_clip_*`` and ``decode_floor_*``: processor seconds, one thread."""
    against(
        f"{name}_{key_frames}",
        "10 s of 720p, bytes to signals",
        yardstick_name,
        signals_of_clip,
        yardstick,
        rounds=_ROUNDS,
        arguments=lambda: (clip_720p(key_frames),),
    )


@pytest.mark.benchmark(timer=time.process_time)
def test_long(against: Against, tmp_path: Path) -> None:
    """``hash_long_1080p``: a second of five minutes costs what a second of thirty does."""
    short = short_1080p()
    long = looped(short, tmp_path / "long.mp4", 75)
    less = looped(short, tmp_path / "less.mp4", 8)
    against(
        "hash_long_1080p",
        "a second of five minutes of 1080p",
        "a second of half a minute",
        lambda: signals_of_clip(long),
        lambda: signals_of_clip(less),
        rounds=3,
        warm_up=False,
        calls=300,
        yardstick_calls=32,
    )
