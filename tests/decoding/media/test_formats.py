"""Formats by their first bytes, and what is missing of a file by its own structure."""

from __future__ import annotations

import io
import struct
import tempfile
from functools import lru_cache
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hashmatch.decoding.media.completeness import missing_bytes, scrambled, unseen_media
from hashmatch.decoding.media.formats import Family, Format, sniff
from hashmatch.decoding.media.source import BytesSource, FileSource
from tests import films

NOISE = np.random.default_rng(0).integers(0, 256, (6, 48, 64, 3), np.uint8)


@lru_cache
def image(pillow_format: str, **options: Any) -> bytes:
    """A small picture, or with ``save_all`` three."""
    frames = [Image.fromarray(frame) for frame in NOISE[:3]]
    if options.get("save_all"):
        options["append_images"] = frames[1:]
    file = io.BytesIO()
    frames[0].save(file, pillow_format, **options)
    return file.getvalue()


@lru_cache
def video(container: str, codec: str, movflags: str = "") -> bytes:
    """Six frames of noise."""
    options = {"movflags": movflags} if movflags else {}
    with tempfile.NamedTemporaryFile() as file:
        with av.open(file.name, "w", format=container, options=options) as output:
            stream = output.add_stream(codec, rate=25, options={"g": "2"})
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height = 64, 48
            for frame in NOISE:
                output.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
            output.mux(stream.encode())
        return file.read()


def told(data: bytes) -> Format | None:
    """What the bytes are taken for."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return sniff(FileSource(file))


def missing(data: bytes, like: bytes | None = None) -> str | None:
    """What is said to be missing, where the format is that of ``like``."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        media_format = told(like or data)
        assert media_format is not None
        return missing_bytes(FileSource(file), media_format)


IMAGES = {
    "jpeg": image("JPEG"),
    "png": image("PNG"),
    "apng": image("PNG", save_all=True),
    "gif": image("GIF", save_all=True),
    "webp": image("WEBP"),
    "bmp": image("BMP"),
    "tiff": image("TIFF"),
    "avif": image("AVIF"),
}
VIDEOS = {
    "mov": video("mp4", "mpeg4"),
    "faststart": video("mp4", "mpeg4", "faststart"),
    "fragmented": video("mp4", "mpeg4", "frag_keyframe+empty_moov"),
    "matroska": video("matroska", "mpeg4"),
    "webm": video("webm", "libvpx"),
    "avi": video("avi", "mpeg4"),
    "flv": video("flv", "flv"),
    "ogg": video("ogg", "libvpx"),
    "mpegts": video("mpegts", "mpeg2video"),
    "mpeg": video("mpeg", "mpeg2video"),
    "asf": video("asf", "wmv2"),
}
MEDIA = {**IMAGES, **VIDEOS}

# Those whose end tells itself.
SELF_ENDING = sorted({*MEDIA} - {"jpeg", "bmp", "tiff", "mpeg", "asf"})


@pytest.mark.parametrize("name", MEDIA)
def test_each_format_is_told_by_its_first_bytes(name: str) -> None:
    """A format would be refused, or be given to another decoder."""
    found = told(MEDIA[name])
    assert found is not None
    same = {"apng": "png", "webm": "matroska", "faststart": "mov", "fragmented": "mov"}
    assert found.name == same.get(name, name)
    assert found.family is (Family.IMAGE if name in IMAGES else Family.VIDEO)


@pytest.mark.parametrize("name", MEDIA)
def test_the_named_decoder_opens_it(name: str) -> None:
    """Pillow or FFmpeg would be asked for a format by a name that it does not know."""
    found = told(MEDIA[name])
    assert found is not None
    if found.family is Family.IMAGE:
        with Image.open(io.BytesIO(MEDIA[name]), formats=[found.decoder_name]) as opened:
            opened.load()
    else:
        with av.open(io.BytesIO(MEDIA[name]), format=found.decoder_name) as container:
            assert container.streams.video


def test_only_an_index_at_the_end_needs_seeking() -> None:
    """Every upload would be decoded only after its last byte, or some could not be decoded."""
    streamable = {name for name, data in VIDEOS.items() if (f := told(data)) and f.streamable}
    assert streamable == {*VIDEOS} - {"mov"}


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\0",
        b"not a media at all, but long enough to be one" * 20,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n",
        b"BM\0\0\0\0\0\0\0\0\0\0\0\0\xff\0",
        b"FLV\x02",
        b"G" + bytes(187) + b"G" + bytes(187),
        b"ID3\x04",
        b"\x1f\x8b\x08",
    ],
)
def test_what_is_not_meant_to_be_decoded_is_not(head: bytes) -> None:
    """A playlist, script or exotic format would reach a parser that reads other files."""
    assert told(head) is None


@given(st.binary(max_size=80))
@settings(deadline=None)
def test_no_bytes_make_it_fail(head: bytes) -> None:
    """A strange upload would end the worker."""
    for magic in (
        b"",
        b"\0\0\0\x10ftyp",
        b"\x1aE\xdf\xa3",
        b"RIFF",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
    ):
        found = told(magic + head)
        if found is not None:
            missing(magic + head)


@pytest.mark.parametrize("name", MEDIA)
def test_nothing_is_missing_of_a_whole_file(name: str) -> None:
    """Ordinary uploads would be INCONCLUSIVE."""
    assert missing(MEDIA[name]) is None


@pytest.mark.parametrize("name", SELF_ENDING)
def test_a_cut_is_noticed(name: str) -> None:
    """The part of a file that is left would pass for the whole."""
    data = MEDIA[name]
    for end in (len(data) * part // 100 for part in (20, 40, 60, 80, 95, 99)):
        if name == "mpegts" and end % 188 == 0:
            continue  # It could have ended there.
        assert missing(data[:end], like=data), f"cut at {end} of {len(data)}"


@pytest.mark.parametrize("name", ["fragmented", "mpegts", "flv", "ogg"])
def test_bytes_that_a_demuxer_would_skip_are_noticed(name: str) -> None:
    """Frames behind a hole in the structure would never be looked at."""
    data = VIDEOS[name]
    if name == "fragmented":
        # The second fragment's header.
        hole = data.index(b"moof", data.index(b"moof") + 4) - 4
    elif name == "mpegts":
        hole = 188 * 5 - 10
    elif name == "flv":
        hole = 13 + 15 + int.from_bytes(data[14:17], "big")  # The tag after the first.
    else:
        hole = data.rindex(b"OggS")
    assert missing(data[:hole] + bytes(40) + data[hole + 40 :], like=data)


@pytest.mark.parametrize("name", ["mov", "faststart", "fragmented"])
def test_padding_behind_an_mp4_is_no_damage(name: str) -> None:
    """Files of a recorder that fills up its blocks would be INCONCLUSIVE."""
    assert missing(VIDEOS[name] + bytes(100_000)) is None
    assert missing(VIDEOS[name] + bytes(3)) is None
    assert missing(VIDEOS[name] + bytes(100_000) + b"\0\0\1\0moof")
    assert missing(VIDEOS[name] + b"\0\0\1")  # A box has begun.


@pytest.mark.parametrize("name", ["mov", "faststart", "fragmented"])
def test_what_a_camera_puts_behind_an_mp4_is_no_damage(name: str) -> None:
    """Ordinary files of some makers would be INCONCLUSIVE, again and again."""
    trailer = b"\xff\xfe\x12SEFT" + b"\x91vendor\x00" * 12_000
    assert missing(VIDEOS[name] + trailer) is None
    # Wherever a chunk that is read ends.
    for size in range(65_530, 65_540):
        assert missing(VIDEOS[name] + b"\xff" * size + b"\0\0\1\0moof\0\0")


def test_the_last_box_may_last_to_the_end() -> None:
    """Whoever leaves its length out, as the format allows, would be INCONCLUSIVE."""
    data = VIDEOS["faststart"]
    assert missing(data + bytes(4) + b"free" + bytes(20)) is None
    data = VIDEOS["mov"]
    start = data.rindex(b"moov") - 4
    assert missing(data[:start] + bytes(4) + data[start + 4 :]) is None


@pytest.mark.parametrize("step", [0, 2, -1])
def test_the_numbers_of_fragments_say_nothing(step: int) -> None:
    """Files whose tracks were put together, or taken out, would be INCONCLUSIVE."""
    data = bytearray(VIDEOS["fragmented"])
    at = data.find(b"mfhd")
    number = 100
    while at >= 0:
        data[at + 8 : at + 12] = struct.pack(">I", number)
        number += step
        at = data.find(b"mfhd", at + 4)
    assert missing(bytes(data)) is None


@pytest.mark.parametrize(("before", "behind"), [(4, 0), (0, 16)])
def test_transport_streams_of_camcorders_are_known(before: int, behind: int) -> None:
    """What AVCHD cameras record would be UNSUPPORTED."""
    plain = VIDEOS["mpegts"]
    packets = [plain[at : at + 188] for at in range(0, len(plain), 188)]
    data = b"".join(b"\x12\x34\x56\x78"[:before] + each + bytes(behind) for each in packets)
    found = told(data)
    assert found is not None
    assert found.name == "mpegts"
    assert missing(data) is None
    assert scrambled(BytesSource(data)) is None
    assert missing(data[:-5])
    length = 188 + before + behind
    assert missing(data[: 5 * length] + data[5 * length + 3 :])
    marked = bytearray(data)
    marked[4 * length + before + 3] |= 0x80
    assert scrambled(BytesSource(bytes(marked))) == "scrambled packets"


def test_an_mp4_box_may_last_to_the_end() -> None:
    """A recording whose length was not known when it began would be INCONCLUSIVE."""
    data = VIDEOS["faststart"]
    start = data.index(b"mdat") - 4
    assert data[start:].startswith(struct.pack(">I", len(data) - start))
    assert missing(data[:start] + bytes(4) + data[start + 4 :]) is None


def test_an_mp4_box_may_have_a_long_length() -> None:
    """Files beyond 4 GiB would be INCONCLUSIVE, or their frames be skipped."""
    data = VIDEOS["faststart"]
    start = data.index(b"mdat") - 4
    media = data[start + 8 :]
    long = struct.pack(">I4sQ", 1, b"mdat", len(media) + 16)
    assert missing(data[:start] + long + media) is None
    assert missing((data[:start] + long + media)[:-1], like=data)


def test_a_matroska_file_of_unknown_length_ends_where_it_ends() -> None:
    """A live recording would be INCONCLUSIVE."""
    data = VIDEOS["matroska"]
    at = data.index(b"\x18\x53\x80\x67") + 4
    unknown = data[:at] + b"\x01" + b"\xff" * 7 + data[at + 8 :]
    assert missing(unknown) is None
    assert missing(unknown[:-50]) is None


def test_what_is_missing_is_said_with_its_place() -> None:
    """A person could not tell a broken upload from a broken file."""
    data = VIDEOS["avi"]
    assert missing(data[:-10], like=data) == (
        f"its RIFF chunk ends at byte {len(data)}, the file at byte {len(data) - 10}"
    )
    assert missing(IMAGES["png"][:-20], like=IMAGES["png"]) == (
        "the file ends before its IEND chunk"
    )


def test_no_name_is_told_that_a_file_made_up() -> None:
    """Control characters of a file would reach the log and the verdict."""
    made_up = struct.pack(">I4s", 999, b"\x1b[2J")
    assert missing(VIDEOS["faststart"] + made_up) is None
    cut = VIDEOS["faststart"] + made_up + struct.pack(">I4s", 999, b"moof")
    assert "\x1b" not in (missing(cut) or "\x1b")


def test_scrambled_packets_are_told_of() -> None:
    """Cipher text would be hashed as if it were what subscribers see."""
    data = bytearray(VIDEOS["mpegts"])
    assert scrambled(BytesSource(bytes(data))) is None
    data[188 * 4 + 3] |= 0x80
    assert scrambled(BytesSource(bytes(data))) == "scrambled packets"


def test_a_second_film_behind_one_of_asf() -> None:
    """FFmpeg ends at the first."""
    asf = films.film([films.textured(1, 96, 64)] * 5, "asf", "wmv2")
    like = sniff(BytesSource(asf))
    assert like is not None
    assert unseen_media(BytesSource(asf), like) is None
    told = unseen_media(BytesSource(asf + asf), like)
    assert told == f"a second film begins at byte {len(asf)}"
