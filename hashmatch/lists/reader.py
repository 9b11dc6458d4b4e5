"""Lists of hashes, line by line: CSV, JSON lines, plain hashes, vPDQ's text, ThreatExchange's JSON.

A line that is broken is told and left out; it never stops the rest. What is told never quotes what
was read: it may be a hash.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from hashmatch.errors import InvalidField
from hashmatch.lists.fields import (
    ENTRY_COLUMNS,
    HASH_COLUMNS,
    KIND_COLUMNS,
    KINDS,
    LABEL_COLUMNS,
    LONGEST_MS,
    REFERENCE_COLUMNS,
    Bad,
    Columns,
    description_of,
    kind_of,
    label_of,
    pts_ms_of,
    quality_of,
    reference_of,
    text_of,
    view_of,
)
from hashmatch.model.exports import BEST_QUALITY, Hash
from hashmatch.model.imports import Format, ImportProblem, ProblemCode
from hashmatch.model.verdicts import Kind
from hashmatch.model.views import FULL

__all__ = ["Hash", "Item", "ListReader"]

_LONGEST_LINE: Final = 64 * 1024
_LONGEST_DOCUMENT: Final = 256 << 20
_MOST_FRAMES: Final = 1_000_000

_BY_DIGITS: Final = {16: Kind.PHASH, 32: Kind.MD5, 40: Kind.SHA1}
_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_VPDQ: Final = re.compile(rb"\s*\d+\s*,\s*\d+\s*,\s*[0-9a-fA-F]{20,}\s*,\s*[\d.eE+-]+\s*")


class Item(NamedTuple):
    """What an entry is made of, and the line it ends at.

    ``entry`` is what the list calls it: lines with the same one below each other are one entry.
    """

    line: int
    reference: str
    label: str
    hashes: Sequence[Hash]
    entry: str = ""


_Read = list[Item | ImportProblem]


class ListReader:
    """Reads one list, as its bytes come. Holds a line, or for ThreatExchange's JSON all of it."""

    def __init__(
        self, kinds: frozenset[Kind], form: Format | None = None, kind: Kind | None = None
    ) -> None:
        """``kinds`` are those that are wanted; ``form`` and ``kind``, where the list does not say
        them itself.
        """
        self.form = form
        self.lines = 0
        self._kinds = kinds
        self._kind = kind
        self._rest = b""
        self._skipping = False  # To the end of a line that is too long.
        self._columns: Columns | None = None
        self._frames: list[Hash] = []
        self._open: Item | None = None  # More of it may follow.
        self._document: list[bytes] = []
        self._document_bytes = 0

    def feed(self, data: bytes) -> _Read:
        """What more bytes say. Raises `InvalidField` if this is no list that is known."""
        parts = (self._rest + data).split(b"\n")
        self._rest = parts.pop()
        found: _Read = []
        for part in parts:
            self._line(part, found)
        if len(self._rest) > _LONGEST_LINE and self.form is not Format.THREATEXCHANGE:
            if not self._skipping:
                self.lines += 1
                found.append(self._too_long())
            self._skipping, self._rest = True, b""
        return found

    def finish(self) -> _Read:
        """What the end says. Raises as `feed`."""
        found: _Read = []
        if self._rest:
            self._line(self._rest, found)
        if self.form is Format.THREATEXCHANGE:
            self._of_document(found)
        if self._frames:
            found.append(Item(self.lines, "", "", self._frames))
        self._close(found)
        return found

    def _line(self, raw: bytes, found: _Read) -> None:
        if self._skipping:  # The end of what was told already.
            self._skipping = False
            return
        self.lines += 1
        if self.form is Format.THREATEXCHANGE:
            self._add_to_document(raw)
            return
        if len(raw) > _LONGEST_LINE:
            found.append(self._too_long())
            return
        if self.lines == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        text = raw.strip()
        if not text or text.startswith(b"#"):
            return
        if self.form is None:
            self.form = self._guessed(text)
            if self.form is Format.THREATEXCHANGE:
                self._add_to_document(raw)
                return
        try:
            if b"\0" in text:
                raise Bad(ProblemCode.NOT_TEXT, "has a zero character")
            read = self._readers[self.form](self, text.decode("utf-8"))
        except UnicodeDecodeError:
            found.append(ImportProblem(self.lines, ProblemCode.NOT_TEXT, "is not UTF-8"))
        except Bad as bad:
            found.append(ImportProblem(self.lines, bad.code, str(bad)))
        else:
            if read is not None:
                self._take(read, found)

    def _take(self, item: Item, found: _Read) -> None:
        """Alone, or with the lines before it that are of the same entry."""
        before = self._open
        if before is None and not item.entry:  # Most.
            found.append(item)
            return
        if before is None or not item.entry or before.entry != item.entry:
            self._close(found)
            if item.entry:
                self._open = item._replace(hashes=list(item.hashes))
            else:
                found.append(item)
            return
        if len(before.hashes) + len(item.hashes) > _MOST_FRAMES:
            problem = f"is beyond {_MOST_FRAMES} hashes of one entry"
            found.append(ImportProblem(item.line, ProblemCode.LINE_TOO_LONG, problem))
            return
        hashes = before.hashes
        assert isinstance(hashes, list)  # Made above.
        hashes += item.hashes
        self._open = Item(
            item.line,
            before.reference or item.reference,
            before.label or item.label,
            hashes,
            item.entry,
        )

    def _close(self, found: _Read) -> None:
        if self._open is not None:
            found.append(self._open)
            self._open = None

    def _too_long(self) -> ImportProblem:
        return ImportProblem(self.lines, ProblemCode.LINE_TOO_LONG, "has more than 65,536 bytes")

    def _guessed(self, first: bytes) -> Format:
        if first.startswith(b"["):
            return Format.THREATEXCHANGE
        if first.startswith(b"{"):
            try:
                value = json.loads(first)
            except ValueError:
                return Format.THREATEXCHANGE
            return Format.THREATEXCHANGE if "data" in value else Format.JSONL
        if _VPDQ.fullmatch(first):
            return Format.VPDQ
        names = {name.strip().strip('"').lower() for name in first.decode("latin-1").split(",")}
        if names & {*HASH_COLUMNS, *KINDS}:
            return Format.CSV
        if _HEX.fullmatch(first.decode("latin-1")):
            return Format.HASHES
        raise InvalidField(
            "format",
            "unknown format of list; known are CSV with a header, JSON lines, one hash on each "
            "line, vPDQ's text and ThreatExchange's JSON; name the format if it is one of them",
        )

    # Formats

    def _csv(self, text: str) -> Item | None:
        if '"' in text:
            try:
                (cells,) = csv.reader([text], strict=True)
            except (csv.Error, ValueError):
                raise Bad(ProblemCode.SYNTAX, "has a quote that is not closed") from None
        else:
            cells = text.split(",")
        columns = self._columns
        if columns is None:
            self._columns = Columns.of(cells)
            return None
        if len(cells) != columns.width:
            raise Bad(ProblemCode.COLUMNS, f"has {len(cells)} columns, {columns.width} needed")
        quality, pts_ms, view = BEST_QUALITY, 0, FULL
        if columns.quality is not None and (text := cells[columns.quality].strip()):
            quality = quality_of(text)
        if columns.pts_ms is not None and (text := cells[columns.pts_ms].strip()):
            pts_ms = pts_ms_of(text)
        if columns.view is not None and (text := cells[columns.view].strip()):
            view = view_of(text)
        hashes = []
        if columns.hash is not None and cells[columns.hash].strip():
            named = "" if columns.kind is None else cells[columns.kind].strip()
            kind = kind_of(named) if named else self._kind
            hashes.append(Hash(*self._digest(cells[columns.hash], kind), quality, pts_ms, view))
        for at, kind in columns.of_kinds:
            if text := cells[at].strip():
                hashes.append(Hash(*self._digest(text, kind), quality, pts_ms, view))
        if not hashes:
            raise Bad(ProblemCode.EMPTY, "has no hash")
        return Item(
            self.lines,
            "" if columns.reference is None else reference_of(cells[columns.reference]),
            "" if columns.label is None else label_of(cells[columns.label]),
            hashes,
            "" if columns.entry is None else cells[columns.entry].strip(),
        )

    def _jsonl(self, text: str) -> Item:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise Bad(ProblemCode.SYNTAX, "is no JSON") from None
        return self._of_value(value)

    def _hashes(self, text: str) -> Item:
        return Item(self.lines, "", "", [Hash(*self._digest(text, self._kind))])

    def _vpdq(self, text: str) -> None:
        cells = [cell.strip() for cell in text.split(",")]
        if len(cells) != 4:
            raise Bad(ProblemCode.COLUMNS, f"has {len(cells)} columns, 4 needed")
        _, quality, digest, seconds = cells
        kind, made = self._digest(digest, Kind.PDQ)
        try:
            pts_ms = round(float(seconds) * 1000)
        except (ValueError, OverflowError):
            raise Bad(ProblemCode.TIME, "has a time that is no number of seconds") from None
        if not 0 <= pts_ms <= LONGEST_MS:
            raise Bad(ProblemCode.TIME, "has a time that no video has")
        if len(self._frames) == _MOST_FRAMES:
            raise Bad(ProblemCode.LINE_TOO_LONG, f"is beyond {_MOST_FRAMES} frames of one video")
        self._frames.append(Hash(kind, made, quality_of(quality), pts_ms))

    _readers: Final[Mapping[Format, Callable[[ListReader, str], Item | None]]] = {
        Format.CSV: _csv,
        Format.JSONL: _jsonl,
        Format.HASHES: _hashes,
        Format.VPDQ: _vpdq,
    }

    def _add_to_document(self, raw: bytes) -> None:
        self._document_bytes += len(raw) + 1
        if self._document_bytes > _LONGEST_DOCUMENT:
            raise InvalidField("chunk", "a JSON document of more than 256 MiB; send JSON lines")
        self._document.append(raw)

    def _of_document(self, found: _Read) -> None:
        try:
            value = json.loads(b"\n".join(self._document))
        except (ValueError, RecursionError):
            raise InvalidField("chunk", "this is no JSON") from None
        rows = value.get("data") if isinstance(value, dict) else value
        if not isinstance(rows, list):
            raise InvalidField("chunk", "a JSON list, or an object with one as 'data', is needed")
        self._document = []
        for self.lines, row in enumerate(rows, 1):
            try:
                found.append(self._of_value(row))
            except Bad as bad:
                found.append(ImportProblem(self.lines, bad.code, str(bad)))

    # What lines have in common

    def _of_value(self, value: Any) -> Item:
        if not isinstance(value, dict):
            raise Bad(ProblemCode.SYNTAX, "is no JSON object")
        # ThreatExchange has what a row is about one level below.
        inner = value.get("indicator")
        if isinstance(inner, dict):
            value = {**value, **inner}
        said = {str(name).lower(): each for name, each in value.items()}
        return self._of_fields({name: text_of(each) for name, each in said.items()})

    def _of_fields(self, said: Mapping[str, str]) -> Item:
        quality, pts_ms, view = BEST_QUALITY, 0, FULL
        if text := said.get("quality", "").strip():
            quality = quality_of(text)
        if text := said.get("pts_ms", "").strip():
            pts_ms = pts_ms_of(text)
        if text := said.get("frame_view", "").strip():
            view = view_of(text)
        hashes = []
        one = next((said[name] for name in HASH_COLUMNS if said.get(name, "").strip()), None)
        if one is not None:
            named = next((said[name] for name in KIND_COLUMNS if said.get(name, "").strip()), "")
            kind = kind_of(named) if named else self._kind
            hashes.append(Hash(*self._digest(one, kind), quality, pts_ms, view))
        for name, kind in KINDS.items():
            if text := said.get(name, "").strip():
                hashes.append(Hash(*self._digest(text, kind), quality, pts_ms, view))
        if not hashes:
            raise Bad(ProblemCode.EMPTY, "has no hash")
        reference = next((said[name] for name in REFERENCE_COLUMNS if said.get(name)), "")
        reference = reference or description_of(said.get("description", ""))
        label = next((said[name] for name in LABEL_COLUMNS if said.get(name)), "")
        entry = next((said[name].strip() for name in ENTRY_COLUMNS if said.get(name)), "")
        return Item(self.lines, reference_of(reference), label_of(label), hashes, entry)

    def _digest(self, text: str, kind: Kind | None) -> tuple[Kind, bytes]:
        text = text.strip()
        digits = len(text)
        if kind is None:
            kind = _BY_DIGITS.get(digits)
            if kind is None:
                problem = (
                    "Ambiguous: add --kind pdq or --kind sha256"
                    if digits == 64
                    else f"has {digits} hex digits; no kind of hash has so many"
                )
                raise Bad(ProblemCode.LENGTH if digits != 64 else ProblemCode.KIND, problem)
        if digits != 2 * kind.width:
            raise Bad(
                ProblemCode.LENGTH,
                f"{kind.name} hash has {digits} hex digits, {2 * kind.width} needed",
            )
        if not _HEX.fullmatch(text):
            raise Bad(ProblemCode.HEX, f"{kind.name} hash contains a non-hex character")
        if kind not in self._kinds:
            raise Bad(ProblemCode.KIND, f"the bank does not use {kind.name}")
        made = bytes.fromhex(text)
        if made.count(made[0]) == len(made):
            raise Bad(
                ProblemCode.FLAT, f"{kind.name} digest is one byte over and over: of no picture"
            )
        return kind, made
