"""A revision: one change of the blocklist with its row in the log, its answer and its audit row."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from hashmatch.model.call import Call
from hashmatch.model.changes import ChangeKind
from hashmatch.store import audit, repeats
from hashmatch.store.database import Database
from hashmatch.store.rows import key, select_banks, select_entries, to_bank, to_entry
from hashmatch.store.tables import banks, changes, entries
from hashmatch.store.types import now, to_json

__all__ = ["Revision", "answer_to", "revision"]


@dataclass
class Revision:
    """What makes one revision within a transaction of `Database.write_in_order`. ``why`` is for
    the audit trail. ``answer`` is the answer to the call, as JSON; None while it is new.
    """

    database: Database
    connection: sa.Connection
    call: Call
    why: str = ""
    answer: Any = None
    _number: int = 0

    @property
    def is_new(self) -> bool:
        """False if the request was answered before: then nothing is to be changed again."""
        return self.answer is None

    def bank(self, seq: int, kind: ChangeKind) -> None:
        """The revision did this to a bank; the bank after it is the answer."""
        row = self._changed(banks, select_banks(), seq, self.begin(kind, seq))
        self.end(kind, row.bank_id, to_json(to_bank(row)))

    def entry(self, bank_seq: int, seq: int, kind: ChangeKind) -> None:
        """The revision did this to an entry; the entry after it is the answer."""
        row = self._changed(entries, select_entries(), seq, self.begin(kind, bank_seq, seq))
        self.end(kind, row.entry_id, to_json(to_entry(row)))

    def begin(self, kind: ChangeKind, bank_seq: int, entry_seq: int | None = None) -> int:
        """The number of the revision, for rows that name it before its `end`."""
        inserted = self.connection.execute(
            changes.insert().values(
                time=now(),
                kind=kind,
                bank_seq=bank_seq,
                entry_seq=entry_seq,
                request_id=self.call.request_id,
                fingerprint=self.call.fingerprint,
                after={},
            )
        )
        self._number = key(inserted)
        return self._number

    def end(self, kind: ChangeKind, subject: str, answer: Mapping[str, Any]) -> None:
        """Keeps the answer for repeats, and appends to the audit trail; ``subject`` is the id of
        what was changed.
        """
        self.answer = answer
        this = changes.c.revision == self._number
        self.connection.execute(changes.update().where(this).values(after=answer))
        audit.append(
            self.connection,
            kind.value,
            subject,
            {**answer, "why": self.why} if self.why else answer,
            revision=self._number,
            actor=self.call.actor,
        )
        self.database.announce(self.connection)

    def _changed(
        self, table: sa.Table, query: sa.Select[Any], seq: int, number: int
    ) -> sa.Row[Any]:
        this = table.c.seq == seq
        self.connection.execute(table.update().where(this).values(revision=number))
        return self.connection.execute(query.where(this)).one()


def answer_to(connection: sa.Connection, call: Call) -> Any:
    """What the request was answered before; None if it is new. Raises `RequestIdReused`."""
    query = sa.select(changes.c.fingerprint, changes.c.after)
    row = repeats.earlier(connection, query, changes, call)
    return None if row is None else row.after


@contextlib.contextmanager
def revision(database: Database, call: Call, why: str = "") -> Iterator[Revision]:
    """A transaction that makes one revision, unless its request was answered before: only
    `Revision.is_new` goes on. Who forgets to ask is undone, as a request makes one revision.
    """
    made = None
    try:
        # Else a revision could come to light after a higher one, and followers would miss it.
        with database.write_in_order() as connection:
            made = Revision(database, connection, call, why, answer_to(connection, call))
            yield made
    except IntegrityError:
        # Another server took the same request_id in between.
        with database.read() as connection:
            answer = answer_to(connection, call)
        if made is None or answer is None:
            raise
        made.answer = answer
