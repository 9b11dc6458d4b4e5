"""Banks and entries as their keepers see them: the use cases, with real workers."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from hashmatch.decoding.intake import Looks
from hashmatch.decoding.sandbox import Sandbox
from hashmatch.engine.sampling.frames import Density
from hashmatch.errors import (
    BankArchived,
    BankExists,
    BankNotFound,
    EntryNotFound,
    EtagMismatch,
    InvalidField,
    MediaUnusable,
    RequestIdReused,
    UploadMismatch,
)
from hashmatch.model.call import Call
from hashmatch.model.callers import UNRESTRICTED
from hashmatch.model.commands import BankEdit, NewEntry
from hashmatch.model.records import DEFAULT_THRESHOLDS, Bank, KindCount
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Action, BankState, EntryState, Kind, VerdictReason
from tests.support import (
    LIMITS,
    Gate,
    Parts,
    clip,
    flat_image,
    image,
    inspected_by,
    new_request,
    pieces,
    signals,
    spool_budget,
    workers,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    """One worker for all tests."""
    async with workers(1) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def parts(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Parts]:
    """A server without gRPC, its blocklist empty."""
    made = await Parts.make(tmp_path, sandbox)
    yield made
    made.database.close()


@pytest_asyncio.fixture(loop_scope="module")
async def bank(parts: Parts) -> Bank:
    """A blocking bank with what banks have unless told otherwise."""
    return await parts.bank()


async def found(parts: Parts, sent: Signals) -> list[str]:
    """References of what a hash matches now."""
    snapshot = parts.replica.snapshot
    seqs = [int(seq) for seq in np.unique(snapshot.search(sent).entry)]
    return sorted(ref.reference for ref in (await parts.replica.entry_refs(seqs)).values())


async def hashes(parts: Parts, data: bytes) -> tuple[Signals, ...]:
    """What an upload is looked up by."""
    looks = Looks(frozenset({Kind.PDQ}), Density(1000, change_bits=256), turns=False)

    async def never(_: list[Signals]) -> bool:
        return False

    return (await inspected_by(parts.intake, pieces(data), 0, looks, never)).signals


# Banks


async def test_a_bank_matches_by_sha256_and_pdq_unless_told_otherwise(parts: Parts) -> None:
    """A keeper who knows nothing of hashes would make a bank that matches nothing."""
    assert (await parts.bank(thresholds=None)).thresholds == DEFAULT_THRESHOLDS
    assert (await parts.bank(thresholds={})).thresholds == DEFAULT_THRESHOLDS
    assert dict(DEFAULT_THRESHOLDS) == {Kind.SHA256: 0, Kind.PDQ: 31, Kind.PDQ_PATCH: 40}


@pytest.mark.parametrize(
    ("kind", "most"),
    [(Kind.PDQ, 63), (Kind.PHASH, 15), (Kind.SHA256, 0), (Kind.SHA1, 0), (Kind.MD5, 0)],
)
async def test_a_threshold_has_a_limit(parts: Parts, bank: Bank, kind: Kind, most: int) -> None:
    """A typing error in a threshold would accuse at random."""
    made = await parts.bank(thresholds={kind: most})
    assert made.thresholds == {kind: most}
    with pytest.raises(InvalidField) as caught:
        await parts.bank(thresholds={kind: most + 1})
    assert caught.value.metadata == {"field": "kinds"}
    with pytest.raises(InvalidField):
        await parts.blocklist.update_bank(
            new_request(), bank.name, "", BankEdit(thresholds={kind: most + 1})
        )
    assert await parts.blocklist.get_bank(bank.name) == bank


async def test_banks_are_kept_as_told(parts: Parts, bank: Bank) -> None:
    """Errors of the store would not reach the keeper."""
    edited = await parts.blocklist.update_bank(
        new_request(), bank.name, bank.etag, BankEdit(label="changed")
    )
    assert (edited.label, edited.name) == ("changed", bank.name)
    with pytest.raises(EtagMismatch):
        await parts.blocklist.archive_bank(new_request(), bank.name, bank.etag)
    with pytest.raises(BankExists):
        await parts.blocklist.create_bank(new_request(), bank.name, "", Action.BLOCK, None)
    archived = await parts.blocklist.archive_bank(new_request(), bank.name, edited.etag)
    assert archived.state is BankState.ARCHIVED
    with pytest.raises(BankArchived):
        await parts.entry(bank, image(1))
    with pytest.raises(BankNotFound):
        await parts.blocklist.get_bank("nowhere")
    listed = await parts.blocklist.list_banks(0, 10, BankState.ARCHIVED)
    assert listed.items == (archived,)


async def test_changes_are_in_effect_when_they_are_answered(parts: Parts, bank: Bank) -> None:
    """A keeper who was told 'done' would see the upload pass that he wanted to stop."""
    entry = await parts.blocklist.create_entry(
        new_request(), bank.bank_id, NewEntry("one", "", [signals(1)])
    )
    assert parts.replica.snapshot.revision == entry.revision
    assert await found(parts, signals(1)) == ["one"]
    edited = await parts.blocklist.update_bank(
        new_request(), bank.name, "", BankEdit(thresholds={Kind.SHA256: 0})
    )
    assert parts.replica.snapshot.revision == edited.revision
    assert await found(parts, signals(1)) == []
    withdrawn = await parts.blocklist.withdraw_entry(new_request(), entry.ref.entry_id)
    assert parts.replica.snapshot.revision == withdrawn.revision
    assert parts.replica.snapshot.active_entries == 0
    made = await parts.bank()
    assert parts.replica.snapshot.revision == made.revision
    archived = await parts.blocklist.archive_bank(new_request(), made.name, "")
    assert parts.replica.snapshot.revision == archived.revision


# Entries of hashes


async def test_hashes_that_the_bank_does_not_use_are_left_out(parts: Parts, bank: Bank) -> None:
    """An entry would count hashes that never match."""
    sent = [signals(1), signals(1, 1, Kind.PHASH), signals(1, 1, Kind.MD5)]
    entry = await parts.blocklist.create_entry(new_request(), bank.bank_id, NewEntry("", "", sent))
    assert entry.kinds == (KindCount(Kind.PDQ, 1, 1),)


async def test_an_entry_of_nothing_usable_is_refused(parts: Parts, bank: Bank) -> None:
    """A keeper would believe an item stopped that can never match."""
    flat = dataclasses.replace(signals(1, 3), quality=np.array([0, 24, 24], np.uint8))
    for sent in ([flat], [signals(1, 1, Kind.PHASH)], []):
        with pytest.raises(MediaUnusable) as caught:
            await parts.blocklist.create_entry(new_request(), bank.bank_id, NewEntry("", "", sent))
        assert caught.value.metadata == {"media_reason": "NOTHING_USABLE"}
    assert parts.replica.snapshot.active_entries == 0
    one = dataclasses.replace(signals(1, 3), quality=np.array([0, 25, 24], np.uint8))
    entry = await parts.blocklist.create_entry(new_request(), bank.bank_id, NewEntry("", "", [one]))
    assert entry.kinds == (KindCount(Kind.PDQ, 3, 1),)


# Entries of media


async def test_a_media_becomes_an_entry(parts: Parts, bank: Bank) -> None:
    """A keeper could not add what he has in front of him."""
    entry = await parts.blocklist.create_entry_from_media(
        new_request(),
        bank.name,
        NewEntry("case 7", "what it is", ()),
        pieces(clip([1, 2, 3])),
    )
    assert (entry.ref.reference, entry.ref.label) == ("case 7", "what it is")
    assert entry.state is EntryState.ACTIVE
    assert {each.kind for each in entry.kinds} == {Kind.PDQ, Kind.SHA256, Kind.PDQ_PATCH}
    assert all(each.usable for each in entry.kinds)
    assert 2000 <= entry.duration_ms <= 3000
    assert entry.coverage is not None
    assert entry.coverage.complete
    assert entry.reasons == ()


async def test_an_entry_is_looked_at_more_closely_than_an_upload(parts: Parts, bank: Bank) -> None:
    """A short forbidden scene between two sampled seconds of the entry would never match."""
    scenes = [1, 2, 3, 4, 5, 6, 7, 8]  # A quarter of a second each.
    await parts.entry(bank, clip(scenes, frames=1), "scenes")
    for seed in scenes:
        [pdq] = [each for each in await hashes(parts, image(seed)) if each.kind is Kind.PDQ]
        assert await found(parts, pdq) == ["scenes"]


async def test_a_bank_of_file_hashes_takes_any_file(parts: Parts) -> None:
    """A list of forbidden documents could not be kept."""
    exact = await parts.bank(thresholds={Kind.SHA256: 0, Kind.MD5: 0})
    entry = await parts.entry(exact, b"no media\n" * 99, "the text")
    assert {each.kind for each in entry.kinds} == {Kind.SHA256, Kind.MD5}


@pytest.mark.parametrize(
    ("media", "reason"),
    [
        (b"", VerdictReason.EMPTY),
        (b"no media\n" * 99, VerdictReason.UNSUPPORTED),
        (flat_image(), VerdictReason.ALL_FRAMES_FLAT),
    ],
    ids=["empty", "text", "flat"],
)
async def test_a_media_that_gives_no_frame_is_refused(
    parts: Parts, bank: Bank, media: bytes, reason: VerdictReason
) -> None:
    """A keeper would believe a picture stopped of which only this very file is."""
    with pytest.raises(MediaUnusable) as caught:
        await parts.entry(bank, media)
    assert caught.value.metadata == {"media_reason": reason.name}
    assert parts.replica.snapshot.active_entries == 0


async def test_part_of_a_media_is_an_entry_all_the_same(parts: Parts, bank: Bank) -> None:
    """A damaged copy, which may be the only one there is, could not be added."""
    whole = clip(range(8), quality=1)
    entry = await parts.blocklist.create_entry_from_media(
        new_request(),
        bank.name,
        NewEntry("", "", ()),
        pieces(whole[: len(whole) // 2]),
    )
    assert entry.coverage is not None
    assert not entry.coverage.complete
    assert entry.reasons
    assert any(each.kind is Kind.PDQ and each.usable for each in entry.kinds)


async def test_a_media_of_another_size_is_refused(parts: Parts, bank: Bank) -> None:
    """A connection that broke off would leave an entry of half a media."""
    with pytest.raises(UploadMismatch):
        await parts.blocklist.create_entry_from_media(
            new_request(),
            bank.name,
            NewEntry("", "", ()),
            pieces(image(1)),
            len(image(1)) + 1,
        )
    assert parts.replica.snapshot.active_entries == 0
    assert parts.budget == spool_budget(parts.budget.folder)


async def test_a_media_over_the_limit_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    """A keeper would believe a long video stopped of which nothing was looked at."""
    limits = dataclasses.replace(LIMITS, max_upload_bytes=1000)
    parts = await Parts.make(tmp_path, sandbox, limits)
    bank = await parts.bank()
    with pytest.raises(MediaUnusable) as caught:
        await parts.entry(bank, image(1))
    assert caught.value.metadata == {"media_reason": "SIZE_LIMIT"}
    parts.database.close()


async def test_a_bank_that_does_not_exist_costs_no_upload(parts: Parts, bank: Bank) -> None:
    """A misspelled name would be noticed after gigabytes."""
    with pytest.raises(BankNotFound):
        await parts.blocklist.create_entry_from_media(
            new_request(),
            "nowhere",
            NewEntry("", "", ()),
            Gate(image(1)).__aiter__(),
        )


async def test_an_entry_that_does_not_exist(parts: Parts, bank: Bank) -> None:
    """Withdrawing a misspelled id would look done."""
    with pytest.raises(EntryNotFound):
        await parts.blocklist.withdraw_entry(new_request(), "ent_nothing")
    with pytest.raises(EntryNotFound):
        await parts.blocklist.get_entry(Call(UNRESTRICTED), "ent_nothing")


# Requests that are repeated


async def test_a_repeat_gets_the_first_entry(parts: Parts, bank: Bank) -> None:
    """A retry after a lost answer would send the media again and make a second entry."""
    request = new_request()
    first = await parts.blocklist.create_entry_from_media(
        request, bank.name, NewEntry("one", "", ()), pieces(image(1))
    )
    assert first.coverage is not None
    assert first.coverage.complete
    again = await parts.blocklist.create_entry_from_media(
        request, bank.name, NewEntry("one", "", ()), pieces(image(1))
    )
    assert again == first
    assert (
        len((await parts.blocklist.list_entries(Call(UNRESTRICTED), 0, 10, None, None)).items) == 1
    )
    with pytest.raises(RequestIdReused):
        await parts.blocklist.create_entry_from_media(
            Call(UNRESTRICTED, request.request_id, "of another"),
            bank.name,
            NewEntry("", "", ()),
            pieces(image(2)),
        )


async def test_a_repeat_gets_the_first_coverage(parts: Parts, bank: Bank) -> None:
    """A keeper whose retry made the entry would take half of a media for all of it."""
    request = new_request()
    whole = clip(range(8), quality=1)
    answers = [
        await parts.blocklist.create_entry_from_media(
            request,
            bank.name,
            NewEntry("", "", ()),
            pieces(whole[: len(whole) // 2]),
        )
        for _ in range(2)
    ]
    assert answers[0].coverage is not None
    assert not answers[0].coverage.complete
    assert answers[0].reasons
    assert answers[1] == answers[0]


async def test_another_media_under_the_same_request_id_is_refused(parts: Parts, bank: Bank) -> None:
    """A keeper would believe that a media is listed of which no hash was made."""
    request = new_request()
    await parts.blocklist.create_entry_from_media(
        request, bank.name, NewEntry("", "", ()), pieces(image(1))
    )
    with pytest.raises(RequestIdReused):
        await parts.blocklist.create_entry_from_media(
            request, bank.name, NewEntry("", "", ()), pieces(image(2))
        )


async def test_a_repeat_gets_the_first_entry_whatever_became_of_its_bank(
    parts: Parts, bank: Bank
) -> None:
    """A retry would be told that there is no such bank, or that it wants other hashes."""
    request = new_request()

    async def attempt() -> object:
        return await parts.blocklist.create_entry(
            request, bank.name, NewEntry("one", "", [signals(1)])
        )

    first = await attempt()
    edit = BankEdit(name="renamed", thresholds={Kind.SHA256: 0})
    await parts.blocklist.update_bank(new_request(), bank.name, "", edit)
    assert await attempt() == first
    await parts.blocklist.archive_bank(new_request(), "renamed", "")
    assert await attempt() == first


async def test_repeats_at_the_same_time_make_one_entry(parts: Parts, bank: Bank) -> None:
    """A retry that overtakes its first attempt would make a second entry."""
    request = new_request()
    made = await asyncio.gather(
        *(
            parts.blocklist.create_entry_from_media(
                request, bank.name, NewEntry("one", "", ()), pieces(image(1))
            )
            for _ in range(4)
        )
    )
    assert all(entry == made[0] for entry in made)
    assert parts.replica.snapshot.active_entries == 1


async def test_withdrawing_twice_is_once(parts: Parts, bank: Bank) -> None:
    """Two keepers who take one entry back would make the count of entries wrong."""
    entry, other = await parts.entry(bank, image(1)), await parts.entry(bank, image(2))
    for _ in range(2):
        withdrawn = await parts.blocklist.withdraw_entry(new_request(), entry.ref.entry_id)
        assert withdrawn.state is EntryState.WITHDRAWN
    assert parts.replica.snapshot.active_entries == 1
    active = await parts.blocklist.list_entries(
        Call(UNRESTRICTED), 0, 10, bank.name, EntryState.ACTIVE
    )
    assert active.items == (other,)
