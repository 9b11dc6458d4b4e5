"""Imports: entries of one list, added block by block, approved and withdrawn as one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from hashmatch.errors import ImportNotFound
from hashmatch.model import ids
from hashmatch.model.call import Call
from hashmatch.model.changes import ChangeKind
from hashmatch.model.imports import Format, Import, ImportProblem, ImportState
from hashmatch.model.records import Page, Provenance
from hashmatch.model.verdicts import Activation, EntryState
from hashmatch.store import audit, bulk, repeats
from hashmatch.store.bulk import NewEntries, Usable, new_entries
from hashmatch.store.cases import let_go
from hashmatch.store.contents import Contents
from hashmatch.store.database import Store
from hashmatch.store.revision import Revision
from hashmatch.store.rows import (
    NOT_ENDED,
    check_approval,
    key,
    newest_revision,
    open_bank,
    page,
    record,
)
from hashmatch.store.tables import banks, changes, entries, imports
from hashmatch.store.types import now

__all__ = ["Counts", "ImportStore", "Known"]

_ROWS_AT_ONCE: Final = 10_000

# Of an import that is unfinished.
_NO_COUNTS: Final = dict.fromkeys(("lines", "created", "known", "withdrawn_before", "broken"), 0)


@dataclass(slots=True)
class Known:
    """What a bank has, as of a revision."""

    contents: Contents
    revision: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of lines so far."""

    lines: int = 0
    items: int = 0
    withdrawn_before: int = 0
    broken: int = 0

    def known(self, created: int) -> int:
        """How many items were there already, where so many became entries."""
        return max(0, self.items - created - self.withdrawn_before)


class ImportStore(Store):
    """Methods block; each is one transaction."""

    def begin(self, call: Call, bank: str, provenance: Provenance) -> Import:
        """A new one; or that of the same request, to go on with it unless it is finished. Raises
        `BankNotFound`, `BankArchived`, `RequestIdReused`.
        """
        with self._database.write_in_order() as connection:
            if row := repeats.earlier(connection, _select(), imports, call):
                return _to_import(row)
            created = now()
            inserted = connection.execute(
                imports.insert().values(
                    import_id=ids.new_id(ids.IMPORT),
                    bank_seq=open_bank(connection, bank).seq,
                    state=ImportState.UNFINISHED,
                    counts={},
                    problems=(),
                    provenance=provenance,
                    proposed_by=call.actor,
                    request_id=call.request_id,
                    fingerprint=call.fingerprint,
                    create_time=created,
                    update_time=created,
                )
            )
            seq = key(inserted)
            begun = _to_import(connection.execute(_select().where(imports.c.seq == seq)).one())
            details = {"bank": begun.bank_id}
            audit.append(connection, "import_begun", begun.import_id, details, actor=call.actor)
            return begun

    def known(self, bank_id: str) -> Known:
        """What a bank has."""
        with self._database.read() as connection:
            return _known(connection, open_bank(connection, bank_id).seq)

    def add(
        self,
        call: Call,
        import_id: str,
        some: NewEntries,
        usable: Usable,
        known: Known,
        *,
        pending: bool = False,
    ) -> tuple[int, int]:
        """Adds those that are not in the bank yet, at one revision; returns how many, and how many
        were withdrawn before. They are pending if it is asked for, and where the bank takes two
        persons. ``known`` is brought up to date. Adds nothing to an import that was withdrawn
        meanwhile. Raises `BankArchived`.
        """
        with self._database.write_in_order() as connection:
            row = connection.execute(_select().where(imports.c.import_id == import_id)).one()
            bank = open_bank(connection, row.bank_id)
            if _changed_since(connection, bank.seq, known.revision):
                fresh = _known(connection, bank.seq)
                known.contents, known.revision = fresh.contents, fresh.revision
            contents = some.contents or ()
            places, withdrawn = known.contents.sorted_out(contents)
            if not places or row.state is not ImportState.UNFINISHED:
                return 0, withdrawn
            kept = some.take(places)
            pending = pending or bank.activation is Activation.TWO_PERSON
            kind = ChangeKind.ENTRIES_PROPOSED if pending else ChangeKind.ENTRIES_CREATED
            revision = self._begin(connection, call)
            number = revision.begin(kind, bank.seq)
            shared = new_entries(call.actor, bank.seq, number, pending=pending)
            bulk.insert(connection, kept, shared | {"import_seq": row.seq}, usable)
            revision.end(kind, bank.bank_id, {"entries": len(kept), "import_id": import_id})
        known.contents.add(contents[place] for place in places)
        known.revision = number
        return len(kept), withdrawn

    def finish(
        self,
        call: Call,
        import_id: str,
        form: Format | None,
        counts: Counts,
        problems: Sequence[ImportProblem],
    ) -> Import:
        """All lines were read."""
        with self._database.write_in_order() as connection:
            found = _select().where(imports.c.import_id == import_id)
            row = connection.execute(found).one()
            if row.state is not ImportState.UNFINISHED:
                return _to_import(row)  # Somebody else finished the same request.
            created, pending = connection.execute(
                sa.select(
                    sa.func.count(),
                    sa.func.count().filter(entries.c.state == EntryState.PENDING),
                ).where(entries.c.import_seq == row.seq)
            ).one()
            told = {
                "lines": counts.lines,
                "created": created,
                "known": counts.known(created),
                "withdrawn_before": counts.withdrawn_before,
                "broken": counts.broken,
            }
            _update(
                connection,
                row,
                state=ImportState.PENDING if pending else ImportState.ACTIVE,
                format=form,
                counts=told,
                problems=tuple(problems),
            )
            audit.append(connection, "import_finished", import_id, told, actor=call.actor)
            return _to_import(connection.execute(found).one())

    def approve(self, call: Call, import_id: str, why: str = "") -> Import:
        """Brings all its pending entries into use. Raises `ImportNotFound`, `EntryNotPending`,
        `SecondPersonNeeded`, `BankArchived`.
        """
        with self._database.write_in_order() as connection:
            row = _find(connection, import_id)
            if row.approve_request == call.request_id:
                return _to_import(row)
            check_approval(connection, row, call.actor, "import")
            number = self._move(connection, call, row, ChangeKind.ENTRIES_APPROVED, why)
            _update(
                connection,
                row,
                state=ImportState.ACTIVE,
                approved_by=call.actor,
                approve_request=call.request_id,
                revision=number,
            )
            return _to_import(_find(connection, import_id))

    def withdraw(self, call: Call, import_id: str, why: str = "") -> Import:
        """Takes all its entries out of use; once more changes nothing. Raises `ImportNotFound`."""
        with self._database.write_in_order() as connection:
            row = _find(connection, import_id)
            number = None
            for kind in (ChangeKind.ENTRIES_WITHDRAWN, ChangeKind.ENTRIES_DECLINED):
                some = sa.select(entries.c.seq).where(_moved(row, kind)).limit(1)
                if connection.execute(some).first():
                    number = self._move(connection, call, row, kind, why)
            if number is not None:
                _update(connection, row, state=ImportState.WITHDRAWN, revision=number)
            return _to_import(_find(connection, import_id))

    def get(self, import_id: str) -> Import:
        """With its problems. Raises `ImportNotFound`."""
        with self._database.read() as connection:
            return _to_import(_find(connection, import_id))

    def list(self, before: int, limit: int) -> Page[Import]:
        """Newest first, without their problems; ``before`` is the token of the page before."""
        with self._database.read() as connection:
            found = page(connection, _select(), imports.c.seq, before, limit, _to_import)
        items = (dataclasses.replace(each, problems=()) for each in found.items)
        return dataclasses.replace(found, items=tuple(items))

    def _begin(self, connection: sa.Connection, call: Call, why: str = "") -> Revision:
        """One of several that a request may make: its id is no caller's."""
        part = call.part(f"{ids.new_id(ids.IMPORT)}.part")
        return Revision(self._database, connection, part, why)

    def _move(
        self, connection: sa.Connection, call: Call, row: sa.Row[Any], kind: ChangeKind, why: str
    ) -> int:
        """All entries that a revision of this kind concerns, at once; returns its number."""
        revision = self._begin(connection, call, why)
        number = revision.begin(kind, row.bank_seq)
        values: dict[str, object] = {"state": EntryState.WITHDRAWN, "left_batch": number}
        if kind.brings:
            approved = {"approved_by": call.actor, "batch": number}
            values = {"state": EntryState.ACTIVE, **approved}
        some = _moved(row, kind)
        # In the order in which others lock them, see `store.holding`.
        locked = sa.select(entries.c.seq).where(some).order_by(entries.c.seq).with_for_update()
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.count()).select_from(locked.subquery()))
        update = entries.update().where(some).values(revision=number, update_time=now(), **values)
        moved = connection.execute(update).rowcount
        revision.end(kind, row.import_id, {"entries": moved, "import_id": row.import_id})
        if not kind.brings:
            gone = entries.c.left_batch == number
            let_go(connection, call.actor, gone, row.import_id, why)
        return number


def _moved(row: sa.Row[Any], kind: ChangeKind) -> sa.ColumnElement[bool]:
    """The entries of an import that a revision of a kind changes."""
    state = EntryState.ACTIVE if kind.takes else EntryState.PENDING
    return sa.and_(entries.c.import_seq == row.seq, entries.c.state == state)


def _update(connection: sa.Connection, row: sa.Row[Any], **values: object) -> None:
    this = imports.update().where(imports.c.seq == row.seq)
    connection.execute(this.values(update_time=now(), **values))


def _known(connection: sa.Connection, bank_seq: int) -> Known:
    query = (
        sa.select(entries.c.content, entries.c.state.not_in(NOT_ENDED))
        .where(entries.c.bank_seq == bank_seq, entries.c.content.is_not(None))
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    revision = newest_revision(connection)
    with connection.execute(query) as rows:
        parts = ([(row[0], row[1]) for row in some] for some in rows.partitions())
        return Known(Contents(parts), revision)


def _changed_since(connection: sa.Connection, bank_seq: int, revision: int) -> bool:
    """True if others added entries to a bank, or took some out of use."""
    later = sa.and_(changes.c.revision > revision, changes.c.bank_seq == bank_seq)
    return (
        connection.execute(sa.select(changes.c.revision).where(later).limit(1)).first() is not None
    )


def _select() -> sa.Select[Any]:
    return sa.select(imports, banks.c.bank_id, banks.c.name.label("bank_name")).join(
        banks, banks.c.seq == imports.c.bank_seq
    )


def _find(connection: sa.Connection, import_id: str) -> sa.Row[Any]:
    row = connection.execute(_select().where(imports.c.import_id == import_id)).first()
    if row is None:
        raise ImportNotFound(f"import_id: there is no import {import_id!r}")
    return row


def _to_import(row: sa.Row[Any]) -> Import:
    return record(Import, row, dry_run=False, **(_NO_COUNTS | row.counts))
