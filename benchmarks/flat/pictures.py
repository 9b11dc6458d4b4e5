"""Draws pictures that have little in them, of the sorts that people upload."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

__all__ = ["SORTS", "Picture", "pictures"]

RGB = npt.NDArray[np.uint8]
Rng = np.random.Generator

# Width and height in pixels.
_SIZES: Final = ((640, 360), (360, 640), (540, 960), (480, 480), (720, 540), (1280, 720))
_SHEETS: Final = ((600, 848), (480, 679), (848, 600))

_SYLLABLES: Final = [
    "ka",
    "ri",
    "to",
    "men",
    "sa",
    "lu",
    "be",
    "dor",
    "in",
    "ta",
    "pe",
    "nol",
    "us",
    "ra",
    "gi",
    "vem",
    "ho",
    "ti",
    "qua",
    "ze",
]

# Cards of one layout in a row: only their words differ.
_OF_ONE_LAYOUT: Final = 3


class Picture(NamedTuple):
    """``rgb`` uint8 ``[h, w, 3]``; ``layout`` is equal for pictures that only differ in words."""

    sort: str
    layout: int
    rgb: RGB


def pictures(
    each: int, photographs: tuple[Sequence[RGB], Sequence[RGB]], seed: int = 0
) -> Iterator[Picture]:
    """So many of each of `SORTS`; dark rooms and blurred walls are made of ``photographs`` (RGB
    uint8 ``[h, w, 3]``), and left out where there are none: layouts of even numbers of the first
    half, the others of the second, which show other things. The same ones for the same seed.
    """
    layout = 0
    for number, (sort, draw) in enumerate(SORTS.items()):
        if sort in _OF_PHOTOGRAPHS and not all(photographs):
            continue
        for count in range(each):
            if sort not in _OF_WORDS or count % _OF_ONE_LAYOUT == 0:
                layout += 1
            of_layout = np.random.default_rng([seed, number, layout])
            words = np.random.default_rng([seed, number, layout, count])
            yield Picture(sort, layout, draw(of_layout, words, photographs[layout % 2]))


def _size(rng: Rng, sizes: Sequence[tuple[int, int]] = _SIZES) -> tuple[int, int]:
    return sizes[int(rng.integers(len(sizes)))]


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _words(rng: Rng, count: int) -> str:
    made = ("".join(rng.choice(_SYLLABLES, int(rng.integers(1, 4)))) for _ in range(count))
    return " ".join(made).capitalize()


def _two_colours(rng: Rng) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of a ground and of what is written on it."""
    pale = tuple(int(v) for v in rng.integers(215, 256, 3))
    dark = tuple(int(v) for v in rng.integers(0, 60, 3))
    chance = rng.random()
    if chance < 0.2:
        return (255, 255, 255), (0, 0, 0)
    if chance < 0.4:
        return (0, 0, 0), (255, 255, 255)
    return (pale, dark) if chance < 0.7 else (dark, pale)


def _card(rng: Rng, words: Rng, _: Sequence[RGB]) -> RGB:
    """One to five lines in the middle, at the side, or at the foot."""
    width, height = _size(rng)
    ground, ink = _two_colours(rng)
    image = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(image)
    size = int(min(width, height) * rng.uniform(0.025, 0.05))
    lines, middle = int(rng.integers(1, 4)), rng.random() < 0.7
    top = height * rng.uniform(0.15, 0.6)
    for number in range(lines):
        line = _words(words, max(1, int(width / size / 4)))
        at = (width / 2 if middle else width * 0.08, top + number * size * 1.3)
        draw.text(at, line, fill=ink, font=_font(size), anchor="mm" if middle else "lm")
    return np.asarray(image)


def _slide(rng: Rng, words: Rng, _: Sequence[RGB]) -> RGB:
    """A title, a rule and points."""
    width, height = 1280, 720
    ground, ink = _two_colours(rng)
    image = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(image)
    draw.text((80, 90), _words(words, 2), fill=ink, font=_font(40), anchor="lm")
    accent = tuple(int(v) for v in rng.integers(30, 220, 3))
    draw.rectangle((80, 140, 80 + int(rng.integers(200, 1100)), 146), fill=accent)
    for number in range(int(rng.integers(0, 3))):
        top = 220 + 80 * number
        draw.ellipse((90, top - 6, 102, top + 6), fill=accent)
        draw.text((130, top), _words(words, 3), fill=ink, font=_font(26), anchor="lm")
    return np.asarray(image)


def _scan(rng: Rng, words: Rng, _: Sequence[RGB]) -> RGB:
    """A sheet or a receipt with small print, shade and grain."""
    width, height = _size(rng, _SHEETS)
    image = Image.new("L", (width, height), 242)
    draw = ImageDraw.Draw(image)
    size = int(rng.integers(10, 17))
    for number in range(int(rng.integers(3, 16))):
        line = _words(words, int(rng.integers(2, 7)))
        if rng.random() < 0.4:
            line += f"   {float(words.uniform(1, 99)):.2f}"
        draw.text(
            (width * 0.1, height * 0.1 + number * size * 1.6), line, fill=50, font=_font(size)
        )
    image = image.filter(ImageFilter.GaussianBlur(0.6))
    shade = np.linspace(0, rng.uniform(-14, 14), width)[None] + np.zeros((height, 1))
    return _grey(np.asarray(image) + shade + words.normal(0, rng.uniform(0.5, 3), (height, width)))


def _logo(rng: Rng, words: Rng, _: Sequence[RGB]) -> RGB:
    """A few shapes, often with a name."""
    width, height = _size(rng)
    ground, ink = _two_colours(rng)
    image = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(image)
    side = min(width, height) * rng.uniform(0.06, 0.25)
    for _shape in range(int(rng.integers(1, 4))):
        x, y = width / 2 + side * words.normal(0, 0.35), height / 2 + side * words.normal(0, 0.35)
        reach = side * words.uniform(0.12, 0.45)
        fill = ink if words.random() < 0.5 else tuple(int(v) for v in words.integers(40, 220, 3))
        box = (x - reach, y - reach, x + reach, y + reach)
        shape = int(words.integers(4))
        if shape == 0:
            draw.ellipse(box, fill=fill)
        elif shape == 1:
            draw.rounded_rectangle(box, reach / 3, fill=fill)
        elif shape == 2:
            sides, turn = int(words.integers(3, 7)), float(words.uniform(0, 90))
            draw.regular_polygon((x, y, reach), sides, turn, fill=fill)
        else:
            draw.arc(box, 20, float(words.uniform(120, 340)), fill=fill, width=int(reach / 3) + 2)
    if rng.random() < 0.5:
        font = _font(int(side * 0.2) + 8)
        draw.text((width / 2, height * 0.85), _words(words, 1), ink, font, anchor="mm")
    return np.asarray(image)


def _dark(rng: Rng, _: Rng, photographs: Sequence[RGB]) -> RGB:
    """A room with next to no light, as a camera sees it: little, and grain."""
    rgb = photographs[int(rng.integers(len(photographs)))].astype(np.float64)
    dim = rgb * rng.uniform(0.02, 0.2) + rng.uniform(0, 6)
    return _rgb(dim + rng.normal(0, rng.uniform(0.3, 3), rgb.shape))


def _hazy(rng: Rng, _: Rng, photographs: Sequence[RGB]) -> RGB:
    """Fog, or a washed-out print: little contrast around a grey."""
    rgb = photographs[int(rng.integers(len(photographs)))].astype(np.float64)
    hazy = rng.uniform(60, 190) + (rgb - rgb.mean()) * rng.uniform(0.04, 0.2)
    return _rgb(hazy + rng.normal(0, rng.uniform(0.3, 2), rgb.shape))


def _clouds(rng: Rng, shape: tuple[int, int], roughness: float) -> npt.NDArray[np.float64]:
    """Noise of all sizes, float64 ``[h, w]``, around 0 with a deviation of 1."""
    height, width = shape
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    power = np.maximum(np.hypot(down * height, across * width), 1) ** -roughness
    phases = np.exp(2j * np.pi * rng.random(power.shape))
    made = np.fft.irfft2(power * phases * rng.exponential(1, power.shape), shape)
    return np.asarray((made - made.mean()) / made.std())


def _sky(rng: Rng, _: Rng, __: Sequence[RGB]) -> RGB:
    """From bright to brighter, often with soft clouds."""
    width, height = _size(rng)
    low, high = sorted(rng.uniform(90, 240, 2))
    slope = np.linspace(high, low, height)[:, None] + np.zeros((1, width))
    if rng.random() < 0.75:
        slope = slope + _clouds(rng, (height, width), 2.2) * rng.uniform(1, 14)
    tint = np.array([rng.uniform(0.75, 0.95), rng.uniform(0.88, 1), 1.0])
    rgb = slope[..., None] * tint
    return _rgb(rgb + rng.normal(0, rng.uniform(0.2, 1.5), rgb.shape))


def _wall(rng: Rng, _: Rng, photographs: Sequence[RGB]) -> RGB:
    """Out of focus, or a hand before the lens."""
    rgb = Image.fromarray(photographs[int(rng.integers(len(photographs)))])
    blurred = rgb.filter(ImageFilter.GaussianBlur(max(rgb.size) * rng.uniform(0.03, 0.12)))
    soft = np.asarray(blurred, np.float64) * rng.uniform(0.3, 1)
    return _rgb(soft + rng.normal(0, rng.uniform(0.2, 2), soft.shape))


def _cap(rng: Rng, _: Rng, __: Sequence[RGB]) -> RGB:
    """A lens that is covered: black, grain, and a lighter corner."""
    width, height = _size(rng)
    y, x = np.mgrid[0:height, 0:width]
    far = np.hypot(x / width - rng.random(), y / height - rng.random())
    grey = rng.uniform(2, 20) + rng.uniform(0, 8) * np.exp(-((far / 0.5) ** 2))
    return _grey(grey + rng.normal(0, rng.uniform(0.3, 4), grey.shape))


def _plain(rng: Rng, _: Rng, __: Sequence[RGB]) -> RGB:
    """One colour, as it is or with grain."""
    width, height = _size(rng)
    colour = rng.integers(0, 256, 3).astype(np.float64)
    rgb = np.broadcast_to(colour, (height, width, 3))
    return _rgb(rgb + rng.normal(0, rng.choice([0, 0.5, 1.5]), rgb.shape))


def _rgb(values: npt.NDArray[np.float64]) -> RGB:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _grey(values: npt.NDArray[np.float64]) -> RGB:
    return np.repeat(_rgb(values)[..., None], 3, axis=2)


SORTS: Final[Mapping[str, Callable[[Rng, Rng, Sequence[RGB]], RGB]]] = {
    "text card": _card,
    "slide": _slide,
    "scan": _scan,
    "logo": _logo,
    "dark room": _dark,
    "haze": _hazy,
    "sky": _sky,
    "blurred wall": _wall,
    "covered lens": _cap,
    "one colour": _plain,
}
_OF_WORDS: Final = frozenset({"text card", "slide", "scan", "logo"})
_OF_PHOTOGRAPHS: Final = frozenset({"dark room", "haze", "blurred wall"})
