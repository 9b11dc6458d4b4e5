"""What negative banks overrule (`Action.OVERRULE`): hash by hash, and whole files.

A negative bank holds what is known to be harmless or says nothing, such as title cards and test
pictures. A hash of an upload is no evidence for an entry if one of theirs is as near or nearer. The
rest of the upload is weighed as ever: harmless frames before and after excuse nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hashmatch.engine.index.live import Matches, Snapshot
from hashmatch.model.records import Bank
from hashmatch.model.verdicts import Action, Kind

__all__ = ["FAR", "Sifted", "hash_keys", "may_overrule_files", "nearest", "sift"]

# More than any two hashes are apart.
FAR: Final = int(np.iinfo(np.int64).max)


class Sifted(NamedTuple):
    """Matches of negative banks, and of the others: those that count, and those that the negative
    ones overrule. Some may be empty.
    """

    negative: list[Matches]
    counting: list[Matches]
    overruled: list[Matches]


def sift(matches: Iterable[Matches], banks: Mapping[int, Bank]) -> Sifted:
    """``matches`` has one of each kind; ``banks`` by sequence number."""
    matches = list(matches)
    seqs = [seq for seq, bank in banks.items() if bank.action is Action.OVERRULE]
    if not seqs:
        return Sifted([], matches, [])
    # One in shadow overrules nothing, and is no evidence either.
    idle = [seq for seq in seqs if not banks[seq].overrules]
    matches = [each.select(~np.isin(each.bank, idle)) for each in matches]
    theirs = [np.isin(each.bank, seqs) for each in matches]
    sifted = Sifted([], [], [])
    # MD5 and SHA-1 are no proof of a file: two can be made that share them.
    whole = any(
        each.kind is Kind.SHA256 and some.any() for each, some in zip(matches, theirs, strict=True)
    )
    for each, some in zip(matches, theirs, strict=True):
        negative, others = each.select(some), each.select(~some)
        over = np.full(len(others), whole)
        if not whole and not each.kind.exact:
            keys = hash_keys(others.media_pts_ms, others.media_row)
            over = nearest(negative, keys) <= others.distance
        sifted.negative.append(negative)
        sifted.counting.append(others.select(~over))
        sifted.overruled.append(others.select(over))
    return sifted


def may_overrule_files(snapshot: Snapshot) -> bool:
    """True if a file may turn out to be harmless by its SHA-256, known when all of it is here."""
    table = snapshot.tables.get(Kind.SHA256)
    return table is not None and any(
        entries and snapshot.banks[seq].overrules and Kind.SHA256 in snapshot.banks[seq].thresholds
        for seq, entries in table.usage.items()
    )


def hash_keys(pts_ms: npt.NDArray[np.int64], row: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What tells an upload's hashes from each other: int64 ``[n, 2]``; see `Matches`."""
    return np.stack([pts_ms, row], axis=1)


def nearest(negative: Matches, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How near a negative entry is to each of an upload's hashes (`hash_keys`), in bits: int64
    ``[n]``, `FAR` where none is near.
    """
    if not len(negative):
        return np.full(len(keys), FAR)
    own = hash_keys(negative.media_pts_ms, negative.media_row)
    _, number = np.unique(np.concatenate([own, keys]), axis=0, return_inverse=True)
    number = number.reshape(-1)
    least = np.full(int(number.max()) + 1, FAR)
    np.minimum.at(least, number[: len(own)], negative.distance)
    found: npt.NDArray[np.int64] = least[number[len(own) :]]
    return found
