"""What a preview reads: hashes of what is previewed, and of all that it is compared with."""

from __future__ import annotations

import contextlib
import datetime
import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from hashmatch.errors import EntryNotFound, ImportNotFound
from hashmatch.model.imports import ImportState
from hashmatch.model.records import Bank
from hashmatch.model.signals import EntrySignals, Signals
from hashmatch.model.verdicts import Action, Kind, Verdict
from hashmatch.store.database import Store
from hashmatch.store.rows import (
    IN_USE,
    NOT_ENDED,
    open_bank,
    select_signals,
    signals_by_kind,
    to_bank,
    to_entry_signals,
    to_signals,
)
from hashmatch.store.tables import (
    banks,
    entries,
    entry_signals,
    imports,
    screening_signals,
    screenings,
)

__all__ = ["Candidate", "Of", "PreviewStore", "Previewed", "Seen"]


@dataclass(frozen=True, slots=True)
class Previewed:
    """An entry, or all entries of an import but those that are out of use by themselves; one of
    the two ids is empty.
    """

    entry_id: str = ""
    import_id: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is previewed: its bank with its number, how many entries, and their hashes, which are
    read as they are asked for.
    """

    bank_seq: int
    bank: Bank
    entries: int
    signals: Iterator[EntrySignals]


class Of(enum.Enum):
    """Whose hashes are meant."""

    SCREENING = enum.auto()
    ENTRY = enum.auto()


_OWN: Final = {
    Of.SCREENING: (screening_signals, screening_signals.c.screening_seq),
    Of.ENTRY: (entry_signals, entry_signals.c.entry_seq),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A screening, or an entry, that something is compared with. ``versions`` of its hashes; of an
    entry without: they are not kept. ``whole``: all of its media was looked at.
    """

    seq: int
    whole: bool
    versions: dict[Kind, str]
    screening_id: str = ""
    verdict: Verdict | None = None
    create_time: datetime.datetime | None = None
    sha256: bytes = b""


class PreviewStore(Store):
    """Methods block; each is one transaction, and none reads more than it is asked for."""

    def bank_of(self, previewed: Previewed) -> Bank:
        """Raises `EntryNotFound`, `ImportNotFound`, `BankArchived`."""
        with self._database.read() as connection:
            return to_bank(_bank(connection, previewed))

    @contextlib.contextmanager
    def candidate(self, previewed: Previewed) -> Iterator[Candidate]:
        """Raises as `bank_of`."""
        with self._database.read() as connection:
            bank = _bank(connection, previewed)
            which = _which(connection, previewed)
            count = connection.execute(sa.select(sa.func.count()).where(which)).scalar_one()
            with connection.execute(select_signals(which)) as rows:
                yield Candidate(bank.seq, to_bank(bank), count, signals_by_kind(rows))

    def newest_screenings(self, before: int, limit: int) -> list[Seen]:
        """Newest first; those before the one of number ``before``, 0 for the first."""
        query = sa.select(
            screenings.c.seq,
            screenings.c.screening_id,
            screenings.c.verdict,
            screenings.c.create_time,
            screenings.c.coverage,
            screenings.c.hash_versions,
            screenings.c.sha256,
        )
        if before:
            query = query.where(screenings.c.seq < before)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(screenings.c.seq.desc()).limit(limit)).all()
        return [
            Seen(
                row.seq,
                row.coverage.complete,
                row.hash_versions,
                row.screening_id,
                row.verdict,
                row.create_time,
                row.sha256,
            )
            for row in rows
        ]

    def benign(self, previewed: Previewed) -> list[int]:
        """The numbers of all active entries of active negative banks that are not previewed,
        rising: a million take a second and 40 MB.
        """
        with self._database.read() as connection:
            query = (
                sa.select(entries.c.seq)
                .join(banks, banks.c.seq == entries.c.bank_seq)
                .where(
                    banks.c.action == Action.OVERRULE,
                    IN_USE,
                    ~_which(connection, previewed),
                )
            )
            return sorted(connection.execute(query).scalars())

    def entries_of(self, seqs: Sequence[int]) -> list[Seen]:
        """Entries by their numbers, at most some thousand."""
        query = sa.select(entries.c.seq, entries.c.coverage).where(entries.c.seq.in_(seqs))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(entries.c.seq)).all()
        return [Seen(row.seq, row.coverage is None or row.coverage.complete, {}) for row in rows]

    def sizes(self, of: Of, seqs: Sequence[int]) -> dict[Kind, dict[int, int]]:
        """How many hashes of each kind each has, at most some thousand."""
        table, own = _OWN[of]
        query = sa.select(own, table.c.kind, sa.func.length(table.c.quality)).where(own.in_(seqs))
        found: dict[Kind, dict[int, int]] = {}
        with self._database.read() as connection:
            for seq, kind, count in connection.execute(query):
                found.setdefault(kind, {})[seq] = count
        return found

    def joined(self, of: Of, kind: Kind, seqs: Sequence[int]) -> list[EntrySignals]:
        """The hashes of a kind of several, at most some thousand; whose each is, says ``entry``."""
        table, own = _OWN[of]
        query = sa.select(
            sa.literal(0).label("bank_seq"),
            own.label("entry_seq"),
            table.c.kind,
            table.c.digests,
            table.c.quality,
            table.c.pts_ms,
        ).where(own.in_(seqs), table.c.kind == kind)
        with self._database.read() as connection:
            return to_entry_signals(connection.execute(query.order_by(own)))

    def signals(self, of: Of, seq: int) -> tuple[Signals, ...]:
        """All hashes of one."""
        table, own = _OWN[of]
        with self._database.read() as connection:
            rows = connection.execute(sa.select(table).where(own == seq).order_by(table.c.kind))
            return tuple(to_signals(row) for row in rows)


def _bank(connection: sa.Connection, previewed: Previewed) -> sa.Row[Any]:
    """Raises `EntryNotFound`, `ImportNotFound`, `BankArchived`."""
    table, column, wanted = (
        (entries, entries.c.entry_id, previewed.entry_id)
        if previewed.entry_id
        else (imports, imports.c.import_id, previewed.import_id)
    )
    query = sa.select(banks.c.bank_id).join(table, table.c.bank_seq == banks.c.seq)
    bank_id = connection.execute(query.where(column == wanted)).scalar()
    if bank_id is None and previewed.entry_id:
        raise EntryNotFound(f"entry_id: there is no entry {wanted!r}")
    if bank_id is None:
        raise ImportNotFound(f"import_id: there is no import {wanted!r}")
    return open_bank(connection, bank_id)


def _which(connection: sa.Connection, previewed: Previewed) -> sa.ColumnElement[bool]:
    """Which entries are previewed; true or false of each, never null."""
    if previewed.entry_id:
        return entries.c.entry_id == previewed.entry_id
    query = sa.select(imports.c.seq, imports.c.state)
    row = connection.execute(query.where(imports.c.import_id == previewed.import_id)).one()
    own = sa.and_(entries.c.import_seq.is_not(None), entries.c.import_seq == row.seq)
    if row.state is ImportState.WITHDRAWN:
        return own
    return sa.and_(own, entries.c.state.in_(NOT_ENDED))
