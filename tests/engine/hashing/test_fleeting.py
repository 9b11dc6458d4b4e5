"""Frames that are there for a moment: every one of an entry's is hashed, and hardly any other."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from benchmarks.pipeline import UPLOAD_JOB
from fixtures.clips import pan
from fixtures.transcode import transcode, write_clip
from hashmatch.decoding.media.source import FileSource
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine.hashing import fleeting
from hashmatch.engine.hashing.fleeting import FleetingFrames
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.engine.sampling import densities
from hashmatch.model.signals import Signals, turn_of
from hashmatch.model.verdicts import Kind, Turn

Plane = npt.NDArray[np.uint8]


def blobs(seed: int) -> Plane:
    """A picture with many spots, none of which another seed has."""
    coarse = np.random.default_rng(seed).integers(0, 256, (18, 32)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((320, 180), Image.Resampling.BICUBIC))


def batch(luma: Plane, pts_ms: int = 0) -> FrameBatch:
    """As a decoder gives it."""
    return FrameBatch(luma[None], np.array([pts_ms], np.int64))


def squares(path: Path, *, entry: bool) -> Signals:
    """Of what an entry has, or an upload is searched by."""
    density = densities.ENTRY if entry else densities.UPLOAD
    job = replace(UPLOAD_JOB, kinds=(Kind.PDQ_PATCH,), turns=not entry, density=density)
    found: list[Signals] = []
    with path.open("rb") as file:
        done = inspect(FileSource(file), job, lambda signals, _: found.extend(signals))
    assert not done.reasons
    (made,) = Signals.concatenate(found)
    return made


def test_a_frame_that_shows_nothing_of_the_one_before_is_fleeting() -> None:
    """It would be gone before the next is hashed."""
    frames = FleetingFrames()
    assert frames.offer(batch(blobs(0))) == []
    (found,) = frames.offer(batch(blobs(1), 40))
    assert found.kind is Kind.PDQ_PATCH
    assert set(found.pts_ms.tolist()) == {40}
    assert {turn_of(int(view)) for view in found.view} == {Turn.NONE}
    assert 16 <= len(found) <= 64
    assert frames.offer(batch(blobs(1), 80)) == []
    assert frames.offer(batch(np.roll(blobs(1), (9, 14), (0, 1)), 120)) == []


def test_where_little_stands_out_nothing_is_said() -> None:
    """Each frame of a sky would be, for a bird."""
    plain: Plane = np.full((180, 320), 90, np.uint8)
    dots = plain.copy()
    dots[80:95, 60:75] = 200
    frames = FleetingFrames()
    for luma in (plain, dots, plain, blobs(0), dots, blobs(1), plain):
        assert frames.offer(batch(luma)) == []


def test_no_more_than_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of noise would be most of an index."""
    monkeypatch.setattr(fleeting, "_MOST_FRAMES", 3)
    frames = FleetingFrames()
    kept = [len(frames.offer(batch(blobs(seed)))) for seed in range(7)]
    assert kept == [0, 1, 1, 1, 0, 0, 0]


def test_a_crop_of_what_flickers_is_found_whenever_it_is_looked_at(tmp_path: Path) -> None:
    """An upload's frames are others than those that an entry would have been looked at in."""
    entry, copy = tmp_path / "entry.mp4", tmp_path / "copy.mp4"
    shown = [np.repeat(blobs(seed)[..., None], 3, axis=2) for seed in range(50)]
    write_clip(entry, shown, rate=Fraction(25))
    filters = "trim=start_frame=3,setpts=PTS-STARTPTS,crop=iw*0.7:ih*0.7:iw*0.2:ih*0.1"
    # Of frames between others little is left by an encoder, where nothing is as it was before.
    transcode(entry, copy, filters=filters, options={"preset": "veryfast", "bf": "0"})
    ours, theirs = squares(copy, entry=False), squares(entry, entry=True)
    assert len(np.unique(theirs.pts_ms)) >= 45
    words = [np.ascontiguousarray(each.digests[:, :32]).view(np.uint64) for each in (ours, theirs)]
    apart = np.bitwise_count(words[0][:, None] ^ words[1]).sum(axis=-1, dtype=np.int64)
    near = apart.min(axis=1) <= 40
    assert {bool(near[ours.pts_ms == at].any()) for at in np.unique(ours.pts_ms)} == {True}
    right = np.abs(ours.pts_ms[near] + 120 - theirs.pts_ms[apart[near].argmin(axis=1)]) <= 40
    assert right.mean() > 0.9


def test_of_what_moves_a_frame_now_and_then_is_enough(tmp_path: Path) -> None:
    """An index would be as large as if every frame of every film were in it."""
    film = tmp_path / "film.mp4"
    write_clip(film, pan("astronaut", 3), rate=Fraction(25))
    # Every 0.7 s, to the next frame; and the last.
    assert len(np.unique(squares(film, entry=True).pts_ms)) == 6
