"""Lists of hashes, line by line: CSV, JSON lines, plain hashes, vPDQ's text, ThreatExchange's JSON.

A line that is broken is told and left out; it never stops the rest. What is told never quotes what
was read: it may be a hash.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from hashmatch.errors import InvalidField
from hashmatch.model.imports import Format, ImportProblem, ProblemCode
from hashmatch.model.verdicts import Kind

__all__ = ["Hash", "Item", "ListReader"]

_LONGEST_LINE: Final = 64 * 1024
_LONGEST_DOCUMENT: Final = 256 << 20
_LONGEST_REFERENCE: Final = 256
_LONGEST_LABEL: Final = 64
_MOST_FRAMES: Final = 1_000_000

# Lists without qualities are of hashes that were found good enough.
_GOOD: Final = 100
_LEAST_QUALITY: Final = 50

# What kinds are called: by us, by ThreatExchange (indicator types and signal types), by others.
_KINDS: Final[Mapping[str, Kind]] = {
    "pdq": Kind.PDQ,
    "hash_pdq": Kind.PDQ,
    "pdq_hash": Kind.PDQ,
    "phash": Kind.PHASH,
    "md5": Kind.MD5,
    "hash_md5": Kind.MD5,
    "video_md5": Kind.MD5,
    "hash_video_md5": Kind.MD5,
    "sha1": Kind.SHA1,
    "sha-1": Kind.SHA1,
    "hash_sha1": Kind.SHA1,
    "sha256": Kind.SHA256,
    "sha-256": Kind.SHA256,
    "hash_sha256": Kind.SHA256,
}
_BY_DIGITS: Final = {16: Kind.PHASH, 32: Kind.MD5, 40: Kind.SHA1}
_HASH_COLUMNS: Final = ("hash", "digest", "indicator", "value", "signal_value")
_KIND_COLUMNS: Final = ("kind", "type", "signal_type", "hash_type")
_REFERENCE_COLUMNS: Final = ("reference", "id", "content_id", "name")
_LABEL_COLUMNS: Final = ("label", "labels", "tags")

_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_VPDQ: Final = re.compile(rb"\s*\d+\s*,\s*\d+\s*,\s*[0-9a-fA-F]{20,}\s*,\s*[\d.eE+-]+\s*")


class Hash(NamedTuple):
    """One hash: ``quality`` 0 to 100, ``pts_ms`` of its frame."""

    kind: Kind
    digest: bytes
    quality: int = _GOOD
    pts_ms: int = 0


class Item(NamedTuple):
    """What an entry is made of, and the line it ends at."""

    line: int
    reference: str
    label: str
    hashes: Sequence[Hash]


class _Bad(Exception):
    def __init__(self, code: ProblemCode, problem: str) -> None:
        super().__init__(problem)
        self.code = code


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
        self._columns: _Columns | None = None
        self._frames: list[Hash] = []
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
                raise _Bad(ProblemCode.NOT_TEXT, "has a zero character")
            read = self._readers[self.form](self, text.decode("utf-8"))
        except UnicodeDecodeError:
            found.append(ImportProblem(self.lines, ProblemCode.NOT_TEXT, "is not UTF-8"))
        except _Bad as bad:
            found.append(ImportProblem(self.lines, bad.code, str(bad)))
        else:
            if read is not None:
                found.append(read)

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
        if names & {*_HASH_COLUMNS, *_KINDS}:
            return Format.CSV
        if _HEX.fullmatch(first.decode("latin-1")):
            return Format.HASHES
        raise InvalidField(
            "format",
            "this is no list that is known: CSV with a header, JSON lines, a hash on each line, "
            "vPDQ's text or ThreatExchange's JSON; if it is, say which",
        )

    # Formats

    def _csv(self, text: str) -> Item | None:
        if '"' in text:
            try:
                (cells,) = csv.reader([text], strict=True)
            except (csv.Error, ValueError):
                raise _Bad(ProblemCode.SYNTAX, "has a quote that is not closed") from None
        else:
            cells = text.split(",")
        columns = self._columns
        if columns is None:
            self._columns = _Columns.of(cells)
            return None
        if len(cells) != columns.width:
            raise _Bad(ProblemCode.COLUMNS, f"has {len(cells)} columns, {columns.width} needed")
        quality = _GOOD
        if columns.quality is not None and (text := cells[columns.quality].strip()):
            quality = _quality(text)
        hashes = []
        if columns.hash is not None and cells[columns.hash].strip():
            named = "" if columns.kind is None else cells[columns.kind].strip()
            kind = _kind(named) if named else self._kind
            hashes.append(Hash(*self._digest(cells[columns.hash], kind), quality))
        for at, kind in columns.of_kinds:
            if text := cells[at].strip():
                hashes.append(Hash(*self._digest(text, kind), quality))
        if not hashes:
            raise _Bad(ProblemCode.EMPTY, "has no hash")
        return Item(
            self.lines,
            "" if columns.reference is None else _reference(cells[columns.reference]),
            "" if columns.label is None else _label(cells[columns.label]),
            hashes,
        )

    def _jsonl(self, text: str) -> Item:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise _Bad(ProblemCode.SYNTAX, "is no JSON") from None
        return self._of_value(value)

    def _hashes(self, text: str) -> Item:
        return Item(self.lines, "", "", [Hash(*self._digest(text, self._kind))])

    def _vpdq(self, text: str) -> None:
        cells = [cell.strip() for cell in text.split(",")]
        if len(cells) != 4:
            raise _Bad(ProblemCode.COLUMNS, f"has {len(cells)} columns, 4 needed")
        _, quality, digest, seconds = cells
        kind, made = self._digest(digest, Kind.PDQ)
        try:
            pts_ms = round(float(seconds) * 1000)
        except (ValueError, OverflowError):
            raise _Bad(ProblemCode.TIME, "has a time that is no number of seconds") from None
        if not 0 <= pts_ms < 2**40:
            raise _Bad(ProblemCode.TIME, "has a time that no video has")
        if len(self._frames) == _MOST_FRAMES:
            raise _Bad(ProblemCode.LINE_TOO_LONG, f"is beyond {_MOST_FRAMES} frames of one video")
        self._frames.append(Hash(kind, made, _quality(quality), pts_ms))

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
            except _Bad as bad:
                found.append(ImportProblem(self.lines, bad.code, str(bad)))

    # What lines have in common

    def _of_value(self, value: Any) -> Item:
        if not isinstance(value, dict):
            raise _Bad(ProblemCode.SYNTAX, "is no JSON object")
        # ThreatExchange has what a row is about one level below.
        inner = value.get("indicator")
        if isinstance(inner, dict):
            value = {**value, **inner}
        said = {str(name).lower(): each for name, each in value.items()}
        return self._of_fields({name: _text(each) for name, each in said.items()})

    def _of_fields(self, said: Mapping[str, str]) -> Item:
        quality = _quality(said["quality"]) if said.get("quality", "").strip() else _GOOD
        hashes = []
        one = next((said[name] for name in _HASH_COLUMNS if said.get(name, "").strip()), None)
        if one is not None:
            named = next((said[name] for name in _KIND_COLUMNS if said.get(name, "").strip()), "")
            kind = _kind(named) if named else self._kind
            hashes.append(Hash(*self._digest(one, kind), quality))
        for name, kind in _KINDS.items():
            if text := said.get(name, "").strip():
                hashes.append(Hash(*self._digest(text, kind), quality))
        if not hashes:
            raise _Bad(ProblemCode.EMPTY, "has no hash")
        reference = next((said[name] for name in _REFERENCE_COLUMNS if said.get(name)), "")
        label = next((said[name] for name in _LABEL_COLUMNS if said.get(name)), "")
        return Item(self.lines, _reference(reference), _label(label), hashes)

    def _digest(self, text: str, kind: Kind | None) -> tuple[Kind, bytes]:
        text = text.strip()
        digits = len(text)
        if kind is None:
            kind = _BY_DIGITS.get(digits)
            if kind is None:
                problem = (
                    "may be PDQ or SHA256: say which"
                    if digits == 64
                    else f"has {digits} hex digits; no kind of hash has so many"
                )
                raise _Bad(ProblemCode.LENGTH if digits != 64 else ProblemCode.KIND, problem)
        if digits != 2 * kind.width:
            raise _Bad(
                ProblemCode.LENGTH,
                f"{kind.name} digest has {digits} hex digits, {2 * kind.width} needed",
            )
        if not _HEX.fullmatch(text):
            raise _Bad(ProblemCode.HEX, f"{kind.name} digest has what is no hex digit")
        if kind not in self._kinds:
            raise _Bad(ProblemCode.KIND, f"the bank does not use {kind.name}")
        made = bytes.fromhex(text)
        if made.count(made[0]) == len(made):
            raise _Bad(
                ProblemCode.FLAT, f"{kind.name} digest is one byte over and over: of no picture"
            )
        return kind, made


class _Columns(NamedTuple):
    """Where the columns of a CSV are that mean something."""

    width: int
    hash: int | None
    kind: int | None
    of_kinds: Sequence[tuple[int, Kind]]
    quality: int | None
    reference: int | None
    label: int | None

    @classmethod
    def of(cls, header: Sequence[str]) -> _Columns:
        names = [cell.strip().lower() for cell in header]
        if not {*names} & {*_HASH_COLUMNS, *_KINDS}:
            raise InvalidField(
                "chunk",
                "the CSV has no header that names a column of hashes: hash, pdq, md5 and so on",
            )
        if len({*names}) != len(names):
            raise InvalidField("chunk", "two columns of the CSV have one name")

        def first(wanted: Sequence[str]) -> int | None:
            return next((names.index(each) for each in wanted if each in names), None)

        return cls(
            len(names),
            first(_HASH_COLUMNS),
            first(_KIND_COLUMNS),
            [(at, _KINDS[name]) for at, name in enumerate(names) if name in _KINDS],
            first(["quality"]),
            first(_REFERENCE_COLUMNS),
            first(_LABEL_COLUMNS),
        )


def _kind(name: str) -> Kind:
    kind = _KINDS.get(name.strip().lower())
    if kind is None:
        raise _Bad(ProblemCode.KIND, "has a kind that is not known")
    return kind


def _reference(text: str) -> str:
    return _fitting("reference", text.strip(), _LONGEST_REFERENCE)


def _label(text: str) -> str:
    return _fitting("label", text.strip(), _LONGEST_LABEL)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return f"{value}"
    if isinstance(value, list):
        return " ".join(each for each in value if isinstance(each, str))
    return ""


def _quality(text: str) -> int:
    try:
        quality = int(text.strip())
    except ValueError:
        raise _Bad(ProblemCode.QUALITY, "has a quality that is no whole number") from None
    if not 0 <= quality <= 100:
        raise _Bad(ProblemCode.QUALITY, f"has a quality of {quality}; 0 to 100 are possible")
    if quality < _LEAST_QUALITY:
        raise _Bad(
            ProblemCode.QUALITY, f"has a quality of {quality}; below {_LEAST_QUALITY} none matches"
        )
    return quality


def _fitting(what: str, text: str, longest: int) -> str:
    if len(text) > longest:
        raise _Bad(
            ProblemCode.TEXT, f"has a {what} of {len(text)} characters, {longest} are allowed"
        )
    if not text.isprintable():
        raise _Bad(ProblemCode.TEXT, f"has a {what} with a character that cannot be printed")
    return text
