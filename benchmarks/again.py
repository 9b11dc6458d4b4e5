"""Measures again what seems to have got worse."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

from benchmarks.baseline import Reference, compare
from benchmarks.harness import Row

__all__ = ["confirmed"]

# What another tenant of the machine does to one run lies outside the noise within it; what got
# slower is slow in every run.
_RUNS: Final = 3


def confirmed(
    rows: Sequence[Row],
    baseline: Reference | Sequence[Row],
    again: Callable[[Collection[str]], Sequence[Row]],
) -> tuple[Row, ...]:
    """``rows``, where each that falls short of ``baseline`` is the best of up to three runs.

    ``again`` measures the rows of such names, and may give others too, which are left out. A fault
    is never measured away, and what depends on media alone is the same every time. A row says in
    ``more["measured"]`` how often it was measured, if more than once.
    """
    best = {row.key: row for row in rows}
    for number in range(2, _RUNS + 1):
        short = {finding.name for finding in compare(rows, baseline, whole=False) if finding.is_red}
        names = [
            row.name for row in rows if row.name in short and not row.fault and not row.is_exact
        ]
        if not names:
            break
        for row in again(names):
            if row.name in names:
                better = max(best[row.key], row, key=lambda each: (bool(each.fault), each.ratio))
                more = {**better.more, "measured": float(number)}
                best[row.key] = replace(better, more=more)
        rows = tuple(best.values())
    return tuple(rows)
