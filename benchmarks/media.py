"""Clips to measure on: made once by script, kept in ``.cache``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fixtures.clips import pan
from fixtures.generate import build
from fixtures.transcode import transcode, write_clip

__all__ = ["CACHE", "clip_720p", "fixtures", "short_clip"]

CACHE: Final = Path(__file__).resolve().parent.parent / ".cache" / "benchmarks"
_SECONDS: Final = 10.0


def fixtures() -> Path:
    """Folder of the generated media."""
    return build(CACHE.parent / "fixtures")


def clip_720p(key_frames: str) -> Path:
    """10 s of 720p H.264 at 25 frames a second, with B-frames as a phone's upload has them.

    ``key_frames``: "each_second" or "one".
    """
    target = CACHE / f"720p_{key_frames}.mp4"
    if not target.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        making = target.with_suffix(".making.mp4")
        write_clip(
            making,
            pan("astronaut", _SECONDS, size=(1280, 720)),
            rate=25,
            options={"preset": "veryfast", "crf": "23", "sc_threshold": "0"},
            gop=25 if key_frames == "each_second" else 10_000,
        )
        making.rename(target)
    return target


def short_clip(suffix: str) -> Path:
    """10 s of 360p: faststart MP4 with H.264 (".mp4"), or WebM with VP8 (".webm")."""
    target = CACHE / f"360p{suffix}"
    if not target.exists():
        making = target.with_suffix(f".making{suffix}")
        options = {"b": "500k", "deadline": "realtime", "cpu-used": "8"}
        transcode(
            clip_720p("each_second"),
            making,
            filters="scale=640:360",
            codec="libvpx" if suffix == ".webm" else "libx264",
            options=options if suffix == ".webm" else {"crf": "26"},
        )
        making.rename(target)
    return target
