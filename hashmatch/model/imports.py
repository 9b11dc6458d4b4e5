"""Imports: many entries of one list, and what was wrong with its lines."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass

from hashmatch.model.records import Provenance

__all__ = ["Format", "Import", "ImportProblem", "ImportState", "ProblemCode"]


class Format(enum.IntEnum):
    """How a list is written."""

    CSV = 1
    JSONL = 2
    HASHES = 3
    VPDQ = 4
    THREATEXCHANGE = 5


class ImportState(enum.IntEnum):
    """Where an import stands."""

    UNFINISHED = 1
    PENDING = 2
    ACTIVE = 3
    WITHDRAWN = 4


class ProblemCode(enum.IntEnum):
    """What is wrong with a line."""

    SYNTAX = 1
    NOT_TEXT = 2
    LINE_TOO_LONG = 3
    COLUMNS = 4
    EMPTY = 5
    KIND = 6
    LENGTH = 7
    HEX = 8
    FLAT = 9
    QUALITY = 10
    TIME = 11
    TEXT = 12
    VIEW = 13


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """One line that was left out, and why: without what it says."""

    line: int
    code: ProblemCode
    problem: str


@dataclass(frozen=True, slots=True)
class Import:
    """One list that was imported, with all entries that came of it.

    ``lines`` were read: of them ``created`` became entries, ``known`` had one already,
    ``withdrawn_before`` had one that was withdrawn and stays so, ``broken`` were left out; empty
    ones and headers are in none. ``problems`` tells up to 100,000 of the broken.
    """

    import_id: str
    bank_id: str
    bank_name: str
    state: ImportState
    format: Format | None
    lines: int
    created: int
    known: int
    withdrawn_before: int
    broken: int
    provenance: Provenance
    proposed_by: str
    approved_by: str
    revision: int
    create_time: datetime.datetime
    update_time: datetime.datetime
    dry_run: bool = False
    problems: tuple[ImportProblem, ...] = ()
