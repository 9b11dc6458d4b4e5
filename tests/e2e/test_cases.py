"""Cases over gRPC: what a reviewer decides, and how a pipeline hears of it."""

from __future__ import annotations

import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from hashmatch.client import Client
from hashmatch.errors import CaseDecided, PermissionDenied
from hashmatch.model.callers import Role, new_token
from hashmatch.model.cases import CaseDecision, CaseState, CaseType
from hashmatch.model.records import BankPolicy, Screening
from hashmatch.model.verdicts import Action, Verdict
from tests.conftest import RunningServer, serving
from tests.databases import SERVED, postgres
from tests.support import image

UPHELD, OVERTURNED = CaseDecision.UPHELD, CaseDecision.OVERTURNED


@dataclass(frozen=True)
class Staff:
    """A server, and a client of each role."""

    server: RunningServer
    clients: dict[Role, Client]

    def __getitem__(self, role: Role) -> Client:
        """Who has a role, and no other."""
        return self.clients[role]

    def bank(self, action: Action, policy: BankPolicy | None = None) -> str:
        """A new one."""
        name = f"bank-{uuid.uuid4().hex[:8]}"
        self[Role.ADMIN].create_bank(name, action=action, policy=policy)
        return name

    def screen(self, seed: int) -> Screening:
        """As a pipeline is told."""
        return self[Role.PIPELINE].screen(image(seed))


@pytest.fixture(scope="module", params=SERVED)
def staff(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Staff]:
    """On each sort of database."""
    settings = {"unsafe_no_auth": "false", "metrics": "127.0.0.1:0"}
    if request.param == "postgresql":
        settings["database"] = postgres().new()
    with serving(tmp_path_factory.mktemp("staff"), **settings) as server:
        clients = {}
        with Client(server.address, token=server.first_token, timeout_seconds=30) as admin:
            for role in Role:
                token = new_token()
                admin.create_caller(role.name.lower(), roles=[role], token=token)
                clients[role] = Client(server.address, token=token, timeout_seconds=60)
        yield Staff(server, clients)
        for client in clients.values():
            client.close()


def test_a_pipeline_hears_what_a_reviewer_decided(staff: Staff) -> None:
    """What is held for review would be held for ever."""
    listed = staff[Role.CURATOR].add_entry(staff.bank(Action.REVIEW), image(1))
    held, upheld = staff.screen(1), staff.screen(1)
    assert held.verdict is Verdict.REVIEW
    assert held.case_id
    assert held.decision is None
    reviewer = staff[Role.REVIEWER]
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
    pipeline = staff[Role.PIPELINE]
    told = pipeline.get_screening(held.screening_id)
    assert (told.decision, told.evidence, told.verdict) == (OVERTURNED, (), Verdict.REVIEW)
    assert pipeline.confirm(upheld.screening_id).decision is UPHELD
    with pytest.raises(CaseDecided):
        reviewer.decide_case(held.case_id, UPHELD)
    for role in (Role.CURATOR, Role.AUDITOR, Role.PIPELINE):
        with pytest.raises(PermissionDenied):
            staff[role].decide_case(held.case_id, UPHELD)
    (row,) = staff[Role.AUDITOR].list_audit_rows(subject=held.case_id)
    assert (row.action, row.actor_name) == ("case_decided", "reviewer")
    assert "a toy" in row.details


def test_a_withdrawal_opens_what_was_blocked(staff: Staff) -> None:
    """Who was refused by mistake would never be heard."""
    curator = staff[Role.CURATOR]
    wrong = curator.add_entry(staff.bank(Action.BLOCK), image(2))
    blocked = staff.screen(2)
    assert (blocked.verdict, blocked.case_id) == (Verdict.BLOCK, "")
    curator.withdraw_entry(wrong.ref.entry_id, why="not what it was said to be")
    found = staff[Role.REVIEWER].list_cases(case_type=CaseType.REOPENED)
    (case,) = [each for each in found if each.screening_id == blocked.screening_id]
    assert case.state is CaseState.OPEN
    pipeline = staff[Role.PIPELINE]
    assert pipeline.get_screening(blocked.screening_id).case_id == case.case_id
    assert pipeline.confirm(blocked.screening_id).verdict is not Verdict.BLOCK


def test_a_withdrawn_import_opens_what_it_blocked(staff: Staff) -> None:
    """Likewise, for a list that was wrong as a whole."""
    curator = staff[Role.CURATOR]
    screening = staff.screen(3)
    sha256 = staff[Role.REVIEWER].get_screening(screening.screening_id).media.sha256
    listed = curator.import_entries(
        staff.bank(Action.BLOCK), f"hash,kind\n{sha256.hex()},sha256\n".encode()
    )
    blocked = staff.screen(3)
    assert blocked.verdict is Verdict.BLOCK
    curator.withdraw_import(listed.import_id)
    assert staff[Role.PIPELINE].get_screening(blocked.screening_id).case_id
    assert not staff[Role.PIPELINE].get_screening(screening.screening_id).case_id


def test_an_entry_that_blocks_everything_waits_for_a_person(staff: Staff) -> None:
    """One wrong entry would refuse every upload until somebody wakes up."""
    curator, pipeline = staff[Role.CURATOR], staff[Role.PIPELINE]
    bank = staff.bank(Action.BLOCK, BankPolicy(flood_limit=3))
    wrong = curator.add_entry(bank, image(50))
    # The same picture in other files: as many as are needed, each a moment apart.
    verdicts = []
    for number in range(12):
        verdicts.append(pipeline.screen(image(50) + bytes(number)).verdict)
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
    held = pipeline.screen(image(50))
    assert held.verdict is Verdict.REVIEW
    evidence = staff[Role.REVIEWER].get_screening(held.screening_id).evidence
    assert {(each.quarantined, each.action) for each in evidence} == {(True, Action.REVIEW)}
    with pytest.raises(PermissionDenied):
        curator.release_entry(wrong.ref.entry_id)
    staff[Role.APPROVER].release_entry(wrong.ref.entry_id, why="it is everywhere today")
    assert pipeline.confirm(held.screening_id).verdict is Verdict.BLOCK
    assert curator.get_case(case.case_id).decision is UPHELD
    log = staff.server.log.read_text()
    assert '"entry_quarantined"' in log
    told_at = next(
        line.split('"address":')[1].split('"')[1]
        for line in log.splitlines()
        if '"metrics_served"' in line
    )
    with urllib.request.urlopen(f"http://{told_at}/metrics") as response:
        assert b"hashmatch_entries_quarantined 0.0" in response.read()
