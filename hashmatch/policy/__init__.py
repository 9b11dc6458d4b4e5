"""What matches mean: matches to evidence, evidence to a verdict."""

from hashmatch.policy.agreeing import agreements, matched_entries, scores
from hashmatch.policy.negative import may_overrule_files
from hashmatch.policy.squares import Agreement
from hashmatch.policy.weigh import (
    Found,
    Judgement,
    judge,
    sure_block,
    weigh,
)

__all__ = [
    "Agreement",
    "Found",
    "Judgement",
    "agreements",
    "judge",
    "matched_entries",
    "may_overrule_files",
    "scores",
    "sure_block",
    "weigh",
]
