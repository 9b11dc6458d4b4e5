"""Holds a run against the accepted one."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from benchmarks.floors import Floor
from benchmarks.harness import Row
from benchmarks.results import Result

__all__ = ["Finding", "Reference", "accepted", "compare", "reference"]

# What a ratio may lose beyond both runs' own spread. Two runs of one tree on one noisy machine
# differ by more than the noise within either says, because the noise itself changes.
_DRIFT: Final = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """How a row stands to the baseline: ``state`` is ok, short, fault, new or missing; or floor,
    where the processor has no baseline and the row reaches its floor.
    """

    name: str
    state: str
    detail: str

    @property
    def is_red(self) -> bool:
        """True if the run fails because of it."""
        return self.state in ("short", "fault", "missing")


@dataclass(frozen=True, slots=True)
class Reference:
    """What a run is held against. ``rows`` are of the same processor, or of any other if it is not
    ``known``: then they say which rows there are, and what those must be that depend on media
    alone; the others are held against their ``floors`` only. Of a known processor both count.
    """

    rows: Sequence[Row]
    known: bool = True
    floors: Mapping[str, Floor] = field(default_factory=dict)


def reference(
    baselines: Sequence[Result], processor: str, floors: Mapping[str, Floor]
) -> Reference:
    """What a run on a processor, given by its key, is held against. ``baselines``: the newest
    last.
    """
    newest_first = sorted(baselines, key=lambda each: each.time, reverse=True)
    own = [each for each in newest_first if each.machine.get("processor_key") == processor]
    rows = {row.key: row for row in (own or newest_first)[0].rows} if newest_first else {}
    for other in newest_first:
        for row in other.rows:
            if row.is_exact:
                rows.setdefault(row.key, row)
    return Reference(tuple(rows.values()), bool(own), floors)


def compare(
    rows: Sequence[Row], baseline: Reference | Sequence[Row], *, whole: bool = True
) -> list[Finding]:
    """One finding a row. Rows instead of a `Reference`: of the same processor, without floors.

    ``whole``: rows that the baseline has and the run has not are missing, else left out. Rows of
    media that this run did not see at all are left out in any case.
    """
    held = baseline if isinstance(baseline, Reference) else Reference(baseline)
    before = {row.key: row for row in held.rows}
    findings = [_judge(row, before.get(row.key), held) for row in rows]
    if whole:
        seen = {row.media for row in rows} | {""}
        gone = before.keys() - {row.key for row in rows}
        findings += [
            Finding(name, "missing", "was measured before")
            for name, media in sorted(gone)
            if media in seen
        ]
    return findings


def _judge(row: Row, before: Row | None, held: Reference) -> Finding:
    if row.fault:
        return Finding(row.name, "fault", row.fault)
    best_case = row.ratio * (1 + row.spread)
    floor = None if row.is_exact else held.floors.get(row.name)
    if floor is not None and best_case < floor.ratio:
        detail = f"{row.ratio:.2f}, the floor is {floor.ratio:g} ({floor.source})"
        return Finding(row.name, "short", detail)
    if not held.known and not row.is_exact:
        if floor is None:
            return Finding(row.name, "new", f"{row.ratio:.2f}, no baseline and no floor")
        return Finding(row.name, "floor", f"{row.ratio:.2f}, the floor is {floor.ratio:g}")
    if before is None:
        return Finding(row.name, "new", f"{row.ratio:.2f}, no baseline yet")
    least = before.ratio * (1 - before.spread) * (1 - _DRIFT)
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
