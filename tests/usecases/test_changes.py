"""Changes of the blocklist, told as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hashmatch.engine.index.live import usable
from hashmatch.errors import NotReady, StoreUnavailable
from hashmatch.model.call import Call
from hashmatch.model.callers import UNRESTRICTED
from hashmatch.model.changes import Position
from hashmatch.model.commands import NewEntry
from hashmatch.model.records import BlocklistChange, Checkpoint
from hashmatch.model.verdicts import Action, Kind
from hashmatch.store.audit import Audit
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.bulk import NewEntries
from hashmatch.store.changes import History
from hashmatch.store.database import Database
from hashmatch.usecases import changes
from hashmatch.usecases.changes import Changes
from hashmatch.usecases.replica import Replica
from tests.support import new_request, signals


@pytest.fixture
def store(database: Database) -> BlocklistStore:
    """A store with one bank."""
    store = BlocklistStore(database)
    store.create_bank(new_request(), "swords", "", Action.BLOCK, {Kind.PDQ: 31})
    return store


@pytest_asyncio.fixture
async def feed(store: BlocklistStore, database: Database) -> AsyncIterator[Changes]:
    """Of a server that follows the store."""
    replica = Replica(store)
    await replica.load()
    async with replica.following():
        yield Changes(History(database), replica, Audit(database))


def add(store: BlocklistStore, reference: str) -> None:
    """Another server adds an entry."""
    store.create_entry(new_request(), "swords", NewEntry(reference, "", [signals(1)]), usable)


def name(told: BlocklistChange | Checkpoint) -> str:
    """What to tell it by."""
    if isinstance(told, Checkpoint):
        return "-"
    return told.entry.ref.reference if told.entry else "bank"


async def test_what_is_there_then_what_comes(feed: Changes, store: BlocklistStore) -> None:
    """A reader would have to ask again and again."""
    async with contextlib.aclosing(feed.watch(Call(UNRESTRICTED), Position())) as told:
        assert [name(await anext(told)) for _ in range(2)] == ["bank", "-"]
        for number in range(20):
            await asyncio.to_thread(add, store, f"{number}")
            async with asyncio.timeout(60):
                while (heard := name(await anext(told))) == "-":
                    pass
            assert heard == f"{number}"


async def test_silence_is_told_too(feed: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader could not tell a quiet day from a broken connection."""
    monkeypatch.setattr(changes, "_CHECKPOINT_SECONDS", 0.05)
    async with contextlib.aclosing(feed.watch(Call(UNRESTRICTED), Position(1))) as told:
        heard = [await anext(told) for _ in range(5)]
    times = [each.time for each in heard if isinstance(each, Checkpoint)]
    assert len(times) == 5
    assert times == sorted(set(times))
    assert {each.revision for each in heard} == {1}


async def test_a_crowd_of_entries_comes_in_pages(
    feed: Changes, store: BlocklistStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bulk import would be lost in part, or held in memory for each reader."""
    monkeypatch.setattr(changes, "_AT_ONCE", 7)
    crowd = [NewEntries.joined((f"{n}", "", [signals(n)]) for n in range(40))]
    async with contextlib.aclosing(feed.watch(Call(UNRESTRICTED), Position(1))) as told:
        assert name(await anext(told)) == "-"
        await asyncio.to_thread(store.create_entries, new_request(), "swords", crowd, usable)
        heard: list[str] = []
        while len(heard) < 40:
            heard += [each for each in [name(await anext(told))] if each != "-"]
    assert heard == [f"{number}" for number in range(40)]


async def test_a_server_that_stops_sends_its_readers_away(feed: Changes) -> None:
    """Readers would hold up every update for as long as the server may take to stop."""
    async with contextlib.aclosing(feed.watch(Call(UNRESTRICTED), Position(1))) as told:
        assert name(await anext(told)) == "-"
        waiting = asyncio.create_task(anext(told))
        await asyncio.sleep(0.1)
        feed.end()
        with pytest.raises(NotReady, match="stopping"):
            await waiting


async def test_a_store_that_is_away_is_said_so(
    feed: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader would wait for changes that it cannot be told."""

    def away(*_: object) -> None:
        raise StoreUnavailable("away")

    async with contextlib.aclosing(feed.watch(Call(UNRESTRICTED), Position(1))) as told:
        assert name(await anext(told)) == "-"
        monkeypatch.setattr(History, "read", away)
        with pytest.raises(StoreUnavailable):
            await anext(told)
