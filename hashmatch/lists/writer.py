"""Entries written as lists, such that `lists.reader` reads the same hashes again.

What a format has no place for is counted, never left out in silence:

============== ======== ====== ===== ======= =========================== ==========
format         entries  times  views quality reference, label            kinds
============== ======== ====== ===== ======= =========================== ==========
CSV, JSONL     whole    yes    yes   yes     yes, and the state          all
HASHES         apart    no     no    no      no                          one
VPDQ           whole    yes    no    yes     no; a file for each         PDQ
THREATEXCHANGE apart    no     no    no      yes: description and tag    PDQ, files
============== ======== ====== ===== ======= =========================== ==========

"Apart": each hash will be an entry of its own. Why entries are there, their notes and who made them
are nobody else's business, and in no list.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hashmatch.errors import InvalidField
from hashmatch.model.exports import BEST_QUALITY, ExportedEntry, Hash
from hashmatch.model.imports import Format
from hashmatch.model.records import Entry
from hashmatch.model.verdicts import EntryState, Kind
from hashmatch.model.views import FULL, VIEWS

__all__ = ["COLUMNS", "HOLDS", "ListWriter", "Tally"]

# Of CSV, and fields of JSON lines. Lines of one entry_id are one entry.
COLUMNS: Final = (
    "entry_id",
    "reference",
    "label",
    "state",
    "kind",
    "hash",
    "quality",
    "pts_ms",
    "frame_view",
)

# Indicator types of ThreatExchange.
_TYPES: Final[Mapping[Kind, str]] = {
    Kind.PDQ: "HASH_PDQ",
    Kind.SHA256: "HASH_SHA256",
    Kind.SHA1: "HASH_SHA1",
    Kind.MD5: "HASH_MD5",
}

# Which kinds each format has a place for.
HOLDS: Final[Mapping[Format, frozenset[Kind]]] = {
    Format.CSV: frozenset(Kind),
    Format.JSONL: frozenset(Kind),
    Format.HASHES: frozenset(Kind),
    Format.VPDQ: frozenset({Kind.PDQ}),
    Format.THREATEXCHANGE: frozenset(_TYPES),
}

_VIEW_NAMES: Final = {code: name for name, code in VIEWS.items()}
_WHOLE: Final = (Format.CSV, Format.JSONL)


@dataclass(slots=True)
class Tally:
    """What was written, and what was not.

    ``left_out``: ``flat`` hashes that match nothing, hashes of other ``kinds`` than the format
    holds, ``entries`` of which nothing was left. ``not_kept``: ``times``, ``views`` and
    ``qualities`` of so many hashes; ``names`` and ``states`` of so many entries; and that the
    hashes of so many ``entries`` belong together.
    """

    entries: int = 0
    hashes: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    not_kept: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As an object of JSON."""
        return dataclasses.asdict(self)


class ListWriter:
    """Writes one list, part by part: `begin`, `add` each part, `end`. Holds nothing."""

    def __init__(
        self, form: Format, kinds: Collection[Kind] = (), tally: Tally | None = None
    ) -> None:
        """``kinds``: those that are wanted, all that the format holds if empty. ``tally``: of what
        was written before. Raises `InvalidField` for kinds that the format does not hold.
        """
        other = sorted(set(kinds) - HOLDS[form])
        if other:
            raise InvalidField("kind", f"{form.name} has no place for {other[0].name}")
        if form is Format.HASHES and len(set(kinds)) != 1:
            raise InvalidField("kind", "a list of bare hashes has one kind; name it")
        self.kinds = frozenset(kinds) or HOLDS[form]
        self.tally = tally or Tally()
        self._form = form
        self._wanted = frozenset(kinds) or frozenset(Kind)
        self._written = 0  # Of the entry that is not ended yet.
        self._frame = 0
        self._pts_ms: int | None = None

    def begin(self) -> str:
        """What comes first."""
        if self._form is Format.CSV:
            return _csv([COLUMNS])
        return '{"data": [' if self._form is Format.THREATEXCHANGE else ""

    def add(self, part: ExportedEntry) -> str:
        """An entry, or the next part of it. Of `Format.VPDQ` each entry is a file of its own."""
        held = [each for each in part.hashes if each.kind in self.kinds]
        some = [each for each in held if not each.flat]
        text = self._writers[self._form](self, part.entry, some)
        _count(self.tally.left_out, "flat", len(held) - len(some))
        self._count_hashes(some)
        self._written += len(some)
        if not part.continues:
            self._count_entry(part.entry)
            self._written, self._frame, self._pts_ms = 0, 0, None
        return text

    def end(self) -> str:
        """What comes last."""
        return "\n]}\n" if self._form is Format.THREATEXCHANGE else ""

    # Formats

    def _of_csv(self, entry: Entry, some: Iterable[Hash]) -> str:
        return _csv(_cells(entry, each) for each in some)

    def _of_jsonl(self, entry: Entry, some: Iterable[Hash]) -> str:
        return "".join(
            f"{_json(dict(zip(COLUMNS, _cells(entry, each), strict=True)))}\n" for each in some
        )

    def _of_hashes(self, _: Entry, some: Iterable[Hash]) -> str:
        return "".join(f"{each.digest.hex()}\n" for each in some)

    def _of_vpdq(self, _: Entry, some: Iterable[Hash]) -> str:
        lines = []
        for each in some:
            # Which frames there were besides is not known: those that were hashed are counted.
            self._frame += self._pts_ms not in (None, each.pts_ms)
            self._pts_ms = each.pts_ms
            seconds = max(0, each.pts_ms) / 1000
            lines.append(f"{self._frame},{each.quality},{each.digest.hex()},{seconds:.3f}\n")
        return "".join(lines)

    def _of_threatexchange(self, entry: Entry, some: Iterable[Hash]) -> str:
        rows = []
        for number, each in enumerate(some):
            row = {
                "indicator": each.digest.hex(),
                "type": _TYPES[each.kind],
                "status": "MALICIOUS" if entry.state is EntryState.ACTIVE else "UNKNOWN",
                "description": entry.ref.reference,
                "tags": [entry.ref.label] if entry.ref.label else [],
                "creation_time": int(entry.create_time.timestamp()),
            }
            rows.append(f"{',' if number or self.tally.hashes else ''}\n{_json(row)}")
        return "".join(rows)

    _writers: Final[Mapping[Format, Callable[[ListWriter, Entry, Iterable[Hash]], str]]] = {
        Format.CSV: _of_csv,
        Format.JSONL: _of_jsonl,
        Format.HASHES: _of_hashes,
        Format.VPDQ: _of_vpdq,
        Format.THREATEXCHANGE: _of_threatexchange,
    }

    # What becomes of it

    def _count_hashes(self, some: Collection[Hash]) -> None:
        self.tally.hashes += len(some)
        if self._form in _WHOLE:
            return
        lost, timed = self.tally.not_kept, self._form is Format.VPDQ
        _count(lost, "times", sum(each.pts_ms < 0 if timed else each.pts_ms != 0 for each in some))
        _count(lost, "views", sum(each.view != FULL for each in some))
        if not timed:
            _count(lost, "qualities", sum(each.quality != BEST_QUALITY for each in some))

    def _count_entry(self, entry: Entry) -> None:
        tally, form = self.tally, self._form
        tally.entries += bool(self._written)
        _count(tally.left_out, "entries", not self._written)
        for each in entry.kinds:
            if each.kind in self._wanted - self.kinds:
                _count(tally.left_out, "kinds", each.count)
        if form in _WHOLE or not self._written:
            return
        if form is not Format.VPDQ:
            _count(tally.not_kept, "entries", self._written > 1)
        if form is not Format.THREATEXCHANGE:
            _count(tally.not_kept, "names", bool(entry.ref.reference or entry.ref.label))
        _count(tally.not_kept, "states", entry.state is not EntryState.ACTIVE)


def _count(counts: dict[str, int], name: str, more: int) -> None:
    if more:
        counts[name] = counts.get(name, 0) + more


def _cells(entry: Entry, each: Hash) -> tuple[str | int, ...]:
    return (
        entry.ref.entry_id,
        entry.ref.reference,
        entry.ref.label,
        entry.state.name.lower(),
        each.kind.name.lower(),
        each.digest.hex(),
        each.quality,
        each.pts_ms,
        _VIEW_NAMES[each.view],
    )


def _csv(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
