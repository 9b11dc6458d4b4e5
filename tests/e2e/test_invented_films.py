"""Films that hide in what formats allow, and in what screening does with pictures that look alike:
each is shown as much as is found for all but one screening in a thousand.
"""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.e2e.hiding import SEEDS, Picture, encoded, is_found, near_pictures, pictures, timed


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


def with_sound(data: bytes, form: str, seconds: int, options: dict[str, str]) -> bytes:
    """A film with silence beside it that goes on for so long."""
    target = io.BytesIO()
    with (
        av.open(io.BytesIO(data)) as film,
        av.open(target, "w", format=form, options=options) as output,
    ):
        video = output.add_stream_from_template(film.streams.video[0])
        audio: Any = output.add_stream("aac", rate=48_000)
        for packet in film.demux(video=0):
            if packet.size:
                packet.stream = video
                output.mux(packet)
        for number in range(seconds * 50):
            silence = np.zeros((1, 960), np.float32)
            sound = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 48_000, number * 960
            sound.time_base = Fraction(1, 48_000)
            output.mux(audio.encode(sound))
        output.mux(audio.encode())
    return target.getvalue()


def noisy(picture: Picture) -> Picture:
    """With noise that costs many bits."""
    noise = np.random.default_rng(0).integers(-40, 41, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def last_frame_with_sound(form: str) -> bytes:
    """The film is the last frame, 160 ms before the end that the header names, if it names any."""
    cover, film = pictures()
    # Key frames with much noise have large packets, beside which that of the film is small.
    covers = [noisy(cover) if number in (0, 25, 45) else cover for number in range(46)]
    shown = [*timed(iter(covers)), (1840, film[70])]
    data = encoded(shown, frozenset({0, 25, 45}), options={"bf": "0", "crf": "35"})
    if form == "mp4":
        flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        return with_sound(data, form, 12, flags)
    data = with_sound(data, form, 12, {})
    at = data.index(b"\x44\x89\x88") + 3  # The duration in ms, as a number of 8 bytes.
    return data[:at] + struct.pack(">d", 2000.0) + data[at + 8 :]


@pytest.mark.parametrize("form", ["matroska", "mp4"])
def test_the_last_frame_is_shown_as_long_as_there_is_sound(form: str) -> None:
    """Players show the last frame until the sound ends. A header that says less would leave a
    listed picture unseen that is shown for most of the film.
    """
    data = last_frame_with_sound(form)
    assert all(is_found(data, seed)[0] for seed in SEEDS)
