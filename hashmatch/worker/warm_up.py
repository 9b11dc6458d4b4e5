"""Runs all that a media may need once before the first upload.

So no upload waits for it: kernels compile, and libraries load parts of themselves, when they are
first used. And a worker that is confined (`hashmatch.worker.confine`) can load nothing any more.
"""

from __future__ import annotations

import importlib
import io
import pkgutil
import sys
import warnings
from types import ModuleType
from typing import Any, Final

import av
import numpy as np
from PIL import Image

import hashmatch.hashing
import hashmatch.media
from hashmatch.channel import Job
from hashmatch.hashing import pdq
from hashmatch.media.source import BytesSource
from hashmatch.media.tally import Tally
from hashmatch.model.records import DecodeLimits
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind
from hashmatch.sampling import densities
from hashmatch.worker.inspect import inspect

__all__ = ["warm_up"]

# What libraries turn texts of files with.
_ENCODINGS: Final = ("ascii", "latin-1", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "cp1252")

# Each as Pillow writes it, in modes that are turned to luma in ways of their own.
_IMAGES: Final = (
    ("JPEG", ("RGB", "L", "CMYK")),
    ("PNG", ("RGB", "RGBA", "LA", "P", "1", "I;16")),
    ("GIF", ("P",)),
    ("TIFF", ("RGB", "F", "LAB", "CMYK")),
    ("BMP", ("RGB",)),
    ("WEBP", ("RGB", "RGBA")),
    ("AVIF", ("RGB", "RGBA")),
)
_SIDES: Final = (64, 520)  # The larger is made smaller before it is hashed.
_ORIENTATION: Final = 0x0112


def warm_up() -> None:
    """Decodes and hashes media of all sorts that it makes itself, in memory."""
    _quiet()
    for text in _ENCODINGS:
        "a".encode(text).decode(text)
    for package in (av, hashmatch.media, hashmatch.hashing):
        _load_all(package)
    pdq.warm_up()
    for turns in (False, True):
        job = Job(
            kinds=(Kind.PDQ, Kind.PHASH),
            turns=turns,
            density=densities.UPLOAD if turns else densities.ENTRY,
            limits=DecodeLimits(max_duration_ms=60_000, max_frame_pixels=1 << 20),
        )
        for media in (_clip(), *_images()):
            inspect(BytesSource(media), job, _discard)
            inspect(BytesSource(media[: len(media) // 2]), job, _discard)  # What fails, fails here.


def _quiet() -> None:
    """To show a warning or an error, Python would read source files."""
    warnings.simplefilter("ignore")
    sys.unraisablehook = _ignore
    sys.excepthook = _ignore


def _ignore(*_: object) -> None:
    """Nobody would read it."""


def _load_all(package: ModuleType) -> None:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _discard(signals: list[Signals], tally: Tally) -> None:
    """Nobody wants these hashes."""


def _images() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 255, (_SIDES[1], _SIDES[1], 3), np.uint8)
    colours = Image.fromarray(noise)
    made = []
    for form, modes in _IMAGES:
        for mode in modes:
            image = (
                colours.convert("L").convert(mode) if mode in ("F", "I;16") else _in(colours, mode)
            )
            side = _SIDES[mode == "L"]
            made.append(_encoded(image.resize((side, side)), form))
    animation: dict[str, Any] = {"save_all": True, "append_images": [colours.resize((64, 64))]}
    small = colours.rotate(90).resize((64, 64))
    made += [_encoded(small, form, **animation) for form in ("GIF", "PNG", "WEBP", "TIFF")]
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    made.append(_encoded(colours.resize((64, 64)), "JPEG", exif=exif.tobytes()))
    return made


def _in(colours: Image.Image, mode: str) -> Image.Image:
    if mode == "LAB":
        return Image.merge("LAB", colours.split())
    image = colours.convert("RGB" if mode == "RGB" else mode)
    if "A" in mode:
        image.putalpha(128)
    return image


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _clip() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height = 64, 64
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        for _ in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise)))
        container.mux(stream.encode())
    return buffer.getvalue()
