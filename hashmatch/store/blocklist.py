"""Entries, and with their banks the blocklist as it is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from hashmatch.errors import (
    EntryNotFound,
    EntryNotPending,
    EntryNotQuarantined,
    SecondPersonNeeded,
)
from hashmatch.model import ids
from hashmatch.model.cases import CaseDecision
from hashmatch.model.commands import NewEntry, Request
from hashmatch.model.records import Entry, KindCount, Page
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Activation, EntryState
from hashmatch.store import audit, bulk, codec
from hashmatch.store.banks import Banks
from hashmatch.store.bulk import NewEntries, Usable
from hashmatch.store.cases import end_floods, let_go, open_flood
from hashmatch.store.changing import answer_to, log_answer, log_change, new_entry, open_bank
from hashmatch.store.rows import find_bank, key, select_entries, signals_values, to_entry
from hashmatch.store.tables import changes, entries, entry_signals

__all__ = ["BlocklistStore", "NewEntries"]

T = TypeVar("T")


class BlocklistStore(Banks):
    """Methods block; each is one transaction."""

    def create_entry(
        self,
        request: Request,
        bank: str,
        new: NewEntry,
        usable: Usable,
    ) -> Entry:
        """In use at once, or pending, as the bank or ``new`` has it. ``usable`` says which hashes
        are rich enough to match by. Raises `BankNotFound`, `BankArchived`, `RequestIdReused`.
        """

        def change(connection: sa.Connection) -> tuple[str, int, int | None]:
            row = open_bank(connection, bank)
            pending = new.pending or row.activation == Activation.TWO_PERSON
            expire = new.expire_time
            coverage = new.coverage
            entry = {
                **new_entry(codec.now_ms(), request.actor),
                **_made_of(new.signals, usable),
                "state": EntryState.PENDING if pending else EntryState.ACTIVE,
                "entry_id": ids.new_id(ids.ENTRY),
                "reference": new.reference,
                "label": new.label,
                "coverage": None if coverage is None else codec.coverage_json(coverage),
                "coverage_reasons": codec.reasons_json(new.reasons),
                "provenance": codec.provenance_json(new.provenance),
                "expire_ms": None if expire is None else codec.to_ms(expire),
            }
            inserted = connection.execute(
                entries.insert().values(bank_seq=row.seq, revision=0, **entry)
            )
            seq = key(inserted)
            for each in new.signals:
                connection.execute(
                    entry_signals.insert().values(entry_seq=seq, **signals_values(each))
                )
            return "entry_proposed" if pending else "entry_created", row.seq, seq

        return self._change(request, change, self._entry_after, codec.parse_entry)

    def create_entries(
        self,
        request: Request,
        bank: str,
        blocks: Iterable[NewEntries],
        usable: Usable,
    ) -> int:
        """Many at once, at one revision, all or none; returns how many. Other changes of the
        blocklist wait meanwhile. Raises as `create_entry`, and `SecondPersonNeeded` where entries
        have to be approved.
        """
        with self._database.write_in_order() as connection:
            earlier = answer_to(connection, request)
            if earlier is not None:
                return int(earlier["entries"])  # type: ignore[index]
            row = open_bank(connection, bank)
            if row.activation == Activation.TWO_PERSON:
                raise SecondPersonNeeded("entries of this bank come into use one by one")
            now = codec.now_ms()
            revision, count = log_change(connection, request, "entries_created", row.seq), 0
            same = {
                **new_entry(now, request.actor),
                "bank_seq": row.seq,
                "revision": revision,
                "batch": revision,
                "coverage_reasons": (),
            }
            for some in blocks:
                made = ids.new_ids(ids.ENTRY, len(some))
                bulk.insert(connection, some, same, made, usable)
                count += len(some)
            answer = {"entries": count}
            log_answer(connection, revision, answer)
            audit.append(
                connection,
                "entries_created",
                row.bank_id,
                answer,
                revision=revision,
                actor=request.actor,
            )
            self._database.announce(connection)
            return count

    def knows(self, request_id: str) -> bool:
        """True if a change was made under this id."""
        query = sa.select(changes.c.revision).where(changes.c.request_id == request_id)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def entry_answer(self, request: Request) -> Entry | None:
        """What a request that makes an entry was answered before; None if it is new. Raises
        `RequestIdReused`.
        """
        with self._database.read() as connection:
            answer = answer_to(connection, request)
        return None if answer is None else codec.parse_entry(answer)

    def approve_entry(self, request: Request, entry_id: str, why: str = "") -> Entry:
        """Brings a pending entry into use. Raises `EntryNotFound`, `EntryNotPending`,
        `SecondPersonNeeded`, `BankArchived`, `RequestIdReused`.
        """

        def change(connection: sa.Connection) -> tuple[str, int, int | None]:
            row = _find_entry(connection, entry_id)
            if row.state != EntryState.PENDING:
                raise EntryNotPending(
                    f"the entry is {EntryState(row.state).name}; only one that is PENDING can be "
                    "approved"
                )
            bank = open_bank(connection, row.bank_id)
            # Where nobody is asked who he is, nobody is a second person.
            if bank.activation == Activation.TWO_PERSON and row.proposed_by == request.actor:
                raise SecondPersonNeeded(
                    "who proposed an entry cannot approve it; another person has to"
                )
            _set_state(connection, row.seq, EntryState.ACTIVE, approved_by=request.actor)
            return "entry_approved", row.bank_seq, row.seq

        return self._change(request, change, self._entry_after, codec.parse_entry, why)

    def withdraw_entry(self, request: Request, entry_id: str, why: str = "") -> Entry:
        """One that is pending is declined; withdrawing what is out of use changes nothing more.
        Raises `EntryNotFound`, `RequestIdReused`.
        """

        def change(connection: sa.Connection) -> tuple[str, int, int | None]:
            row = _find_entry(connection, entry_id)
            if row.state not in (EntryState.ACTIVE, EntryState.PENDING):
                # Told as a withdrawal only once: the index counts entries that come and go.
                return "entry_unchanged", row.bank_seq, row.seq
            _set_state(connection, row.seq, EntryState.WITHDRAWN)
            let_go(connection, request.actor, entries.c.seq == row.seq, entry_id, why)
            told = "entry_withdrawn" if row.state == EntryState.ACTIVE else "entry_declined"
            return told, row.bank_seq, row.seq

        return self._change(request, change, self._entry_after, codec.parse_entry, why)

    def quarantine_entry(self, entry_id: str, details: Mapping[str, object]) -> bool:
        """Lets an active entry hold for review what it would block, and opens a case; false if it
        is quarantined already, was released once, or is out of use. ``details`` say why in the
        audit trail. Raises `EntryNotFound`.
        """
        done = False
        with self._database.read() as connection:
            if _is_seen(_find_entry(connection, entry_id)):
                return False  # Without waiting for other changes.

        def change(connection: sa.Connection) -> tuple[str, int, int | None]:
            nonlocal done
            row = _find_entry(connection, entry_id)
            if _is_seen(row):
                return "entry_unchanged", row.bank_seq, row.seq
            now = codec.now_ms()
            values = {"quarantine_ms": now, "update_ms": now}
            connection.execute(entries.update().where(entries.c.seq == row.seq).values(values))
            open_flood(connection, row.seq, now)
            done = True
            return "entry_quarantined", row.bank_seq, row.seq

        # No caller's request can have such an id; of several servers one does it.
        request = Request(f"quarantine.{entry_id}", "")
        self._change(
            request, change, self._entry_after, codec.parse_entry, json.dumps(dict(details))
        )
        return done

    def release_entry(self, request: Request, entry_id: str, why: str = "") -> Entry:
        """Ends an entry's quarantine. Raises `EntryNotFound`, `EntryNotQuarantined`,
        `RequestIdReused`.
        """

        def change(connection: sa.Connection) -> tuple[str, int, int | None]:
            row = _find_entry(connection, entry_id)
            if row.quarantine_ms is None or row.state != EntryState.ACTIVE:
                raise EntryNotQuarantined("only an entry that is quarantined can be released")
            now = codec.now_ms()
            values = {"quarantine_ms": None, "release_ms": now, "update_ms": now}
            which = entries.c.seq == row.seq
            connection.execute(entries.update().where(which).values(values))
            end_floods(connection, which, request.actor, CaseDecision.UPHELD, why)
            return "entry_released", row.bank_seq, row.seq

        return self._change(request, change, self._entry_after, codec.parse_entry, why)

    def expire_entries(self, now_ms: int) -> int:
        """Puts those out of use whose time is over; returns how many."""
        over = sa.and_(
            entries.c.expire_ms <= now_ms,
            entries.c.state.in_([EntryState.ACTIVE, EntryState.PENDING]),
        )
        with self._database.read() as connection:
            due = connection.execute(sa.select(entries.c.entry_id).where(over)).scalars().all()
        for entry_id in due:

            def change(
                connection: sa.Connection, entry_id: str = entry_id
            ) -> tuple[str, int, int | None]:
                row = _find_entry(connection, entry_id)
                if row.state not in (EntryState.ACTIVE, EntryState.PENDING):
                    return "entry_unchanged", row.bank_seq, row.seq
                _set_state(connection, row.seq, EntryState.EXPIRED)
                let_go(connection, "", entries.c.seq == row.seq, entry_id, "its time was over")
                told = "entry_expired" if row.state == EntryState.ACTIVE else "entry_declined"
                return told, row.bank_seq, row.seq

            # No caller's request can have such an id; of several servers one does it.
            request = Request(f"expire.{entry_id}", "")
            self._change(request, change, self._entry_after, codec.parse_entry)
        return len(due)

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

    @staticmethod
    def _entry_after(connection: sa.Connection, _: int, entry_seq: int | None) -> object:
        row = connection.execute(select_entries().where(entries.c.seq == entry_seq)).one()
        return codec.entry_json(to_entry(row))


def _find_entry(connection: sa.Connection, entry_id: str) -> sa.Row[Any]:
    """With its bank's id. Raises `EntryNotFound`."""
    row = connection.execute(select_entries().where(entries.c.entry_id == entry_id)).first()
    if row is None:
        raise EntryNotFound(f"entry_id: there is no entry {entry_id!r}")
    return row


def _is_seen(row: sa.Row[Any]) -> bool:
    """True of an entry that is quarantined, was once, or is out of use."""
    was = row.quarantine_ms is not None or row.release_ms is not None
    return was or row.state != EntryState.ACTIVE


def _set_state(connection: sa.Connection, seq: int, state: EntryState, **more: object) -> None:
    values = {"state": state, "update_ms": codec.now_ms(), **more}
    connection.execute(entries.update().where(entries.c.seq == seq).values(values))


def _made_of(signals: Sequence[Signals], usable: Usable) -> dict[str, object]:
    """Columns of an entry that say what hashes it has."""
    return {
        "kinds": codec.kinds_json(
            KindCount(each.kind, len(each), int(usable(each).sum())) for each in signals
        ),
        "duration_ms": max((int(each.pts_ms.max(initial=0)) for each in signals), default=0),
    }
