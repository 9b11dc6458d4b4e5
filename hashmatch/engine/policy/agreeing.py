"""What is weighed besides single files and frames: squares that agree, and several frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hashmatch.engine.index.live import Matches, Snapshot, usable
from hashmatch.engine.policy import squares
from hashmatch.engine.policy.acting import always_blocks, strong
from hashmatch.engine.policy.negative import FAR, hash_keys, nearest, sift
from hashmatch.engine.policy.squares import Agreement
from hashmatch.engine.policy.whole_frames import score_of_several
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind

__all__ = ["MAX_EVIDENCE", "agreements", "matched_entries", "scores"]

# An upload that matches more entries than this (a flood of near-duplicates) shows the surest.
MAX_EVIDENCE: Final = 100

# Of versions of one film, each by squares of its own; to weigh all hundred would take seconds.
_ENOUGH: Final = 10


def matched_entries(
    matches: Iterable[Matches], agreed: Mapping[int, Agreement] | None = None
) -> list[int]:
    """Sequence numbers of all entries that a file or a frame matched, or that squares agree with
    (see `agreements`): squares that only came near name none.
    """
    whole = [each for each in matches if each.kind is not Kind.PDQ_PATCH]
    return sorted({*(agreed or ()), *(int(seq) for each in whole for seq in np.unique(each.entry))})


def agreements(
    matches: Iterable[Matches], signals: Iterable[Signals], snapshot: Snapshot
) -> dict[int, Agreement]:
    """How squares of an upload agree with those of each entry that has some near: by its sequence
    number. Entries that whole frames match are left out, squares would add nothing. Of more than
    `MAX_EVIDENCE`, those with the most squares that are not near many others too: what all entries
    share, a watermark of where they came from, says nothing. After `_ENOUGH` that block no more are
    weighed. Releases the GIL for most of it.
    """
    sifted = sift(matches, snapshot.banks)
    found = [each for each in sifted.counting if each.kind is Kind.PDQ_PATCH and len(each)]
    if not found:
        return {}
    near = Matches.concatenate(found)
    decided = [each.select(strong(each, snapshot.banks)) for each in sifted.counting]
    near = near.select(~np.isin(near.entry, matched_entries(decided)))
    media = _Squares.of(signals, sifted.negative)
    agreed: dict[int, Agreement] = {}
    blocks = 0
    for seq in _first(_by_own_squares(near), near, snapshot):
        rows = snapshot.tables[Kind.PDQ_PATCH].rows_of(seq)
        seeds, bank = near.select(near.entry == seq), snapshot.banks[int(rows.bank[0])]
        one = squares.agreement(media.but_overruled(seeds), rows, seeds)
        if one is not None:
            agreed[seq] = one
            sure = one.same and round(one.score) >= bank.policy.block_score
            sure &= seq not in snapshot.quarantined
            blocks += sure and always_blocks(bank)
        if blocks == _ENOUGH:
            break
    return agreed


def scores(matches: Iterable[Matches], snapshot: Snapshot) -> dict[int, int]:
    """Scores of entries whose nearest whole frame alone does not do what their bank asks for, and
    several may: by sequence number, of `MAX_EVIDENCE` at most.
    """
    found: dict[int, int] = {}
    for each in sift(matches, snapshot.banks).counting:
        if each.kind is not Kind.PDQ:
            continue
        sure = np.unique(each.entry[strong(each, snapshot.banks)])
        weak = each.select(~np.isin(each.entry, sure))
        seqs, counts = np.unique(weak.entry, return_counts=True)
        # Of a flood those with most frames.
        some = seqs[np.argsort(-counts, kind="stable")].tolist()
        for seq in _first(some, weak, snapshot):
            rows = snapshot.tables[Kind.PDQ].rows_of(seq)
            found[seq] = score_of_several(weak.select(weak.entry == seq), rows)
    return found


class _Squares(NamedTuple):
    """An upload's squares that are rich enough; int64 ``[n, 2]`` what tells them from each other,
    and ``[n]`` how near a negative entry is: see `engine.policy.negative`.
    """

    signals: Signals
    keys: npt.NDArray[np.int64]
    negative: npt.NDArray[np.int64]

    @classmethod
    def of(cls, signals: Iterable[Signals], negative: Iterable[Matches]) -> _Squares:
        """Of the batches that were searched, in their order; there is one at least."""
        batches = [each.select(usable(each)) for each in signals if each.kind is Kind.PDQ_PATCH]
        (joined,) = Signals.concatenate(batches)
        keys = hash_keys(joined.pts_ms, np.arange(len(joined)))
        against = [each for each in negative if each.kind is Kind.PDQ_PATCH]
        near = nearest(against[0], keys) if against else np.full(len(keys), FAR)
        return cls(joined, keys, near)

    def but_overruled(self, seeds: Matches) -> Signals:
        """Without those that a negative entry is as near to as any of ``seeds``, which are of one
        entry.
        """
        if (self.negative == FAR).all():
            return self.signals
        here = nearest(seeds, self.keys)
        return self.signals.select((self.negative == FAR) | (here < self.negative))


def _first(seqs: list[int], matches: Matches, snapshot: Snapshot) -> list[int]:
    """`MAX_EVIDENCE` of banks that act, and then as many of others: what is tried in shadow takes
    no place of what is in force.
    """
    of_bank = dict(zip(matches.entry.tolist(), matches.bank.tolist(), strict=True))
    acting = [seq for seq in seqs if snapshot.banks[of_bank[seq]].acts]
    others = [seq for seq in seqs if not snapshot.banks[of_bank[seq]].acts]
    return acting[:MAX_EVIDENCE] + others[:MAX_EVIDENCE]


def _by_own_squares(near: Matches) -> list[int]:
    """All entries; first those with most squares near, where one that is near n entries counts for
    each of them as an n-th.
    """
    square = np.unique(np.stack([near.media_pts_ms, near.media_row]), axis=1, return_inverse=True)
    pairs = np.unique(np.stack([near.entry, square[1].reshape(-1)]), axis=1)
    seqs, entry = np.unique(pairs[0], return_inverse=True)
    own = np.bincount(entry, 1 / np.bincount(pairs[1])[pairs[1]])
    ordered: list[int] = seqs[np.argsort(-own, kind="stable")].tolist()
    return ordered
