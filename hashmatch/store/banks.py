"""Banks, and what their changes and those of entries have in common."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from hashmatch.errors import BankArchived, BankExists, EtagMismatch
from hashmatch.model import ids
from hashmatch.model.call import Call
from hashmatch.model.changes import ChangeKind
from hashmatch.model.commands import BankEdit
from hashmatch.model.records import Bank, BankPolicy, Page
from hashmatch.model.verdicts import Action, Activation, BankState, Kind
from hashmatch.store.cases import let_go
from hashmatch.store.changes import ChangeLog
from hashmatch.store.revision import Revision, revision
from hashmatch.store.rows import find_bank, key, newest_revision, page, select_banks, to_bank
from hashmatch.store.tables import banks, entries
from hashmatch.store.types import from_json, now

__all__ = ["Banks"]

T = TypeVar("T")


class Banks(ChangeLog):
    """A part of `store.blocklist.BlocklistStore`."""

    def create_bank(
        self,
        call: Call,
        name: str,
        label: str,
        action: Action,
        thresholds: dict[Kind, int],
        activation: Activation = Activation.ONE_PERSON,
        policy: BankPolicy | None = None,
    ) -> Bank:
        """Raises `BankExists`, `RequestIdReused`."""
        with self._revision(call) as revision:
            if revision.is_new:
                _check_name(revision.connection, name)
                created = now()
                inserted = revision.connection.execute(
                    banks.insert().values(
                        bank_id=ids.new_id(ids.BANK),
                        name=name,
                        label=label,
                        action=action,
                        thresholds=dict(sorted(thresholds.items())),
                        state=BankState.ACTIVE,
                        activation=activation,
                        policy=policy or BankPolicy(),
                        revision=0,
                        create_time=created,
                        update_time=created,
                    )
                )
                revision.bank(key(inserted), ChangeKind.BANK_CREATED)
        return from_json(Bank, revision.answer)

    def update_bank(self, call: Call, bank: str, etag: str, edit: BankEdit) -> Bank:
        """Raises `BankNotFound`, `BankExists`, `BankArchived`, `EtagMismatch`,
        `RequestIdReused`.
        """
        with self._revision(call) as revision:
            if revision.is_new:
                connection = revision.connection
                row = find_bank(connection, bank)
                if etag and etag != f"{row.revision}":
                    raise EtagMismatch(
                        "the bank has changed since its etag was read; read it again"
                    )
                if row.state is BankState.ARCHIVED:
                    raise BankArchived(f"bank {row.name!r} is archived and cannot be changed")
                if edit.name not in (None, row.name):
                    _check_name(connection, edit.name)
                values = {each.name: getattr(edit, each.name) for each in dataclasses.fields(edit)}
                values = {name: value for name, value in values.items() if value is not None}
                if edit.thresholds is not None:
                    values["thresholds"] = dict(sorted(edit.thresholds.items()))
                this = banks.update().where(banks.c.seq == row.seq)
                connection.execute(this.values(update_time=now(), **values))
                if edit.state is BankState.ARCHIVED:
                    gone = entries.c.bank_seq == row.seq
                    let_go(connection, call.actor, gone, row.bank_id, "its bank was archived")
                    revision.bank(row.seq, ChangeKind.BANK_ARCHIVED)
                else:
                    revision.bank(row.seq, ChangeKind.BANK_UPDATED)
        return from_json(Bank, revision.answer)

    def get_bank(self, bank: str) -> Bank:
        """By id or name. Raises `BankNotFound`."""
        with self._database.read() as connection:
            return to_bank(find_bank(connection, bank, counted=True))

    def list_banks(self, before: int, limit: int, state: BankState | None) -> Page[Bank]:
        """Newest first; ``before`` is the token of the page before, 0 for the first."""
        query = select_banks()
        if state is not None:
            query = query.where(banks.c.state == state)
        return self._page(query, banks.c.seq, before, limit, to_bank)

    # Shared

    def _revision(self, call: Call, why: str = "") -> contextlib.AbstractContextManager[Revision]:
        return revision(self._database, call, why)

    def _page(
        self,
        query: sa.Select[tuple[object, ...]],
        seq: sa.ColumnElement[int],
        before: int,
        limit: int,
        parse: Callable[[sa.Row[tuple[object, ...]]], T],
    ) -> Page[T]:
        with self._database.read() as connection:
            newest = newest_revision(connection)
            found = page(connection, query, seq, before, limit, parse)
        return dataclasses.replace(found, revision=newest)


def _check_name(connection: sa.Connection, name: str | None) -> None:
    """Raises `BankExists` if a bank has the name."""
    if connection.execute(sa.select(banks.c.seq).where(banks.c.name == name)).first() is not None:
        raise BankExists(f"name: there is a bank {name!r} already")
