"""Entries go out with their hashes: in parts of a bounded size, and on from where it broke off."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hashmatch.errors import InvalidField, PermissionDenied
from hashmatch.model.call import Call
from hashmatch.model.exports import ExportQuery
from hashmatch.model.records import Entry
from hashmatch.model.signals import Signals
from hashmatch.store.audit import Audit
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.exports import Block, ExportStore, Place

__all__ = ["EntryPart", "Exports"]

# What is told at once: less than two megabytes, however long the notes.
_ENTRIES: Final = 100
_HASHES: Final = 8192

_TOKEN: Final = re.compile(r"(ent_[0-9a-z]{26})(?:\.([1-9][0-9]{0,9}))?")


@dataclass(frozen=True, slots=True)
class EntryPart:
    """An entry and some of its hashes; if it ``continues``, more of them come next. The export goes
    on after this part with ``resume_token``.
    """

    entry: Entry
    signals: Sequence[Signals]
    continues: bool
    resume_token: str


class Exports:
    """One per server."""

    def __init__(self, store: ExportStore, blocklist: BlocklistStore, audit: Audit) -> None:
        """All of one database; ``audit`` is its trail."""
        self._store = store
        self._blocklist = blocklist
        self._audit = audit

    async def read(
        self, call: Call, bank: str, asked: ExportQuery, resume_token: str = ""
    ) -> AsyncGenerator[Sequence[EntryPart]]:
        """The entries of a bank in the order in which they were made. A reader that is slow costs
        no more than a block of them.

        Raises `BankNotFound`, `PermissionDenied`, `InvalidField` for a token of something else,
        `StoreUnavailable`.
        """
        found = await asyncio.to_thread(self._blocklist.get_bank, bank)
        if not call.caller.may_touch(found.bank_id, found.name):
            raise PermissionDenied
        place, begun = Place(), ""
        if resume_token:
            begun, hashes = _said(resume_token)
            place = await asyncio.to_thread(self._store.place, found.bank_id, begun, hashes)
        if call.caller.caller_id:
            details = {
                "bank": found.name,
                "state": asked.state.name if asked.state else "",
                "kinds": [kind.name for kind in sorted(asked.kinds)],
                "since_ms": asked.since_ms,
                "after": resume_token,
            }
            await asyncio.to_thread(
                self._audit.note, "entries_exported", found.bank_id, details, call.caller.caller_id
            )
        while True:
            block = await asyncio.to_thread(self._store.read, found.bank_id, asked, place)
            for parts in _together(_parts(block, begun, place.hashes)):
                yield parts
            if block.end is None:
                return
            place = block.end


def _said(token: str) -> tuple[str, int]:
    said = _TOKEN.fullmatch(token)
    if said is None:
        raise InvalidField("resume_token", "is not one that this server gave")
    return said[1], int(said[2] or 0)


def _parts(block: Block, begun: str, hashes: int) -> Iterator[EntryPart]:
    """Of the entry ``begun`` without those ``hashes`` that were told before."""
    for entry, signals in block.entries:
        entry_id = entry.ref.entry_id
        told = hashes if entry_id == begun else 0
        total = sum(map(len, signals))
        # Told also where it has none, or all of them were told.
        for start in range(told, max(total, told + 1), _HASHES):
            end = min(start + _HASHES, total)
            continues = end < total
            token = f"{entry_id}.{end}" if continues else entry_id
            yield EntryPart(entry, list(_slice(signals, start, end)), continues, token)


def _slice(signals: Sequence[Signals], start: int, end: int) -> Iterator[Signals]:
    """Hashes by their number in the entry."""
    first = 0
    for each in signals:
        low, high = max(start - first, 0), min(end - first, len(each))
        if low < high:  # Of most entries that is all: nothing is copied, or checked again.
            yield each if high - low == len(each) else each.select(np.arange(low, high))
        first += len(each)


def _together(parts: Iterator[EntryPart]) -> Iterator[Sequence[EntryPart]]:
    some: list[EntryPart] = []
    held = 0
    for part in parts:
        count = sum(map(len, part.signals))
        if some and (len(some) == _ENTRIES or held + count > _HASHES):
            yield some
            some, held = [], 0
        some.append(part)
        held += count
    if some:
        yield some
