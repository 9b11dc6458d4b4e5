"""What a bank does with what it finds, over gRPC: shadow, a share, scores, negative banks."""

from __future__ import annotations

import uuid

import pytest

from hashmatch.client import Client
from hashmatch.errors import EtagMismatch, InvalidField
from hashmatch.model.records import Bank, BankPolicy, Screening
from hashmatch.model.verdicts import Action, BankMode, Effect, Kind, Verdict
from hashmatch.wire.signals import signals_to_wire
from tests.staff import Staff
from tests.support import flipped, image, signals

SHADOW = BankPolicy(mode=BankMode.SHADOW)


@pytest.fixture
def client(staff: Staff) -> Client:
    """The client of the caller that has every role."""
    return staff.everybody


def bank(client: Client, policy: BankPolicy | None = None, **given: object) -> Bank:
    """A new one that blocks, unless it is told otherwise."""
    name = f"bank-{uuid.uuid4().hex[:8]}"
    return client.create_bank(name, **{"action": Action.BLOCK, "policy": policy, **given})  # type: ignore[arg-type]


def effects(screening: Screening) -> list[Effect]:
    """Of what did not act."""
    return [each.effect for each in screening.unacted]


def test_a_bank_in_shadow_tells_what_it_would_do(staff: Staff) -> None:
    """A list would go live without anybody having seen what it does to uploads."""
    client, pipeline = staff.everybody, staff.pipeline
    tried = bank(client, SHADOW)
    client.add_entry(tried.bank_id, image(601))
    seen = client.screen(image(601))
    assert (seen.verdict, seen.evidence) == (Verdict.NO_MATCH, ())
    assert set(effects(seen)) == {Effect.SHADOW}
    assert {each.action for each in seen.unacted} == {Action.BLOCK}
    assert client.get_screening(seen.screening_id) == seen
    # Nobody else is told.
    told = pipeline.screen(image(601))
    assert (told.verdict, told.unacted) == (Verdict.NO_MATCH, ())
    # What was screened before is judged anew once the bank is live.
    client.update_bank(tried.bank_id, policy=BankPolicy())
    assert client.confirm(seen.screening_id).verdict is Verdict.BLOCK
    client.update_bank(tried.bank_id, policy=SHADOW)
    again = client.confirm(seen.screening_id)
    assert (again.verdict, set(effects(again))) == (Verdict.NO_MATCH, {Effect.SHADOW})


def test_a_share_of_the_traffic(client: Client) -> None:
    """A bank that is let on to a tenth of the uploads would act on all of them."""
    part = bank(client, BankPolicy(traffic_percent=50), thresholds={Kind.PDQ: 31})
    client.add_entry_from_signals(part.bank_id, [signals_to_wire(signals(5))])
    verdicts = set()
    for seed in range(40):
        both = signals(5), signals(seed, kind=Kind.SHA256)
        upload = [signals_to_wire(each) for each in both]
        first, second = (client.screen_signals(upload, duration_ms=0) for _ in range(2))
        verdicts.add(first.verdict)
        assert first.verdict is second.verdict
        assert bool(first.evidence) is not bool(first.unacted)
    # Not NO_MATCH: other banks of this server use squares, which these uploads do not have.
    assert verdicts == {Verdict.BLOCK, Verdict.INCONCLUSIVE}


@pytest.mark.parametrize(
    ("bits", "policy", "verdict", "effect"),
    [
        (0, BankPolicy(), Verdict.BLOCK, []),
        (31, BankPolicy(), Verdict.BLOCK, []),
        (40, BankPolicy(), Verdict.REVIEW, []),
        (40, BankPolicy(block_score=0), Verdict.BLOCK, []),
        (40, BankPolicy(review_score=14), Verdict.INCONCLUSIVE, [Effect.WEAK]),
        (20, BankPolicy(block_score=30), Verdict.REVIEW, []),
    ],
)
def test_how_sure_a_match_has_to_be(
    client: Client, bits: int, policy: BankPolicy, verdict: Verdict, effect: list[Effect]
) -> None:
    """A bank with a wide radius would block by what is hardly a likeness."""
    original = signals(1000 + bits + policy.block_score)
    wide = bank(client, policy, thresholds={Kind.PDQ: 50})
    client.add_entry_from_signals(wide.bank_id, [signals_to_wire(original)])
    found = client.screen_signals([signals_to_wire(flipped(original, bits))], duration_ms=0)
    assert (found.verdict, effects(found)) == (verdict, effect)
    client.archive_bank(wide.bank_id)


def test_a_negative_bank_overrules(staff: Staff) -> None:
    """A title card in a list would have every film refused that begins with it."""
    client, pipeline = staff.everybody, staff.pipeline
    listed = bank(client)
    client.add_entry(listed.bank_id, image(607))
    assert pipeline.screen(image(607)).verdict is Verdict.BLOCK
    negative = bank(client, action=Action.OVERRULE)
    harmless = client.add_entry(negative.bank_id, image(607))
    found = client.screen(image(607))
    assert (found.verdict, set(effects(found))) == (Verdict.NO_MATCH, {Effect.OVERRULED})
    assert {each.entry.bank_id for each in found.unacted} == {listed.bank_id}
    told = pipeline.screen(image(607))
    assert (told.verdict, told.unacted) == (Verdict.NO_MATCH, ())
    assert client.screen(image(99)).verdict is Verdict.BLOCK
    client.withdraw_entry(harmless.ref.entry_id)
    assert client.confirm(found.screening_id).verdict is Verdict.BLOCK


def test_a_negative_bank_takes_no_hash_that_can_be_forged(client: Client) -> None:
    """A file made to share a harmless file's MD5 would pass."""
    for kind in (Kind.MD5, Kind.SHA1):
        with pytest.raises(InvalidField, match="kinds"):
            bank(client, action=Action.OVERRULE, thresholds={kind: 0})
    with pytest.raises(InvalidField, match="traffic_percent"):
        bank(client, BankPolicy(traffic_percent=10), action=Action.OVERRULE)
    made = bank(client, thresholds={Kind.MD5: 0})
    with pytest.raises(InvalidField, match="kinds"):
        client.update_bank(made.bank_id, action=Action.OVERRULE)


def test_a_policy_is_changed_as_a_whole(client: Client) -> None:
    """Two persons who change a bank at once would undo each other's work unseen."""
    made = bank(client, BankPolicy(traffic_percent=10, block_score=18))
    assert made.policy == BankPolicy(BankMode.LIVE, 10, 18, 0)
    assert client.get_bank(made.name).policy == made.policy
    changed = client.update_bank(made.name, policy=SHADOW, etag=made.etag)
    assert changed.policy == SHADOW
    with pytest.raises(EtagMismatch):
        client.update_bank(made.name, policy=BankPolicy(), etag=made.etag)
    assert client.update_bank(made.name, label="other").policy == SHADOW
    for wrong in (
        BankPolicy(traffic_percent=101),
        BankPolicy(block_score=101),
        BankPolicy(review_score=1000),
    ):
        with pytest.raises(InvalidField, match="policy"):
            client.update_bank(made.name, policy=wrong)
    client.archive_bank(made.name)
