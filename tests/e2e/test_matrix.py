"""Containers, codecs, layouts of sound, and what phones and editors write: each is screened whole,
and found when it is listed.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from hashmatch.client import Client
from hashmatch.model.verdicts import Action, Verdict
from tests import films
from tests.conftest import serving

SIZE = 128, 96
RATE = 25  # One that MPEG-1 and MXF know.
SCENES = 2
FRAMES = 5  # Of each scene.
FOUND = 31  # Bits; the default radius of PDQ.

LAYOUTS = "none", "first", "second", "late", "several"
_TONES = {"none": 0, "several": 2}
_LATE_SECONDS = 0.5

# By container: codecs of pictures, and of sound. The first is tried with every layout of sound.
CONTAINERS = {
    "mp4": ("libx264 libx265 mpeg4 libvpx-vp9 libsvtav1 mjpeg", "aac"),
    "mov": ("libx265 prores_ks cfhd dnxhd mjpeg qtrle svq1 cinepak rpza libx264", "pcm_s16le"),
    "3gp": ("h263 mpeg4", "aac"),
    "matroska": ("libx264 libx265 libvpx libvpx-vp9 mpeg4 ffv1 mjpeg", "libopus"),
    "webm": ("libvpx-vp9 libvpx libsvtav1", "libopus"),
    "avi": ("mpeg4 msmpeg4 mjpeg libx264 huffyuv cinepak cfhd zmbv asv1", "pcm_s16le"),
    "flv": ("libx264 flv", "aac"),
    "mpegts": ("libx264 libx265 mpeg2video", "aac"),
    "mpeg": ("mpeg2video mpeg1video", "mp2"),
    "asf": ("wmv2 msmpeg4", "wmav2"),
    "mxf": ("mpeg2video jpeg2000", "pcm_s16le"),
    "ogg": ("libvpx", "libopus"),
    "ivf": ("libvpx-vp9 libvpx libsvtav1", ""),
    "h264": ("libx264", ""),
    "hevc": ("libx265", ""),
    "mpeg1video": ("mpeg1video", ""),
    "mpeg2video": ("mpeg2video", ""),
    "m4v": ("mpeg4", ""),
    "obu": ("libsvtav1", ""),
    "yuv4mpegpipe": ("wrapped_avframe", ""),
}
_PIXELS = {
    "cfhd": "yuv422p10le", "prores_ks": "yuv422p10le", "dnxhd": "yuv422p", "mjpeg": "yuvj420p",
    "qtrle": "rgb24", "svq1": "yuv410p", "cinepak": "rgb24", "rpza": "rgb555le",
    "huffyuv": "yuv422p", "zmbv": "bgr0",
}  # fmt: skip
_OPTIONS = {
    "dnxhd": {"profile": "dnxhr_lb"},
    "libx265": {"x265-params": "log-level=none:pools=none", "tag": "hvc1"},
    "libsvtav1": {"preset": "13", "svtav1-params": "lp=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libx264": {"preset": "ultrafast"},
}
# Sides that a codec is made for.
_SIZES = {"dnxhd": (256, 128)}
# FLV has no second stream of sound, and MXF has pictures first.
_NEVER = {("several", "flv"), ("first", "mxf")}


def combinations() -> Iterator[tuple[str, str, str]]:
    """Container, codec, layout."""
    for container, (codecs, tone) in CONTAINERS.items():
        for number, codec in enumerate(codecs.split()):
            for layout in LAYOUTS if tone and not number else ("second",) if tone else ("none",):
                if (layout, container) not in _NEVER:
                    yield container, codec, layout


@lru_cache
def plane(scene: int, size: tuple[int, int] = SIZE) -> films.Picture:
    """What is shown."""
    return films.textured(scene + 70, *size)


def made(
    container: str,
    codec: str,
    layout: str = "second",
    *,
    size: tuple[int, int] | None = None,
    pixels: str | None = None,
    times: list[int] | None = None,
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    rate: int = RATE,
    movflags: str = "",
    colour: tuple[int, int, int] | None = None,
) -> bytes:
    """A film of two scenes. ``times``: when its frames are shown, in frames."""
    size = size or _SIZES.get(codec, SIZE)
    tone = CONTAINERS[container][1] if container in CONTAINERS else ""
    tones = _TONES.get(layout, 1) if tone else 0
    with tempfile.NamedTemporaryFile() as file:
        with av.open(
            file.name, "w", format=container, options={"movflags": movflags} if movflags else {}
        ) as output:
            output.metadata.update(metadata or {})
            sounds: list[Any] = []
            if layout == "first":
                sounds = [output.add_stream(tone, rate=48_000) for _ in range(tones)]
            stream: Any = output.add_stream(
                codec, rate=rate, options={**_OPTIONS.get(codec, {}), **(options or {})}
            )
            stream.width, stream.height = size
            stream.pix_fmt = pixels or _PIXELS.get(codec, "yuv420p")
            stream.codec_context.gop_size = FRAMES
            stream.codec_context.thread_count = 1
            stream.bit_rate = 1_500_000
            if colour:
                context = stream.codec_context
                context.color_primaries, context.color_trc, context.colorspace = colour
            if layout != "first":
                sounds = [output.add_stream(tone, rate=48_000) for _ in range(tones)]
            packets = list(_pictures(stream, size, times))
            for sound in sounds:
                sound.bit_rate = 64_000
                packets += _tone(sound, _LATE_SECONDS if layout == "late" else 0)
            # As they are shown: a muxer is to have nothing to wait for.
            packets.sort(key=lambda packet: float((packet.dts or 0) * (packet.time_base or 0)))
            for packet in packets:
                output.mux(packet)
        return file.read()


def _pictures(stream: Any, size: tuple[int, int], times: list[int] | None) -> Iterator[Any]:
    for number in range(SCENES * FRAMES):
        frame = films.grey_frame(plane(number // FRAMES, size)).reformat(format=stream.pix_fmt)
        frame.pts = times[number] if times else number
        frame.time_base = Fraction(1, int(stream.codec_context.framerate))
        yield from stream.encode(frame)
    yield from stream.encode()


def _tone(stream: Any, start: float) -> Iterator[Any]:
    wave = (np.sin(np.arange(1024) / 9) * 8000).astype(np.int16)
    for number in range(20):
        frame = av.AudioFrame.from_ndarray(wave[None].repeat(2, axis=0).T.reshape(1, -1), "s16")
        frame.sample_rate, frame.pts = 48_000, number * 1024 + int(start * 48_000)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def check(data: bytes, size: tuple[int, int] = SIZE) -> None:
    """All of it is looked at, and both scenes are found."""
    digests, done = films.looked_at(data)
    assert films.reasons(done) == []
    assert done.coverage.complete
    for scene in range(SCENES):
        assert films.nearest(digests, plane(scene, size)) <= FOUND


@pytest.mark.parametrize(("container", "codec", "layout"), list(combinations()))
def test_a_film_is_screened_whole_and_found(container: str, codec: str, layout: str) -> None:
    """A legitimate user's film would be held, or a listed one pass."""
    check(made(container, codec, layout), _SIZES.get(codec, SIZE))


def _patched(data: bytes, *changes: tuple[bytes, bytes]) -> bytes:
    for before, after in changes:
        assert before in data
        assert len(before) == len(after)
        data = data.replace(before, after)
    return data


def _with_metadata_track(data: bytes) -> bytes:
    """A track of time codes as one of timed metadata, as iPhones write it."""
    return _patched(data, (b"tmcd", b"mebx"), (b"mhlr" + b"mebx", b"mhlr" + b"meta"))


def _edits(*edits: tuple[int, int]) -> Callable[[bytes], bytes]:
    """An edit list of (duration, start), in the film's and in the track's time scale."""

    def change(_: bytes) -> bytes:
        rows = b"".join(
            length.to_bytes(4, "big") + start.to_bytes(4, "big") + b"\0\1\0\0"
            for length, start in edits
        )
        return bytes(4) + len(edits).to_bytes(4, "big") + rows

    return change


def _slow_motion() -> bytes:
    """Parts of a film that was recorded fast, one behind the other."""
    data = made("mov", "libx264", "none", rate=60, options={"bf": "0"})
    at = data.index(b"mvhd") + 16
    scale = int.from_bytes(data[at : at + 4], "big")
    at = data.index(b"mdhd") + 16
    ticks = int.from_bytes(data[at : at + 4], "big")
    half, whole = FRAMES * ticks // 60, FRAMES * scale // 60
    path = (b"moov", b"trak", b"edts", b"elst")
    return films.changed(data, path, _edits((whole, 0), (whole, half)))


def _still(picture: films.Picture) -> bytes:
    still = io.BytesIO()
    Image.fromarray(picture).convert("RGB").save(still, "JPEG", quality=90)
    return still.getvalue()


def _motion_photo() -> bytes:
    return _still(plane(0)) + made("mp4", "libx264")


def _camcorder() -> bytes:
    """AVCHD: a transport stream with four bytes before each packet."""
    plain = made("mpegts", "libx264")
    return b"".join(b"\0\0\0\0" + plain[at : at + 188] for at in range(0, len(plain), 188))


HLG = 9, 18, 9  # BT.2020, ARIB STD-B67.

DEVICES: dict[str, Callable[[], bytes]] = {
    "iphone": lambda: _with_metadata_track(
        made("mov", "libx265", metadata={"timecode": "00:00:00:00"})
    ),
    "iphone HDR": lambda: made("mov", "libx265", pixels="yuv420p10le", colour=HLG),
    "iphone slow motion": _slow_motion,
    "live photo": lambda: _with_metadata_track(
        made("mov", "libx264", "first", metadata={"timecode": "00:00:00:00"})
    ),
    "motion photo": _motion_photo,
    "screen recording": lambda: made(
        "mp4", "libx264", "none", times=[0, 1, 2, 9, 10, 11, 12, 30, 31, 40]
    ),
    "messenger": lambda: made("mp4", "libx264", size=(96, 96), options={"profile": "baseline"}),
    "editor": lambda: made("mov", "prores_ks", metadata={"timecode": "01:00:00:00"}),
    "editor, B-frames": lambda: made("mp4", "libx264", options={"bf": "3", "preset": "fast"}),
    "fast start": lambda: made("mp4", "libx264", movflags="faststart"),
    "fragments": lambda: made("mp4", "libx264", movflags="frag_keyframe+empty_moov"),
    "fragments for DASH": lambda: made(
        "mp4", "libx264", movflags="frag_keyframe+empty_moov+default_base_moof+dash"
    ),
    "fragments of every frame": lambda: made("mp4", "libx264", movflags="frag_every_frame"),
    "camcorder": _camcorder,
    "camera card": lambda: made("mpeg", "mpeg2video", options={"bf": "2"}),
}


@pytest.mark.parametrize("device", DEVICES)
def test_what_devices_write_is_screened_whole_and_found(device: str) -> None:
    """A legitimate user's film would be held, or a listed one pass."""
    check(DEVICES[device](), (96, 96) if device == "messenger" else SIZE)


def test_a_film_of_a_dv_camera() -> None:
    """Its frames have one size, and each is an entry."""
    size = 720, 576
    with tempfile.NamedTemporaryFile() as file:
        with av.open(file.name, "w", format="dv") as output:
            stream: Any = output.add_stream("dvvideo", rate=25)
            (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
            for number in range(4):
                frame = films.grey_frame(plane(number // 2, size))
                frame.pts = number
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
        check(file.read(), size)


def test_through_a_server(tmp_path: Path) -> None:
    """In a worker that is confined, what a format needs could be missing."""
    with (
        serving(tmp_path) as running,
        Client(running.address, timeout_seconds=120) as client,
    ):
        client.create_bank("films", action=Action.BLOCK)
        client.add_entry("films", _still(films.textured(1)), reference="another")
        uploads = {
            name: made(*name)
            for name in (
                ("mxf", "mpeg2video"), ("mxf", "jpeg2000"), ("ivf", "libsvtav1"), ("mov", "cfhd"),
                ("hevc", "libx265"), ("m4v", "mpeg4"), ("mov", "rpza"), ("avi", "zmbv"),
                ("yuv4mpegpipe", "wrapped_avframe"), ("asf", "wmv2"), ("3gp", "h263"),
            )
        }  # fmt: skip
        for name, data in uploads.items():
            assert client.screen(data).verdict is Verdict.NO_MATCH, name
        client.add_entry("films", made("mp4", "libx264", "none"), reference="film")
        for name, data in uploads.items():
            assert client.screen(data).verdict is Verdict.BLOCK, name
