"""Streams that begin when a file is already open."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest

from hashmatch.decoding.media import late
from hashmatch.model.verdicts import VerdictReason
from tests import films

SIZE = 128, 96
SECONDS = 4


def noise(number: int) -> films.Picture:
    """So much of it that a second takes more than is read to find streams."""
    rng = np.random.default_rng(number)
    return (films.textured(7, *SIZE).astype(int) + rng.integers(-60, 60, SIZE[::-1])).clip(
        16, 235
    ).astype(np.uint8)  # fmt: skip


def with_late(kind: str, form: str, codec: str) -> bytes:
    """A film of noise, a megabyte of it, and behind that another stream."""
    planes = [noise(number) for number in range(SECONDS * 25)]

    def more(output: Any) -> list[Any]:
        if kind == "sound":
            stream = output.add_stream("mp2" if form == "mpeg" else "aac", rate=48_000)
            stream.layout = "stereo"
        else:
            stream = output.add_stream(codec, rate=25)
            (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
        packets: list[Any] = []
        for number in range(5):
            if kind == "sound":
                wave = np.zeros((1, 2 * 1152), np.int16)
                frame: Any = av.AudioFrame.from_ndarray(wave, "s16")
                frame.sample_rate, frame.pts = 48_000, number * 1152 + (SECONDS - 1) * 48_000
            else:
                frame = films.grey_frame(films.textured(99, *SIZE))
                frame.pts = number + (SECONDS - 1) * 25
            packets += stream.encode(frame)
        packets += stream.encode(None)
        return packets

    return films.film(planes, form, codec, rate=25, more=more, b="4000000", bufsize="4000000",
                      maxrate="4000000", qmin="1")  # fmt: skip


@pytest.mark.parametrize("kind", ["sound", "film"])
@pytest.mark.parametrize(("form", "codec"), [("mpeg", "mpeg2video")])
def test_a_stream_that_begins_late(
    kind: str, form: str, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sound is no reason to hold a film; a film would pass unseen."""
    data = with_late(kind, form, codec)
    assert data.index(b"\0\0\1" + (b"\xc0" if kind == "sound" else b"\xe1")) > 500_000
    digests, done = films.looked_at(data)
    assert films.reasons(done) == []
    if kind == "film":
        assert done.coverage.streams == 2
        assert films.nearest(digests, films.textured(99, *SIZE)) <= 31
        monkeypatch.setattr(late, "_MOST_BYTES", 300_000)
        _, done = films.looked_at(data)
        assert [each.code for each in done.reasons] == [VerdictReason.UNSEEN_MEDIA]
