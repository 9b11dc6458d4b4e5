"""What each view of a frame adds: the signals that there would be without the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.hashing import patches
from hashmatch.model.signals import Signals, view_code
from hashmatch.model.verdicts import Kind, Part, Turn

__all__ = ["STEPS", "of_step"]

_Keep = Callable[[Signals], npt.NDArray[np.bool_]]


def _of(part: Iterable[Part], turn: Iterable[Turn]) -> _Keep:
    codes = [view_code(one, other) for one in part for other in turn]
    return lambda signals: (signals.kind is Kind.PDQ) & np.isin(signals.view, codes)


def _squares(*, mirrored: bool, tilted: bool) -> _Keep:
    def keep(signals: Signals) -> npt.NDArray[np.bool_]:
        if signals.kind is not Kind.PDQ_PATCH:
            return np.ones(len(signals), np.bool_)
        where = patches.places(signals.digests[:, patches.HASH_BYTES :])
        kept: npt.NDArray[np.bool_] = (mirrored | ~where.mirrored) & (tilted | (where.tilt == 0))
        return kept

    return keep


# Each with all of those before it.
STEPS: Final[Mapping[str, _Keep]] = {
    "whole frames": _of([Part.FULL, Part.FULL_ON_WHITE], [Turn.NONE]),
    "turned": _of([Part.FULL, Part.FULL_ON_WHITE], Turn),
    "within borders": _of([Part.FULL, Part.FULL_ON_WHITE, Part.CONTENT], Turn),
    "insets": _of(Part, Turn),
    "squares": _squares(mirrored=False, tilted=False),
    "mirrored squares": _squares(mirrored=True, tilted=False),
    "tilted squares": _squares(mirrored=True, tilted=True),
}


def of_step(step: str, signals: Iterable[Signals], *, entry: bool) -> list[Signals]:
    """What there is of an entry or an upload at a step. Whole frames of entries are the same at
    all: it is uploads that are turned.
    """
    keep = STEPS[step]
    if entry and list(STEPS).index(step) < list(STEPS).index("squares"):
        return [each for each in signals if each.kind is Kind.PDQ]
    return [each.select(keep(each)) for each in signals]
