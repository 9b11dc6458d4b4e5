"""How often a clean frame comes near an entry by chance, and what that means for a long list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.index.bits import to_words
from hashmatch.engine.policy import calibration

__all__ = ["MAX_DISTANCE", "Curve", "curve"]

MAX_DISTANCE: Final = 128  # Half of the bits: where digests have nothing in common at all.

# A list as large as the largest in use: its hashes, not its entries.
_LARGE_LIST: Final = 10_000_000

_Digests = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Curve:
    """Distances between clean frames and entry digests.

    A pair is one frame and one entry digest; its distance is that of the frame's nearest view,
    because any view may match. ``pairs_within[t]`` and ``frames_within[t]`` count pairs, and
    frames with at least one such pair, at a distance of at most ``t``, from 0 to `MAX_DISTANCE`.
    """

    frames: int
    digests: int
    pairs_within: tuple[int, ...]
    frames_within: tuple[int, ...]

    @property
    def pairs(self) -> int:
        """Number of pairs looked at."""
        return self.frames * self.digests

    @property
    def nearest(self) -> int | None:
        """The smallest distance of all, if it is at most `MAX_DISTANCE`."""
        return next((t for t, count in enumerate(self.pairs_within) if count), None)

    def share_of_frames(self, threshold: int) -> float:
        """Part of the clean frames that match some entry digest of this set."""
        return self.frames_within[threshold] / max(1, self.frames)

    def expected(self, threshold: int, digests: int = _LARGE_LIST) -> float:
        """Entry digests that one clean frame would match by chance in a list of so many.

        Assumes independence: that every pair of a clean frame and an entry digest is as likely to
        be near as every other, here and in the large list. Frames of one clip are alike, and so
        are entries, so the true figure may be several times as large. Where no pair came as near,
        it is an upper bound at 95 %: 3 / pairs (the rule of three).
        """
        return (self.pairs_within[threshold] or 3) / max(1, self.pairs) * digests

    def wrong_per_million(self, threshold: int, frames: float, digests: int = _LARGE_LIST) -> float:
        """Of a million clean uploads of so many frames, those that would be blocked by one of them,
        in a list of so many hashes; at most a million, and so many where pairs are too few to say.

        Assumes independence, as `expected` does, and a normal tail, see
        `engine.policy.calibration`.
        """
        try:
            near = calibration.chance(self.pairs_within, self.pairs, threshold)
        except (ArithmeticError, LookupError, ValueError):
            near = 1.0
        return 1e6 * min(1.0, near * frames * digests)

    def is_bound(self, threshold: int) -> bool:
        """True if no pair came as near, so that `expected` is an upper bound."""
        return not self.pairs_within[threshold]


def curve(frames: Sequence[_Digests], digests: _Digests) -> Curve:
    """Measures all pairs.

    ``frames``: the views' digests uint8 ``[views, 32]`` of each clean frame; ``digests`` uint8
    ``[n, 32]`` of all entries.
    """
    pairs = np.zeros(MAX_DISTANCE + 1, np.int64)
    nearest = np.zeros(MAX_DISTANCE + 1, np.int64)
    words = to_words(digests)
    for views in frames:
        apart = np.bitwise_count(to_words(views)[:, None] ^ words[None]).sum(-1, np.int64).min(0)
        counts = np.bincount(apart[apart <= MAX_DISTANCE], minlength=MAX_DISTANCE + 1)
        pairs += counts
        nearest[np.flatnonzero(counts)[:1]] += 1
    return Curve(
        len(frames),
        len(digests),
        tuple(np.cumsum(pairs).tolist()),
        tuple(np.cumsum(nearest).tolist()),
    )
