"""One stream on its way through its decoder: what went in and did not come out is told."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from fixtures.transcode import REPEATABLE
from hashmatch.decoding.media import video
from hashmatch.decoding.media.formats import sniff
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.media.tally import Tally
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import VerdictReason

FRAMES = 60
WITHOUT_B_FRAMES = 30  # More than FFmpeg looks at before it begins.


def clip(rate: Fraction | int, options: Mapping[str, str]) -> bytes:
    """H.264 whose frames are out of order from the middle on."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4", options=dict(options)) as output:
        stream = output.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.gop_size = 10 * FRAMES
        stream.codec_context.thread_count = 1
        stream.options = {
            "bframes": "3",
            "b-adapt": "0",
            "sc_threshold": "0",
            **REPEATABLE["libx264"],
        }
        y, x = np.mgrid[:180, :320]
        for number in range(FRAMES):
            red, green = np.sin(x / 20 + number / 3), np.cos(y / 15 + number / 5)
            blue = (x + y + 3 * number) % 256 / 128 - 1
            picture = (128 + 100 * np.stack([red, green, blue], axis=-1)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if number < WITHOUT_B_FRAMES:
                frame.pict_type = PictureType.P if number else PictureType.I
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return target.getvalue()


class Bits:
    """Reads a parameter set. Source: ITU-T H.264, 7.2 and 9.1."""

    def __init__(self, data: bytes) -> None:
        """At the first bit."""
        self.all = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def fixed(self, count: int) -> int:
        """u(n)."""
        self.at += count
        return int(self.all[self.at - count : self.at], 2)

    def coded(self) -> int:
        """ue(v)."""
        zeros = self.all.index("1", self.at) - self.at
        self.at += zeros
        return self.fixed(zeros + 1) - 1


def not_saying_how_far_out_of_order(clip: bytes) -> bytes:
    """Without the part of its parameter set that does. Source: ITU-T H.264, 7.3.2.1.1."""
    at = clip.index(b"avcC") + 12
    length = int.from_bytes(clip[at - 2 : at], "big")
    bits = Bits(clip[at : at + length])
    bits.fixed(8)
    high = bits.fixed(8) >= 100
    bits.fixed(16)
    bits.coded()
    if high:
        for _ in range(3):
            bits.coded()
        bits.fixed(2)
    for _ in range(4):  # Frame numbers, order counts (of type 0), reference frames.
        bits.coded()
    bits.fixed(1)
    bits.coded()
    bits.coded()
    if not bits.fixed(1):
        bits.fixed(1)
    bits.fixed(1)
    if bits.fixed(1):
        for _ in range(4):
            bits.coded()
    assert bits.fixed(1) == 1  # There is such a part.
    kept = bits.all[: bits.at - 1] + "01"
    kept = kept.ljust(8 * length, "0")
    changed = bytes(int(kept[i : i + 8], 2) for i in range(0, len(kept), 8))
    return clip[:at] + changed + clip[at + length :]


def decode(data: bytes) -> tuple[Tally, list[int]]:
    """As uploads are; when the frames are shown that were looked at, the last time they were."""
    source, tally = BytesSource(data), Tally()
    video_format = sniff(source)
    assert video_format is not None
    limits = DecodeLimits(3_600_000, 1 << 24)
    batches = video.frames(source, video_format, limits, tally, max_gap_ms=1000, seed=0)
    times = [int(batch.pts_ms[0]) for batch in batches]
    starts = [number for number, pts_ms in enumerate(times) if pts_ms == 0]
    return tally, times[starts[-1] :]


FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


@pytest.mark.parametrize("options", [{}, FRAGMENTS], ids=["whole", "fragments"])
def test_frames_out_of_order_all_come_out(options: dict[str, str]) -> None:
    """Ordinary clips would be told to be damaged."""
    tally, times = decode(clip(Fraction(1, 2), options))
    assert tally.reasons == []
    assert times == [2000 * number for number in range(FRAMES)]


def test_a_table_of_times_says_how_far_out_of_order() -> None:
    """It is the header of an MP4, and not its first frames, that FFmpeg is asked to learn from."""
    tally, times = decode(not_saying_how_far_out_of_order(clip(Fraction(1, 2), {})))
    assert tally.reasons == []
    assert len(times) == FRAMES


def test_a_frame_that_the_decoder_drops_is_told() -> None:
    """Four seconds would go unseen, in which a player shows a picture for two, without a word."""
    tally, times = decode(not_saying_how_far_out_of_order(clip(Fraction(1, 2), FRAGMENTS)))
    assert len(times) < FRAMES
    assert [reason.code for reason in tally.reasons] == [VerdictReason.CORRUPT]
    assert tally.frames_lost == FRAMES - len(times)


def test_a_frame_among_others_may_be_dropped() -> None:
    """What is next to it was looked at: no reason to hold an upload back."""
    tally, times = decode(not_saying_how_far_out_of_order(clip(25, FRAGMENTS)))
    assert tally.reasons == []
    assert max(after - before for before, after in itertools.pairwise(times)) <= 1000
