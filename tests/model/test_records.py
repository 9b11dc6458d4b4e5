"""The records that are kept: what they refuse to say, and that they cannot change."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.model import records
from hashmatch.model.records import (
    DEFAULT_THRESHOLDS,
    Bank,
    Coverage,
    EntryRef,
    Evidence,
    MediaInfo,
    Page,
    Reason,
    Screening,
)
from hashmatch.model.verdicts import Action, BankState, Kind, Part, Turn, Verdict, VerdictReason

NOW = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
REASON = Reason(VerdictReason.NOTHING_FOUND, "nothing matched")
EVIDENCE = Evidence(
    EntryRef("ent_1", "", "a sword", "bnk_1", "swords"),
    Action.BLOCK,
    Kind.PDQ,
    Part.FULL,
    Turn.NONE,
    distance=3,
    threshold=31,
    frames=4,
)


def screening(
    verdict: Verdict, *, reasons: int = 1, evidence: int = 0, complete: bool = True
) -> Screening:
    """A screening that is sound but for what is asked for."""
    return Screening(
        "scr_1",
        verdict,
        (REASON,) * reasons,
        (EVIDENCE,) * evidence,
        MediaInfo(),
        Coverage(complete=complete),
        blocklist_revision=7,
        hash_versions={Kind.PDQ: "1"},
        create_time=NOW,
        judge_time=NOW,
    )


@given(
    verdict=st.sampled_from(Verdict),
    reasons=st.integers(0, 2),
    evidence=st.integers(0, 2),
    complete=st.booleans(),
)
@settings(deadline=None)
def test_a_verdict_must_be_borne_out(
    verdict: Verdict, reasons: int, evidence: int, complete: bool
) -> None:
    """A NO_MATCH could be stored of a media that nobody looked at in whole."""
    sound = {
        Verdict.NO_MATCH: reasons > 0 and not evidence and complete,
        Verdict.REVIEW: reasons > 0 and evidence > 0,
        Verdict.BLOCK: reasons > 0 and evidence > 0,
        Verdict.INCONCLUSIVE: reasons > 0 and not evidence,
    }[verdict]
    refused = pytest.raises(ValueError, match="verdict with")
    with contextlib.nullcontext() if sound else refused:
        screening(verdict, reasons=reasons, evidence=evidence, complete=complete)


def test_coverage_is_incomplete_unless_said_otherwise() -> None:
    """A screening that never started would count as one that saw everything."""
    assert not Coverage().complete


def test_coverage_promises_nothing_unless_said_otherwise() -> None:
    """A pipeline that holds back what may hide a second would let pass what nobody vouches for."""
    nothing, all_seen = Coverage(), Coverage(True, 1000, 25, 25, 0, 0, 40, 1, False, 0, 1000, 0)
    assert nothing.longest_unseen_ms > 10**12
    assert (nothing.seen_permille, nothing.miss_per_million) == (0, 1_000_000)
    broken_off = all_seen.broken_off()
    assert broken_off == Coverage(False, 1000, 25, 25, 0, 0, 40, 1)


def test_the_refusal_of_a_verdict_says_why() -> None:
    """Whoever reads the log would not know what was wrong with the record."""
    with pytest.raises(ValueError, match="BLOCK verdict with 1 reasons and 0 evidence"):
        screening(Verdict.BLOCK)
    with pytest.raises(ValueError, match="NO_MATCH verdict without complete coverage"):
        screening(Verdict.NO_MATCH, complete=False)


@pytest.mark.parametrize(
    "record",
    [each for each in vars(records).values() if dataclasses.is_dataclass(each)],
    ids=lambda record: record.__name__,
)
def test_records_are_frozen(record: type) -> None:
    """One request could change what another is reading."""
    assert record.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__dict__" not in dir(record)


def bank(revision: int, label: str = "swords") -> Bank:
    """A bank at a revision."""
    return Bank(
        "bnk_1", "swords", label, Action.BLOCK, {Kind.PDQ: 31}, BankState.ACTIVE, revision, NOW, NOW
    )


def test_etag_follows_the_revision() -> None:
    """Two people could overwrite each other's change of a bank without noticing."""
    assert bank(3).etag == bank(3, "other").etag
    assert bank(3).etag != bank(4).etag


def test_default_thresholds_are_allowed_ones() -> None:
    """A bank made with defaults would be refused, or match at random."""
    for kind, threshold in DEFAULT_THRESHOLDS.items():
        assert 0 <= threshold <= kind.largest_threshold


def test_a_page_without_token_is_the_last() -> None:
    """A listing would never end."""
    empty: Page[Bank] = Page()
    assert (empty.items, empty.next_token) == ((), "")
