"""A film, or an animated picture, composed at random from a seed: containers, codecs, groups of
pictures, edit lists, times, tracks, turns, colour metadata, disposal. Nothing of it is damaged:
each is a file that common programs write, or one that differs from those in a few fields.

Some show a *listed film* in one piece of a second or more among other pictures, some do not.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import random
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.codec.context import Flags
from PIL import Image

from fixtures.clips import pan
from tests import films
from tests.viewers import viewer

__all__ = ["RATE", "Composed", "compose", "listed_film"]

Picture = npt.NDArray[np.uint8]

RATE: Final = 25
FILM_SECONDS: Final = 4
_TRIES: Final = 4
_SIZES: Final = ((96, 64), (160, 90), (128, 128), (128, 96), (192, 108), (320, 180))
_OTHERS: Final = ("coffee", "chelsea", "camera", "coins", "gravel", "immunohistochemistry")


@dataclass(frozen=True, slots=True)
class Composed:
    """A file. ``meant``: the film was put into it, though an edit list may hide it again."""

    data: bytes
    suffix: str
    description: str
    meant: bool
    media_type: str = ""  # Of an animated picture.


class Shown(NamedTuple):
    """A picture from a time on."""

    at_ms: int
    picture: Picture


@dataclass(slots=True)
class _Told:
    """What was decided, in words."""

    words: list[str] = field(default_factory=list)

    def __call__(self, *words: object) -> None:
        self.words.append(" ".join(map(str, words)))


def listed_film() -> Iterator[Picture]:
    """The frames of the film that is listed, uint8 ``[h, w, 3]``, in each size that it comes in:
    what is so small is far from itself when it is made smaller.
    """
    for size in _SIZES:
        yield from _pool("film", size)


@lru_cache
def _pool(name: str, size: tuple[int, int]) -> tuple[Picture, ...]:
    """The film, or another one, squeezed into a size."""
    frames = pan("astronaut", FILM_SECONDS) if name == "film" else pan(name, 1)
    resized = (Image.fromarray(each).resize(size, Image.Resampling.BOX) for each in frames)
    return tuple(np.asarray(each) for each in resized)


def compose(seed: int) -> Composed:
    """The file of a seed: the same one each time."""
    rng = random.Random(seed)
    for _ in range(_TRIES):
        told = _Told()
        meant = rng.random() < 0.7
        size = rng.choice(_SIZES)
        maker: Callable[[random.Random, _Told, bool, tuple[int, int]], Composed]
        maker = _animation if rng.random() < 0.2 else _video
        # Not every encoder and muxer takes everything; of pictures that are all alike Pillow makes
        # one, and has no use for a list of times then.
        with contextlib.suppress(av.error.FFmpegError, ValueError, TypeError):
            return maker(rng, told, meant, size)
    raise AssertionError(f"nothing comes of {seed}")


# --- What is shown, and when. -------------------------------------------------------------------


def _steps(rng: random.Random, told: _Told, *, constant: bool) -> Callable[[], int]:
    """How long the next picture is shown, in ms, again and again."""
    style = "constant" if constant else rng.choice(("constant", "jitter", "variable", "holds"))
    rate = rng.choice((8, 12, 15, 20, 24, 25, 30, 50)) if not constant else RATE
    told(f"{style} times about {rate} fps")
    if style == "constant":
        return lambda: round(1000 / rate)
    if style == "jitter":
        return lambda: max(1, round(1000 / rate * rng.uniform(0.2, 1.8)))
    if style == "variable":
        some = rng.sample((1, 3, 10, 20, 40, 60, 90, 200, 400, 700), 4)
        return lambda: rng.choice(some)
    return lambda: rng.choice((500, 900, 1100, 2500)) if rng.random() < 0.04 else 1000 // rate


def _scenes(
    rng: random.Random, told: _Told, size: tuple[int, int], meant: bool, *, constant: bool = False
) -> list[Shown]:
    """Others, the film perhaps, and others, 2.5 seconds to 7 in all."""
    step = _steps(rng, told, constant=constant)
    lasts_ms = rng.randrange(2500, 5500)
    piece_ms = rng.choice((1000, 1040, 1100, 1200, 1500, 1500, 2200, 3000))
    from_ms = rng.choice((0, max(0, lasts_ms - piece_ms), rng.randrange(lasts_ms)))
    pools = [_pool(name, size) for name in rng.sample(_OTHERS, 3)]
    film = _pool("film", size)
    held = rng.random() < 0.2  # One picture of the film all the time.
    flat = rng.random() < 0.1
    still = rng.random() < 0.3
    shown: list[Shown] = []
    at_ms = 0
    film_from: int | None = None
    first = rng.randrange(len(film))
    cut_ms, pool, number = 0, pools[0], 0
    while at_ms < lasts_ms or (meant and film_from is None):
        if meant and at_ms >= from_ms and (film_from is None or at_ms - film_from < piece_ms):
            film_from = at_ms if film_from is None else film_from
            along = 0 if held else (at_ms - film_from) * RATE // 1000
            shown.append(Shown(at_ms, film[(first + along) % len(film)]))
        else:
            if at_ms >= cut_ms:
                cut_ms = at_ms + rng.choice((80, 400, 1500, 5000))
                pool = rng.choice(pools)
                if flat and rng.random() < 0.5:
                    grey = np.full_like(pool[0], rng.choice((0, 16, 128, 255)))
                    pool = (grey,)
            number += not still
            shown.append(Shown(at_ms, pool[number % len(pool)]))
        at_ms += step()
    if meant:
        assert film_from is not None
        # So that what comes last stays long enough too.
        while at_ms - film_from < piece_ms:
            shown.append(Shown(at_ms, film[first]))
            at_ms += step()
        told(f"film from {film_from} ms for {piece_ms} ms{', held' if held else ''}")
    return shown


# --- Films. ---------------------------------------------------------------------------------------


class _Form(NamedTuple):
    """A container: its muxer, the codecs that fit, whether times may be anything."""

    suffix: str
    muxer: str
    codecs: tuple[str, ...]
    sound: str
    any_times: bool = True


_JOINED: Final = {"ts": 0.1, "mpeg": 0.2}  # How many of each.
_MIRROR: Final = -1  # A turn that is none.
_H: Final = ("libx264",) * 5
_FORMS: Final = {
    "mp4": _Form("mp4", "mp4", (*_H, "libx265", "mpeg4", "libvpx-vp9", "libsvtav1"), "aac"),
    "mov": _Form("mov", "mov", (*_H, "libx265", "mpeg4", "mjpeg", "prores_ks"), "aac"),
    "fragmented": _Form("mp4", "mp4", (*_H, "libx265", "libvpx-vp9"), "aac"),
    "mkv": _Form(
        "mkv",
        "matroska",
        (*_H, "libx265", "mpeg4", "libvpx", "libvpx-vp9", "ffv1", "libsvtav1", "mpeg2video"),
        "aac",
    ),
    "webm": _Form("webm", "webm", ("libvpx", "libvpx-vp9"), "libopus"),
    "avi": _Form("avi", "avi", (*_H, "mpeg4", "mpeg4", "mjpeg", "msmpeg4"), "mp2"),
    "ts": _Form("ts", "mpegts", (*_H, "libx265", "mpeg2video", "mpeg4"), "aac"),
    "flv": _Form("flv", "flv", (*_H, "flv"), "aac"),
    "mpeg": _Form("mpg", "mpeg", ("mpeg2video", "mpeg1video"), "mp2", any_times=False),
    "asf": _Form("wmv", "asf", ("wmv2", "msmpeg4"), "mp2"),
    "ogg": _Form("ogv", "ogg", ("ffv1",), "", any_times=False),  # Encoded anew as Theora.
}
_WEIGHTS: Final = {"mp4": 6, "mov": 3, "fragmented": 3, "mkv": 3, "webm": 3, "ts": 2}
# Those that cannot have any distance between frames, whatever their container can.
_STEADY: Final = frozenset({"mpeg2video", "mpeg1video", "msmpeg4", "wmv2", "flv"})


class _Track(NamedTuple):
    shown: list[Shown]
    codec: str
    pixels: str
    options: dict[str, str]
    base: int  # Ticks a second.
    late_ms: int


def _video(rng: random.Random, told: _Told, meant: bool, size: tuple[int, int]) -> Composed:
    names = list(_FORMS)
    name = rng.choices(names, [_WEIGHTS.get(each, 1) for each in names])[0]
    form = _FORMS[name]
    codec = rng.choice(form.codecs)
    if codec in ("libsvtav1", "prores_ks", "ffv1") and name != "ogg" and rng.random() < 0.6:
        codec = form.codecs[0]
    told(name, codec, f"{size[0]}x{size[1]}")
    has_second = rng.random() < 0.15 and name in ("mp4", "mov", "fragmented", "mkv", "ts")
    in_second = has_second and rng.random() < 0.6
    turn = rng.choice((0, 0, 90, 180, 270, _MIRROR, 30)) if name in ("mp4", "mov") else 0
    late_ms = rng.choice((0, 0, 0, 0, 80, 700, 2500)) if form.any_times and name != "avi" else 0
    tracks = [_track(rng, told, form, codec, size, meant and not in_second, late_ms)]
    if has_second:
        told("second track")
        late_ms = rng.choice((0, 0, 300, 1700))
        tracks.append(_track(rng, told, form, codec, size, meant and in_second, late_ms))
    if turn in (90, 180, 270) and rng.random() < 0.5:
        told("stored turned")
        tracks = [_stored_turned(track, turn // 90) for track in tracks]
    sound = None
    if form.sound and rng.random() < 0.25:
        sound = form.sound, rng.choice((0, 0, 500, 2000)), rng.choice((1500, 4000, 8000))
        told(f"sound from {sound[1]} ms for {sound[2]} ms")
    options = _muxer_options(rng, told, name)
    data = _muxed(rng, told, form, tracks, sound, options)
    if not has_second and rng.random() < _JOINED.get(name, 0):
        told("joined with")
        before = _track(rng, told, form, codec, rng.choice((size, size, (160, 96))), False, 0)
        data = _muxed(rng, told, form, [before], sound, options) + data
    if turn == _MIRROR:
        told("mirrored")
        data = films.with_matrix(data, -1, 0, 0, 1)
    elif turn:
        told(f"turn {turn}")
        data = films.turned(data, turn)
    if name in ("mp4", "mov"):
        data = _edited(rng, told, data, form)
    elif name == "ogg":
        data = _by_ffmpeg(data, "mkv", "ogv", "-c:v", "libtheora", "-q:v", "7", "-g", _gop(rng))
    elif rng.random() < 0.08 and name in ("mkv", "fragmented", "ts", "webm"):
        data = _cut(rng, told, data, form)
    return Composed(data, form.suffix, ", ".join(told.words), meant)


def _gop(rng: random.Random) -> str:
    return str(rng.choice((1, 2, 5, 12, 25, 50, 100, 250, 1000)))


def _track(
    rng: random.Random,
    told: _Told,
    form: _Form,
    codec: str,
    size: tuple[int, int],
    meant: bool,
    late_ms: int,
) -> _Track:
    constant = not form.any_times or codec in _STEADY
    # An AVI has times by the number of its frames, some of which may be empty.
    in_frames = form.muxer == "avi" and not constant
    shown = _scenes(rng, told, size, meant, constant=constant)
    options, pixels = _options(rng, codec, even_rows=size[1] % 4 == 0)
    base = RATE if constant else rng.choice((1000, 1000, 600, 90_000, 12_800))
    if in_frames:
        base = rng.choice((RATE, 100))
    if codec == "mpeg4" and base > 65_535:
        base = 1000
    told(f"base {base}", f"late {late_ms} ms", pixels, *(f"{k}={v}" for k, v in options.items()))
    return _Track(shown, codec, pixels, options, base, late_ms)


def _options(rng: random.Random, codec: str, *, even_rows: bool) -> tuple[dict[str, str], str]:
    """How a codec encodes, and the format of its pixels."""
    options = {"g": _gop(rng)}
    if codec == "libx264":
        return _of_x264(rng, options, even_rows=even_rows)
    if codec == "libx265":
        return _of_x265(rng, options)
    if codec in ("libvpx", "libvpx-vp9"):
        return options | _of_vpx(rng), "yuv420p"
    if codec in ("mpeg4", "mpeg2video", "mpeg1video"):
        options |= {"b": "1500k", "bf": str(rng.choice((0, 1, 2))), "sc_threshold": "1000000000"}
        if codec == "mpeg2video" and rng.random() < 0.4:
            options["flags"] = rng.choice(("+ildct+ilme", "+cgop"))
        return options, "yuv420p"
    if codec == "ffv1":
        return {}, rng.choice(("yuv420p", "gray", "bgr0"))
    return {
        "libsvtav1": (options | {"preset": "11", "crf": "35", "svtav1-params": "lp=1"}, "yuv420p"),
        "mjpeg": ({"qmin": "2", "qmax": "5"}, "yuvj420p"),
        "prores_ks": ({"profile": "proxy"}, "yuv422p10le"),
    }.get(codec, (options | {"b": "1500k"}, "yuv420p"))


_X264_PIXELS: Final = (
    *("yuv420p",) * 6,
    *("yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "gray"),
)


def _of_x264(
    rng: random.Random, options: dict[str, str], *, even_rows: bool
) -> tuple[dict[str, str], str]:
    x264 = [
        f"b-pyramid={rng.choice(('none', 'strict', 'normal'))}",
        f"b-adapt={rng.randrange(3)}",
        f"open-gop={rng.randrange(2)}",
        f"scenecut={rng.choice((0, 40))}",
        f"ref={rng.choice((1, 3, 8))}",
        f"weightp={rng.randrange(3)}",
    ]
    pixels = rng.choice(_X264_PIXELS)
    # With few columns between two refreshes, or without colours, x264 ends the process.
    if rng.random() < 0.15 and int(options["g"]) >= RATE and pixels != "gray":
        x264.append("intra-refresh=1")
    if rng.random() < 0.1 and even_rows:
        x264.append(rng.choice(("interlaced=1", "bff=1", "fake-interlaced=1")))
    if rng.random() < 0.1:
        x264.append(rng.choice(("slices=4", "aud=1", "repeat-headers=1", "sliced-threads=1")))
    options |= {
        "bf": str(rng.choice((0, 1, 2, 3, 7, 16))),
        "preset": rng.choice(("ultrafast", "ultrafast", "veryfast", "fast")),
        "crf": str(rng.choice((12, 20, 26, 32))),
        "x264-params": ":".join(x264),
    }
    if rng.random() < 0.1:
        options["tune"] = rng.choice(("zerolatency", "fastdecode", "animation", "stillimage"))
    return options, pixels


def _of_x265(rng: random.Random, options: dict[str, str]) -> tuple[dict[str, str], str]:
    x265 = [
        "log-level=none:pools=1:frame-threads=1",
        f"open-gop={rng.randrange(2)}",
        f"b-pyramid={rng.randrange(2)}",
        f"bframes={rng.choice((0, 1, 2, 4))}",
        f"keyint={options['g']}:min-keyint=1",
        f"scenecut={rng.choice((0, 40))}",
    ]
    options |= {"preset": "ultrafast", "crf": rng.choice(("18", "28"))}
    options["x265-params"] = ":".join(x265)
    return options, rng.choice(("yuv420p", "yuv420p", "yuv420p10le"))


def _of_vpx(rng: random.Random) -> dict[str, str]:
    alternate = rng.randrange(2)
    return {
        "b": rng.choice(("300k", "1M")),
        "deadline": "good" if alternate and rng.random() < 0.5 else "realtime",
        "cpu-used": "8",
        "auto-alt-ref": str(alternate),
        "lag-in-frames": "16" if alternate else rng.choice(("0", "5", "16")),
        "error-resilient": rng.choice(("0", "default")),
    }


def _stored_turned(track: _Track, quarters: int) -> _Track:
    """So that the matrix makes it upright."""
    turned = [
        Shown(each.at_ms, np.ascontiguousarray(np.rot90(each.picture, quarters)))
        for each in track.shown
    ]
    return track._replace(shown=turned)


def _muxer_options(rng: random.Random, told: _Told, name: str) -> dict[str, str]:
    options: dict[str, str] = {}
    if name in ("mp4", "mov"):
        if rng.random() < 0.15:
            options["use_editlist"] = "0"
        if rng.random() < 0.15:
            options["movflags"] = rng.choice(("negative_cts_offsets", "use_metadata_tags"))
    elif name == "fragmented":
        options["movflags"] = rng.choice(
            (
                "frag_keyframe+empty_moov",
                "frag_keyframe+empty_moov+default_base_moof",
                "dash",
                "cmaf+delay_moov",
                "frag_keyframe+empty_moov+delay_moov",
                "frag_every_frame+empty_moov",
                "frag_keyframe",
            )
        )
        if rng.random() < 0.4:
            options["frag_duration"] = str(rng.choice((300_000, 1_000_000)))
    elif name in ("mkv", "webm"):
        if rng.random() < 0.3:
            options[rng.choice(("live", "dash"))] = "1"
        if rng.random() < 0.3:
            options["cluster_time_limit"] = str(rng.choice((100, 1000)))
    if rng.random() < 0.15:
        options["avoid_negative_ts"] = rng.choice(("make_zero", "disabled", "make_non_negative"))
    if options:
        told(*(f"{key}={value}" for key, value in options.items()))
    return options


_COLOUR: Final = {
    "color_range": (1, 2),
    "colorspace": (1, 5, 6, 9, 4),
    "color_primaries": (1, 5, 9, 12),
    "color_trc": (1, 6, 13, 8, 16, 18, 4),
}


def _muxed(
    rng: random.Random,
    told: _Told,
    form: _Form,
    tracks: Sequence[_Track],
    sound: tuple[str, int, int] | None,
    options: dict[str, str],
) -> bytes:
    """The file of the tracks and of a tone, which begins late perhaps."""
    colour: dict[str, int] = {}
    if rng.random() < 0.25:
        for key in rng.sample(sorted(_COLOUR), rng.randrange(1, 4)):
            colour[key] = rng.choice(_COLOUR[key])
        told(*(f"{key}={value}" for key, value in colour.items()))
    # Else Matroska has random numbers for names.
    options = {"fflags": "+bitexact", **options}
    # Not by a buffer: some muxers go back to what they have written.
    muxer = "matroska" if form.muxer == "ogg" else form.muxer
    with tempfile.NamedTemporaryFile(suffix="." + form.suffix) as file:
        with av.open(file.name, "w", format=muxer, options=options) as output:
            streams = [_stream(output, track, colour) for track in tracks]
            tone: Any = None
            if sound is not None:
                tone = output.add_stream(sound[0], rate=48_000, layout="mono")
            for stream, track in zip(streams, tracks, strict=True):
                for packet in _encoded(stream, track):
                    output.mux(packet)
            if sound is not None:
                for packet in _tone(tone, *sound[1:]):
                    output.mux(packet)
        return Path(file.name).read_bytes()


def _stream(output: Any, track: _Track, colour: dict[str, int]) -> Any:
    stream = output.add_stream(track.codec, rate=RATE)
    stream.height, stream.width = track.shown[0].picture.shape[:2]
    stream.pix_fmt = track.pixels
    context = stream.codec_context
    context.thread_count = 1
    context.time_base = Fraction(1, track.base)
    for key, value in colour.items():
        setattr(context, key, value)
    options = dict(track.options)
    gop, flags = options.pop("g", None), options.pop("flags", "")
    if gop is not None:
        context.gop_size = int(gop)
    if "+ildct" in flags:
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me
    if "+cgop" in flags:
        context.flags |= Flags.closed_gop
    stream.options = options
    return stream


def _encoded(stream: Any, track: _Track) -> list[Any]:
    packets: list[Any] = []
    newest = -1
    for at_ms, picture in track.shown:
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=track.pixels)
        newest = max(newest + 1, round((at_ms + track.late_ms) * track.base / 1000))
        frame.pts, frame.time_base = newest, Fraction(1, track.base)
        packets += stream.encode(frame)
    packets += stream.encode()
    return packets


def _tone(stream: Any, late_ms: int, lasts_ms: int) -> list[Any]:
    context = stream.codec_context
    rate = 48_000
    resampler = av.AudioResampler(context.format, "mono", rate)
    samples = np.sin(np.arange(rate * lasts_ms // 1000) * 2 * np.pi * 440 / rate) * 0.1
    packets: list[Any] = []
    step = 960 if context.name == "libopus" else 1152 if context.name == "mp2" else 1024
    for start in range(0, len(samples) - step, step):
        some = samples[start : start + step].astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(some, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, start + rate * late_ms // 1000
        frame.time_base = Fraction(1, rate)
        for each in resampler.resample(frame):
            packets += stream.encode(each)
    packets += stream.encode()
    return packets


# --- Edit lists. ----------------------------------------------------------------------------------


def _edited(rng: random.Random, told: _Told, data: bytes, form: _Form) -> bytes:
    """An MP4 or MOV as it is, or with other edits."""
    how = rng.choices(("own", "boxes", "cut", "shifted"), (5, 3, 2, 1))[0]
    if how == "boxes":
        return _with_edits(rng, told, data)
    if how == "cut":
        return _cut(rng, told, data, form)
    if how == "shifted":
        shift = rng.choice(("0.3", "2.5", "-0.4"))
        told(f"itsoffset {shift}")
        return _by_ffmpeg(
            data, form.suffix, form.suffix, "-map", "0", "-c", "copy", before=("-itsoffset", shift)
        )
    return data


def _cut(rng: random.Random, told: _Told, data: bytes, form: _Form) -> bytes:
    """Without its beginning, as a program cuts that copies what is encoded."""
    since = f"{rng.uniform(0.1, 2.5):.3f}"
    told(f"cut at {since} s")
    where = ["-map", "0", "-c", "copy"]
    if rng.random() < 0.3:
        where += ["-t", f"{rng.uniform(1, 3):.3f}"]
        told(f"for {where[-1]} s")
    return _by_ffmpeg(data, form.suffix, form.suffix, *where, before=("-ss", since))


def _with_edits(rng: random.Random, told: _Told, data: bytes) -> bytes:
    """Edits written by hand: one part, with a pause before it perhaps, or several parts."""
    words: list[str] = []

    def change(trak: bytes) -> bytes:
        scale, lasts = _times(trak)
        edits: list[tuple[int, int]] = []
        if rng.random() < 0.3:
            edits.append((rng.randrange(1, 2000), -1))
        parts = rng.choice((1, 1, 1, 2, 3))
        for _ in range(parts):
            start = rng.choice((0, rng.randrange(max(1, lasts * 3 // 4))))
            left_ms = (lasts - start) * 1000 // scale
            duration = rng.choice((left_ms, rng.randrange(500, 4000)))
            edits.append((max(1, duration), start))
        words.append("edits " + " ".join(f"{ms}@{start / scale:.3f}" for ms, start in edits))
        raw = struct.pack(">II", 0, len(edits)) + b"".join(
            struct.pack(">IiHH", ms, start, 1, 0) for ms, start in edits
        )
        return _with_edts(trak, films.box(b"edts", films.box(b"elst", raw)))

    made = films.changed(data, (b"moov", b"trak"), change)
    told(*words)
    return made


def _boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    made, at = [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        made.append((data[at + 4 : at + 8], data[at + 8 : at + size]))
        at += size
    return made


def _times(trak: bytes) -> tuple[int, int]:
    """The time scale of a track, and how long it lasts by it."""
    mdhd = dict(_boxes(dict(_boxes(trak))[b"mdia"]))[b"mdhd"]
    if mdhd[0]:
        return struct.unpack_from(">IQ", mdhd, 20)
    return struct.unpack_from(">II", mdhd, 12)


def _with_edts(trak: bytes, edts: bytes) -> bytes:
    made = b""
    for kind, content in _boxes(trak):
        if kind != b"edts":
            made += films.box(kind, content)
        if kind == b"tkhd":
            made += edts
    return made


def _by_ffmpeg(
    data: bytes, suffix: str, made: str, *options: str, before: Sequence[str] = ()
) -> bytes:
    """What the program makes of a file; the file itself where it makes nothing of it."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / f"source.{suffix}", Path(folder) / f"made.{made}"
        source.write_bytes(data)
        command = [str(viewer("ffmpeg")), "-nostdin", "-loglevel", "error", *before]
        command += ["-i", str(source), *options, "-fflags", "+bitexact", str(target)]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        # Of a cut behind its last key frame nothing is left.
        if done.returncode or not target.exists() or not target.stat().st_size:
            return data
        return target.read_bytes()


# --- Animated pictures. ---------------------------------------------------------------------------


def _animation(rng: random.Random, told: _Told, meant: bool, size: tuple[int, int]) -> Composed:
    form = rng.choices(("GIF", "PNG", "WEBP", "AVIF"), (4, 4, 4, 1))[0]
    told(form, f"{size[0]}x{size[1]}")
    shown = _coarser(rng, _scenes(rng, told, size, meant))
    strips = rng.random() < 0.3
    times = [b.at_ms - a.at_ms for a, b in itertools.pairwise(shown)]
    times.append(rng.choice((100, 1200)))
    frames = [Image.fromarray(each.picture) for each in shown]
    if strips:
        told("in strips")
        frames, times = _in_strips(rng, frames, times)
    options: dict[str, Any] = {"save_all": True, "duration": times, "loop": rng.randrange(3)}
    if form == "GIF":
        options |= {"disposal": [rng.choice((0, 1, 2, 3)) for _ in frames]}
        if rng.random() < 0.5:
            options["disposal"] = rng.randrange(4)
        options["optimize"] = rng.random() < 0.5
        frames = [each.quantize(128) for each in frames]
        times[:] = [max(20, each // 10 * 10) for each in times]
    elif form == "PNG":
        if rng.random() < 0.5:
            options["disposal"] = [rng.randrange(3) for _ in frames]
            options["blend"] = [rng.randrange(2) for _ in frames]
        options["default_image"] = rng.random() < 0.2
        if options["default_image"]:
            times.pop()
        if rng.random() < 0.2:
            frames = [each.convert("L") for each in frames]
        options["compress_level"] = 1
    elif form == "WEBP":
        options |= {"lossless": rng.random() < 0.3, "quality": rng.choice((50, 80)), "method": 0}
        options |= {"minimize_size": rng.random() < 0.1, "allow_mixed": rng.random() < 0.3}
        options["kmax"] = rng.choice((0, 1, 5, 30))
    else:
        options |= {"speed": 10, "quality": 60, "max_threads": 1}
    if rng.random() < 0.25 and form != "GIF":
        told("with holes")
        frames = [_with_holes(rng, each.convert("RGB")) for each in frames]
    told(*(f"{k}={v}" for k, v in options.items() if not isinstance(v, list)))
    target = io.BytesIO()
    frames[0].save(target, form, append_images=frames[1:], **options)
    media_type = {"GIF": "image/gif", "PNG": "image/png", "WEBP": "image/webp"}.get(form)
    suffix = form.lower()
    description = ", ".join(told.words)
    return Composed(target.getvalue(), suffix, description, meant, media_type or "image/avif")


def _coarser(rng: random.Random, shown: list[Shown]) -> list[Shown]:
    """At most ten pictures a second: animated pictures have few."""
    least_ms = rng.choice((100, 150, 250))
    kept: list[Shown] = []
    for each in shown:
        if not kept or each.at_ms - kept[-1].at_ms >= least_ms:
            kept.append(each)
    return kept


def _in_strips(
    rng: random.Random, frames: list[Image.Image], times: list[int]
) -> tuple[list[Image.Image], list[int]]:
    """Some pictures drawn over the one before in four strips, 20 ms apart."""
    made, lasts = frames[:1], times[:1]
    for frame, each_ms in zip(frames[1:], times[1:], strict=True):
        if rng.random() < 0.3 and each_ms > 80:
            drawn = made[-1]
            for number in range(3):
                top, bottom = (frame.height * part // 4 for part in (number, number + 1))
                drawn = drawn.copy()
                drawn.paste(frame.crop((0, top, frame.width, bottom)), (0, top))
                made.append(drawn)
                lasts.append(20)
            each_ms -= 60
        made.append(frame)
        lasts.append(each_ms)
    return made, lasts


def _with_holes(rng: random.Random, frame: Image.Image) -> Image.Image:
    """A corner is seen through."""
    alpha = Image.new("L", frame.size, 255)
    hole = rng.choice((0, 128))
    alpha.paste(hole, (0, 0, frame.width // 5, frame.height // 5))
    frame.putalpha(alpha)
    return frame
