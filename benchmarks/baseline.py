"""Holds a run against the accepted one."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.harness import Row
from benchmarks.results import Result

__all__ = ["Finding", "accepted", "compare"]

# What a ratio may lose beyond both runs' own spread. Two runs of one tree on one noisy machine
# differ by more than the noise within either says, because the noise itself changes.
_DRIFT: Final = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """How a row stands to the baseline: ``state`` is ok, short, fault, new or missing."""

    name: str
    state: str
    detail: str

    @property
    def is_red(self) -> bool:
        """True if the run fails because of it."""
        return self.state in ("short", "fault", "missing")


def compare(rows: Sequence[Row], baseline: Sequence[Row], *, whole: bool = True) -> list[Finding]:
    """One finding a row.

    ``whole``: rows that the baseline has and the run has not are missing, else left out. Rows of
    media that this run did not see at all are left out in any case.
    """
    before = {row.key: row for row in baseline}
    findings = [_judge(row, before.get(row.key)) for row in rows]
    if whole:
        seen = {row.media for row in rows} | {""}
        gone = before.keys() - {row.key for row in rows}
        findings += [
            Finding(name, "missing", "was measured before")
            for name, media in sorted(gone)
            if media in seen
        ]
    return findings


def _judge(row: Row, before: Row | None) -> Finding:
    if row.fault:
        return Finding(row.name, "fault", row.fault)
    if before is None:
        return Finding(row.name, "new", f"{row.ratio:.2f}, no baseline yet")
    least = before.ratio * (1 - before.spread) * (1 - _DRIFT)
    best_case = row.ratio * (1 + row.spread)
    detail = f"{before.ratio:.2f} -> {row.ratio:.2f}"
    if before.ratio:
        detail += f" ({row.ratio / before.ratio - 1:+.0%})"
    return Finding(row.name, "short" if best_case < least else "ok", detail)


def accepted(runs: Sequence[Result], reason: str, before: Sequence[Row] = ()) -> Result:
    """A baseline out of runs of one tree, the newest last.

    A row's figures are the medians of all runs, its spread the largest of what each run saw within
    itself and half the range between them. Rows of the baseline ``before`` that depend on media
    that none of the runs saw are kept. Raises ``ValueError`` without a reason, or if a row has a
    fault.
    """
    if not reason.strip():
        raise ValueError("a baseline needs a reason: what changed, and why it is right")
    # What the newest run measured comes first, and is what the README shows.
    by_key: dict[tuple[str, str], list[Row]] = {row.key: [] for row in runs[-1].rows}
    for run in runs:
        for row in run.rows:
            by_key.setdefault(row.key, []).append(row)
    seen = {media for _, media in by_key} | {""}
    rows = [_merged(same) for same in by_key.values()]
    rows += [row for row in before if row.media not in seen]
    return replace(runs[-1], rows=tuple(rows), reason=reason)


def _merged(same: Sequence[Row]) -> Row:
    newest = same[-1]
    if faults := [row.fault for row in same if row.fault]:
        raise ValueError(f"{newest.name}: {faults[0]}; a baseline has no faults")
    ratios = [row.ratio for row in same]
    middle = statistics.median(ratios)
    between = (max(ratios) - min(ratios)) / 2 / middle if middle else 0.0
    return replace(
        newest,
        value=statistics.median(row.value for row in same),
        yardstick=statistics.median(row.yardstick for row in same),
        ratio=middle,
        spread=max(between, *(row.spread for row in same)),
    )
