"""What attacks are made of: frames at a steady rate through libavfilter, and the upload's file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeVar

import av
import numpy as np
import numpy.typing as npt

from fixtures.transcode import decode, filtered, write_clip

__all__ = [
    "LONG_SIDE",
    "RGB",
    "Attack",
    "Material",
    "Strength",
    "Upload",
    "endless",
    "filling",
    "fit",
    "frames",
    "pictures",
    "to_frames",
    "write",
]

T = TypeVar("T")

RGB = npt.NDArray[np.uint8]

# What an attack chose within its range, for the report.
Strength = dict[str, float | str]

# Longest side of an upload in pixels: enough for any hash, and cheap to encode.
LONG_SIDE: Final = 640

# As a phone's or an editor's export: ordinary quality, and quick to make.
_ORDINARY: Final[Mapping[str, str]] = {"preset": "veryfast", "crf": "26"}

# Display matrices of a track header for pictures stored with so many quarter turns clockwise, so
# that players turn them back. 16.16 fixed point, the last one 2.30. Source: ISO/IEC 14496-12.
_ONE: Final = 0x10000
_MATRICES: Final = {
    1: (0, -_ONE, 0, _ONE, 0, 0, 0, 0, 0x40000000),
    2: (-_ONE, 0, 0, 0, -_ONE, 0, 0, 0, 0x40000000),
    3: (0, _ONE, 0, -_ONE, 0, 0, 0, 0, 0x40000000),
}


@dataclass(frozen=True, slots=True)
class Material:
    """What an attack works on: the clip, a clip that is not listed, and chance."""

    source: Path
    host: Path
    rng: np.random.Generator
    width: int  # Of the source as it is displayed, in pixels.
    height: int
    seconds: float
    rate: Fraction  # Frames per second of the source; every upload has it unless it says otherwise.

    @classmethod
    def of(cls, source: Path, host: Path, rng: np.random.Generator) -> Material:
        """Reads the source's header and its first frame."""
        with av.open(str(source)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or Fraction(25)
            duration = container.duration or 0
        first = next(iter(decode(source)))
        seconds = duration / 1_000_000
        return cls(source, host, rng, first.width, first.height, seconds, rate)

    def between(self, low: float, high: float) -> float:
        """A chance value of the range, with three digits after the point."""
        return round(float(self.rng.uniform(low, high)), 3)

    def one_of(self, *choices: float) -> float:
        """A chance one of the choices."""
        return choices[int(self.rng.integers(len(choices)))]


@dataclass(frozen=True, slots=True)
class Upload:
    """What an attack gives: frames in order, ``rate`` a second, and how to encode them."""

    frames: Iterable[av.VideoFrame]
    strength: Strength
    rate: Fraction
    codec: str = "libx264"
    options: Mapping[str, str] = field(default_factory=lambda: _ORDINARY)
    gop: int | None = None  # Most frames from one key frame to the next; None: the encoder's own.
    stored_turns: int = 0  # Quarter turns clockwise that a display matrix takes back.


@dataclass(frozen=True, slots=True)
class Attack:
    """One way to evade."""

    make: Callable[[Material], Upload]
    suffix: str = ".mp4"


def frames(
    path: Path, rate: Fraction, filters: str = "", start_s: float = 0.0, end_s: float | None = None
) -> Iterator[av.VideoFrame]:
    """The clip as it is displayed, ``rate`` frames a second, through a libavfilter chain; or its
    frames from ``start_s`` to before ``end_s``.
    """
    steady = filtered(decode(path), f"fps={rate},{filters}")
    last = None if end_s is None else round(end_s * rate)
    return itertools.islice(steady, round(start_s * rate), last)


def pictures(path: Path, rate: Fraction, filters: str = "") -> Iterator[RGB]:
    """`frames` as RGB uint8 ``[h, w, 3]`` that may be drawn on."""
    for frame in frames(path, rate, f"{filters},format=rgb24"):
        yield np.array(frame.to_ndarray(), np.uint8)


def endless(make: Callable[[], Iterator[T]]) -> Iterator[T]:
    """A clip played again and again."""
    while True:
        yield from make()


def fit(long_side: int) -> str:
    """A chain that gives square pixels, even sizes (4:2:0 needs them) and no longer side."""
    shrink = f"min(1\\,{long_side}/max(iw\\,ih))"
    width, height = f"2*trunc(iw*{shrink}/2)", f"2*trunc(ih*{shrink}/2)"
    return f"scale=w={width}:h={height},setsar=1,format=yuv420p"


def filling(width: int, height: int) -> str:
    """A chain that fills a canvas of that many pixels; what stands out is cut off."""
    return (
        f"scale={width}:{height}:force_original_aspect_ratio=increase,"
        f"crop={width}:{height},setsar=1,format=yuv420p"
    )


def to_frames(drawn: Iterable[RGB], rate: Fraction) -> Iterator[av.VideoFrame]:
    """RGB uint8 ``[h, w, 3]`` as frames."""
    made = (av.VideoFrame.from_ndarray(rgb, format="rgb24") for rgb in drawn)
    return _numbered(made, rate)


def write(target: Path, upload: Upload) -> None:
    """Encodes an upload; the same one gives the same bytes."""
    shrunk = filtered(_numbered(upload.frames, upload.rate), fit(LONG_SIDE))
    write_clip(
        target,
        _numbered(shrunk, upload.rate),
        rate=upload.rate,
        codec=upload.codec,
        options=upload.options,
        gop=upload.gop,
    )
    if upload.stored_turns:
        _tag(target, upload.stored_turns)


def _numbered(shown: Iterable[av.VideoFrame], rate: Fraction) -> Iterator[av.VideoFrame]:
    """One after the other, whatever times they had where they come from."""
    for number, frame in enumerate(shown):
        frame.pts, frame.time_base = number, 1 / rate
        yield frame


def _tag(target: Path, turns: int) -> None:
    """Writes a display matrix into the only track of an MP4."""
    data = bytearray(target.read_bytes())
    # The matrix of the track header stands 40 bytes behind the start of its version-0 fields.
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = b"".join(
        value.to_bytes(4, "big", signed=True) for value in _MATRICES[turns]
    )
    target.write_bytes(data)
