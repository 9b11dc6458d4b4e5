"""Results as files: what was measured, when, on what machine, with which versions."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import Row
from benchmarks.processor import of_this_machine

__all__ = ["BASELINES", "RESULTS", "Result", "baselines", "measured_now", "read", "write"]

RESULTS: Final = Path(__file__).resolve().parent / "results"
# One of each processor, by its key.
BASELINES: Final = Path(__file__).resolve().parent / "baselines"
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
    processor = of_this_machine()
    return Result(
        time=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=_commit(),
        command=command,
        machine={
            "processor": processor.described,
            "processor_key": processor.key,
            "cores": processor.cores,
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


def baselines(folder: Path) -> list[Result]:
    """The baselines of all processors that a folder has, the newest last."""
    return sorted((read(path) for path in folder.glob("*.json")), key=lambda each: each.time)


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip()
