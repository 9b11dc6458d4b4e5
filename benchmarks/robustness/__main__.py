"""``python -m benchmarks.robustness``: measures, prints a table, and writes JSON if told where."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.robustness.dataset import SEED, build
from benchmarks.robustness.evaluate import Recall, Report, evaluate
from hashmatch.model.records import DEFAULT_THRESHOLDS
from hashmatch.model.verdicts import Kind

__all__ = ["main", "measure", "show", "to_json"]

_PROCESSES: Final = 2
_THRESHOLD: Final = DEFAULT_THRESHOLDS[Kind.PDQ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="What is found after an attack, and what is not.")
    parser.add_argument(
        "--fraction", type=float, default=1.0, help="part of the cases, above 0 and up to 1"
    )
    parser.add_argument("--out", type=Path, help="a folder for robustness.json")
    arguments = parser.parse_args()
    if not 0 < arguments.fraction <= 1:
        parser.error("--fraction is above 0 and up to 1")
    report = measure(arguments.fraction)
    show(report, Console(highlight=False))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        result = {"fraction": arguments.fraction, "seed": SEED, **to_json(report)}
        (arguments.out / "robustness.json").write_text(json.dumps(result, indent=1) + "\n")


def measure(fraction: float) -> Report:
    """Builds the set, and evaluates a part of its cases; shows on stderr how far it is.

    Real clips are taken from the folder that HASHMATCH_CORPUS names.
    """
    folder = os.environ.get("HASHMATCH_CORPUS")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    # Not forked: this process may have threads by now.
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(_PROCESSES, context) as pool,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        task = progress.add_task("prepare clips", total=None)
        dataset = build(pool, Path(folder) if folder else None)
        cases = dataset.cases(fraction)
        progress.update(task, total=len(dataset.clips), completed=len(dataset.clips))
        task = progress.add_task("screen uploads", total=len(cases))
        return evaluate(
            dataset, cases, pool, tell=lambda done: progress.update(task, completed=done)
        )


def show(report: Report, console: Console) -> None:
    """Prints a report; it fits 80 columns."""
    console.print(_table(report))
    for line in _summary(report):
        console.print(line)


def to_json(report: Report) -> dict[str, Any]:
    """All of a report, and how many of ten million digests a clean frame is near by chance."""
    return {
        **asdict(report),
        "chance_of_10_million_digests": {
            threshold: report.chance.expected(threshold) for threshold in (_THRESHOLD, 47, 63, 79)
        },
    }


def _table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("attack")
    for name in ("n", "ours", "block", "vPDQ any", "80 % q", "80 % r"):
        table.add_column(name, justify="right")
    for recall in (*report.by_attack, report.overall):
        table.add_row(recall.attack, f"{recall.cases}", *_percents(recall))
    return table


def _percents(recall: Recall) -> list[str]:
    counts = (
        recall.ours,
        recall.blocked,
        recall.vpdq_any,
        recall.vpdq_query,
        recall.vpdq_reference,
    )
    return [f"{count / max(1, recall.cases):.0%}" for count in counts]


def _summary(report: Report) -> list[str]:
    chance, clean = report.chance, report.clean_uploads
    bound = "at most " if chance.is_bound(_THRESHOLD) else ""
    return [
        "",
        "found by " + ", and ".join(f"{step} {part:.0%}" for step, part in report.steps.items()),
        "milliseconds of a processor for a frame, "
        + ", ".join(f"{step} {cost:.2f}" for step, cost in report.costs.items()),
        f"of the others INCONCLUSIVE, so not passed: {report.inconclusive}",
        f"found with the wrong entry first: {report.wrong_first}",
        f"clean uploads accused: {clean.blocked} of {clean.cases}, held for review: "
        f"{clean.ours - clean.blocked} "
        f"(vPDQ: any {clean.vpdq_any}, 80 % q {clean.vpdq_query}, 80 % r {clean.vpdq_reference})",
        f"clean frames x entry hashes: {chance.frames} x {chance.digests}, "
        f"the nearest {chance.nearest} bits apart",
        f"among 10 million hashes a clean frame would match {bound}"
        f"{chance.expected(_THRESHOLD):.2g} at {_THRESHOLD} bits",
    ]


if __name__ == "__main__":
    main()
