"""No stretch of a media goes unseen, wherever its key frames lie: held against decoding it all."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
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
from hashmatch.channel import Done, Job
from hashmatch.hashing import pdq
from hashmatch.hashing.frames import FrameBatch
from hashmatch.media import luma
from hashmatch.media.source import FileSource
from hashmatch.model.verdicts import Kind
from hashmatch.sampling import densities
from hashmatch.sampling.densities import MAX_GAP_MS
from hashmatch.sampling.frames import Chosen
from hashmatch.sampling.packets import Access
from hashmatch.worker.inspect import inspect

JOB = Job((Kind.PDQ,), True, densities.UPLOAD, max_duration_ms=3_600_000, max_frame_pixels=1 << 24)

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


def corpus_names() -> list[str]:
    """Files of the corpus, if there is one."""
    folder = os.environ.get("HASHMATCH_CORPUS")
    return sorted(path.name for path in Path(folder).iterdir()) if folder else []


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
    "one in a minute": ("minute", "libx264", 100_000, {}),
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
            pictures("text", 60.0) if shown == "minute" else with_insert(),
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

    def forged(_: object) -> Access:
        return Access.SKIPPABLE if next(numbers) % 10 else Access.ENTRY

    monkeypatch.setattr("hashmatch.media.track.classifier", lambda _: forged)
    check(adversarial[name])
