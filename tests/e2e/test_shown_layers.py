"""Layers between stored frames and a screen: each is applied, screened beside, or told of."""

from __future__ import annotations

import io
import struct
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from PIL import Image

from tests import dolby_vision, films, viewers
from tests.decoding.media.test_colour import negative
from tests.films import (
    Picture,
    film,
    looked_at,
    nal_unit,
    nearest,
    reasons,
    textured,
    written,
)

NEAR, SAME = 20, 6
PICTURE, DECOY = textured(1), textured(2)
SEI = {"libx264": b"\x06", "libx265": b"\x4e\x01"}
QUIET = {"x265-params": "log-level=none:repeat-headers=1"}


def filtered(data: bytes, name: str) -> bytes:
    """A film whose packets went through one of FFmpeg's filters of bitstreams."""
    with tempfile.NamedTemporaryFile() as file:
        with (
            av.open(io.BytesIO(data), "r") as read,
            av.open(file.name, "w", format="mp4") as output,
        ):
            stream = output.add_stream_from_template(read.streams.video[0])
            through = BitStreamFilterContext(name, read.streams.video[0], stream)
            for packet in read.demux(video=0):
                for each in through.filter(packet if packet.size else None):
                    each.stream = stream
                    output.mux(each)
        return file.read()


@pytest.mark.parametrize(("codec", "name"), [("libx264", "h264"), ("libx265", "hevc")])
def test_what_a_conformance_window_leaves_is_looked_at(
    codec: str, name: str, tmp_path: Path
) -> None:
    """A listed film that lies in the corner of a decoy would pass."""
    plane = textured(3, 640, 480)
    plane[:240, :320] = PICTURE
    options: Any = QUIET if name == "hevc" else {}
    plain = film([plane] * 3, "mp4", codec, **options)
    data = filtered(plain, f"{name}_metadata=crop_right=320:crop_bottom=240")
    digests, done = looked_at(data)
    (shown,) = viewers.ffmpeg_frames(written(data, tmp_path, "window.mp4"), 0.2)
    assert shown.shape[:2] == PICTURE.shape
    assert nearest(digests, shown) <= NEAR
    assert nearest(digests, PICTURE) <= SAME
    assert reasons(done) == []


def with_render_size(packet: bytes, width: int, height: int) -> bytes:
    """A key frame of VP9, profile 0, that asks for another size on the screen. Source: VP9
    Bitstream Specification, 6.2: the flag is the 69th bit where colours are YCbCr.
    """
    bits = int.from_bytes(packet, "big")
    below = len(packet) * 8 - 69
    assert not bits >> below & 1
    head, tail = bits >> below | 1, bits & (1 << below) - 1
    size = (width - 1) << 16 | (height - 1)
    return ((head << 32 | size) << below | tail).to_bytes(len(packet) + 4, "big")


def test_another_size_on_the_screen_is_the_same_picture(tmp_path: Path) -> None:
    """As VP9 asks for it in its frames, and as containers do by the shape of their pixels."""
    data = film(
        [PICTURE] * 3,
        "webm",
        "libvpx-vp9",
        change=lambda each: with_render_size(each, 640, 120),
        g="0",
    )
    digests, done = looked_at(data)
    assert nearest(digests, PICTURE) <= SAME
    assert reasons(done) == []
    (shown,) = viewers.chromium_plays(written(data, tmp_path, "render.webm"), [0.2])
    assert nearest(digests, shown) <= NEAR
    data = filtered(film([PICTURE] * 3), "h264_metadata=sample_aspect_ratio=4/1")
    digests, done = looked_at(data)
    (shown,) = viewers.chromium_plays(written(data, tmp_path, "aspect.mp4"), [0.2])
    assert shown.shape[1] == 4 * PICTURE.shape[1]
    assert nearest(digests, shown) <= NEAR
    assert reasons(done) == []


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ((1, 0, 0.5, 0, 1, 0), "a display matrix with a perspective"),
        ((0, 0, 0, 0, 0, 0), "a display matrix that leaves nothing"),
    ],
)
def test_matrices_that_are_not_followed_are_told(numbers: tuple[float, ...], told: str) -> None:
    """And the frame is looked at as it is stored."""
    a, b, u, c, d, v = numbers
    one, unit = 1 << 16, 1 << 30
    raw = [round(a * one), round(b * one), round(u * unit), round(c * one), round(d * one)]
    matrix = struct.pack(">9i", *raw, round(v * unit), 0, 0, unit)
    data = films.changed(
        film([PICTURE] * 3),
        (b"moov", b"trak", b"tkhd"),
        lambda head: head[:40] + matrix + head[76:],
    )
    digests, done = looked_at(data)
    assert nearest(digests, PICTURE) <= SAME
    # FFmpeg leaves a matrix out that cannot be turned round.
    assert reasons(done) in ([f"UNSEEN_MEDIA: {told}"], [])
    assert reasons(done) or not any(numbers)


@pytest.mark.parametrize(
    ("packing", "weave"),
    [
        (3, lambda a, b: np.hstack([a[:, ::2], b[:, ::2]])),
        (4, lambda a, b: np.vstack([a[::2], b[::2]])),
    ],
)
def test_both_views_of_a_frame_are_looked_at(
    packing: int, weave: Callable[[Picture, Picture], Picture]
) -> None:
    """Headsets and 3D screens show each by itself."""
    options: Any = {"x264-params": f"frame-packing={packing}"}
    digests, done = looked_at(film([weave(PICTURE, DECOY)] * 3, **options))
    assert nearest(digests, PICTURE) <= NEAR
    assert nearest(digests, DECOY) <= NEAR
    assert reasons(done) == []


def test_two_views_in_a_checkerboard_are_told() -> None:
    """They are not taken apart."""
    options: Any = {"x264-params": "frame-packing=0"}
    digests, done = looked_at(film([PICTURE] * 3, **options))
    assert nearest(digests, PICTURE) <= SAME
    assert reasons(done) == ["UNSEEN_MEDIA: two views in a checkerboard"]


def test_a_spherical_film_is_looked_at_flat() -> None:
    """Players show a part of it, another one as the viewer turns: the frame is screened."""
    projection = films.box(b"prhd", bytes(16)) + films.box(b"equi", bytes(20))
    spherical = films.box(b"sv3d", films.box(b"svhd", bytes(5)) + films.box(b"proj", projection))
    data = films.changed(
        film([PICTURE] * 3), (*films.STBL, b"stsd", b"avc1"), lambda entry: entry + spherical
    )
    digests, done = looked_at(data)
    assert nearest(digests, PICTURE) <= SAME
    assert reasons(done) == []


def test_a_track_that_is_placed_elsewhere_is_looked_at(tmp_path: Path) -> None:
    """QuickTime 7 puts tracks side by side; each is screened by itself."""

    def moved(head: bytes) -> bytes:
        return head[:64] + struct.pack(">ii", 320 << 16, 40 << 16) + head[72:]

    data = films.changed(film([PICTURE] * 3), (b"moov", b"trak", b"tkhd"), moved)
    digests, done = looked_at(data)
    (shown,) = viewers.ffmpeg_frames(written(data, tmp_path, "placed.mp4"), 0.2)
    assert nearest(digests, shown) <= NEAR
    assert reasons(done) == []


@pytest.mark.parametrize("matrix", [8, 9, 10, 14])
def test_lightness_of_other_colour_spaces(matrix: int, tmp_path: Path) -> None:
    """YCgCo, BT.2020 and ICtCp: the first plane is lightness, whatever the others are."""
    data = filtered(film([PICTURE] * 3), f"h264_metadata=matrix_coefficients={matrix}")
    digests, done = looked_at(data)
    assert nearest(digests, PICTURE) <= SAME
    (shown,) = viewers.chromium_plays(written(data, tmp_path, "space.mp4"), [0.2])
    assert nearest(digests, shown) <= NEAR
    assert reasons(done) == []


def test_a_colour_profile_of_a_film_is_followed() -> None:
    """As mpv and QuickTime do; browsers show the frame as it is."""
    profile = films.box(b"colr", b"prof" + negative())
    data = films.changed(
        film([PICTURE] * 3), (*films.STBL, b"stsd", b"avc1"), lambda entry: entry + profile
    )
    digests, done = looked_at(data)
    shown = 255 - np.clip((PICTURE.astype(np.float32) - 16) * 255 / 219, 0, 255)
    assert nearest(digests, PICTURE) <= SAME
    assert nearest(digests, shown) <= SAME
    assert reasons(done) == []


# What lies above the middle comes out as it is, what lies below is turned round.
BENT = dolby_vision.reshaped((0, 128, 255), ((0.5, -1.0), (0.0, 1.0)))


def test_a_frame_that_dolby_vision_reshapes_is_looked_at_so() -> None:
    """Players that know it show another picture than those that do not: both are screened."""
    plain: Any = QUIET
    data = film([PICTURE] * 3, "mp4", "libx265", change=lambda each: each + BENT, **plain)
    digests, done = looked_at(data)
    stored = PICTURE / 255
    shown = np.where(stored < 0.5, 0.5 - stored, stored)
    assert nearest(digests, PICTURE) <= SAME
    assert nearest(digests, shown * 255) <= NEAR
    assert reasons(done) == []
    assert nearest(looked_at(film([PICTURE] * 3, "mp4", "libx265", **plain))[0], shown * 255) > NEAR


def test_transparency_that_is_not_announced_is_told() -> None:
    """Some decoders compose it, browsers do not."""
    options: Any = {"auto-alt-ref": "0"}
    data = film([DECOY] * 3, "webm", "libvpx-vp9", alpha=[PICTURE] * 3, **options)
    at = data.index(b"\x53\xc0")  # AlphaMode.
    assert data[at + 2 : at + 4] == b"\x81\x01"
    digests, done = looked_at(data[: at + 3] + b"\x00" + data[at + 4 :])
    assert nearest(digests, DECOY) <= SAME
    assert reasons(done) == ["UNSEEN_MEDIA: an alpha plane that the track does not announce"]


@pytest.mark.parametrize(
    ("codec", "header", "told"),
    [
        ("libx265", b"\x02\x09", "a second layer of HEVC (a view, or alpha)"),
        ("libx264", b"\x74", "a second view or layer of H.264"),
    ],
)
def test_a_second_layer_is_told(codec: str, header: bytes, told: str) -> None:
    """Headsets show its view, and Safari its transparency."""
    options: Any = QUIET if codec == "libx265" else {}
    layer = nal_unit(header, bytes(range(64, 96)))
    data = film([PICTURE] * 3, "mp4", codec, change=lambda each: each + layer, **options)
    digests, done = looked_at(data)
    assert nearest(digests, PICTURE) <= SAME
    assert f"UNSEEN_MEDIA: {told}" in reasons(done)


def registered(country: int, content: bytes) -> bytes:
    """A message that is registered with a country. Source: ITU-T T.35; H.264, D.1.6."""
    payload = bytes([country]) + content
    return bytes([4, len(payload)]) + payload + b"\x80"


LCEVC = registered(0xB4, b"\x00\x50\x00\x01" + bytes(range(16, 32)))
CAPTIONS = registered(
    0xB5, b"\x00\x31GA94\x03" + b"\xc2\xff" + b"\xfc\x94\x20\xfc\xc8\xe9" + b"\xff"
)


@pytest.mark.parametrize(
    ("message", "told"),
    [(LCEVC, ["UNSEEN_MEDIA: an enhancement layer (LCEVC)"]), (CAPTIONS, [])],
    ids=["lcevc", "captions"],
)
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_messages_beside_frames(codec: str, message: bytes, told: list[str]) -> None:
    """A layer that sharpens is told of; closed captions are text, and no picture."""
    options: Any = QUIET if codec == "libx265" else {}
    unit = nal_unit(SEI[codec], message)

    data = film([PICTURE] * 3, "mp4", codec, change=lambda each: unit + each, **options)
    digests, done = looked_at(data)
    assert nearest(digests, PICTURE) <= SAME
    assert reasons(done) == told


def test_another_codec_in_the_midst_of_a_stream_is_told() -> None:
    """Some players go on with it."""
    options: Any = QUIET
    first = film([DECOY] * 5, "mpegts", "libx264")
    data = first + film([PICTURE] * 5, "mpegts", "libx265", **options)
    digests, done = looked_at(data)
    both = nearest(digests, DECOY) <= SAME and nearest(digests, PICTURE) <= SAME
    assert both or reasons(done) != []
    assert nearest(digests, PICTURE) <= SAME or nearest(digests, DECOY) <= SAME


def test_frames_that_carry_exif_are_turned_by_it(tmp_path: Path) -> None:
    """Motion JPEG of some cameras: FFmpeg follows the orientation of each frame."""
    exif = Image.Exif()
    exif[0x0112] = 6
    with tempfile.NamedTemporaryFile() as file:
        with av.open(file.name, "w", format="avi") as output:
            stream: Any = output.add_stream("mjpeg", rate=5)
            stream.height, stream.width = PICTURE.shape
            stream.pix_fmt = "yuvj420p"
            for number in range(3):
                jpeg = io.BytesIO()
                Image.fromarray(PICTURE).convert("RGB").save(
                    jpeg, "JPEG", quality=95, exif=exif.tobytes()
                )
                packet: Any = av.Packet(jpeg.getvalue())
                packet.pts = packet.dts = number
                packet.time_base, packet.stream = Fraction(1, 5), stream
                packet.is_keyframe = True
                output.mux(packet)
        data = file.read()
    digests, done = looked_at(data)
    assert nearest(digests, PICTURE) <= NEAR
    (shown, *_) = viewers.ffmpeg_frames(written(data, tmp_path, "exif.avi"))
    assert nearest(digests, shown) <= NEAR
    assert reasons(done) == []
