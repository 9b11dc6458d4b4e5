"""What an entry would have done is what it does once it is in use."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from hashmatch.decoding.intake import Intake
from hashmatch.errors import (
    BankArchived,
    EntryNotFound,
    ImportNotFound,
    PermissionDenied,
    SecondPersonNeeded,
)
from hashmatch.model.call import Call
from hashmatch.model.callers import UNRESTRICTED, Caller, Role
from hashmatch.model.commands import BankEdit, NewEntry
from hashmatch.model.imports import ImportState
from hashmatch.model.previews import Preview, PreviewTally
from hashmatch.model.records import Bank, BankPolicy, Entry, Screening
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import (
    Action,
    Activation,
    BankMode,
    Effect,
    EntryState,
    Kind,
    Verdict,
)
from hashmatch.store.audit import Audit
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.database import Database
from hashmatch.store.imports import ImportStore
from hashmatch.store.previews import PreviewStore
from hashmatch.store.screenings import ScreeningStore
from hashmatch.store.tables import screenings
from hashmatch.usecases import previews as preview_module
from hashmatch.usecases.blocklist import Blocklist
from hashmatch.usecases.flood_watch import FloodWatch
from hashmatch.usecases.imports import Imports, ListSaid
from hashmatch.usecases.previews import Previews
from hashmatch.usecases.replica import Replica
from hashmatch.usecases.screenings import Screenings
from tests.support import (
    LIMITS,
    digests,
    everybody,
    flipped,
    new_id,
    new_request,
    pieces,
    signals,
    spool_budget,
    workers,
)

PDQ = {Kind.PDQ: 31}


@dataclass(frozen=True)
class Given:
    """A server's parts on one database; nothing is decoded."""

    database: Database
    store: BlocklistStore
    replica: Replica
    blocklist: Blocklist
    screenings: Screenings
    imports: Imports
    previews: Previews

    async def bank(
        self, thresholds: dict[Kind, int] | None = None, action: Action = Action.BLOCK, **more: Any
    ) -> Bank:
        """A new one, by PDQ unless it is told otherwise."""
        name = f"bank-{new_id()[:8]}"
        chosen = thresholds or PDQ
        return await self.blocklist.create_bank(new_request(), name, "", action, chosen, **more)

    async def entry(self, bank: Bank, *some: Signals, pending: bool = True, who: str = "") -> Entry:
        """One made of hashes."""
        call = replace(new_request(), caller=replace(UNRESTRICTED, caller_id=who))
        new = NewEntry("a reference", "a label", some, pending=pending)
        return await self.blocklist.create_entry(call, bank.bank_id, new)

    async def screened(self, *some: Signals) -> Screening:
        """An upload that its sender hashed."""
        return await self.screenings.screen_signals(new_request(), some, 0)

    async def preview(
        self,
        entry: Entry,
        screenings: int = 1000,
        *,
        caller: Caller = UNRESTRICTED,
        benign: bool = True,
    ) -> Preview:
        """Of an entry."""
        entry_id = entry.ref.entry_id
        return await self.previews.of_entry(Call(caller), entry_id, screenings, benign=benign)

    async def imported(self, bank: Bank, some: np.ndarray[Any, Any], **more: Any) -> Any:
        """A list of PDQ hashes."""
        text = "".join(f"{each.tobytes().hex()}\n" for each in some).encode()
        said = ListSaid(kind=Kind.PDQ, **more)
        return await self.imports.add(new_request(), bank.bank_id, said, pieces(text))


@pytest_asyncio.fixture
async def given(database: Database, tmp_path: Path) -> AsyncIterator[Given]:
    """With an entry in use that nothing here matches, so that the blocklist is not empty."""
    store, audit = BlocklistStore(database), Audit(database)
    screenings = ScreeningStore(database)
    replica = Replica(store)
    await replica.load()
    async with workers(0) as none:
        intake = Intake(none, spool_budget(tmp_path), LIMITS, everybody())
        made = Given(
            database,
            store,
            replica,
            Blocklist(store, replica, intake, audit),
            Screenings(screenings, replica, intake, FloodWatch(screenings, store)),
            Imports(ImportStore(database), store, replica),
            Previews(PreviewStore(database), store, replica, audit),
        )
        await made.entry(await made.bank(), signals(10_001), pending=False)
        yield made
        await replica.close()


def tally(**counts: Any) -> PreviewTally:
    """Of these counts alone."""
    return PreviewTally(**counts)


def ids(found: Preview) -> list[str]:
    """Of the screenings that are shown."""
    return [each.screening_id for each in found.screening_samples]


async def test_what_is_previewed_is_what_comes_of_it(given: Given) -> None:
    """Somebody would be told that an entry does no harm, and it does."""
    bank = await given.bank({Kind.PDQ: 50, Kind.SHA256: 0})
    listed = signals(1, 6)
    files = [signals(seed, 1, Kind.SHA256) for seed in range(10)]
    uploads: list[Sequence[Signals]] = [
        [signals(500, 4), files[0]],
        [listed, files[1]],
        [flipped(listed, 31), files[2]],
        # One frame alone: several at this distance would block.
        [
            Signals.concatenate([signals(503, 2), flipped(listed, 45).select(np.array([2]))])[0],
            files[3],
        ],
        [flipped(listed, 51), files[4]],
        [signals(501, 4), files[9]],
        [Signals.concatenate([signals(502, 3), listed.select(np.array([2]))])[0], files[5]],
    ]
    screened = [await given.screened(*some) for some in uploads]
    assert {each.verdict for each in screened} == {Verdict.NO_MATCH}
    entry = await given.entry(bank, listed, files[9])
    assert entry.state is EntryState.PENDING
    found = await given.preview(entry)
    assert found.screenings == tally(compared=7, would_block=4, would_review=1, newly_held=5)
    assert found.benign == tally()
    assert (found.entries, found.kinds) == (1, (Kind.PDQ, Kind.SHA256))
    assert found.revision == given.store.revision()
    assert given.store.get_entry(entry.ref.entry_id) == entry
    # The very file first, then by score.
    order = [screened[place].screening_id for place in (5, 1, 6, 2, 3)]
    assert ids(found) == order
    await given.blocklist.approve_entry(new_request(), entry.ref.entry_id)
    told = {each.screening_id: each for each in found.screening_samples}
    for each in screened:
        now = await given.screenings.confirm(new_request(), each.screening_id)
        if each.screening_id in told:
            sample = told[each.screening_id]
            assert (sample.would_be, sample.evidence) == (now.verdict, now.evidence)
            assert (sample.verdict, sample.create_time) == (each.verdict, each.create_time)
        else:
            assert now.verdict is Verdict.NO_MATCH
    # By now they are blocked, and nobody new would be.
    after = await given.preview(entry)
    assert after.screenings == replace(found.screenings, newly_held=0)
    assert [each.evidence for each in after.screening_samples] == [
        each.evidence for each in found.screening_samples
    ]


def graded(some: Signals, quality: int) -> Signals:
    """The same hashes, of another quality."""
    return replace(some, quality=np.full(len(some), quality, np.uint8))


async def test_flat_frames_are_compared_as_an_upload_is(given: Given) -> None:
    """An entry of a card would seem to do nothing, and hold every copy of it."""
    bank = await given.bank()
    card, near = graded(signals(1), 30), graded(flipped(signals(1), 40), 30)
    uploads = [
        card,
        near,
        graded(flipped(signals(1), 41), 30),
        # Beside rich frames a card says nothing.
        Signals.concatenate([graded(signals(1), 30), signals(600, 2)])[0],
        graded(signals(601), 30),
    ]
    screened = [await given.screened(each) for each in uploads]
    entry = await given.entry(bank, graded(signals(1), 40))
    found = await given.preview(entry)
    assert found.screenings.would_review == 2
    assert found.screenings.would_block == 0
    assert found.screenings.compared + found.screenings.partly_compared == 5
    await given.blocklist.approve_entry(new_request(), entry.ref.entry_id)
    told = {each.screening_id: each for each in found.screening_samples}
    assert set(told) == {each.screening_id for each in screened[:2]}
    for each in screened:
        now = await given.screenings.confirm(new_request(), each.screening_id)
        if each.screening_id in told:
            sample = told[each.screening_id]
            assert (sample.would_be, sample.evidence) == (now.verdict, now.evidence)
        else:
            assert now.verdict in (Verdict.NO_MATCH, Verdict.INCONCLUSIVE)
            assert now.evidence == ()


async def test_what_could_not_be_told_from_an_entry_is_said(given: Given) -> None:
    """An entry would seem to hold nobody, and hold each wall that is like it."""
    bank = await given.bank()
    loose = np.packbits(np.arange(256) >= 100)  # All other bits of an upload are firm.
    moved = np.packbits(np.arange(256) >= 190)
    there = signals(1)
    uploads: list[Signals] = []
    for digests_there in (there.digests ^ moved, ~there.digests):
        readings = [digests_there, digests_there, digests_there ^ loose]
        uploads += Signals.concatenate(
            graded(replace(there, digests=each), quality)
            for each, quality in zip(readings, (60, 24, 23), strict=True)
        )
    screened = [await given.screened(each) for each in (*uploads, signals(2))]
    assert {each.verdict for each in screened} == {Verdict.NO_MATCH}
    entry = await given.entry(bank, there)
    found = await given.preview(entry)
    assert found.screenings == tally(compared=2, partly_compared=1)
    await given.blocklist.approve_entry(new_request(), entry.ref.entry_id)
    now = [await given.screenings.confirm(new_request(), each.screening_id) for each in screened]
    assert [each.verdict for each in now] == [
        Verdict.INCONCLUSIVE,
        Verdict.NO_MATCH,
        Verdict.NO_MATCH,
    ]


async def test_what_cannot_be_compared_is_said(given: Given) -> None:
    """Nothing found would be taken for nothing there."""
    bank = await given.bank({Kind.PDQ: 31, Kind.SHA256: 0})
    whole, only_file, only_frames, old = [
        await given.screened(*some)
        for some in (
            [signals(1), signals(1, 1, Kind.SHA256)],
            [signals(2, 1, Kind.SHA256)],
            [signals(3)],
            [signals(4), signals(4, 1, Kind.SHA256)],
        )
    ]
    gap = await given.screenings.screen_signals(
        new_request(), [signals(5, 2, gap_ms=9000), signals(5, 1, Kind.SHA256)], 9000
    )
    assert (whole.coverage.complete, gap.coverage.complete) == (True, False)
    with given.database.write() as connection:
        connection.execute(
            screenings.update()
            .where(screenings.c.screening_id == old.screening_id)
            .values(hash_versions={Kind.PDQ: "0", Kind.SHA256: "1"})
        )
    both = await given.entry(bank, signals(4), signals(99, 1, Kind.SHA256))
    found = (await given.preview(both)).screenings
    # What has the same hash by another version is not compared with it.
    assert found == tally(compared=1, partly_compared=4, missing={Kind.PDQ: 2, Kind.SHA256: 1})
    frames = await given.preview(await given.entry(bank, signals(3)))
    assert frames.screenings == tally(
        compared=2,
        partly_compared=1,
        not_compared=2,
        missing={Kind.PDQ: 2},
        would_block=1,
        newly_held=1,
    )
    assert [each.screening_id for each in frames.screening_samples] == [only_frames.screening_id]
    assert only_file.verdict is Verdict.INCONCLUSIVE
    # A bank that has changed its kinds since may have left an entry none.
    gone = await given.entry(bank, signals(7))
    edit = BankEdit(thresholds={Kind.SHA256: 0})
    await given.blocklist.update_bank(new_request(), bank.bank_id, "", edit)
    nothing = await given.preview(gone)
    assert (nothing.kinds, nothing.screenings) == ((), tally(not_compared=5))


@pytest.mark.parametrize(
    ("policy", "bits", "verdict", "effect"),
    [
        (BankPolicy(mode=BankMode.SHADOW), 0, Verdict.BLOCK, Effect.ACTS),
        (BankPolicy(traffic_percent=0), 0, Verdict.BLOCK, Effect.ACTS),
        (BankPolicy(), 45, Verdict.REVIEW, Effect.ACTS),
        (BankPolicy(review_score=14), 45, Verdict.NO_MATCH, Effect.WEAK),
    ],
)
async def test_the_policy_is_the_banks_own_as_if_it_were_live(
    given: Given, policy: BankPolicy, bits: int, verdict: Verdict, effect: Effect
) -> None:
    """A list in shadow is there to be tried: its preview would always say nothing."""
    bank = await given.bank({Kind.PDQ: 50}, bank_policy=policy)
    await given.screened(flipped(signals(1), bits))
    found = await given.preview(await given.entry(bank, signals(1)))
    (sample,) = found.screening_samples
    assert sample.would_be is verdict
    assert [each.effect for each in sample.evidence] == [effect]
    name = {
        Verdict.BLOCK: "would_block",
        Verdict.REVIEW: "would_review",
        Verdict.NO_MATCH: "without_effect",
    }[verdict]
    held = int(verdict is not Verdict.NO_MATCH)
    assert found.screenings == tally(compared=1, newly_held=held, **{name: 1})


async def test_harmless_media_is_compared_as_if_it_were_uploaded(given: Given) -> None:
    """A title card in a list is found out here, or by a hundred people whose films are held."""
    card = signals(7, 3)
    harmless = await given.bank(action=Action.OVERRULE)
    benign = await given.entry(harmless, card, signals(7, 1, Kind.SHA256), pending=False)
    await given.entry(harmless, signals(8), pending=False)
    gone = await given.entry(harmless, signals(1), pending=False)
    await given.blocklist.withdraw_entry(new_request(), gone.ref.entry_id)
    await given.entry(harmless, signals(1))  # Waits.
    other = await given.bank(action=Action.OVERRULE)
    await given.entry(other, signals(1), pending=False)
    await given.blocklist.archive_bank(new_request(), other.bank_id, "")
    with_card = await given.screened(Signals.concatenate([card, signals(9)])[0])
    entry = await given.entry(await given.bank(), Signals.concatenate([signals(1), card])[0])
    found = await given.preview(entry)
    assert found.benign == tally(compared=2, would_block=1)
    (sample,) = found.benign_samples
    assert (sample.entry, sample.would_be) == (benign.ref, Verdict.BLOCK)
    assert [each.entry for each in sample.evidence] == [entry.ref]
    # Of an upload the negative bank overrules it.
    assert found.screenings == tally(compared=1, without_effect=1)
    assert [each.effect for each in found.screening_samples[0].evidence] == [Effect.OVERRULED]
    assert ids(found) == [with_card.screening_id]
    without = await given.preview(entry, benign=False)
    assert (without.benign, without.screenings) == (tally(), found.screenings)


async def test_a_negative_entry_would_let_pass(given: Given) -> None:
    """What is excused by mistake is published."""
    listed = await given.bank()
    await given.entry(listed, signals(1, 3), pending=False)
    held = await given.screened(signals(1, 3))
    part = await given.screened(Signals.concatenate([signals(1, 3), signals(2)])[0])
    free = await given.screened(signals(3))
    assert [each.verdict for each in (held, part, free)] == [
        Verdict.BLOCK,
        Verdict.BLOCK,
        Verdict.NO_MATCH,
    ]
    harmless = await given.bank(action=Action.OVERRULE)
    for hashes, passed, matched in (
        (signals(1, 3), 2, 2),
        (signals(1), 0, 2),  # Two other frames are listed still.
        (signals(3), 0, 1),
        (signals(4), 0, 0),
    ):
        entry = await given.entry(harmless, hashes)
        found = await given.preview(entry)
        assert found.screenings == tally(compared=3, without_effect=matched, newly_passed=passed)
        shown = [one for each in found.screening_samples for one in each.evidence]
        assert {each.entry for each in shown} <= {entry.ref}
        assert {each.action for each in shown} <= {Action.OVERRULE}
        assert {each.would_be for each in found.screening_samples} <= {Verdict.NO_MATCH}
        await given.blocklist.approve_entry(new_request(), entry.ref.entry_id)
        # One that is in use already tells the same, and is not compared with itself.
        after = await given.preview(entry)
        assert (after.screenings, after.benign.would_block) == (found.screenings, 0)
        now = [
            (await given.screenings.confirm(new_request(), each.screening_id)).verdict
            for each in (held, part)
        ]
        assert now.count(Verdict.NO_MATCH) == passed
        await given.blocklist.withdraw_entry(new_request(), entry.ref.entry_id)
        for each in (held, part):
            again = await given.screenings.confirm(new_request(), each.screening_id)
            assert again.verdict is Verdict.BLOCK


async def test_only_the_newest_are_compared(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large store would keep a preview at work for hours; and blocks would leave some out."""
    screened = [await given.screened(signals(seed % 3, 2)) for seed in range(11)]
    entry = await given.entry(await given.bank(), signals(1, 2))
    newest = [each.screening_id for each in reversed(screened)]
    matching = [newest[place] for place in range(11) if (10 - place) % 3 == 1]
    for block, hashes in ((500, 10_000), (3, 3), (1, 1)):
        monkeypatch.setattr(preview_module, "_BLOCK", block)
        monkeypatch.setattr(preview_module, "_HASHES_AT_ONCE", hashes)
        for count in (0, 1, 4, 11, 10_000):
            found = await given.preview(entry, count)
            expected = [each for each in matching if each in newest[:count]]
            assert ids(found) == expected
            assert found.screenings.compared == min(count, 11)


async def test_a_few_are_shown_and_all_are_counted(given: Given) -> None:
    """A list that matches everything would be answered by a gigabyte."""
    for bits in [*range(31), *range(31)]:
        await given.screened(flipped(signals(1), bits))
    found = await given.preview(await given.entry(await given.bank(), signals(1)))
    assert found.screenings == tally(compared=62, would_block=62, newly_held=62)
    distances = [each.evidence[0].distance for each in found.screening_samples]
    assert distances == [each for each in range(10) for _ in range(2)]


async def test_an_import_is_previewed_as_one(given: Given) -> None:
    """A partner's list would be looked at by its first entry."""
    bank = await given.bank()
    some = digests(5, 9000)  # So many that they are searched by tables.
    made = await given.imported(bank, some, pending=True)
    assert made.state is ImportState.PENDING
    picked = [0, 4000, 8999]
    for place in picked:
        alike = signals(0)
        await given.screened(replace(alike, digests=some[[place]]))
    await given.screened(signals(6))
    found = await given.previews.of_import(Call(UNRESTRICTED), made.import_id)
    assert (found.entries, found.kinds) == (9000, (Kind.PDQ,))
    assert found.screenings == tally(compared=4, would_block=3, newly_held=3)
    # What was declined by itself would not come into use.
    entry_id = found.screening_samples[0].evidence[0].entry.entry_id
    await given.blocklist.withdraw_entry(new_request(), entry_id)
    less = await given.previews.of_import(Call(UNRESTRICTED), made.import_id)
    assert (less.entries, less.screenings.would_block) == (8999, 2)
    approved = await given.imports.approve(new_request(), made.import_id)
    assert approved.state is ImportState.ACTIVE
    assert (
        await given.previews.of_import(Call(UNRESTRICTED), made.import_id)
    ).screenings.would_block == 2
    await given.imports.withdraw(new_request(), made.import_id)
    gone = await given.previews.of_import(Call(UNRESTRICTED), made.import_id)
    assert (gone.entries, gone.screenings.would_block) == (9000, 3)


async def test_what_is_not_there_or_out_of_use(given: Given) -> None:
    """A misspelled id would look like an entry that matches nothing."""
    with pytest.raises(EntryNotFound):
        await given.previews.of_entry(Call(UNRESTRICTED), "ent_nothing")
    with pytest.raises(ImportNotFound):
        await given.previews.of_import(Call(UNRESTRICTED), "imp_nothing")
    bank = await given.bank()
    entry = await given.entry(bank, signals(1))
    await given.blocklist.archive_bank(new_request(), bank.bank_id, "")
    with pytest.raises(BankArchived):
        await given.preview(entry)


async def test_who_may_see_a_preview_and_what_he_is_told(given: Given) -> None:
    """It tells what was uploaded: that is for few to know, and is written down."""
    harmless = await given.bank(action=Action.OVERRULE)
    benign = await given.entry(harmless, signals(1), pending=False)
    bank = await given.bank()
    entry = await given.entry(bank, signals(1))

    def curator(*banks: str) -> Caller:
        return Caller("clr_1", "ayu", frozenset({Role.CURATOR}), frozenset(banks))

    with pytest.raises(PermissionDenied):
        await given.preview(entry, caller=curator(harmless.bank_id))
    for own, reference in (([bank.name], ""), ([bank.bank_id, harmless.name], "a reference")):
        found = await given.preview(entry, 10, caller=curator(*own))
        (sample,) = found.benign_samples
        assert (sample.entry.entry_id, sample.entry.bank_name) == (
            benign.ref.entry_id,
            harmless.name,
        )
        assert sample.entry.reference == reference
        assert bool(sample.entry.label) is bool(reference)
        assert sample.evidence[0].entry == entry.ref
    rows = Audit(given.database).list(0, 10, "clr_1", "", None).items
    assert [(row.action, row.subject) for row in rows] == [
        ("entry_previewed", entry.ref.entry_id)
    ] * 2
    assert json.loads(rows[0].details) == {"screenings": 10, "benign": True}


async def test_who_may_approve_what_waits_in_a_bank_of_one(given: Given) -> None:
    """Whoever looks first would need an approver, so nobody would look; or a curator could bring
    into use what others proposed.
    """
    one = await given.bank()
    two = await given.bank(activation=Activation.TWO_PERSON)
    some = digests(3, 2)

    def by(name: str, role: Role = Role.CURATOR) -> Call:
        return replace(new_request(), caller=Caller(name, name, frozenset({role})))

    for bank, may in ((one, True), (two, False)):
        entry = await given.entry(bank, signals(20), who="ayu")
        text = "".join(f"{each.tobytes().hex()}\n" for each in some).encode()
        said = ListSaid(kind=Kind.PDQ, pending=True)
        made = await given.imports.add(by("ayu"), bank.bank_id, said, pieces(text))
        assert (entry.state, made.state) == (EntryState.PENDING, ImportState.PENDING)
        entry_id, import_id = entry.ref.entry_id, made.import_id
        for name in ("budi", *(["ayu"] * (not may))):
            with pytest.raises(PermissionDenied):
                await given.blocklist.approve_entry(by(name), entry_id)
            with pytest.raises(PermissionDenied):
                await given.imports.approve(by(name), import_id)
        if not may:
            with pytest.raises(SecondPersonNeeded):
                await given.blocklist.approve_entry(by("ayu", Role.APPROVER), entry_id)
            continue
        approved = await given.blocklist.approve_entry(by("ayu"), entry_id)
        assert (approved.state, approved.approved_by) == (EntryState.ACTIVE, "ayu")
        whole = await given.imports.approve(by("ayu"), import_id)
        assert whole.state is ImportState.ACTIVE
    # One that asks for two persons since has the last word.
    entry = await given.entry(one, signals(21), who="ayu")
    edit = BankEdit(activation=Activation.TWO_PERSON)
    await given.blocklist.update_bank(new_request(), one.bank_id, "", edit)
    with pytest.raises(PermissionDenied):
        await given.blocklist.approve_entry(by("ayu"), entry.ref.entry_id)


async def test_one_at_a_time_and_none_that_nobody_waits_for(
    given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Impatient people would keep a server busy with what nobody reads any more."""
    for seed in range(6):
        await given.screened(signals(seed))
    entry = await given.entry(await given.bank(), signals(1))
    monkeypatch.setattr(preview_module, "_BLOCK", 1)
    begun, running, most = asyncio.Event(), 0, 0
    loop = asyncio.get_running_loop()
    read = PreviewStore.newest_screenings

    def counted(self: PreviewStore, before: int, limit: int) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        loop.call_soon_threadsafe(begun.set)
        try:
            return read(self, before, limit)
        finally:
            running -= 1

    monkeypatch.setattr(PreviewStore, "newest_screenings", counted)
    found = await asyncio.gather(*(given.preview(entry) for _ in range(4)))
    assert {each.screenings.would_block for each in found} == {1}
    assert most == 1
    begun.clear()
    first = asyncio.create_task(given.preview(entry))
    await begun.wait()
    second = asyncio.create_task(given.preview(entry))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await second).screenings.would_block == 1
    assert not any(each.name.startswith("hashmatch-preview") for each in threading.enumerate())


async def test_what_is_quarantined_is_told_as_if_it_were_released(given: Given) -> None:
    """Whoever decides on that would be told that it only holds for review."""
    screened = await given.screened(signals(1))
    entry = await given.entry(await given.bank(), signals(1), pending=False)
    before = await given.preview(entry)
    assert given.store.quarantine_entry(entry.ref.entry_id, {})
    await given.replica.current()
    now = await given.screenings.confirm(new_request(), screened.screening_id)
    assert now.verdict is Verdict.REVIEW
    found = await given.preview(entry)
    assert found.screening_samples[0].evidence == before.screening_samples[0].evidence
    assert (found.screenings.would_block, found.screenings.newly_held) == (1, 0)
