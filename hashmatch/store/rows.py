"""Queries of banks, entries and signals, and their rows as records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from hashmatch.errors import BankNotFound
from hashmatch.model.records import Bank, Entry, EntryRef, Page
from hashmatch.model.signals import EntrySignals, Signals
from hashmatch.model.verdicts import Action, Activation, BankState, EntryState, Kind
from hashmatch.store import codec
from hashmatch.store.tables import banks, changes, entries

__all__ = [
    "AT_ONCE",
    "IN_USE",
    "find_bank",
    "key",
    "newest_revision",
    "page",
    "select_banks",
    "select_entries",
    "signals_values",
    "thresholds_json",
    "to_bank",
    "to_entry",
    "to_entry_signals",
    "to_signals",
]

T = TypeVar("T")

# Databases take a limited number of parameters in one query; SQLite 32,766.
AT_ONCE: Final = 1000

# Of entries that are joined with their banks: those that can match.
IN_USE: Final = sa.and_(entries.c.state == EntryState.ACTIVE, banks.c.state == BankState.ACTIVE)

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


def to_bank(row: sa.Row[Any]) -> Bank:
    """A row of `select_banks`."""
    return Bank(
        bank_id=row.bank_id,
        name=row.name,
        label=row.label,
        action=Action(row.action),
        thresholds={Kind(int(kind)): most for kind, most in row.thresholds.items()},
        state=BankState(row.state),
        revision=row.revision,
        create_time=codec.from_ms(row.create_ms),
        update_time=codec.from_ms(row.update_ms),
        active_entries=row.active_entries,
        activation=Activation(row.activation),
        policy=codec.parse_policy(row.policy),
    )


def to_entry(row: sa.Row[Any]) -> Entry:
    """A row of `select_entries`."""
    return Entry(
        ref=EntryRef(
            entry_id=row.entry_id,
            reference=row.reference,
            label=row.label or row.bank_label,
            bank_id=row.bank_id,
            bank_name=row.bank_name,
        ),
        state=EntryState(row.state),
        kinds=codec.parse_kinds(row.kinds),
        coverage=None if row.coverage is None else codec.parse_coverage(row.coverage),
        reasons=codec.parse_reasons(row.coverage_reasons),
        duration_ms=row.duration_ms,
        revision=row.revision,
        create_time=codec.from_ms(row.create_ms),
        update_time=codec.from_ms(row.update_ms),
        provenance=codec.parse_provenance(row.provenance),
        proposed_by=row.proposed_by,
        approved_by=row.approved_by,
        expire_time=None if row.expire_ms is None else codec.from_ms(row.expire_ms),
        quarantine_time=(None if row.quarantine_ms is None else codec.from_ms(row.quarantine_ms)),
    )


def to_signals(row: sa.Row[Any]) -> Signals:
    """A row of either table of signals."""
    return Signals.from_columns(Kind(row.kind), row.digests, row.quality, row.pts_ms, row.view)


def to_entry_signals(rows: Iterable[sa.Row[Any]]) -> list[EntrySignals]:
    """Rows of `entry_signals` with their ``bank_seq``, by kind."""
    by_kind: dict[int, list[sa.Row[Any]]] = {}
    for row in rows:
        by_kind.setdefault(row.kind, []).append(row)
    joined = []
    for number, some in by_kind.items():
        kind = Kind(number)
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
        "kind": signals.kind.value,
        "digests": digests,
        "quality": quality,
        "pts_ms": pts_ms,
        "view": view,
    }


def thresholds_json(thresholds: Mapping[Kind, int]) -> dict[str, int]:
    """As the JSON column has them."""
    return {str(int(kind)): most for kind, most in sorted(thresholds.items())}


def key(result: sa.CursorResult[Any]) -> int:
    """The sequence number of the row that was just inserted."""
    inserted = result.inserted_primary_key
    assert inserted is not None  # Every table here numbers its rows.
    return int(inserted[0])
