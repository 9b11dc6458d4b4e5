"""Recall by how strongly a clip was attacked: the weakest of an attack first."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.robustness.attacks import ATTACKS
from benchmarks.robustness.evaluate import Outcome

__all__ = ["LEVELS", "Cell", "Levels", "by_strength"]

LEVELS: Final = 4

# Attacks whose first strength does not simply grow with the harm: what does.
_Harm = Callable[[float], float]
_HARM: Final[Mapping[str, _Harm]] = {
    "frame_rate": lambda fps: -fps,
    "scale": lambda long_side: -long_side,
    "stretch": lambda wider: abs(float(np.log(wider))),
    "tilt": abs,
    "colours": abs,
    "gamma": lambda gamma: abs(float(np.log(gamma))),
    "speed": lambda speed: abs(float(np.log(speed))),
    "blurred_background": lambda share: -share,
    "picture_in_picture": lambda share: -share,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """Copies of one attack that are about as strong: how many there are, and were found.

    ``label`` is the range of the strength as the attack chose it, or the name it chose.
    """

    label: str
    cases: int
    found: int


@dataclass(frozen=True, slots=True)
class Levels:
    """One attack's cells, weakest first. ``by`` names the strength; empty if there is none."""

    attack: str
    by: str
    cells: tuple[Cell, ...]


def by_strength(outcomes: Sequence[Outcome]) -> list[Levels]:
    """Of listed uploads, for every attack up to `LEVELS` cells of about as many cases each.

    A strength that is a name has a cell for each name.
    """
    made = []
    for attack in ATTACKS:
        own = [each for each in outcomes if each.case.listed and each.case.attack == attack]
        if own:
            made.append(_levels(attack, own))
    return made


def _levels(attack: str, own: Sequence[Outcome]) -> Levels:
    by = next(iter(own[0].strength), "")
    if not by:
        return Levels(attack, "", (_cell("always", own),))
    values = [each.strength[by] for each in own]
    if any(isinstance(value, str) for value in values):
        names = sorted({str(value) for value in values})
        groups = [[each for each in own if each.strength[by] == name] for name in names]
        return Levels(attack, by, tuple(map(_cell, names, groups)))
    harm = _HARM.get(attack, float)
    ordered = sorted(own, key=lambda each: harm(float(each.strength[by])))
    edges = np.linspace(0, len(ordered), min(LEVELS, len(ordered)) + 1).round().astype(int)
    parts = [ordered[start:end] for start, end in itertools.pairwise(edges)]
    return Levels(attack, by, tuple(_cell(_range(part, by), part) for part in parts))


def _cell(label: str, own: Sequence[Outcome]) -> Cell:
    return Cell(label, len(own), sum(each.found for each in own))


def _range(own: Sequence[Outcome], by: str) -> str:
    values = sorted(float(each.strength[by]) for each in own)
    ends = list(dict.fromkeys(f"{value:.3g}" for value in (values[0], values[-1])))
    return " to ".join(ends)
