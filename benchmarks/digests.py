"""Digests to search among: random ones with near neighbours, and as signals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hashmatch.model.signals import Signals, view_code
from hashmatch.model.verdicts import Kind, Part

__all__ = ["Bytes", "digests", "signals_of"]

Bytes = npt.NDArray[np.uint8]


def digests(count: int, seed: int = 0) -> Bytes:
    """Random digests with some near neighbours: every tenth is a copy with up to 40 bits flipped.

    uint8 ``[count, 32]``.
    """
    rng = np.random.default_rng(seed)
    made = rng.integers(0, 256, (count, 32), np.uint8)
    copies = made[::10]
    flips = rng.integers(0, 256, (len(copies), 40))
    for column in range(flips.shape[1]):
        wanted = rng.random(len(copies)) < column / flips.shape[1]
        places = flips[wanted, column]
        copies[wanted, places // 8] ^= np.uint8(1) << (places % 8).astype(np.uint8)
    made[1::10][: len(copies)] = copies
    return made


def signals_of(rows_of: Bytes) -> Signals:
    """Digests as signals of a video with a frame a second."""
    count = len(rows_of)
    return Signals(
        Kind.PDQ,
        rows_of,
        np.full(count, 100, np.uint8),
        np.arange(count, dtype=np.int64) * 1000,
        np.full(count, view_code(Part.FULL), np.uint8),
    )
