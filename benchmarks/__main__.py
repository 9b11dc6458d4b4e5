"""``make bench``, ``make bench-full`` and ``make bench-accept``."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks import hashing, recall, report, search, service
from benchmarks.baseline import accepted, compare
from benchmarks.harness import Row
from benchmarks.results import BASELINE, RESULTS, Result, measured_now, read, write

_README: Final = Path(__file__).resolve().parent.parent / "README.md"

console = Console(highlight=False)


def main() -> int:
    """The command; 0 unless a row is red."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="measure all, for longer")
    parser.add_argument("--only", nargs="+", metavar="GROUP", choices=list(_groups(False, {})))
    parser.add_argument("--accept", metavar="REASON", help="make the runs so far the baseline")
    arguments = parser.parse_args()
    if arguments.accept is not None:
        return _accept(arguments.accept)
    result = _measure(arguments.full, arguments.only)
    return _report(result, whole=arguments.only is None)


def _groups(full: bool, details: dict[str, Any]) -> dict[str, Iterator[Row]]:
    """Rows by group, measured when they are asked for; ``details`` takes what plots need."""
    return {
        "hashing": hashing.rows(),
        "search": search.rows(full),
        "recall": recall.rows(full, details),
        "service": service.rows(full),
    }


def _measure(full: bool, only: list[str] | None) -> Result:
    details: dict[str, Any] = {}
    measured: list[Row] = []
    began = time.monotonic()
    for group, rows in _groups(full, details).items():
        if only is not None and group not in only:
            continue
        for row in rows:
            elapsed = time.monotonic() - began
            console.print(f"{elapsed:5.0f} s  {row.name}: {row.ratio:.2f}", style="dim")
            measured.append(row)
    command = "make bench-full" if full else "make bench"
    return measured_now(measured, command, details)


def _report(result: Result, *, whole: bool) -> int:
    baseline = read(BASELINE).rows if BASELINE.exists() else ()
    findings = compare(result.rows, baseline, whole=whole and result.command == "make bench")
    write(result, RESULTS / "latest.json")
    if whole:
        write(result, RESULTS / "runs" / f"{result.time.replace(':', '')}.json")
    (RESULTS / "summary.md").write_text(report.summary(result, findings))
    (RESULTS / "history.json").write_text(report.history(result.rows))
    report.plots(result, baseline, RESULTS)
    console.print(report.table(result.rows, findings))
    red = [finding for finding in findings if finding.is_red]
    for finding in red:
        console.print(f"{finding.name}: {finding.state}, {finding.detail}", style="bold red")
    console.print(f"benchmarks/results: summary.md, latest.json, {len(result.rows)} rows")
    return 1 if red else 0


def _accept(reason: str) -> int:
    runs = [read(path) for path in sorted((RESULTS / "runs").glob("*.json"))]
    runs = [run for run in runs if runs[-1].commit == run.commit and run.command == "make bench"]
    if not runs:
        console.print("there is no run to accept; run 'make bench' first", style="bold red")
        return 1
    try:
        baseline = accepted(runs, reason)
    except ValueError as error:
        console.print(str(error), style="bold red")
        return 1
    write(baseline, BASELINE)
    before, rest = _README.read_text().split(report.README_MARKS[0])
    after = rest.split(report.README_MARKS[1])[1]
    section = f"\n\n{report.measured(baseline)}\n\n"
    _README.write_text(before + section.join(report.README_MARKS) + after)
    shutil.rmtree(RESULTS / "runs")
    console.print(f"accepted {len(runs)} runs; commit baseline.json and README.md with the reason")
    return 0


if __name__ == "__main__":
    sys.exit(main())
