"""What lists call things, and their fields, read. Nothing that is said of a field quotes it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from hashmatch.errors import InvalidField
from hashmatch.model.exports import LEAST_QUALITY
from hashmatch.model.imports import ProblemCode
from hashmatch.model.verdicts import Kind
from hashmatch.model.views import VIEWS

__all__ = [
    "ENTRY_COLUMNS",
    "HASH_COLUMNS",
    "KINDS",
    "KIND_COLUMNS",
    "LABEL_COLUMNS",
    "LONGEST_MS",
    "REFERENCE_COLUMNS",
    "Bad",
    "Columns",
    "description_of",
    "kind_of",
    "label_of",
    "pts_ms_of",
    "quality_of",
    "reference_of",
    "text_of",
    "view_of",
]

_LONGEST_REFERENCE: Final = 256
_LONGEST_LABEL: Final = 64
# Times beyond are refused by `Signals` too: a hundred days.
LONGEST_MS: Final = 100 * 24 * 3600 * 1000

# What kinds are called: by us, by ThreatExchange (indicator types and signal types), by others.
KINDS: Final[Mapping[str, Kind]] = {
    "pdq": Kind.PDQ,
    "hash_pdq": Kind.PDQ,
    "pdq_hash": Kind.PDQ,
    "pdq_patch": Kind.PDQ_PATCH,
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
HASH_COLUMNS: Final = ("hash", "digest", "indicator", "value", "signal_value")
KIND_COLUMNS: Final = ("kind", "type", "signal_type", "hash_type")
REFERENCE_COLUMNS: Final = ("reference", "id", "content_id", "name")
LABEL_COLUMNS: Final = ("label", "labels", "tags")
ENTRY_COLUMNS: Final = ("entry_id",)


class Bad(Exception):
    """What is wrong with a line, in words that quote nothing of it."""

    def __init__(self, code: ProblemCode, problem: str) -> None:
        """``problem`` follows on "line 7: "."""
        super().__init__(problem)
        self.code = code


class Columns(NamedTuple):
    """Where the columns of a CSV are that mean something."""

    width: int
    hash: int | None
    kind: int | None
    of_kinds: Sequence[tuple[int, Kind]]
    quality: int | None
    reference: int | None
    label: int | None
    entry: int | None
    pts_ms: int | None
    view: int | None

    @classmethod
    def of(cls, header: Sequence[str]) -> Columns:
        """Of a header's cells. Raises `InvalidField` if it names no column of hashes."""
        names = [cell.strip().lower() for cell in header]
        if not {*names} & {*HASH_COLUMNS, *KINDS}:
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
            first(HASH_COLUMNS),
            first(KIND_COLUMNS),
            [(at, KINDS[name]) for at, name in enumerate(names) if name in KINDS],
            first(["quality"]),
            first(REFERENCE_COLUMNS),
            first(LABEL_COLUMNS),
            first(ENTRY_COLUMNS),
            first(["pts_ms"]),
            first(["frame_view"]),
        )


def kind_of(name: str) -> Kind:
    """A kind by one of its names. Raises `Bad`, as all of these do."""
    kind = KINDS.get(name.strip().lower())
    if kind is None:
        raise Bad(ProblemCode.KIND, "has a kind that is not known")
    return kind


def reference_of(text: str) -> str:
    """What somebody calls an entry."""
    return _fitting("reference", text.strip(), _LONGEST_REFERENCE)


def label_of(text: str) -> str:
    """What an entry is."""
    return _fitting("label", text.strip(), _LONGEST_LABEL)


def text_of(value: Any) -> str:
    """A value of JSON as a CSV would have it; empty if it would not."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return f"{value}"
    if isinstance(value, list):
        return " ".join(each for each in value if isinstance(each, str))
    return ""


def quality_of(text: str) -> int:
    """0 to 100, and enough to match by."""
    try:
        quality = int(text.strip())
    except ValueError:
        raise Bad(ProblemCode.QUALITY, "has a quality that is no whole number") from None
    if not 0 <= quality <= 100:
        raise Bad(ProblemCode.QUALITY, f"has a quality of {quality}; 0 to 100 are possible")
    if quality < LEAST_QUALITY:
        raise Bad(
            ProblemCode.QUALITY, f"has a quality of {quality}; below {LEAST_QUALITY} none matches"
        )
    return quality


def pts_ms_of(text: str) -> int:
    """The time of a frame, in ms."""
    try:
        pts_ms = int(text)
    except ValueError:
        raise Bad(ProblemCode.TIME, "has a time that is no whole number of milliseconds") from None
    if not -LONGEST_MS <= pts_ms <= LONGEST_MS:
        raise Bad(ProblemCode.TIME, "has a time that no video has")
    return pts_ms


def view_of(text: str) -> int:
    """The byte of a view by its name."""
    view = VIEWS.get(text.lower())
    if view is None:
        raise Bad(ProblemCode.VIEW, "has a view that is not known")
    return view


def description_of(text: str) -> str:
    """ThreatExchange's, if it can be a reference: others write there whatever they like."""
    return text if len(text) <= _LONGEST_REFERENCE and text.isprintable() else ""


def _fitting(what: str, text: str, longest: int) -> str:
    if len(text) > longest:
        raise Bad(
            ProblemCode.TEXT, f"has a {what} of {len(text)} characters, {longest} are allowed"
        )
    if not text.isprintable():
        raise Bad(ProblemCode.TEXT, f"has a {what} with a character that cannot be printed")
    return text
