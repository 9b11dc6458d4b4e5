"""What an entry or an import would have done, told before it does."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from hashmatch.model.records import EntryRef, Evidence
from hashmatch.model.verdicts import Kind, Verdict

__all__ = ["Preview", "PreviewTally", "PreviewedBenign", "PreviewedScreening"]


@dataclass(frozen=True, slots=True)
class PreviewTally:
    """How many screenings, or benign entries, were compared with what is previewed, and what it
    would lead to by itself.

    Each is in one of ``compared``, ``partly_compared`` (not by every kind, or not looked at as a
    whole) and ``not_compared`` (by no kind); ``missing`` says for each kind how many lack it. What
    was matched is in one of ``would_block``, ``would_review`` and ``without_effect``. Of
    screenings: ``newly_held`` would be blocked or held for review and are NO_MATCH so far;
    ``newly_passed`` are held so far and would not be, where a negative bank is previewed.
    """

    compared: int = 0
    partly_compared: int = 0
    not_compared: int = 0
    missing: Mapping[Kind, int] = field(default_factory=dict)
    would_block: int = 0
    would_review: int = 0
    without_effect: int = 0
    newly_held: int = 0
    newly_passed: int = 0


@dataclass(frozen=True, slots=True)
class PreviewedScreening:
    """One screening that would have been matched: its newest ``verdict``, and what this alone would
    have made of it; NO_MATCH: nothing.
    """

    screening_id: str
    verdict: Verdict
    create_time: datetime.datetime
    would_be: Verdict
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class PreviewedBenign:
    """One benign entry that would have been matched, had it been an upload."""

    entry: EntryRef
    would_be: Verdict
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What ``entries`` of one bank would have done by ``kinds``, as if the bank were live on all
    uploads. Samples are the surest of what was matched, surest first.
    """

    entries: int
    kinds: tuple[Kind, ...]
    revision: int
    screenings: PreviewTally
    benign: PreviewTally
    screening_samples: tuple[PreviewedScreening, ...] = ()
    benign_samples: tuple[PreviewedBenign, ...] = ()
