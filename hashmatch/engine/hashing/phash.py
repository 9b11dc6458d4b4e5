"""pHash, the 64-bit perceptual hash, exactly as the package imagehash computes it.

imagehash works on Pillow images, so this is the one hash that loads Pillow; only the worker
imports it, and only when a bank uses the kind.
"""

from __future__ import annotations

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["digest"]


def digest(luma: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """``imagehash.phash`` of each plane: uint8 ``[n, h, w]``, 0 to 255, to uint8 ``[n, 8]``.

    The bytes are those of imagehash's hex string, so lists made with it match.
    """
    digests = np.empty((len(luma), 8), np.uint8)
    for row, plane in enumerate(luma):
        bits = imagehash.phash(Image.fromarray(plane)).hash
        digests[row] = np.packbits(bits.reshape(64))
    return digests
