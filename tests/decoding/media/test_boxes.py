"""What the boxes of a film announce is known, whatever FFmpeg makes of them."""

from __future__ import annotations

import struct

import pytest

from hashmatch.decoding.media import boxes
from hashmatch.decoding.media.announced import Announced, Crop
from hashmatch.decoding.media.source import BytesSource
from hashmatch.model.verdicts import VerdictReason
from tests import films
from tests.films import STBL, box, changed, film, looked_at, reasons, textured

PLAIN = film([textured(1, 96, 64)] * 5)
MINF = STBL[:-1]


def announced(data: bytes) -> Announced:
    """Of a whole file."""
    found = boxes.header(BytesSource(data))
    boxes.fragments(BytesSource(data), found)
    return found


def test_an_ordinary_film_announces_its_frames_alone() -> None:
    """Ordinary uploads would be held."""
    found = announced(PLAIN)
    assert [track.samples for track in found.tracks] == [5]
    assert (found.crops, found.unseen, found.pictures, found.uneven) == ((), [], [], False)
    assert reasons(looked_at(PLAIN)[1]) == []


def test_samples_of_fragments_are_counted() -> None:
    """Frames that a demuxer leaves out of fragments would not be missed."""
    flags = {"movflags": "frag_keyframe+empty_moov"}
    fragmented = film([textured(1, 96, 64)] * 12, container_options=flags)
    (track,) = announced(fragmented).tracks
    assert track.samples == 12


def with_an_empty_track(data: bytes, count: int) -> bytes:
    """A film with its track a second time, as number 2, of which the header lists ``count`` frames
    and no place.
    """

    def empty(table: bytes) -> bytes:
        return table[:4] + struct.pack(">II", 0, count) + bytes([0, 0, 0, 9]) * count

    track = films.changed(
        data, (b"moov", b"trak", b"tkhd"), lambda b: b[:12] + b"\0\0\0\2" + b[16:]
    )
    track = films.changed(track, (*STBL, b"stsz"), empty)
    for kind in (b"stts", b"stsc", b"stco"):
        track = films.changed(track, (*STBL, kind), lambda _: bytes(8))
    at = track.index(b"trak") - 4
    second = track[at : at + int.from_bytes(track[at : at + 4], "big")]
    return films.changed(data, (b"moov",), lambda content: content + second)


def test_a_track_without_frames_is_nothing() -> None:
    """Editors leave them behind: every player shows the film."""
    assert reasons(looked_at(with_an_empty_track(PLAIN, 0))[1]) == []


def test_a_track_whose_frames_do_not_come_is_told() -> None:
    """They would pass unseen."""
    assert reasons(looked_at(with_an_empty_track(PLAIN, 3))[1]) != []


def test_a_film_that_lists_no_frame_has_none() -> None:
    """The header of a film that is sent in pieces is no film."""
    flags = {"movflags": "frag_keyframe+empty_moov"}
    fragmented = film([textured(1, 96, 64)] * 12, container_options=flags)
    header = fragmented[: fragmented.index(b"moof") - 4]
    assert reasons(looked_at(header)[1])[0].startswith("NO_FRAMES")


def test_fragments_of_a_track_that_is_not_listed() -> None:
    """A player that begins at the fragments would show them."""
    flags = {"movflags": "frag_keyframe+empty_moov"}
    fragmented = film([textured(1, 96, 64)] * 12, container_options=flags)

    def of_another(head: bytes) -> bytes:
        return head[:4] + struct.pack(">I", 9) + head[8:]

    data = changed(fragmented, (b"moof", b"traf", b"tfhd"), of_another)
    assert announced(data).unseen == ["fragments of a track that the header does not list"]


def test_clean_apertures() -> None:
    """A crop would be looked for in another place than it is shown at."""
    found = announced(films.with_clap(PLAIN, (20, 16), 10, 4))
    assert found.crops == (Crop(4, 44, 10, 66),)


@pytest.mark.parametrize("content", [b"", b"\0" * 32, b"\x7f" * 31])
def test_a_broken_clean_aperture_is_none(content: bytes) -> None:
    """A worker would end of it."""
    data = changed(PLAIN, (*STBL, b"stsd", b"avc1"), lambda entry: entry + box(b"clap", content))
    assert announced(data).crops == ()
    assert reasons(looked_at(data)[1]) == []


def test_cipher_text_is_not_hashed_as_if_it_were_seen() -> None:
    """An encrypted film would pass as one that resembles nothing."""
    data = film(
        [textured(1, 96, 64)] * 5,
        container_options={
            "encryption_scheme": "cenc-aes-ctr",
            "encryption_key": "00112233445566778899aabbccddeeff",
            "encryption_kid": "00112233445566778899aabbccddeeff",
        },
    )
    assert [track.encrypted for track in announced(data).tracks] == [True]
    digests, done = looked_at(data)
    assert len(digests) == 0
    assert "UNSEEN_MEDIA: an encrypted track" in reasons(done)


def test_frames_of_a_second_description() -> None:
    """FFmpeg decodes the samples of one kind of description alone, and says nothing of others."""

    def twice(entries: bytes) -> bytes:
        other = bytearray(entries[8:])
        other[4:8] = b"mp4v"
        return entries[:4] + struct.pack(">I", 2) + entries[8:] + bytes(other)

    data = changed(PLAIN, (*STBL, b"stsd"), twice)
    assert announced(data).unseen == []

    def last_is_other(runs: bytes) -> bytes:
        return struct.pack(">II", 0, 2) + struct.pack(">6I", 1, 2, 1, 2, 3, 2)

    data = changed(data, (*STBL, b"stsc"), last_is_other)
    assert announced(data).unseen == ["samples of a second sample description"]
    assert "UNSEEN_MEDIA: samples of a second sample description" in reasons(looked_at(data)[1])


def test_frames_in_another_file() -> None:
    """A film that is elsewhere would pass as what lies here."""

    def elsewhere(references: bytes) -> bytes:
        return references[:8] + box(b"url ", b"\0\0\0\0http://example.org/film\0")

    data = changed(PLAIN, (*MINF, b"dinf", b"dref"), elsewhere)
    assert announced(data).unseen == ["frames in another file, which this one refers to"]
    assert reasons(looked_at(data)[1])[-1].startswith("UNSEEN_MEDIA: frames in another file")


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (b"sprt", ["a track of 'sprt' pictures"]),
        (b"auxv", ["a track that the demuxer leaves out"]),
        (b"tmcd", []),
    ],
)
def test_tracks_that_no_decoder_looks_at(handler: bytes, told: list[str]) -> None:
    """Pictures in a track of an odd kind would pass."""

    def with_track(moov: bytes) -> bytes:
        hdlr = box(b"hdlr", b"\0" * 8 + handler + b"\0" * 13)
        tkhd = box(b"tkhd", b"\0" * 12 + struct.pack(">I", 7) + b"\0" * 68)
        mdhd = box(b"mdhd", b"\0" * 12 + struct.pack(">II", 1000, 0) + b"\0" * 4)
        return moov + box(b"trak", tkhd + box(b"mdia", mdhd + hdlr))

    done = looked_at(changed(PLAIN, (b"moov",), with_track))[1]
    found = [each.detail for each in done.reasons if each.code is VerdictReason.UNSEEN_MEDIA]
    assert found == told or (handler == b"auxv" and found == [])


def test_a_rate_of_an_edit() -> None:
    """A frame that is shown for long would count as one that is shown for a moment."""

    def slow(edits: bytes) -> bytes:
        return edits[:-4] + b"\0\0\0\0"

    data = changed(PLAIN, (b"moov", b"trak", b"edts", b"elst"), slow)
    assert announced(data).uneven


def test_embedded_pictures_are_looked_at() -> None:
    """The preview of a film that file managers show would pass."""
    from tests.support import image, picture

    data = changed(
        PLAIN, (b"moov",), lambda moov: moov + box(b"udta", box(b"thmb", b"ab" + image(5) + b"z"))
    )
    digests, done = looked_at(data)
    assert films.nearest(digests, picture(5)) == 0
    assert reasons(done) == []


@pytest.mark.parametrize("seed", range(4))
def test_damaged_headers_are_read_without_end_or_error(seed: int) -> None:
    """A crafted header would end a worker."""
    import numpy as np

    rng = np.random.default_rng(seed)
    data = np.frombuffer(PLAIN, np.uint8).copy()
    start = PLAIN.index(b"moov")
    for _ in range(50):
        data[rng.integers(start + 8, len(data), 3)] = rng.integers(0, 256, 3)
        announced(data.tobytes())
