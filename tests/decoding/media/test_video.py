"""Videos through PyAV: every stream and frame there is, as displayed, or a reason why not."""

from __future__ import annotations

import io
import itertools
import math
import struct
import tempfile
import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from hashmatch.decoding.media import video
from hashmatch.decoding.media.completeness import missing_bytes
from hashmatch.decoding.media.formats import sniff
from hashmatch.decoding.media.source import BytesSource, FileSource, Source
from hashmatch.decoding.media.tally import Tally
from hashmatch.engine.hashing import pdq
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.engine.sampling.frames import Chosen, Density, FrameChooser
from hashmatch.errors import MediaError
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import Part, VerdictReason
from tests import films

Plane = npt.NDArray[np.uint8]
SIZE = 96, 128
CLUSTER = b"\x1f\x43\xb6\x75"  # Begins a stretch of frames in Matroska.


@lru_cache
def scene(number: int, height: int = SIZE[0], width: int = SIZE[1]) -> Plane:
    """A textured plane in limited range; numbers that are far apart look different."""
    rng = np.random.default_rng(number // 1000)
    y = np.linspace(0, 2 * np.pi, height)[:, None]
    x = np.linspace(0, 2 * np.pi, width)[None, :]
    picture = np.zeros((height, width))
    for _ in range(30):
        rows, columns = rng.uniform(-7, 7, 2)
        phase = rng.uniform(0, 2 * np.pi) + number % 1000 * 0.05
        picture += np.sin(rows * y + columns * x + phase) / (1 + np.hypot(rows, columns))
    picture -= picture.min()
    plane: Plane = (picture / picture.max() * 219 + 16).astype(np.uint8)
    return plane


def frame_of(plane: Plane, pixel_format: str = "yuv420p") -> av.VideoFrame:
    """A colourless frame."""
    rows = np.concatenate([plane, np.full((plane.shape[0] // 2, plane.shape[1]), 128, np.uint8)])
    return av.VideoFrame.from_ndarray(rows, format="yuv420p").reformat(format=pixel_format)


def add_stream(output: av.container.OutputContainer, codec: str, rate: int, **options: str) -> Any:
    """A video stream of scenes."""
    stream: Any = output.add_stream(codec, rate=rate, options=options)
    stream.height, stream.width = SIZE
    stream.bit_rate = 4_000_000
    return stream


def encoded(
    stream: Any, scenes: list[int], times: list[int] | None = None, pixel_format: str = "yuv420p"
) -> Iterator[av.Packet[Any]]:
    """Packets of a stream; ``times`` in frames."""
    stream.pix_fmt = pixel_format
    for number, each in enumerate(scenes):
        frame = frame_of(scene(each), pixel_format)
        frame.pts = times[number] if times else number
        frame.time_base = Fraction(1, round(stream.codec_context.framerate))
        yield from stream.encode(frame)
    yield from stream.encode()


def clip(
    container: str = "mp4",
    codec: str = "mpeg4",
    *,
    scenes: int = 25,
    rate: int = 10,
    times: list[int] | None = None,
    pixel_format: str = "yuv420p",
    movflags: str = "",
    **options: str,
) -> bytes:
    """A short clip; ``options`` are the encoder's."""
    container_options = {"movflags": movflags} if movflags else {}
    with tempfile.NamedTemporaryFile() as file:
        with av.open(file.name, "w", format=container, options=container_options) as output:
            stream = add_stream(output, codec, rate, **{"g": "10", **options})
            for packet in encoded(stream, list(range(scenes)), times, pixel_format):
                output.mux(packet)
        return file.read()


def frames(
    source: bytes | Source,
    *,
    max_gap_ms: int = 1000,
    max_duration_ms: int = 3_600_000,
    max_frame_pixels: int = 1 << 24,
) -> tuple[list[FrameBatch], Tally]:
    """What is seen of a file, and what is told of it; a refusal is told as a reason."""
    if isinstance(source, bytes):
        with tempfile.TemporaryFile() as file:
            file.write(source)
            file.flush()
            return frames(
                FileSource(file),
                max_gap_ms=max_gap_ms,
                max_duration_ms=max_duration_ms,
                max_frame_pixels=max_frame_pixels,
            )
    tally = Tally()
    choosers: dict[tuple[int, Part], FrameChooser[FrameBatch]] = {}
    chosen: list[Chosen[FrameBatch]] = []
    video_format = sniff(source)
    assert video_format is not None
    limits = DecodeLimits(max_duration_ms, max_frame_pixels)
    density = Density(max_gap_ms, change_bits=256)
    try:
        for batch in video.frames(source, video_format, limits, tally, max_gap_ms=0, seed=0):
            key = batch.stream, batch.part
            chooser = choosers.setdefault(key, FrameChooser(density, never_asked))
            chosen += chooser.offer(int(batch.pts_ms[0]), batch)
    except MediaError as error:
        tally.add_reason(error.code, error.detail)
    for chooser in choosers.values():
        chosen += chooser.finish()
        tally.largest_gap_ms = max(tally.largest_gap_ms, chooser.largest_gap_ms)
    return [each.frame for each in chosen], tally


def never_asked(batch: FrameBatch) -> int:
    """A sketch that differs in no bit."""
    return 0


def times(batches: list[FrameBatch]) -> list[int]:
    """When each chosen frame is shown."""
    return [int(batch.pts_ms[0]) for batch in batches]


def codes(tally: Tally) -> list[VerdictReason]:
    """The reasons why not everything was looked at."""
    return [reason.code for reason in tally.reasons]


def distance(batch: FrameBatch, plane: Plane) -> int:
    """By how many bits a frame's PDQ differs from that of a plane."""
    found, _ = pdq.digest(batch.luma, gain=batch.gain)
    expected, _ = pdq.digest(plane[None])
    return int(np.bitwise_count(found[0] ^ expected[0]).sum())


CONTAINERS = {
    "mp4": ("mp4", "mpeg4", {}),
    "mp4 h264": ("mp4", "libx264", {}),
    "mp4 h265": ("mp4", "libx265", {"x265-params": "log-level=none"}),
    "faststart": ("mp4", "libx264", {"movflags": "faststart"}),
    "fragmented": ("mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "mov": ("mov", "mpeg4", {}),
    "matroska": ("matroska", "libx264", {}),
    "webm vp8": ("webm", "libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    "webm vp9": ("webm", "libvpx-vp9", {"deadline": "realtime"}),
    "avi": ("avi", "mpeg4", {}),
    "avi mjpeg": ("avi", "mjpeg", {"pixel_format": "yuvj420p"}),
    "avi raw": ("avi", "rawvideo", {"pixel_format": "bgr24"}),
    "flv": ("flv", "flv", {}),
    "mpegts": ("mpegts", "libx264", {}),
    "mpeg": ("mpeg", "mpeg2video", {"rate": 25, "scenes": 61}),
    "asf": ("asf", "wmv2", {}),
    "ogg": ("ogg", "libvpx", {}),
    "ten bits": ("mp4", "libx264", {"pixel_format": "yuv420p10le"}),
    "deep": ("matroska", "ffv1", {"pixel_format": "gray16le"}),
    "mov rgb": ("mov", "qtrle", {"pixel_format": "rgb24"}),
}


@lru_cache
def of_container(name: str) -> bytes:
    """One of `CONTAINERS`, two and a half seconds long."""
    container, codec, options = CONTAINERS[name]
    return clip(container, codec, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_shows_the_same(name: str) -> None:
    """A clip in another container or codec would not be recognised, or at another second."""
    batches, tally = frames(of_container(name))
    assert tally.reasons == []
    assert times(batches) == [0, 1000, 2000, 2400]
    for batch, number in zip(batches, (0, 10, 20, 24), strict=True):
        if name == "mpeg":
            number = number * 25 // 10
        assert distance(batch, scene(number)) <= 12
    assert tally.frames_decoded == (61 if name == "mpeg" else 25)
    assert (tally.width, tally.height, tally.streams) == (128, 96, 1)
    assert tally.largest_gap_ms <= 100


@pytest.mark.parametrize("name", ["mp4", "matroska", "avi", "ten bits"])
def test_qualities_agree_between_containers(name: str) -> None:
    """Frames would be too flat to match by in one container and not in another."""
    (first, *_), _ = frames(of_container(name))
    _, quality = pdq.digest(first.luma, gain=first.gain)
    assert quality[0] == 100


def faint(pixel_format: str, *, full: bool) -> int:
    """Quality of a faint picture that says its range."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = add_stream(output, "ffv1", 10)
        stream.pix_fmt = pixel_format
        stream.codec_context.color_range = 2 if full else 1
        plane = (scene(0) // 4 + 80).astype(np.uint8)
        frame = frame_of(plane)
        frame.color_range = 2 if full else 1
        if pixel_format != "yuv420p":
            frame = frame.reformat(
                format=pixel_format, src_color_range=frame.color_range, dst_color_range=1 + full
            )
        frame.pts = 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    (batch,), _ = frames(file.getvalue())
    _, quality = pdq.digest(batch.luma, gain=batch.gain)
    return int(quality[0])


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
def test_the_range_decides_how_rich_a_frame_is(pixel_format: str) -> None:
    """Frames of ordinary video would count as flatter than a player shows them."""
    limited, full = faint(pixel_format, full=False), faint(pixel_format, full=True)
    assert full < limited < 100
    assert limited == pytest.approx(full * 255 / 219, abs=9)


def turned(data: bytes, degrees: int) -> bytes:
    """With a display matrix that turns clockwise, as phones write it."""
    cos, sin = round(math.cos(math.radians(degrees))), round(math.sin(math.radians(degrees)))
    plain = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    matrix = struct.pack(">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    track = data.index(b"tkhd")
    at = data.index(plain, track)
    return data[:at] + matrix + data[at + 36 :]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_the_display_matrix_is_followed(degrees: int) -> None:
    """A clip filmed with a phone held upright would not be recognised."""
    batches, tally = frames(turned(of_container("mp4 h264"), degrees))
    shown = np.ascontiguousarray(np.rot90(scene(0), -degrees // 90))
    assert batches[0].luma.shape[1:] == shown.shape
    assert distance(batches[0], shown) <= 12
    assert tally.reasons == []


def test_every_video_stream_is_looked_at() -> None:
    """A prohibited clip would pass as the second stream of a harmless one."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        first, second = (add_stream(output, "mpeg4", 10) for _ in range(2))
        packets = [
            *encoded(first, list(range(20))),
            *encoded(second, list(range(5000, 5020))),
        ]
        for packet in sorted(packets, key=lambda packet: packet.dts or 0):
            output.mux(packet)
    batches, tally = frames(file.getvalue())
    assert (tally.streams, tally.frames_decoded, tally.reasons) == (2, 40, [])
    assert sorted(times(batches)) == [0, 0, 1000, 1000, 1900, 1900]
    for number in (0, 10, 19, 5000, 5010, 5019):
        assert min(distance(batch, scene(number)) for batch in batches) <= 12


def noisy_ts(seed: int, pid: int, first: int) -> bytes:
    """A transport stream of about a megabyte, its video under one id."""
    rng = np.random.default_rng(seed)
    with tempfile.NamedTemporaryFile() as file:
        options = {"mpegts_start_pid": f"{pid}"}
        with av.open(file.name, "w", format="mpegts", options=options) as output:
            stream = add_stream(output, "libx264", 25, g="25", crf="1", preset="ultrafast")
            stream.height, stream.width, stream.pix_fmt = 180, 320, "yuv420p"
            for number in range(40):
                noise = rng.integers(0, 256, (180, 320, 3), np.uint8)
                frame = av.VideoFrame.from_ndarray(noise).reformat(format="yuv420p")
                frame.pts, frame.time_base = first + number, Fraction(1, 25)
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
        return file.read()


@pytest.mark.parametrize("max_gap_ms", [0, 1000])
def test_a_stream_that_begins_late_is_told_of(max_gap_ms: int) -> None:
    """A prohibited clip would pass as a second stream that is not there at first."""
    both = noisy_ts(1, 0x100, 0) + noisy_ts(2, 0x140, 1000)
    source = BytesSource(both)
    video_format = sniff(source)
    assert video_format is not None
    tally = Tally()
    limits = DecodeLimits(3_600_000, 1 << 24)
    assert list(video.frames(source, video_format, limits, tally, max_gap_ms=max_gap_ms, seed=0))
    assert VerdictReason.UNSEEN_MEDIA in codes(tally)


def test_sound_is_not_waited_for() -> None:
    """A clip with sound would be taken for one without pictures, or its times be wrong."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        pictures = add_stream(output, "libx264", 10)
        sound: Any = output.add_stream("aac", rate=8000, layout="mono")
        for packet in encoded(pictures, list(range(20))):
            output.mux(packet)
        for number in range(16):
            samples = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, number * 1024
            output.mux(sound.encode(frame))
        output.mux(sound.encode())
    batches, tally = frames(file.getvalue())
    assert (tally.streams, tally.reasons) == (1, [])
    assert times(batches) == [0, 1000, 1900]


def test_times_are_those_of_presentation() -> None:
    """The uploader's frame rate, or a variable one, would decide what is looked at."""
    stamps = [0, 1, 2, 50, 51, 100, 101, 102, 103, 300]
    data = clip("matroska", "mpeg4", scenes=10, rate=50, times=stamps)
    batches, tally = frames(data)
    assert times(batches) == [0, 1000, 2000, 2060, 6000]
    assert tally.largest_gap_ms == 3940
    assert tally.reasons == []


@pytest.mark.parametrize("container", ["matroska", "mp4", "mpegts"])
def test_times_begin_at_the_first_frame(container: str) -> None:
    """Seconds of a match would be counted from a time that nothing is shown at."""
    data = clip(container, "libx264", times=list(range(50, 75)))
    batches, _ = frames(data)
    assert times(batches) == [0, 1000, 2000, 2400]


def test_a_video_that_is_decoded_whole_is_promised_whole() -> None:
    """A doubtful file of which every frame was seen would be held back as one with pieces unseen;
    or a torn one pass as seen.
    """
    data = clip("matroska", "libx264")
    _, tally = frames(data)
    coverage = tally.coverage()
    promised = coverage.longest_unseen_ms, coverage.seen_permille, coverage.miss_per_million
    assert promised == (0, 1000, 0)
    _, tally = frames(data[: len(data) * 2 // 3])
    coverage = tally.coverage()
    assert coverage == coverage.broken_off()


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_an_avi_with_b_frames_is_sampled_like_any_other(codec: str) -> None:
    """Most frames of such a file would be hashed: AVI has no presentation times to go by."""
    batches, tally = frames(clip("avi", codec, scenes=60, bf="2"))
    assert tally.frames_decoded == 60
    assert 7 <= len(batches) <= 9
    assert all(after > before for before, after in itertools.pairwise(times(batches)))


def with_pauses() -> bytes:
    """An AVI whose pictures come every half second, with empty frames between them."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="avi") as output:
        stream = add_stream(output, "mpeg4", 20)
        for number in range(6):
            frame = frame_of(scene(number * 1000))
            frame.pts = number * 10
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return buffer.getvalue()


def test_empty_frames_of_an_avi_are_not_missing() -> None:
    """Recorders write them where nothing has changed: each such file was TRUNCATED."""
    data = with_pauses()
    assert data.count(b"00dc\0\0\0\0") >= 45
    batches, tally = frames(data)
    assert (tally.frames_decoded, tally.reasons) == (6, [])
    assert times(batches) == [0, 1000, 2000, 2500]


def test_what_an_avi_lacks_beside_its_empty_frames_is_told() -> None:
    """Frames that are gone could be called empty."""
    data = bytearray(with_pauses())
    at = data.index(b"strh") + 8 + 32  # The number of frames.
    (listed,) = struct.unpack_from("<I", data, at)
    struct.pack_into("<I", data, at, listed + 1)
    _, tally = frames(bytes(data))
    assert [reason.code for reason in tally.reasons] == [VerdictReason.TRUNCATED]


def with_edit_list(data: bytes, start_ms: int, lasts_ms: int) -> bytes:
    """An mp4 that asks players to show only a part of it."""
    at = data.index(b"elst")
    timescale = struct.unpack(">I", data[(m := data.index(b"mdhd")) + 16 : m + 20])[0]
    begins = struct.unpack(">i", data[at + 16 : at + 20])[0] + start_ms * timescale // 1000
    return data[: at + 12] + struct.pack(">Ii", lasts_ms, begins) + data[at + 20 :]


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_an_edit_list_says_what_is_shown(codec: str) -> None:
    """A trimmed film would match by seconds that nobody sees, and at times that are not shown."""
    whole, _ = frames(clip("mp4", codec))
    batches, tally = frames(with_edit_list(clip("mp4", codec), 1000, 500))
    assert 5 <= tally.frames_decoded < 25
    assert tally.reasons == []
    assert times(whole)[-1] == 2400
    assert times(batches)[0] == 0
    assert times(batches)[-1] <= 600


class Arriving:
    """A file that arrives as it is asked for; tells how far it was when its end was waited for."""

    def __init__(self, data: bytes) -> None:
        """Nothing has arrived."""
        self.data = data
        self.arrived = 0

    def read_at(self, offset: int, size: int, *, whole: bool = True) -> bytes:
        """Up to ``size`` bytes, at most 2000 at once."""
        if not whole:
            size = min(size, 2000)
        self.arrived = max(self.arrived, min(offset + size, len(self.data)))
        return self.data[offset : offset + size]

    def total(self) -> int:
        """Waits for all."""
        self.arrived = len(self.data)
        return len(self.data)


@pytest.mark.parametrize(
    "name", ["faststart", "fragmented", "matroska", "webm vp8", "avi raw", "flv", "mpegts"]
)
@pytest.mark.parametrize("max_gap_ms", [0, 1000])
def test_frames_come_while_the_file_arrives(name: str, max_gap_ms: int) -> None:
    """A sure match would be found only after the whole upload."""
    data = clip(*CONTAINERS[name][:2], scenes=80, **CONTAINERS[name][2])  # type: ignore[arg-type]
    source = Arriving(data)
    video_format = sniff(source)
    assert video_format is not None
    tally = Tally()
    limits = DecodeLimits(60_000, 1 << 24)
    arrived = [
        source.arrived / len(data)
        for _ in video.frames(source, video_format, limits, tally, max_gap_ms=max_gap_ms, seed=0)
    ]
    assert tally.reasons == []
    assert arrived[0] < 0.75
    assert arrived == sorted(arrived)


def test_an_index_at_the_end_is_waited_for() -> None:
    """The most common files of all would not be decoded."""
    data = of_container("mp4 h264")
    assert data.index(b"mdat") < data.index(b"moov")
    source = Arriving(data)
    batches, tally = frames(source)
    assert (times(batches), tally.reasons) == ([0, 1000, 2000, 2400], [])


def test_an_mp4_whose_frames_lie_backwards_is_told_or_seen() -> None:
    """Frames behind the place where a stream of bytes has got to would be left out silently."""
    data = bytearray(of_container("faststart"))
    at = data.index(b"stco")
    count = struct.unpack(">I", data[at + 8 : at + 12])[0]
    offsets = struct.unpack(f">{count}I", data[at + 12 : at + 12 + 4 * count])
    data[at + 12 : at + 12 + 4 * count] = struct.pack(f">{count}I", *reversed(offsets))
    _, tally = frames(bytes(data))
    assert tally.reasons or tally.frames_decoded == 25


@pytest.mark.parametrize(
    "name",
    ["mp4", "mp4 h264", "faststart", "fragmented", "matroska", "webm vp8", "avi", "flv", "ogg"],
)
@pytest.mark.parametrize("part", [15, 50, 85, 99])
def test_a_truncated_file_is_told(name: str, part: int) -> None:
    """The beginning of a clip would pass as the whole."""
    whole = of_container(name)
    _, tally = frames(whole[: len(whole) * part // 100])
    assert codes(tally)[-1] is VerdictReason.TRUNCATED
    assert VerdictReason.CORRUPT not in codes(tally)
    assert not tally.coverage().complete


@pytest.mark.parametrize("name", ["faststart", "webm vp8", "avi"])
def test_what_came_of_a_truncated_file_is_looked_at(name: str) -> None:
    """A prohibited clip would not be recognised once its last bytes are cut off."""
    whole = of_container(name)
    batches, tally = frames(whole[: len(whole) * 9 // 10])
    assert distance(batches[0], scene(0)) <= 12
    assert times(batches)[:2] == [0, 1000]
    assert codes(tally) == [VerdictReason.TRUNCATED]


@pytest.mark.parametrize(
    "name",
    [
        *("mp4", "mp4 h264", "faststart", "matroska", "webm vp8", "webm vp9", "avi", "avi mjpeg"),
        *("flv", "ogg"),
    ],
)
def test_lost_frames_are_told(name: str) -> None:
    """Frames behind damage would not be looked at, and nobody would know."""
    whole = of_container(name)
    rng = np.random.default_rng(3)
    for _ in range(8):
        damaged = bytearray(whole)
        at = int(rng.integers(len(whole) // 10, len(whole) - 60))
        damaged[at : at + 40] = rng.bytes(40)
        _, tally = frames(bytes(damaged))
        # One frame may be merged into another without a trace.
        assert tally.reasons or tally.frames_decoded >= 24, at


def without_a_cluster() -> bytes:
    """A Matroska file with a hole where its second stretch of frames begins."""
    data = clip("matroska", "mpeg4", scenes=20, rate=1, g="1")
    hole = data.index(CLUSTER, data.index(CLUSTER) + 4)
    return data[:hole] + bytes(200) + data[hole + 200 :]


def test_damage_is_told_every_time() -> None:
    """A damaged clip would pass when it is uploaded for the second time."""
    damaged = without_a_cluster()
    told = [codes(frames(damaged)[1]) for _ in range(3)]
    assert told == [[VerdictReason.CORRUPT]] * 3


def test_a_sound_file_is_not_told_to_be_damaged_after_another() -> None:
    """Every upload after a damaged one would be INCONCLUSIVE."""
    assert codes(frames(without_a_cluster())[1]) != []
    assert codes(frames(of_container("matroska"))[1]) == []


def test_no_video_is_not_nothing_to_see() -> None:
    """A file of sound would pass as looked at."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        sound: Any = output.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 8000
        output.mux(sound.encode(frame))
        output.mux(sound.encode())
    batches, tally = frames(file.getvalue())
    assert (batches, codes(tally)) == ([], [VerdictReason.NO_PICTURE])


def test_a_video_without_frames_is_not_looked_at() -> None:
    """A file that promises a video and has none would pass."""
    whole = of_container("faststart")
    source = whole[: whole.index(b"mdat") - 4]
    _, tally = frames(source)
    assert tally.frames_decoded == 0
    assert tally.reasons


def test_too_long_by_its_header() -> None:
    """A video beyond the limit would be decoded for nothing."""
    batches, tally = frames(of_container("faststart"), max_duration_ms=2000)
    assert (batches, codes(tally)) == ([], [VerdictReason.DURATION_LIMIT])
    assert tally.duration_header_ms == 2500


def test_too_long_whatever_its_header_says() -> None:
    """A crafted header would let a file keep a worker busy for as long as it likes."""
    batches, tally = frames(of_container("mpegts"), max_duration_ms=1500)
    assert codes(tally) == [VerdictReason.DURATION_LIMIT]
    assert times(batches) == [0, 1000, 1500]


def test_a_header_that_lies_about_its_duration_is_no_number_below_zero() -> None:
    """The tally would be refused as unsound, and the worker be replaced for nothing."""
    data = bytearray(of_container("flv"))
    at = data.index(b"\0\x08duration\0") + 11
    data[at : at + 8] = struct.pack(">d", -1e9)
    _, tally = frames(bytes(data))
    assert tally.duration_header_ms == 0
    assert tally.reasons == []


def test_times_far_below_zero_are_refused() -> None:
    """A crafted file would end the worker: no hash may be that far from the start."""
    data = clip("matroska", "mpeg4", scenes=20, rate=1, g="1")
    cluster = data.index(CLUSTER)
    stamp = data.index(b"\xe7", cluster)
    width = data[stamp + 1] & 0x7F
    far = data[:stamp] + b"\xe7\x88" + (1 << 41).to_bytes(8, "big") + data[stamp + 2 + width :]
    lengths = {cluster: 8 - width, far.index(b"\x18\x53\x80\x67"): None}
    changed = bytearray(far)
    for at, more in lengths.items():
        if more is None:
            changed[at + 4 : at + 12] = b"\x01" + b"\xff" * 7
        else:
            size_bytes = 9 - changed[at + 4].bit_length()
            size = int.from_bytes(changed[at + 4 : at + 4 + size_bytes], "big") + more
            changed[at + 4 : at + 4 + size_bytes] = size.to_bytes(size_bytes, "big")
    batches, tally = frames(bytes(changed), max_duration_ms=14_400_000)
    assert VerdictReason.DURATION_LIMIT in codes(tally)
    assert all(abs(pts_ms) <= 14_400_000 for pts_ms in times(batches))
    assert 0 <= tally.coverage().duration_content_ms < 2**62


def test_too_many_pixels_are_never_decoded() -> None:
    """A small file could fill the memory of the worker."""
    data = of_container("faststart")
    pixels = SIZE[0] * SIZE[1]
    assert codes(frames(data, max_frame_pixels=pixels)[1]) == []
    batches, tally = frames(data, max_frame_pixels=pixels - 1)
    assert (batches, codes(tally)) == ([], [VerdictReason.FRAME_SIZE_LIMIT])


def test_a_frame_that_grows_is_told() -> None:
    """A stream could begin small and go on with frames that fill the memory."""
    small, large = io.BytesIO(), io.BytesIO()
    for file, (height, width) in ((small, SIZE), (large, (480, 640))):
        with av.open(file, "w", format="mpegts") as output:
            stream: Any = output.add_stream("mpeg2video", rate=25)
            stream.height, stream.width = height, width
            for number in range(8):
                frame = frame_of(scene(0, height, width))
                frame.pts, frame.time_base = number, Fraction(1, 25)
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
    both = small.getvalue() + large.getvalue()
    _, tally = frames(both, max_frame_pixels=SIZE[0] * SIZE[1])
    assert VerdictReason.CORRUPT in codes(tally)
    batches, tally = frames(both, max_frame_pixels=640 * 480)
    assert {batch.luma.shape[1:] for batch in batches} == {SIZE, (480, 640)}


def test_decoders_meet_no_other_file() -> None:
    """A playlist inside a container would make the server read its own files."""
    for data in (
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n",
        b"ffconcat version 1.0\nfile '/etc/hostname'\n",
    ):
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            assert sniff(FileSource(file)) is None
    # Each format is opened by its own demuxer only: here the bytes are those of another.
    webm = of_container("webm vp8")
    with tempfile.TemporaryFile() as file:
        file.write(webm)
        file.flush()
        avi = of_container("avi")
        avi_format = sniff(Arriving(avi))
        assert avi_format is not None
        tally = Tally()
        limits = DecodeLimits(60_000, 1 << 24)
        assert (
            list(video.frames(FileSource(file), avi_format, limits, tally, max_gap_ms=1, seed=0))
            == []
        )
        assert tally.reasons
        assert missing_bytes(FileSource(file), avi_format)


def test_what_stops_a_source_stops_the_decoder() -> None:
    """A cancelled job would go on, or be told as a damaged file."""

    class Stopped(Exception):
        """Not an error of the media."""

    class Stopping(Arriving):
        """Stops in the middle."""

        def read_at(self, offset: int, size: int, *, whole: bool = True) -> bytes:
            if offset > len(self.data) // 2:
                raise Stopped
            return super().read_at(offset, size, whole=whole)

    with pytest.raises(Stopped):
        frames(Stopping(of_container("webm vp8")))


def test_nothing_is_left_running() -> None:
    """Each upload would leave threads behind in the worker."""
    before = threading.active_count()
    for name in ("mp4 h264", "webm vp9"):
        frames(of_container(name))
    assert threading.active_count() == before


def test_a_segment_without_its_header_is_unsupported() -> None:
    """Whose segments are uploaded one by one would be told that they are cut."""
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    data = films.film([films.textured(3, 128, 96)] * 5, container_options=options)
    segment = data[data.index(b"moof") - 4 :]
    for start in (b"", films.box(b"styp", b"msdh\0\0\0\0msdh")):
        _, done = films.looked_at(start + segment)
        assert [each.code for each in done.reasons] == [VerdictReason.UNSUPPORTED]
