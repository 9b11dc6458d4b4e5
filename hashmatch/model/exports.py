"""Exports: entries with their hashes, as they are handed on to others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from hashmatch.model.records import Entry
from hashmatch.model.verdicts import EntryState, Kind
from hashmatch.model.views import FULL

__all__ = ["BEST_QUALITY", "LEAST_QUALITY", "ExportQuery", "ExportedEntry", "Hash"]

# Of hashes whose quality nobody said: they were found good enough.
BEST_QUALITY: Final = 100

# Hashes of frames below this match nothing; see `engine.index.live`.
LEAST_QUALITY: Final = 50


class Hash(NamedTuple):
    """One hash: ``quality`` 0 to 100, ``pts_ms`` of its frame, ``view`` as
    `model.views.view_code` makes it.
    """

    kind: Kind
    digest: bytes
    quality: int = BEST_QUALITY
    pts_ms: int = 0
    view: int = FULL

    @property
    def flat(self) -> bool:
        """True if it can match nothing: its frame has too little structure."""
        return not self.kind.exact and self.quality < LEAST_QUALITY


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """Which entries of a bank, and which of their hashes; entries may have none of these. Empty and
    None stand for all; ``since_ms`` is in milliseconds of Unix time.
    """

    state: EntryState | None = None
    kinds: frozenset[Kind] = frozenset()
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ExportedEntry:
    """An entry and some of its hashes; if it ``continues``, the next one has more of the same
    entry. To go on after it, give ``resume_token``.
    """

    entry: Entry
    hashes: Sequence[Hash]
    continues: bool
    resume_token: str
