"""Banks, entries and their change log: what any database must do alike."""

from __future__ import annotations

import concurrent.futures
import datetime
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from hashmatch.engine.index.live import usable
from hashmatch.errors import (
    BankArchived,
    BankExists,
    BankNotFound,
    EntryNotFound,
    EtagMismatch,
    RequestIdReused,
)
from hashmatch.model import ids
from hashmatch.model.call import Call
from hashmatch.model.callers import UNRESTRICTED
from hashmatch.model.changes import ChangeKind
from hashmatch.model.commands import BankEdit, NewEntry
from hashmatch.model.records import Bank, Entry, KindCount, Page
from hashmatch.model.signals import EntrySignals, Signals
from hashmatch.model.verdicts import Action, BankState, EntryState, Kind
from hashmatch.store import rows
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.bulk import NewEntries
from hashmatch.store.database import Database
from hashmatch.store.tables import changes, entries, entry_signals
from tests.databases import BACKENDS, migrated, url_of
from tests.support import PATIENT, any_signals, new_request, signals

THRESHOLDS = {Kind.SHA256: 0, Kind.PDQ: 31}


@pytest.fixture
def store(database: Database) -> BlocklistStore:
    """The store under test."""
    return BlocklistStore(database)


@pytest.fixture
def bank(store: BlocklistStore) -> Bank:
    """A bank."""
    return make_bank(store, "first")


def make_bank(store: BlocklistStore, name: str, request: Call | None = None) -> Bank:
    """A blocking bank."""
    return store.create_bank(request or new_request(), name, "a label", Action.BLOCK, THRESHOLDS)


def make_entry(
    store: BlocklistStore,
    bank: Bank,
    reference: str = "a reference",
    label: str = "",
    given: list[Signals] | None = None,
    request: Call | None = None,
) -> Entry:
    """An entry of one PDQ hash."""
    return store.create_entry(
        request or new_request(),
        bank.bank_id,
        NewEntry(reference, label, given or [signals(1)]),
        usable,
    )


def seconds_ago(instant: datetime.datetime) -> float:
    """How long an instant is past."""
    return (datetime.datetime.now(datetime.UTC) - instant).total_seconds()


# Banks


def test_a_bank_is_as_it_was_made(store: BlocklistStore) -> None:
    """A bank would match by another policy than its keeper chose."""
    made = store.create_bank(new_request(), "a-bank", "what it is", Action.REVIEW, {Kind.PHASH: 7})
    assert (made.name, made.label, made.action) == ("a-bank", "what it is", Action.REVIEW)
    assert made.thresholds == {Kind.PHASH: 7}
    assert (made.state, made.active_entries, made.revision) == (BankState.ACTIVE, 0, 1)
    assert ids.is_id(ids.BANK, made.bank_id)
    assert made.create_time == made.update_time
    assert 0 <= seconds_ago(made.create_time) < 60
    assert store.get_bank(made.bank_id) == store.get_bank("a-bank") == made


def test_names_of_banks_are_unique(store: BlocklistStore, bank: Bank) -> None:
    """An entry would go to either of two banks, by chance."""
    with pytest.raises(BankExists):
        make_bank(store, bank.name)
    other = make_bank(store, "other")
    with pytest.raises(BankExists):
        store.update_bank(new_request(), "other", "", BankEdit(name=bank.name))
    assert store.get_bank("other") == other
    assert store.revision() == 2


def test_a_bank_that_does_not_exist(store: BlocklistStore, bank: Bank) -> None:
    """A misspelled name would look like an empty bank."""
    for attempt in (
        lambda: store.get_bank("secnd"),
        lambda: store.update_bank(new_request(), "secnd", "", BankEdit(label="x")),
        lambda: store.create_entry(new_request(), "secnd", NewEntry("", "", [signals(1)]), usable),
        lambda: store.list_entries(0, 10, "secnd", None),
        lambda: store.get_bank(""),
        lambda: store.get_bank("FIRST"),
    ):
        with pytest.raises(BankNotFound):
            attempt()


EDITS: dict[str, Any] = {
    "name": "renamed",
    "label": "",
    "action": Action.REVIEW,
    "thresholds": {Kind.PHASH: 5},
}


@pytest.mark.parametrize(
    "changed", [set(c) for n in (1, 2, 4) for c in itertools.combinations(EDITS, n)]
)
def test_only_what_is_given_changes(store: BlocklistStore, bank: Bank, changed: set[str]) -> None:
    """Renaming a bank would reset its thresholds."""
    edit = {name: value for name, value in EDITS.items() if name in changed}
    after = store.update_bank(new_request(), bank.name, "", BankEdit(**edit))
    for name in EDITS:
        assert getattr(after, name) == (EDITS if name in changed else vars_of(bank))[name]
    assert after.revision == bank.revision + 1
    assert after.bank_id == bank.bank_id
    assert after.create_time == bank.create_time
    assert store.get_bank(bank.bank_id) == after


def vars_of(bank: Bank) -> dict[str, Any]:
    """The fields of a bank that can be edited."""
    return {name: getattr(bank, name) for name in EDITS}


def test_a_bank_may_keep_its_name(store: BlocklistStore, bank: Bank) -> None:
    """Saving a form without changing the name would be refused."""
    assert (
        store.update_bank(new_request(), bank.name, "", BankEdit(name=bank.name)).name == bank.name
    )


def test_an_edit_of_what_changed_meanwhile_is_refused(store: BlocklistStore, bank: Bank) -> None:
    """Two keepers who edit one bank would undo each other's change."""
    store.update_bank(new_request(), bank.name, bank.etag, BankEdit(label="of one"))
    with pytest.raises(EtagMismatch):
        store.update_bank(new_request(), bank.name, bank.etag, BankEdit(label="of the other"))
    now = store.get_bank(bank.name)
    assert now.label == "of one"
    store.update_bank(new_request(), bank.name, now.etag, BankEdit(label="of the other"))
    assert store.get_bank(bank.name).label == "of the other"


def test_entries_do_not_change_a_banks_etag(store: BlocklistStore, bank: Bank) -> None:
    """Nobody could edit a bank that is being filled."""
    make_entry(store, bank)
    store.update_bank(new_request(), bank.name, bank.etag, BankEdit(label="x"))


def test_an_archived_bank_stays_as_it_is(store: BlocklistStore, bank: Bank) -> None:
    """What is kept for the record could be changed afterwards."""
    make_entry(store, bank)
    archived = store.update_bank(new_request(), bank.name, "", BankEdit(state=BankState.ARCHIVED))
    assert archived.state is BankState.ARCHIVED
    with pytest.raises(BankArchived):
        store.update_bank(new_request(), bank.name, "", BankEdit(label="x"))
    with pytest.raises(BankArchived):
        store.update_bank(new_request(), bank.name, "", BankEdit(state=BankState.ARCHIVED))
    with pytest.raises(BankArchived):
        make_entry(store, bank)
    assert store.get_bank(bank.name) == archived
    assert len(store.list_entries(0, 10, bank.name, None).items) == 1


# Entries


def test_an_entry_is_as_it_was_made(store: BlocklistStore, bank: Bank) -> None:
    """A match would name the wrong item."""
    given = [signals(1, 3), signals(2, 1, Kind.SHA256)]
    made = store.create_entry(
        new_request(),
        bank.name,
        NewEntry("case 7", "of its own", given),
        lambda each: np.arange(len(each)) > 0,
    )
    assert (made.ref.reference, made.ref.label) == ("case 7", "of its own")
    assert (made.ref.bank_id, made.ref.bank_name) == (bank.bank_id, bank.name)
    assert ids.is_id(ids.ENTRY, made.ref.entry_id)
    assert made.kinds == (KindCount(Kind.PDQ, 3, 2), KindCount(Kind.SHA256, 1, 0))
    assert (made.state, made.duration_ms, made.revision) == (EntryState.ACTIVE, 2000, 2)
    assert 0 <= seconds_ago(made.create_time) < 60
    assert store.get_entry(made.ref.entry_id) == made


def test_an_entry_without_a_label_has_its_banks(store: BlocklistStore, bank: Bank) -> None:
    """A reviewer would see a match of nobody knows what."""
    made = make_entry(store, bank)
    assert made.ref.label == bank.label
    store.update_bank(new_request(), bank.name, "", BankEdit(label="another", name="renamed"))
    ref = store.get_entry(made.ref.entry_id).ref
    assert (ref.label, ref.bank_name) == ("another", "renamed")


@settings(PATIENT, max_examples=25)
@given(
    st.lists(st.sampled_from(Kind), unique=True, min_size=1).flatmap(
        lambda kinds: st.tuples(*[any_signals(kind) for kind in kinds])
    )
)
def test_hashes_come_back_as_they_went(
    store: BlocklistStore, given_signals: tuple[Signals, ...]
) -> None:
    """An entry would match other media than the one it was made of."""
    if not store.list_banks(0, 1, None).items:
        make_bank(store, "first")
    made = make_entry(store, store.get_bank("first"), given=list(given_signals))
    [change] = store.changes_since(made.revision - 1, 10)
    assert change.entry_seq is not None
    wanted = {
        (change.entry_seq, change.bank_seq, each.kind): (
            each.digests.tobytes(),
            each.quality.tobytes(),
            each.pts_ms.tolist(),
        )
        for each in given_signals
        if len(each)
    }
    with store.signals_of([change]) as parts:
        assert by_entry(parts) == wanted


def test_a_withdrawn_entry_is_out_of_use(store: BlocklistStore, bank: Bank) -> None:
    """A wrong entry would block uploads after it was taken back."""
    made, other = make_entry(store, bank), make_entry(store, bank)
    assert store.get_bank(bank.name).active_entries == 2
    withdrawn = store.withdraw_entry(new_request(), made.ref.entry_id)
    assert withdrawn.state is EntryState.WITHDRAWN
    assert withdrawn.revision == other.revision + 1
    assert store.get_bank(bank.name).active_entries == 1
    assert store.get_entry(made.ref.entry_id) == withdrawn
    assert store.get_entry(other.ref.entry_id).state is EntryState.ACTIVE


def test_an_entry_that_does_not_exist(store: BlocklistStore, bank: Bank) -> None:
    """Withdrawing a misspelled id would look done."""
    with pytest.raises(EntryNotFound):
        store.get_entry(ids.new_id(ids.ENTRY))
    with pytest.raises(EntryNotFound):
        store.withdraw_entry(new_request(), ids.new_id(ids.ENTRY))
    assert store.revision() == bank.revision


def test_an_entry_is_stored_with_all_its_hashes_or_not_at_all(
    store: BlocklistStore, database: Database, bank: Bank
) -> None:
    """Half of an entry would match half of what it should."""
    with pytest.raises(IntegrityError):
        make_entry(store, bank, given=[signals(1), signals(2)])  # The same kind twice.
    with database.read() as connection:
        for table in (entries, entry_signals):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 0
    assert store.revision() == bank.revision


# Requests that are repeated

Change = Callable[[BlocklistStore, Call], object]

CHANGES: dict[str, Change] = {
    "create_bank": lambda store, request: make_bank(store, "second", request),
    "update_bank": lambda store, request: store.update_bank(
        request, "first", "", BankEdit(label="changed")
    ),
    "archive_bank": lambda store, request: store.update_bank(
        request, "first", "", BankEdit(state=BankState.ARCHIVED)
    ),
    "create_entry": lambda store, request: make_entry(
        store, store.get_bank("first"), request=request
    ),
    "withdraw_entry": lambda store, request: store.withdraw_entry(
        request, store.list_entries(0, 1, None, None).items[-1].ref.entry_id
    ),
}


@pytest.fixture
def filled(store: BlocklistStore, bank: Bank) -> BlocklistStore:
    """A store with a bank of one entry."""
    make_entry(store, bank)
    return store


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_repeat_gets_the_first_answer(filled: BlocklistStore, change: Change) -> None:
    """A retry after a lost answer would make a second entry, or fail."""
    request = new_request()
    first = change(filled, request)
    revision = filled.revision()
    assert change(filled, request) == first
    assert filled.revision() == revision


def test_the_first_answer_stays(filled: BlocklistStore) -> None:
    """A repeat would be told of what others changed later as if it had done it itself."""
    request = new_request()
    first = make_bank(filled, "second", request)
    make_entry(filled, first)
    filled.update_bank(new_request(), "second", "", BankEdit(name="third", label="other"))
    assert make_bank(filled, "second", request) == first
    assert first.active_entries == 0


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_request_id_is_for_one_request(filled: BlocklistStore, change: Change) -> None:
    """A pipeline that reuses an id would believe in a change that was never made."""
    used = new_request("of one")
    make_bank(filled, "used", used)
    revision = filled.revision()
    with pytest.raises(RequestIdReused):
        change(filled, Call(UNRESTRICTED, used.request_id, "of another"))
    with pytest.raises(RequestIdReused):
        filled.entry_answer(Call(UNRESTRICTED, used.request_id, "of another"))
    assert filled.revision() == revision


def test_an_entrys_answer_is_found(filled: BlocklistStore, bank: Bank) -> None:
    """A retry would send and hash a whole video again."""
    request = new_request()
    assert filled.entry_answer(request) is None
    made = make_entry(filled, bank, request=request)
    assert filled.entry_answer(request) == made


def test_a_change_that_failed_may_be_tried_again(filled: BlocklistStore, bank: Bank) -> None:
    """Having corrected the state, a keeper would get the old error for ever."""
    request = new_request()
    filled.update_bank(new_request(), "first", "", BankEdit(name="second"))
    with pytest.raises(BankExists):
        make_bank(filled, "second", request)
    filled.update_bank(new_request(), "second", "", BankEdit(name="third"))
    assert make_bank(filled, "second", request).name == "second"


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_repeats_at_the_same_time_make_one_change(filled: BlocklistStore, change: Change) -> None:
    """A retry that overtakes its first attempt would make a second entry."""
    request, before = new_request(), filled.revision()
    barrier = threading.Barrier(4)

    def attempt(_: int) -> object:
        barrier.wait()
        return change(filled, request)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(attempt, range(4)))
    assert all(answer == answers[0] for answer in answers)
    assert filled.revision() == before + 1


# Lists


def all_pages(list_page: Callable[[int, int], Page[Any]], size: int) -> list[Any]:
    """All items of a list, page by page."""
    items: list[Any] = []
    token = 0
    while True:
        page = list_page(token, size)
        items += page.items
        if not page.next_token:
            assert len(page.items) <= size
            return items
        assert len(page.items) == size
        token = int(page.next_token)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, BlocklistStore]]:
    """For each database a store of five banks; the first has five entries. The second and fourth
    of both are out of use.
    """
    stores, made = {}, []
    for backend in BACKENDS:
        context = migrated(backend, tmp_path_factory.mktemp("listed"))
        store = stores[backend] = BlocklistStore(context.__enter__())
        made.append(context)
        banks = [make_bank(store, f"bank-{number}") for number in range(5)]
        found = [make_entry(store, banks[0], f"entry-{number}") for number in range(5)]
        make_entry(store, banks[2], "entry-5")
        for number in (1, 3):
            edit = BankEdit(state=BankState.ARCHIVED)
            store.update_bank(new_request(), banks[number].name, "", edit)
            store.withdraw_entry(new_request(), found[number].ref.entry_id)
    yield stores
    for context in made:
        context.__exit__(None, None, None)


@pytest.fixture(params=BACKENDS)
def lists(request: pytest.FixtureRequest, listed: dict[str, BlocklistStore]) -> BlocklistStore:
    """One of them."""
    return listed[request.param]


@pytest.mark.parametrize("size", range(1, 8))
@pytest.mark.parametrize(
    ("state", "expected"),
    [(None, [4, 3, 2, 1, 0]), (BankState.ACTIVE, [4, 2, 0]), (BankState.ARCHIVED, [3, 1])],
)
def test_banks_in_pages_of_any_size(
    lists: BlocklistStore, size: int, state: BankState | None, expected: list[int]
) -> None:
    """A bank at the edge of a page would be listed twice, or not at all."""
    found = all_pages(lambda token, size: lists.list_banks(token, size, state), size)
    assert [bank.name for bank in found] == [f"bank-{number}" for number in expected]
    assert [bank.active_entries for bank in found] == [
        {0: 3, 2: 1}.get(number, 0) for number in expected
    ]


@pytest.mark.parametrize("size", range(1, 8))
@pytest.mark.parametrize(
    ("bank", "state", "expected"),
    [
        (None, None, [5, 4, 3, 2, 1, 0]),
        ("bank-0", None, [4, 3, 2, 1, 0]),
        ("bank-0", EntryState.ACTIVE, [4, 2, 0]),
        (None, EntryState.WITHDRAWN, [3, 1]),
        ("bank-2", EntryState.WITHDRAWN, []),
        ("bank-1", None, []),
    ],
)
def test_entries_in_pages_of_any_size(
    lists: BlocklistStore,
    size: int,
    bank: str | None,
    state: EntryState | None,
    expected: list[int],
) -> None:
    """An entry at the edge of a page would be listed twice, or not at all."""
    found = all_pages(lambda token, size: lists.list_entries(token, size, bank, state), size)
    assert [entry.ref.reference for entry in found] == [f"entry-{number}" for number in expected]


def test_what_comes_while_a_list_is_read_does_not_shift_it(
    store: BlocklistStore, bank: Bank
) -> None:
    """A list read while entries come in would hold some of them twice."""
    old = [make_entry(store, bank, f"{number}") for number in range(4)]
    first = store.list_entries(0, 2, None, None)
    make_entry(store, bank, "new")
    second = store.list_entries(int(first.next_token), 2, None, None)
    assert [*first.items, *second.items] == old[::-1]


def test_entries_are_found_by_id_of_their_bank(lists: BlocklistStore) -> None:
    """A program that keeps ids could not list what is in a bank."""
    by_id = lists.list_entries(0, 10, lists.get_bank("bank-0").bank_id, None)
    assert by_id == lists.list_entries(0, 10, "bank-0", None)


# For the index


def test_revisions_count_every_change(store: BlocklistStore) -> None:
    """A server that follows would miss a change."""
    assert store.revision() == 0
    bank = make_bank(store, "first")
    entry = make_entry(store, bank)
    edited = store.update_bank(new_request(), "first", "", BankEdit(label="x"))
    withdrawn = store.withdraw_entry(new_request(), entry.ref.entry_id)
    made: list[Bank | Entry] = [bank, entry, edited, withdrawn]
    assert [each.revision for each in made] == [1, 2, 3, 4]
    assert store.revision() == 4


def test_changes_are_told_in_order(filled: BlocklistStore) -> None:
    """The index would take an entry out before it came in."""
    entry = filled.list_entries(0, 1, None, None).items[0]
    filled.update_bank(new_request(), "first", "", BankEdit(action=Action.REVIEW))
    filled.withdraw_entry(new_request(), entry.ref.entry_id)
    told = filled.changes_since(0, 100)
    assert [change.kind for change in told] == [
        "bank_created",
        "entry_created",
        "bank_updated",
        "entry_withdrawn",
    ]
    assert [change.revision for change in told] == [1, 2, 3, 4]
    assert told[1].entry_seq == told[3].entry_seq is not None
    assert told[0].entry_seq is told[2].entry_seq is None
    # The bank as it is by now: what the index needs is what holds.
    assert {change.bank.action for change in told} == {Action.REVIEW}
    for since in range(5):
        assert filled.changes_since(since, 100) == told[since:]
    assert filled.changes_since(0, 2) == told[:2]


def test_a_withdrawal_is_told_once(filled: BlocklistStore) -> None:
    """An index that was loaded in between would count the entry as gone a second time."""
    entry = filled.list_entries(0, 1, None, None).items[0]
    filled.withdraw_entry(new_request(), entry.ref.entry_id)
    again = filled.withdraw_entry(new_request(), entry.ref.entry_id)
    assert again.state is EntryState.WITHDRAWN
    told = [change.kind for change in filled.changes_since(0, 100)]
    assert told.count(ChangeKind.ENTRY_WITHDRAWN) == 1


Hashes = dict[tuple[int, int, Kind], tuple[bytes, bytes, list[int]]]


def by_entry(parts: Iterable[EntrySignals]) -> Hashes:
    """Digests, quality and times by entry, bank and kind."""
    found: Hashes = {}
    for part in parts:
        for seq in np.unique(part.entry):
            of = part.entry == seq
            (bank,) = set(part.bank[of].tolist())
            key = int(seq), bank, part.kind
            assert key not in found
            columns = part.digests[of].tobytes(), part.quality[of].tobytes()
            found[key] = (*columns, part.pts_ms[of].tolist())
    return found


def loaded(store: BlocklistStore) -> tuple[int, list[str], Hashes]:
    """All that can match."""
    with store.load() as active:
        names = [bank.name for bank in active.banks.values()]
        return active.revision, names, by_entry(active.signals)


@pytest.mark.parametrize("at_once", [1, 3, 5000])
def test_loading_gives_what_can_match(
    store: BlocklistStore, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """A server would start without some entry, and let it pass."""
    monkeypatch.setattr(rows, "ROWS_AT_ONCE", at_once)
    assert loaded(store) == (0, [], {})
    banks = [make_bank(store, name) for name in ("one", "two")]
    hashes = [[signals(n, n + 1), signals(n + 50, 1, Kind.SHA256)] for n in range(4)]
    made = [make_entry(store, banks[n % 2], given=hashes[n]) for n in range(4)]
    store.withdraw_entry(new_request(), made[1].ref.entry_id)
    wanted = {
        (number + 1, number % 2 + 1, each.kind): (
            each.digests.tobytes(),
            each.quality.tobytes(),
            each.pts_ms.tolist(),
        )
        for number in (0, 2, 3)
        for each in hashes[number]
    }
    assert loaded(store) == (7, ["one", "two"], wanted)


def test_loading_is_of_one_revision(
    store: BlocklistStore, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that comes while a server loads would be in the index twice, or never."""
    monkeypatch.setattr(rows, "ROWS_AT_ONCE", 1)
    for number in range(3):
        make_entry(store, bank, given=[signals(number)])
    with store.load() as active:
        first = next(active.signals)
        late = make_entry(store, bank, given=[signals(99)])
        assert len(by_entry([first, *active.signals])) == 3
        revision = active.revision
    assert revision == late.revision - 1
    assert [change.revision for change in store.changes_since(revision, 10)] == [late.revision]


def test_many_names_are_found_at_once(filled: BlocklistStore) -> None:
    """A flood of near-duplicates would exceed what one query takes."""
    entry = filled.list_entries(0, 1, None, None).items[0]
    found = filled.entry_refs(range(1, 40_000))
    assert found == {1: entry.ref}
    assert filled.entry_refs([]) == {}


def test_the_log_holds_no_hashes(filled: BlocklistStore, database: Database) -> None:
    """Whoever may read what was changed could read the hashes too."""
    with database.read() as connection:
        rows = connection.execute(sa.select(changes)).all()
    raw = bytes(signals(1).digests[0])
    assert rows
    assert all(raw.hex() not in str(row) and str(raw) not in str(row) for row in rows)


def new_entries(count: int) -> list[tuple[str, str, list[Signals]]]:
    """Each with some hashes of its own, of kinds that not all have."""
    return [
        (
            f"case {number}",
            "a label" * (number % 3),
            [signals(number, number % 4)] * (number % 4 > 0)
            + [signals(number, 1, Kind.SHA256)] * (number % 2),
        )
        for number in range(count)
    ]


def in_blocks(count: int, size: int = 5) -> Iterator[NewEntries]:
    """The same, some at a time."""
    made = new_entries(count)
    for first in range(0, count, size):
        yield NewEntries.joined(made[first : first + size])


@pytest.mark.parametrize("count", [1, 7, 23])
def test_many_entries_at_once_are_like_those_that_came_alone(
    store: BlocklistStore, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """An imported list would not match, or its entries be shown otherwise."""
    banks = [make_bank(store, name) for name in ("one", "two")]
    before = make_entry(store, banks[0], given=[signals(999)])
    request = new_request()
    assert store.create_entries(request, "two", in_blocks(count), usable) == count
    after = make_entry(store, banks[0], given=[signals(998)])
    alone = [
        store.create_entry(new_request(), "one", NewEntry(*each), usable)
        for each in new_entries(count)
    ]
    made = list(reversed(store.list_entries(0, 100, "two", None).items))
    assert len(made) == count
    assert len({each.ref.entry_id for each in (before, after, *made, *alone)}) == 2 * count + 2
    assert {each.revision for each in made} == {before.revision + 1}
    for one, other in zip(made, alone, strict=True):
        assert one.ref.reference == other.ref.reference
        assert one.ref.label == other.ref.label
        assert (one.kinds, one.state, one.coverage, one.reasons, one.duration_ms) == (
            other.kinds,
            other.state,
            other.coverage,
            other.reasons,
            other.duration_ms,
        )
    assert [store.get_bank(name).active_entries for name in ("one", "two")] == [count + 2, count]
    [change] = store.changes_since(before.revision, 1)
    assert (change.kind, change.entries, change.entry_seq) == ("entries_created", count, None)
    # Withdrawn or not, they are what came with it.
    store.withdraw_entry(new_request(), made[0].ref.entry_id)
    with store.signals_of([change]) as parts:
        together = by_entry(parts)
    with store.signals_of(store.changes_since(after.revision, count)) as parts:
        assert sorted(by_entry(parts).values()) == sorted(together.values())
    # The same request again makes nothing.
    assert store.create_entries(request, "two", in_blocks(count), usable) == count
    assert len(store.list_entries(0, 100, "two", None).items) == count
    with pytest.raises(RequestIdReused):
        store.create_entries(
            Call(UNRESTRICTED, request.request_id, "another"), "two", in_blocks(count), usable
        )


def test_of_many_entries_all_are_made_or_none(store: BlocklistStore, bank: Bank) -> None:
    """Half of a list would block uploads, and the other half be imported again and again."""

    def broken() -> Iterator[NewEntries]:
        yield from in_blocks(7, 2)
        raise OSError("the file cannot be read any further")

    with pytest.raises(OSError, match="any further"):
        store.create_entries(new_request(), bank.name, broken(), usable)
    assert store.list_entries(0, 100, None, None).items == ()
    assert store.revision() == bank.revision
    make_entry(store, bank)
    assert store.create_entries(new_request(), bank.name, in_blocks(3), usable) == 3
    assert len(store.list_entries(0, 100, None, None).items) == 4


def test_many_entries_for_a_bank_that_takes_none(store: BlocklistStore, bank: Bank) -> None:
    """A bank that was given up would grow."""
    with pytest.raises(BankNotFound):
        store.create_entries(new_request(), "no such bank", in_blocks(1), usable)
    store.update_bank(new_request(), bank.name, "", BankEdit(state=BankState.ARCHIVED))
    with pytest.raises(BankArchived):
        store.create_entries(new_request(), bank.name, in_blocks(1), usable)


def test_revisions_come_to_light_in_their_order(store: BlocklistStore, bank: Bank) -> None:
    """A server that follows would pass over one that was made before and seen after."""
    seen: list[int] = []
    done = threading.Event()

    def write(number: int) -> None:
        for _ in range(8):
            make_entry(store, bank, given=[signals(number)])

    def follow() -> None:
        newest = 0
        while True:
            last = done.is_set()
            new = [change.revision for change in store.changes_since(newest, 1000)]
            seen.extend(new)
            newest = max([newest, *new])
            if last:
                return

    follower = threading.Thread(target=follow)
    follower.start()
    with concurrent.futures.ThreadPoolExecutor(4) as writers:
        list(writers.map(write, range(4)))
    done.set()
    follower.join()
    assert seen == [change.revision for change in store.changes_since(0, 1000)]
    assert len(seen) == 33


def test_whoever_listens_is_woken(store: BlocklistStore, database: Database, bank: Bank) -> None:
    """A new entry would be in effect half a second late on every other server."""
    other = BlocklistStore(Database(url_of(database)))
    with store.listen() as listener:
        assert not listener.wait(0.01)
        make_entry(other, bank)
        assert listener.wait(60)
        assert not listener.wait(0.01)
        for _ in range(2):
            make_entry(other, bank)
        assert listener.wait(60)
    other._database.close()


def test_each_store_has_a_name_of_its_own(store: BlocklistStore, tmp_path: Path) -> None:
    """A server would take the index file of another store for its own."""
    (tmp_path / "other").mkdir()
    with migrated("sqlite", tmp_path / "other") as other:
        assert BlocklistStore(other).store_id() != store.store_id() == store.store_id()
