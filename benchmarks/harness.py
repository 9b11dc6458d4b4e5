"""Measures a subject and its yardstick in turns, so that both meet the same noise."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Row", "cpu_seconds", "interleaved", "row", "wall_seconds"]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    ``ratio`` says how the value stands to the yardstick so that more is better: how many times
    faster, or what part of a bound is used up, the other way round. ``spread`` is half the range
    between the quartiles of the ratio's rounds, as a part of the ratio.
    """

    name: str
    what: str
    unit: str
    value: float
    yardstick_name: str
    yardstick: float
    ratio: float
    spread: float


def wall_seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def cpu_seconds(work: Callable[[], object]) -> float:
    """Processor time that a call takes in this process, all threads, user and system."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def interleaved(
    subject: Callable[[], float], yardstick: Callable[[], float], rounds: int
) -> tuple[list[float], list[float]]:
    """Measures both ``rounds`` times, in turns, after one of each that does not count.

    Each call returns its own measure, in seconds say.
    """
    subject()
    yardstick()
    pairs = [(subject(), yardstick()) for _ in range(rounds)]
    return [value for value, _ in pairs], [value for _, value in pairs]


def row(
    name: str,
    what: str,
    yardstick_name: str,
    values: list[float],
    yardsticks: list[float],
    *,
    unit: str = "s",
) -> Row:
    """A row of values where less is better; the ratio is yardstick to value, by rounds."""
    ratios = [yard / value for value, yard in zip(values, yardsticks, strict=True)]
    ratio = statistics.median(ratios)
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (ratio, ratio, ratio)
    return Row(
        name=name,
        what=what,
        unit=unit,
        value=statistics.median(values),
        yardstick_name=yardstick_name,
        yardstick=statistics.median(yardsticks),
        ratio=ratio,
        spread=(high - low) / 2 / ratio,
    )
