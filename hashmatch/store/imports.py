"""Imports: entries of one list, added block by block, approved and withdrawn as one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pydantic
import sqlalchemy as sa

from hashmatch.errors import EntryNotPending, ImportNotFound, SecondPersonNeeded
from hashmatch.model import ids
from hashmatch.model.commands import Request
from hashmatch.model.imports import Format, Import, ImportProblem, ImportState
from hashmatch.model.records import Page, Provenance
from hashmatch.model.verdicts import Activation, EntryState
from hashmatch.store import audit, bulk, codec, repeats
from hashmatch.store.bulk import NewEntries, Usable
from hashmatch.store.cases import let_go
from hashmatch.store.changing import log_answer, log_change, new_entry, open_bank
from hashmatch.store.contents import Contents
from hashmatch.store.database import Database
from hashmatch.store.rows import key, newest_revision, page
from hashmatch.store.tables import banks, changes, entries, imports

__all__ = ["Counts", "ImportStore", "Known"]

_ROWS_AT_ONCE: Final = 10_000

_PROBLEMS: Final = pydantic.TypeAdapter(tuple[ImportProblem, ...])


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


class ImportStore:
    """Methods block; each is one transaction."""

    def __init__(self, database: Database) -> None:
        """``database`` is migrated."""
        self._database = database

    def begin(self, request: Request, bank: str, provenance: Provenance) -> Import:
        """A new one; or that of the same request, to go on with it unless it is finished. Raises
        `BankNotFound`, `BankArchived`, `RequestIdReused`.
        """
        with self._database.write_in_order() as connection:
            same = imports.c.request_id == request.request_id
            if row := connection.execute(_select().where(same)).first():
                repeats.check(request, row.fingerprint)
                return _to_import(row)
            now = codec.now_ms()
            inserted = connection.execute(
                imports.insert().values(
                    import_id=ids.new_id(ids.IMPORT),
                    bank_seq=open_bank(connection, bank).seq,
                    state=ImportState.UNFINISHED,
                    counts={},
                    problems=[],
                    provenance=codec.provenance_json(provenance),
                    proposed_by=request.actor,
                    request_id=request.request_id,
                    fingerprint=request.fingerprint,
                    create_ms=now,
                    update_ms=now,
                )
            )
            seq = key(inserted)
            begun = _to_import(connection.execute(_select().where(imports.c.seq == seq)).one())
            details = {"bank": begun.bank_id}
            audit.append(connection, "import_begun", begun.import_id, details, actor=request.actor)
            return begun

    def known(self, bank_id: str) -> Known:
        """What a bank has."""
        with self._database.read() as connection:
            return _known(connection, open_bank(connection, bank_id).seq)

    def add(
        self,
        import_id: str,
        actor: str,
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
            if not places or row.state != ImportState.UNFINISHED:
                return 0, withdrawn
            kept = some.take(places)
            pending = pending or bank.activation == Activation.TWO_PERSON
            what = "entries_proposed" if pending else "entries_created"
            made = ids.new_id(ids.IMPORT)  # Of the block: no caller's request has such an id.
            revision = log_change(connection, Request(f"{made}.block", ""), what, bank.seq)
            same = {
                **new_entry(codec.now_ms(), actor),
                "state": (EntryState.PENDING if pending else EntryState.ACTIVE).value,
                "bank_seq": bank.seq,
                "revision": revision,
                "batch": revision,
                "import_seq": row.seq,
                "coverage_reasons": (),
            }
            bulk.insert(connection, kept, same, ids.new_ids(ids.ENTRY, len(kept)), usable)
            answer = {"entries": len(kept), "import_id": import_id}
            log_answer(connection, revision, answer)
            audit.append(connection, what, bank.bank_id, answer, revision=revision, actor=actor)
            self._database.announce(connection)
        known.contents.add(contents[place] for place in places)
        known.revision = revision
        return len(kept), withdrawn

    def finish(
        self,
        import_id: str,
        actor: str,
        form: Format | None,
        counts: Counts,
        problems: Sequence[ImportProblem],
    ) -> Import:
        """All lines were read."""
        with self._database.write_in_order() as connection:
            found = _select().where(imports.c.import_id == import_id)
            row = connection.execute(found).one()
            if row.state != ImportState.UNFINISHED:
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
            connection.execute(
                imports.update()
                .where(imports.c.seq == row.seq)
                .values(
                    state=ImportState.PENDING if pending else ImportState.ACTIVE,
                    format=form,
                    counts=told,
                    problems=_PROBLEMS.dump_python(tuple(problems), mode="json"),
                    update_ms=codec.now_ms(),
                )
            )
            audit.append(connection, "import_finished", import_id, told, actor=actor)
            return _to_import(connection.execute(found).one())

    def approve(self, request: Request, import_id: str, why: str = "") -> Import:
        """Brings all its pending entries into use. Raises `ImportNotFound`, `EntryNotPending`,
        `SecondPersonNeeded`, `BankArchived`.
        """
        with self._database.write_in_order() as connection:
            row = _find(connection, import_id)
            if row.approve_request == request.request_id:
                return _to_import(row)
            if row.state != ImportState.PENDING:
                raise EntryNotPending(
                    f"the import is {ImportState(row.state).name}; only one that is PENDING can "
                    "be approved"
                )
            bank = open_bank(connection, row.bank_id)
            if bank.activation == Activation.TWO_PERSON and row.proposed_by == request.actor:
                raise SecondPersonNeeded(
                    "who imported a list cannot approve it; another person has to"
                )
            revision = self._move(
                connection, request, row, EntryState.PENDING, "entries_approved", why
            )
            values = {
                "state": ImportState.ACTIVE,
                "approved_by": request.actor,
                "approve_request": request.request_id,
                "revision": revision,
                "update_ms": codec.now_ms(),
            }
            connection.execute(imports.update().where(imports.c.seq == row.seq).values(values))
            return _to_import(_find(connection, import_id))

    def withdraw(self, request: Request, import_id: str, why: str = "") -> Import:
        """Takes all its entries out of use; once more changes nothing. Raises `ImportNotFound`."""
        with self._database.write_in_order() as connection:
            row = _find(connection, import_id)
            revision = None
            for state, what in (
                (EntryState.ACTIVE, "entries_withdrawn"),
                (EntryState.PENDING, "entries_declined"),
            ):
                of_state = sa.and_(entries.c.import_seq == row.seq, entries.c.state == state)
                if connection.execute(sa.select(entries.c.seq).where(of_state).limit(1)).first():
                    revision = self._move(connection, request, row, state, what, why)
            if revision is not None:
                values = {
                    "state": ImportState.WITHDRAWN,
                    "revision": revision,
                    "update_ms": codec.now_ms(),
                }
                connection.execute(imports.update().where(imports.c.seq == row.seq).values(values))
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

    def _move(
        self,
        connection: sa.Connection,
        request: Request,
        row: sa.Row[Any],
        state: EntryState,
        what: str,
        why: str,
    ) -> int:
        """All of its entries that are in a state, to the next one; returns the revision."""
        approved = what == "entries_approved"
        made = ids.new_id(ids.IMPORT)
        revision = log_change(connection, Request(f"{made}.all", ""), what, row.bank_seq)
        values: dict[str, object] = {"revision": revision, "update_ms": codec.now_ms()}
        if approved:
            values |= {"state": EntryState.ACTIVE, "approved_by": request.actor, "batch": revision}
        else:
            values |= {"state": EntryState.WITHDRAWN, "left_batch": revision}
        some = sa.and_(entries.c.import_seq == row.seq, entries.c.state == state)
        # In the order in which others lock them, see `store.holding`.
        locked = sa.select(entries.c.seq).where(some).order_by(entries.c.seq).with_for_update()
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.count()).select_from(locked.subquery()))
        moved = connection.execute(entries.update().where(some).values(values))
        answer = {"entries": moved.rowcount, "import_id": row.import_id}
        log_answer(connection, revision, answer)
        details = {**answer, "why": why} if why else answer
        audit.append(
            connection, what, row.import_id, details, revision=revision, actor=request.actor
        )
        if not approved:
            gone = entries.c.left_batch == revision
            let_go(connection, request.actor, gone, row.import_id, why)
        self._database.announce(connection)
        return revision


def _known(connection: sa.Connection, bank_seq: int) -> Known:
    query = (
        sa.select(entries.c.content, entries.c.state)
        .where(entries.c.bank_seq == bank_seq, entries.c.content.is_not(None))
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    used = (EntryState.ACTIVE, EntryState.PENDING)
    revision = newest_revision(connection)
    with connection.execute(query) as rows:
        parts = ([(row[0], row[1] not in used) for row in some] for some in rows.partitions())
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
    counts = row.counts
    return Import(
        import_id=row.import_id,
        bank_id=row.bank_id,
        bank_name=row.bank_name,
        state=ImportState(row.state),
        format=None if row.format is None else Format(row.format),
        lines=counts.get("lines", 0),
        created=counts.get("created", 0),
        known=counts.get("known", 0),
        withdrawn_before=counts.get("withdrawn_before", 0),
        broken=counts.get("broken", 0),
        provenance=codec.parse_provenance(row.provenance),
        proposed_by=row.proposed_by,
        approved_by=row.approved_by,
        revision=row.revision,
        create_time=codec.from_ms(row.create_ms),
        update_time=codec.from_ms(row.update_ms),
        problems=_PROBLEMS.validate_python(row.problems),
    )
