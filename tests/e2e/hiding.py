"""Films that lie behind covers, and whether a screening finds them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType
from PIL import Image

from fixtures.clips import pan
from hashmatch.decoding.channel import Job
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine.hashing import pdq
from hashmatch.engine.sampling import densities
from hashmatch.model.records import Coverage, DecodeLimits
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind
from tests.support import TORTURE

__all__ = [
    "NEAR",
    "RATE",
    "SEEDS",
    "SIZE",
    "Picture",
    "encoded",
    "is_found",
    "near_pictures",
    "pictures",
    "timed",
]

SIZE = (320, 180)
RATE = 25
SECONDS = 6
SEEDS = range(200 if TORTURE else 20)  # Of as many screenings of each film.
NEAR = 31  # Bits: as near as lists are matched.

Picture = npt.NDArray[np.uint8]


@lru_cache
def pictures() -> tuple[Picture, tuple[Picture, ...]]:
    """A cover, and the frames of a film."""
    cover = next(iter(pan("coffee", 1.0, size=SIZE)))
    return cover, tuple(pan("astronaut", SECONDS, size=SIZE))[: SECONDS * RATE]


@lru_cache
def near_pictures() -> tuple[Picture, Picture]:
    """A cover that is not found, and a frame of the film that is too near to it to be hashed for
    its change alone.
    """
    cover, film = pictures()
    shown = film[70]
    for part in np.linspace(0.02, 0.9, 80):
        mixed = ((1 - part) * shown + part * cover).astype(np.uint8)
        if NEAR < bits_apart(mixed, shown) <= densities.UPLOAD.change_bits - 2:
            return mixed, shown
    raise AssertionError("no mixture is as far from the film as that")


@lru_cache
def listed() -> npt.NDArray[np.uint8]:
    """Hashes of the film."""
    return pdq.digest(np.stack([luma_of(each) for each in pictures()[1][::5]]))[0]


def bits_apart(one: Picture, other: Picture) -> int:
    """Between the hashes of two pictures."""
    first, second = pdq.digest(np.stack([luma_of(one), luma_of(other)]))[0]
    return int(np.bitwise_count(first ^ second).sum())


def is_found(data: bytes, seed: int) -> tuple[bool, Coverage]:
    """Whether a hash of an upload is as near to a frame of the film as lists are matched."""
    job = Job((Kind.PDQ,), True, densities.UPLOAD, DecodeLimits(60_000, 1 << 22), seed=seed)
    found: list[Signals] = []
    done = inspect(BytesSource(data), job, lambda signals, _: found.extend(signals))
    if not found:
        return False, done.coverage
    digests = np.concatenate([each.digests for each in found])
    apart = np.bitwise_count(digests[:, None] ^ listed()).sum(axis=-1)
    return bool((apart <= NEAR).any()), done.coverage


def luma_of(picture: Picture) -> Picture:
    """As a grey picture."""
    return np.asarray(Image.fromarray(picture).convert("L"))


def encoded(
    shown: Sequence[tuple[int, Picture]],
    keys: frozenset[int],
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    kinds: Sequence[PictureType] | None = None,
    form: str = "",
    form_options: dict[str, str] | None = None,
) -> bytes:
    """A film of pictures that begin at so many ms each; ``keys``: numbers of key frames."""
    target = io.BytesIO()
    form = form or ("webm" if codec.startswith("libvpx") else "mp4")
    with av.open(target, "w", format=form, options=form_options or {}) as output:
        stream: Any = output.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = (
            *SIZE,
            "yuvj420p" if codec == "mjpeg" else "yuv420p",
        )
        stream.codec_context.gop_size = 10_000
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"sc_threshold": "0", "preset": "veryfast", **(options or {})}
        for number, (pts_ms, picture) in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = pts_ms, Fraction(1, 1000)
            if number in keys:
                frame.pict_type = PictureType.I
            elif kinds is not None:
                frame.pict_type = kinds[number]
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return target.getvalue()


def timed(pictures: Iterator[Picture]) -> list[tuple[int, Picture]]:
    """Each shown for 40 ms."""
    return [(number * 1000 // RATE, picture) for number, picture in enumerate(pictures)]
