"""What a bank's policy makes of evidence: shadow, a share of the traffic, and by its score."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.index.live import Matches
from hashmatch.engine.policy.whole_frames import frame_score
from hashmatch.model.records import Bank
from hashmatch.model.verdicts import Action, BankMode, Effect, Kind

__all__ = ["always_blocks", "standing", "strong"]

_ALL: Final = 100


def strong(matches: Matches, banks: Mapping[int, Bank]) -> npt.NDArray[np.bool_]:
    """Which matches alone do all that their bank asks for: bool ``[n]``."""
    if matches.kind is not Kind.PDQ:
        return np.ones(len(matches), np.bool_)
    asked = {seq: bank.policy.block_score for seq, bank in banks.items()}
    least = np.array([asked[seq] for seq in matches.bank.tolist()], np.int64)
    enough: npt.NDArray[np.bool_] = frame_score(matches.distance) >= least
    return enough


def always_blocks(bank: Bank) -> bool:
    """True if strong evidence of it blocks, whatever the upload's SHA-256 is."""
    blocks = bank.acts and bank.action is Action.BLOCK
    return blocks and bank.policy.traffic_percent == _ALL


def standing(
    bank: Bank, action: Action, score: int | None, sha256: bytes, *, quarantined: bool = False
) -> tuple[Action, Effect]:
    """What evidence leads to that asks for an action, and whether it does. Of an entry that is
    quarantined it leads to REVIEW, not to nothing: else whoever uploads a film often enough would
    have it pass.
    """
    policy = bank.policy
    if score is not None and score < policy.review_score:
        return Action.REVIEW, Effect.WEAK
    if quarantined or (score is not None and score < policy.block_score):
        action = Action.REVIEW
    acts = policy.mode is BankMode.LIVE and _in_share(bank, sha256)
    return action, Effect.ACTS if acts else Effect.SHADOW


def _in_share(bank: Bank, sha256: bytes) -> bool:
    """True if an upload is of the traffic that a bank acts on: the same file always is, or never,
    and one whose SHA-256 is not known (empty) is.
    """
    if bank.policy.traffic_percent == _ALL or not sha256:
        return True
    drawn = hashlib.sha256(bank.bank_id.encode() + sha256).digest()
    return int.from_bytes(drawn[:8]) % _ALL < bank.policy.traffic_percent
