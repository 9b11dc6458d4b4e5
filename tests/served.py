"""Starts ``hashmatch serve`` by a fork of a process that has imported it: importing it again costs
two seconds of a processor for each server. That process is `multiprocessing`'s.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

__all__ = ["forked"]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.preloaded", "tests.served"])


@contextlib.contextmanager
def forked(
    arguments: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[tuple[int, IO[str]]]:
    """Runs the ``hashmatch`` command: the number of its process, and its standard output. Its
    standard error is added to ``log``. Ends it by SIGTERM.
    """
    ours, theirs = _context.Pipe(duplex=False)
    process = _context.Process(target=_run, args=(arguments, dict(environment), log, theirs))
    process.start()
    theirs.close()
    with ours, open(ours.fileno(), closefd=False) as output:
        try:
            assert process.pid is not None
            yield process.pid, output
        finally:
            process.terminate()
            process.join(60)
            assert process.exitcode is not None, "the server does not stop"
            process.close()


def _run(
    arguments: Sequence[str], environment: Mapping[str, str], log: Path, output: Connection
) -> None:
    """What the process does."""
    from hashmatch import cli

    os.dup2(output.fileno(), 1)
    output.close()
    with log.open("a") as errors:
        os.dup2(errors.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["hashmatch", *arguments]
    cli.main()
