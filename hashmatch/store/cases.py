"""Cases: opened with what they are about, in one transaction; read and decided by people."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from hashmatch.errors import (
    CaseDecided,
    CaseNotFound,
    EtagMismatch,
    InvalidField,
    PermissionDenied,
)
from hashmatch.model import ids
from hashmatch.model.call import Call
from hashmatch.model.cases import Case, CaseDecision, CaseState, CaseType
from hashmatch.model.records import Page
from hashmatch.model.verdicts import Action, BankState, EntryState, Verdict
from hashmatch.store import audit, repeats
from hashmatch.store.database import Store
from hashmatch.store.rows import AT_ONCE, page, record
from hashmatch.store.tables import banks, cases, entries, matched, screenings
from hashmatch.store.types import now

__all__ = [
    "CaseStore",
    "case_of",
    "end_floods",
    "let_go",
    "open_case",
    "open_flood",
]

# Columns of a case that is open again.
_UNDECIDED: Final = {
    "state": CaseState.OPEN,
    "decision": None,
    "decided_by": "",
    "decide_time": None,
    "why": "",
}


class CaseStore(Store):
    """Methods block; each is one transaction."""

    def get(self, case_id: str, own: Collection[str] | None = None) -> Case:
        """Raises `CaseNotFound`; `PermissionDenied` for one that is not of banks that are ``own``
        alone (ids or names; None: all are).
        """
        with self._database.read() as connection:
            return _to_case(_find(connection, case_id, own))

    def list(
        self,
        before: int,
        limit: int,
        state: CaseState | None,
        case_type: CaseType | None,
        since_ms: int | None,
        own: Collection[str] | None = None,
    ) -> Page[Case]:
        """Newest first; ``before`` is the token of the page before, 0 for the first. ``own``: as
        for `get`.
        """
        query = _select() if own is None else _select().where(_is_own(own))
        for column, wanted in ((cases.c.state, state), (cases.c.type, case_type)):
            if wanted is not None:
                query = query.where(column == wanted)
        if since_ms is not None:
            query = query.where(cases.c.create_time >= since_ms)
        with self._database.read() as connection:
            return page(connection, query, cases.c.seq, before, limit, _to_case)

    def decide(
        self,
        call: Call,
        case_id: str,
        etag: str,
        decision: CaseDecision,
        why: str,
        own: Collection[str] | None = None,
    ) -> Case:
        """Decides an open case of a screening, if it is as it was read (``etag``; empty: in any
        case). Raises `CaseNotFound`, `CaseDecided`, `EtagMismatch`, `PermissionDenied`,
        `RequestIdReused`; `InvalidField` for that of an entry.
        """
        try:
            with self._database.write_in_order() as connection:
                if repeated := repeats.earlier(connection, _select(), cases, call):
                    return _to_case(repeated)
                # So that nobody judges the screening meanwhile.
                of_it = sa.select(cases.c.screening_seq).where(cases.c.case_id == case_id)
                screening = sa.select(screenings.c.seq).where(
                    screenings.c.seq == of_it.scalar_subquery()
                )
                connection.execute(screening.with_for_update()).all()
                row = _find(connection, case_id, own)
                if row.type is CaseType.FLOOD:
                    raise InvalidField(
                        "case_id", "it is about an entry; release or withdraw the entry instead"
                    )
                if row.state is CaseState.DECIDED:
                    raise CaseDecided("somebody has decided this case; read it again")
                if etag and etag != _to_case(row).etag:
                    raise EtagMismatch(
                        "there is new evidence since the case was read; read it again"
                    )
                values = _decided(call.actor, decision, why)
                values |= {"request_id": call.request_id, "fingerprint": call.fingerprint}
                connection.execute(cases.update().where(cases.c.seq == row.seq).values(values))
                details = {"decision": decision.name, "why": why}
                audit.append(connection, "case_decided", case_id, details, actor=call.actor)
                return _to_case(_find(connection, case_id))
        except IntegrityError:
            # Another server took the same request_id in between.
            return self.decide(call, case_id, etag, decision, why, own)


def case_of(screening_id: str) -> str:
    """The id that the case of a screening has, if it has one."""
    return ids.CASE + screening_id.removeprefix(ids.SCREENING)


def open_case(connection: sa.Connection, case_type: CaseType, seq: int, screening_id: str) -> str:
    """Opens the case of a screening, once more if it was decided; returns its id."""
    case_id = case_of(screening_id)
    values = _opened(case_type, now())
    again = connection.execute(cases.update().where(cases.c.screening_seq == seq).values(values))
    if not again.rowcount:
        values |= {"case_id": case_id, "screening_seq": seq}
        connection.execute(cases.insert().values(create_time=values["open_time"], **values))
    return case_id


def _reopen_held_by(
    connection: sa.Connection, gone: sa.ColumnElement[bool], at: datetime.datetime
) -> int:
    """Opens a case for each screening that some entries held back and no other entry still blocks;
    returns how many. ``gone`` tells these entries, which are out of use by now.
    """
    other, still = matched.alias(), entries.alias()
    blocked = (
        sa.select(other.c.screening_seq)
        .join(still, still.c.entry_id == other.c.entry_id)
        .join(banks, banks.c.seq == still.c.bank_seq)
        .where(
            other.c.screening_seq == matched.c.screening_seq,
            other.c.action == Action.BLOCK,
            still.c.state == EntryState.ACTIVE,
            banks.c.state == BankState.ACTIVE,
        )
        .exists()
    )
    held = (
        sa.select(screenings.c.seq, screenings.c.screening_id)
        .join(matched, matched.c.screening_seq == screenings.c.seq)
        .join(entries, entries.c.entry_id == matched.c.entry_id)
        .outerjoin(cases, cases.c.screening_seq == screenings.c.seq)
        .where(
            gone,
            matched.c.action.is_not(None),
            # What a person let pass is not held back.
            sa.func.coalesce(cases.c.decision, 0) != CaseDecision.OVERTURNED,
            screenings.c.verdict.in_([Verdict.BLOCK, Verdict.REVIEW]),
            ~blocked,
        )
        .distinct()
    )
    # Read once: of a list of a million it takes a second.
    rows = connection.execute(held).all()
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        known = cases.c.screening_seq.in_([row.seq for row in some])
        with_case = set(connection.execute(sa.select(cases.c.screening_seq).where(known)).scalars())
        opened = _opened(CaseType.REOPENED, at)
        connection.execute(cases.update().where(known).values(opened))
        new = [
            {
                "case_id": case_of(row.screening_id),
                "screening_seq": row.seq,
                "create_time": at,
                **opened,
            }
            for row in some
            if row.seq not in with_case
        ]
        if new:
            connection.execute(cases.insert(), new)
    return len(rows)


def open_flood(connection: sa.Connection, entry_seq: int, at: datetime.datetime) -> None:
    """Opens a case of an entry."""
    values = {"case_id": ids.new_id(ids.CASE), "entry_seq": entry_seq, "create_time": at}
    connection.execute(cases.insert().values(values | _opened(CaseType.FLOOD, at)))


def end_floods(
    connection: sa.Connection,
    which: sa.ColumnElement[bool],
    actor: str,
    decision: CaseDecision,
    why: str,
) -> None:
    """Decides the open cases of some entries; ``which`` tells them."""
    theirs = sa.exists().where(entries.c.seq == cases.c.entry_seq, which)
    connection.execute(
        cases.update()
        .where(cases.c.type == CaseType.FLOOD, cases.c.state == CaseState.OPEN, theirs)
        .values(_decided(actor, decision, why))
    )


def let_go(
    connection: sa.Connection,
    actor: str,
    which: sa.ColumnElement[bool],
    subject: str,
    why: str,
) -> None:
    """What follows from entries being out of use by now: their own cases are decided, and what they
    held back has one.
    """
    end_floods(connection, which, actor, CaseDecision.OVERTURNED, why)
    opened = _reopen_held_by(connection, which, now())
    if opened:
        audit.append(connection, "cases_reopened", subject, {"cases": opened}, actor=actor)


def _opened(case_type: CaseType, at: datetime.datetime) -> dict[str, Any]:
    return {**_UNDECIDED, "type": case_type, "open_time": at}


def _decided(actor: str, decision: CaseDecision, why: str) -> dict[str, Any]:
    return {
        "state": CaseState.DECIDED,
        "decision": decision,
        "decided_by": actor,
        "decide_time": now(),
        "why": why,
    }


def _select() -> sa.Select[Any]:
    return (
        sa.select(cases, screenings.c.screening_id, entries.c.entry_id)
        .outerjoin(screenings, screenings.c.seq == cases.c.screening_seq)
        .outerjoin(entries, entries.c.seq == cases.c.entry_seq)
    )


def _is_own(own: Collection[str]) -> sa.ColumnElement[bool]:
    """Cases that are of these banks alone: those of their entries, and of screenings that nothing
    but their entries ever held back.
    """
    own = sorted(own)
    of_own = sa.or_(banks.c.bank_id.in_(own), banks.c.name.in_(own))
    entry, bank = entries.alias(), banks.alias()
    named = (
        sa.select(matched.c.entry_id)
        .join(entry, entry.c.entry_id == matched.c.entry_id)
        .join(bank, bank.c.seq == entry.c.bank_seq)
        .where(matched.c.screening_seq == cases.c.screening_seq)
    )
    theirs = sa.or_(bank.c.bank_id.in_(own), bank.c.name.in_(own))
    by_entry = sa.exists().where(banks.c.seq == entries.c.bank_seq, of_own)
    by_screening = named.where(theirs).exists() & ~named.where(~theirs).exists()
    return sa.or_(cases.c.entry_seq.is_not(None) & by_entry, by_screening)


def _find(
    connection: sa.Connection, case_id: str, own: Collection[str] | None = None
) -> sa.Row[Any]:
    this = cases.c.case_id == case_id
    row = connection.execute(_select().where(this)).first()
    if row is None:
        raise CaseNotFound(f"case_id: there is no case {case_id!r}")
    if own is not None and not connection.execute(_select().where(this, _is_own(own))).first():
        raise PermissionDenied
    return row


def _to_case(row: sa.Row[Any]) -> Case:
    absent = {"screening_id": row.screening_id or "", "entry_id": row.entry_id or ""}
    return record(Case, row, **absent)
