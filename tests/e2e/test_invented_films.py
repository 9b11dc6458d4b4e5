"""Films that hide in what formats allow, and in what screening does with pictures that look alike:
each is shown as much as is found for all but one screening in a thousand.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from PIL import Image

from tests import films
from tests.e2e.hiding import (
    SEEDS,
    Picture,
    encoded,
    is_found,
    near_pictures,
    pictures,
    timed,
)

# What lasts a second in one piece is found whatever the seed is.
CERTAIN = SEEDS[:4]


def near_key_frames() -> bytes:
    """Key frames alone: a cover for a quarter of each second, then the film. Nothing else is in
    the file that says until when the newest of them is shown.
    """
    cover, shown = near_pictures()
    frames = [
        (1000 * second + ms, each)
        for second in range(16)
        for ms, each in ((0, cover), (250, shown))
    ]
    options = {"bf": "0", "x264-params": "keyint=1"}
    return encoded([*frames, (16_000, cover)], frozenset(), options=options)


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
    """A listed picture could be shown for 98 % of an animation behind covers that are not found."""
    data = near_avi() if form == "AVI" else near_animation(form)
    # Whatever the seed: that nothing is missed is what coverage says of such files.
    assert all(is_found(data, seed)[0] for seed in SEEDS[:2])


def with_sound(data: bytes, form: str, seconds: int, options: dict[str, str]) -> bytes:
    """A film with silence beside it that goes on for so long."""
    target = io.BytesIO()
    with (
        av.open(io.BytesIO(data), "r") as film,
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
    noised: Picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    return noised


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
    assert all(is_found(data, seed)[0] for seed in CERTAIN)


def long_frames_cut() -> tuple[list[tuple[int, Picture]], list[tuple[int, int]]]:
    """Nine frames of a second each that an edit list leaves out, and 91 covers of 10 ms."""
    cover, film = pictures()
    frames = [(1000 * number, film[5 * number]) for number in range(9)]
    covers = [(9000 + 10 * number, cover) for number in range(91)]
    return [*frames, *covers], [(9000, 910)]


def half_cut() -> tuple[list[tuple[int, Picture]], list[tuple[int, int]]]:
    """Six seconds that an edit list leaves out, and three of covers that it shows three times: as
    many frames are shown as there are.
    """
    cover, film = pictures()
    shown = timed(iter([*film, *[cover] * 75]))
    return shown, [(6000, 3000)] * 3


@pytest.mark.parametrize("cut", [long_frames_cut, half_cut])
def test_an_edit_list_hides_no_second(
    cut: Callable[[], tuple[list[tuple[int, Picture]], list[tuple[int, int]]]],
) -> None:
    """Programs that follow no edit list would show a listed film for seconds, where it leaves out
    few frames, or shows others twice.
    """
    shown, edits = cut()
    start = next(number for number, (ms, _) in enumerate(shown) if ms == edits[0][0])
    data = encoded(shown, frozenset({0, start}), options={"bf": "0"})
    with av.open(io.BytesIO(data)) as film:
        ticks = int(1 / (film.streams.video[0].time_base or 1))

    def edited(content: bytes) -> bytes:
        entries = [struct.pack(">IiHH", ms, at * ticks // 1000, 1, 0) for at, ms in edits]
        return content[:4] + struct.pack(">I", len(edits)) + b"".join(entries)

    data = films.changed(data, (b"moov", b"trak", b"edts", b"elst"), edited)
    assert all(is_found(data, seed)[0] for seed in CERTAIN)


def covered(seconds: int, covers_ms: int, *, with_noise: bool = True) -> list[tuple[int, Picture]]:
    """The film behind a cover at the start of each second, and a cover at the end."""
    cover, film = pictures()
    cover = noisy(cover) if with_noise else cover
    frames: list[tuple[int, Picture]] = []
    for second in range(seconds):
        frames.append((1000 * second, cover))
        times = range(1000 * second + covers_ms, 1000 * second + 1000, 200)
        frames += [(at, film[at // 40 % len(film)]) for at in times]
    return [*frames, (1000 * seconds, cover)]


def keys_of(shown: list[tuple[int, Picture]]) -> frozenset[int]:
    """The frames at whole seconds."""
    return frozenset(number for number, (ms, _) in enumerate(shown) if ms % 1000 == 0)


def behind_noise() -> bytes:
    """Covers with so much noise that all packets of the film are small beside theirs."""
    shown = covered(6, 20)
    return encoded(shown, keys_of(shown), options={"bf": "0", "crf": "30"})


def crowded() -> bytes:
    """Nine covers of a ms each before each frame of the film: one frame of ten is of the film, and
    98 % of the time.
    """
    cover, film = pictures()
    shown = [
        (480 * number + part, film[number * 10] if part == 9 else cover)
        for number in range(12)
        for part in range(10)
    ]
    return encoded(shown, keys_of(shown), options={"bf": "0"}, form="matroska")


def lying(lasts_ms: float) -> bytes:
    """A header that names another duration."""
    shown = covered(6, 20)
    data = encoded(shown, keys_of(shown), options={"bf": "0", "crf": "30"}, form="matroska")
    at = data.index(b"\x44\x89\x88") + 3
    return data[:at] + struct.pack(">d", lasts_ms) + data[at + 8 :]


def beginning_late() -> bytes:
    """Pictures that begin when the sound has played for half a minute."""
    shown = [(ms + 30_000, picture) for ms, picture in covered(6, 20)]
    data = encoded(shown, keys_of(shown), options={"bf": "0", "crf": "30"}, form="matroska")
    return with_sound(data, "matroska", 36, {})


def open_groups() -> bytes:
    """HEVC: frames that are decoded after a key frame and shown before it."""
    shown = covered(6, 20)
    params = (
        "log-level=none:pools=1:open-gop=1:keyint=25:min-keyint=9:bframes=3:scenecut=0:b-adapt=0"
    )
    options = {"preset": "ultrafast", "x265-params": params}
    return encoded(shown, frozenset(), codec="libx265", options=options)


def pyramid() -> bytes:
    """A cover for 2 ms in each frame that begins a group, and the film in the three between, of
    which the other two refer to the one in the middle.
    """
    cover, film = pictures()
    shown = [
        (240 * group + ms, film[6 * group + ms // 40] if ms else cover)
        for group in range(25)
        for ms in (0, 2, 80, 160)
    ]
    kinds = [PictureType.B if ms % 240 else PictureType.P for ms, _ in shown]
    options = {"bf": "3", "b_strategy": "0", "x264-params": "b-pyramid=strict:b-adapt=0"}
    keys = frozenset(range(0, len(shown), 20))
    return encoded(shown, keys, options=options, kinds=kinds)


def shown_again() -> bytes:
    """VP9: each frame of the film is there for 20 ms, and shown again by packets of a byte."""
    cover, film = pictures()
    shown = [
        (1000 * second + ms, film[25 * second] if ms else cover)
        for second in range(6)
        for ms in (0, 20)
    ]
    options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    data = encoded(shown, keys_of(shown), codec="libvpx-vp9", options=options)
    target = io.BytesIO()
    with av.open(io.BytesIO(data), "r") as plain, av.open(target, "w", format="webm") as output:
        stream = output.add_stream_from_template(plain.streams.video[0])
        for packet in plain.demux(video=0):
            if not packet.size or packet.pts is None:
                continue
            packet.stream, start_ms = stream, packet.pts
            again = 0 if packet.is_keyframe else 6
            output.mux(packet)
            for number in range(again):
                # Source: VP9 bitstream specification, 6.2 (show_existing_frame, of slot 0).
                byte = av.Packet(bytes([0b10001000]))
                byte.pts = byte.dts = start_ms + 20 + 160 * number
                byte.time_base, byte.stream = Fraction(1, 1000), stream
                output.mux(byte)
    return target.getvalue()


def av1() -> bytes:
    """A decoder that is told once which frames to leave out."""
    shown = covered(6, 20)
    options = {"preset": "13", "svtav1-params": "keyint=1s:lp=1"}
    return encoded(shown, frozenset(), codec="libsvtav1", options=options)


def simple_profile() -> bytes:
    """MPEG-4 part 2, whose packets must all be decoded, with frames that no other refers to."""
    shown = covered(6, 20)
    return encoded(shown, keys_of(shown), codec="mpeg4", options={"bf": "2", "b": "400k"})


def in_fragments() -> bytes:
    """No header names a duration."""
    shown = covered(6, 20)
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    options = {"bf": "0", "crf": "30"}
    return encoded(shown, keys_of(shown), options=options, form_options=flags)


def transport_stream() -> bytes:
    """Nor does one here, and times begin at 1.4 s."""
    shown = covered(6, 20)
    options = {"bf": "2", "crf": "30"}
    return encoded(shown, keys_of(shown), options=options, form="mpegts")


def interlaced() -> bytes:
    """Fields, of which players may show each by itself."""
    shown = covered(6, 20)
    options = {"bf": "0", "crf": "30", "flags": "+ildct+ilme", "x264-params": "tff=1"}
    return encoded(shown, keys_of(shown), options=options)


def second_track() -> bytes:
    """The cover in the first track, and the film in another that viewers can choose."""
    cover, _ = pictures()
    shown = covered(6, 20)
    plain = encoded([(0, cover), (3000, cover), (6000, cover)], frozenset({0, 1, 2}))
    hidden = encoded(shown, keys_of(shown), options={"bf": "0", "crf": "30"})
    target = io.BytesIO()
    with (
        av.open(io.BytesIO(plain), "r") as first,
        av.open(io.BytesIO(hidden), "r") as second,
        av.open(target, "w", format="matroska") as output,
    ):
        inputs = [first, second]
        streams = [output.add_stream_from_template(each.streams.video[0]) for each in inputs]
        for each, stream in zip(inputs, streams, strict=True):
            for packet in each.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)
    return target.getvalue()


def intra_only() -> bytes:
    """Pictures that are all key frames, of equal sizes."""
    return encoded(covered(6, 20), frozenset(), codec="mjpeg", form="matroska")


def one_second() -> bytes:
    """The film in one piece of a second, out of step with key frames that are a second apart."""
    cover, film = pictures()
    shown = [(40 * number, cover) for number in range(150)]
    for number in range(60, 85):
        shown[number] = 40 * number, film[number]
    for number in range(0, 150, 25):
        shown[number] = 40 * number, shown[number][1] if number == 75 else noisy(cover)
    return encoded(shown, keys_of(shown), options={"bf": "0", "crf": "30"})


KINDS: dict[str, Callable[[], bytes]] = {
    "behind noise": behind_noise,
    "crowded": crowded,
    "said to be long": lambda: lying(30_000.0),
    "said to be short": lambda: lying(500.0),
    "beginning late": beginning_late,
    "open groups": open_groups,
    "pyramid": pyramid,
    "shown again": shown_again,
    "AV1": av1,
    "simple profile": simple_profile,
    "in fragments": in_fragments,
    "transport stream": transport_stream,
    "interlaced": interlaced,
    "second track": second_track,
    "intra only": intra_only,
    "one second": one_second,
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_format_hides_a_film(kind: str) -> None:
    """A listed film that is shown for twelve seconds would pass, by what a format has for frames
    that are shown late, rarely, or by others' leave.
    """
    data = KINDS[kind]()
    for seed in SEEDS:
        found, coverage = is_found(data, seed)
        assert found or not coverage.complete
