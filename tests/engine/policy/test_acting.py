"""What a bank's policy makes of evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.engine.policy import judge, sure_block, weigh
from hashmatch.engine.policy.acting import always_blocks, standing
from hashmatch.model.records import Bank, BankPolicy
from hashmatch.model.verdicts import Action, BankMode, BankState, Effect, Kind, Verdict
from tests.engine.policy.test_policy import BANKS, BLOCKING, match, matches, refs

SHA256 = bytes(range(32))


def with_policy(**given: Any) -> dict[int, Bank]:
    """The banks of `tests.engine.policy.test_policy`; the one that blocks has a policy."""
    return {**BANKS, BLOCKING: replace(BANKS[BLOCKING], policy=BankPolicy(**given))}


@pytest.mark.parametrize(
    ("score", "policy", "expected"),
    [
        (14, {}, (Action.BLOCK, Effect.ACTS)),
        (13, {}, (Action.REVIEW, Effect.ACTS)),
        (0, {}, (Action.REVIEW, Effect.ACTS)),
        (None, {"block_score": 100}, (Action.BLOCK, Effect.ACTS)),
        (20, {"block_score": 21}, (Action.REVIEW, Effect.ACTS)),
        (20, {"block_score": 20, "review_score": 20}, (Action.BLOCK, Effect.ACTS)),
        (19, {"block_score": 20, "review_score": 20}, (Action.REVIEW, Effect.WEAK)),
        (0, {"block_score": 0}, (Action.BLOCK, Effect.ACTS)),
        (99, {"mode": BankMode.SHADOW}, (Action.BLOCK, Effect.SHADOW)),
        (9, {"mode": BankMode.SHADOW}, (Action.REVIEW, Effect.SHADOW)),
        (99, {"traffic_percent": 0}, (Action.BLOCK, Effect.SHADOW)),
    ],
)
def test_what_evidence_leads_to(
    score: int | None, policy: dict[str, Any], expected: tuple[Action, Effect]
) -> None:
    """A doubtful match would block, or a sure one would not."""
    bank = with_policy(**policy)[BLOCKING]
    assert standing(bank, Action.BLOCK, score, SHA256) == expected
    # What squares are too far for is not made more of.
    assert standing(bank, Action.REVIEW, score, SHA256) == (Action.REVIEW, expected[1])


@given(st.integers(0, 100), st.binary(min_size=32, max_size=32))
def test_a_larger_share_has_all_of_a_smaller_one(percent: int, sha256: bytes) -> None:
    """Traffic would change sides when a bank is let on to more of it."""
    effects = [
        standing(with_policy(traffic_percent=each)[BLOCKING], Action.BLOCK, None, sha256)[1]
        for each in (percent, min(100, percent + 10), 100)
    ]
    assert effects == sorted(effects, reverse=True)
    assert effects[-1] is Effect.ACTS


def test_a_share_is_as_large_as_it_says() -> None:
    """A bank at ten percent would act on all, or on none."""
    bank = with_policy(traffic_percent=10)[BLOCKING]
    other = replace(bank, bank_id="bnk_other")
    drawn = np.array(
        [
            [
                standing(each, Action.BLOCK, None, number.to_bytes(32))[1] is Effect.ACTS
                for number in range(4000)
            ]
            for each in (bank, other)
        ]
    )
    # Within five standard deviations, of which one is 0.0047; and each bank draws for itself.
    assert np.abs(drawn.mean(axis=1) - 0.1).max() < 0.024
    assert abs(drawn.all(axis=0).mean() - 0.01) < 0.008


def test_an_upload_of_unknown_file_is_of_every_share() -> None:
    """Who sends hashes without the file's would choose to be left out."""
    bank = with_policy(traffic_percent=1)[BLOCKING]
    assert standing(bank, Action.BLOCK, None, b"")[1] is Effect.ACTS


@pytest.mark.parametrize(
    ("policy", "blocks"),
    [
        ({}, True),
        ({"mode": BankMode.SHADOW}, False),
        ({"traffic_percent": 99}, False),
        ({"block_score": 20}, False),
    ],
)
def test_only_what_acts_in_any_case_decides_before_the_end(
    policy: dict[str, Any], blocks: bool
) -> None:
    """An upload would be refused before it is known whether it is of the bank's share."""
    banks = with_policy(**policy)
    far = matches(Kind.PDQ, *(match(2, t * 1000, distance=30) for t in range(3)))
    assert sure_block([far], banks) is blocks
    exact = matches(Kind.SHA256, match(2))
    assert sure_block([exact], banks) is (blocks or "block_score" in policy)
    assert always_blocks(banks[BLOCKING]) is (blocks or "block_score" in policy)
    archived = {BLOCKING: replace(banks[BLOCKING], state=BankState.ARCHIVED)}
    assert not always_blocks(archived[BLOCKING])


def test_what_does_not_act_is_told_apart_and_comes_last() -> None:
    """A shadow bank would block, or its finds would push out those that do."""
    banks = with_policy(mode=BankMode.SHADOW)
    found = [matches(Kind.PDQ, match(1, distance=20), *(match(n) for n in range(2, 402, 2)))]
    evidence = weigh(found, banks, refs(*range(402)))
    judgement = judge(evidence, ())
    assert judgement.verdict is Verdict.REVIEW
    assert [each.entry.entry_id for each in judgement.evidence] == ["ent_1"]
    assert len(judgement.unacted) == 99
    assert {each.effect for each in judgement.unacted} == {Effect.SHADOW}
    alone = judge(weigh([matches(Kind.PDQ, match(2))], banks, refs(2)), ())
    assert (alone.verdict, len(alone.unacted)) == (Verdict.NO_MATCH, 1)
    # A caller that sees no evidence is told the same words as of any other upload.
    assert alone.reasons == judge((), ()).reasons
