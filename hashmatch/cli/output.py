"""What commands print: JSON lines for programs, text that fits 80 columns for people.

A command says both; `Output` prints the one that was asked for. Texts come from outside (labels,
references, file names, names of callers): each is shown as it is, never as markup, and whatever
could steer a terminal is replaced.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hashmatch.cli import progress
from hashmatch.client import Cursor
from hashmatch.errors import HashmatchError

__all__ = ["Output", "Part", "View", "message_json", "plain", "stderr", "stdout"]

T = TypeVar("T")

# A piece of a line: a text, or a text and its style.
Part = str | tuple[str, str]

stdout = Console(highlight=False, markup=False, emoji=False)
stderr = Console(stderr=True, highlight=False, markup=False, emoji=False)


def message_json(message: Message) -> dict[str, Any]:
    """A message as protobuf JSON: fields as they are named in the protos, empty ones too."""
    return MessageToDict(
        message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True
    )


def plain(text: str) -> str:
    """``text`` with U+FFFD in place of each character that cannot be seen: those of control,
    of the direction of text, of surrogates.
    """
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


@dataclass(frozen=True)
class View(Generic[T]):
    """How records of one type are shown.

    ``name`` is the key of the record in JSON, and ``json`` makes its value. ``columns`` make the
    cells of its row by their headings; columns in ``whole`` (ids, instants) are never folded.
    ``details`` give it by names and values, of which empty values are left out; ``notes`` are
    lines on stderr below the table.
    """

    name: str
    json: Callable[[T], dict[str, Any]]
    columns: Mapping[str, Callable[[T], str]]
    whole: Collection[str] = ()
    details: Callable[[T], Mapping[str, str]] = field(default=lambda _: {})
    notes: Callable[[T], Iterable[tuple[Part, ...]]] = field(default=lambda _: ())


class Output:
    """The output of one command. ``code`` is its exit code so far."""

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        """``quiet``: without progress; JSON is without it too."""
        self.json = as_json
        self.code = 0
        self.is_beside = False  # Where stdout is a list, JSON goes to stderr.
        self.progress = progress.Progress(
            stderr, enabled=not (as_json or quiet), late_seconds=progress.LATE_SECONDS
        )

    def write(self, value: Mapping[str, Any]) -> None:
        """With ``--json``: one object on one line, in ASCII, as a file's name need not be
        Unicode.
        """
        if self.json:
            stream = sys.stderr if self.is_beside else sys.stdout
            stream.write(f"{json.dumps(value)}\n")
            stream.flush()

    def say(self, *parts: Part, style: str = "", wrap: bool = True) -> None:
        """For people: a line, folded at the width of the terminal unless it is to be copied."""
        self._print(stdout, *parts, style=style, wrap=wrap)

    def note(self, *parts: Part, style: str = "", wrap: bool = True) -> None:
        """For people: a line on stderr, beside the answer."""
        self._print(stderr, *parts, style=style, wrap=wrap)

    def _print(self, console: Console, *parts: Part, style: str, wrap: bool) -> None:
        if not self.json:
            self.progress.hide()
            console.print(_text(parts), style=style or None, soft_wrap=not wrap)

    def table(
        self, columns: Iterable[str], rows: Iterable[Iterable[str]], whole: Collection[str] = ()
    ) -> None:
        """For people: a table, whose cells are folded but for those of the columns in ``whole``."""
        if self.json:
            return
        made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        made.show_header = any(columns)
        for column in columns:
            made.add_column(column, overflow="fold", no_wrap=column in whole)
        for row in rows:
            made.add_row(*(Text(plain(cell)) for cell in row))
        self.progress.hide()
        stdout.print(made)

    def details(self, values: Mapping[str, str]) -> None:
        """For people: names and values, without values that are empty."""
        if shown := [(name, value) for name, value in values.items() if value]:
            self.table(("", ""), shown)

    def row(self, view: View[T], record: T) -> None:
        """One record, in a table for people."""
        self.rows(view, [record])

    def rows(self, view: View[T], records: Iterable[T], cursor: Cursor | None = None) -> None:
        """Records as they come, in one table for people. ``cursor`` pages the list: if there is
        more of it, the token of the next page comes last.
        """
        shown = []
        with self.progress.task(view.name, cursor.limit if cursor else 0) as update:
            for number, record in enumerate(records, 1):
                self.write({view.name: view.json(record)})
                shown.append(record)
                update(number, None)
        cells = ([cell(record) for cell in view.columns.values()] for record in shown)
        self.table(view.columns, cells, view.whole)
        for note in (note for record in shown for note in view.notes(record)):
            self.note(*note)
        if cursor is not None:
            self.more(cursor.token)

    def record(self, view: View[T], record: T) -> None:
        """One record with all that is known of it."""
        self.write({view.name: view.json(record)})
        self.details(view.details(record))
        for note in view.notes(record):
            self.note(*note)

    def more(self, token: str, option: str = "--after") -> None:
        """Says by which token and option the rest of a list is asked for, if there is one."""
        if token:
            self.write({"next_page_token": token})
            self.note(f"there may be more: {option} {token}", style="dim", wrap=False)

    def failed(self, error: Exception, **about: str) -> None:
        """Prints an error: what was wrong, and its reason for programs; the exit code becomes 1.
        ``about`` says of what, as the ``file``.
        """
        self.code = 1
        reason = error.reason if isinstance(error, HashmatchError) else "FILE_UNREADABLE"
        message = (error.strerror if isinstance(error, OSError) else "") or str(error)
        self.write({**about, "error": {"reason": reason, "message": message}})
        names = ((f"{value}: ", "bold") for value in about.values())
        self.note(("error: ", "bold red"), *names, f"{message} ({reason})")

    def counted(self, items: Collection[T], what: str) -> Iterator[T]:
        """Goes through ``items``, and shows how many are done."""
        with self.progress.task(what, len(items)) as update:
            for number, item in enumerate(items):
                update(number, None)
                yield item


def _text(parts: Iterable[Part]) -> Text:
    line = Text()
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        line.append(plain(text), style or None)
    return line
