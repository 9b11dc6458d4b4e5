"""What shows nothing but a colour, and what only nearly does."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hashmatch.decoding.channel import Job
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine.hashing.plain import is_plain
from hashmatch.engine.sampling import densities
from hashmatch.model.records import DecodeLimits
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind, VerdictReason
from tests.support import picture

SHAPE = (240, 320)
Y, X = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
JOB = Job((Kind.PDQ, Kind.PDQ_PATCH), True, densities.UPLOAD, DecodeLimits(10_000, 1 << 22), 0)


def plane(values: npt.NDArray[Any] | float) -> npt.NDArray[np.uint8]:
    """As a decoder gives it."""
    made: npt.NDArray[np.uint8] = np.clip(np.rint(np.broadcast_to(values, SHAPE)), 0, 255).astype(
        np.uint8
    )
    return made


def shown(values: npt.NDArray[Any] | float) -> bool:
    """True if a grey picture is not plain."""
    grey = plane(values)
    return not is_plain(grey, 1.0, [grey] * 3)


def faint(contrast: float) -> npt.NDArray[Any]:
    """A picture in so many parts of all levels, on grey."""
    image = Image.fromarray(picture(3)).convert("L").resize(SHAPE[::-1])
    grey = np.asarray(image, np.float64)
    spread = np.percentile(grey, 99) - np.percentile(grey, 1)
    made: npt.NDArray[Any] = 120 + (grey - grey.mean()) / spread * 255 * contrast
    return made


@pytest.mark.parametrize("colour", [0, 16, 127.5, 255])
def test_one_colour_is_plain(colour: float) -> None:
    """A black film would be held for ever."""
    grain = np.random.default_rng(1)
    assert not shown(colour)
    assert not shown(colour + grain.normal(0, 0.7, SHAPE))
    assert not shown(colour + 80 * (X / 320 - 0.5) ** 2 + 20 * Y / 240)  # Fades.


def test_jpeg_of_one_colour_is_plain() -> None:
    """A black photograph would be held for what its encoder rounds."""
    for colour in ((3, 3, 4), (200, 30, 90)):
        file = io.BytesIO()
        Image.new("RGB", (333, 217), colour).save(file, "JPEG", quality=35)
        assert looked(file.getvalue()) == []


@pytest.mark.parametrize("contrast", [0.02, 0.03, 0.04, 0.06])
def test_a_faint_picture_is_not(contrast: float) -> None:
    """What a person makes out on a screen would pass as nothing."""
    assert shown(faint(contrast))
    assert shown(faint(contrast) - 100)  # In the dark.


def test_grain_that_draws_is_not() -> None:
    """A picture of how strong the grain is would pass as one colour."""
    grain = np.where((X + Y) % 2 == 0, 1.0, -1.0)
    mask = faint(1) > 120
    assert shown(120 + 6 * grain * mask)
    dots = np.where((X % 4 == 0) & (Y % 4 == 0) & mask, 40.0, 0)
    assert shown(120 + dots)
    assert shown(np.where(np.isin(X * 1000 + Y, (50050, 90120)), 180, 120))  # Two dots.


def test_colours_of_one_light_are_not() -> None:
    """A picture that is in its colours alone would pass: its luma says nothing."""
    mask = faint(1) > 120
    rgb = np.stack([plane(np.where(mask, 150, 90)), plane(118), plane(128)], axis=-1)
    rgb[..., 1] = plane((118.0 - 0.299 * (rgb[..., 0].astype(float) - 120)) / 1.0)
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    rgb[..., 1] = plane(rgb[..., 1] + (luma.mean() - luma) / 0.587)
    luma8 = plane(rgb @ np.array([0.299, 0.587, 0.114]))
    assert np.ptp(luma8) <= 1
    assert not is_plain(luma8, 1.0, [rgb[..., channel] for channel in range(3)])
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    assert looked(file.getvalue()) == [VerdictReason.ALL_FRAMES_FLAT]


def test_who_does_not_know_the_colours_calls_nothing_plain() -> None:
    """A picture would pass that is drawn where nobody looked."""
    assert not is_plain(plane(0), 1.0, [])


@pytest.mark.parametrize(
    ("shape", "draws"), [((1, 1), False), ((2, 2), False), ((4, 4), False), ((5, 5), True)]
)
def test_tiny_planes(shape: tuple[int, int], draws: bool) -> None:
    """A pixel that counts visitors would be held; sixteen of them draw nothing."""
    black = np.zeros(shape, np.uint8)
    assert is_plain(black, 1.0, [black] * 3)
    black[-1, -1] = black[0, 0] = 200
    assert is_plain(black, 1.0, [black] * 3) is not draws


def test_a_strip_is_not_tiny() -> None:
    """One that is shown large would pass."""
    strip = np.zeros((3, 400), np.uint8)
    assert is_plain(strip, 1.0, [strip] * 3)
    strip[-1, -1] = 9
    assert not is_plain(strip, 1.0, [strip] * 3)


def test_bars_show_nothing() -> None:
    """Stripes would be held for ever: their hash is what roundings make of it."""
    grain = np.random.default_rng(1).normal(0, 0.7, SHAPE)
    for bars in (np.where(X // 20 % 2, 200, 40), np.where(Y < 100, 30, 220), 255 * (Y / 239) ** 3):
        assert not shown(bars)
        assert not shown(bars + grain)
    assert not shown(np.where(X // 20 % 2, 200, 40) + 40.0 * (Y < 100))  # They cross.
    assert not shown(30 + 200 * (X / 320) * (Y / 240))  # Fades to a corner.


def test_bars_that_something_is_drawn_on_are_not() -> None:
    """A picture would pass behind stripes, or two of them that cross."""
    bars = np.where(X // 20 % 2, 200, 40)
    assert shown(bars + faint(0.02) - 120)
    assert shown(np.where(np.isin(X * 1000 + Y, (50050, 90120)), 255, bars))
    assert shown(255 * ((X - Y) % 40 < 20))  # Aslant.


def test_one_product_of_courses_shows_nothing() -> None:
    """A rectangle or a checkerboard would be held for ever: few of its bits are firm."""
    bars = np.where(X // 20 % 2, 200, 40)
    grain = np.random.default_rng(1).normal(0, 0.7, SHAPE)
    fades = 240 - (200 - X * 150 / 320) * (Y / 240) ** 2
    for drawn in (
        40.0 * ((X > 100) & (Y > 80)),
        np.where((X > 100) & (X < 200) & (Y > 80) & (Y < 150), 220, 30),
        np.where(Y < 120, bars, 240 - bars),
        np.where(Y < 120, bars, 40),
        fades,
    ):
        assert not shown(drawn)
        assert not shown(drawn + grain)


def test_what_takes_two_products_is_not() -> None:
    """A shape that a person makes out would pass: letters, circles, and whatever is aslant."""
    square = 160.0 * ((X > 100) & (X < 200) & (Y > 80) & (Y < 150))
    assert shown(square + 160.0 * ((X > 10) & (X < 40) & (Y > 10) & (Y < 40)))
    assert shown(square + faint(0.02) - 60)
    assert shown(square * (Y > 100) + 30 * (X < 50) * (Y < 60))  # Of unlike strength.
    assert shown(np.where((X - 160) ** 2 + (Y - 120) ** 2 < 80**2, 200, 40))
    letter = np.asarray(Image.new("L", (10, 8), 20)).copy()
    letter[1:7, 2] = letter[1:7, 6] = letter[3, 2:7] = 200  # H
    assert shown(np.kron(letter, np.ones((30, 32))))
    assert shown(square + 12 * np.sin(X / 9.0 + Y / 7.0))


@pytest.mark.parametrize("shape", [(100, 29), (128, 128), (64, 64)])
def test_a_small_picture_that_fades_behind_transparency_shows_nothing(
    shape: tuple[int, int],
) -> None:
    """It was rounded twice, and a part of it is a pixel or two: it would be held for ever."""
    down, across = (np.linspace(0, 1, length) for length in shape)
    levels = np.outer(np.rint(255 * down), np.rint(255 * across) / 255)
    grey = np.floor(levels).astype(np.uint8)
    assert is_plain(grey, 1.0, [grey] * 3)


@pytest.mark.parametrize("side", [32, 64, 128])
@pytest.mark.parametrize("seed", range(4))
def test_a_small_faint_picture_is_not_rounding(side: int, seed: int) -> None:
    """In so few pixels a picture would pass as what a rounding leaves."""
    image = Image.fromarray(picture(seed)).convert("L").resize((side, side))
    grey = np.asarray(image, np.float64)
    spread = np.percentile(grey, 99) - np.percentile(grey, 1)
    small = np.rint(120 + (grey - grey.mean()) / spread * 255 * 0.02).astype(np.uint8)
    assert not is_plain(small, 1.0, [small] * 3)


def looked(file: bytes) -> list[VerdictReason]:
    """Why an upload is held."""
    found: list[Signals] = []
    done = inspect(BytesSource(file), JOB, lambda signals, _: found.extend(signals))
    return [reason.code for reason in done.reasons]
