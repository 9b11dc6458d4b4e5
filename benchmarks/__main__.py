"""``make bench``: measures all rows, prints them and writes ``benchmarks/results/latest.json``."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks import hashing, service
from benchmarks.harness import Row

RESULTS: Final = Path(__file__).resolve().parent / "results"
_PACKAGES: Final = ("av", "grpcio", "hashmatch", "numba", "numpy", "pdqhash", "pillow")


def main() -> None:
    """Measures and reports."""
    console = Console(highlight=False)
    measured: list[Row] = []
    for module in (hashing, service):
        for each in module.rows():
            console.print(f"measured {each.name}: {each.ratio:.2f}", style="dim")
            measured.append(each)
    write(measured)
    table = Table("row", "value", "yardstick", "times", "spread", box=None, pad_edge=False)
    for each in measured:
        table.add_row(
            each.name,
            f"{each.value * 1000:.2f} ms",
            f"{each.yardstick * 1000:.2f} ms ({each.yardstick_name})",
            f"{each.ratio:.2f}",
            f"± {each.spread:.0%}",
        )
    console.print(table)
    console.print("times: how many times faster than the yardstick", style="dim")


def write(measured: list[Row]) -> None:
    """Writes the results with all that is needed to judge them later."""
    RESULTS.mkdir(exist_ok=True)
    result = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "rows": [asdict(each) for each in measured],
    }
    (RESULTS / "latest.json").write_text(json.dumps(result, indent=1) + "\n")


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


if __name__ == "__main__":
    main()
