"""What matches mean: matches to evidence, evidence to a verdict."""

from hashmatch.engine.policy.agreeing import agreements, matched_entries, scores
from hashmatch.engine.policy.negative import may_overrule_files
from hashmatch.engine.policy.squares import Agreement
from hashmatch.engine.policy.weigh import Found, Judgement, flat_doubts, judge, sure_block, weigh

__all__ = [
    "Agreement",
    "Found",
    "Judgement",
    "agreements",
    "flat_doubts",
    "judge",
    "matched_entries",
    "may_overrule_files",
    "scores",
    "sure_block",
    "weigh",
]
