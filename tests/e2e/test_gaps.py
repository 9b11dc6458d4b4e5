"""No stretch of a media goes unseen, wherever its key frames lie: held against decoding it all."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.stream import Disposition

from fixtures.clips import pan
from fixtures.transcode import write_clip
from hashmatch.decoding.channel import Done, Job
from hashmatch.decoding.media import luma
from hashmatch.decoding.media.access import Classifier
from hashmatch.decoding.media.source import FileSource
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine.hashing import pdq
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.engine.sampling import densities
from hashmatch.engine.sampling.densities import MAX_GAP_MS
from hashmatch.engine.sampling.frames import Chosen
from hashmatch.engine.sampling.packets import Doubt, PacketRole
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import Kind
from tests.support import TORTURE

JOB = Job(
    (Kind.PDQ,),
    True,
    densities.UPLOAD,
    DecodeLimits(max_duration_ms=3_600_000, max_frame_pixels=1 << 24),
    seed=1,
)

# Digests by stream and time.
Hashed = dict[tuple[int, int], bytes]


def hashed_of(path: Path) -> tuple[Hashed, Done]:
    """Of what an upload is searched by."""
    found: Hashed = {}

    def observe(chosen: Chosen[FrameBatch]) -> None:
        digests, _ = pdq.digest(chosen.frame.luma)
        found[chosen.frame.stream, chosen.pts_ms] = digests.tobytes()

    with path.open("rb") as file:
        done = inspect(FileSource(file), JOB, lambda *_: None, observe)
    return found, done


def every_frame(path: Path) -> Iterator[tuple[int, int, av.VideoFrame]]:
    """All that a player shows: stream, time in ms, frame; by PyAV alone."""
    with av.open(str(path)) as container:
        streams = [
            stream
            for stream in container.streams.video
            if not stream.disposition & Disposition.attached_pic
        ]
        pts_ms = 0
        for packet in container.demux(streams):
            stream: Any = packet.stream
            decoded: list[Any] = packet.decode()
            for frame in decoded:
                # AVI has no presentation times; those of its frames are guesses.
                stamp = frame.dts if container.format.name == "avi" else frame.pts
                if stamp is None:
                    pts_ms += round(1000 / stream.average_rate)
                else:
                    start_ms = (container.start_time or 0) / 1000
                    pts_ms = round(float(stamp * stream.time_base) * 1000 - start_ms)
                yield stream.index, pts_ms, frame


def check(path: Path) -> tuple[Hashed, Done]:
    """Holds what was hashed against all that there is."""
    hashed, done = hashed_of(path)
    shown: dict[int, list[int]] = {}
    for stream, pts_ms, frame in every_frame(path):
        shown.setdefault(stream, []).append(pts_ms)
        digest = hashed.get((stream, pts_ms))
        if digest is not None:
            (batch, *_) = luma.from_video_frame(frame, pts_ms)
            assert pdq.digest(batch.luma)[0].tobytes() == digest, "another picture is shown"
    for stream, times in shown.items():
        looked = sorted(pts_ms for each, pts_ms in hashed if each == stream)
        assert set(looked) <= set(times)
        for before, after in itertools.pairwise([min(times), *looked, max(times)]):
            unseen = [pts_ms for pts_ms in times if before < pts_ms < after]
            assert after - before <= MAX_GAP_MS or not unseen, (before, after)
    return hashed, done


# Clips of one source and container come from one encoder: so many of each are tried, small ones.
ALIKE = None if TORTURE else 3


def corpus_names() -> list[str]:
    """Files of the corpus, if there is one."""
    folder = os.environ.get("HASHMATCH_CORPUS")
    if not folder:
        return []
    alike: dict[tuple[str, str], list[str]] = {}
    for path in sorted(Path(folder).iterdir(), key=lambda path: path.stat().st_size):
        alike.setdefault((path.name.partition("--")[0], path.suffix), []).append(path.name)
    return sorted(name for names in alike.values() for name in names[:ALIKE])


@pytest.mark.parametrize("name", corpus_names() or [""])
def test_no_stretch_of_a_real_clip_goes_unseen(corpus: Path, name: str) -> None:
    """A prohibited second would be between two frames that were looked at."""
    check(corpus / name)


def test_no_stretch_of_a_generated_clip_goes_unseen(media: Path) -> None:
    """So it would in some container or codec that few real clips have."""
    for path in sorted((media / "clips").iterdir()):
        check(path)


@lru_cache
def pictures(name: str, seconds: float) -> list[npt.NDArray[np.uint8]]:
    """A moving clip of 320 x 180."""
    return list(itertools.islice(pan(name, seconds, size=(320, 180)), round(seconds * 25)))


INSERT_AT, INSERT_FRAMES = 51, 25  # A second, from the frame after a key frame on.


def with_insert() -> list[npt.NDArray[np.uint8]]:
    """Four seconds of one clip, with a second of another in it."""
    host = pictures("astronaut", 4.0)
    other = pictures("coffee", 1.0)
    return host[:INSERT_AT] + other + host[INSERT_AT + INSERT_FRAMES :]


# What an uploader can do with key frames: frames, codec, group of pictures, the encoder's options.
ADVERSARIAL: dict[str, tuple[str, str, int, dict[str, str]]] = {
    "one for all": ("long", "libx264", 100_000, {}),
    "insert after one": ("insert", "libx264", 50, {}),
    "insert, long groups": ("insert", "libx264", 100_000, {}),
    "all": ("insert", "libx264", 1, {}),
    "all, mjpeg": ("insert", "mjpeg", 1, {}),
    "open": ("insert", "libx264", 40, {"x264-params": "open-gop=1:bframes=4:b-pyramid=normal"}),
    "none but the first": ("insert", "libx264", 40, {"intra-refresh": "1"}),
    "two seconds": ("insert", "libx264", 50, {"bf": "3"}),
    "just too far": ("insert", "libx264", 26, {}),
    "slices": ("insert", "libx264", 25, {"slices": "4"}),
    "hevc, open": ("insert", "libx265", 40, {"x265-params": "log-level=none:open-gop=1:bframes=4"}),
    "hevc, closed": ("insert", "libx265", 25, {"x265-params": "log-level=none:open-gop=0"}),
    "vp8": ("insert", "libvpx", 25, {"deadline": "realtime", "auto-alt-ref": "1"}),
    "vp9": ("insert", "libvpx-vp9", 25, {"deadline": "realtime", "cpu-used": "8"}),
    "av1": ("insert", "libsvtav1", 25, {"preset": "12"}),
    "mpeg4": ("insert", "mpeg4", 25, {"bf": "2"}),
}


@pytest.fixture(scope="module")
def adversarial(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The clips of `ADVERSARIAL`, by name."""
    folder = tmp_path_factory.mktemp("gops")
    made: dict[str, Path] = {}
    for name, (shown, codec, gop, options) in ADVERSARIAL.items():
        path = made[name] = folder / f"{len(made)}.mkv"
        write_clip(
            path,
            pictures("text", 12.0) if shown == "long" else with_insert(),
            codec=codec,
            pixel_format="yuvj420p" if codec == "mjpeg" else "yuv420p",
            options={**({"sc_threshold": "0"} if codec == "libx264" else {}), **options},
            gop=gop,
        )
    return made


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_wherever_key_frames_lie(adversarial: dict[str, Path], name: str) -> None:
    """The uploader could hide content by placing key frames."""
    hashed, done = check(adversarial[name])
    assert done.reasons == ()
    if ADVERSARIAL[name][0] == "insert":
        inside = [
            pts_ms
            for _, pts_ms in hashed
            if INSERT_AT * 40 <= pts_ms < (INSERT_AT + INSERT_FRAMES) * 40
        ]
        assert inside


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_what_is_taken_for_a_key_frame_and_is_none_is_found_out(
    adversarial: dict[str, Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What was hashed would be shown to nobody, and what is shown would pass."""
    numbers = itertools.count()

    def forged(*_: object) -> PacketRole:
        return PacketRole.SKIPPABLE if next(numbers) % 10 else PacketRole.ENTRY

    monkeypatch.setattr(Classifier, "access", forged)
    check(adversarial[name])


# Files that are decoded the same by every player, and were once seen as something else. Each shows
# one picture where it is looked at easily, and another one else.

DECOY, OTHER = pictures("astronaut", 0.04)[0], pictures("coffee", 0.04)[0]
X264 = "cabac=0:bframes=0:scenecut=0:ref=1:repeat-headers=1:annexb=1:weightp=0:aq-mode=0:mbtree=0"


def packets_of(
    shown: list[npt.NDArray[np.uint8]], params: str = X264, codec: str = "libx264"
) -> list[bytes]:
    """A picture each 40 ms, encoded with its parameter sets in the stream."""
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = 320, 180, "yuv420p"
    context.time_base, context.framerate, context.gop_size = Fraction(1, 25), 25, 10_000
    context.options = {"x264-params": params} if codec == "libx264" else {"lag-in-frames": "0"}
    made = []
    for number, picture in enumerate(shown):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        made += context.encode(frame)
    return [bytes(packet) for packet in (*made, *context.encode(None))]


def muxed(
    path: Path, packets: list[tuple[bytes, int]], *, codec: str = "libx264", last_ms: int = 40
) -> Path:
    """Packets with their times, as they are."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.time_base = Fraction(1, 1000)
        for number, (data, pts_ms) in enumerate(packets):
            packet = av.Packet(data)
            packet.pts, packet.dts = pts_ms, number * 40 - 1000
            packet.time_base, packet.stream = Fraction(1, 1000), stream
            packet.duration = last_ms if number == len(packets) - 1 else 40
            packet.is_keyframe = number == 0 or b"\x00\x00\x01\x65" in data
            output.mux(packet)
    return path


def timed(packets: list[bytes], start: int = 0) -> list[tuple[bytes, int]]:
    """Each 40 ms after the other."""
    return [(data, (start + number) * 40) for number, data in enumerate(packets)]


def digest_of(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Of a picture as it is."""
    digest: npt.NDArray[np.uint8] = pdq.digest(luma.from_rgb(picture)[None])[0][0]
    return digest


def shows(hashed: Hashed, picture: npt.NDArray[np.uint8]) -> bool:
    """True if it was among what an upload is searched by."""
    found = np.array([np.frombuffer(each, np.uint8) for each in hashed.values()])
    return bool((np.bitwise_count(found ^ digest_of(picture)).sum(-1) <= 31).any())


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_frame_short_after_another_but_shown_for_long(tmp_path: Path, suffix: str) -> None:
    """A picture would be shown five sixths of the time, and never be looked at."""
    data = packets_of([DECOY, OTHER] * 10)
    times = [1180 * (number // 2) + 190 * (number % 2) for number in range(20)]
    hashed, done = check(muxed(tmp_path / f"clip{suffix}", list(zip(data, times, strict=True))))
    assert done.reasons == ()
    assert shows(hashed, OTHER)


@pytest.mark.parametrize("codec", ["libx264", "libvpx-vp9"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_frames_behind_a_leap_of_the_times(tmp_path: Path, suffix: str, codec: str) -> None:
    """The last second of a clip could be anything, if one frame before it says that it is later."""
    packets = packets_of([DECOY] * 26 + [OTHER] * 25, codec=codec)
    times = [40 * i for i in range(25)] + [2440] + [1450 + 39 * i for i in range(25)]
    path = tmp_path / f"leap{suffix}"
    muxed(path, list(zip(packets, times, strict=True)), codec=codec)
    assert shows(check(path)[0], OTHER)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_frame_that_the_container_says_comes_before_its_key_frame(
    tmp_path: Path, suffix: str
) -> None:
    """The frame that a scene begins with would be left out, and what follows be seen as changes
    of the scene before.
    """
    packets = timed(packets_of([DECOY] * 25))
    packets += timed(packets_of([DECOY] + [OTHER] * 99), start=25)
    packets[26] = packets[26][0], 25 * 40 - 20
    hashed, _ = check(muxed(tmp_path / f"clip{suffix}", packets))
    assert shows(hashed, OTHER)


def without_sets(packet: bytes) -> bytes:
    """Without H.264's parameter sets."""
    units = [unit for unit in re.split(b"\x00\x00\x00?\x01", packet) if unit]
    kept = [unit for unit in units if unit[0] & 31 not in (7, 8)]
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in kept)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_parameter_sets_that_come_where_nobody_looks(tmp_path: Path, suffix: str) -> None:
    """All that follows would be decoded by other rules than a player's."""
    packets = packets_of([DECOY] * 2, f"{X264}:qp=45")
    for second in range(4):
        new = packets_of([OTHER] * (23 if second == 0 else 25), f"{X264}:qp=18")
        packets += new if second == 0 else [without_sets(each) for each in new]
    hashed, done = check(muxed(tmp_path / f"clip{suffix}", timed(packets)))
    assert done.reasons == ()
    assert shows(hashed, OTHER)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_last_frame_that_is_shown_for_a_minute(tmp_path: Path, suffix: str) -> None:
    """A minute of a still picture would follow a second of something else, unseen."""
    data = packets_of([DECOY] * 26 + [OTHER])
    hashed, _ = check(muxed(tmp_path / f"clip{suffix}", timed(data), last_ms=60_000))
    assert shows(hashed, OTHER)


@pytest.fixture(scope="module")
def untrimmed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A clip with an edit list, two seconds between its key frames."""
    plain = tmp_path_factory.mktemp("untrimmed") / "plain.mp4"
    write_clip(plain, pictures("astronaut", 4.0), options={"bf": "3", "sc_threshold": "0"}, gop=50)
    return plain.read_bytes()


@pytest.mark.parametrize("start", range(1, 25, 4))
def test_a_clip_that_was_trimmed_is_not_decoded_twice(
    untrimmed: bytes, tmp_path: Path, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips cut on a phone would cost as much as before."""
    plain, data = tmp_path / "trimmed.mp4", untrimmed
    plain.write_bytes(data)
    at = data.index(b"elst") + 16
    media_time = int.from_bytes(data[at : at + 4], "big")
    with av.open(str(plain)) as container:
        ticks = round(start / 25 / float(container.streams.video[0].time_base or 1))
    plain.write_bytes(data[:at] + (media_time + ticks).to_bytes(4, "big") + data[at + 4 :])
    doubts: list[str] = []
    monkeypatch.setattr(Doubt, "__init__", lambda _, why: doubts.append(why))
    check(plain)
    assert doubts == []
