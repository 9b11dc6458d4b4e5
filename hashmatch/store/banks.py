"""Banks, and what their changes and those of entries have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from hashmatch.errors import BankArchived, BankExists, EtagMismatch
from hashmatch.model import ids
from hashmatch.model.commands import BankEdit, Request
from hashmatch.model.records import Bank, BankPolicy, Page
from hashmatch.model.verdicts import Action, Activation, BankState, Kind
from hashmatch.store import audit, codec
from hashmatch.store.cases import let_go
from hashmatch.store.change_log import ChangeLog
from hashmatch.store.changing import answer_to, log_answer, log_change, subject_of
from hashmatch.store.rows import (
    find_bank,
    key,
    newest_revision,
    page,
    select_banks,
    thresholds_json,
    to_bank,
)
from hashmatch.store.tables import banks, entries

__all__ = ["Banks"]

T = TypeVar("T")


class Banks(ChangeLog):
    """A part of `store.blocklist.BlocklistStore`."""

    def create_bank(
        self,
        request: Request,
        name: str,
        label: str,
        action: Action,
        thresholds: dict[Kind, int],
        activation: Activation = Activation.ONE_PERSON,
        policy: BankPolicy | None = None,
    ) -> Bank:
        """Raises `BankExists`, `RequestIdReused`."""

        def change(connection: sa.Connection) -> tuple[str, int, int | None]:
            now = codec.now_ms()
            taken = connection.execute(sa.select(banks.c.seq).where(banks.c.name == name)).first()
            if taken is not None:
                raise BankExists(f"name: there is a bank {name!r} already")
            inserted = connection.execute(
                banks.insert().values(
                    bank_id=ids.new_id(ids.BANK),
                    name=name,
                    label=label,
                    action=action,
                    thresholds=thresholds_json(thresholds),
                    state=BankState.ACTIVE,
                    activation=activation,
                    policy=codec.policy_json(policy or BankPolicy()),
                    revision=0,
                    create_ms=now,
                    update_ms=now,
                )
            )
            return "bank_created", key(inserted), None

        return self._change(request, change, self._bank_after, codec.parse_bank)

    def update_bank(self, request: Request, bank: str, etag: str, edit: BankEdit) -> Bank:
        """Raises `BankNotFound`, `BankExists`, `BankArchived`, `EtagMismatch`,
        `RequestIdReused`.
        """

        def change(connection: sa.Connection) -> tuple[str, int, int | None]:
            row = find_bank(connection, bank)
            if etag and etag != f"{row.revision}":
                raise EtagMismatch("the bank has changed since its etag was read; read it again")
            if row.state == BankState.ARCHIVED:
                raise BankArchived(f"bank {row.name!r} is archived and cannot be changed")
            values = {
                "name": edit.name,
                "label": edit.label,
                "action": edit.action,
                "state": edit.state,
                "activation": edit.activation,
                "policy": edit.policy and codec.policy_json(edit.policy),
                "thresholds": edit.thresholds and thresholds_json(edit.thresholds),
            }
            values = {name: value for name, value in values.items() if value is not None}
            if edit.name is not None and edit.name != row.name:
                same = sa.select(banks.c.seq).where(banks.c.name == edit.name)
                if connection.execute(same).first() is not None:
                    raise BankExists(f"name: there is a bank {edit.name!r} already")
            connection.execute(
                banks.update()
                .where(banks.c.seq == row.seq)
                .values(update_ms=codec.now_ms(), **values)
            )
            if edit.state is not BankState.ARCHIVED:
                return "bank_updated", row.seq, None
            gone = entries.c.bank_seq == row.seq
            let_go(connection, request.actor, gone, row.bank_id, "its bank was archived")
            return "bank_archived", row.seq, None

        return self._change(request, change, self._bank_after, codec.parse_bank)

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

    def _change(
        self,
        request: Request,
        change: Callable[[sa.Connection], tuple[str, int, int | None]],
        after: Callable[[sa.Connection, int, int | None], Any],
        parse: Callable[[object], T],
        why: str = "",
    ) -> T:
        """Makes one revision, or gives the answer of the request that was made before. ``why`` is
        for the audit trail.
        """
        try:
            # Else a revision could come to light after a higher one, and followers would miss it.
            with self._database.write_in_order() as connection:
                earlier = answer_to(connection, request)
                if earlier is not None:
                    return parse(earlier)
                what, bank_seq, entry_seq = change(connection)
                revision = log_change(connection, request, what, bank_seq, entry_seq)
                changed = (
                    banks.c.seq == bank_seq if entry_seq is None else entries.c.seq == entry_seq
                )
                table = banks if entry_seq is None else entries
                connection.execute(table.update().where(changed).values(revision=revision))
                answer = after(connection, bank_seq, entry_seq)
                log_answer(connection, revision, answer)
                audit.append(
                    connection,
                    what,
                    subject_of(answer),
                    {**answer, "why": why} if why else answer,
                    revision=revision,
                    actor=request.actor,
                )
                self._database.announce(connection)
                return parse(answer)
        except IntegrityError:
            # Another server took the same request_id in between.
            with self._database.read() as connection:
                earlier = answer_to(connection, request)
            if earlier is None:
                raise
            return parse(earlier)

    @staticmethod
    def _bank_after(connection: sa.Connection, bank_seq: int, _: int | None) -> object:
        row = connection.execute(select_banks().where(banks.c.seq == bank_seq)).one()
        return codec.bank_json(to_bank(row))

    def _page(
        self,
        query: sa.Select[tuple[object, ...]],
        seq: sa.ColumnElement[int],
        before: int,
        limit: int,
        parse: Callable[[sa.Row[tuple[object, ...]]], T],
    ) -> Page[T]:
        with self._database.read() as connection:
            revision = newest_revision(connection)
            found = page(connection, query, seq, before, limit, parse)
        return replace(found, revision=revision)
