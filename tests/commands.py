"""Runs ``hashmatch`` commands in this process: importing the program again for each command costs
half a second. What only a process of its own can show is tried in ``tests/test_streams.py``,
``tests/cli`` and ``tests/wheel.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from hashmatch import cli
from hashmatch.cli import output

__all__ = ["Done", "invoked", "run"]


@dataclass(frozen=True)
class Done:
    """The exit code of a command and its output."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects that it printed, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def object(self) -> dict[str, Any]:
        """The one JSON object that it printed."""
        [only] = self.objects
        return only

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The JSON objects of a list, without the token of the next page."""
        return [each for each in self.objects if "next_page_token" not in each]

    @property
    def token(self) -> str:
        """The token of the next page of a list; empty if there is none."""
        *_, last = [{}, *self.objects]
        return str(last.get("next_page_token", ""))


def invoked(
    arguments: Iterable[str | Path],
    variables: Mapping[str, str | None],
    *,
    stdin: bytes | None = None,
    columns: int = 80,
) -> Done:
    """Runs a command in a terminal of so many ``columns``. Raises an exception that would end the
    program with a traceback.
    """
    for console in (output.stdout, output.stderr):  # They read the width once, when they are made.
        console.width = columns
    environment = {"COLUMNS": f"{columns}", **variables}
    names = [str(each) for each in arguments]
    result = CliRunner().invoke(cli.app, names, input=stdin, env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def run(
    *arguments: str | Path,
    server: str = "",
    token: str = "",
    variables: Mapping[str, str] | None = None,
    code: int | None = 0,
) -> Done:
    """Runs a command in a terminal of 80 columns. Fails the test if the exit code is not ``code``
    (None: any) or if a line of text is wider than the terminal. Raises as `invoked`.
    """
    environment = {
        "HASHMATCH_SERVER": server or None,
        "HASHMATCH_TOKEN": token or None,
        **(variables or {}),
    }
    done = invoked(arguments, environment)
    assert code is None or done.code == code, done.out + done.err
    wide = [line for line in done.out.splitlines() if len(line) > 80]
    assert "--json" in arguments or not wide, done.out
    return done
