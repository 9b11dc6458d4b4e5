"""Films that hide in what formats allow, and in what screening does with pictures that look alike:
each is shown as much as is found for all but one screening in a thousand.
"""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from tests.e2e.hiding import SEEDS, encoded, is_found, near_pictures


def near_key_frames() -> bytes:
    """Key frames alone: a cover for a quarter of each second, then the film. Nothing else is in
    the file that says until when the newest of them is shown.
    """
    cover, shown = near_pictures()
    frames = [
        (1000 * second + ms, each)
        for second in range(20)
        for ms, each in ((0, cover), (250, shown))
    ]
    options = {"bf": "0", "x264-params": "keyint=1"}
    return encoded([*frames, (20_000, cover)], frozenset(), options=options)


def test_a_near_cover_stands_for_no_key_frame() -> None:
    """A cover that is not found itself would stand for a listed picture: what is decoded before the
    next frame is known was compared as if no secret instant fell on it.
    """
    data = near_key_frames()
    assert all(is_found(data, seed)[0] for seed in SEEDS)


def near_animation(form: str) -> bytes:
    """A cover for 20 ms of each second, then the film: whoever keeps a frame for each second keeps
    covers.
    """
    frames = [Image.fromarray(each) for each in near_pictures()]
    options: dict[str, Any] = {"quality": 90} if form == "WEBP" else {}
    target = io.BytesIO()
    frames[0].save(
        target,
        form,
        save_all=True,
        append_images=[*frames[1:], *frames * 5, frames[0]],
        duration=[*[20, 980] * 6, 20],
        **options,
    )
    return target.getvalue()


def near_avi() -> bytes:
    """The same as a film without presentation times, all of which is decoded."""
    cover, shown = near_pictures()
    frames = [(40 * number, shown if number % 25 else cover) for number in range(151)]
    return encoded(frames, frozenset(), codec="mjpeg", form="avi")


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "AVI"])
def test_a_near_cover_stands_for_nothing_where_every_frame_is_decoded(form: str) -> None:
    """A listed picture could be shown for 98 % of an animation behind covers that are not found: no
    secret instant fell on any frame of it.
    """
    data = near_avi() if form == "AVI" else near_animation(form)
    assert all(is_found(data, seed)[0] for seed in SEEDS)
