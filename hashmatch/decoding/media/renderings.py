"""An image as luma, in each way in which programs show it: turned, coloured, on its grounds."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from hashmatch.decoding.media import colour, luma, modes
from hashmatch.decoding.media.likeness import Seen, cells
from hashmatch.decoding.media.tally import Tally
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.model.verdicts import Part, VerdictReason

__all__ = ["batches"]

# Between the numbers of the streams of one picture in other colours.
_APART: Final = 1 << 10

# PDQ's reference makes larger images this small first, so lists made with it match.
# Source: ThreatExchange, pdq/cpp/hashing (downsampling to 512 x 512 before hashing).
_PDQ_SIZE: Final = (512, 512)

# What turns a picture upright, by its EXIF orientation. Source: EXIF 2.32, tag 0x0112.
_ORIENTATION_TAG: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Levels of 255 between the dark and the bright of a picture: below the first there is nothing but
# noise, beyond the second nothing is too flat.
_NO_CONTRAST: Final = 8
_FULL_CONTRAST: Final = 160

# Formats of Pillow's whose fourth sample many programs take for padding.
_MAYBE_OPAQUE: Final = frozenset({"BLP", "BMP", "DDS", "FTEX", "ICO", "PSD", "TGA"})

# Browsers turn these as EXIF says; of WebP, Chromium shows the rows as they are stored.
_TURNED_BY_ALL: Final = frozenset({"JPEG", "MPO"})
_BACK: Final = {
    Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
    Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
}

_TRANSPARENT_MODES = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})


def batches(
    image: Image.Image, profiles: list[bytes], pts_ms: int, stream: int, tally: Tally
) -> Iterator[FrameBatch]:
    """An image of any mode as luma, turned as its EXIF orientation says; each way in which its
    colours are shown on a stream of its own.
    """
    turn = _UPRIGHT.get(_orientation(image))
    image_format = image.format
    if turn is not None:
        # Pillow's own copy keeps what the image says of its colours.
        image = image.transpose(turn)
    times = np.array([pts_ms], np.int64)
    has_alpha = image.mode in _TRANSPARENT_MODES or "transparency" in image.info
    colours = modes.to_rgba(image) if has_alpha else modes.to_rgb(image)
    shown, doubtful = colour.renderings(image, colours, profiles)
    if has_alpha and image_format in _MAYBE_OPAQUE:
        shown.append(colours.convert("RGB"))
    shown += modes.of_deep_grey(image)
    if turn is not None and image_format not in _TURNED_BY_ALL:
        # The search of all turns finds small pictures less well than as they are.
        shown += [each.transpose(_BACK.get(turn, turn)) for each in shown]
    if doubtful:
        tally.add_reason(VerdictReason.UNSEEN_MEDIA, "a colour profile that cannot be followed")
    seen = Seen()
    for number, each in enumerate(shown):
        for batch in _on_grounds(each, times, stream + number * _APART):
            if number and seen.has(batch.part, batch.luma[0]):
                continue
            if len(shown) > 1:
                seen.add(batch.part, batch.luma[0])
            yield batch if each is colours else _stretched(batch)


def _orientation(image: Image.Image) -> int:
    """As EXIF says; upright where it says nothing or is damaged, as browsers take it."""
    if image.format == "JXL":
        return 1  # Its own header says, and libjxl has followed.
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # Pillow raises a dozen types here too.
        return 1


def _stretched(batch: FrameBatch) -> FrameBatch:
    """With a gain that makes up for the contrast that a profile took: what is dim on a screen is
    still seen there, and would be too flat to be found.
    """
    darkest, brightest = np.percentile(cells(batch.luma[0]), (1, 99))
    contrast = float(brightest - darkest)
    if not _NO_CONTRAST < contrast < _FULL_CONTRAST:
        return batch
    return replace(batch, gain=_FULL_CONTRAST / contrast)


def _on_grounds(
    picture: Image.Image, times: npt.NDArray[np.int64], stream: int
) -> Iterator[FrameBatch]:
    if picture.mode != "RGBA":
        yield _batch(picture, times, Part.FULL, stream)
        return
    for part, rgb in luma.from_rgba(np.asarray(picture)).items():
        yield _batch(Image.fromarray(rgb), times, part, stream)


def _batch(rgb: Image.Image, times: npt.NDArray[np.int64], part: Part, stream: int) -> FrameBatch:
    full = np.asarray(rgb.convert("L"))[None]
    colours = functools.partial(_colours, rgb)
    if rgb.width > _PDQ_SIZE[0] or rgb.height > _PDQ_SIZE[1]:
        rgb = rgb.copy()
        rgb.thumbnail(_PDQ_SIZE)
    shown = luma.from_rgb(np.asarray(rgb))[None]
    return FrameBatch(shown, times, part, full_luma=full, stream=stream, colours=colours)


def _colours(rgb: Image.Image) -> list[npt.NDArray[np.uint8]]:
    return [np.asarray(each) for each in rgb.convert("RGB").split()]
