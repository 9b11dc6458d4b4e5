"""Digests to search among: of pictures, of pictures much like them, and random ones; as signals."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt

from benchmarks.media import CACHE, fixtures, kept
from hashmatch.engine.hashing import pdq
from hashmatch.model.signals import Signals, view_code
from hashmatch.model.verdicts import Kind, Part

__all__ = ["Bytes", "digests", "signals_of"]

Bytes = npt.NDArray[np.uint8]

_PICTURES: Final = 20_000
_FRAMES_A_CLIP: Final = 40
_SMALLEST_CROP: Final = 0.5


def digests(count: int, seed: int = 0) -> Bytes:
    """Digests as a blocklist has them, in any order. uint8 ``[count, 32]``.

    A tenth are of frames of clips, cropped anyhow, at most 20,000; as many are like them, up to
    40 bits away; the others are random. Clips are those of HASHMATCH_CORPUS, or else generated.
    """
    rng = np.random.default_rng(seed)
    made = rng.integers(0, 256, (count, 32), np.uint8)
    pictures = _pictures()[: count // 10]
    made[: len(pictures)] = pictures
    made[len(pictures) : 2 * len(pictures)] = _like(pictures, rng)
    rng.shuffle(made)
    return made


def _like(pictures: Bytes, rng: np.random.Generator) -> Bytes:
    flips = rng.random((len(pictures), 256)).argsort(axis=1) < rng.integers(
        0, 41, (len(pictures), 1)
    )
    return pictures ^ np.packbits(flips, axis=1)


def _pictures() -> Bytes:
    folder = os.environ.get("HASHMATCH_CORPUS")

    def make(target: Path) -> None:
        clips = Path(folder) if folder else fixtures() / "clips"
        np.save(target, _hashed(sorted(clips.iterdir())))

    made: Bytes = np.load(kept(CACHE / f"digests_{'corpus' if folder else 'fixtures'}.npy", make))
    return made


def _hashed(clips: list[Path]) -> Bytes:
    """Crops of the clips' key frames, from whole ones to those of half the width and height; each
    clip as many.
    """
    rng = np.random.default_rng(0)
    frames = [frame for path in clips for frame in _key_frames(path)]
    made = np.empty((_PICTURES, 32), np.uint8)
    for number in range(_PICTURES):
        frame = frames[number % len(frames)]
        height, width = (
            int(side * rng.uniform(_SMALLEST_CROP, 1)) for side in (frame.shape[0], frame.shape[1])
        )
        top = int(rng.integers(0, frame.shape[0] - height + 1))
        left = int(rng.integers(0, frame.shape[1] - width + 1))
        made[number] = pdq.digest(frame[None, top : top + height, left : left + width])[0][0]
    return made


def _key_frames(path: Path) -> Iterator[Bytes]:
    with av.open(str(path)) as container:
        if not container.streams.video:
            return
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONKEY"
        for number, frame in enumerate(container.decode(stream)):
            if number == _FRAMES_A_CLIP:
                return
            yield np.asarray(frame.to_ndarray(format="gray"), np.uint8)


def signals_of(rows_of: Bytes) -> Signals:
    """Digests as signals of a video with a frame a second."""
    count = len(rows_of)
    return Signals(
        Kind.PDQ,
        rows_of,
        np.full(count, 100, np.uint8),
        np.arange(count, dtype=np.int64) * 1000,
        np.full(count, view_code(Part.FULL), np.uint8),
    )
