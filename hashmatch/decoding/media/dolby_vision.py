"""What players that know Dolby Vision make of the lightness of a frame: it is reshaped by curves
that come with each frame, while other programs show it as it is.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.decoding.media import curves

__all__ = ["levels"]

# Source: FFmpeg 8, libavutil/dovi_meta.h: AVDOVIMetadata, AVDOVIRpuDataHeader, AVDOVIDataMapping,
# AVDOVIReshapingCurve; of the last the first is that of lightness.
_OFFSETS: Final = struct.Struct("@NN")  # Of header and mapping, each a `size_t`.
_DENOMINATOR_AT: Final = 8
_DEPTH_AT: Final = 11
_CURVE_AT: Final = 8
_PIVOTS_AT: Final = 2
_KINDS_AT: Final = 20
_COEFFICIENTS_AT: Final = 64
_MOST_PIECES: Final = 8
_POLYNOMIAL: Final = 0
# Frames are of the perceptual quantizer when they are reshaped. Source: ETSI GS CCM 001.
_PQ: Final = 16


def levels(metadata: bytes, *, limited: bool) -> npt.NDArray[np.uint8] | None:
    """What is shown of each level of lightness, uint8 ``[256]``; None if the curve is of a kind
    that other planes have a part in, or makes no sense.

    Levels are of the full range, 0 to 255; ``limited`` tells that the frame is stored in 16 to 235,
    and so are the numbers of the curve. ``metadata`` is what FFmpeg puts beside a frame.
    """
    try:
        head, mapping = _OFFSETS.unpack_from(metadata)
        denominator = 1 << metadata[head + _DENOMINATOR_AT]
        scale = (1 << metadata[head + _DEPTH_AT]) - 1
        curve = mapping + _CURVE_AT
        pieces = metadata[curve] - 1
        if not 1 <= pieces <= _MOST_PIECES:
            return None
        pivots = struct.unpack_from(f"={pieces + 1}H", metadata, curve + _PIVOTS_AT)
        kinds = struct.unpack_from(f"={pieces}i", metadata, curve + _KINDS_AT)
        numbers = struct.unpack_from(f"={pieces * 3}q", metadata, curve + _COEFFICIENTS_AT)
    except (struct.error, IndexError):
        return None
    if any(kind != _POLYNOMIAL for kind in kinds):
        return None
    black, white = (16 / 255, 235 / 255) if limited else (0.0, 1.0)
    stored = black + np.arange(256) / 255 * (white - black)
    stored = np.clip(stored, pivots[0] / scale, pivots[-1] / scale)
    piece = np.clip(np.searchsorted(pivots, stored * scale, side="right") - 1, 0, pieces - 1)
    a, b, c = (np.array(numbers, np.float64).reshape(pieces, 3) / denominator).T
    shaped = a[piece] + b[piece] * stored + c[piece] * stored**2
    shaped = np.clip((shaped - black) / (white - black), 0, 1)
    shown: npt.NDArray[np.uint8] = curves.SHOWN[_PQ][np.rint(shaped * 255).astype(np.uint8)]
    return shown
