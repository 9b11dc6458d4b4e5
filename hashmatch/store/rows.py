"""Queries of banks, entries and signals, and their rows as records."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from hashmatch.errors import BankArchived, BankNotFound, EntryNotPending, SecondPersonNeeded
from hashmatch.model.records import Bank, Entry, EntryRef, Page
from hashmatch.model.signals import EntrySignals, Signals
from hashmatch.model.verdicts import Activation, BankState, EntryState, Kind
from hashmatch.store.tables import banks, changes, entries, entry_signals

__all__ = [
    "AT_ONCE",
    "IN_USE",
    "NOT_ENDED",
    "ROWS_AT_ONCE",
    "check_approval",
    "find_bank",
    "key",
    "newest_revision",
    "open_bank",
    "page",
    "select_banks",
    "select_entries",
    "record",
    "select_signals",
    "signals_by_kind",
    "signals_values",
    "to_ref",
    "to_bank",
    "to_entry",
    "to_entry_signals",
    "to_signals",
]

T = TypeVar("T")

# Databases take a limited number of parameters in one query; SQLite 32,766.
AT_ONCE: Final = 1000

# Of entries' hashes, an entry and kind each, when all are read.
ROWS_AT_ONCE: Final = 5000

# Of entries that are joined with their banks: those that can match.
IN_USE: Final = sa.and_(entries.c.state == EntryState.ACTIVE, banks.c.state == BankState.ACTIVE)

# States of entries that may still match or come to match.
NOT_ENDED: Final = (EntryState.PENDING, EntryState.ACTIVE)

_ACTIVE_ENTRIES = (
    sa.select(sa.func.count())
    .where(entries.c.bank_seq == banks.c.seq, entries.c.state == EntryState.ACTIVE)
    .correlate(banks)
    .scalar_subquery()
    .label("active_entries")
)


def select_banks(*, counted: bool = True) -> sa.Select[Any]:
    """Banks, for `to_bank`; counting their active entries, which of a million takes a while."""
    return sa.select(banks, _ACTIVE_ENTRIES if counted else sa.literal(0).label("active_entries"))


def select_entries() -> sa.Select[Any]:
    """Entries with the names of their banks, for `to_entry`."""
    return sa.select(
        entries, banks.c.bank_id, banks.c.name.label("bank_name"), banks.c.label.label("bank_label")
    ).join(banks, banks.c.seq == entries.c.bank_seq)


def newest_revision(connection: sa.Connection) -> int:
    """0 before the first change."""
    return connection.execute(sa.select(sa.func.max(changes.c.revision))).scalar() or 0


def page(
    connection: sa.Connection,
    query: sa.Select[Any],
    seq: sa.ColumnElement[int],
    before: int,
    limit: int,
    parse: Callable[[sa.Row[Any]], T],
) -> Page[T]:
    """Newest first, by ``seq``; ``before`` is the token of the page before, 0 for the first."""
    query = query.order_by(seq.desc()).limit(limit + 1)
    if before:
        query = query.where(seq < before)
    rows = connection.execute(query).all()
    token = f"{rows[limit - 1].seq}" if len(rows) > limit else ""
    return Page(tuple(parse(row) for row in rows[:limit]), token)


def find_bank(connection: sa.Connection, bank: str, *, counted: bool = False) -> sa.Row[Any]:
    """A bank by id or name. Raises `BankNotFound`."""
    matching = sa.or_(banks.c.bank_id == bank, banks.c.name == bank)
    row = connection.execute(select_banks(counted=counted).where(matching)).first()
    if row is None:
        raise BankNotFound(f"bank: there is no bank {bank!r}")
    return row


def record(cls: type[T], row: sa.Row[Any], **other: object) -> T:
    """A record whose fields are columns of a row, but for ``other`` ones. Raises
    ``AttributeError`` if a field is neither.
    """
    names = (each.name for each in dataclasses.fields(cls) if each.name not in other)  # type: ignore[arg-type]
    return cls(**{name: getattr(row, name) for name in names}, **other)


def open_bank(connection: sa.Connection, bank: str) -> sa.Row[Any]:
    """One that takes entries, by id or name. Raises `BankNotFound`, `BankArchived`."""
    row = find_bank(connection, bank)
    if row.state is BankState.ARCHIVED:
        raise BankArchived(f"bank {row.name!r} is archived and takes no entries")
    return row


def check_approval(connection: sa.Connection, row: sa.Row[Any], actor: str, noun: str) -> None:
    """Of a row of an entry or an import (``noun``) with its ``bank_id``. Raises `EntryNotPending`,
    `SecondPersonNeeded`, `BankNotFound`, `BankArchived`.
    """
    if row.state.name != EntryState.PENDING.name:
        raise EntryNotPending(
            f"the {noun} is {row.state.name}; only one that is PENDING can be approved"
        )
    bank = open_bank(connection, row.bank_id)
    # Where nobody is asked who he is, nobody is a second person.
    if bank.activation is Activation.TWO_PERSON and row.proposed_by == actor:
        raise SecondPersonNeeded(f"who proposed an {noun} cannot approve it; another person has to")


def to_bank(row: sa.Row[Any]) -> Bank:
    """A row of `select_banks`."""
    return record(Bank, row)


def to_ref(row: sa.Row[Any]) -> EntryRef:
    """The names of a row of `select_entries`."""
    return record(EntryRef, row, label=row.label or row.bank_label)


def to_entry(row: sa.Row[Any]) -> Entry:
    """A row of `select_entries`."""
    return record(Entry, row, ref=to_ref(row))


def select_signals(which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The hashes of some entries in order, to be read in parts by `signals_by_kind`."""
    return (
        sa.select(entries.c.bank_seq, *entry_signals.c)
        .join(entry_signals, entry_signals.c.entry_seq == entries.c.seq)
        .where(which)
        .order_by(entries.c.seq)
        .execution_options(yield_per=ROWS_AT_ONCE)
    )


def signals_by_kind(rows: sa.CursorResult[Any]) -> Iterator[EntrySignals]:
    """Rows of `select_signals`, part by part."""
    return itertools.chain.from_iterable(map(to_entry_signals, rows.partitions()))


def to_signals(row: sa.Row[Any]) -> Signals:
    """A row of either table of signals."""
    return Signals.from_columns(row.kind, row.digests, row.quality, row.pts_ms, row.view)


def to_entry_signals(rows: Iterable[sa.Row[Any]]) -> list[EntrySignals]:
    """Rows of `entry_signals` with their ``bank_seq``, by kind."""
    by_kind: dict[Kind, list[sa.Row[Any]]] = {}
    for row in rows:
        by_kind.setdefault(row.kind, []).append(row)
    joined = []
    for kind, some in by_kind.items():
        counts = [len(row.quality) for row in some]
        joined.append(
            EntrySignals(
                kind,
                _joined(row.digests for row in some).reshape(-1, kind.width),
                _joined(row.quality for row in some),
                _joined(row.pts_ms for row in some).view("<i8").astype(np.int64, copy=False),
                np.repeat(np.array([row.entry_seq for row in some], np.int64), counts),
                np.repeat(np.array([row.bank_seq for row in some], np.int64), counts),
            )
        )
    return joined


def _joined(columns: Iterable[bytes]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(columns), np.uint8)


def signals_values(signals: Signals) -> dict[str, Any]:
    """The columns of a row of either table of signals."""
    digests, quality, pts_ms, view = signals.columns()
    return {
        "kind": signals.kind,
        "digests": digests,
        "quality": quality,
        "pts_ms": pts_ms,
        "view": view,
    }


def key(result: sa.CursorResult[Any]) -> int:
    """The sequence number of the row that was just inserted."""
    inserted = result.inserted_primary_key
    assert inserted is not None  # Every table here numbers its rows.
    return int(inserted[0])
