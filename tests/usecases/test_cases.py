"""Cases: opened with what they are about, decided once, and opened again by what nobody saw."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hashmatch.errors import (
    CaseDecided,
    CaseNotFound,
    EtagMismatch,
    InvalidField,
    PermissionDenied,
    RequestIdReused,
)
from hashmatch.model import ids
from hashmatch.model.call import Call
from hashmatch.model.callers import UNRESTRICTED, Caller, Role
from hashmatch.model.cases import Case, CaseDecision, CaseState, CaseType
from hashmatch.model.commands import BankEdit, NewEntry
from hashmatch.model.records import Coverage, Evidence, MediaInfo, Reason, Screening
from hashmatch.model.verdicts import Action, BankState, Kind, Part, Turn, Verdict, VerdictReason
from hashmatch.store.audit import Audit
from hashmatch.store.blocklist import BlocklistStore
from hashmatch.store.cases import CaseStore, case_of
from hashmatch.store.database import Database
from hashmatch.store.screenings import ScreeningStore
from hashmatch.store.tables import entries
from hashmatch.store.types import from_ms
from tests.databases import BACKENDS, migrated
from tests.support import new_request, signals

UPHELD, OVERTURNED = CaseDecision.UPHELD, CaseDecision.OVERTURNED


class Stored:
    """A blocklist of a blocking and a reviewing bank, screenings, and their cases."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.blocklist = BlocklistStore(database)
        self.screenings = ScreeningStore(database)
        self.cases = CaseStore(database)
        for action in (Action.BLOCK, Action.REVIEW):
            self.blocklist.create_bank(new_request(), action.name, "", action, {Kind.PDQ: 31})
        self.made = 0

    def entry(self, action: Action = Action.BLOCK) -> Evidence:
        """A new entry, as evidence."""
        self.made += 1
        new = NewEntry("", "", [signals(self.made)])
        entry = self.blocklist.create_entry(
            new_request(), action.name, new, lambda each: each.quality > 0
        )
        return Evidence(entry.ref, action, Kind.PDQ, Part.FULL, Turn.NONE, 0, 31, 1)

    def screening(self, *evidence: Evidence) -> Screening:
        """A screening that was just stored."""
        now = datetime.datetime.now(datetime.UTC)
        made = judged(
            Screening(
                ids.new_id(ids.SCREENING),
                Verdict.NO_MATCH,
                (Reason(VerdictReason.NOTHING_FOUND, ""),),
                (),
                MediaInfo(sha256=self.made.to_bytes(32)),
                Coverage(complete=True),
                1,
                {},
                now,
                now,
            ),
            *evidence,
        )
        return self.screenings.add(new_request(), made, [], ())

    def again(self, screening: Screening, *evidence: Evidence) -> Screening:
        """The screening, confirmed."""
        return self.screenings.add_judgement(new_request(), judged(screening, *evidence))

    def case(self, screening: Screening) -> Case:
        """Of a screening. Raises `CaseNotFound`."""
        return self.cases.get(case_of(screening.screening_id))

    def decide(self, case: Case, decision: CaseDecision = OVERTURNED) -> Case:
        """By somebody."""
        request = replace(new_request(), caller=Caller("clr_somebody", "ayu", frozenset(Role)))
        return self.cases.decide(request, case.case_id, case.etag, decision, "looked at it")

    def withdraw(self, evidence: Evidence) -> None:
        """Takes an entry out of use."""
        self.blocklist.withdraw_entry(new_request(), evidence.entry.entry_id)


def judged(screening: Screening, *evidence: Evidence) -> Screening:
    """With the verdict that evidence bears out."""
    verdict = Verdict.NO_MATCH
    if evidence:
        blocks = any(each.action is Action.BLOCK for each in evidence)
        verdict = Verdict.BLOCK if blocks else Verdict.REVIEW
    return replace(screening, verdict=verdict, evidence=evidence)


@pytest.fixture(params=BACKENDS)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    """On each sort of database."""
    with migrated(request.param, tmp_path) as database:
        yield Stored(database)


def test_what_is_held_for_review_has_a_case(stored: Stored) -> None:
    """Nobody would look at what waits for somebody to look at it."""
    held = stored.screening(stored.entry(Action.REVIEW))
    assert held.case_id == case_of(held.screening_id)
    case = stored.cases.get(held.case_id)
    assert (case.type, case.state, case.decision) == (CaseType.REVIEW, CaseState.OPEN, None)
    assert (case.screening_id, case.entry_id) == (held.screening_id, "")
    for other in (stored.screening(), stored.screening(stored.entry())):
        assert other.case_id == ""
        with pytest.raises(CaseNotFound):
            stored.case(other)
    assert [each.case_id for each in stored.cases.list(0, 9, CaseState.OPEN, None, None).items] == [
        case.case_id
    ]


def test_a_decision_is_told_with_the_screening(stored: Stored) -> None:
    """A pipeline would wait for ever, or publish what somebody upheld."""
    held = stored.screening(stored.entry(Action.REVIEW))
    case = stored.decide(stored.case(held), UPHELD)
    assert (case.state, case.decision, case.decided_by) == (
        CaseState.DECIDED,
        UPHELD,
        "clr_somebody",
    )
    assert case.why == "looked at it"
    assert case.decide_time is not None
    assert stored.screenings.get(held.screening_id).decision is UPHELD
    with pytest.raises(CaseDecided):
        stored.decide(case, OVERTURNED)
    assert stored.cases.list(0, 9, CaseState.OPEN, None, None).items == ()
    (row, *_) = Audit(stored.database).list(0, 1, "", "", None).items
    assert (row.action, row.subject, row.actor) == ("case_decided", case.case_id, "clr_somebody")


def test_a_decision_that_comes_twice_is_made_once(stored: Stored) -> None:
    """A lost answer would become an error, or another's decision would be taken for it."""
    held, other = (stored.screening(stored.entry(Action.REVIEW)) for _ in range(2))
    request = Call(UNRESTRICTED, "decide-1", "as it was said")
    first = stored.cases.decide(request, held.case_id, "", UPHELD, "")
    assert stored.cases.decide(request, held.case_id, "", UPHELD, "") == first
    with pytest.raises(RequestIdReused):
        stored.cases.decide(replace(request, fingerprint="else"), other.case_id, "", UPHELD, "")
    with pytest.raises(CaseNotFound):
        stored.cases.decide(new_request(), "cas_none", "", UPHELD, "")


def test_new_evidence_opens_a_case_again(stored: Stored) -> None:
    """What a person let pass would pass with what nobody has seen."""
    one, other, third = (stored.entry(Action.REVIEW) for _ in range(3))
    held = stored.screening(one, other)
    stored.decide(stored.case(held))
    # The same, or less, was seen by who decided.
    for known in ((one, other), (one,), (), (one,)):
        assert stored.again(held, *known).decision is OVERTURNED
    new = stored.again(held, one, third)
    assert (new.decision, stored.case(held).state) == (None, CaseState.OPEN)
    stored.decide(stored.case(held))
    assert stored.again(held, stored.entry()).decision is None


def test_what_a_withdrawn_entry_held_back_is_opened(stored: Stored) -> None:
    """Who was refused by mistake would never hear of it."""
    wrong, right, doubtful = stored.entry(), stored.entry(), stored.entry(Action.REVIEW)
    only, both, also = (
        stored.screening(*evidence) for evidence in ((wrong,), (wrong, right), (wrong, doubtful))
    )
    before = stored.screening(right)
    stored.withdraw(wrong)
    for held in (only, also):
        case = stored.case(held)
        assert (case.type, case.state) == (CaseType.REOPENED, CaseState.OPEN)
        assert stored.screenings.get(held.screening_id).case_id == case.case_id
    for untouched in (both, before):
        with pytest.raises(CaseNotFound):
            stored.case(untouched)
    (_, row, *_) = Audit(stored.database).list(0, 9, "", wrong.entry.entry_id, None).items
    assert (row.action, row.details) == ("cases_reopened", '{"cases":2}')
    # What is no longer held back has no case by what is withdrawn then.
    free = stored.screening(right)
    stored.again(free)
    stored.withdraw(right)
    assert stored.case(both).type is CaseType.REOPENED
    with pytest.raises(CaseNotFound):
        stored.case(free)


def test_a_decided_case_is_opened_by_a_withdrawal(stored: Stored) -> None:
    """What a person upheld because it is listed would stay so when the list was wrong."""
    entry = stored.entry(Action.REVIEW)
    held = stored.screening(entry)
    upheld = stored.decide(stored.case(held), UPHELD)
    stored.withdraw(entry)
    case = stored.case(held)
    assert (case.case_id, case.state, case.type) == (
        upheld.case_id,
        CaseState.OPEN,
        CaseType.REOPENED,
    )
    assert (case.decision, case.why, case.decide_time) == (None, "", None)


def test_an_archived_bank_lets_go_as_its_entries_would(stored: Stored) -> None:
    """All that a wrong list blocked would stay blocked."""
    blocked = stored.screening(stored.entry())
    held = stored.screening(stored.entry(Action.REVIEW))
    stored.blocklist.update_bank(new_request(), "BLOCK", "", BankEdit(state=BankState.ARCHIVED))
    assert stored.case(blocked).type is CaseType.REOPENED
    assert stored.case(held).type is CaseType.REVIEW


def test_an_entry_that_went_while_an_upload_was_judged(stored: Stored) -> None:
    """It would be held back for ever by what is no longer listed."""
    entry = stored.entry()
    stored.withdraw(entry)
    late = stored.screening(entry)  # Judged by the revision before.
    assert stored.case(late).type is CaseType.REOPENED
    assert late.case_id


def test_withdrawals_and_judgements_at_once(stored: Stored) -> None:
    """Of two that do not see each other, neither would open the case."""
    rounds = 12
    entries = [stored.entry() for _ in range(rounds)]
    held: list[Screening] = []

    def screen() -> None:
        held.extend(stored.screening(each) for each in entries)

    def withdraw() -> None:
        for each in entries:
            stored.withdraw(each)

    threads = [threading.Thread(target=each) for each in (screen, withdraw)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == rounds
    for each in held:
        assert stored.case(each).state is CaseState.OPEN


def test_quarantine_is_ended_by_a_person(stored: Stored) -> None:
    """An entry would be quarantined again and again, or without anybody being asked."""
    entry = stored.entry()
    entry_id = entry.entry.entry_id
    assert stored.blocklist.quarantine_entry(entry_id, {"files": 7})
    assert not stored.blocklist.quarantine_entry(entry_id, {"files": 8})
    found = stored.blocklist.get_entry(entry_id)
    assert found.quarantine_time is not None
    (case,) = stored.cases.list(0, 9, None, CaseType.FLOOD, None).items
    assert (case.entry_id, case.screening_id, case.state) == (entry_id, "", CaseState.OPEN)
    with pytest.raises(InvalidField, match="release"):
        stored.decide(case)
    released = stored.blocklist.release_entry(new_request(), entry_id, "it is right")
    assert released.quarantine_time is None
    ended = stored.cases.get(case.case_id)
    assert (ended.decision, ended.why) == (UPHELD, "it is right")
    assert not stored.blocklist.quarantine_entry(entry_id, {"files": 9})


def test_a_flood_ends_with_its_entry(stored: Stored) -> None:
    """A case of an entry that is gone would wait for somebody."""
    entry = stored.entry()
    stored.blocklist.quarantine_entry(entry.entry.entry_id, {})
    stored.withdraw(entry)
    (case,) = stored.cases.list(0, 9, None, CaseType.FLOOD, None).items
    assert case.decision is OVERTURNED


def test_pages_of_cases(stored: Stored) -> None:
    """A reviewer would be shown some cases twice, or never."""
    held = [stored.screening(stored.entry(Action.REVIEW)) for _ in range(5)]
    stored.decide(stored.case(held[1]))
    seen, before = [], 0
    while True:
        page = stored.cases.list(before, 2, CaseState.OPEN, CaseType.REVIEW, None)
        seen += [each.screening_id for each in page.items]
        if not page.next_token:
            break
        before = int(page.next_token)
    assert seen == [held[number].screening_id for number in (4, 3, 2, 0)]


def test_nobody_decides_what_he_has_not_seen(stored: Stored) -> None:
    """New evidence that comes while somebody reads would be let pass with the rest."""
    one, third = stored.entry(Action.REVIEW), stored.entry(Action.REVIEW)
    held = stored.screening(one)
    read = stored.case(held)
    stored.again(held, one)  # Nothing new.
    assert stored.case(held).etag == read.etag
    time.sleep(0.002)
    stored.again(held, one, third)
    with pytest.raises(EtagMismatch):
        stored.decide(read)
    assert stored.decide(stored.case(held)).decision is OVERTURNED
    assert stored.again(held, one, third).decision is OVERTURNED


def test_what_was_let_pass_is_not_opened_by_a_withdrawal(stored: Stored) -> None:
    """A reviewer would decide all of it twice, and what was published be undecided again."""
    wrong = stored.entry(Action.REVIEW)
    held = stored.screening(wrong)
    stored.decide(stored.case(held), OVERTURNED)
    stored.withdraw(wrong)
    assert stored.case(held).decision is OVERTURNED


def test_an_entry_whose_time_is_over_lets_go(stored: Stored) -> None:
    """What it held back would wait for ever, and its own case too."""
    entry = stored.entry()
    entry_id = entry.entry.entry_id
    blocked = stored.screening(entry)
    stored.blocklist.quarantine_entry(entry_id, {})
    with stored.database.write() as connection:
        connection.execute(entries.update().values(expire_time=from_ms(1)))
    assert stored.blocklist.expire_entries(2) == 1
    assert stored.case(blocked).type is CaseType.REOPENED
    (flood,) = stored.cases.list(0, 9, None, CaseType.FLOOD, None).items
    assert flood.state is CaseState.DECIDED


def test_whoever_is_limited_to_banks_sees_their_cases(stored: Stored) -> None:
    """What partners listed would get into each other's hands, or be let pass by them."""
    blocking, reviewing = stored.entry(), stored.entry(Action.REVIEW)
    own, both = stored.screening(reviewing), stored.screening(reviewing, blocking)
    stored.withdraw(blocking)
    stored.blocklist.quarantine_entry(reviewing.entry.entry_id, {})
    (flood,) = stored.cases.list(0, 9, None, CaseType.FLOOD, None).items
    seen = stored.cases.list(0, 9, None, None, None, ["REVIEW"]).items
    assert {each.case_id for each in seen} == {own.case_id, flood.case_id}
    assert stored.cases.list(0, 9, None, None, None, []).items == ()
    stored.cases.get(own.case_id, [reviewing.entry.bank_id])
    for banks in ([], ["BLOCK"], ["REVIEW"]):
        with pytest.raises(PermissionDenied):
            stored.cases.get(case_of(both.screening_id), banks)
    with pytest.raises(PermissionDenied):
        stored.cases.decide(new_request(), own.case_id, "", UPHELD, "", ["BLOCK"])
    assert stored.cases.get(case_of(both.screening_id), ["REVIEW", "BLOCK"])
