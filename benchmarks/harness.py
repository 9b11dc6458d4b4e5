"""Rows: what was measured, how it stands to its yardstick, and how much of that is noise."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Row", "cpu_seconds", "row"]

# Half the width of the 95 % interval of a median of n values, in standard deviations over the
# square root of n, and the standard deviation as a multiple of the median absolute deviation.
# Source: both for normal noise; any textbook on robust statistics.
_MEDIAN_INTERVAL: Final = 1.96 * 1.2533
_DEVIATION_OF_MAD: Final = 1.4826


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    ``ratio`` is how the subject stands to its yardstick, more is better: a speed of 2.0 is twice
    the yardstick's. ``spread`` is half the 95 % interval of the ratio, as a part of it: what the
    noise of this run allows. ``fault`` is not empty where the figure does not matter because
    something went wrong (an answer lost, or a wrong one). ``more`` holds other numbers of note.
    ``media`` names the clips that a row depends on, where a machine may have others; rows are
    compared only with rows of the same.
    """

    name: str
    what: str
    unit: str
    value: float
    yardstick_name: str
    yardstick: float
    ratio: float
    spread: float
    fault: str = ""
    more: dict[str, float] = field(default_factory=dict)
    media: str = ""

    @property
    def is_exact(self) -> bool:
        """True if the figure depends on media alone: the same on every processor, every time."""
        return bool(self.media) and self.spread == 0

    @property
    def key(self) -> tuple[str, str]:
        """What a row is told from others by."""
        return self.name, self.media


def cpu_seconds(work: Callable[[], object]) -> float:
    """Processor time that a call takes in this process, all threads."""
    began = time.process_time()
    work()
    return time.process_time() - began


def row(
    name: str,
    what: str,
    yardstick_name: str,
    values: Sequence[float],
    yardsticks: Sequence[float],
    *,
    unit: str = "s",
    fault: str = "",
    more: dict[str, float] | None = None,
) -> Row:
    """A row of values where less is better: the ratio of each round is yardstick to value."""
    ratios = [yard / value for value, yard in zip(values, yardsticks, strict=True)]
    return Row(
        name=name,
        what=what,
        unit=unit,
        value=statistics.median(values),
        yardstick_name=yardstick_name,
        yardstick=statistics.median(yardsticks),
        ratio=statistics.median(ratios),
        spread=spread(ratios),
        fault=fault,
        more=more or {},
    )


def spread(ratios: Sequence[float]) -> float:
    """Half the 95 % interval of the median of ``ratios``, as a part of it; 0 for a single one."""
    middle = statistics.median(ratios)
    deviation = statistics.median(abs(ratio - middle) for ratio in ratios) * _DEVIATION_OF_MAD
    return float(_MEDIAN_INTERVAL * deviation / len(ratios) ** 0.5 / middle)
