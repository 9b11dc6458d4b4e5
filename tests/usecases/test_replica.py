"""The blocklist in memory follows the store, whoever changes it."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.engine.index import live
from hashmatch.engine.index import snapshot as snapshots
from hashmatch.engine.index.live import Snapshot, usable
from hashmatch.errors import StoreUnavailable
from hashmatch.model.commands import BankEdit, NewEntry
from hashmatch.model.records import Bank
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Action, BankState, EntryState, Kind
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.bulk import NewEntries
from hashmatch.store.changes import History
from hashmatch.store.database import Database
from hashmatch.store.tables import changes, entries, entry_signals
from hashmatch.usecases import replica as replica_module
from hashmatch.usecases.replica import Replica
from tests.databases import BACKENDS, Postgres, migrated, url_of
from tests.support import PATIENT, new_request, signals


@pytest.fixture
def url(database: Database) -> str:
    """Where it is."""
    return url_of(database)


@pytest.fixture
def store(database: Database) -> BlocklistStore:
    """An empty store."""
    return BlocklistStore(database)


def make_bank(
    store: BlocklistStore, name: str = "a-bank", thresholds: dict[Kind, int] | None = None
) -> Bank:
    """A blocking bank that matches by PDQ."""
    return store.create_bank(new_request(), name, "", Action.BLOCK, thresholds or {Kind.PDQ: 31})


def make_entry(store: BlocklistStore, seed: int, bank: str = "a-bank") -> str:
    """The id of an entry with the hash of ``seed``."""
    given_signals = [signals(seed), signals(seed, 1, Kind.SHA256)]
    return store.create_entry(
        new_request(), bank, NewEntry("", "", given_signals), usable
    ).ref.entry_id


def found(snapshot: Snapshot, seed: int, kind: Kind = Kind.PDQ) -> list[int]:
    """Entries that the hash of ``seed`` matches."""
    return sorted(snapshot.search(signals(seed, 1, kind)).entry.tolist())


async def loaded(store: BlocklistStore) -> Replica:
    """A server that just started."""
    made = Replica(store)
    await made.load()
    return made


async def test_an_empty_store_is_an_empty_blocklist(store: BlocklistStore) -> None:
    """A new server would not start."""
    replica = await loaded(store)
    assert (replica.snapshot.revision, replica.snapshot.active_entries) == (0, 0)
    assert (await replica.current()).revision == 0
    assert await replica.entry_refs([]) == {}


async def test_changes_of_another_server_are_found(store: BlocklistStore, url: str) -> None:
    """An entry added on one server would pass on all others."""
    one, other = await loaded(store), await loaded(store)
    make_bank(store)
    entry_id = make_entry(store, 1)
    for replica in (one, other):
        snapshot = await replica.current()
        [seq] = found(snapshot, 1)
        assert (await replica.entry_refs([seq]))[seq].entry_id == entry_id
        assert snapshot.revision == store.revision()
        assert snapshot.active_entries == 1


async def test_changes_of_another_process_are_found(store: BlocklistStore, url: str) -> None:
    """Likewise, for servers that share nothing but the database."""
    make_bank(store, thresholds={Kind.SHA256: 0})
    replica = await loaded(store)
    file = Signals.of_file(Kind.SHA256, bytes(range(32)))
    assert len(replica.snapshot.search(file)) == 0
    code = """
import sys
from hashmatch.engine.index.live import usable
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind
from hashmatch.model.call import Call
from hashmatch.model.callers import UNRESTRICTED
from hashmatch.model.commands import NewEntry
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.database import Database
store = BlocklistStore(Database(sys.argv[1]))
signals = [Signals.of_file(Kind.SHA256, bytes(range(32)))]
call = Call(UNRESTRICTED, "id", "fingerprint")
store.create_entry(call, "a-bank", NewEntry("", "", signals), usable)
"""
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code, url], check=True)
    assert len((await replica.current()).search(file)) == 1


async def test_what_is_fresh_is_not_made_again(store: BlocklistStore) -> None:
    """Every upload would copy the blocklist."""
    make_bank(store)
    make_entry(store, 1)
    replica = await loaded(store)
    assert await replica.current() is await replica.current() is replica.snapshot


async def test_an_entry_that_came_and_went_meanwhile(store: BlocklistStore) -> None:
    """A server that was busy would block by an entry that was taken back at once."""
    make_bank(store)
    replica = await loaded(store)
    store.withdraw_entry(new_request(), make_entry(store, 1))
    make_entry(store, 2)
    snapshot = await replica.current()
    assert found(snapshot, 1) == []
    assert len(found(snapshot, 2)) == 1
    assert snapshot.active_entries == 1


async def test_an_entry_that_is_withdrawn_again(store: BlocklistStore) -> None:
    """A server that started in between would count one entry too few, and take a full blocklist
    for an empty one.
    """
    make_bank(store)
    gone = make_entry(store, 1)
    make_entry(store, 2)
    store.withdraw_entry(new_request(), gone)
    replica = await loaded(store)
    store.withdraw_entry(new_request(), gone)
    assert (await replica.current()).active_entries == 1


async def test_a_banks_policy_is_followed(store: BlocklistStore) -> None:
    """A threshold that was tightened, or a bank put out of use, would go on accusing."""
    make_bank(store)
    make_entry(store, 1)
    replica = await loaded(store)
    edit = BankEdit(action=Action.REVIEW, thresholds={Kind.SHA256: 0})
    store.update_bank(new_request(), "a-bank", "", edit)
    snapshot = await replica.current()
    assert found(snapshot, 1) == []
    assert len(found(snapshot, 1, Kind.SHA256)) == 1
    assert [bank.action for bank in snapshot.banks.values()] == [Action.REVIEW]
    store.update_bank(new_request(), "a-bank", "", BankEdit(state=BankState.ARCHIVED))
    snapshot = await replica.current()
    assert found(snapshot, 1, Kind.SHA256) == []
    assert snapshot.active_entries == 0


async def test_a_snapshot_stays_as_it_is(store: BlocklistStore) -> None:
    """One verdict would be made of two states of the blocklist."""
    make_bank(store)
    replica = await loaded(store)
    pinned = await replica.current()
    make_entry(store, 1)
    newer = await replica.current()
    assert (found(pinned, 1), pinned.active_entries) == ([], 0)
    assert (len(found(newer, 1)), newer.active_entries) == (1, 1)


async def test_many_changes_at_once(store: BlocklistStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was away for long would follow only the first changes."""
    monkeypatch.setattr(replica_module, "_CHANGES_AT_ONCE", 7)
    make_bank(store)
    replica = await loaded(store)
    for seed in range(20):
        make_entry(store, seed)
    snapshot = await replica.current()
    assert snapshot.active_entries == 20
    assert all(len(found(snapshot, seed)) == 1 for seed in range(20))


async def test_uploads_ask_at_the_same_time(store: BlocklistStore) -> None:
    """Two uploads that meet a new entry together would count it twice, or one would miss it."""
    make_bank(store)
    replica = await loaded(store)
    for seed in range(3):
        make_entry(store, seed)
        snapshots = await asyncio.gather(*(replica.current() for _ in range(8)))
        for snapshot in snapshots:
            assert snapshot.active_entries == seed + 1
            assert len(found(snapshot, seed)) == 1


async def test_no_upload_is_screened_by_the_past(store: BlocklistStore) -> None:
    """An entry whose keeper was told 'added' would not be found by the next upload."""
    make_bank(store)
    replica = await loaded(store)

    async def add(seed: int) -> None:
        await asyncio.to_thread(make_entry, store, seed)
        assert len(found(await replica.current(), seed)) == 1

    await asyncio.gather(*(add(seed) for seed in range(12)))
    assert replica.snapshot.active_entries == 12


# Any history

BANKS = ("a-bank", "b-bank")
STEPS = st.one_of(
    st.tuples(st.just("entry"), st.sampled_from(BANKS), st.integers(0, 5)),
    st.tuples(st.just("withdraw"), st.just(""), st.integers(0, 9)),
    st.tuples(st.just("archive"), st.sampled_from(BANKS), st.just(0)),
    st.tuples(
        st.just("thresholds"),
        st.sampled_from(BANKS),
        st.sampled_from([{Kind.PDQ: 31}, {Kind.SHA256: 0}, {Kind.PDQ: 0, Kind.SHA256: 0}]),
    ),
    st.tuples(st.just("follow"), st.just(""), st.just(0)),
)


def step(store: BlocklistStore, what: str, bank: str, chosen: object) -> None:
    """Makes one change, if the state allows it."""
    listed = store.list_entries(0, 100, None, None).items
    active = store.get_bank(bank).state is BankState.ACTIVE if bank else True
    if not active:
        return
    if what == "entry":
        assert isinstance(chosen, int)
        make_entry(store, chosen, bank)
    elif what == "withdraw" and listed:
        assert isinstance(chosen, int)
        store.withdraw_entry(new_request(), listed[chosen % len(listed)].ref.entry_id)
    elif what == "archive":
        store.update_bank(new_request(), bank, "", BankEdit(state=BankState.ARCHIVED))
    elif what == "thresholds":
        assert isinstance(chosen, dict)
        store.update_bank(new_request(), bank, "", BankEdit(thresholds=chosen))


@settings(PATIENT, max_examples=15)
@given(st.lists(STEPS, max_size=14))
async def test_a_server_that_followed_knows_what_one_that_loaded_knows(
    steps: list[tuple[str, str, object]],
) -> None:
    """Two servers behind one load balancer would give two verdicts."""
    for backend in BACKENDS:
        with tempfile.TemporaryDirectory() as folder, migrated(backend, Path(folder)) as database:
            store = BlocklistStore(database)
            for name in BANKS:
                make_bank(store, name)
            followed = await loaded(store)
            for what, bank, chosen in steps:
                if what == "follow":
                    await followed.current()
                else:
                    step(store, what, bank, chosen)
            one, other = await followed.current(), (await loaded(store)).snapshot
            assert one.revision == other.revision == store.revision()
            assert one.active_entries == other.active_entries == active_entries(store)
            assert one.kinds_to_compute == other.kinds_to_compute
            assert one.kinds_to_search == other.kinds_to_search
            assert {seq: policy(bank) for seq, bank in one.banks.items()} == {
                seq: policy(bank) for seq, bank in other.banks.items()
            }
            for seed in range(6):
                for kind in (Kind.PDQ, Kind.SHA256):
                    assert found(one, seed, kind) == found(other, seed, kind)


def policy(bank: Bank) -> tuple[object, ...]:
    """What of a bank decides a verdict."""
    return bank.name, bank.action, bank.thresholds, bank.state


def active_entries(store: BlocklistStore) -> int:
    """Entries that can match, as the store counts them."""
    return sum(
        entry.state is EntryState.ACTIVE
        for entry in store.list_entries(0, 1000, None, None).items
        if store.get_bank(entry.ref.bank_id).state is BankState.ACTIVE
    )


async def test_compaction_goes_on_behind_searches_and_changes(
    store: BlocklistStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some days, a search would go through every entry one by one; or while entries are
    made part of what is quick to search, others would be missed.
    """
    monkeypatch.setattr(live, "_NEW_ROWS", 4)
    running, go_on = threading.Event(), threading.Event()
    run = live.Compaction.run

    def held(self: live.Compaction) -> live.Compacted:
        running.set()
        assert go_on.wait(60)
        return run(self)

    monkeypatch.setattr(live.Compaction, "run", held)
    make_bank(store)
    replica = await loaded(store)
    made = []
    for number in range(6):
        made.append(make_entry(store, number))
        await replica.current()
    assert await asyncio.to_thread(running.wait, 60)
    # What comes and goes while it runs is found, and not found, at once.
    store.withdraw_entry(new_request(), made[1])
    make_entry(store, 6)
    snapshot = await replica.current()
    assert [bool(found(snapshot, number)) for number in range(7)] == [True, False, *[True] * 5]
    go_on.set()
    await replica.close()
    after = await replica.current()
    assert after.revision == snapshot.revision
    assert [bool(found(after, number)) for number in range(7)] == [True, False, *[True] * 5]
    assert after.tables[Kind.PDQ].segments[0].bands is not None


async def test_a_store_that_was_set_back_is_read_anew(
    store: BlocklistStore, database: Database
) -> None:
    """After a backup was restored, a server would go on to block by what is not in it."""
    make_bank(store)
    make_entry(store, 1)
    before = store.revision()
    make_entry(store, 2)
    replica = await loaded(store)
    with database.write() as connection:
        connection.execute(changes.delete().where(changes.c.revision > before))
        connection.execute(entry_signals.delete().where(entry_signals.c.entry_seq == 2))
        connection.execute(entries.delete().where(entries.c.seq == 2))
    snapshot = await replica.current()
    assert snapshot.revision == before
    assert (found(snapshot, 1), found(snapshot, 2)) == ([1], [])
    assert snapshot.active_entries == 1


async def test_a_server_that_was_away_too_long_reads_all_anew(
    store: BlocklistStore, database: Database, tmp_path: Path
) -> None:
    """It would go on without what came meanwhile, once the log of changes was cut."""
    file = tmp_path / "index"
    make_bank(store)
    gone = make_entry(store, 1)
    replica = await kept(store, file)
    make_entry(store, 2)
    store.withdraw_entry(new_request(), gone)
    make_entry(store, 3)
    History(database).compact(2**50)
    for snapshot in (await replica.current(), (await kept(store, file)).snapshot):
        assert [bool(found(snapshot, number)) for number in (1, 2, 3)] == [False, True, True]
        assert snapshot.active_entries == 2
        assert snapshot.revision == store.revision()


async def test_following_goes_on_whatever_happens(
    store: BlocklistStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault that comes once would make a server stale for ever."""
    make_bank(store)
    replica = await loaded(store)
    follow, faults = Replica._follow, [ZeroDivisionError("a fault"), MemoryError()]

    def failing(self: Replica, snapshot: Snapshot) -> Snapshot:
        if faults:
            raise faults.pop()
        return follow(self, snapshot)

    monkeypatch.setattr(Replica, "_follow", failing)
    async with replica.following():
        make_entry(store, 1)
        await until(lambda: bool(found(replica.snapshot, 1)))
    assert faults == []


async def until(condition: Callable[[], bool]) -> float:
    """Waits for something; returns how long it took, in s."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 60
        await asyncio.sleep(0.005)
    return time.monotonic() - began


async def test_what_others_change_is_followed_unasked(store: BlocklistStore, url: str) -> None:
    """A server that has little to do would hear of an entry when it is asked for the next media."""
    make_bank(store)
    replica = await loaded(store)
    other = BlocklistStore(Database(url))
    async with replica.following():
        entry = make_entry(other, 1)
        await until(lambda: found(replica.snapshot, 1) == [1])
        other.create_entries(
            new_request(),
            "a-bank",
            [NewEntries.joined(("", "", [signals(n)]) for n in range(2, 30))],
            usable,
        )
        other.withdraw_entry(new_request(), entry)
        await until(lambda: found(replica.snapshot, 1) == [] != found(replica.snapshot, 29))
        assert replica.snapshot.active_entries == 28
        assert replica.is_fresh
    other._database.close()


async def test_nothing_is_lost_while_the_database_is_away() -> None:
    """An entry that came while a server could not hear of it would never be in effect there."""
    server = Postgres()
    urls = Database(server.new(name="away"))
    urls.migrate()
    store = BlocklistStore(urls)
    make_bank(store)
    replica = Replica(store, max_staleness_seconds=0.3)
    await replica.load()
    async with replica.following():
        for number in range(3):
            server.stop()
            await until(lambda: not replica.is_fresh)
            with pytest.raises(StoreUnavailable):
                await replica.current()
            # The newest there is can still be searched: what is known is found.
            assert len(found(await replica.newest(), max(0, number - 1))) == (1 if number else 0)
            server.start()
            make_entry(store, number)
            await until(lambda sought=number: bool(found(replica.snapshot, sought)))  # type: ignore[misc]
            assert replica.is_fresh
    assert replica.snapshot.active_entries == 3
    urls.close()


async def kept(store: BlocklistStore, file: Path) -> Replica:
    """A server that just started, and keeps its index in a file."""
    made = Replica(store, file=file)
    await made.load()
    await made.close()
    return made


async def test_a_server_starts_from_its_file(
    store: BlocklistStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ten million entries every start would take minutes."""
    file = tmp_path / "index"
    make_bank(store)
    entries = [make_entry(store, number) for number in range(4)]
    first = await kept(store, file)
    store.withdraw_entry(new_request(), entries[1])
    store.update_bank(
        new_request(), "a-bank", "", BankEdit(thresholds={Kind.PDQ: 8, Kind.SHA256: 0})
    )
    make_bank(store, "another")
    make_entry(store, 4, "another")
    monkeypatch.setattr(Replica, "_load", None)  # It is not made anew.
    second = await kept(store, file)
    assert second.snapshot.revision == store.revision() > first.snapshot.revision
    assert [bool(found(second.snapshot, n)) for n in range(5)] == [True, False, True, True, True]
    assert found(second.snapshot, 4, Kind.SHA256) == []
    assert found(second.snapshot, 0, Kind.SHA256) == [1]
    assert second.snapshot.active_entries == 4
    assert [bank.name for bank in second.snapshot.banks.values()] == ["a-bank", "another"]


async def test_a_file_that_cannot_be_used_is_made_anew(
    store: BlocklistStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server would not start, or search another blocklist than its own."""
    file = tmp_path / "index"
    make_bank(store)
    make_entry(store, 1)
    await kept(store, file)
    whole = file.read_bytes()
    (tmp_path / "other").mkdir()
    with migrated("sqlite", tmp_path / "other") as database:
        other = BlocklistStore(database)
        make_bank(other)
        assert found((await kept(other, file)).snapshot, 1) == []
    # That of another store is no longer ours.
    for damaged in (file.read_bytes(), whole[:-100], b"", b"\0" * len(whole)):
        file.write_bytes(damaged)
        assert found((await kept(store, file)).snapshot, 1) == [1]
        assert file.read_bytes() == whole
    # A store that was set back to an earlier state, as from a backup, has given numbers again.
    later = snapshots.load(file, store.store_id())
    snapshots.save(file, store.store_id(), dataclasses.replace(later, revision=99))
    assert (await kept(store, file)).snapshot.revision == store.revision()


async def test_a_server_starts_without_a_place_for_its_file(
    store: BlocklistStore, tmp_path: Path
) -> None:
    """A disk that is full would stop every upload."""
    make_bank(store)
    make_entry(store, 1)
    replica = await kept(store, tmp_path / "no such folder" / "index")
    assert found(replica.snapshot, 1) == [1]


async def test_compaction_renews_the_file(
    store: BlocklistStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After weeks a start would follow all that was changed since the first."""
    monkeypatch.setattr(live, "_NEW_ROWS", 4)
    make_bank(store)
    replica = await kept(store, tmp_path / "index")
    for number in range(10):
        make_entry(store, number)
        await replica.current()
        await replica.close()
    assert snapshots.load(tmp_path / "index", store.store_id()).revision > 5
