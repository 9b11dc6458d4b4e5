"""What a file says of its colours, beside a profile that Pillow finds in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from PIL import Image

from hashmatch.decoding.media import heif, icc, jpeg2000
from hashmatch.decoding.media.extents import mp4_boxes, png_chunks
from hashmatch.decoding.media.formats import Format
from hashmatch.decoding.media.source import Source

__all__ = ["of_codes", "profiles", "renderings"]

# Code points of primaries. Source: ITU-T H.273, table 2.
_PRIMARIES: Final = {
    1: icc.SRGB_PRIMARIES,
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (0.3127, 0.3290, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (0.310, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    10: (1 / 3, 1 / 3, 1.0, 1e-6, 1e-6, 1.0, 1e-6, 1e-6),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (0.3127, 0.3290, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
# Curves that are powers. Source: ITU-T H.273, table 3.
_POWERS: Final = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
_PQ: Final = 16
_HLG: Final = 18
_CURVES_LOG: Final = {9: 2.0, 10: 2.5}  # Decades.
_SAMPLES: Final = 1024

# What is shown on a screen of 8 bits of each sixteenth level of grey, and of the highest, with PQ
# and with HLG: programs map their tones in ways of their own. Source: measured of Chromium 156.
_TONES: Final = {
    _PQ: (0, 1, 5, 15, 30, 48, 70, 98, 132, 175, 213, 237, 255, 255, 255, 255, 255),
    _HLG: (0, 3, 14, 29, 43, 57, 71, 85, 99, 115, 135, 160, 189, 212, 228, 243, 255),
}

_MOST_MOOV: Final = 1 << 20


def profiles(source: Source, image_format: Format) -> list[bytes]:
    """Of what a file says of its colours in other words than a profile, each as a profile; those
    that change next to nothing are left out.
    """
    return [each for each in _profiles(source, image_format.name) if not icc.is_nearly_srgb(each)]


def _profiles(source: Source, name: str) -> Iterator[bytes]:
    made: list[bytes | None] = []
    if name == "png":
        made = list(_of_png(source))
    elif name == "avif":
        made = [_of_codes(*codes) for codes in _avif_codes(source)]
    elif name == "bmp":
        made = list(_of_bmp(source))
    elif name == "jpeg2000":
        made = list(jpeg2000.profiles(source))
    yield from filter(None, made)


def of_codes(primaries: int = 0, transfer: int = 0) -> list[bytes]:
    """Likewise, of the code points of a picture."""
    made = _of_codes(primaries, transfer)
    return [] if made is None or icc.is_nearly_srgb(made) else [made]


def renderings(
    image: Image.Image, colours: Image.Image, others: list[bytes]
) -> tuple[list[Image.Image], bool]:
    """A picture as each of its profiles says (``others`` are those not found by Pillow), and as it
    is without, in RGB or, with an alpha channel, RGBA; and whether there is doubt of one.

    Programs differ in which of them they follow: each is one that somebody sees.
    """
    rgb = colours.convert("RGB") if colours.mode == "RGBA" else colours
    made, doubtful = [], False
    embedded = image.info.get("icc_profile")
    for profile in ([embedded] if embedded else []) + others:
        turned, doubt = icc.shown(image, rgb, profile)
        doubtful = doubtful or doubt
        if turned is not None:
            if colours.mode == "RGBA":
                turned.putalpha(colours.getchannel("A"))
            made.append(turned)
    return [*made, colours], doubtful


def _of_png(source: Source) -> Iterator[bytes | None]:
    gamma, primaries = 0.0, icc.SRGB_PRIMARIES
    for kind, start, length in png_chunks(source):
        content = source.read_at(start, min(length, 32))
        if kind == b"IDAT":
            break
        if kind == b"gAMA" and len(content) >= 4:
            gamma = int.from_bytes(content[:4], "big") / 100_000
        elif kind == b"cHRM" and len(content) >= 32:
            numbers = (int.from_bytes(content[i : i + 4], "big") for i in range(0, 32, 4))
            primaries = tuple(number / 100_000 for number in numbers)  # type: ignore[assignment]
        elif kind == b"cICP" and len(content) >= 4 and content[2] == 0:
            yield _of_codes(content[0], content[1])
    if gamma:
        yield icc.matrix_profile(primaries, 1 / gamma)


def _avif_codes(source: Source) -> Iterator[tuple[int, int]]:
    for kind, start, end in mp4_boxes(source):
        if end is None:
            continue
        if kind == b"meta":
            items = heif.items(source, start, end)
            found = [
                content
                for each, content in items.properties.get(items.primary or 0, ())
                if each == b"colr"
            ]
        elif kind == b"moov":
            data = source.read_at(start, min(end - start, _MOST_MOOV))
            at = data.find(b"colrnclx")
            found = [data[at + 4 : at + 16]] if at >= 0 else []
        else:
            continue
        for content in found:
            if content[:4] == b"nclx" and len(content) >= 8:
                yield (
                    int.from_bytes(content[4:6], "big"),
                    int.from_bytes(content[6:8], "big"),
                )


def _of_bmp(source: Source) -> Iterator[bytes | None]:
    """Source: BITMAPV5HEADER."""
    head = source.read_at(14, 124)
    size = int.from_bytes(head[:4], "little")
    if size < 108:
        return
    space = head[56:60]
    numbers = [int.from_bytes(head[i : i + 4], "little") for i in range(0, len(head) - 3, 4)]
    if space == b"DEBM" and size >= 124:  # PROFILE_EMBEDDED, "MBED".
        yield source.read_at(14 + numbers[28], min(numbers[29], 1 << 22))
    elif numbers[14] == 0:  # LCS_CALIBRATED_RGB
        gamma = numbers[25] / 65536  # Of green; those of others are like it in any honest file.
        if gamma:
            yield icc.matrix_profile(icc.SRGB_PRIMARIES, gamma)


def _of_codes(primaries: int, transfer: int) -> bytes | None:
    """The profile of code points; None for those that say nothing, or what sRGB is."""
    levels = np.linspace(0, 1, _SAMPLES)
    curve: float | icc.Curve
    if transfer in _POWERS:
        curve = _POWERS[transfer]
    elif transfer in _TONES:
        tones = np.array(_TONES[transfer]) / 255
        curve = _srgb(np.interp(levels, np.arange(len(tones)) * 16 / 255, tones))
    elif transfer in _CURVES_LOG:
        curve = 10 ** ((levels - 1) * _CURVES_LOG[transfer])
    else:
        # Browsers take all others for the curve of sRGB, which theirs are like.
        curve = _srgb(levels)
    if primaries not in _PRIMARIES and transfer not in (*_POWERS, *_TONES, *_CURVES_LOG):
        return None
    return icc.matrix_profile(_PRIMARIES.get(primaries, icc.SRGB_PRIMARIES), curve)


def _srgb(levels: icc.Curve) -> icc.Curve:
    """Light of levels. Source: IEC 61966-2-1."""
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
