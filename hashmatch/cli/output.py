"""What commands print: JSON for machines, text that fits 80 columns for people."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from hashmatch.client import Cursor
from hashmatch.errors import HashmatchError
from hashmatch.model.records import NOT_KNOWN_MS, Coverage, Evidence, Screening, Segment
from hashmatch.model.verdicts import Turn, Verdict

__all__ = [
    "VERDICT_STYLES",
    "Context",
    "counting",
    "describe",
    "failed",
    "listed",
    "message_json",
    "more",
    "plain",
    "print_json",
    "print_screening",
    "progress_bar",
    "promised",
    "stderr",
    "stdout",
    "table",
    "upload_progress",
    "waiting",
]

T = TypeVar("T")

_LATE_SECONDS = 2.0

# Names, labels and subjects come from outside: nothing in a text is markup, or stands for an emoji.
stdout = Console(highlight=False, markup=False, emoji=False)
stderr = Console(stderr=True, highlight=False, markup=False, emoji=False)

VERDICT_STYLES = {
    Verdict.NO_MATCH: "green",
    Verdict.REVIEW: "yellow",
    Verdict.INCONCLUSIVE: "magenta",
    Verdict.BLOCK: "bold red",
}


@dataclass(slots=True)
class Context:
    """What holds for every command."""

    server: str | None = None
    json: bool = False

    def merged(self, server: str | None, as_json: bool) -> Context:
        """With the options of one command, which go before those given ahead of it."""
        return Context(server or self.server, as_json or self.json)


def message_json(message: Message) -> dict[str, Any]:
    """A message as protobuf JSON, with fields that are empty."""
    return MessageToDict(message, always_print_fields_with_no_presence=True)


def print_json(value: dict[str, Any]) -> None:
    """One object on one line, in ASCII: a text from outside could steer a terminal, and a file's
    name need not be Unicode.
    """
    typer.echo(json.dumps(value))
    sys.stdout.flush()


def plain(text: str) -> str:
    """A text from outside without what could steer a terminal."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def failed(error: Exception, context: Context, **about: str) -> None:
    """Prints an error: what was wrong, and its reason for programs. ``about`` says of what."""
    reason = error.reason if isinstance(error, HashmatchError) else "FILE_UNREADABLE"
    message = str(error) if isinstance(error, HashmatchError) else _os_error(error)
    if context.json:
        print_json({**about, "error": {"reason": reason, "message": message}})
        return
    line = Text("error: ", style="bold red")
    for value in about.values():
        line.append(f"{plain(value)}: ", style="bold")
    line.append(f"{plain(message)} ({reason})", style="default")
    stderr.print(line)


def _os_error(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def listed(items: Iterable[T], what: str, cursor: Cursor, context: Context) -> Iterator[T]:
    """The items of a list that ``cursor`` pages, counted where it takes a while; then tells how to
    get the rest, if there is one.
    """
    with counting(what, cursor.limit, quiet=context.json and sys.stdout.isatty()) as count:
        for number, item in enumerate(items, 1):
            yield item
            count(number)
    more(context, after=cursor.token)


def more(context: Context, **tokens: str) -> None:
    """Tells by which option the rest of a list is got, if there is one; beside the list itself."""
    for option, token in tokens.items():
        if token and context.json:
            typer.echo(json.dumps({"more": {option: token}}), err=True)
        elif token:
            stderr.print(f"there may be more: --{option} {token}", style="dim", soft_wrap=True)


class _PlainTable(Table):
    """A table whose cells may come from outside."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """A row; texts are shown as they are, without what could steer a terminal."""
        shown = (Text(plain(each)) if isinstance(each, str) else each for each in cells)
        super().add_row(*shown, **options)


def table(*columns: str) -> Table:
    """An empty table in the style of all of them."""
    made = _PlainTable(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=place == 0)  # Ids are copied whole.
    return made


def print_details(details: Iterable[tuple[str, str]]) -> None:
    """One thing for people: names and values, which are shown as they are; not those that are
    empty.
    """
    rows = table("", "")
    for name, value in details:
        if value:
            rows.add_row(name, plain(value))
    stdout.print(rows)


def print_screening(name: str, screening: Screening) -> None:
    """A screening for people: the verdict, why, and which seconds show which."""
    line = Text(plain(name), style="bold")
    line.append(f"  {screening.verdict.name}", style=VERDICT_STYLES[screening.verdict])
    took = "" if screening.evidence_withheld else f"  {screening.elapsed_ms / 1000:.2f} s"
    line.append(f"{took}  {screening.screening_id}", style="dim")
    stdout.print(line)
    for reason in screening.reasons:
        stdout.print(Text(f"  {reason.code.name}: {plain(reason.detail)}"))
    for evidence in screening.evidence:
        stdout.print(Text(f"  - {describe(evidence)}"))
    for evidence in screening.unacted:
        why = evidence.effect.name.lower()
        stdout.print(Text(f"  - without effect ({why}): {describe(evidence)}"), style="dim")


def promised(coverage: Coverage) -> dict[str, str]:
    """What coverage promises, in words by a name for each."""
    unseen_ms, miss = coverage.longest_unseen_ms, coverage.miss_per_million
    if not coverage.complete or unseen_ms == NOT_KNOWN_MS:
        return {"promised": "nothing is known of what lies between the frames"}
    return {
        "seen": f"{coverage.seen_permille / 10:.1f} % of the running time",
        "unseen": f"at most {unseen_ms / 1000:.2f} s in one piece",
        "missed": f"a tenth of the running time: at most {miss} times in a million",
    }


def describe(evidence: Evidence) -> str:
    """Evidence in words."""
    where = plain(
        f"{evidence.entry.reference or evidence.entry.entry_id} ({evidence.entry.bank_name})"
    )
    if evidence.kind.exact:
        return f"the very file of {where}, by {evidence.kind.name}"
    turned = (
        "" if evidence.turn is Turn.NONE else f", {evidence.turn.name.lower().replace('_', ' ')}"
    )
    stretches = "; ".join(_stretch(each) for each in evidence.segments)
    score = "" if evidence.score is None else f", score {evidence.score}"
    return (
        f"{stretches} of {where}, by {evidence.kind.name} at "
        f"{evidence.distance} of {evidence.threshold} bits{score}{turned}"
    )


def _stretch(segment: Segment) -> str:
    media = _range(segment.media_start_ms, segment.media_end_ms)
    return f"{media} shows {_range(segment.entry_start_ms, segment.entry_end_ms)}"


def _range(start_ms: int, end_ms: int) -> str:
    start = f"{start_ms / 1000:.1f}"
    return f"{start} s" if start_ms == end_ms else f"{start}-{end_ms / 1000:.1f} s"


@contextlib.contextmanager
def progress_bar(total: int, what: str) -> Iterator[Any]:
    """A bar over a number of things, on a terminal only; gives a function that advances it."""
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal or total < 2,
    ) as progress:
        task = progress.add_task(what, total=total)
        yield lambda: progress.advance(task)


@contextlib.contextmanager
def counting(what: str, total: int = 0, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Counts things of a ``total``, 0 if it is not known, on a terminal only; gives a function that
    is told how many there are.
    """
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=stderr,
        transient=True,
        disable=quiet or not stderr.is_terminal,
    ) as progress:
        task = progress.add_task(what, total=total or None)
        yield lambda number: progress.update(task, completed=number)


@contextlib.contextmanager
def upload_progress(what: str) -> Iterator[Any]:
    """A bar over the bytes of one upload, on a terminal only; gives what a client takes."""
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TaskProgressColumn(),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    ) as progress:
        task = progress.add_task(plain(what))
        yield lambda sent, total: progress.update(task, completed=sent, total=total or None)


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Says that something goes on, on a terminal only, once it has taken two seconds."""
    status = stderr.status(Text(what))
    late = threading.Timer(_LATE_SECONDS, status.start)
    if stderr.is_terminal:
        late.start()
    try:
        yield
    finally:
        late.cancel()
        if stderr.is_terminal:
            late.join()
        status.stop()
