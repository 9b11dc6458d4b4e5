"""What becomes of an upload: the use cases, with real workers and a real store."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import hashlib
import io
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hashmatch.decoding import worker_process
from hashmatch.decoding.admission import Ticket
from hashmatch.decoding.channel import Done, Job
from hashmatch.decoding.sandbox import OnSignals, Sandbox
from hashmatch.decoding.spool import Spool, SpoolBudget
from hashmatch.engine.hashing import pdq
from hashmatch.engine.hashing.versions import HASH_VERSIONS
from hashmatch.errors import (
    RequestIdReused,
    ScreeningNotFound,
    SpoolFull,
    StoreUnavailable,
    UploadMismatch,
)
from hashmatch.model.call import Call
from hashmatch.model.callers import UNRESTRICTED
from hashmatch.model.commands import BankEdit, NewEntry
from hashmatch.model.records import Bank, Screening
from hashmatch.model.signals import Signals, view_code
from hashmatch.model.verdicts import Action, Kind, Part, Turn, Verdict, VerdictReason
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.tables import screenings as screenings_table
from hashmatch.usecases import screenings as screening_module
from tests.support import (
    LIMITS,
    PATIENT,
    TORTURE,
    Gate,
    Parts,
    card,
    clip,
    encoded,
    flat_image,
    flipped,
    image,
    new_id,
    new_request,
    noisy_image,
    picture,
    pieces,
    reencoded,
    signals,
    wall,
    workers,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIP = clip([1, 2, 3, 4])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    """Workers for all tests."""
    async with workers(2) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def parts(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Parts]:
    """A server without gRPC, its blocklist empty."""
    made = await Parts.make(tmp_path, sandbox)
    yield made
    made.database.close()


@pytest_asyncio.fixture(loop_scope="module")
async def bank(parts: Parts) -> Bank:
    """A blocking bank, by what callers hash by too, with an entry that nothing here matches."""
    made = await parts.bank(thresholds={Kind.SHA256: 0, Kind.PDQ: 31})
    await parts.entry(made, image(99))
    return made


def codes(screening: Screening) -> list[VerdictReason]:
    """Its reasons."""
    return [reason.code for reason in screening.reasons]


def references(screening: Screening) -> list[str]:
    """What it matched, surest first."""
    return [evidence.entry.reference for evidence in screening.evidence]


# Verdicts


async def test_what_matches_nothing_may_be_published(parts: Parts, bank: Bank) -> None:
    """Nothing could be published at all."""
    for media in (image(1), CLIP):
        screening = await parts.screen(media)
        assert screening.verdict is Verdict.NO_MATCH
        assert codes(screening) == [VerdictReason.NOTHING_FOUND]
        assert screening.coverage.complete
        assert screening.evidence == ()
        assert screening.blocklist_revision == parts.blocklist_store.revision()
        assert screening.media.sha256 == hashlib.sha256(media).digest()
        assert screening.hash_versions == {
            kind: HASH_VERSIONS[kind] for kind in (Kind.PDQ, Kind.SHA256)
        }
        assert await parts.screenings.get(Call(UNRESTRICTED), screening.screening_id) == screening


async def test_the_very_file_is_blocked(parts: Parts, bank: Bank) -> None:
    """A file that is on the list would be published."""
    await parts.entry(bank, CLIP, "the clip")
    screening = await parts.screen(CLIP)
    assert screening.verdict is Verdict.BLOCK
    assert screening.evidence[0].entry.reference == "the clip"
    assert screening.evidence[0].entry.bank_name == bank.name


async def test_the_same_picture_in_another_file_is_blocked(parts: Parts, bank: Bank) -> None:
    """Saving a picture anew would be enough to get it through."""
    entry = await parts.entry(bank, image(1), "the picture")
    screening = await parts.screen(reencoded(1))
    assert screening.verdict is Verdict.BLOCK
    assert codes(screening) == [VerdictReason.PERCEPTUAL_MATCH]
    [evidence] = screening.evidence
    assert evidence.entry == entry.ref
    assert (evidence.kind, evidence.part, evidence.turn) == (Kind.PDQ, Part.FULL, Turn.NONE)
    assert evidence.distance <= evidence.threshold == 31


async def test_a_flat_picture_is_judged(parts: Parts, bank: Bank) -> None:
    """Each card and black picture would wait for a person; or a listed one would pass."""
    await parts.entry(bank, card(0), "the card")
    again = encoded(Image.open(io.BytesIO(card(0))).resize((500, 280)), "JPEG")
    for listed in (parts.screen(again), parts.screen(card(0))):
        screening = await listed
        assert screening.verdict in (Verdict.BLOCK, Verdict.REVIEW)
        assert references(screening)[0] == "the card"
    for other in (card(1), flat_image()):
        screening = await parts.screen(other)
        assert (screening.verdict, screening.coverage.frames_hashed) == (Verdict.NO_MATCH, 1)
        confirm = Call(UNRESTRICTED, new_id(), "confirm")
        confirmed = await parts.screenings.confirm(confirm, screening.screening_id)
        assert confirmed.verdict is Verdict.NO_MATCH


async def test_a_wall_is_held_only_if_it_may_be_a_listed_one(parts: Parts, bank: Bank) -> None:
    """Each wall out of focus would wait for a person; or a listed one pass once it was encoded."""
    await parts.entry(bank, image(1), "something else")
    screening = await parts.screen(wall(1))
    assert (screening.verdict, screening.coverage.complete) == (Verdict.NO_MATCH, True)
    digests, _ = pdq.digest(np.asarray(Image.open(io.BytesIO(wall(1))))[None])
    listed = Signals.from_columns(Kind.PDQ, digests.tobytes(), bytes([60]), bytes(8), b"\x08")
    new = NewEntry("the wall", "", [listed])  # As a list has it.
    await parts.blocklist.create_entry(new_request(), bank.name, new)
    confirm = Call(UNRESTRICTED, new_id(), "confirm")
    confirmed = await parts.screenings.confirm(confirm, screening.screening_id)
    again = encoded(Image.open(io.BytesIO(wall(1))).resize((420, 250)), "JPEG")
    for each in (confirmed, await parts.screen(again), await parts.screen(wall(1))):
        assert each.verdict is Verdict.INCONCLUSIVE
        (reason,) = each.reasons
        assert reason.code is VerdictReason.ALL_FRAMES_FLAT
        assert reason.detail.startswith("1 frames")
        assert each.coverage.complete
    assert (await parts.screen(wall(2))).verdict is Verdict.NO_MATCH


async def test_a_mirrored_picture_is_blocked(parts: Parts, bank: Bank) -> None:
    """Turning a picture round would be enough to get it through."""
    await parts.entry(bank, image(1), "the picture")
    for turn in Image.Transpose:
        turned = encoded(Image.fromarray(picture(1)).transpose(turn))
        screening = await parts.screen(turned)
        assert screening.verdict is Verdict.BLOCK
        assert references(screening) == ["the picture"]
        assert screening.evidence[0].turn is not Turn.NONE


async def test_a_stretch_of_a_clip_is_found_where_it_is(parts: Parts, bank: Bank) -> None:
    """A reviewer would have to watch a whole video for one forbidden second."""
    await parts.entry(bank, clip([51, 52, 53]), "the stretch")
    review = await parts.bank(Action.REVIEW)
    await parts.entry(review, clip([52, 53]), "part of it")
    screening = await parts.screen(clip([1, 2, 51, 52, 53, 3, 4]))
    assert screening.verdict is Verdict.BLOCK
    assert references(screening)[0] == "the stretch"
    [segment] = screening.evidence[0].segments
    assert 2000 <= segment.media_start_ms <= 3000
    assert 4000 <= segment.media_end_ms < 5250
    assert segment.entry_start_ms <= 1000
    assert segment.entry_end_ms <= 3000


async def test_a_bank_may_ask_for_a_person(parts: Parts, bank: Bank) -> None:
    """A doubtful item would be blocked without anybody looking at it."""
    review = await parts.bank(Action.REVIEW)
    await parts.entry(review, image(1), "doubtful")
    screening = await parts.screen(image(1))
    assert screening.verdict is Verdict.REVIEW
    await parts.entry(bank, reencoded(1), "forbidden")
    screening = await parts.screen(image(1))
    assert screening.verdict is Verdict.BLOCK
    assert references(screening)[0] == "forbidden"


async def test_an_empty_blocklist_lets_nothing_pass(parts: Parts) -> None:
    """A server that lost its blocklist would say NO_MATCH to everything."""

    async def expect_empty() -> None:
        screening = await parts.screen(image(1))
        assert screening.verdict is Verdict.INCONCLUSIVE
        assert codes(screening) == [VerdictReason.BLOCKLIST_EMPTY]
        confirmed = await parts.screenings.confirm(
            Call(UNRESTRICTED, new_id(), "confirm"), screening.screening_id
        )
        assert VerdictReason.BLOCKLIST_EMPTY in codes(confirmed)

    await expect_empty()
    bank = await parts.bank()
    await expect_empty()
    entry = await parts.entry(bank, image(99))
    assert (await parts.screen(image(1))).verdict is Verdict.NO_MATCH
    await parts.blocklist.withdraw_entry(new_request(), entry.ref.entry_id)
    await expect_empty()
    await parts.entry(bank, image(98))
    assert (await parts.screen(image(1))).verdict is Verdict.NO_MATCH
    await parts.blocklist.archive_bank(new_request(), bank.name, "")
    await expect_empty()


async def test_a_blocklist_that_can_match_nothing_lets_nothing_pass(parts: Parts) -> None:
    """A bank whose kinds were changed to ones its entries have not would pass everything."""
    bank = await parts.bank()
    await parts.entry(bank, image(99))
    edit = BankEdit(thresholds={Kind.PHASH: 4})
    await parts.blocklist.update_bank(new_request(), bank.name, "", edit)
    for media in (image(99), image(1)):
        screening = await parts.screen(media)
        assert screening.verdict is Verdict.INCONCLUSIVE
        assert VerdictReason.BLOCKLIST_EMPTY in codes(screening)


async def test_a_stale_blocklist_lets_nothing_pass(
    parts: Parts, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that cannot hear of new entries would let them pass."""
    await parts.entry(bank, image(1), "known before")
    earlier = await parts.screen(image(2))
    assert earlier.verdict is Verdict.NO_MATCH

    def away(_: BlocklistStore) -> int:
        raise StoreUnavailable("the store is away")

    monkeypatch.setattr(BlocklistStore, "revision", away)
    # It may be away for a while.
    assert (await parts.screen(image(3))).verdict is Verdict.NO_MATCH
    monkeypatch.setattr(parts.replica, "_heard", parts.replica._heard - 11)
    for screening in (
        await parts.screen(image(4)),
        await parts.screen(image(6)),
        await parts.screenings.confirm(
            Call(UNRESTRICTED, new_id(), "confirm"), earlier.screening_id
        ),
    ):
        assert screening.verdict is Verdict.INCONCLUSIVE
        assert codes(screening) == [VerdictReason.BLOCKLIST_STALE]
    # What is known is known all the same.
    screening = await parts.screen(reencoded(1))
    assert screening.verdict is Verdict.BLOCK
    assert references(screening) == ["known before"]
    monkeypatch.undo()
    assert (await parts.screen(image(4))).verdict is Verdict.NO_MATCH


@pytest.mark.parametrize(
    ("media", "code"),
    [
        (b"", VerdictReason.EMPTY),
        (b"no media\n" * 99, VerdictReason.UNSUPPORTED),
        (image(1)[:-2000], VerdictReason.TRUNCATED),
        (noisy_image(), VerdictReason.ALL_FRAMES_FLAT),
    ],
    ids=["empty", "text", "cut short", "flat"],
)
async def test_what_cannot_be_looked_at_does_not_pass(
    parts: Parts, bank: Bank, media: bytes, code: VerdictReason
) -> None:
    """A broken file would be published unseen."""
    screening = await parts.screen(media)
    assert screening.verdict is Verdict.INCONCLUSIVE
    assert codes(screening) == [code]
    confirmed = await parts.screenings.confirm(
        Call(UNRESTRICTED, new_id(), "confirm"), screening.screening_id
    )
    assert confirmed.verdict is Verdict.INCONCLUSIVE
    assert codes(confirmed) == [code]


async def test_a_match_goes_before_what_could_not_be_looked_at(parts: Parts, bank: Bank) -> None:
    """Damaging the end of a forbidden file would make it merely INCONCLUSIVE."""
    await parts.entry(bank, image(1))
    damaged = image(1)[:-1000]
    screening = await parts.screen(damaged)
    assert screening.verdict in (Verdict.BLOCK, Verdict.INCONCLUSIVE)
    # Known by its hash though nobody can decode it.
    text = b"no media\n" * 99
    exact = await parts.bank(thresholds={Kind.SHA256: 0})
    await parts.entry(exact, text, "the text")
    screening = await parts.screen(text)
    assert screening.verdict is Verdict.BLOCK
    assert references(screening) == ["the text"]


async def test_a_media_over_the_limit_does_not_pass(sandbox: Sandbox, tmp_path: Path) -> None:
    """Making a file large would be enough to get it through."""
    limits = dataclasses.replace(LIMITS, max_upload_bytes=len(CLIP) - 1)
    parts = await Parts.make(tmp_path, sandbox, limits)
    await parts.entry(await parts.bank(), image(99, 32, 32))
    for announced in (0, len(CLIP)):
        screening = await parts.screen(CLIP, announced_size=announced)
        assert screening.verdict is Verdict.INCONCLUSIVE
        assert codes(screening) == [VerdictReason.SIZE_LIMIT]
        confirmed = await parts.screenings.confirm(
            Call(UNRESTRICTED, new_id(), "confirm"), screening.screening_id
        )
        assert codes(confirmed) == [VerdictReason.SIZE_LIMIT]
    parts.database.close()


# The blocklist changes


async def test_an_entry_that_comes_while_an_upload_is_under_way_is_found(
    parts: Parts, bank: Bank
) -> None:
    """What was forbidden a second ago would be published with a fresh NO_MATCH."""
    gate = Gate(CLIP)
    task = asyncio.create_task(
        parts.screenings.screen(Call(UNRESTRICTED, new_id(), "fingerprint"), gate.__aiter__())
    )
    await gate.waiting.wait()
    await parts.entry(bank, clip([1, 2, 3, 4], quality=5), "late")
    gate.open()
    screening = await task
    assert screening.verdict is Verdict.BLOCK
    assert references(screening) == ["late"]
    assert screening.blocklist_revision == parts.blocklist_store.revision()


async def test_an_entry_that_goes_while_an_upload_is_under_way_does_not_block(
    parts: Parts, bank: Bank
) -> None:
    """An upload would be blocked by what was taken back before its verdict."""
    entry = await parts.entry(bank, clip([1, 2, 3, 4], quality=5), "gone")
    gate = Gate(CLIP, 100)
    task = asyncio.create_task(
        parts.screenings.screen(Call(UNRESTRICTED, new_id(), "fingerprint"), gate.__aiter__())
    )
    await gate.waiting.wait()
    await parts.blocklist.withdraw_entry(new_request(), entry.ref.entry_id)
    gate.open()
    screening = await task
    assert screening.evidence == ()
    # If it had decided already, the rest was not looked at.
    assert screening.verdict is Verdict.INCONCLUSIVE or screening.coverage.complete
    assert screening.blocklist_revision == parts.blocklist_store.revision()


async def test_a_kind_that_comes_while_an_upload_is_under_way_is_missing(
    parts: Parts, bank: Bank
) -> None:
    """An entry by a kind that was not computed could not be found, and nobody would say so."""
    gate = Gate(CLIP)
    task = asyncio.create_task(
        parts.screenings.screen(Call(UNRESTRICTED, new_id(), "fingerprint"), gate.__aiter__())
    )
    await gate.waiting.wait()
    other = await parts.bank(thresholds={Kind.PHASH: 5})
    await parts.entry(other, image(97))
    gate.open()
    screening = await task
    assert screening.verdict is Verdict.INCONCLUSIVE
    assert codes(screening) == [VerdictReason.KIND_MISSING]
    assert "PHASH" in screening.reasons[0].detail
    # The next upload is hashed by it.
    assert (await parts.screen(CLIP)).verdict is Verdict.NO_MATCH


async def test_a_bank_out_of_use_matches_nothing(parts: Parts, bank: Bank) -> None:
    """A list that was given up would go on blocking."""
    other = await parts.bank()
    await parts.entry(other, image(1))
    assert (await parts.screen(image(1))).verdict is Verdict.BLOCK
    await parts.blocklist.archive_bank(new_request(), other.name, "")
    assert (await parts.screen(image(1))).verdict is Verdict.NO_MATCH


async def test_a_threshold_takes_effect_at_once(parts: Parts, bank: Bank) -> None:
    """A keeper who tightens a threshold would go on accusing, or miss what he asked for."""
    await parts.blocklist.create_entry(
        new_request(), bank.bank_id, NewEntry("near", "", [flipped(signals(5), 10)])
    )

    async def verdict() -> Verdict:
        sent = [signals(5), signals(5, 1, Kind.SHA256)]
        made = await parts.screenings.screen_signals(
            Call(UNRESTRICTED, new_id(), "fingerprint"), sent, 0
        )
        return made.verdict

    for threshold, expected in (
        (31, Verdict.BLOCK),
        (9, Verdict.NO_MATCH),
        (10, Verdict.BLOCK),
        (0, Verdict.NO_MATCH),
    ):
        edit = BankEdit(thresholds={Kind.SHA256: 0, Kind.PDQ: threshold})
        await parts.blocklist.update_bank(new_request(), bank.name, "", edit)
        assert await verdict() is expected
    edit = BankEdit(thresholds={Kind.SHA256: 0, Kind.PDQ: 63}, action=Action.REVIEW)
    await parts.blocklist.update_bank(new_request(), bank.name, "", edit)
    assert await verdict() is Verdict.REVIEW


async def test_a_sure_match_is_told_before_the_upload_ends(parts: Parts, bank: Bank) -> None:
    """A pipeline would send hours of a video that is known by its first seconds."""
    long = clip(range(20), fps=8, quality=1)
    await parts.entry(bank, long, "long")

    async def slow() -> AsyncIterator[bytes]:
        for start in range(0, len(long) * 9 // 10, 4096):
            await asyncio.sleep(0.02)
            yield long[start : start + 4096]
        await asyncio.Event().wait()

    async with asyncio.timeout(60):
        screening = await parts.screenings.screen(
            Call(UNRESTRICTED, new_id(), "fingerprint"), slow()
        )
    assert screening.verdict is Verdict.BLOCK
    assert VerdictReason.DECIDED_EARLY in codes(screening)
    assert not screening.coverage.complete
    assert references(screening) == ["long"]


# The same bytes again


@pytest.fixture
def decoded(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Jobs that workers were given from now on."""
    jobs: list[Job] = []
    sandbox = parts.intake._sandbox
    inspect = sandbox.inspect

    async def counted(spool: Spool, job: Job, on_signals: OnSignals, ticket: Ticket) -> Done | None:
        jobs.append(job)
        return await inspect(spool, job, on_signals, ticket)

    monkeypatch.setattr(sandbox, "inspect", counted)
    return jobs


@pytest.mark.parametrize("media", [image(1), CLIP])
async def test_the_same_bytes_are_judged_by_the_blocklist_of_now_and_not_decoded(
    parts: Parts, bank: Bank, decoded: list[Job], media: bytes
) -> None:
    """What goes viral would be decoded a thousand times; or what was listed since would pass."""
    first = await parts.screen(media)
    assert len(decoded) == 1
    again = await parts.screen(media)
    assert again.screening_id != first.screening_id
    assert (again.verdict, again.coverage, again.media) == (
        Verdict.NO_MATCH,
        first.coverage,
        first.media,
    )
    await parts.entry(bank, reencoded(1), "listed since")
    decoded.clear()
    found = await parts.screen(media)
    assert found.verdict is Verdict.BLOCK
    assert references(found) == ["listed since"]
    assert found.blocklist_revision == parts.blocklist_store.revision()
    confirmed = await parts.screenings.confirm(
        Call(UNRESTRICTED, new_id(), "confirm"), found.screening_id
    )
    assert confirmed.verdict is Verdict.BLOCK
    assert decoded == []


@pytest.mark.parametrize("version", [None, "", "decoder 0, sampler 0"])
async def test_what_another_version_saw_is_looked_at_anew(
    parts: Parts, bank: Bank, decoded: list[Job], version: str | None
) -> None:
    """A server that looks closer would keep the NO_MATCH of one that did not."""
    first = await parts.screen(CLIP)
    assert first.look_version == parts.intake.look_version != ""
    seen_by(parts, version)
    second = await parts.screen(CLIP)
    assert len(decoded) == 2
    assert second.look_version == first.look_version
    third = await parts.screen(CLIP)
    assert len(decoded) == 2
    assert third.look_version == first.look_version


@pytest.mark.parametrize("version", [None, "", "decoder 0, sampler 0"])
async def test_a_confirmation_of_what_another_version_saw_says_so(
    parts: Parts, bank: Bank, version: str | None
) -> None:
    """What an older server missed would be published on the word of the newer one; or what it found
    be let go.
    """
    entry = await parts.entry(bank, reencoded(1), "listed")
    unlisted = clip([5, 6, 7])
    clean, blocked, cut = [
        (await parts.screen(data)).screening_id
        for data in (unlisted, image(1), unlisted[: len(unlisted) * 3 // 4])
    ]
    claim = (await claimed(parts, [hashed([0], [100])], 0)).screening_id

    async def confirmed(screening_id: str) -> tuple[Verdict, list[VerdictReason]]:
        made = await parts.screenings.confirm(Call(UNRESTRICTED, new_id(), "confirm"), screening_id)
        assert (
            made.look_version
            == (await parts.screenings.get(Call(UNRESTRICTED), screening_id)).look_version
        )
        return made.verdict, codes(made)

    before = [await confirmed(each) for each in (clean, blocked, cut, claim)]
    assert before[0] == (Verdict.NO_MATCH, [VerdictReason.NOTHING_FOUND])
    seen_by(parts, version)
    changed = VerdictReason.LOOK_VERSION_CHANGED
    assert await confirmed(clean) == (Verdict.INCONCLUSIVE, [changed])
    assert await confirmed(blocked) == (Verdict.BLOCK, [*before[1][1], changed])
    # These are not of a version: the one was not seen as a whole, the other not here.
    assert [await confirmed(each) for each in (cut, claim)] == before[2:]
    await parts.blocklist.withdraw_entry(new_request(), entry.ref.entry_id)
    assert await confirmed(blocked) == (Verdict.INCONCLUSIVE, [changed])


async def test_servers_of_two_versions_each_look_for_themselves(
    parts: Parts, bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While servers are updated one by one, a newer one would take an older one's word; or what
    goes viral be decoded each time that it goes to the other.
    """
    program = (
        "import runpy; from hashmatch.decoding.media import versions; "
        "versions.SAMPLER_VERSION = 999; "
        "runpy.run_module('hashmatch.decoding.worker', run_name='__main__')"
    )
    command = worker_process._COMMAND
    with monkeypatch.context() as changed:
        changed.setattr(worker_process, "_COMMAND", (*command[:2], "-c", program))
        async with workers(1) as newer:
            other = await Parts.make(tmp_path, newer)
            first = await parts.screen(CLIP)
            second = await other.screen(CLIP)
            seeds = set()
            for server, made in ((parts, first), (other, second)) * 2:
                again = await server.screen(CLIP)
                assert again.look_version == made.look_version == server.intake.look_version
                seeds.add(server.screening_store.get_stored(again.screening_id).seed)
            assert "sampler 999" in second.look_version != first.look_version
            assert len(seeds) == 2
            confirmed = await other.screenings.confirm(new_request(), first.screening_id)
            assert codes(confirmed) == [VerdictReason.LOOK_VERSION_CHANGED]
            confirmed = await parts.screenings.confirm(new_request(), first.screening_id)
            assert confirmed.verdict is Verdict.NO_MATCH
            other.database.close()


def seen_by(parts: Parts, version: str | None) -> None:
    """As if all screenings that are stored were of another version, or of before there was one."""
    with parts.database.write() as connection:
        seen_here = screenings_table.c.look_version != ""
        connection.execute(screenings_table.update().where(seen_here).values(look_version=version))


async def test_each_upload_is_looked_at_by_a_seed_of_its_own(
    parts: Parts, bank: Bank, decoded: list[Job]
) -> None:
    """What passes once would pass always; or nobody could repeat what was answered."""
    screenings = [await parts.screen(data) for data in (CLIP, clip([5, 6]), CLIP)]
    assert len({job.seed for job in decoded}) == len(decoded) == 2
    stored = [parts.screening_store.get_stored(each.screening_id).seed for each in screenings]
    # The third was not looked at again: what is known of it was seen by the first one's.
    assert stored == [decoded[0].seed, decoded[1].seed, decoded[0].seed]
    claim = await claimed(parts, [hashed([0], [100])], 0)
    assert parts.screening_store.get_stored(claim.screening_id).seed is None


async def test_the_same_bytes_on_a_slow_line_are_known_by_the_last(
    parts: Parts, bank: Bank, decoded: list[Job]
) -> None:
    """Evidence would be counted twice: from what was decoded by then, and from what was known."""
    await parts.entry(bank, clip([2], frames=2), "half a second")
    first = await parts.screen(CLIP)
    gate = Gate(CLIP)
    screening = asyncio.create_task(
        parts.screenings.screen(Call(UNRESTRICTED, new_id(), "fingerprint"), aiter(gate))
    )
    await gate.waiting.wait()
    async with asyncio.timeout(60):
        while len(decoded) < 3:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)  # For evidence to come of what is there; or else it comes later.
    gate.open()
    again = await screening
    assert len(decoded) == 3  # The entry, and each screening.
    assert (again.verdict, again.coverage) == (Verdict.BLOCK, first.coverage)
    assert again.evidence == first.evidence


async def test_what_was_not_seen_as_a_whole_is_decoded_again(
    parts: Parts, bank: Bank, decoded: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coverage that was incomplete once, or hashes of another version, would stay so for ever."""
    cut = CLIP[: len(CLIP) * 3 // 4]
    for _ in range(2):
        assert (await parts.screen(cut)).verdict is Verdict.INCONCLUSIVE
    assert len(decoded) == 2
    await parts.screen(CLIP)
    newer = {**HASH_VERSIONS, Kind.PDQ: "of the future"}
    monkeypatch.setattr(screening_module, "HASH_VERSIONS", newer)
    await parts.screen(CLIP)
    assert len(decoded) == 4


async def test_a_kind_that_came_since_is_computed(
    parts: Parts, bank: Bank, decoded: list[Job]
) -> None:
    """An entry of a new kind would find nothing among what was screened before."""
    await parts.screen(image(1))
    other = await parts.bank(thresholds={Kind.PHASH: 8})
    await parts.entry(other, reencoded(1), "by pHash")
    decoded.clear()
    screening = await parts.screen(image(1))
    assert references(screening) == ["by pHash"]
    assert len(decoded) == 1


async def test_a_callers_word_is_not_taken_for_what_was_seen(
    parts: Parts, bank: Bank, decoded: list[Job]
) -> None:
    """A caller could have its next upload passed by telling wrong hashes of it first."""
    digest = np.frombuffer(hashlib.sha256(image(1)).digest(), np.uint8)
    told = Signals.of_file(Kind.SHA256, digest.tobytes())
    await parts.entry(bank, reencoded(1), "listed")
    claim = await claimed(parts, [hashed([0], [100]), told], 0)
    assert claim.verdict is Verdict.NO_MATCH
    decoded.clear()
    assert (await parts.screen(image(1))).verdict is Verdict.BLOCK
    assert len(decoded) == 1


# Confirmations


async def test_a_confirmation_finds_what_was_added_since(parts: Parts, bank: Bank) -> None:
    """What was forbidden between the upload and its publication would be published."""
    first = await parts.screen(CLIP)
    assert first.verdict is Verdict.NO_MATCH
    again = await parts.screenings.confirm(
        Call(UNRESTRICTED, new_id(), "confirm"), first.screening_id
    )
    assert (again.verdict, again.judgement) == (Verdict.NO_MATCH, 2)
    await parts.entry(bank, clip([1, 2, 3, 4], quality=5), "added")
    confirmed = await parts.screenings.confirm(
        Call(UNRESTRICTED, new_id(), "confirm"), first.screening_id
    )
    assert confirmed.verdict is Verdict.BLOCK
    assert references(confirmed) == ["added"]
    assert (confirmed.screening_id, confirmed.judgement) == (first.screening_id, 3)
    assert (
        confirmed.blocklist_revision == parts.blocklist_store.revision() > first.blocklist_revision
    )
    assert confirmed.create_time == first.create_time
    assert confirmed.judge_time > first.judge_time
    assert confirmed.coverage == first.coverage
    assert await parts.screenings.get(Call(UNRESTRICTED), first.screening_id) == confirmed


async def test_a_confirmation_forgets_what_was_taken_back(parts: Parts, bank: Bank) -> None:
    """An upload that was blocked by mistake could never be published."""
    entry = await parts.entry(bank, reencoded(1), "a mistake")
    first = await parts.screen(image(1))
    assert first.verdict is Verdict.BLOCK
    await parts.blocklist.withdraw_entry(new_request(), entry.ref.entry_id)
    confirmed = await parts.screenings.confirm(
        Call(UNRESTRICTED, new_id(), "confirm"), first.screening_id
    )
    assert confirmed.verdict is Verdict.NO_MATCH
    assert confirmed.evidence == ()


async def test_a_confirmation_of_what_was_decided_early_does_not_pass(
    parts: Parts, bank: Bank
) -> None:
    """The rest of an upload that nobody looked at would be published."""
    entry = await parts.entry(bank, clip([1, 2, 3], quality=5))
    first = await parts.screen(clip([1, 2, 3, *range(60, 80)], fps=8, quality=1))
    assert first.verdict is Verdict.BLOCK
    assert not first.coverage.complete
    await parts.blocklist.withdraw_entry(new_request(), entry.ref.entry_id)
    confirmed = await parts.screenings.confirm(
        Call(UNRESTRICTED, new_id(), "confirm"), first.screening_id
    )
    assert confirmed.verdict is Verdict.INCONCLUSIVE
    assert codes(confirmed) == [VerdictReason.DECIDED_EARLY]


async def test_a_confirmation_by_a_kind_that_was_not_computed(parts: Parts, bank: Bank) -> None:
    """An entry by a new kind could not be found among the stored hashes, and nobody would say."""
    first = await parts.screen(CLIP)
    other = await parts.bank(thresholds={Kind.PHASH: 5})
    assert (
        await parts.screenings.confirm(Call(UNRESTRICTED, new_id(), "confirm"), first.screening_id)
    ).verdict is (Verdict.NO_MATCH)
    await parts.entry(other, image(97))
    confirmed = await parts.screenings.confirm(
        Call(UNRESTRICTED, new_id(), "confirm"), first.screening_id
    )
    assert confirmed.verdict is Verdict.INCONCLUSIVE
    assert codes(confirmed) == [VerdictReason.KIND_MISSING]


async def test_a_confirmation_with_hashes_of_another_version(
    parts: Parts, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an update of the hash old hashes would match nothing, and everything would pass."""
    first = await parts.screen(CLIP)
    newer = {**HASH_VERSIONS, Kind.PDQ: "of the future"}
    monkeypatch.setattr(screening_module, "HASH_VERSIONS", newer)
    confirmed = await parts.screenings.confirm(
        Call(UNRESTRICTED, new_id(), "confirm"), first.screening_id
    )
    assert confirmed.verdict is Verdict.INCONCLUSIVE
    assert codes(confirmed) == [VerdictReason.HASH_VERSION_CHANGED]
    assert "PDQ" in confirmed.reasons[0].detail


async def test_a_screening_that_does_not_exist(parts: Parts, bank: Bank) -> None:
    """A misspelled id would be confirmed."""
    with pytest.raises(ScreeningNotFound):
        await parts.screenings.confirm(Call(UNRESTRICTED, new_id(), "confirm"), "scr_nothing")
    with pytest.raises(ScreeningNotFound):
        await parts.screenings.get(Call(UNRESTRICTED), "scr_nothing")


# Requests that are repeated


async def test_a_repeat_gets_the_first_answer(parts: Parts, bank: Bank) -> None:
    """A retry would be told another verdict, and store the media twice."""
    request_id = new_id()
    first = await parts.screen(image(1), request_id)
    await parts.entry(bank, image(1))
    with pytest.raises(RequestIdReused):
        await parts.screen(image(2), request_id)
    confirm_id = new_id()
    confirmed = await parts.screenings.confirm(
        Call(UNRESTRICTED, confirm_id, "confirm"), first.screening_id
    )
    assert confirmed.verdict is Verdict.BLOCK
    assert (
        await parts.screenings.confirm(
            Call(UNRESTRICTED, confirm_id, "confirm"), first.screening_id
        )
        == confirmed
    )
    assert await parts.screen(image(1), request_id) == first
    assert (await parts.screenings.get(Call(UNRESTRICTED), first.screening_id)).judgement == 2


async def test_repeats_at_the_same_time_get_one_answer(parts: Parts, bank: Bank) -> None:
    """A retry that overtakes its first attempt would be hashed and stored as well."""
    request_id = new_id()
    answers = await asyncio.gather(*(parts.screen(CLIP, request_id) for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)
    listed = await parts.screenings.list(Call(UNRESTRICTED), 0, 100, None, None)
    assert listed.items == (answers[0],)
    confirm_id = new_id()
    confirmed = await asyncio.gather(
        *(
            parts.screenings.confirm(
                Call(UNRESTRICTED, confirm_id, "confirm"), answers[0].screening_id
            )
            for _ in range(5)
        )
    )
    assert {each.judgement for each in confirmed} == {2}


async def test_a_repeat_takes_over_from_an_attempt_that_failed(parts: Parts, bank: Bank) -> None:
    """A pipeline whose connection broke off could never get its media screened."""
    request_id = new_id()

    async def breaks() -> AsyncIterator[bytes]:
        yield CLIP[:3000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await parts.screenings.screen(Call(UNRESTRICTED, request_id, "fingerprint"), breaks())
    with pytest.raises(UploadMismatch):
        await parts.screen(CLIP, request_id, announced_size=1)
    gate = Gate(CLIP)
    first = asyncio.create_task(
        parts.screenings.screen(Call(UNRESTRICTED, request_id, "fingerprint"), gate.__aiter__())
    )
    await gate.waiting.wait()
    second = asyncio.create_task(parts.screen(CLIP, request_id))
    await asyncio.sleep(0.05)
    assert not second.done()
    first.cancel()
    assert (await second).verdict is Verdict.NO_MATCH
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_request_id_is_for_one_request(parts: Parts, bank: Bank) -> None:
    """A pipeline that reuses an id would get the verdict of another media."""
    request_id = new_id()
    first = await parts.screen(image(1), request_id)
    with pytest.raises(RequestIdReused):
        await parts.screenings.screen(
            Call(UNRESTRICTED, request_id, "of another"), pieces(image(2))
        )
    with pytest.raises(RequestIdReused):
        await parts.screenings.confirm(
            Call(UNRESTRICTED, request_id, "confirm"), first.screening_id
        )
    with pytest.raises(RequestIdReused):
        await parts.screenings.screen_signals(
            Call(UNRESTRICTED, request_id, "of another"), [signals(1)], 0
        )
    assert len((await parts.screenings.list(Call(UNRESTRICTED), 0, 100, None, None)).items) == 1


async def test_without_a_store_there_is_no_verdict(parts: Parts, bank: Bank) -> None:
    """A pipeline would publish by a verdict of which no record is left."""
    with parts.database.write() as connection:
        connection.execute(sa.text("ALTER TABLE screening_signals RENAME TO gone"))
    with pytest.raises(StoreUnavailable):
        await parts.screen(image(1))
    assert (await parts.screenings.list(Call(UNRESTRICTED), 0, 10, None, None)).items == ()
    with parts.database.write() as connection:
        connection.execute(sa.text("ALTER TABLE gone RENAME TO screening_signals"))
    assert (await parts.screen(image(1))).verdict is Verdict.NO_MATCH


async def test_a_full_spool_is_no_verdict(sandbox: Sandbox, tmp_path: Path) -> None:
    """A busy server would make uploads INCONCLUSIVE for good."""
    parts = await Parts.make(tmp_path, sandbox, budget=SpoolBudget(100, 100, tmp_path))
    with pytest.raises(SpoolFull):
        await parts.screen(CLIP)
    assert (await parts.screenings.list(Call(UNRESTRICTED), 0, 10, None, None)).items == ()
    parts.database.close()


async def test_screenings_are_listed(parts: Parts, bank: Bank) -> None:
    """Nobody could find out what was decided yesterday."""
    await parts.entry(bank, image(1))
    made = [await parts.screen(media) for media in (image(1), image(2), b"")]
    listed = await parts.screenings.list(Call(UNRESTRICTED), 0, 10, None, None)
    assert listed.items == tuple(reversed(made))
    blocked = await parts.screenings.list(Call(UNRESTRICTED), 0, 10, Verdict.BLOCK, None)
    assert blocked.items == (made[0],)
    later = made[-1].create_time + datetime.timedelta(milliseconds=1)
    assert (await parts.screenings.list(Call(UNRESTRICTED), 0, 10, None, later)).items == ()


# Hashes that the caller made


def hashed(times: list[int], quality: list[int], kind: Kind = Kind.PDQ) -> Signals:
    """Hashes that match nothing."""
    made = signals(1234, len(times), kind)
    return Signals(
        kind,
        made.digests,
        np.array(quality, np.uint8),
        np.array(times, np.int64),
        np.full(len(times), view_code(Part.FULL), np.uint8),
    )


FILE = signals(1234, 1, Kind.SHA256)


async def claimed(parts: Parts, sent: list[Signals], duration_ms: int) -> Screening:
    """The verdict on hashes."""
    return await parts.screenings.screen_signals(
        Call(UNRESTRICTED, new_id(), "fingerprint"), sent, duration_ms
    )


async def test_a_callers_hashes_are_screened(parts: Parts, bank: Bank) -> None:
    """A pipeline that hashes itself could not be served."""
    clean = await claimed(parts, [hashed([0, 1000, 2000], [100] * 3), FILE], 2500)
    assert clean.verdict is Verdict.NO_MATCH
    assert clean.coverage.by_caller
    assert clean.coverage.frames_hashed == 3
    assert clean.media.sha256 == FILE.digests.tobytes()
    known = signals(7)
    await parts.blocklist.create_entry(new_request(), bank.bank_id, NewEntry("known", "", [known]))
    found = await claimed(parts, [flipped(known, 31), FILE], 0)
    assert found.verdict is Verdict.BLOCK
    assert (found.evidence[0].distance, references(found)) == (31, ["known"])
    missed = await claimed(parts, [flipped(known, 32), FILE], 0)
    assert missed.verdict is Verdict.NO_MATCH
    confirmed = await parts.screenings.confirm(
        Call(UNRESTRICTED, new_id(), "confirm"), missed.screening_id
    )
    assert confirmed.verdict is Verdict.NO_MATCH


@pytest.mark.parametrize(
    ("times", "duration_ms"),
    [
        ([0, 1001], 1001),
        ([1001], 1001),
        ([0], 1001),
        ([0, 1000, 2000], 3001),
        ([-5000], 0),
        ([0, 10_000_000], 0),
    ],
)
async def test_a_caller_who_left_a_gap_is_not_believed(
    parts: Parts, bank: Bank, times: list[int], duration_ms: int
) -> None:
    """A forbidden stretch could be left out and the rest would pass."""
    screening = await claimed(parts, [hashed(times, [100] * len(times)), FILE], duration_ms)
    assert screening.verdict is Verdict.INCONCLUSIVE
    assert codes(screening) == [VerdictReason.COVERAGE_GAP]
    assert screening.coverage.largest_gap_ms > 1000
    confirmed = await parts.screenings.confirm(
        Call(UNRESTRICTED, new_id(), "confirm"), screening.screening_id
    )
    assert codes(confirmed) == [VerdictReason.COVERAGE_GAP]


@pytest.mark.parametrize("sent", [[FILE], [hashed([0], [100])], [signals(1, 1, Kind.MD5)]])
async def test_every_kind_that_the_blocklist_uses_is_needed(
    parts: Parts, bank: Bank, sent: list[Signals]
) -> None:
    """A media would pass that was compared with half of the blocklist."""
    screening = await claimed(parts, sent, 0)
    assert screening.verdict is Verdict.INCONCLUSIVE
    assert codes(screening) == [VerdictReason.KIND_MISSING]


async def test_hashes_that_are_all_too_flat_are_not_believed(parts: Parts, bank: Bank) -> None:
    """Hashes that are never compared would count as looked at."""
    other = await parts.bank(thresholds={Kind.PHASH: 5})
    await parts.blocklist.create_entry(
        new_request(), other.name, NewEntry("", "", [signals(3, 1, Kind.PHASH)])
    )
    rich_phash = hashed([0, 500], [100] * 2, Kind.PHASH)
    flat_phash = hashed([0, 500], [10] * 2, Kind.PHASH)
    flat_pdq = hashed([0, 300, 600, 900], [49] * 4)
    for sent in ([flat_pdq, flat_phash], [flat_pdq, rich_phash]):
        screening = await claimed(parts, [*sent, FILE], 1000)
        assert screening.verdict is Verdict.INCONCLUSIVE
        assert codes(screening) == [VerdictReason.ALL_FRAMES_FLAT]


@settings(PATIENT, max_examples=200 if TORTURE else 25)
@given(
    st.booleans(),
    st.booleans(),
    st.lists(st.tuples(st.integers(-1500, 6000), st.sampled_from([0, 49, 50, 100])), max_size=8),
    st.integers(0, 5000),
)
async def test_no_match_is_a_promise(
    parts: Parts,
    with_file: bool,
    with_frames: bool,
    frames: list[tuple[int, int]],
    duration_ms: int,
) -> None:
    """A caller could word its hashes so that an unseen media gets a NO_MATCH."""
    if not parts.blocklist_store.revision():
        await parts.entry(await parts.bank(), image(99))
    sent = [FILE] if with_file else []
    if with_frames and frames:
        sent.append(hashed([time for time, _ in frames], [quality for _, quality in frames]))
    if not sent:
        return
    screening = await claimed(parts, sent, duration_ms)
    times = sorted(time for time, _ in frames)
    marks = [0, *[time for time in times if time <= duration_ms], duration_ms]
    seen = (
        with_file
        and with_frames
        and any(quality >= 50 for _, quality in frames)
        and all(after - before <= 1000 for before, after in itertools.pairwise(marks))
    )
    if not seen:
        assert screening.verdict is Verdict.INCONCLUSIVE
    if screening.verdict is Verdict.NO_MATCH:
        assert screening.coverage.complete
        assert codes(screening) == [VerdictReason.NOTHING_FOUND]
