"""GIF is composed as Chromium does."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hashmatch.decoding.media import gif
from hashmatch.decoding.media.faults import Damaged
from hashmatch.decoding.media.source import BytesSource
from hashmatch.errors import MediaError
from hashmatch.model.verdicts import VerdictReason
from tests.viewers import chromium_animation, chromium_shows

Placed = tuple[npt.NDArray[np.uint8], int, int, int, int | None]


def packed(levels: npt.NDArray[np.uint8]) -> bytes:
    """Pixels as codes of nine bits, none of which stands for several."""
    codes = []
    for i, level in enumerate(levels.ravel()):
        codes += [256] * (i % 200 == 0) + [int(level)]
    bits = sum(code << 9 * i for i, code in enumerate([*codes, 257]))
    data = bits.to_bytes((9 * (len(codes) + 1) + 7) // 8, "little")
    blocks = [data[i : i + 255] for i in range(0, len(data), 255)]
    return b"\x08" + b"".join(bytes([len(each)]) + each for each in blocks) + b"\0"


def animated(frames: list[Placed], ground: int) -> bytes:
    """96 x 80 pixels; of each frame its levels, place, disposal and transparent level."""
    colours = bytes(value for i in range(256) for value in (i * 7 % 256, i * 3 % 256, i))
    made = b"GIF89a" + bytes([96, 0, 80, 0, 0xF7, ground, 0]) + colours
    for levels, left, top, disposal, clear in frames:
        flags = disposal << 2 | (clear is not None)
        made += b"\x21\xf9\x04" + bytes([flags, 50, 0, clear or 0, 0])
        height, width = levels.shape
        made += b"\x2c" + bytes([left, 0, top, 0, width, 0, height, 0, 0]) + packed(levels)
    return made + b"\x3b"


def test_a_frame_with_too_few_pixels_is_whole(tmp_path: Path) -> None:
    """Browsers show those that there are."""
    levels = np.kron(np.arange(120).reshape(10, 12), np.ones((8, 8))).astype(np.uint8)
    half = bytearray(animated([(levels[:40], 0, 0, 0, None)], 0))
    half[half.index(b"\x2c" + bytes(4)) + 7] = 80  # Its height.
    (tmp_path / "shown.gif").write_bytes(half)
    theirs = chromium_shows(tmp_path / "shown.gif", ground="#fff")
    ((made, _),) = gif.pictures(BytesSource(bytes(half)), 1 << 20)
    ground = Image.new("RGBA", made.size, "white")
    ground.alpha_composite(made)
    assert np.abs(np.asarray(ground.convert("RGB")).astype(int) - theirs).mean() < 0.5


def test_a_file_without_an_image_has_no_picture() -> None:
    """It is not damaged: there is nothing to look at."""
    with pytest.raises(MediaError) as refused:
        list(gif.pictures(BytesSource(animated([], 0)), 1 << 20))
    assert refused.value.code is VerdictReason.NO_PICTURE


@pytest.mark.parametrize("size", [6, 10, 12])
def test_a_file_that_ends_within_its_head_is_damaged(size: int) -> None:
    """It is no fault of ours."""
    with pytest.raises(Damaged):
        list(gif.pictures(BytesSource(animated([], 0)[:size]), 1 << 20))


@pytest.mark.parametrize("seed", range(10))
def test_frames_are_composed_as_chromium_does(seed: int, tmp_path: Path) -> None:
    """What no frame has covered would be filled with a colour, and a picture be unlike itself."""
    chance = random.Random(seed)
    frames: list[Placed] = []
    for _ in range(4):
        height, width = chance.choice([(40, 40), (80, 96), (24, 64)])
        levels = np.random.default_rng(chance.randrange(99)).integers(
            0, 4, (height // 8, width // 8)
        )
        enlarged = np.kron(levels * 60, np.ones((8, 8))).astype(np.uint8)
        place = chance.randrange(96 - width + 1), chance.randrange(80 - height + 1)
        frames.append((enlarged, *place, chance.randrange(4), chance.choice([None, 0, 60])))
    data = animated(frames, chance.choice([0, 100]))
    (tmp_path / "shown.gif").write_bytes(data)
    shown = chromium_animation(tmp_path / "shown.gif", "image/gif")
    ours = list(gif.pictures(BytesSource(data), 1 << 20))
    for (seconds, theirs), (made, shown_ms) in zip(shown, ours, strict=True):
        assert shown_ms == round(1000 * seconds)
        white = Image.new("RGBA", made.size, "white")
        white.alpha_composite(made)
        assert np.array_equal(np.asarray(white.convert("RGB")), theirs)
