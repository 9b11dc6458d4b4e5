"""A film that lies where an uploader who knows the code hopes that nobody looks."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from av.video.frame import PictureType
from PIL import Image

from hashmatch.decoding.channel import Job
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine.sampling import densities
from hashmatch.model.records import DecodeLimits
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind
from tests.e2e.hiding import (
    RATE,
    SEEDS,
    SIZE,
    Picture,
    encoded,
    is_found,
    pictures,
    timed,
)


def at_key_frames(codec: str, options: dict[str, str]) -> bytes:
    """The cover once a second, at the key frame, for 40 ms."""
    cover, film = pictures()
    keys = frozenset(range(0, len(film), RATE))
    shown = timed(cover if number in keys else each for number, each in enumerate(film))
    return encoded(shown, keys, codec=codec, options=options)


def for_a_millisecond() -> bytes:
    """The cover once a second, for a ms."""
    cover, film = pictures()
    shown: list[tuple[int, Picture]] = []
    keys = []
    for number, (pts_ms, picture) in enumerate(timed(iter(film))):
        if number % RATE == 0:
            keys.append(len(shown))
            shown.append((pts_ms, cover))
            pts_ms += 1
        shown.append((pts_ms, picture))
    return encoded(shown, frozenset(keys), options={"bf": "0"})


def between_references() -> bytes:
    """The cover in every frame that others refer to, and the film in the rest."""
    cover, film = pictures()
    shown = timed(cover if number % 3 == 0 else each for number, each in enumerate(film))
    kinds = [PictureType.P if number % 3 == 0 else PictureType.B for number in range(len(film))]
    options = {"bf": "2", "b_strategy": "0", "x264-params": "b-pyramid=0:b-adapt=0"}
    return encoded(shown, frozenset({0}), options=options, kinds=kinds)


def each_fifth_of_a_second() -> bytes:
    """The cover every 200 ms."""
    cover, film = pictures()
    shown = timed(cover if number % 5 == 0 else each for number, each in enumerate(film))
    return encoded(shown, frozenset({0}))


FILMS = {
    "x264": lambda: at_key_frames("libx264", {}),
    "x264, few bits": lambda: at_key_frames("libx264", {"crf": "40"}),
    "VP9": lambda: at_key_frames("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "for a ms": for_a_millisecond,
    "between references": between_references,
    "each fifth of a second": each_fifth_of_a_second,
}


@pytest.mark.parametrize("name", FILMS)
def test_a_film_behind_covers_is_found(name: str) -> None:
    """Who knows where frames are decoded could show a listed film nearly all the time."""
    data = FILMS[name]()
    results = [is_found(data, seed) for seed in SEEDS]
    assert [found for found, _ in results] == [True] * len(SEEDS)


def animation(form: str) -> bytes:
    """The rows that a sketch once looked at are the cover's, the rest is the film's."""
    cover, film = pictures()
    rows = ((np.arange(64) + 0.5) * SIZE[1] / 64).astype(int)
    mixed = film[0].copy()
    mixed[rows] = cover[rows]
    target = io.BytesIO()
    frames = [Image.fromarray(each) for each in (mixed, cover)]
    options: dict[str, Any] = {"lossless": True} if form == "WEBP" else {}
    frames[1].save(
        target, form, save_all=True, append_images=[frames[0], frames[1]], duration=500, **options
    )
    return target.getvalue()


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_every_row_of_a_picture_counts(form: str) -> None:
    """A picture whose sketched rows are those of the one before would never be hashed."""
    found: list[Signals] = []
    job = Job((Kind.PDQ,), True, densities.UPLOAD, DecodeLimits(60_000, 1 << 22), seed=0)
    inspect(BytesSource(animation(form)), job, lambda signals, _: found.extend(signals))
    times = np.concatenate([each.pts_ms for each in found])
    assert 500 in times
