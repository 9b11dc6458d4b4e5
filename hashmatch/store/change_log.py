"""What those read who follow the blocklist: all of it at one revision, and what came since."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from hashmatch.errors import ChangesCompacted
from hashmatch.model.records import Bank, EntryRef
from hashmatch.model.signals import EntrySignals
from hashmatch.model.verdicts import EntryState
from hashmatch.store.database import Database, Listener
from hashmatch.store.rows import (
    AT_ONCE,
    IN_USE,
    newest_revision,
    select_banks,
    select_entries,
    to_bank,
    to_entry,
    to_entry_signals,
)
from hashmatch.store.tables import banks, changes, entries, entry_signals, store

__all__ = ["Active", "Change", "ChangeLog"]

# Changes that brought one entry into use.
_CAME: Final = ("entry_created", "entry_approved")

# Those that brought many.
_CAME_TOGETHER: Final = ("entries_created", "entries_approved")

# Of entries' hashes, an entry and kind each, when all are read.
_ROWS_AT_ONCE: Final = 5000


@dataclass(frozen=True, slots=True)
class Active:
    """What can match at one revision: banks by sequence number, entries that are quarantined, and
    the hashes of active entries, which are read as they are asked for.
    """

    revision: int
    banks: Mapping[int, Bank]
    quarantined: frozenset[int]
    signals: Iterator[EntrySignals]


@dataclass(frozen=True, slots=True)
class Change:
    """One revision, as the index needs it: the bank as it is by now (but for the number of its
    entries, which is not counted), and the entry that came
    or went (`came`, `went`), if it is one's; or how many came at once (``entries_created``).
    """

    revision: int
    what: str
    bank_seq: int
    bank: Bank
    entry_seq: int | None
    entries: int

    @property
    def came(self) -> bool:
        """True if entries came into use by it."""
        return self.what in (*_CAME, *_CAME_TOGETHER)

    @property
    def went(self) -> bool:
        """True if an entry went out of use by it."""
        return self.what in ("entry_withdrawn", "entry_expired")


class ChangeLog:
    """Methods block; each is one transaction."""

    def __init__(self, database: Database) -> None:
        """``database`` is migrated."""
        self._database = database

    def store_id(self) -> str:
        """What tells this store from any other."""
        with self._database.read() as connection:
            return str(connection.execute(sa.select(store.c.store_id)).scalar_one())

    def revision(self) -> int:
        """The newest revision; 0 before the first change."""
        with self._database.read() as connection:
            return newest_revision(connection)

    @contextlib.contextmanager
    def load(self) -> Iterator[Active]:
        """All that can match, of one revision."""
        with self._database.read() as connection:
            revision = newest_revision(connection)
            found = {row.seq: to_bank(row) for row in connection.execute(select_banks())}
            quarantined = _quarantined(connection)
            with connection.execute(_signals(entries.c.state == EntryState.ACTIVE)) as rows:
                yield Active(revision, found, quarantined, _by_kind(rows))

    def quarantined(self) -> frozenset[int]:
        """Sequence numbers of the entries in use that are quarantined."""
        with self._database.read() as connection:
            return _quarantined(connection)

    def changes_since(self, revision: int, limit: int) -> list[Change]:
        """The changes after ``revision``, in order. Raises `ChangesCompacted`."""
        query = (
            sa.select(changes)
            .where(changes.c.revision > revision)
            .order_by(changes.c.revision)
            .limit(limit)
        )
        with self._database.read() as connection:
            oldest = connection.execute(sa.select(store.c.compacted_revision)).scalar_one()
            if revision < oldest:
                raise ChangesCompacted(revision, oldest)
            rows = connection.execute(query).all()
            changed = {row.bank_seq for row in rows}
            by_seq = {
                row.seq: to_bank(row)
                for row in connection.execute(
                    select_banks(counted=False).where(banks.c.seq.in_(changed))
                )
            }
        return [
            Change(
                row.revision,
                row.what,
                row.bank_seq,
                by_seq[row.bank_seq],
                row.entry_seq,
                row.after["entries"] if row.what.startswith("entries_") else 1,
            )
            for row in rows
        ]

    @contextlib.contextmanager
    def signals_of(self, some: Sequence[Change]) -> Iterator[Iterator[EntrySignals]]:
        """The hashes of all entries that came with these changes, whatever became of them since."""
        seqs = [change.entry_seq for change in some if change.what in _CAME]
        batches = [change.revision for change in some if change.what in _CAME_TOGETHER]
        # Not both in one query: an empty list would have a database look at every entry.
        wanted = [
            column.in_(numbers)
            for column, numbers in ((entries.c.seq, seqs), (entries.c.batch, batches))
            if numbers
        ]
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(self._database.read())
            found = [stack.enter_context(connection.execute(_signals(each))) for each in wanted]
            yield itertools.chain.from_iterable(map(_by_kind, found))

    def left_by(self, revision: int) -> npt.NDArray[np.int64]:
        """Sequence numbers of the entries that one revision withdrew together, rising."""
        query = sa.select(entries.c.seq).where(entries.c.left_batch == revision)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(entries.c.seq)).scalars()
            return np.fromiter(rows, np.int64)

    def listen(self) -> contextlib.AbstractContextManager[Listener]:
        """Is woken by changes of any server. Raises `StoreUnavailable`, then or later."""
        return self._database.listen()

    def entry_refs(self, entry_seqs: Iterable[int]) -> dict[int, EntryRef]:
        """Names of entries, by sequence number."""
        wanted = list(entry_seqs)
        found = {}
        with self._database.read() as connection:
            for start in range(0, len(wanted), AT_ONCE):
                some = wanted[start : start + AT_ONCE]
                rows = connection.execute(select_entries().where(entries.c.seq.in_(some)))
                found.update({row.seq: to_entry(row).ref for row in rows})
        return found


def _quarantined(connection: sa.Connection) -> frozenset[int]:
    some = (
        sa.select(entries.c.seq)
        .join(banks, banks.c.seq == entries.c.bank_seq)
        .where(entries.c.quarantine_ms.is_not(None), IN_USE)
    )
    return frozenset(connection.execute(some).scalars())


def _signals(which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The hashes of some entries, to be read in parts."""
    return (
        sa.select(entries.c.bank_seq, *entry_signals.c)
        .join(entry_signals, entry_signals.c.entry_seq == entries.c.seq)
        .where(which)
        .order_by(entries.c.seq)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )


def _by_kind(rows: sa.CursorResult[Any]) -> Iterator[EntrySignals]:
    return itertools.chain.from_iterable(map(to_entry_signals, rows.partitions()))
