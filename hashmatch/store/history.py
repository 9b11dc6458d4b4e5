"""The log of changes as outside readers follow it, and how long it is kept."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Generator, Iterator
from typing import Any, Final

import sqlalchemy as sa

from hashmatch.errors import ChangesCompacted, RevisionUnknown
from hashmatch.model.changes import Position
from hashmatch.model.records import BlocklistChange, Checkpoint
from hashmatch.model.verdicts import ChangeType, EntryState
from hashmatch.store import audit, codec
from hashmatch.store.database import Database
from hashmatch.store.rows import newest_revision, select_entries, to_entry
from hashmatch.store.tables import changes, entries, store

__all__ = ["History"]

# Changes that are deleted together: others who write wait meanwhile.
_DELETED_AT_ONCE: Final = 10_000

# One row stands for as many entries as were changed at once: by which column they are found, what
# that was for each, and what state it came to.
_MANY: Final = {
    "entries_created": (entries.c.batch, ChangeType.ENTRY_CREATED, EntryState.ACTIVE),
    "entries_proposed": (entries.c.batch, ChangeType.ENTRY_PROPOSED, EntryState.PENDING),
    "entries_approved": (entries.c.batch, ChangeType.ENTRY_APPROVED, EntryState.ACTIVE),
    "entries_withdrawn": (entries.c.left_batch, ChangeType.ENTRY_WITHDRAWN, EntryState.WITHDRAWN),
    "entries_declined": (entries.c.left_batch, ChangeType.ENTRY_DECLINED, EntryState.WITHDRAWN),
}


class History:
    """Methods block."""

    def __init__(self, database: Database) -> None:
        """``database`` is migrated."""
        self._database = database

    def read(
        self, after: Position, limit: int
    ) -> tuple[list[BlocklistChange], Position, Checkpoint | None]:
        """Up to ``limit`` changes, in order; how far these go; and that they are all, if so.

        Raises `ChangesCompacted`, `RevisionUnknown`, `StoreUnavailable`.
        """
        now = codec.from_ms(codec.now_ms())
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
        return found, position, Checkpoint(newest, now, position.token)

    def compact(self, before_ms: int) -> int:
        """Deletes the changes of before an instant, but for the newest; returns how many. With them
        goes what their requests were answered: a repeat of one would be done once more.
        """
        deleted = 0
        while True:
            with self._database.write_in_order() as connection:
                kept = sa.select(sa.func.min(changes.c.revision)).where(
                    changes.c.at_ms >= before_ms
                )
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
            if row.what in _MANY:
                first = after.entry if row.revision == after.revision else 0
                yield from _of_many(connection, row, first, limit, after.store_id)
            elif row.what.upper() in ChangeType.__members__:
                yield Position(row.revision, 0, after.store_id), _change(row)


def _of_many(
    connection: sa.Connection, row: sa.Row[Any], after: int, limit: int, store_id: str
) -> Iterator[tuple[Position, BlocklistChange]]:
    column, change_type, state = _MANY[row.what]
    query = select_entries().where(column == row.revision, entries.c.seq > after)
    for entry_row in connection.execute(query.order_by(entries.c.seq).limit(limit)):
        then = dataclasses.replace(
            to_entry(entry_row),
            # Whatever became of it since comes as a change of its own.
            state=state,
            revision=row.revision,
            update_time=codec.from_ms(row.at_ms),
        )
        time = codec.from_ms(row.at_ms)
        change = BlocklistChange(row.revision, change_type, time, None, then, "")
        yield Position(row.revision, entry_row.seq, store_id), change


def _change(row: sa.Row[Any]) -> BlocklistChange:
    is_entry = row.entry_seq is not None
    return BlocklistChange(
        row.revision,
        ChangeType[row.what.upper()],
        codec.from_ms(row.at_ms),
        None if is_entry else codec.parse_bank(row.after),
        codec.parse_entry(row.after) if is_entry else None,
        "",
    )
