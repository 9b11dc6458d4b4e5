"""Long uploads, made of a short one by showing it again and again."""

from __future__ import annotations

from pathlib import Path

import av

from fixtures.clips import pan
from fixtures.transcode import write_clip

__all__ = ["looped", "short_1080p"]

_SECONDS = 4.0


def short_1080p(folder: Path) -> Path:
    """Four seconds of 1080p H.264 with a key frame a second; made unless it is there."""
    target = folder / "1080p.mp4"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        making = target.with_suffix(".making.mp4")
        write_clip(
            making,
            pan("astronaut", _SECONDS, size=(1920, 1080)),
            options={"preset": "ultrafast", "crf": "40"},
            gop=25,
        )
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
