"""Entries go out with their hashes: all of them, in order, in parts, and on from anywhere."""

from __future__ import annotations

import contextlib
import datetime
import itertools

import numpy as np
import pytest

from hashmatch.engine.index.live import usable
from hashmatch.errors import BankNotFound, InvalidField, PermissionDenied
from hashmatch.model.call import Call
from hashmatch.model.callers import UNRESTRICTED, Caller, Role
from hashmatch.model.commands import NewEntry
from hashmatch.model.exports import LEAST_QUALITY, ExportQuery
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Action, EntryState, Kind
from hashmatch.store import exports as store_exports
from hashmatch.store.audit import Audit
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.database import Database
from hashmatch.store.exports import ExportStore
from hashmatch.usecases import exports as exporting
from hashmatch.usecases.exports import EntryPart, Exports
from tests.support import new_request, same_signals, signals

ALL = ExportQuery()
KINDS = {Kind.PDQ: 31, Kind.PDQ_PATCH: 40, Kind.MD5: 0, Kind.SHA256: 0}

# Hashes of each entry by kind: one kind, several, one frame, many.
MADE: list[dict[Kind, int]] = [
    {Kind.PDQ: 5},
    {Kind.PDQ: 1, Kind.MD5: 1},
    {Kind.PDQ: 40, Kind.SHA256: 1, Kind.PDQ_PATCH: 33},
    {Kind.MD5: 1},
    *[{Kind.PDQ: 1} for _ in range(8)],
    {Kind.PDQ: 23},
]


@pytest.fixture
def store(database: Database) -> BlocklistStore:
    """A store with a bank of such entries, and another one."""
    store = BlocklistStore(database)
    for name in ("swords", "axes"):
        store.create_bank(new_request(), name, "", Action.BLOCK, KINDS)
    for number, made in enumerate(MADE):
        add(store, "swords", f"{number}", made, number)
        add(store, "axes", f"axe {number}", {Kind.PDQ: 1}, 100 + number)
    return store


def add(store: BlocklistStore, bank: str, reference: str, made: dict[Kind, int], seed: int) -> str:
    """An entry of so many hashes of each kind; its id."""
    new = NewEntry(reference, "", [signals(seed, count, kind) for kind, count in made.items()])
    return store.create_entry(new_request(), bank, new, usable).ref.entry_id


@pytest.fixture
def exports(store: BlocklistStore, database: Database) -> Exports:
    """Of that store."""
    return Exports(ExportStore(database), store, Audit(database))


@pytest.fixture(params=["at once", "in small parts", "hash by hash"])
def _sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is held and told at once."""
    if request.param != "at once":
        small = request.param == "in small parts"
        for module, entries, hashes in ((store_exports, 3, 20), (exporting, 2, 7)):
            monkeypatch.setattr(module, "_ENTRIES", entries if small else 1)
            monkeypatch.setattr(module, "_HASHES", hashes if small else 1)


async def read(
    exports: Exports, asked: ExportQuery = ALL, token: str = "", bank: str = "swords"
) -> list[EntryPart]:
    """All parts."""
    return [
        part async for some in exports.read(Call(UNRESTRICTED), bank, asked, token) for part in some
    ]


def joined(parts: list[EntryPart]) -> dict[str, list[Signals]]:
    """The hashes of each entry, by its reference; entries in order."""
    found: dict[str, list[Signals]] = {}
    for part in parts:
        found.setdefault(part.entry.ref.reference, []).extend(part.signals)
    return {name: list(Signals.concatenate(some)) for name, some in found.items()}


@pytest.mark.usefixtures("_sizes")
async def test_all_is_told_in_order_with_every_hash(exports: Exports) -> None:
    """A partner would get half a film, or one of another bank."""
    parts = await read(exports)
    found = joined(parts)
    assert list(found) == [f"{number}" for number in range(len(MADE))]
    for number, made in enumerate(MADE):
        given = [signals(number, count, kind) for kind, count in sorted(made.items())]
        assert same_signals(found[f"{number}"], given)
    # Each but the last part of an entry says that it goes on, and with what.
    for part, after in itertools.pairwise(parts):
        assert part.continues == (part.entry == after.entry)


@pytest.mark.usefixtures("_sizes")
async def test_it_goes_on_from_every_part(exports: Exports) -> None:
    """After a broken connection something would be missing, or come twice."""
    parts = await read(exports)
    whole = joined(parts)
    for end in range(0, len(parts), 1 + len(parts) // 20):
        token = parts[end - 1].resume_token if end else ""
        rest = await read(exports, token=token)
        again = joined([*parts[:end], *rest])
        assert list(again) == list(whole)
        assert all(same_signals(again[name], whole[name]) for name in whole)


async def test_only_what_was_asked_for(exports: Exports, store: BlocklistStore) -> None:
    """What was withdrawn would be blocked elsewhere."""
    parts = await read(exports)
    withdrawn = parts[0].entry.ref.entry_id
    store.withdraw_entry(new_request(), withdrawn)
    active = joined(await read(exports, ExportQuery(EntryState.ACTIVE)))
    assert list(active) == [f"{number}" for number in range(1, len(MADE))]
    assert list(joined(await read(exports, ExportQuery(EntryState.WITHDRAWN)))) == ["0"]
    files = joined(await read(exports, ExportQuery(kinds=frozenset({Kind.MD5, Kind.SHA256}))))
    assert len(files) == len(MADE)
    assert {name: [each.kind for each in some] for name, some in files.items() if some} == {
        "1": [Kind.MD5],
        "2": [Kind.SHA256],
        "3": [Kind.MD5],
    }
    made = [each.entry.create_time for each in parts]
    middle = made[len(made) // 2]
    later = await read(exports, ExportQuery(since_ms=round(middle.timestamp() * 1000)))
    assert len(joined(later)) == len({e.entry.ref for e in parts if e.entry.create_time >= middle})
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    assert await read(exports, ExportQuery(since_ms=round(soon.timestamp() * 1000))) == []


async def test_what_was_begun_is_ended(
    exports: Exports, store: BlocklistStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that is withdrawn meanwhile would be left as half of one, and not be told so."""
    monkeypatch.setattr(exporting, "_HASHES", 16)
    asked = ExportQuery(EntryState.ACTIVE)
    begun = next(part for part in await read(exports, asked) if part.continues)
    store.withdraw_entry(new_request(), begun.entry.ref.entry_id)
    rest = await read(exports, asked, begun.resume_token)
    mine = [part for part in rest if part.entry.ref == begun.entry.ref]
    assert sum(len(each) for part in mine for each in part.signals) == 40 + 33 + 1 - 16
    assert not mine[-1].continues
    # ExportQuery for in another way, nothing of the next one is left out.
    other = await read(exports, ExportQuery(kinds=frozenset({Kind.MD5})), begun.resume_token)
    assert [name for name, some in joined(other).items() if some] == ["3"]


async def test_tokens_of_something_else_are_refused(exports: Exports) -> None:
    """The rest would be of nothing, and look as if it were all."""
    axe = (await read(exports, bank="axes"))[0].resume_token
    for token in (axe, "ent_" + "0" * 26, "17", axe + ".0", axe + ".x", "\N{SNOWMAN}"):
        with pytest.raises(InvalidField, match="resume_token"):
            await read(exports, token=token)
    with pytest.raises(BankNotFound):
        await read(exports, bank="clubs")


async def test_it_is_written_down_before_anything_is_told(
    exports: Exports, store: BlocklistStore, database: Database
) -> None:
    """Whoever takes the list with him would not be found."""
    bank = store.get_bank("swords")
    roles = frozenset({Role.CURATOR})
    curator = Caller("clr_1", "ayu", roles, frozenset({bank.bank_id}))
    reading = exports.read(Call(curator), "swords", ExportQuery(EntryState.ACTIVE))
    async with contextlib.aclosing(reading):
        await anext(reading)
        (row, *_) = Audit(database).list(0, 10, "clr_1", "", None).items
    assert (row.action, row.subject) == ("entries_exported", bank.bank_id)
    assert '"state":"ACTIVE"' in row.details
    with pytest.raises(PermissionDenied):
        await anext(exports.read(Call(curator), "axes", ExportQuery()))


def test_what_is_flat_is_so_everywhere() -> None:
    """A hash would be left out that matches, or exported though it never does."""
    for quality in (LEAST_QUALITY - 1, LEAST_QUALITY):
        some = signals(1)
        made = Signals(
            some.kind, some.digests, np.array([quality], np.uint8), some.pts_ms, some.view
        )
        assert usable(made).all() == (quality >= LEAST_QUALITY)
