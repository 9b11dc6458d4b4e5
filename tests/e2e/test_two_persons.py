"""What one person proposes takes effect when another approves it, and not before."""

from __future__ import annotations

import datetime
import json
import time
import uuid
from pathlib import Path

import pytest

from hashmatch.client import Client
from hashmatch.errors import (
    BankArchived,
    EntryNotPending,
    PermissionDenied,
    SecondPersonNeeded,
)
from hashmatch.model.callers import Role, new_token
from hashmatch.model.records import BlocklistChange, Entry, Provenance
from hashmatch.model.verdicts import (
    Action,
    Activation,
    Category,
    ChangeType,
    EntryState,
    Verdict,
)
from tests.conftest import serving
from tests.staff import Staff
from tests.support import image

TWO = Activation.TWO_PERSON

PROVENANCE = Provenance(
    source="a report",
    legal_basis="UU ITE 27",
    category=Category.CSAM_B1,
    severity=4,
    note="dilihat dua kali\nlihat kasus 7",
    language="id",
    confirmed=True,
)


def test_it_takes_two(staff: Staff) -> None:
    """A single person could have anything blocked, by mistake or on purpose."""
    bank = staff.bank(activation=TWO)
    proposed = staff.ayu.add_entry(bank, image(201), provenance=PROVENANCE)
    assert proposed.state is EntryState.PENDING
    assert proposed.provenance == PROVENANCE
    assert staff.verdict(201) is Verdict.NO_MATCH
    entry_id = proposed.ref.entry_id
    with pytest.raises(SecondPersonNeeded):
        staff.ayu.approve_entry(entry_id)
    with pytest.raises(PermissionDenied):
        staff.curator.approve_entry(entry_id)
    assert staff.verdict(201) is Verdict.NO_MATCH
    approved = staff.budi.approve_entry(entry_id, why="seen in the original report")
    assert approved.state is EntryState.ACTIVE
    assert staff.verdict(201) is Verdict.BLOCK
    assert staff.admin.get_bank(bank).active_entries == 1
    told = [
        (row.actor_name, row.action, json.loads(row.details).get("why"))
        for row in staff.auditor.list_audit_rows(subject=entry_id)
    ]
    assert told == [
        ("budi", "entry_approved", "seen in the original report"),
        ("ayu", "entry_proposed", None),
    ]
    shown = staff.auditor.get_entry(entry_id)
    names = {row.actor: row.actor_name for row in staff.auditor.list_audit_rows(subject=entry_id)}
    assert (names[shown.proposed_by], names[shown.approved_by]) == ("ayu", "budi")
    withdrawn = staff.ayu.withdraw_entry(entry_id, why="appeal 12 was right")
    assert withdrawn.state is EntryState.WITHDRAWN
    assert staff.verdict(201) is Verdict.NO_MATCH


def test_what_is_declined_never_takes_effect(staff: Staff) -> None:
    """It would come into use behind everybody's back."""
    bank = staff.bank(activation=TWO)
    proposed = staff.ayu.add_entry(bank, image(202))
    declined = staff.budi.withdraw_entry(proposed.ref.entry_id)
    assert declined.state is EntryState.WITHDRAWN
    with pytest.raises(EntryNotPending):
        staff.budi.approve_entry(proposed.ref.entry_id)
    assert staff.verdict(202) is Verdict.NO_MATCH
    assert staff.admin.get_bank(bank).active_entries == 0


def test_a_repeat_of_an_approval_gets_its_answer(staff: Staff) -> None:
    """A lost reply would look like a refusal."""
    proposed = staff.ayu.add_entry(staff.bank(activation=TWO), image(203))
    request_id = uuid.uuid4().hex
    first = staff.budi.approve_entry(proposed.ref.entry_id, request_id=request_id)
    assert staff.budi.approve_entry(proposed.ref.entry_id, request_id=request_id) == first
    with pytest.raises(EntryNotPending):
        staff.budi.approve_entry(proposed.ref.entry_id)


def test_nothing_is_approved_in_an_archived_bank(staff: Staff) -> None:
    """The approval would seem to do something."""
    bank = staff.bank(activation=TWO)
    proposed = staff.ayu.add_entry(bank, image(204))
    staff.admin.archive_bank(bank)
    with pytest.raises(BankArchived):
        staff.budi.approve_entry(proposed.ref.entry_id)


def test_a_bank_may_be_changed_to_two_persons(staff: Staff) -> None:
    """What was in use stays so; what comes then waits."""
    bank = staff.bank()
    before = staff.curator.add_entry(bank, image(205))
    assert before.state is EntryState.ACTIVE
    staff.admin.update_bank(bank, activation=Activation.TWO_PERSON)
    after = staff.curator.add_entry(bank, image(206))
    assert after.state is EntryState.PENDING
    assert (staff.verdict(205), staff.verdict(206)) == (Verdict.BLOCK, Verdict.NO_MATCH)


def test_an_entry_goes_when_its_time_is_over(staff: Staff) -> None:
    """An order of a court that has an end; and one that nobody approved in time."""
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
    brief = staff.curator.add_entry(staff.bank(), image(207), expire_time=soon)
    waiting = staff.curator.add_entry(staff.bank(activation=TWO), image(208), expire_time=soon)
    assert staff.verdict(207) is Verdict.BLOCK

    def states() -> list[EntryState]:
        return [staff.auditor.get_entry(each.ref.entry_id).state for each in (brief, waiting)]

    deadline = time.monotonic() + 30
    while states() != [EntryState.EXPIRED] * 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert datetime.datetime.now(datetime.UTC) >= soon
    assert staff.verdict(207) is Verdict.NO_MATCH
    assert staff.auditor.get_entry(brief.ref.entry_id).expire_time is not None
    with pytest.raises(EntryNotPending):
        staff.budi.approve_entry(waiting.ref.entry_id)
    # Withdrawing what is over changes nothing.
    assert staff.ayu.withdraw_entry(brief.ref.entry_id).state is EntryState.EXPIRED


def test_followers_are_told_what_becomes_of_it(staff: Staff) -> None:
    """A copy of the blocklist elsewhere would block what nobody approved."""
    began = next(iter(staff.auditor.list_banks())).revision
    bank = staff.bank(activation=TWO)
    one, other = (staff.ayu.add_entry(bank, image(seed)) for seed in (210, 211))
    staff.budi.approve_entry(one.ref.entry_id)
    staff.budi.withdraw_entry(other.ref.entry_id)
    staff.ayu.withdraw_entry(one.ref.entry_id)
    expected: list[tuple[ChangeType, Entry, EntryState]] = [
        (ChangeType.ENTRY_PROPOSED, one, EntryState.PENDING),
        (ChangeType.ENTRY_PROPOSED, other, EntryState.PENDING),
        (ChangeType.ENTRY_APPROVED, one, EntryState.ACTIVE),
        (ChangeType.ENTRY_DECLINED, other, EntryState.WITHDRAWN),
        (ChangeType.ENTRY_WITHDRAWN, one, EntryState.WITHDRAWN),
    ]
    found = []
    for told in staff.auditor.watch_changes(began):
        if not isinstance(told, BlocklistChange):
            break
        if told.entry is not None and told.entry.ref.bank_name == bank:
            found.append((told.type, told.entry.ref.entry_id, told.entry.state))
    assert found == [(type_, entry.ref.entry_id, state) for type_, entry, state in expected]


def test_a_restart_knows_what_is_pending_and_who_is_admin(tmp_path: Path) -> None:
    """The index is made of the store, or of its file: neither may hold what waits. And each start
    would make another admin, or none be there after the last token was lost.
    """
    tokens: dict[str, str] = {}
    with serving(tmp_path, unsafe_no_auth="false") as server:
        first_token = server.first_token
        assert first_token.startswith("hm_")
        with Client(server.address, token=first_token) as admin:
            assert admin.get_self().roles == {Role.ADMIN}
            admin.create_bank("b", action=Action.BLOCK, activation=Activation.TWO_PERSON)
            for name, roles in {
                "ayu": [Role.CURATOR],
                "budi": [Role.APPROVER],
                "pipeline": [Role.PIPELINE],
            }.items():
                tokens[name] = new_token()
                admin.create_caller(name, roles=roles, token=tokens[name])
        with Client(server.address, token=tokens["ayu"]) as ayu:
            waiting, listed = (ayu.add_entry("b", image(seed)) for seed in (1, 2))
        with Client(server.address, token=tokens["budi"]) as budi:
            budi.approve_entry(listed.ref.entry_id)
    for remove in (False, True):
        if remove:
            (tmp_path / "blocklist.index").unlink(missing_ok=True)
        with (
            serving(tmp_path, unsafe_no_auth="false") as server,
            Client(server.address, token=tokens["pipeline"]) as pipeline,
            Client(server.address, token=first_token) as admin,
        ):
            assert server.first_token == ""
            assert admin.get_self().roles == {Role.ADMIN}
            verdicts = [pipeline.screen(image(seed)).verdict for seed in (1, 2)]
            assert verdicts == [Verdict.NO_MATCH, Verdict.BLOCK]
    assert waiting.state is EntryState.PENDING


def test_where_nobody_is_asked_who_he_is_nobody_is_a_second_person(
    client: Client, tmp_path: Path
) -> None:
    """The same person would be both."""
    bank = f"bank-{uuid.uuid4().hex[:8]}"
    client.create_bank(bank, action=Action.REVIEW, activation=Activation.TWO_PERSON)
    proposed = client.add_entry(bank, image(1))
    with pytest.raises(SecondPersonNeeded):
        client.approve_entry(proposed.ref.entry_id)
    client.archive_bank(bank)
