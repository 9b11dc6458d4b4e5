"""Clips to measure on: made once by script, kept in ``.cache``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import av

from fixtures.clips import pan
from fixtures.generate import build
from fixtures.transcode import transcode, write_clip

__all__ = ["CACHE", "clip_720p", "fixtures", "kept", "looped", "short_1080p", "short_clip"]

CACHE: Final = Path(__file__).resolve().parent.parent / ".cache" / "benchmarks"
_SECONDS: Final = 10.0


def fixtures() -> Path:
    """Folder of the generated media."""
    return build(CACHE.parent / "fixtures")


def clip_720p(key_frames: str) -> Path:
    """10 s of 720p H.264 at 25 frames a second, with B-frames as a phone's upload has them.

    ``key_frames``: "each_second" or "one".
    """

    def make(target: Path) -> None:
        write_clip(
            target,
            pan("astronaut", _SECONDS, size=(1280, 720)),
            rate=25,
            options={"preset": "veryfast", "crf": "23", "sc_threshold": "0"},
            gop=25 if key_frames == "each_second" else 10_000,
        )

    return kept(CACHE / f"720p_{key_frames}.mp4", make)


def short_clip(suffix: str) -> Path:
    """10 s of 360p: faststart MP4 with H.264 (".mp4"), or WebM with VP8 (".webm")."""

    def make(target: Path) -> None:
        options = {"b": "500k", "deadline": "realtime", "cpu-used": "8"}
        transcode(
            clip_720p("each_second"),
            target,
            filters="scale=640:360",
            codec="libvpx" if suffix == ".webm" else "libx264",
            options=options if suffix == ".webm" else {"crf": "26"},
        )

    return kept(CACHE / f"360p{suffix}", make)


def short_1080p(folder: Path = CACHE) -> Path:
    """Four seconds of 1080p H.264 with a key frame a second."""

    def make(target: Path) -> None:
        write_clip(
            target,
            pan("astronaut", 4.0, size=(1920, 1080)),
            options={"preset": "ultrafast", "crf": "40"},
            gop=25,
        )

    return kept(folder / "1080p.mp4", make)


def kept(target: Path, make: Callable[[Path], None]) -> Path:
    """A file that is made unless it is there, and is there only as a whole."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        making = target.with_suffix(f".making{target.suffix}")
        make(making)
        making.rename(target)
    return target


def looped(source: Path, target: Path, times: int) -> Path:
    """``source`` shown so many times, one after the other, without encoding anything anew."""
    with (
        av.open(str(target), "w", options={"movflags": "faststart"}) as output,
        av.open(str(source)) as first,
    ):
        stream = output.add_stream_from_template(first.streams.video[0])
        packets = [packet for packet in first.demux(video=0) if packet.dts is not None]
        lasts = sum(packet.duration or 0 for packet in packets)
        for _ in range(times):
            for packet in packets:
                packet.stream = stream
                output.mux(packet)
                packet.pts, packet.dts = (packet.pts or 0) + lasts, (packet.dts or 0) + lasts
    return target
