"""Streams without a container, and sound alone."""

from __future__ import annotations

import io
import tempfile
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from hashmatch.decoding.media.bare import bare_stream
from hashmatch.model.verdicts import VerdictReason
from tests import films

SOUNDS = {
    "mp3": "libmp3lame", "adts": "aac", "wav": "pcm_s16le", "flac": "flac", "aiff": "pcm_s16be",
    "ogg": "libopus", "ac3": "ac3", "eac3": "eac3", "ipod": "aac", "asf": "wmav2",
    "webm": "libopus", "flv": "aac", "mpegts": "aac", "mp4": "aac", "au": "pcm_s16be", "mp2": "mp2",
}  # fmt: skip


def tone(form: str, *, cover: bytes = b"", tag: bool = True) -> bytes:
    """Half a second of sound; ``cover``: a JPEG."""
    options = {} if tag or form != "mp3" else {"id3v2_version": "0", "write_xing": "0"}
    with tempfile.NamedTemporaryFile() as file:
        with av.open(file.name, "w", format=form, options=options) as output:
            stream: Any = output.add_stream(SOUNDS[form], rate=48_000)
            stream.bit_rate = 64_000
            pictures: Any = None
            if cover:
                pictures = output.add_stream("mjpeg", rate=1)
                pictures.width, pictures.height, pictures.pix_fmt = 128, 96, "yuvj420p"
                pictures.disposition = av.stream.Disposition.attached_pic
            packets: list[Any] = []
            for number in range(24):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.int16), "s16")
                frame.sample_rate, frame.pts = 48_000, number * 1024
                packets += stream.encode(frame)
            packets += stream.encode(None)
            if cover:
                packet = av.Packet(cover)
                packet.stream, packet.pts, packet.dts = pictures, 0, 0
                packets.insert(0, packet)
            for packet in packets:
                output.mux(packet)
        return file.read()


@pytest.mark.parametrize("form", SOUNDS)
def test_sound_alone_has_a_reason_of_its_own(form: str) -> None:
    """A pipeline could not tell a podcast from a film that hashmatch does not know."""
    _, done = films.looked_at(tone(form, tag=False))
    assert [each.code for each in done.reasons] == [VerdictReason.NO_PICTURE]


def test_a_cover_is_screened() -> None:
    """Players show it for as long as there is sound."""
    picture = films.textured(5, 128, 96)
    jpeg = io.BytesIO()
    Image.fromarray(picture).convert("RGB").save(jpeg, "JPEG")
    digests, done = films.looked_at(tone("mp3", cover=jpeg.getvalue()))
    assert films.reasons(done) == []
    assert films.nearest(digests, picture) <= 31


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\0\0\1",
        b"\0\0\1\x67",
        b"\0\0\1\xb3" + bytes(40),
        b"\0\0\1\x67\x64\0\x1f" + bytes(4000),
        b"\xff\xfb\x90\0" + bytes(4000),
        b"\x1f\x07\0\x3f" + bytes(4000),
        b"\x12\0",
        bytes(4096),
        bytes(range(256)) * 16,
    ],
)
def test_what_only_begins_like_a_stream_is_none(head: bytes) -> None:
    """Any file could reach a demuxer that was made for another."""
    assert bare_stream(head) is None
