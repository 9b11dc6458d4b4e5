"""The log of changes, and all of the blocklist at one revision: what followers read.

The index of each server follows by `ChangeLog`, outside readers by `History`, which also deletes
what is too old. `store.revision` writes the log.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from hashmatch.errors import ChangesCompacted, RevisionUnknown
from hashmatch.model.changes import ChangeKind, Position
from hashmatch.model.records import Bank, BlocklistChange, Checkpoint, Entry, EntryRef
from hashmatch.model.signals import EntrySignals
from hashmatch.model.verdicts import ChangeType, EntryState
from hashmatch.store import audit
from hashmatch.store.database import Listener, Store
from hashmatch.store.rows import (
    AT_ONCE,
    IN_USE,
    newest_revision,
    select_banks,
    select_entries,
    select_signals,
    signals_by_kind,
    to_bank,
    to_entry,
    to_ref,
)
from hashmatch.store.tables import banks, changes, entries, store
from hashmatch.store.types import from_json, now

__all__ = ["Active", "Change", "ChangeLog", "History"]

# Changes that are deleted together: others who write wait meanwhile.
_DELETED_AT_ONCE: Final = 10_000

# What state each of many entries came to by one revision.
_STATES: Final = {
    ChangeType.ENTRY_CREATED: EntryState.ACTIVE,
    ChangeType.ENTRY_PROPOSED: EntryState.PENDING,
    ChangeType.ENTRY_APPROVED: EntryState.ACTIVE,
    ChangeType.ENTRY_WITHDRAWN: EntryState.WITHDRAWN,
    ChangeType.ENTRY_DECLINED: EntryState.WITHDRAWN,
}


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
    entries, which is not counted); the entry, if it changed one; and how many ``entries`` came or
    went at once.
    """

    revision: int
    kind: ChangeKind
    bank_seq: int
    bank: Bank
    entry_seq: int | None
    entries: int


class ChangeLog(Store):
    """Methods block; each is one transaction."""

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
            with connection.execute(select_signals(entries.c.state == EntryState.ACTIVE)) as rows:
                yield Active(revision, found, quarantined, signals_by_kind(rows))

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
                row.kind,
                row.bank_seq,
                by_seq[row.bank_seq],
                row.entry_seq,
                row.after["entries"] if row.kind.is_of_many else 1,
            )
            for row in rows
        ]

    @contextlib.contextmanager
    def signals_of(self, some: Sequence[Change]) -> Iterator[Iterator[EntrySignals]]:
        """The hashes of all entries that came with these changes, whatever became of them since."""
        seqs = [each.entry_seq for each in some if each.kind.brings and not each.kind.is_of_many]
        batches = [each.revision for each in some if each.kind.brings and each.kind.is_of_many]
        # Not both in one query: an empty list would have a database look at every entry.
        wanted = [
            column.in_(numbers)
            for column, numbers in ((entries.c.seq, seqs), (entries.c.batch, batches))
            if numbers
        ]
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(self._database.read())
            found = [
                stack.enter_context(connection.execute(select_signals(each))) for each in wanted
            ]
            yield itertools.chain.from_iterable(map(signals_by_kind, found))

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
                found.update({row.seq: to_ref(row) for row in rows})
        return found


class History(Store):
    """Methods block."""

    def read(
        self, after: Position, limit: int
    ) -> tuple[list[BlocklistChange], Position, Checkpoint | None]:
        """Up to ``limit`` changes, in order; how far these go; and that they are all, if so.

        Raises `ChangesCompacted`, `RevisionUnknown`, `StoreUnavailable`.
        """
        asked = now()
        with self._database.read() as connection:
            here = connection.execute(sa.select(store)).one()
            newest = newest_revision(connection)
            if after.store_id not in ("", here.store_id):
                raise RevisionUnknown("the token is of another blocklist", newest)
            if after.revision > newest:
                raise RevisionUnknown(
                    f"revision {after.revision} is not known: the blocklist is at {newest}, as if "
                    "a backup was restored",
                    newest,
                )
            read_whole = after.revision - (1 if after.entry else 0)
            if read_whole < here.compacted_revision:
                raise ChangesCompacted(read_whole, here.compacted_revision)
            after = dataclasses.replace(after, store_id=here.store_id)
            with contextlib.closing(_changes(connection, after, limit)) as unread:
                read = list(itertools.islice(unread, limit))
        found = [
            dataclasses.replace(change, resume_token=position.token) for position, change in read
        ]
        if len(found) == limit:
            return found, read[-1][0], None
        position = Position(newest, 0, here.store_id)
        return found, position, Checkpoint(newest, asked, position.token)

    def compact(self, before_ms: int) -> int:
        """Deletes the changes of before an instant, but for the newest; returns how many. With them
        goes what their requests were answered: a repeat of one would be done once more.
        """
        deleted = 0
        while True:
            with self._database.write_in_order() as connection:
                kept = sa.select(sa.func.min(changes.c.revision)).where(changes.c.time >= before_ms)
                first_kept = connection.execute(kept).scalar() or newest_revision(connection)
                old = sa.select(changes.c.revision).where(changes.c.revision < first_kept)
                some = old.order_by(changes.c.revision).limit(_DELETED_AT_ONCE)
                revisions = connection.execute(some).scalars().all()
                if not revisions:
                    return deleted
                connection.execute(changes.delete().where(changes.c.revision <= revisions[-1]))
                connection.execute(store.update().values(compacted_revision=revisions[-1]))
                details = {"up_to_revision": revisions[-1], "deleted": len(revisions)}
                audit.append(connection, "changes_compacted", "", details)
            deleted += len(revisions)


def _quarantined(connection: sa.Connection) -> frozenset[int]:
    some = (
        sa.select(entries.c.seq)
        .join(banks, banks.c.seq == entries.c.bank_seq)
        .where(entries.c.quarantine_time.is_not(None), IN_USE)
    )
    return frozenset(connection.execute(some).scalars())


def _changes(
    connection: sa.Connection, after: Position, limit: int
) -> Generator[tuple[Position, BlocklistChange]]:
    """``limit`` changes or more, if there are, without tokens; each with how far it goes."""
    revision = changes.c.revision
    unread = revision >= after.revision if after.entry else revision > after.revision
    query = sa.select(changes).where(unread).order_by(changes.c.revision)
    # Not so many at once and no more: some rows tell nothing.
    with connection.execute(query.execution_options(yield_per=limit)) as rows:
        for row in rows:
            if row.kind.public_type is None:
                continue
            if row.kind.is_of_many:
                first = after.entry if row.revision == after.revision else 0
                yield from _of_many(connection, row, first, limit, after.store_id)
            else:
                yield Position(row.revision, 0, after.store_id), _change(row)


def _of_many(
    connection: sa.Connection, row: sa.Row[Any], after: int, limit: int, store_id: str
) -> Iterator[tuple[Position, BlocklistChange]]:
    state = _STATES[row.kind.public_type]
    column = entries.c.left_batch if state is EntryState.WITHDRAWN else entries.c.batch
    query = select_entries().where(column == row.revision, entries.c.seq > after)
    for entry_row in connection.execute(query.order_by(entries.c.seq).limit(limit)):
        # Whatever became of it since comes as a change of its own.
        then = dataclasses.replace(
            to_entry(entry_row), state=state, revision=row.revision, update_time=row.time
        )
        yield Position(row.revision, entry_row.seq, store_id), _change(row, entry=then)


def _change(row: sa.Row[Any], entry: Entry | None = None) -> BlocklistChange:
    bank = None
    if entry is None and row.entry_seq is None:
        bank = from_json(Bank, row.after)
    elif entry is None:
        entry = from_json(Entry, row.after)
    return BlocklistChange(row.revision, row.kind.public_type, row.time, bank, entry, "")
