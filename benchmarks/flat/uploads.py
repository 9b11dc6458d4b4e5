"""What becomes of a flat picture on its way: encoded anew as JPEG, scaled, cut, as a film."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Final

import av
import numpy as np
from PIL import Image

from benchmarks.flat.pictures import RGB, Rng

__all__ = ["ENCODINGS", "original"]


def original(rgb: RGB) -> bytes:
    """As it is listed: without loss."""
    return _saved(Image.fromarray(rgb), "PNG")


def _jpeg(rgb: RGB, rng: Rng) -> bytes:
    """Of quality 30 to 90, half to one and a half as large."""
    image = Image.fromarray(rgb)
    by = rng.uniform(0.5, 1.5)
    size = (round(image.width * by), round(image.height * by))
    scaled = image.resize(size, Image.Resampling.BICUBIC)
    return _saved(scaled, "JPEG", quality=int(rng.integers(30, 91)))


def _cut(rgb: RGB, rng: Rng) -> bytes:
    """Two percent of each side cut off, as JPEG."""
    rows, columns = round(0.02 * rgb.shape[0]), round(0.02 * rgb.shape[1])
    cut = Image.fromarray(rgb[rows:-rows, columns:-columns])
    return _saved(cut, "JPEG", quality=int(rng.integers(60, 91)))


def _uneven(rgb: RGB, rng: Rng) -> bytes:
    """Half a percent to three cut off, of each side another, as JPEG of quality 30 to 90."""
    above, below = (round(float(rng.uniform(0.005, 0.03)) * rgb.shape[0]) for _ in range(2))
    left, right = (round(float(rng.uniform(0.005, 0.03)) * rgb.shape[1]) for _ in range(2))
    cut = rgb[above : rgb.shape[0] - below, left : rgb.shape[1] - right]
    return _saved(Image.fromarray(cut), "JPEG", quality=int(rng.integers(30, 91)))


def _film(rgb: RGB, rng: Rng) -> bytes:
    """A second of H.264, crf 18 to 35."""
    height, width = (side - side % 2 for side in rgb.shape[:2])
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"crf": f"{int(rng.integers(18, 36))}", "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=4, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(4):
            shown = np.ascontiguousarray(rgb[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def _saved(image: Image.Image, form: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


ENCODINGS: Final[Mapping[str, Callable[[RGB, Rng], bytes]]] = {
    "jpeg": _jpeg,
    "film": _film,
    "cut": _cut,
    "uneven": _uneven,
}
