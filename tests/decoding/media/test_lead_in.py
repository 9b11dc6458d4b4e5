"""Recordings that begin, or end, in the midst of a group of pictures."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

from hashmatch.model.verdicts import VerdictReason
from tests import films

SIZE = 128, 96
PACKET = 188
CODECS = {
    "libx264": {"x264-params": "open-gop=1:keyint=10:min-keyint=10:bframes=2:scenecut=0"},
    "libx265": {"x265-params": "open-gop=1:keyint=10:min-keyint=10:log-level=none:pools=none"},
    "mpeg2video": {"bf": "2", "g": "10"},
}


def picture(second: int) -> films.Picture:
    """What is shown in that second."""
    return films.textured(second + 40, *SIZE)


@lru_cache
def recording(codec: str, form: str = "mpegts") -> bytes:
    """Four seconds, a key frame in each; pictures move, so that frames refer to each other."""
    planes = [
        (picture(number // 10).astype(int) + number % 10 - 5).clip(16, 235).astype("uint8")
        for number in range(40)
    ]
    rate = 25 if codec == "mpeg2video" else 10
    options: dict[str, Any] = dict(CODECS[codec])
    return films.film(planes, form, codec, rate=rate, **options)


def packets(data: bytes) -> list[bytes]:
    """Of a transport stream."""
    return [data[at : at + PACKET] for at in range(0, len(data), PACKET)]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("part", [0.1, 0.3, 0.45])
def test_what_begins_in_the_midst_of_a_group_is_whole(codec: str, part: float) -> None:
    """Recordings of broadcasts would be held as damaged: viewers begin at the first key frame."""
    whole = packets(recording(codec))
    digests, done = films.looked_at(b"".join(whole[int(len(whole) * part) :]))
    assert films.reasons(done) == []
    for second in (2, 3):
        assert films.nearest(digests, picture(second)) <= 31


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_what_stands_before_the_first_key_frame_is_looked_at(codec: str) -> None:
    """Programs that hold nothing back show it, as far as it can be decoded: that could be a film
    of which one key frame alone is left, at its end.
    """
    # The first frame is no key frame by the container's word.
    form = recording(codec, "matroska")
    hidden = bytearray(form)
    cluster = form.index(b"\x1f\x43\xb6\x75")
    at = form.index(b"\xa3", cluster)
    while hidden[at + 1 : at + 2] and not (form[at + 1] >= 0x40 or form[at + 1] == 1):
        at = form.index(b"\xa3", at + 1)
    flags = at + 1 + (9 - form[at + 1].bit_length()) + 3
    assert hidden[flags] & 0x80
    hidden[flags] &= 0x7F
    digests, done = films.looked_at(bytes(hidden))
    assert films.reasons(done) == []
    assert films.nearest(digests, picture(0)) <= 31


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_broken_off_is_truncated_and_not_corrupt(codec: str) -> None:
    """Whose recording was cut would be told that it is damaged."""
    whole = packets(recording(codec))
    for part in (0.5, 0.7):
        _, done = films.looked_at(b"".join(whole[: int(len(whole) * part)]))
        assert {each.code for each in done.reasons} <= {VerdictReason.TRUNCATED}


@pytest.mark.parametrize("codec", CODECS)
def test_recordings_that_were_put_together_are_whole(codec: str) -> None:
    """Times jump back, and numbers of packets do: players go on."""
    first, second = recording(codec), recording(codec)
    digests, done = films.looked_at(first + second)
    assert films.reasons(done) == []
    assert done.coverage.frames_decoded >= 70
    assert films.nearest(digests, picture(3)) <= 31


@pytest.mark.parametrize("form", ["mpegts", "matroska"])
def test_damage_in_the_midst_is_told(form: str) -> None:
    """Whatever comes behind the first frames would pass unseen."""
    data = bytearray(recording("libx264", form))
    at = len(data) * 6 // 10
    data[at : at + 180] = bytes(180)
    if form == "mpegts":
        for start in range(0, len(data), PACKET):
            data[start] = 0x47
    _, done = films.looked_at(bytes(data))
    assert done.reasons
