"""The log of changes for outside readers, on both databases."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest

from hashmatch.engine.index.live import usable
from hashmatch.errors import ChangesCompacted, RevisionUnknown
from hashmatch.model.changes import Position
from hashmatch.model.commands import BankEdit, NewEntry
from hashmatch.model.records import BlocklistChange
from hashmatch.model.verdicts import Action, BankState, ChangeType, EntryState, Kind
from hashmatch.store import changes as changes_module
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.bulk import NewEntries
from hashmatch.store.changes import History
from hashmatch.store.database import Database
from hashmatch.store.tables import changes
from hashmatch.store.types import from_ms
from tests.databases import migrated
from tests.support import new_request, signals

FAR: int = 2**50  # Long after now, in ms.


@pytest.fixture
def store(database: Database) -> BlocklistStore:
    """A store in which every sort of change was made."""
    store = BlocklistStore(database)
    store.create_bank(new_request(), "swords", "", Action.BLOCK, {Kind.PDQ: 31})
    one = store.create_entry(new_request(), "swords", NewEntry("one", "", [signals(1)]), usable)
    store.create_entries(new_request(), "swords", many(5), usable)
    store.withdraw_entry(new_request(), one.ref.entry_id)
    store.withdraw_entry(new_request(), one.ref.entry_id)  # Changes nothing.
    store.create_entries(new_request(), "swords", [], usable)  # Nor does this.
    batched = store.list_entries(0, 1, None, None).items[0]
    store.withdraw_entry(new_request(), batched.ref.entry_id)
    store.create_entries(new_request(), "swords", many(3, 5), usable)
    store.update_bank(new_request(), "swords", "", BankEdit(label="sharp"))
    store.update_bank(new_request(), "swords", "", BankEdit(state=BankState.ARCHIVED))
    return store


@pytest.fixture
def history(store: BlocklistStore, database: Database) -> History:
    """Of that store."""
    return History(database)


def many(count: int, first: int = 0) -> list[NewEntries]:
    """Entries to make at once."""
    numbers = range(first, first + count)
    return [NewEntries.joined((f"many-{n}", "", [signals(100 + n)]) for n in numbers)]


def told(
    history: History, after: Position | None = None, limit: int = 1000
) -> list[BlocklistChange]:
    """All changes, read so many at a time."""
    position, found = after or Position(), []
    while True:
        some, position, checkpoint = history.read(position, limit)
        assert len(some) <= limit
        assert (len(some) == limit) == (checkpoint is None)
        found += some
        if checkpoint is not None:
            assert Position.from_token(checkpoint.resume_token) == position
            return found


def test_every_change_in_order(history: History, store: BlocklistStore) -> None:
    """Who keeps a copy of the blocklist would miss an entry, or keep one that was withdrawn."""
    found = told(history)
    assert [(each.type.name, each.entry.ref.reference if each.entry else "") for each in found] == [
        ("BANK_CREATED", ""),
        ("ENTRY_CREATED", "one"),
        *(("ENTRY_CREATED", f"many-{n}") for n in range(5)),
        ("ENTRY_WITHDRAWN", "one"),
        ("ENTRY_WITHDRAWN", "many-4"),
        *(("ENTRY_CREATED", f"many-{n}") for n in range(5, 8)),
        ("BANK_UPDATED", ""),
        ("BANK_ARCHIVED", ""),
    ]
    revisions = [each.revision for each in found]
    assert revisions == sorted(revisions)
    assert len({each.revision for each in found[2:7]}) == 1
    for each in found:
        changed = each.bank or each.entry
        assert changed is not None
        assert changed.revision == each.revision
        assert abs((each.time - changed.update_time).total_seconds()) < 30
        assert (each.bank is None) == each.type.name.startswith("ENTRY")
    # As they were then, whatever became of them since.
    states = [each.entry.state for each in found if each.entry]
    withdrawn = [each.type is ChangeType.ENTRY_WITHDRAWN for each in found if each.entry]
    assert [state is EntryState.WITHDRAWN for state in states] == withdrawn
    assert [each.bank.label for each in found if each.bank] == ["", "sharp", "sharp"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 7, 13, 14, 15])
def test_pages_of_any_size_are_the_whole(history: History, limit: int) -> None:
    """A change at the end of a page would be lost, or told twice."""
    assert told(history, limit=limit) == told(history)


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_from_any_token_the_rest_follows(history: History, limit: int) -> None:
    """After a broken connection a change would be lost, or told twice."""
    whole = told(history)
    for place, change in enumerate(whole, 1):
        rest = told(history, Position.from_token(change.resume_token), limit)
        assert rest == whole[place:]


def test_after_a_revision_the_rest_follows(history: History, store: BlocklistStore) -> None:
    """Who listed the blocklist could not go on from the revision of the list."""
    whole = told(history)
    for revision in range(store.revision() + 1):
        rest = [each for each in whole if each.revision > revision]
        assert told(history, Position(revision)) == rest
    page = store.list_entries(0, 100, None, None)
    assert page.revision == store.list_banks(0, 100, None).revision == store.revision()


def test_a_checkpoint_says_how_far_and_when(history: History, store: BlocklistStore) -> None:
    """A copy that is stale would be taken for a fresh one."""
    before = datetime.datetime.now(datetime.UTC)
    _, position, checkpoint = history.read(Position(), 1000)
    assert checkpoint is not None
    assert checkpoint.revision == position.revision == store.revision()
    assert abs((checkpoint.time - before).total_seconds()) < 30


def test_an_empty_blocklist_has_a_checkpoint(tmp_path: Path) -> None:
    """Who watches from the first would be refused."""
    with migrated("sqlite", tmp_path) as database:
        found, _, checkpoint = History(database).read(Position(), 10)
        assert (found, checkpoint and checkpoint.revision) == ([], 0)


def test_what_is_not_known_is_refused(
    history: History, store: BlocklistStore, tmp_path: Path
) -> None:
    """After a restored backup a copy would keep what is no longer listed, and nobody would know."""
    newest = store.revision()
    with pytest.raises(RevisionUnknown, match=f"revision {newest + 1} is not known") as caught:
        history.read(Position(newest + 1), 10)
    assert caught.value.metadata == {"newest_revision": f"{newest}"}
    folder = tmp_path / "other"
    folder.mkdir()
    with migrated("sqlite", folder) as other, pytest.raises(RevisionUnknown, match="of another"):
        History(other).read(Position.from_token(told(history)[0].resume_token), 10)


@pytest.mark.parametrize("token", ["x", "1.2", f"{'0' * 32}.1", f"{'0' * 32}.-1.0", "é" * 40])
def test_what_is_no_token_is_refused(token: str) -> None:
    """A crafted token would be a fault of the server."""
    with pytest.raises(ValueError, match="not one that this server gave"):
        Position.from_token(token)


def test_old_changes_are_forgotten(
    history: History, store: BlocklistStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log would grow for ever; or who was away too long would miss what was deleted."""
    monkeypatch.setattr(changes_module, "_DELETED_AT_ONCE", 2)
    whole = told(history)
    newest = store.revision()
    assert history.compact(0) == 0
    assert told(history) == whole
    assert history.compact(FAR) == newest - 1
    assert store.revision() == newest
    message = f"changes after revision 0 are no longer all kept, those after {newest - 1} are"
    for after in (Position(), Position(newest - 2), Position(newest - 1, 1)):
        with pytest.raises(ChangesCompacted) as caught:
            history.read(after, 10)
        assert caught.value.metadata == {"oldest_revision": f"{newest - 1}"}
    with pytest.raises(ChangesCompacted, match=re.escape(message)):
        history.read(Position(), 10)
    assert told(history, Position(newest - 1)) == whole[-1:]
    assert told(history, Position(newest)) == []
    assert history.compact(FAR) == 0
    store.create_bank(new_request(), "axes", "", Action.BLOCK, {Kind.PDQ: 31})
    assert [each.revision for each in told(history, Position(newest))] == [newest + 1]


def test_followers_are_told_that_changes_are_gone(history: History, store: BlocklistStore) -> None:
    """A server that was away too long would go on without the entries that came meanwhile."""
    newest = store.revision()
    history.compact(FAR)
    with pytest.raises(ChangesCompacted):
        store.changes_since(newest - 2, 10)
    assert [each.revision for each in store.changes_since(newest - 1, 10)] == [newest]


def test_only_what_is_old_is_forgotten(
    store: BlocklistStore, history: History, database: Database
) -> None:
    """The newest changes, which readers are about to ask for, would go as well."""
    [moment] = {round(each.time.timestamp() * 1000) for each in told(history)[-1:]}
    with database.write() as connection:
        connection.execute(
            changes.update()
            .where(changes.c.revision <= 3)
            .values(time=from_ms(moment - 10_000_000))
        )
    # A clock that was set back for a while deletes nothing out of turn.
    assert history.compact(moment - 5_000_000) == 3
    assert {each.revision for each in told(history, Position(3))} >= {store.revision()}
