"""Pixels of any mode of Pillow's as 8-bit RGB or RGBA."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageCms

from hashmatch.decoding.media.faults import Damaged

__all__ = ["to_rgb", "to_rgba"]

# Source: TIFF 6.0, section 8.
_BITS_TAG: Final = 258
_PHOTOMETRIC_TAG: Final = 262


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
    values = np.nan_to_num(np.asarray(image, np.float32))
    brightest = float(values.max(initial=0))
    tags = getattr(image, "tag_v2", {})
    if image.mode.startswith("I;16") and tags.get(_BITS_TAG) == (12,):
        scale = 255 / 4095
    elif image.mode == "F" and brightest <= 1:
        scale = 255.0
    elif image.mode.startswith("I;16") or brightest > 255:
        scale = 255 / 65535
    else:
        scale = 1.0
    grey = np.clip(np.rint(values * np.float32(scale)), 0, 255).astype(np.uint8)
    if tags.get(_PHOTOMETRIC_TAG) == 0:
        grey = 255 - grey
    return Image.fromarray(grey).convert("RGB")
