"""What every change of the blocklist has in common: its row in the log, and its answer."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hashmatch.errors import BankArchived
from hashmatch.model.commands import Request
from hashmatch.model.verdicts import BankState, EntryState
from hashmatch.store import codec, repeats
from hashmatch.store.rows import find_bank, key
from hashmatch.store.tables import changes

__all__ = ["answer_to", "log_answer", "log_change", "new_entry", "open_bank", "subject_of"]


def open_bank(connection: sa.Connection, bank: str) -> sa.Row[Any]:
    """One that takes entries, by id or name. Raises `BankNotFound`, `BankArchived`."""
    row = find_bank(connection, bank)
    if row.state == BankState.ARCHIVED:
        raise BankArchived(f"bank {row.name!r} is archived and takes no entries")
    return row


def log_change(
    connection: sa.Connection,
    request: Request,
    what: str,
    bank_seq: int,
    entry_seq: int | None = None,
) -> int:
    """Begins a revision and gives its number; `_log_answer` ends it."""
    values = {
        "at_ms": codec.now_ms(),
        "what": what,
        "bank_seq": bank_seq,
        "entry_seq": entry_seq,
        "request_id": request.request_id,
        "fingerprint": request.fingerprint,
        "after": {},
    }
    return key(connection.execute(changes.insert().values(values)))


def log_answer(connection: sa.Connection, revision: int, answer: object) -> None:
    """What the request is answered that made a revision, also if it comes again."""
    connection.execute(changes.update().where(changes.c.revision == revision).values(after=answer))


def answer_to(connection: sa.Connection, request: Request) -> object | None:
    """What the request was answered before; None if it is new. Raises `RequestIdReused`."""
    row = connection.execute(
        sa.select(changes.c.fingerprint, changes.c.after).where(
            changes.c.request_id == request.request_id
        )
    ).first()
    if row is None:
        return None
    repeats.check(request, row.fingerprint)
    return row.after  # type: ignore[no-any-return]


def new_entry(now_ms: int, actor: str) -> dict[str, object]:
    """Columns that all entries that begin now have alike; of no media, unless it is said
    otherwise.
    """
    return {
        "state": EntryState.ACTIVE.value,
        "coverage": None,
        "coverage_reasons": [],
        "create_ms": now_ms,
        "update_ms": now_ms,
        "proposed_by": actor,
        "approved_by": "",
        "expire_ms": None,
    }


def subject_of(answer: Any) -> str:
    """The id of what a change was answered with."""
    return str(answer["bank_id"] if "bank_id" in answer else answer["ref"]["entry_id"])
