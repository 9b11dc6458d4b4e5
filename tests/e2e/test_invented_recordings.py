"""Recordings, sounds and pictures that are a listed film to FFmpeg, mpv or a browser, and a cover,
or nothing at all, to whoever looks at first bytes alone.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from hashmatch.decoding.media import late
from hashmatch.model.verdicts import VerdictReason
from tests import films

SIZE = 160, 96
PACKET = 188
SKIPPED = 0x4C5601  # Bytes: the rest of "FLV" and 1, taken for the length of a tag.


def cover() -> films.Picture:
    """What is shown by whoever is deceived."""
    return films.textured(1, *SIZE)


def film() -> films.Picture:
    """What is listed."""
    return films.textured(2, *SIZE)


@lru_cache
def clip(form: str, codec: str = "libx264", *, of_cover: bool = False) -> bytes:
    """A second of the film, or of the cover."""
    picture = cover() if of_cover else film()
    rate = 25 if codec == "mpeg2video" else 5
    return films.film([picture] * rate * (1 if of_cover else 2), form, codec, rate=rate)


def image(form: str) -> bytes:
    """The cover."""
    target = io.BytesIO()
    Image.fromarray(cover()).convert("L").save(target, form)
    return target.getvalue()


def tag(*, pictured: bool = True) -> bytes:
    """An ID3 tag with the cover. Source: ID3v2.3, 3.1 and 4.15."""
    body = b"\0image/jpeg\0\x03\0" + image("JPEG") if pictured else b""
    frame = b"APIC" + struct.pack(">IH", len(body), 0) + body if pictured else b""
    size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + frame


def in_png(hidden: bytes) -> bytes:
    """In a chunk that decoders pass over."""
    picture, kind = image("PNG"), b"prVt"
    chunk = struct.pack(">I", len(hidden)) + kind + hidden
    return picture[:33] + chunk + struct.pack(">I", zlib.crc32(kind + hidden)) + picture[33:]


def in_jpeg(hidden: bytes) -> bytes:
    """In segments of its metadata."""
    picture, segments = image("JPEG"), b""
    for at in range(0, len(hidden), PACKET * 340):
        part = hidden[at : at + PACKET * 340]
        segments += b"\xff\xe9" + struct.pack(">H", len(part) + 2) + part
    return picture[:2] + segments + picture[2:]


def in_tga(hidden: bytes) -> bytes:
    """As its pixels."""
    width, height = PACKET, -(-len(hidden) // PACKET)
    head = struct.pack("<BBBHHBHHHHBB", 0, 0, 3, 0, 0, 0, 0, 0, width, height, 8, 0x20)
    return head + hidden + bytes(width * height - len(hidden))


def in_wav(hidden: bytes) -> bytes:
    """In a chunk of a second of silence."""
    form = struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16_000, 2, 16)
    chunks = b"WAVEfmt " + form + b"JUNK" + struct.pack("<I", len(hidden)) + hidden
    chunks += bytes(len(hidden) % 2) + b"data" + struct.pack("<I", 16_000) + bytes(16_000)
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def behind_sound() -> bytes:
    """Three frames of silence of an MP3 with a cover, and a transport stream."""
    return tag() + (b"\xff\xfb\x90\xc0" + bytes(413)) * 3 + clip("mpegts", "mpeg2video")


PACK = b"\0\0\1\xba\x44\0\4\0\4\1\0\0\3\xf8"


def in_padding() -> bytes:
    """A transport stream in the padding of a program stream."""
    hidden, made = clip("mpegts", "mpeg2video"), PACK
    for at in range(0, len(hidden), PACKET * 300):
        part = hidden[at : at + PACKET * 300]
        made += b"\0\0\1\xbe" + struct.pack(">H", len(part)) + part
    return made + clip("mpeg", "mpeg2video", of_cover=True)


def in_null_packets() -> bytes:
    """A program stream, a few bytes in each packet of a transport stream that is passed over."""
    hidden, made = clip("mpeg2video", "mpeg2video"), b""
    for at in range(0, len(hidden), 150):
        part = hidden[at : at + 150]
        payload = PACK + b"\0\0\1\xe0" + struct.pack(">H", len(part) + 3) + b"\x80\0\0" + part
        made += b"\x47\x1f\xff\x10" + payload + b"\xff" * (PACKET - 4 - len(payload))
    return made + clip("mpegts", "mpeg2video", of_cover=True)


def where_demuxers_go_on() -> bytes:
    """FLV: demuxers take the header of a second film for a tag of five megabytes. Behind these the
    film goes on, within what is a script of the second film.
    """
    first, hidden = clip("flv", "flv1", of_cover=True), clip("flv", "flv1")[13:]
    target = len(first) + 11 + SKIPPED
    start = 2 * len(first) + 11
    body = bytes(target - start) + struct.pack(">I", SKIPPED + 11) + hidden
    script = b"\x12" + len(body).to_bytes(3, "big") + bytes(7) + body
    return first + first + script + struct.pack(">I", len(body) + 11)


def elements(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """Number, whole and content of elements of Matroska in a row."""
    found, at = [], 0
    while at < len(data):
        start = at + 9 - data[at].bit_length()
        content = start + 9 - data[start].bit_length()
        size = int.from_bytes(data[start:content], "big") & (1 << 7 * (content - start)) - 1
        number = int.from_bytes(data[at:start], "big")
        found.append((number, data[at : content + size], data[content : content + size]))
        at = content + size
    return found


def tracks_in_a_void() -> bytes:
    """Matroska: the index of elements says where the tracks are: within padding. Behind the frames
    there are others, which take the film for sound.
    """

    def second(output: Any) -> list[Any]:
        stream = output.add_stream("libx264", rate=5)
        (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
        packets: list[Any] = []
        for number in range(10):
            frame = films.grey_frame(film())
            frame.pts = number
            packets += stream.encode(frame)
        return packets + list(stream.encode())

    data = films.film([cover()] * 10, "matroska", more=second)
    segment = data.index(films.SEGMENT.to_bytes(4, "big"))
    ((_, _, content),) = elements(data[segment:])
    parts = elements(content)
    (tracks,) = (each for each in parts if each[0] == films.TRACKS)
    info = b"".join(whole for number, whole, _ in parts if number == 0x1549A966)
    clusters = b"".join(whole for number, whole, _ in parts if number == 0x1F43B675)
    numbers = films.ebml(0xD7, b"\2") + films.ebml(0x73C5, b"\2") + films.ebml(0x83, b"\2")
    sound = films.ebml(0xB5, struct.pack(">d", 8000.0)) + films.ebml(0x6264, b"\x10")
    of_sound = numbers + films.ebml(0x86, b"A_PCM/INT/LIT") + films.ebml(0xE1, sound)
    other = elements(tracks[2])[0][1] + films.ebml(films.TRACK, of_sound)

    def index(place: int) -> bytes:
        where = films.ebml(0x53AB, b"\x16\x54\xae\x6b") + films.ebml(
            0x53AC, place.to_bytes(8, "big")
        )
        return films.ebml(0x114D9B74, films.ebml(0x4DBB, where))

    hidden = films.ebml(films.TRACKS, tracks[2])
    body = index(len(index(0)) + len(info) + 9) + info + films.ebml(0xEC, hidden) + clusters
    return data[:segment] + films.ebml(films.SEGMENT, body + films.ebml(films.TRACKS, other))


def without_key_frames() -> bytes:
    """QuickTime RLE, whose last frame alone is a key frame by the container's word: a decoder of it
    has to know the depth.
    """
    target = io.BytesIO()
    with av.open(target, "w", format="mov") as output:
        stream: Any = output.add_stream("qtrle", rate=5)
        (stream.width, stream.height), stream.pix_fmt = SIZE, "rgb24"
        for number in range(11):
            grey = film() if number < 10 else cover()
            frame = av.VideoFrame.from_ndarray(np.repeat(grey[..., None], 3, 2), format="rgb24")
            frame.pts = number
            for packet in stream.encode(frame):
                packet.is_keyframe = number == 10
                output.mux(packet)
    return target.getvalue()


HIDDEN: dict[str, Callable[[], bytes]] = {
    "NUT in a PNG": lambda: in_png(clip("nut", "mpeg4")),
    "MXF in a PNG": lambda: in_png(clip("mxf", "mpeg2video")),
    "transport stream in a JPEG": lambda: in_jpeg(clip("mpegts", "mpeg2video")),
    "program stream in a JPEG": lambda: in_jpeg(clip("mpeg", "mpeg2video")),
    "MPEG-2 in a JPEG": lambda: in_jpeg(clip("mpeg2video", "mpeg2video")),
    "MPEG-4 in a JPEG": lambda: in_jpeg(clip("m4v", "mpeg4")),
    "H.264 in a JPEG": lambda: in_jpeg(clip("h264")),
    "transport stream in a TGA": lambda: in_tga(clip("mpegts", "mpeg2video")),
    "H.264 in a TGA": lambda: in_tga(clip("h264")),
    "transport stream in a PGM": lambda: (
        b"P5 188 %d 255\n" % (len(clip("mpegts", "mpeg2video")) // PACKET)
        + clip("mpegts", "mpeg2video")
    ),
    "NUT in a WAV": lambda: in_wav(clip("nut", "mpeg4")),
    "behind three frames of MP3": behind_sound,
    "Matroska behind a tag": lambda: tag() + clip("matroska"),
    "transport stream behind a tag": lambda: tag() + clip("mpegts", "mpeg2video"),
    "H.264 behind a tag": lambda: tag(pictured=False) + clip("h264"),
    "FLV behind a tag": lambda: tag() + clip("flv", "flv1"),
    "in the padding of a program stream": in_padding,
    "in null packets": in_null_packets,
    "where demuxers go on": where_demuxers_go_on,
    "tracks in padding": tracks_in_a_void,
    "without key frames": without_key_frames,
}


@pytest.mark.parametrize("name", HIDDEN)
def test_no_recording_hides_a_film(name: str) -> None:
    """FFmpeg and mpv show all of these, but MXF in a PNG: by what is within, not by first bytes."""
    digests, done = films.looked_at(HIDDEN[name]())
    codes = {each.code for each in done.reasons}
    assert films.nearest(digests, film()) <= 31 or VerdictReason.UNSEEN_MEDIA in codes


@pytest.mark.parametrize("form", ["mpeg", "mpegts"])
def test_sound_is_alone_only_if_all_of_it_was_read(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A film that begins behind all that is read to find streams would pass for a podcast."""
    target = io.BytesIO()
    with av.open(target, "w", format=form) as output:
        sound: Any = output.add_stream("mp2", rate=48_000)
        sound.layout, sound.bit_rate = "stereo", 384_000
        shown: Any = output.add_stream("mpeg2video", rate=25)
        (shown.width, shown.height), shown.pix_fmt = SIZE, "yuv420p"
        for number in range(48_000 * 13 // 1152):
            wave = np.zeros((1, 2 * 1152), np.int16)
            heard: Any = av.AudioFrame.from_ndarray(wave, "s16", layout="stereo")
            heard.sample_rate, heard.pts = 48_000, number * 1152
            output.mux(sound.encode(heard))
        for number in range(30):
            frame = films.grey_frame(film())
            frame.pts = number + 25 * 13
            output.mux(shown.encode(frame))
        output.mux(shown.encode())
    data = target.getvalue()
    digests, done = films.looked_at(data)
    assert films.reasons(done) == []
    assert films.nearest(digests, film()) <= 31
    if form == "mpeg":
        monkeypatch.setattr(late, "_MOST_BYTES", 300_000)
        _, done = films.looked_at(data)
        assert VerdictReason.UNSEEN_MEDIA in {each.code for each in done.reasons}


def test_very_many_films_in_one_file_are_named() -> None:
    """Each is opened by itself: a megabyte of them would keep a worker for minutes."""
    data = clip("flv", "flv1", of_cover=True) + b"FLV\1\5\0\0\0\t\0\0\0\0" * 1000
    _, done = films.looked_at(data)
    assert VerdictReason.UNSEEN_MEDIA in {each.code for each in done.reasons}
    assert len(done.media.format) < 200


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found_in_noise(seed: int) -> None:
    """Whoever uploads a picture in which by chance a byte stands twice would be held."""
    noise = np.random.default_rng(seed).integers(0, 256, (600, 600), np.uint8)
    flat = np.full((600, 192), ord("G"), np.uint8)
    for picture in (noise, flat, np.tile(noise[:1, :192], (600, 1))):
        target = io.BytesIO()
        Image.fromarray(picture).save(target, "PPM")
        _, done = films.looked_at(target.getvalue())
        assert VerdictReason.UNSEEN_MEDIA not in {each.code for each in done.reasons}


def test_a_webp_that_its_own_decoder_refuses_is_damaged() -> None:
    """FFmpeg shows all of some, of which browsers show a part and grey below it."""
    target = io.BytesIO()
    Image.fromarray(cover()).convert("RGB").save(target, "WEBP", quality=60)
    whole, refused = target.getvalue(), 0
    for at in range(60, len(whole) - 1, max(1, len(whole) // 40)):
        data = whole[:at] + bytes([whole[at] ^ 0x5A, whole[at + 1] ^ 0xFF]) + whole[at + 2 :]
        try:
            with Image.open(io.BytesIO(data)) as opened:
                opened.load()
        except OSError:
            refused += 1
            _, done = films.looked_at(data)
            assert [each.code for each in done.reasons] == [VerdictReason.CORRUPT]
    assert refused
