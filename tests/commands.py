"""Runs ``hashmatch`` commands in this process: importing the program again for each command costs
half a second. What only a process of its own can show is tried in ``tests/test_streams.py``,
``tests/cli`` and ``tests/wheel.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from hashmatch import cli
from hashmatch.cli import output

__all__ = ["Done", "run"]


@dataclass(frozen=True)
class Done:
    """The exit code of a command and its output."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """The JSON object that it printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found


def run(
    *arguments: str | Path,
    server: str = "",
    token: str = "",
    variables: Mapping[str, str] | None = None,
    code: int | None = 0,
) -> Done:
    """Runs a command in a terminal of 80 columns. Fails the test if the exit code is not ``code``
    (None: any) or if a line of text is wider than the terminal. Raises an exception that would end
    the program with a traceback.
    """
    environment = {
        "HASHMATCH_SERVER": server or None,
        "HASHMATCH_TOKEN": token or None,
        "COLUMNS": "80",
        **(variables or {}),
    }
    for console in (output.stdout, output.stderr):  # They read the width once, when they are made.
        console.width = 80
    result = CliRunner().invoke(cli.app, [str(each) for each in arguments], env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    done = Done(result.exit_code, result.stdout, result.stderr)
    assert code is None or done.code == code, done.out + done.err
    wide = [line for line in done.out.splitlines() if len(line) > 80]
    assert "--json" in arguments or not wide, done.out
    return done
