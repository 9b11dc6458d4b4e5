"""Results as files: what was measured, when, on what machine, with which versions."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import Row

__all__ = ["BASELINE", "RESULTS", "Result", "measured_now", "read", "write"]

RESULTS: Final = Path(__file__).resolve().parent / "results"
BASELINE: Final = Path(__file__).resolve().parent / "baseline.json"
_PACKAGES: Final = ("av", "faiss-cpu", "grpcio", "hashmatch", "numba", "numpy", "pdqhash", "pillow")


@dataclass(frozen=True, slots=True)
class Result:
    """One run of the benchmarks. ``reason`` says why it became the baseline, if it did."""

    time: str
    commit: str
    command: str
    machine: dict[str, Any]
    versions: dict[str, str]
    rows: tuple[Row, ...]
    details: dict[str, Any]  # What plots need beyond the rows, by the name of the plot.
    reason: str = ""


def measured_now(rows: Sequence[Row], command: str, details: dict[str, Any]) -> Result:
    """A result of this moment, tree and machine."""
    return Result(
        time=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=_commit(),
        command=command,
        machine={
            "processor": _processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        versions={name: importlib.metadata.version(name) for name in _PACKAGES},
        rows=tuple(rows),
        details=details,
    )


def write(result: Result, path: Path) -> None:
    """As JSON, for people to diff too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(result), indent=1) + "\n")


def read(path: Path) -> Result:
    """From `write`. Raises ``OSError`` if there is no such file, ``TypeError`` if it is foreign."""
    fields = json.loads(path.read_text())
    fields["rows"] = tuple(Row(**row) for row in fields["rows"])
    return Result(**fields)


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip()


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1) if found else platform.machine()
