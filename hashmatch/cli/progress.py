"""How far a command is, on stderr: on a terminal only, and only where it takes a while."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

__all__ = ["Progress", "Update"]

# Seconds without output after which a person wonders whether a command hangs (Nielsen, "Usability
# Engineering", 1993: one second is noticed, ten lose the reader).
LATE_SECONDS: Final = 2.0

# Gets how much is done, and of how much in all if that is known by now.
Update = Callable[[int, int | None], None]


class Progress:
    """The bars of one command. They appear once nothing was printed for ``late_seconds``, and go
    before anything is.
    """

    def __init__(self, console: Console, *, enabled: bool, late_seconds: float) -> None:
        """Without ``enabled``, or where ``console`` is no terminal, nothing is ever shown."""
        self._enabled = enabled and console.is_terminal
        self._late_seconds = late_seconds
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _Amount(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            # Whatever is printed meanwhile goes where the caller redirected it, not to the bars.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._lock = threading.Lock()
        self._printed_at = time.monotonic()
        self._is_shown = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @contextlib.contextmanager
    def running(self, what: str) -> Iterator[None]:
        """Shows ``what``, the command, unless a part of it is shown by `task`."""
        if self._enabled:
            self._thread.start()
        try:
            with self.task(what):
                yield
        finally:
            self._ended.set()
            if self._enabled:
                self._thread.join()
            self.hide()

    @contextlib.contextmanager
    def task(self, what: str, total: int = 0, *, in_bytes: bool = False) -> Iterator[Update]:
        """Shows one part of the work in place of what was shown before; ``total`` 0: not known."""
        above = [each.id for each in self._bars.tasks if each.visible]
        for each in above:
            self._bars.update(each, visible=False)
        task = self._bars.add_task(what, total=total or None, in_bytes=in_bytes)

        def update(done: int, of: int | None = None) -> None:
            self._bars.update(task, completed=done, total=of or total or None)

        try:
            yield update
        finally:
            self._bars.remove_task(task)
            for each in above:
                self._bars.update(each, visible=True)

    def hide(self) -> None:
        """Makes room for a line of output."""
        with self._lock:
            self._printed_at = time.monotonic()
            if self._is_shown:
                self._bars.stop()
                self._is_shown = False

    def _watch(self) -> None:
        left = self._late_seconds
        while not self._ended.wait(left):
            with self._lock:
                left = self._printed_at + self._late_seconds - time.monotonic()
                if left <= 0:
                    left = self._late_seconds
                    if not self._is_shown:
                        self._bars.start()
                        self._is_shown = True


class _Amount(ProgressColumn):
    """How much is done: a number of things or of MB; nothing where nobody counts."""

    def render(self, task: Task) -> Text:
        if not task.completed and task.total is None:
            return Text("")
        amounts = [task.completed] if task.total is None else [task.completed, task.total]
        if task.fields["in_bytes"]:
            return Text("/".join(f"{each / 1e6:.1f}" for each in amounts) + " MB")
        return Text("/".join(f"{int(each)}" for each in amounts))
