"""JPEG XL, through pylibjxl."""

from __future__ import annotations

from typing import Any, Final

import pylibjxl
from PIL import Image

from hashmatch.decoding.media.faults import Damaged
from hashmatch.decoding.media.source import Source
from hashmatch.errors import MediaError
from hashmatch.model.verdicts import VerdictReason

__all__ = ["is_animated", "picture"]

_BARE: Final = b"\xff\x0a"  # A codestream without boxes. Source: ISO/IEC 18181-2, 9.
# Of a colour profile: what its levels are of.
_SPACE: Final = slice(16, 20)

_decoders: list[Any] = []


def _decoder() -> Any:
    """One thread beside the caller's own: by itself it has as many as there are processors."""
    if not _decoders:
        _decoders.append(pylibjxl.JXL(threads=1, pool_size=1))
    return _decoders[0]


def is_animated(source: Source) -> bool:
    """True if the header says so; False if there is none that can be read. It may stand anywhere:
    boxes of any size go before it.
    """
    try:
        return bool(_probed(source.read_at(0, source.total()))["have_animation"])
    except Damaged:
        return False


def _probed(data: bytes) -> dict[str, Any]:
    try:
        return dict(_decoder().probe(data))
    except (RuntimeError, ValueError) as error:
        raise Damaged("no header of JPEG XL") from error


def picture(source: Source, most_pixels: int) -> Image.Image:
    """The picture, upright, in 8 bits; of an animation one frame. Its profile and EXIF are among
    what it says. Raises `Damaged`, `MediaError` for inks, and `Image.DecompressionBombError` for
    more than ``most_pixels`` pixels.
    """
    data = source.read_at(0, source.total())
    header = _probed(data)
    if header["width"] * header["height"] > most_pixels:
        raise Image.DecompressionBombError
    try:
        pixels, said = _decoder().decode(data, metadata=True)
    except (RuntimeError, ValueError) as error:
        if data[:2] == _BARE:
            # It does not say where it ends, and libjxl not why it refuses: most are cut.
            raise Damaged("truncated, or damaged") from error
        raise Damaged("libjxl does not decode it") from error
    profile = said.get("icc", b"")
    if profile[_SPACE] == b"CMYK":
        raise MediaError(VerdictReason.UNSUPPORTED, "JPEG XL of inks")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    image = Image.fromarray(pixels)
    image.format = "JXL"
    if profile:
        image.info["icc_profile"] = bytes(profile)
    if said.get("exif"):
        image.info["exif"] = bytes(said["exif"])
    return image
