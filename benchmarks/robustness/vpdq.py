"""vPDQ, the reference for videos, by its own rules: the yardstick.

Every frame is decoded, those one second apart (by count and frame rate) are hashed as RGB as they
are stored, flat ones are left out, and each hash counts once. What part of one clip's hashes has a
near one in the other's decides.

Source: ThreatExchange, vpdq/README.md and vpdq/cpp/vpdq/cpp/hashing/filehasher.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt
import pdqhash

__all__ = ["Rules", "Shares", "hashes", "shares"]

# Source: ThreatExchange, python-threatexchange/threatexchange/extensions/vpdq/vpdq_util.py, as the
# 80 % of the upload's hashes; vpdq/README.md has 80 % of the entry's instead.
_DISTANCE: Final = 31
_QUALITY: Final = 50
_ENOUGH: Final = 0.8


@dataclass(frozen=True, slots=True)
class Rules:
    """By which rule two clips match: any hash in common, or 80 % of the upload's or the entry's."""

    any_frame: bool
    most_of_query: bool
    most_of_reference: bool


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of the upload's and of the entry's hashes that have a near one in the other, 0 to 1."""

    query: float
    reference: float

    @property
    def rules(self) -> tuple[bool, bool, bool]:
        """For `Rules`."""
        return self.query > 0, self.query >= _ENOUGH, self.reference >= _ENOUGH


def hashes(path: Path) -> npt.NDArray[np.uint8]:
    """Distinct digests uint8 ``[n, 32]`` of a clip's first video stream."""
    found = set()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        each = max(1, int(stream.average_rate or 1))
        for number, frame in enumerate(container.decode(stream)):
            if number % each == 0:
                bits, quality = pdqhash.compute(frame.to_ndarray(format="rgb24"))
                if quality >= _QUALITY:
                    found.add(np.packbits(bits).tobytes())
    return np.frombuffer(b"".join(sorted(found)), np.uint8).reshape(-1, 32)


def shares(query: npt.NDArray[np.uint8], reference: npt.NDArray[np.uint8]) -> Shares:
    """How much two clips have in common; nothing if one has no hashes. Digests uint8 ``[n, 32]``.

    The reference divides by zero there.
    """
    if not len(query) or not len(reference):
        return Shares(0.0, 0.0)
    near = np.bitwise_count(query[:, None] ^ reference[None]).sum(-1, np.int64) <= _DISTANCE
    return Shares(float(near.any(1).mean()), float(near.any(0).mean()))
