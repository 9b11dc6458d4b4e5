"""``make bench``, ``make bench-full`` and ``make bench-accept``."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks import recall, report, service
from benchmarks.again import confirmed
from benchmarks.baseline import Reference, accepted, compare, reference
from benchmarks.floors import FLOORS
from benchmarks.functions.suite import measure as functions
from benchmarks.harness import Row
from benchmarks.processor import of_this_machine
from benchmarks.results import BASELINES, RESULTS, Result, baselines, measured_now, read, write

_GROUPS: Final = ("functions", "recall", "service")
_README: Final = Path(__file__).resolve().parent.parent / "README.md"

console = Console(highlight=False)


def main() -> int:
    """The command; 0 unless a row is red."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="measure all, for longer")
    parser.add_argument("--only", nargs="+", metavar="GROUP", choices=_GROUPS)
    parser.add_argument("--accept", metavar="REASON", help="make the runs so far the baseline")
    arguments = parser.parse_args()
    if arguments.accept is not None:
        return _accept(arguments.accept)
    result = _measure(arguments.full, arguments.only)
    return _report(result, whole=arguments.only is None)


def _measure(full: bool, only: list[str] | None) -> Result:
    details: dict[str, Any] = {}
    rows: list[Row] = []
    tests: dict[str, str] = {}  # Which test of a function makes a row.
    began = time.monotonic()

    def tell(row: Row) -> None:
        elapsed = time.monotonic() - began
        console.print(f"{elapsed:5.0f} s  {row.name}: {row.ratio:.2f}", style="dim")
        rows.append(row)

    def again(names: Collection[str]) -> list[Row]:
        console.print(f"again, because short: {', '.join(names)}")
        rows.clear()
        if some := sorted({tests[name] for name in names if name in tests}):
            functions(tests=some, full=full, tell=tell)
        if any(name not in tests for name in names):
            for row in service.rows(full):
                tell(row)
        return list(rows)

    for group in only or _GROUPS:
        if group == "functions":
            for test, made in functions(full=full, tell=tell).items():
                tests |= {row.name: test for row in made}
        else:
            for row in recall.rows(full, details) if group == "recall" else service.rows(full):
                tell(row)
    command = "make bench-full" if full else "make bench"
    return measured_now(confirmed(tuple(rows), _reference(), again), command, details)


def _reference(processor: str = "") -> Reference:
    """What is known of a processor, by default of this machine's."""
    return reference(baselines(BASELINES), processor or of_this_machine().key, FLOORS)


def _report(result: Result, *, whole: bool) -> int:
    held = _reference()
    findings = compare(result.rows, held, whole=whole and result.command == "make bench")
    write(result, RESULTS / "latest.json")
    if whole:
        write(result, RESULTS / "runs" / f"{result.time.replace(':', '')}.json")
    (RESULTS / "summary.md").write_text(report.summary(result, findings, known=held.known))
    (RESULTS / "history.json").write_text(report.history(result.rows))
    report.plots(result, held.rows if held.known else (), RESULTS)
    console.print(report.table(result.rows, findings))
    if not held.known:
        console.print(report.unknown(result))
    measured, before = ({row.media for row in rows} - {""} for rows in (result.rows, held.rows))
    if whole and before and not measured & before:
        console.print("Other clips than the baseline's: set HASHMATCH_CORPUS to compare recall.")
    red = [finding for finding in findings if finding.is_red]
    for finding in red:
        console.print(f"{finding.name}: {finding.state}, {finding.detail}", style="bold red")
    console.print(f"benchmarks/results: summary.md, latest.json, {len(result.rows)} rows")
    return 1 if red else 0


def _accept(reason: str) -> int:
    runs = [read(path) for path in sorted((RESULTS / "runs").glob("*.json"))]
    runs = [run for run in runs if _are_alike(run, runs[-1]) and run.command == "make bench"]
    if not runs:
        console.print("there is no run to accept; run 'make bench' first", style="bold red")
        return 1
    held = _reference(runs[-1].machine["processor_key"])
    before = [row for row in held.rows if held.known or row.is_exact]
    try:
        baseline = accepted(runs, reason, before)
    except ValueError as error:
        console.print(str(error), style="bold red")
        return 1
    path = BASELINES / f"{baseline.machine['processor_key']}.json"
    write(baseline, path)
    text = _README.read_text()
    head, rest = text.split(report.README_MARKS[0])
    tail = rest.split(report.README_MARKS[1])[1]
    section = f"\n\n{report.measured(baseline)}\n\n"
    _README.write_text(head + section.join(report.README_MARKS) + tail)
    shutil.rmtree(RESULTS / "runs")
    console.print(f"accepted {len(runs)} runs; commit {path.name} and README.md with the reason")
    return 0


def _are_alike(one: Result, other: Result) -> bool:
    """Whether two runs are of one tree and one processor."""
    key = "processor_key"
    return one.commit == other.commit and one.machine.get(key) == other.machine.get(key)


if __name__ == "__main__":
    sys.exit(main())
