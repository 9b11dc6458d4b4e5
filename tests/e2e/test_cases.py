"""Cases over gRPC: what a reviewer decides, and how a pipeline hears of it."""

from __future__ import annotations

import pytest

from hashmatch.errors import CaseDecided, PermissionDenied
from hashmatch.model.callers import Role
from hashmatch.model.cases import CaseDecision, CaseState, CaseType
from hashmatch.model.records import BankPolicy, Screening
from hashmatch.model.verdicts import Action, Verdict
from tests.staff import Staff
from tests.support import image

UPHELD, OVERTURNED = CaseDecision.UPHELD, CaseDecision.OVERTURNED


def screened(staff: Staff, seed: int) -> Screening:
    """A screening of `image` as its pipeline gets it."""
    return staff.pipeline.screen(image(seed))


def test_a_pipeline_hears_what_a_reviewer_decided(staff: Staff) -> None:
    """What is held for review would be held for ever."""
    listed = staff.curator.add_entry(staff.bank(action=Action.REVIEW), image(701))
    held, upheld = screened(staff, 701), screened(staff, 701)
    assert held.verdict is Verdict.REVIEW
    assert held.case_id
    assert held.decision is None
    reviewer = staff.reviewer
    case = reviewer.get_case(held.case_id)
    assert (case.type, case.screening_id) == (CaseType.REVIEW, held.screening_id)
    seen = reviewer.get_screening(case.screening_id)
    assert seen.evidence[0].entry.entry_id == listed.ref.entry_id
    assert {each.case_id for each in reviewer.list_cases(state=CaseState.OPEN)} >= {
        held.case_id,
        upheld.case_id,
    }
    reviewer.decide_case(held.case_id, OVERTURNED, why="a toy")
    reviewer.decide_case(upheld.case_id, UPHELD)
    pipeline = staff.pipeline
    told = pipeline.get_screening(held.screening_id)
    assert (told.decision, told.evidence, told.verdict) == (OVERTURNED, (), Verdict.REVIEW)
    assert pipeline.confirm(upheld.screening_id).decision is UPHELD
    with pytest.raises(CaseDecided):
        reviewer.decide_case(held.case_id, UPHELD)
    for role in (Role.CURATOR, Role.AUDITOR, Role.PIPELINE):
        with pytest.raises(PermissionDenied):
            staff[role].decide_case(held.case_id, UPHELD)
    (row,) = staff.auditor.list_audit_rows(subject=held.case_id)
    assert (row.action, row.actor_name) == ("case_decided", "reviewer")
    assert "a toy" in row.details


def test_a_withdrawal_opens_what_was_blocked(staff: Staff) -> None:
    """Who was refused by mistake would never be heard."""
    curator = staff.curator
    wrong = curator.add_entry(staff.bank(), image(702))
    blocked = screened(staff, 702)
    assert (blocked.verdict, blocked.case_id) == (Verdict.BLOCK, "")
    curator.withdraw_entry(wrong.ref.entry_id, why="not what it was said to be")
    found = staff.reviewer.list_cases(case_type=CaseType.REOPENED)
    (case,) = [each for each in found if each.screening_id == blocked.screening_id]
    assert case.state is CaseState.OPEN
    pipeline = staff.pipeline
    assert pipeline.get_screening(blocked.screening_id).case_id == case.case_id
    assert pipeline.confirm(blocked.screening_id).verdict is not Verdict.BLOCK


def test_a_withdrawn_import_opens_what_it_blocked(staff: Staff) -> None:
    """Likewise, for a list that was wrong as a whole."""
    curator = staff.curator
    screening = screened(staff, 703)
    sha256 = staff.reviewer.get_screening(screening.screening_id).media.sha256
    listed = curator.import_entries(staff.bank(), f"hash,kind\n{sha256.hex()},sha256\n".encode())
    blocked = screened(staff, 703)
    assert blocked.verdict is Verdict.BLOCK
    curator.withdraw_import(listed.import_id)
    assert staff.pipeline.get_screening(blocked.screening_id).case_id
    assert not staff.pipeline.get_screening(screening.screening_id).case_id


def test_an_entry_that_blocks_everything_waits_for_a_person(staff: Staff) -> None:
    """One wrong entry would refuse every upload until somebody wakes up."""
    curator, pipeline = staff.curator, staff.pipeline
    bank = staff.bank(policy=BankPolicy(flood_limit=3))
    wrong = curator.add_entry(bank, image(750))
    # The same picture in other files: as many as are needed, each a moment apart.
    verdicts = []
    for number in range(12):
        verdicts.append(pipeline.screen(image(750) + bytes(number)).verdict)
        if verdicts[-1] is Verdict.REVIEW:
            break
    assert set(verdicts[:-1]) == {Verdict.BLOCK}
    assert verdicts[-1] is Verdict.REVIEW
    assert curator.get_entry(wrong.ref.entry_id).quarantine_time is not None
    (case,) = [
        each
        for each in curator.list_cases(case_type=CaseType.FLOOD, state=CaseState.OPEN)
        if each.entry_id == wrong.ref.entry_id
    ]
    held = pipeline.screen(image(750))
    assert held.verdict is Verdict.REVIEW
    evidence = staff.reviewer.get_screening(held.screening_id).evidence
    assert {(each.quarantined, each.action) for each in evidence} == {(True, Action.REVIEW)}
    with pytest.raises(PermissionDenied):
        curator.release_entry(wrong.ref.entry_id)
    staff.approver.release_entry(wrong.ref.entry_id, why="it is everywhere today")
    assert pipeline.confirm(held.screening_id).verdict is Verdict.BLOCK
    assert curator.get_case(case.case_id).decision is UPHELD
    assert '"entry_quarantined"' in staff.server.log.read_text()
    assert b"hashmatch_entries_quarantined 0.0" in staff.metrics()
