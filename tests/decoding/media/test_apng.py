"""Animated PNG is composed as Chromium does, and all that is in the file is looked at."""

from __future__ import annotations

import itertools
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashmatch.decoding.media import apng
from hashmatch.decoding.media.source import BytesSource
from hashmatch.model.verdicts import VerdictReason
from tests.decoding.media.test_colour import apart, seen
from tests.support import picture
from tests.viewers import chromium_animation

Placed = tuple[Image.Image, int, int, int, int]  # Picture, left, top, disposal, blending.


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def rows(made: Image.Image) -> bytes:
    """The packed pixels of a picture."""
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in np.asarray(made)))


def animated(still: Image.Image | None, frames: list[Placed], stated: int | None = None) -> bytes:
    """An animation of 96 x 80 pixels; without a still, its first frame is what others show."""
    numbers = itertools.count()
    listed = len(frames) if stated is None else stated
    made = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 96, 80, 8, 6, 0, 0, 0))
    made += chunk(b"acTL", struct.pack(">II", listed, 0)) if listed >= 0 else b""
    if still is not None:
        made += chunk(b"IDAT", rows(still))
    for number, (shown, left, top, disposal, blending) in enumerate(frames):
        control = struct.pack(
            ">IIIIIHHBB", next(numbers), *shown.size, left, top, 500, 1000, disposal, blending
        )
        made += chunk(b"fcTL", control)
        if still is None and number == 0:
            made += chunk(b"IDAT", rows(shown))
        else:
            made += chunk(b"fdAT", struct.pack(">I", next(numbers)) + rows(shown))
    return made + chunk(b"IEND", b"")


def small(seed: int, alpha: int = 255, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """A picture that fills a part."""
    made = Image.fromarray(picture(seed, *size)).convert("RGBA")
    made.putalpha(alpha)
    return made


def full(seed: int, alpha: int = 255) -> Image.Image:
    """A picture that fills the animation."""
    return small(seed, alpha, (96, 80))


ANIMATIONS = {
    "of two": animated(None, [(full(1), 0, 0, 0, 0), (small(2), 10, 10, 0, 0)]),
    "behind a still": animated(full(9), [(full(1), 0, 0, 0, 0), (small(2), 10, 10, 0, 1)]),
    "of a part over a still": animated(full(9), [(small(2), 10, 10, 0, 1), (small(3), 0, 0, 0, 1)]),
    "transparent over a still": animated(full(9), [(full(2, 100), 0, 0, 0, 1)] * 2),
    "cleared": animated(
        None, [(full(1), 0, 0, 1, 0), (small(2, 128), 10, 10, 1, 1), (small(3), 0, 0, 0, 1)]
    ),
    "put back": animated(
        None,
        [
            (full(1), 0, 0, 0, 0),
            (small(2, 128), 10, 10, 2, 1),
            (small(3), 0, 0, 2, 0),
            (small(4), 30, 10, 0, 1),
        ],
    ),
    "put back at first": animated(
        None, [(full(1), 0, 0, 2, 0), (small(2, 128), 10, 10, 2, 1), (small(3), 0, 0, 2, 0)]
    ),
    "transparent over transparent": animated(
        None, [(full(1, 90), 0, 0, 0, 0), (small(2, 128), 10, 10, 0, 1), (small(3, 50), 0, 0, 0, 1)]
    ),
}


@pytest.mark.parametrize("name", ANIMATIONS)
def test_frames_are_composed_as_chromium_does(name: str, tmp_path: Path) -> None:
    """Somebody would see other frames than those that were looked at."""
    data = ANIMATIONS[name]
    (tmp_path / "shown.png").write_bytes(data)
    shown = chromium_animation(tmp_path / "shown.png", "image/png")
    animation = apng.read(BytesSource(data))
    assert animation is not None
    ours = list(animation.pictures(BytesSource(data), 1 << 20))[bool(animation.still) :]
    for (seconds, theirs), (made, shown_ms) in zip(shown, ours, strict=True):
        assert shown_ms == round(1000 * seconds)
        ground = Image.new("RGBA", made.size, "white")
        ground.alpha_composite(made)
        assert np.abs(np.asarray(ground.convert("RGB")).astype(int) - theirs).mean() < 0.5


@pytest.mark.parametrize("stated", [-1, 0, 1, 2])
def test_frames_past_the_count_are_seen(stated: int) -> None:
    """Programs that go on to the end of the file would show what nobody saw."""
    frames: list[Placed] = [(full(seed), 0, 0, 0, 0) for seed in (1, 2, 3)]
    batches, told = seen(animated(None, frames, stated))
    assert told == []
    for shown, *_ in frames:
        assert apart(batches, shown.convert("RGB")) <= 10


def test_frames_that_are_not_there_are_told() -> None:
    """Half of an animation would pass as the whole; a wrong count in one that has its end is
    nothing to who shows it.
    """
    data = animated(None, [(full(1), 0, 0, 0, 0), (full(2), 0, 0, 0, 0)], 4)
    batches, told = seen(data)
    assert told == []
    assert len(batches) == 2
    assert seen(data[:-12])[1] == [VerdictReason.TRUNCATED]


def test_what_is_out_of_order_is_seen_and_told() -> None:
    """Of such, viewers show the still, or frames: neither would be looked at."""
    data = ANIMATIONS["behind a still"]
    at = data.rindex(b"fcTL")
    control = bytearray(data[at + 4 : at + 30])
    control[3] += 1  # Its number.
    broken = data[: at - 4] + chunk(b"fcTL", bytes(control)) + data[at + 34 :]
    batches, told = seen(broken)
    assert told == [VerdictReason.CORRUPT]
    for shown in (full(9), full(1)):
        assert apart(batches, shown.convert("RGB")) <= 10


def test_an_animation_without_frames_is_a_still() -> None:
    """Browsers show it; data of frames that have no place is told of."""
    still = animated(full(9), [])
    batches, told = seen(still)
    assert told == []
    assert apart(batches, full(9).convert("RGB")) <= 10
    lost = still[:-12] + chunk(b"fdAT", bytes(4) + rows(full(1))) + still[-12:]
    assert seen(lost)[1] == [VerdictReason.CORRUPT]


def test_the_still_is_seen_too() -> None:
    """Programs that know nothing of animations would show what nobody saw."""
    batches, told = seen(ANIMATIONS["behind a still"])
    assert told == []
    assert apart(batches, full(9).convert("RGB")) <= 10


@pytest.mark.parametrize("at", [(40, 0), (0, 30)])
def test_a_frame_outside_is_told(at: tuple[int, int]) -> None:
    """A crafted animation would be taken for looked at."""
    _, told = seen(animated(None, [(full(1), 0, 0, 0, 0), (small(2), *at, 0, 0)]))
    assert told == [VerdictReason.CORRUPT]
