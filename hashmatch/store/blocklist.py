"""Entries, and with their banks the blocklist as it is stored."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from hashmatch.errors import EntryNotFound, EntryNotQuarantined, SecondPersonNeeded
from hashmatch.model import ids
from hashmatch.model.call import Call
from hashmatch.model.callers import SERVER
from hashmatch.model.cases import CaseDecision
from hashmatch.model.changes import ChangeKind
from hashmatch.model.commands import NewEntry
from hashmatch.model.records import Entry, KindCount, Page
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Activation, EntryState
from hashmatch.store import bulk
from hashmatch.store.banks import Banks
from hashmatch.store.bulk import NewEntries, Usable, new_entries, new_entry
from hashmatch.store.cases import end_floods, let_go, open_flood
from hashmatch.store.revision import Revision, answer_to
from hashmatch.store.rows import (
    NOT_ENDED,
    check_approval,
    find_bank,
    key,
    open_bank,
    select_entries,
    signals_values,
    to_entry,
)
from hashmatch.store.tables import changes, entries, entry_signals
from hashmatch.store.types import from_json, now

__all__ = ["BlocklistStore", "NewEntries"]

# What ends an entry, by its state before and after.
_ENDS: Final = {
    (EntryState.ACTIVE, EntryState.WITHDRAWN): ChangeKind.ENTRY_WITHDRAWN,
    (EntryState.ACTIVE, EntryState.EXPIRED): ChangeKind.ENTRY_EXPIRED,
    (EntryState.PENDING, EntryState.WITHDRAWN): ChangeKind.ENTRY_DECLINED,
    (EntryState.PENDING, EntryState.EXPIRED): ChangeKind.ENTRY_DECLINED,
}


class BlocklistStore(Banks):
    """Methods block; each is one transaction."""

    def create_entry(self, call: Call, bank: str, new: NewEntry, usable: Usable) -> Entry:
        """In use at once, or pending, as the bank or ``new`` has it. ``usable`` says which hashes
        are rich enough to match by. Raises `BankNotFound`, `BankArchived`, `RequestIdReused`.
        """
        with self._revision(call) as revision:
            if revision.is_new:
                connection = revision.connection
                row = open_bank(connection, bank)
                pending = new.pending or row.activation is Activation.TWO_PERSON
                created = {
                    **new_entry(call.actor, pending=pending),
                    **_made_of(new.signals, usable),
                    "entry_id": ids.new_id(ids.ENTRY),
                    "reference": new.reference,
                    "label": new.label,
                    "coverage": new.coverage,
                    "reasons": new.reasons,
                    "provenance": new.provenance,
                    "expire_time": new.expire_time,
                }
                inserted = connection.execute(
                    entries.insert().values(bank_seq=row.seq, revision=0, **created)
                )
                seq = key(inserted)
                for each in new.signals:
                    values = signals_values(each)
                    connection.execute(entry_signals.insert().values(entry_seq=seq, **values))
                kind = ChangeKind.ENTRY_PROPOSED if pending else ChangeKind.ENTRY_CREATED
                revision.entry(row.seq, seq, kind)
        return from_json(Entry, revision.answer)

    def create_entries(
        self, call: Call, bank: str, blocks: Iterable[NewEntries], usable: Usable
    ) -> int:
        """Many at once, at one revision, all or none; returns how many. Other changes of the
        blocklist wait meanwhile. Raises as `create_entry`, and `SecondPersonNeeded` where entries
        have to be approved.
        """
        with self._revision(call) as revision:
            if revision.is_new:
                connection = revision.connection
                row = open_bank(connection, bank)
                if row.activation is Activation.TWO_PERSON:
                    raise SecondPersonNeeded("entries of this bank come into use one by one")
                kind = ChangeKind.ENTRIES_CREATED
                shared = new_entries(call.actor, row.seq, revision.begin(kind, row.seq))
                count = sum(bulk.insert(connection, some, shared, usable) for some in blocks)
                revision.end(kind, row.bank_id, {"entries": count})
        return int(revision.answer["entries"])

    def knows(self, request_id: str) -> bool:
        """True if a change was made under this id."""
        query = sa.select(changes.c.revision).where(changes.c.request_id == request_id)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def entry_answer(self, call: Call) -> Entry | None:
        """What a request that makes an entry was answered before; None if it is new. Raises
        `RequestIdReused`.
        """
        with self._database.read() as connection:
            answer = answer_to(connection, call)
        return None if answer is None else from_json(Entry, answer)

    def approve_entry(self, call: Call, entry_id: str, why: str = "") -> Entry:
        """Brings a pending entry into use. Raises `EntryNotFound`, `EntryNotPending`,
        `SecondPersonNeeded`, `BankArchived`, `RequestIdReused`.
        """
        with self._revision(call, why) as revision:
            if revision.is_new:
                row = _find_entry(revision.connection, entry_id)
                check_approval(revision.connection, row, call.actor, "entry")
                _update(revision, row, state=EntryState.ACTIVE, approved_by=call.actor)
                revision.entry(row.bank_seq, row.seq, ChangeKind.ENTRY_APPROVED)
        return from_json(Entry, revision.answer)

    def withdraw_entry(self, call: Call, entry_id: str, why: str = "") -> Entry:
        """One that is pending is declined; withdrawing what is out of use changes nothing more.
        Raises `EntryNotFound`, `RequestIdReused`.
        """
        return self._end_entry(call, entry_id, why, EntryState.WITHDRAWN)

    def quarantine_entry(self, entry_id: str, details: Mapping[str, object]) -> bool:
        """Lets an active entry hold for review what it would block, and opens a case; false if it
        is quarantined already, was released once, or is out of use. ``details`` say why in the
        audit trail. Raises `EntryNotFound`.
        """
        with self._database.read() as connection:
            if _is_seen(_find_entry(connection, entry_id)):
                return False  # Without waiting for other changes.
        # No caller's request can have such an id; of several servers one does it.
        call = Call(SERVER, f"quarantine.{entry_id}")
        kind = ChangeKind.ENTRY_UNCHANGED
        with self._revision(call, json.dumps(dict(details))) as revision:
            if revision.is_new:
                row = _find_entry(revision.connection, entry_id)
                if not _is_seen(row):
                    kind = ChangeKind.ENTRY_QUARANTINED
                    begun = _update(revision, row, quarantine_time=now())
                    open_flood(revision.connection, row.seq, begun)
                revision.entry(row.bank_seq, row.seq, kind)
        return kind is ChangeKind.ENTRY_QUARANTINED

    def release_entry(self, call: Call, entry_id: str, why: str = "") -> Entry:
        """Ends an entry's quarantine. Raises `EntryNotFound`, `EntryNotQuarantined`,
        `RequestIdReused`.
        """
        with self._revision(call, why) as revision:
            if revision.is_new:
                row = _find_entry(revision.connection, entry_id)
                if row.quarantine_time is None or row.state is not EntryState.ACTIVE:
                    raise EntryNotQuarantined("only an entry that is quarantined can be released")
                _update(revision, row, quarantine_time=None, release_time=now())
                which, upheld = entries.c.seq == row.seq, CaseDecision.UPHELD
                end_floods(revision.connection, which, call.actor, upheld, why)
                revision.entry(row.bank_seq, row.seq, ChangeKind.ENTRY_RELEASED)
        return from_json(Entry, revision.answer)

    def expire_entries(self, now_ms: int) -> int:
        """Puts those out of use whose time is over; returns how many."""
        over = sa.and_(entries.c.expire_time <= now_ms, entries.c.state.in_(NOT_ENDED))
        with self._database.read() as connection:
            due = connection.execute(sa.select(entries.c.entry_id).where(over)).scalars().all()
        for entry_id in due:
            # No caller's request can have such an id; of several servers one does it.
            call = Call(SERVER, f"expire.{entry_id}")
            self._end_entry(call, entry_id, "", EntryState.EXPIRED)
        return len(due)

    def _end_entry(self, call: Call, entry_id: str, why: str, end: EntryState) -> Entry:
        """Puts one out of use; once only, as the index counts entries that come and go."""
        with self._revision(call, why) as revision:
            if revision.is_new:
                row = _find_entry(revision.connection, entry_id)
                kind = _ENDS.get((row.state, end), ChangeKind.ENTRY_UNCHANGED)
                if kind is not ChangeKind.ENTRY_UNCHANGED:
                    _update(revision, row, state=end)
                    which = entries.c.seq == row.seq
                    why = why if end is EntryState.WITHDRAWN else "its time was over"
                    let_go(revision.connection, call.actor, which, entry_id, why)
                revision.entry(row.bank_seq, row.seq, kind)
        return from_json(Entry, revision.answer)

    def get_entry(self, entry_id: str) -> Entry:
        """Raises `EntryNotFound`."""
        with self._database.read() as connection:
            return to_entry(_find_entry(connection, entry_id))

    def list_entries(
        self, before: int, limit: int, bank: str | None, state: EntryState | None
    ) -> Page[Entry]:
        """Newest first; ``before`` as in `list_banks`. Raises `BankNotFound`."""
        query = select_entries()
        if bank is not None:
            with self._database.read() as connection:
                query = query.where(entries.c.bank_seq == find_bank(connection, bank).seq)
        if state is not None:
            query = query.where(entries.c.state == state)
        return self._page(query, entries.c.seq, before, limit, to_entry)


def _find_entry(connection: sa.Connection, entry_id: str) -> sa.Row[Any]:
    """With its bank's id. Raises `EntryNotFound`."""
    row = connection.execute(select_entries().where(entries.c.entry_id == entry_id)).first()
    if row is None:
        raise EntryNotFound(f"entry_id: there is no entry {entry_id!r}")
    return row


def _is_seen(row: sa.Row[Any]) -> bool:
    """True of an entry that is quarantined, was once, or is out of use."""
    was = row.quarantine_time is not None or row.release_time is not None
    return was or row.state is not EntryState.ACTIVE


def _update(revision: Revision, row: sa.Row[Any], **values: object) -> datetime.datetime:
    """Changes columns of an entry; returns when."""
    at = now()
    changed = entries.update().where(entries.c.seq == row.seq)
    revision.connection.execute(changed.values(update_time=at, **values))
    return at


def _made_of(signals: Sequence[Signals], usable: Usable) -> dict[str, object]:
    """Columns of an entry that say what hashes it has."""
    counts = [KindCount(each.kind, len(each), int(usable(each).sum())) for each in signals]
    duration_ms = max((int(each.pts_ms.max(initial=0)) for each in signals), default=0)
    return {"kinds": tuple(counts), "duration_ms": duration_ms}
