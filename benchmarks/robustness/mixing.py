"""Attacks that mix the clip with something else: another clip, a drawing, or itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import av
import numpy as np
import numpy.typing as npt

from benchmarks.robustness.making import (
    RGB,
    Material,
    Strength,
    Upload,
    endless,
    filling,
    frames,
    pictures,
    to_frames,
)
from fixtures.transcode import source_frames

__all__ = [
    "blurred_background",
    "caption",
    "clean_intro",
    "duet",
    "logo",
    "picture_in_picture",
    "splice",
]

# Width and height in pixels of the canvas that platforms ask for, upright and on its side.
_UPRIGHT: Final = 360, 640
_LANDSCAPE: Final = 640, 360

# All of it, inside the box that the scale filter is given, in even sizes.
_WHOLE: Final = "force_original_aspect_ratio=decrease:force_divisible_by=2"

# How much of another clip a stretch is hidden in.
_HOST_SECONDS: Final = 20.0

# No key frame comes after the first: neither by number of frames nor at a cut.
_NO_KEY_FRAMES: Final = 1_000_000


def blurred_background(material: Material) -> Upload:
    """Before its own blurred enlargement, on a canvas turned the other way."""
    width, height = _LANDSCAPE if material.height > material.width else _UPRIGHT
    share = material.between(0.85, 1)
    # Blurred at an eighth of the size: there it is cheap, and reaches further.
    sigma = material.between(1.5, 3)
    under = f"{filling(width // 8, height // 8)},gblur=sigma={sigma},scale={width}:{height}"
    over = f"scale={round(width * share)}:{round(height * share)}:{_WHOLE}"
    layers = zip(
        pictures(material.source, material.rate, under),
        pictures(material.source, material.rate, over),
        strict=True,
    )
    drawn = (_pasted(below, above, 0.5, 0.5) for below, above in layers)
    return Upload(
        to_frames(drawn, material.rate), {"share": share, "sigma": 8 * sigma}, material.rate
    )


def caption(material: Material) -> Upload:
    """A bar with two lines of what looks like text, at the bottom or the top."""
    share, opacity = material.between(0.12, 0.24), material.between(0.5, 1)
    height = round(material.height * share)
    # Letters of 3 x 5 blocks in cells of 4 x 7, some of them spaces.
    letters = max(8, round(3.5 * material.width / height))
    text = np.zeros((2, 7, letters, 4), np.bool_)
    text[:, 1:6, :, :3] = material.rng.random((2, 5, letters, 3)) < 0.6
    text &= material.rng.random((2, 1, letters, 1)) < 0.85
    ink = _enlarged(text.reshape(14, letters * 4), height, material.width)
    patch = np.repeat(ink[..., None], 3, axis=-1).astype(np.float32) * 255
    cover = np.where(ink, np.float32(1), np.float32(opacity))
    drawn = _stamped(material, patch, cover, material.one_of(0, 1, 1), 0)
    strength: Strength = {"share": share, "opacity": opacity}
    return Upload(to_frames(drawn, material.rate), strength, material.rate)


def logo(material: Material) -> Upload:
    """A block with a mark of two colours, near a corner."""
    share = material.between(0.12, 0.28)
    side = round(min(material.width, material.height) * share)
    half = material.rng.random((8, 4)) < 0.5
    mark = _enlarged(np.hstack([half, half[:, ::-1]]), side, side)
    ink, paper = material.rng.integers(0, 256, (2, 3)).astype(np.float32)
    patch = np.where(mark[..., None], ink, paper)
    top, left = material.one_of(0.05, 0.95), material.one_of(0.05, 0.95)
    drawn = _stamped(material, patch, np.ones((side, side), np.float32), top, left)
    return Upload(to_frames(drawn, material.rate), {"share": share}, material.rate)


def splice(material: Material, seconds: float) -> Upload:
    """So many seconds of the clip somewhere in twenty of the host."""
    before = material.between(2, _HOST_SECONDS - 2)
    start = material.between(0, max(0.0, material.seconds - seconds))
    host = _host(material)
    first = round(before * material.rate)
    rest = round(_HOST_SECONDS * material.rate) - first
    joined = itertools.chain(
        itertools.islice(host, first),
        frames(material.source, material.rate, "format=yuv420p", start, start + seconds),
        itertools.islice(host, rest),
    )
    return Upload(joined, {"at_s": before, "from_s": start}, material.rate)


def clean_intro(material: Material) -> Upload:
    """A long opening of the host or of black, and only one key frame, at its start."""
    seconds = material.between(10, 14)
    opening = str(material.rng.choice(["black", "host"]))
    size = f"{material.width}x{material.height}"
    intro = (
        source_frames(f"color=color=black:size={size}:rate={material.rate}")
        if opening == "black"
        else _host(material)
    )
    joined = itertools.chain(
        itertools.islice(intro, round(seconds * material.rate)),
        frames(material.source, material.rate, "format=yuv420p"),
    )
    return Upload(
        joined,
        {"intro_s": seconds, "intro": opening},
        material.rate,
        options={"preset": "veryfast", "crf": "26", "sc_threshold": "0"},
        gop=_NO_KEY_FRAMES,
    )


def duet(material: Material) -> Upload:
    """Side by side with the host, both whole and of the same height."""
    side = str(material.rng.choice(["left", "right"]))
    same_height = f"scale=-2:{material.height}"
    drawn = (
        np.hstack([own, other] if side == "left" else [other, own])
        for own, other in _beside(material, same_height, same_height)
    )
    return Upload(to_frames(drawn, material.rate), {"side": side}, material.rate)


def picture_in_picture(material: Material) -> Upload:
    """In a corner of the host, a third to half as wide and high."""
    width, height = material.width, material.height
    share = material.between(0.35, 0.5)
    small = f"scale={round(width * share)}:{round(height * share)}"
    top, left = material.one_of(0.05, 0.95), material.one_of(0.05, 0.95)
    drawn = (
        _pasted(other, own, top, left)
        for own, other in _beside(material, small, filling(width, height))
    )
    return Upload(to_frames(drawn, material.rate), {"share": share}, material.rate)


def _host(material: Material) -> Iterator[av.VideoFrame]:
    """The host without end, on a canvas of the clip's size, as an editor's project has it."""
    chain = filling(material.width, material.height)
    return endless(lambda: frames(material.host, material.rate, chain))


def _beside(material: Material, own: str, other: str) -> Iterator[tuple[RGB, RGB]]:
    """Each picture of the clip with one of the host, both through their chains."""
    host = endless(lambda: pictures(material.host, material.rate, other))
    return zip(pictures(material.source, material.rate, own), host, strict=False)


def _pasted(below: RGB, above: RGB, top: float, left: float) -> RGB:
    """Draws one picture into another; ``top`` and ``left`` of the room around it, 0 to 1."""
    height, width = above.shape[:2]
    y, x = _corner(below, height, width, top, left)
    below[y : y + height, x : x + width] = above
    return below


def _stamped(
    material: Material,
    patch: npt.NDArray[np.float32],
    opacity: npt.NDArray[np.float32],
    top: float,
    left: float,
) -> Iterator[RGB]:
    """The clip with the same drawing on every picture.

    ``patch`` float32 ``[h, w, 3]``, 0 to 255; ``opacity`` float32 ``[h, w]``, 0 to 1; ``top`` and
    ``left`` as for `_pasted`.
    """
    height, width = opacity.shape
    cover = opacity[..., None]
    for picture in pictures(material.source, material.rate):
        y, x = _corner(picture, height, width, top, left)
        under = picture[y : y + height, x : x + width]
        under[...] = np.rint(under * (1 - cover) + patch * cover).astype(np.uint8)
        yield picture


def _corner(below: RGB, height: int, width: int, top: float, left: float) -> tuple[int, int]:
    return round((below.shape[0] - height) * top), round((below.shape[1] - width) * left)


def _enlarged(shape: npt.NDArray[np.bool_], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Bool ``[h, w]`` to ``[height, width]``, in hard blocks."""
    rows = np.arange(height) * shape.shape[0] // height
    columns = np.arange(width) * shape.shape[1] // width
    large: npt.NDArray[np.bool_] = shape[rows][:, columns]
    return large
