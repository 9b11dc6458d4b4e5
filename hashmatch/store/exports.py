"""Entries with their hashes, read block by block as they were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from hashmatch.errors import InvalidField
from hashmatch.model.exports import ExportQuery
from hashmatch.model.records import Entry
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind
from hashmatch.store.database import Store
from hashmatch.store.rows import find_bank, select_entries, to_entry, to_signals
from hashmatch.store.tables import entries, entry_signals

__all__ = ["Block", "ExportStore", "Place"]

# What is held in memory: so many entries with so many hashes, or one entry that has more.
_ENTRIES: Final = 1000
_HASHES: Final = 50_000


@dataclass(frozen=True, slots=True)
class Place:
    """How far an export has come: all entries up to the sequence number ``entry`` were told; of
    that one only so many ``hashes``, if there are any.
    """

    entry: int = 0
    hashes: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """Some entries in order, each with all hashes that were asked for; and how far they go, None
    if there are no more.
    """

    entries: Sequence[tuple[Entry, Sequence[Signals]]]
    end: Place | None


class ExportStore(Store):
    """Methods block; each is one transaction."""

    def place(self, bank_id: str, entry_id: str, hashes: int) -> Place:
        """After an entry of a bank, or so many of its hashes. Raises `InvalidField`."""
        with self._database.read() as connection:
            seq = connection.execute(
                sa.select(entries.c.seq).where(
                    entries.c.entry_id == entry_id,
                    entries.c.bank_seq == find_bank(connection, bank_id).seq,
                )
            ).scalar()
        if seq is None:
            raise InvalidField("resume_token", "is not of an export of this bank")
        return Place(seq, hashes)

    def read(self, bank_id: str, asked: ExportQuery, after: Place) -> Block:
        """The next entries."""
        which = entries.c.seq > after.entry
        if asked.state is not None:
            which &= entries.c.state == asked.state
        if asked.since_ms is not None:
            which &= entries.c.create_time >= asked.since_ms
        if after.hashes:  # What was begun is ended, whatever became of it meanwhile.
            which |= entries.c.seq == after.entry
        with self._database.read() as connection:
            bank = find_bank(connection, bank_id)
            query = select_entries().where(entries.c.bank_seq == bank.seq, which)
            rows = connection.execute(query.order_by(entries.c.seq).limit(_ENTRIES)).all()
            if not rows:
                return Block((), None)
            rows = _fitting(rows, asked.kinds)
            hashes = _signals(connection, [row.seq for row in rows], asked.kinds)
        return Block([(to_entry(row), hashes[row.seq]) for row in rows], Place(rows[-1].seq))


def _fitting(rows: Sequence[sa.Row[Any]], kinds: frozenset[Kind]) -> Sequence[sa.Row[Any]]:
    """The first of them whose hashes of these kinds fit into a block; the first in any case."""
    held = 0
    for number, row in enumerate(rows):
        held += sum(each.count for each in row.kinds if not kinds or each.kind in kinds)
        if number and held > _HASHES:
            return rows[:number]
    return rows


def _signals(
    connection: sa.Connection, seqs: Sequence[int], kinds: frozenset[Kind]
) -> dict[int, list[Signals]]:
    query = sa.select(entry_signals).where(entry_signals.c.entry_seq.in_(seqs))
    if kinds:
        query = query.where(entry_signals.c.kind.in_(sorted(kinds)))
    found: dict[int, list[Signals]] = {seq: [] for seq in seqs}
    ordered = query.order_by(entry_signals.c.entry_seq, entry_signals.c.kind)
    for row in connection.execute(ordered):
        found[row.entry_seq].append(to_signals(row))
    return found
