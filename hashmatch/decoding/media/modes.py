"""Pixels of any mode of Pillow's as 8-bit RGB or RGBA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from hashmatch.decoding.media.faults import Damaged

__all__ = ["of_deep_grey", "to_rgb", "to_rgba"]

# Source: TIFF 6.0, section 8.
_BITS_TAG: Final = 258
_PHOTOMETRIC_TAG: Final = 262

# Percentiles that programs for deep pictures make black and white, and how many levels of 255 may
# lie between them before nothing is gained by it.
_STRETCHED: Final = (0.1, 99.9)
_MANY_LEVELS: Final = 64
_OF_FLOATS: Final = 255.0  # Of floating point, 1 is white.


def to_rgba(image: Image.Image) -> Image.Image:
    """A picture with transparency in RGBA."""
    if not _is_deep_grey(image):
        return image.convert("RGBA")
    rgba = _from_deep_grey(image).convert("RGBA")
    opaque = np.asarray(image) != image.info["transparency"]  # One level is transparent.
    rgba.putalpha(Image.fromarray(opaque.astype(np.uint8) * np.uint8(255)))
    return rgba


def _is_deep_grey(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode without transparency to 8-bit RGB, the same whatever Pillow's defaults are."""
    if _is_deep_grey(image):
        return _from_deep_grey(image)
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        if converted is None:
            raise Damaged("no conversion from LAB")
        return converted
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, or floating point: Pillow's own conversion would clip it at 255.

    The full scale is taken to be the smallest of 1 (floating point only), 255 and 65,535 that
    holds every value. Of a TIFF whose zero is white, which Pillow leaves as it is, the negative.
    """
    values = _values(image)
    return _as_rgb(image, values * np.float32(_scale(image, values)))


def of_deep_grey(image: Image.Image) -> list[Image.Image]:
    """How else programs show grey of 16 or 32 bits or floating point, in RGB: what has a small part
    of the scale, stretched to all of it; floating point above 1, clipped there. Empty for others.
    """
    if not _is_deep_grey(image):
        return []
    values = _values(image)
    scale = _scale(image, values)
    darkest, brightest = (float(each) for each in np.percentile(values, _STRETCHED))
    made = []
    if 0 < (brightest - darkest) * scale < _MANY_LEVELS:
        made.append(_as_rgb(image, (values - darkest) * (255 / (brightest - darkest))))
    if image.mode == "F" and scale < _OF_FLOATS:
        made.append(_as_rgb(image, values * np.float32(_OF_FLOATS)))
    return made


def _values(image: Image.Image) -> npt.NDArray[np.float32]:
    return np.nan_to_num(np.asarray(image, np.float32))


def _scale(image: Image.Image, values: npt.NDArray[np.float32]) -> float:
    brightest = float(values.max(initial=0))
    if image.mode.startswith("I;16") and _tags(image).get(_BITS_TAG) == (12,):
        return 255 / 4095
    if image.mode == "F" and brightest <= 1:
        return _OF_FLOATS
    return 255 / 65535 if image.mode.startswith("I;16") or brightest > 255 else 1.0


def _tags(image: Image.Image) -> Mapping[int, object]:
    tags: Mapping[int, object] = getattr(image, "tag_v2", {})
    return tags


def _as_rgb(image: Image.Image, levels: npt.NDArray[np.float32]) -> Image.Image:
    """Levels of 255 as a picture; the negative where a TIFF says that zero is white."""
    grey = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    if _tags(image).get(_PHOTOMETRIC_TAG) == 0:
        grey = 255 - grey
    return Image.fromarray(grey).convert("RGB")
