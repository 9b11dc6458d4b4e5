"""What matches mean: matches to evidence, evidence to a verdict."""

from hashmatch.policy.squares import Agreement
from hashmatch.policy.weigh import (
    Judgement,
    agreements,
    judge,
    matched_entries,
    sure_block,
    weigh,
)

__all__ = [
    "Agreement",
    "Judgement",
    "agreements",
    "judge",
    "matched_entries",
    "sure_block",
    "weigh",
]
