"""Screenings and their judgements: what any database must do alike."""

from __future__ import annotations

import concurrent.futures
import datetime
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from hashmatch.errors import RequestIdReused, ScreeningNotFound
from hashmatch.model import ids
from hashmatch.model.call import Call
from hashmatch.model.callers import UNRESTRICTED
from hashmatch.model.records import (
    Coverage,
    EntryRef,
    Evidence,
    MediaInfo,
    Page,
    Reason,
    Screening,
    Segment,
)
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Action, Kind, Part, Turn, Verdict, VerdictReason
from hashmatch.store.cases import case_of
from hashmatch.store.database import Database
from hashmatch.store.screenings import ScreeningStore
from hashmatch.store.tables import judgements, screening_signals, screenings
from tests import support
from tests.databases import BACKENDS, kept, migrated
from tests.support import PATIENT, any_signals, new_id, same_signals, signals

LOOK = "decoder 1, sampler 2"

WHY_NOT = (Reason(VerdictReason.CORRUPT, "some of it could not be decoded"),)

EVIDENCE = Evidence(
    EntryRef("ent_1", "a reference", "a label", "bnk_1", "a-bank"),
    Action.BLOCK,
    Kind.PDQ,
    Part.FULL,
    Turn.FLIP_HORIZONTAL,
    distance=3,
    threshold=31,
    frames=2,
    segments=(Segment(0, 1000, 5000, 6000, 2),),
)


@pytest.fixture
def store(database: Database) -> ScreeningStore:
    """The store under test."""
    return ScreeningStore(database)


def now() -> datetime.datetime:
    """The present instant."""
    return datetime.datetime.now(datetime.UTC)


def screening(verdict: Verdict = Verdict.INCONCLUSIVE, **changed: Any) -> Screening:
    """A screening with every field filled."""
    matched = verdict in (Verdict.BLOCK, Verdict.REVIEW)
    made = Screening(
        screening_id=ids.new_id(ids.SCREENING),
        verdict=verdict,
        reasons=(Reason(VerdictReason.CORRUPT, "why"),),
        evidence=(EVIDENCE,) if matched else (),
        media=MediaInfo(12, bytes(range(32)), "mov/h264", 640, 360, 1500),
        coverage=Coverage(verdict is Verdict.NO_MATCH, 1, 2, 3, 4, 5, 6, 7, by_caller=True),
        blocklist_revision=9,
        hash_versions={Kind.PDQ: "1", Kind.SHA256: "2"},
        look_version=LOOK,
        create_time=now(),
        judge_time=now(),
        elapsed_ms=12.25,
    )
    return replace(made, **changed)


def confirming(request_id: str = "") -> Call:
    """A call that confirms a screening."""
    return Call(UNRESTRICTED, request_id or new_id(), "confirm")


def add(
    store: ScreeningStore,
    made: Screening | None = None,
    given_signals: tuple[Signals, ...] = (),
    why_not: tuple[Reason, ...] = (),
    request_id: str | None = None,
) -> Screening:
    """Stores a screening."""
    return store.add(
        Call(UNRESTRICTED, request_id or new_id(), "fingerprint"),
        made or screening(),
        given_signals,
        why_not,
    )


def judged(made: Screening, verdict: Verdict) -> Screening:
    """The same media, judged again."""
    again = screening(verdict)
    return replace(
        made,
        verdict=verdict,
        reasons=again.reasons,
        evidence=again.evidence,
        blocklist_revision=made.blocklist_revision + 1,
        judge_time=now(),
        elapsed_ms=0.5,
    )


@pytest.mark.parametrize("verdict", [Verdict.BLOCK, Verdict.INCONCLUSIVE])
def test_a_screening_is_as_it_was_made(store: ScreeningStore, verdict: Verdict) -> None:
    """A reviewer would see another verdict, or another reason, than the pipeline got."""
    made = screening(verdict)
    stored = add(store, made)
    assert store.get(made.screening_id) == stored
    assert replace(stored, create_time=made.create_time, judge_time=made.judge_time) == made
    for after, before in (
        (stored.create_time, made.create_time),
        (stored.judge_time, made.judge_time),
    ):
        assert abs(after - before) <= datetime.timedelta(milliseconds=1)


@settings(PATIENT, max_examples=40)
@given(support.screenings())
def test_any_screening_comes_back(store: ScreeningStore, made: Screening) -> None:
    """A screening with an odd text or a large number could not be looked up."""
    new_one = ids.new_id(ids.SCREENING)
    unique = replace(made, screening_id=new_one, judgement=1, case_id="", decision=None)
    stored = add(store, unique)
    assert store.get(unique.screening_id) == stored
    at = unique.create_time, unique.judge_time
    case_id = case_of(new_one) if made.verdict is Verdict.REVIEW else ""
    expected = replace(unique, case_id=case_id)
    assert replace(stored, create_time=at[0], judge_time=at[1]) == expected


@settings(PATIENT, max_examples=25)
@given(
    st.lists(st.sampled_from(Kind), unique=True).flatmap(
        lambda kinds: st.tuples(*[any_signals(kind) for kind in sorted(kinds)])
    )
)
def test_hashes_come_back_as_they_went(
    store: ScreeningStore, given_signals: tuple[Signals, ...]
) -> None:
    """A confirmation would judge another media than the one that was screened."""
    stored = add(store, None, given_signals, WHY_NOT)
    found = store.get_stored(stored.screening_id)
    assert same_signals(sorted(found.signals, key=lambda each: each.kind), given_signals)
    assert found.coverage_reasons == WHY_NOT
    assert found.screening == stored


def test_the_newest_that_was_seen_here_as_a_whole_is_found(store: ScreeningStore) -> None:
    """What was seen in part, or only told by a caller, would stand for the media."""
    sha256 = screening().media.sha256
    assert store.find_whole(sha256, LOOK) is None
    whole = Coverage(complete=True, frames_decoded=5)
    add(store, screening())
    assert store.find_whole(sha256, LOOK) is None
    given = (signals(3),)
    first = add(store, screening(Verdict.NO_MATCH, coverage=whole), given)
    add(store, screening(Verdict.NO_MATCH, coverage=replace(whole, by_caller=True)))
    add(store, screening(coverage=replace(whole, complete=False)))
    for version in ("decoder 1, sampler 3", ""):
        add(store, screening(Verdict.NO_MATCH, coverage=whole, look_version=version))
    found = store.find_whole(sha256, LOOK)
    assert found is not None
    assert found.screening.screening_id == first.screening_id
    assert found.signals[0].digests.tolist() == given[0].digests.tolist()
    second = add(store, screening(Verdict.NO_MATCH, coverage=whole), given)
    newest = store.find_whole(sha256, LOOK)
    assert newest is not None
    assert newest.screening.screening_id == second.screening_id
    assert store.find_whole(bytes(32), LOOK) is None


@pytest.mark.parametrize("seed", [None, 0, 1, 2**127 + 3, 2**128 - 1])
def test_a_seed_comes_back_with_what_was_stored_and_in_nothing_else(
    store: ScreeningStore, seed: int | None
) -> None:
    """A screening could not be repeated; or whoever may read it would know what passes unseen."""
    whole = Coverage(complete=True, frames_decoded=5)
    made = screening(Verdict.NO_MATCH, coverage=whole)
    told = store.add(Call(UNRESTRICTED, new_id(), "fingerprint"), made, (), (), seed)
    stored = store.get_stored(made.screening_id)
    found = store.find_whole(made.media.sha256, LOOK)
    assert found is not None
    assert stored.seed == found.seed == seed
    assert stored.screening == told == store.get(made.screening_id)
    assert "seed" not in f"{stored}{found}"


def test_coverage_of_before_there_were_promises_promises_nothing(
    store: ScreeningStore, database: Database
) -> None:
    """After an update no old screening could be read; or each would claim to have seen it all."""
    made = add(store, screening(Verdict.NO_MATCH, coverage=Coverage(True, 1000, 9, 3)))
    old = {"complete": True, "duration_content_ms": 1000, "frames_decoded": 9, "frames_hashed": 3}
    with database.write() as connection:
        connection.execute(kept(screenings).update().values(coverage=old))
    assert store.get(made.screening_id).coverage == Coverage(True, 1000, 9, 3)


def test_a_screening_that_does_not_exist(store: ScreeningStore) -> None:
    """A misspelled id would be confirmed."""
    for look in (store.get, store.get_stored):
        with pytest.raises(ScreeningNotFound):
            look(ids.new_id(ids.SCREENING))


def test_a_confirmation_is_the_newest_judgement(store: ScreeningStore) -> None:
    """A match found right before publishing would not be seen."""
    first = add(store, screening(Verdict.NO_MATCH), (signals(1),), WHY_NOT)
    second = store.add_judgement(confirming(), judged(first, Verdict.BLOCK))
    assert (first.judgement, second.judgement) == (1, 2)
    assert second.verdict is Verdict.BLOCK
    assert second.evidence == (EVIDENCE,)
    assert second.blocklist_revision == first.blocklist_revision + 1
    assert second.judge_time >= first.judge_time
    for same in (
        "screening_id",
        "media",
        "coverage",
        "hash_versions",
        "look_version",
        "create_time",
    ):
        assert getattr(second, same) == getattr(first, same)
    assert store.get(first.screening_id) == second
    third = store.add_judgement(confirming(), judged(first, Verdict.INCONCLUSIVE))
    assert third.judgement == 3
    assert store.get_stored(first.screening_id).screening == third
    # What it was judged by stays.
    assert same_signals(store.get_stored(first.screening_id).signals, (signals(1),))


# Requests that are repeated


def test_a_repeat_gets_the_first_answer(store: ScreeningStore) -> None:
    """A retry after a lost answer would be told another verdict, or store the media twice."""
    request_id = new_id()
    assert store.answer_to(Call(UNRESTRICTED, request_id, "fingerprint")) is None
    first = add(store, screening(Verdict.BLOCK), request_id=request_id)
    assert store.answer_to(Call(UNRESTRICTED, request_id, "fingerprint")) == first
    assert add(store, screening(Verdict.NO_MATCH), request_id=request_id) == first
    assert len(store.list(0, 10, None, None).items) == 1


def test_the_first_answer_stays(store: ScreeningStore) -> None:
    """A repeat of the upload would be told the verdict of a later confirmation."""
    upload, confirm = new_id(), new_id()
    first = add(store, screening(Verdict.NO_MATCH), request_id=upload)
    second = store.add_judgement(confirming(confirm), judged(first, Verdict.BLOCK))
    store.add_judgement(confirming(), judged(first, Verdict.INCONCLUSIVE))
    assert store.answer_to(Call(UNRESTRICTED, upload, "fingerprint")) == first
    assert store.answer_to(confirming(confirm)) == second
    assert store.add_judgement(confirming(confirm), judged(first, Verdict.REVIEW)) == second
    assert store.get(first.screening_id).judgement == 3


def test_a_request_id_is_for_one_request(store: ScreeningStore) -> None:
    """A pipeline that reuses an id would get the verdict of another media."""
    request_id = new_id()
    first = add(store, request_id=request_id)
    attempts: list[Callable[[], object]] = [
        lambda: store.answer_to(Call(UNRESTRICTED, request_id, "of another")),
        lambda: store.add(Call(UNRESTRICTED, request_id, "of another"), screening(), (), ()),
        lambda: store.add_judgement(
            Call(UNRESTRICTED, request_id, "of another"), judged(first, Verdict.BLOCK)
        ),
    ]
    for attempt in attempts:
        with pytest.raises(RequestIdReused):
            attempt()
    assert store.get(first.screening_id) == first
    assert len(store.list(0, 10, None, None).items) == 1


def test_repeats_at_the_same_time_make_one_screening(store: ScreeningStore) -> None:
    """A retry that overtakes its first attempt would be told another verdict."""
    request_id = new_id()
    barrier = threading.Barrier(4)

    def attempt(verdict: Verdict) -> Screening:
        barrier.wait()
        return add(store, screening(verdict), (signals(1),), request_id=request_id)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(attempt, Verdict))
    assert all(answer == answers[0] for answer in answers)
    assert store.list(0, 10, None, None).items == (answers[0],)


def test_confirmations_at_the_same_time_are_all_kept(store: ScreeningStore) -> None:
    """Two pipelines that confirm one media would overwrite each other's judgement."""
    first = add(store, screening(Verdict.NO_MATCH))
    barrier = threading.Barrier(4)

    def attempt(verdict: Verdict) -> Screening:
        barrier.wait()
        return store.add_judgement(confirming(), judged(first, verdict))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(attempt, Verdict))
    assert sorted(answer.judgement for answer in answers) == [2, 3, 4, 5]
    newest = max(answers, key=lambda answer: answer.judgement)
    assert store.get(first.screening_id) == newest
    # The list filters by the same verdict that it shows.
    assert store.list(0, 10, newest.verdict, None).items == (newest,)


def test_a_screening_is_stored_whole_or_not_at_all(
    store: ScreeningStore, database: Database
) -> None:
    """A screening without its hashes would be confirmed as NO_MATCH."""
    with pytest.raises((IntegrityError, RuntimeError)):
        add(store, None, (signals(1), signals(2)))  # The same kind twice.
    with database.read() as connection:
        for table in (screenings, screening_signals, judgements):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 0


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


NOON = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)
FIRST_VERDICTS = [Verdict.NO_MATCH, Verdict.BLOCK, Verdict.NO_MATCH, Verdict.REVIEW, Verdict.BLOCK]


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ScreeningStore]]:
    """For each database a store of five screenings, an hour apart; the third was BLOCK when it
    was confirmed.
    """
    stores, made = {}, []
    for backend in BACKENDS:
        context = migrated(backend, tmp_path_factory.mktemp("listed"))
        store = stores[backend] = ScreeningStore(context.__enter__())
        made.append(context)
        for number, verdict in enumerate(FIRST_VERDICTS):
            at = NOON + datetime.timedelta(hours=number)
            media = MediaInfo(size_bytes=number)
            stored = add(store, screening(verdict, media=media, create_time=at))
            if number == 2:
                store.add_judgement(confirming(), judged(stored, Verdict.REVIEW))
                store.add_judgement(confirming(), judged(stored, Verdict.BLOCK))
    yield stores
    for context in made:
        context.__exit__(None, None, None)


@pytest.fixture(params=BACKENDS)
def lists(request: pytest.FixtureRequest, listed: dict[str, ScreeningStore]) -> ScreeningStore:
    """One of them."""
    return listed[request.param]


@pytest.mark.parametrize("size", range(1, 8))
@pytest.mark.parametrize(
    ("verdict", "since", "expected"),
    [
        (None, None, [4, 3, 2, 1, 0]),
        (Verdict.BLOCK, None, [4, 2, 1]),
        (Verdict.NO_MATCH, None, [0]),
        (Verdict.REVIEW, None, [3]),
        (Verdict.INCONCLUSIVE, None, []),
        (None, 0, [4, 3, 2, 1, 0]),
        (None, 2 * 3_600_000, [4, 3, 2]),
        (None, 2 * 3_600_000 + 1, [4, 3]),
        (Verdict.BLOCK, 2 * 3_600_000, [4, 2]),
    ],
)
def test_screenings_in_pages_of_any_size(
    lists: ScreeningStore,
    size: int,
    verdict: Verdict | None,
    since: int | None,
    expected: list[int],
) -> None:
    """A screening at the edge of a page would be listed twice, or not at all."""
    since_ms = None if since is None else round(NOON.timestamp() * 1000) + since
    found = all_pages(lambda token, size: lists.list(token, size, verdict, since_ms), size)
    assert [each.media.size_bytes for each in found] == expected
    if verdict is not None:
        assert {each.verdict for each in found} <= {verdict}


def test_lists_show_what_looking_it_up_shows(lists: ScreeningStore) -> None:
    """A list would show the verdict of before the confirmation."""
    for each in lists.list(0, 10, None, None).items:
        assert lists.get(each.screening_id) == each
