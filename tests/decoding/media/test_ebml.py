"""What the elements of a Matroska file announce is known, whatever FFmpeg makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from hashmatch.decoding.media import ebml
from hashmatch.decoding.media.announced import Announced, Crop
from hashmatch.decoding.media.source import BytesSource
from tests import films
from tests.films import (
    SEGMENT,
    TRACK,
    TRACKS,
    film,
    looked_at,
    reasons,
    textured,
    with_elements,
)
from tests.support import image, picture

PLAIN = film([textured(1, 96, 64)] * 5, "matroska", container_options={"live": "1"})
ATTACHMENTS, ATTACHED = 0x1941A469, 0x61A7


def announced(data: bytes) -> Announced:
    """Of a whole file."""
    found = ebml.header(BytesSource(data))
    ebml.rest(BytesSource(data), found)
    return found


@pytest.mark.parametrize("options", [{}, {"live": "1"}])
def test_an_ordinary_film_announces_nothing(options: dict[str, str]) -> None:
    """Ordinary uploads would be held."""
    data = film([textured(1, 96, 64)] * 5, "matroska", container_options=options)
    found = announced(data)
    assert (len(found.tracks), found.crops, found.unseen, found.pictures) == (1, (), [], [])
    assert reasons(looked_at(data)[1]) == []


def test_pixel_crops() -> None:
    """A crop would be looked for in another place than it is shown at."""
    assert announced(films.with_pixel_crop(PLAIN, 1, 2, 3, 4)).crops == (Crop(1, 2, 3, 4),)


def test_cipher_text_is_not_hashed_as_if_it_were_seen() -> None:
    """An encrypted film would pass as one that resembles nothing."""
    encryption = films.ebml(0x5035, films.ebml(0x47E1, b"\5"))
    encoding = films.ebml(0x6240, films.ebml(0x5033, b"\1") + encryption)
    data = with_elements(PLAIN, (SEGMENT, TRACKS, TRACK), films.ebml(0x6D80, encoding))
    digests, done = looked_at(data)
    assert len(digests) == 0
    assert "UNSEEN_MEDIA: an encrypted track" in reasons(done)


def test_a_second_segment() -> None:
    """A second film behind the first would pass: FFmpeg ends at the first, others go on."""
    data = with_elements(PLAIN, (SEGMENT,), b"")  # Of known length.
    done = looked_at(data + data)[1]
    assert "UNSEEN_MEDIA: a second segment behind the first" in reasons(done)
    assert announced(PLAIN + PLAIN).unseen == ["a second segment behind the first"]


def test_pictures_attached_behind_the_frames() -> None:
    """A cover that lies at the end of a file would pass."""
    cover = films.ebml(0x4660, b"image/png") + films.ebml(0x465C, image(5))
    attachments = films.ebml(ATTACHMENTS, films.ebml(ATTACHED, cover))
    data = with_elements(PLAIN, (SEGMENT,), attachments)
    digests, done = looked_at(data)
    assert films.nearest(digests, picture(5)) == 0
    assert reasons(done) == []


@pytest.mark.parametrize("seed", range(4))
def test_damaged_elements_are_read_without_end_or_error(seed: int) -> None:
    """A crafted header would end a worker."""
    rng = np.random.default_rng(seed)
    data = np.frombuffer(PLAIN, np.uint8).copy()
    for _ in range(50):
        data[rng.integers(40, min(700, len(data)), 3)] = rng.integers(0, 256, 3)
        announced(data.tobytes())


def test_tracks_behind_the_frames_are_found() -> None:
    """A film that players show would be one without pictures."""
    picture = films.textured(12, 128, 96)
    data = films.film([picture] * 10, "matroska", "libx264")
    at = data.rindex(b"\x16\x54\xae\x6b")  # The first is its place among those that are listed.
    width = 9 - data[at + 4].bit_length()
    size = int.from_bytes(data[at + 4 : at + 4 + width], "big") & (1 << 7 * width) - 1
    end = at + 4 + width + size
    tracks = data[at:end]
    moved = data[:at] + data[end:] + tracks
    assert moved.rindex(b"\x1f\x43\xb6\x75") < moved.rindex(tracks)
    digests, done = films.looked_at(moved)
    assert films.reasons(done) == []
    assert films.nearest(digests, picture) <= 31


def test_text_of_a_kind_that_ffmpeg_does_not_know_is_text() -> None:
    """WebM with subtitles would be held for what nobody sees as a picture."""
    made = films.film([films.textured(3, 128, 96)] * 5, "matroska")
    kinds = films.ebml(0xD7, b"\x09") + films.ebml(0x73C5, b"\x09") + films.ebml(0x83, b"\x11")
    for codec, seen in ((b"S_TEXT/WEBVTT", True), (b"S_IMAGE/BMP", False)):
        track = films.ebml(films.TRACK, kinds + films.ebml(0x86, codec))
        _, done = films.looked_at(films.with_elements(made, (films.SEGMENT, films.TRACKS), track))
        assert (films.reasons(done) == []) is seen
