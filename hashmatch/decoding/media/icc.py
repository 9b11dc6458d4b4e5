"""Colour profiles: those that files carry, and those made of what they say in other words."""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

__all__ = ["SRGB_PRIMARIES", "Curve", "is_nearly_srgb", "matrix_profile", "shown"]

Curve = npt.NDArray[np.float64]

# x and y of white, red, green and blue. Source: IEC 61966-2-1.
SRGB_PRIMARIES: Final = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_D50: Final = np.array([0.9642, 1.0, 0.8249])
# Source: ICC.1:2022, annex E: the Bradford matrix.
_BRADFORD: Final = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)

# Modes of one channel of brightness.
_GREYS: Final = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})

# A profile is taken for that of sRGB if it moves no grey by more levels of 255, and nothing of
# full or half colour by more: the profiles that phones give nearly every photograph (Display P3
# has the curve of sRGB) cost nothing so, and no picture of any contrast fits in between.
_GREY_LEVELS: Final = 3
_COLOUR_LEVELS: Final = 12
_WEIGHTS: Final = np.array([0.299, 0.587, 0.114])  # Source: ITU-R BT.601.

_HEADER: Final = 128
_TABLES: Final = (b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1", b"D2B2")
_CLASSES: Final = (b"mntr", b"scnr", b"prtr", b"spac")


def shown(
    image: Image.Image, colours: Image.Image, profile: bytes
) -> tuple[Image.Image | None, bool]:
    """A picture as its profile says, in RGB; and whether there is doubt.

    ``colours`` is ``image`` in RGB as if it had no profile. None if the profile says nothing else,
    is of another kind of picture, or is broken: browsers ignore it then. In doubt if it looks like
    one that browsers would follow, but cannot be followed here.
    """
    tags = _tags(profile)
    space = profile[16:20]
    if tags is None or profile[12:16] not in _CLASSES:
        return None, False
    if space == b"RGB ":
        if is_nearly_srgb(profile):
            return None, False
        given = colours
    elif space == b"GRAY" and image.mode in _GREYS:
        if is_nearly_srgb(profile):
            return None, False
        given = colours.convert("L")
    elif (space == b"CMYK" and image.mode == "CMYK") or (space == b"Lab " and image.mode == "LAB"):
        given = image
    else:
        return None, False
    turned = _turned(given, profile)
    return turned, turned is None


def _turned(given: Image.Image, profile: bytes) -> Image.Image | None:
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            given.mode,
            "RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return transform.apply(given)


def _tags(profile: bytes) -> dict[bytes, bytes] | None:
    """What a profile says, by the names of its parts; None if it is broken."""
    if len(profile) < _HEADER + 4 or profile[36:40] != b"acsp":
        return None
    found = {}
    for number in range(min(int.from_bytes(profile[_HEADER : _HEADER + 4], "big"), 200)):
        at = _HEADER + 4 + 12 * number
        entry = profile[at : at + 12]
        if len(entry) < 12:
            return None
        name, start, size = struct.unpack(">4sII", entry)
        if start + size > len(profile):
            return None
        found[name] = profile[start : start + size]
    return found


@functools.lru_cache(maxsize=64)
def is_nearly_srgb(profile: bytes) -> bool:
    """True if a profile of RGB or of grey changes next to nothing. Those with tables are never
    taken for that, as between the colours that are tried they can say anything.
    """
    tags = _tags(profile) or {}
    if any(name in tags for name in _TABLES):
        return False
    levels = np.arange(256, dtype=np.uint8)
    if profile[16:20] == b"GRAY":
        turned = _turned(Image.fromarray(levels[None]), profile)
        if turned is None:
            return False
        moved = np.asarray(turned)[0, :, 1].astype(int) - levels
        return bool(np.abs(moved).max() <= _GREY_LEVELS)
    rows = [levels[:, None] * np.array(on, np.uint8) for on in _HUES]
    tried = np.concatenate(rows)[None]
    turned = _turned(Image.fromarray(tried), profile)
    if turned is None:
        return False
    moved = np.abs((np.asarray(turned).astype(float) - tried) @ _WEIGHTS)[0]
    return bool(moved[:256].max() <= _GREY_LEVELS and moved.max() <= _COLOUR_LEVELS)


_HUES: Final = ((1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1))


def matrix_profile(primaries: Sequence[float], curve: float | Curve) -> bytes | None:
    """A profile of RGB of these primaries (x and y of white, red, green, blue) and this curve: the
    exponent from a level to light, or the light of evenly spaced levels, 0 to 1. None if they
    cannot be.
    """
    xy = np.array(primaries, float).reshape(4, 2)
    if (xy[:, 1] <= 0).any():
        return None
    xyz = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(axis=1)) / xy[:, 1]])
    white, colours = xyz[:, 0], xyz[:, 1:]
    try:
        matrix = colours * np.linalg.solve(colours, white)
    except np.linalg.LinAlgError:
        return None
    cones = _BRADFORD @ _D50 / np.where(np.abs(cones_of := _BRADFORD @ white) < 1e-6, 1, cones_of)
    matrix = np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ matrix
    if isinstance(curve, float):
        trc = b"para" + bytes(8) + _fixed(curve)
    else:
        levels = np.rint(np.clip(curve, 0, 1) * 65535).astype(">u2")
        trc = b"curv" + bytes(4) + struct.pack(">I", len(levels)) + levels.tobytes()
        trc += bytes(-len(trc) % 4)
    parts = {b"wtpt": b"XYZ " + bytes(4) + b"".join(map(_fixed, _D50))}
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True):
        parts[name] = b"XYZ " + bytes(4) + b"".join(map(_fixed, column))
    table = struct.pack(">I", len(parts) + 3)
    content = b""
    start = _HEADER + 4 + 12 * (len(parts) + 3)
    for name, part in parts.items():
        table += struct.pack(">4sII", name, start + len(content), len(part))
        content += part
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        table += struct.pack(">4sII", name, start + len(content), len(trc))
    content += trc
    header = struct.pack(
        ">I4sI4s4s4s12s4s24s",
        _HEADER + len(table) + len(content),
        bytes(4),
        0x04300000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        bytes(12),
        b"acsp",
        bytes(24),
    )
    header += bytes(4) + b"".join(map(_fixed, _D50))
    return header.ljust(_HEADER, b"\0") + table + content


def _fixed(value: float) -> bytes:
    """As s15Fixed16."""
    return struct.pack(">i", round(float(np.clip(value, -32767, 32767)) * 65536))
