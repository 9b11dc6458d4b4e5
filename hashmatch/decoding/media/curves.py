"""Transfer functions that are far from that of an ordinary screen, as tables of 256 levels.

FFmpeg hands on levels as they are, browsers and most players make light of them first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["SHOWN"]

# Code points. Source: ITU-T H.273, table 3.
_LINEAR, _LOG, _LOG_SQRT, _PQ, _DCI, _HLG = 8, 9, 10, 16, 17, 18

# What is shown of each sixteenth level, and of the highest: programs map tones in ways of their
# own. Source: measured of Chromium 156.
_PQ_TONES: Final = (0, 1, 5, 15, 30, 48, 70, 98, 132, 175, 213, 237, 255, 255, 255, 255, 255)
_HLG_TONES: Final = (0, 3, 14, 29, 43, 57, 71, 85, 99, 115, 135, 160, 189, 212, 228, 243, 255)

_LEVELS: Final = np.arange(256) / 255


def _encoded(light: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Levels of light on a screen. Source: IEC 61966-2-1."""
    shown = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    levels: npt.NDArray[np.uint8] = np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)
    return levels


def _tones(shown: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    places = np.minimum(np.arange(len(shown)) * 16, 255)
    return np.rint(np.interp(np.arange(256), places, shown)).astype(np.uint8)


# Uint8 ``[256]`` by code point.
SHOWN: Final[Mapping[int, npt.NDArray[np.uint8]]] = {
    _LINEAR: _encoded(_LEVELS),
    _LOG: _encoded(10 ** ((_LEVELS - 1) * 2)),
    _LOG_SQRT: _encoded(10 ** ((_LEVELS - 1) * 2.5)),
    _PQ: _tones(_PQ_TONES),
    _DCI: _encoded(_LEVELS**2.6),
    _HLG: _tones(_HLG_TONES),
}
