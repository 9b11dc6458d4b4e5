"""How near hashes of unrelated media come, and so how far apart a match may be.

Thresholds are chosen by what they cost: how many of a million clean uploads would be blocked
wrongly by a blocklist of so many hashes. An operator's own clean media say that best.
"""

from __future__ import annotations

import bisect
import datetime
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.engine.index.bits import to_words
from hashmatch.engine.index.live import Snapshot, usable
from hashmatch.engine.index.scan import scan
from hashmatch.engine.policy.agreeing import agreements
from hashmatch.engine.policy.squares import Agreement
from hashmatch.errors import InvalidField
from hashmatch.model.records import DEFAULT_THRESHOLDS, Bank
from hashmatch.model.signals import EntrySignals, Signals
from hashmatch.model.verdicts import Action, BankState, Kind

__all__ = ["BITS", "LIST_HASHES", "Calibration", "Media", "calibrate", "chance"]

BITS: Final = 256

# The blocklist that figures are for.
LIST_HASHES: Final = 10_000_000

# Media with frames as near as this show the same, as do those whose squares agree as copies do; and
# what shows the same as one of them. They say nothing of unrelated ones.
_SAME_BITS: Final = 62

# Pairs are counted up to here: two unrelated hashes are half of all bits apart, in the middle.
_FARTHEST: Final = 100

# What is nearer than all but so few pairs is told by a normal distribution around half of the bits
# through that point: as many bits that are tossed alike have it, fewer of them than there are in a
# hash. J. Daugman, "The importance of being random: statistical principles of iris recognition",
# Pattern Recognition 36 (2003), 279-291. An assumption, as nobody has as many pairs.
_FEW: Final = 5

_MILLION: Final = 1_000_000

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

_Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Media:
    """One clean file: its name, and what it is hashed to as an upload and as an entry."""

    name: str
    upload: Sequence[Signals]
    entry: Sequence[Signals]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What clean media say.

    ``within``: pairs of frames of different media that are at most so many bits apart, by bits;
    ``pairs``: all there are. ``alike``: pairs of files that show the same, and were left out.
    ``held`` and ``blocked``: pairs of files whose squares agree as films of one place do, and as
    copies do. ``flat``: pairs of files of which the first has flat frames alone, that lead to
    REVIEW by one of the other, at the threshold that banks have by default.
    """

    media: int
    frames: int
    hashes: int
    pairs: int
    within: tuple[int, ...]
    alike: tuple[tuple[str, str], ...]
    held: tuple[tuple[str, str], ...]
    blocked: tuple[tuple[str, str], ...]
    flat: tuple[tuple[str, str], ...] = ()

    @property
    def at_few(self) -> int:
        """From how many bits on it is counted, not assumed."""
        return bisect.bisect_left(self.within, _FEW)

    @property
    def nearest(self) -> int:
        """Bits between the nearest pair of unrelated frames."""
        return next(bits for bits, count in enumerate(self.within) if count)

    def wrong_per_million(self, threshold: int, hashes: int = LIST_HASHES) -> float:
        """Of a million clean uploads, those that a frame would match by chance in a blocklist of so
        many hashes, by PDQ and a threshold in bits.

        Assumes that pairs are independent, that the list is of media like these, and a normal tail.
        At most a million.
        """
        near = chance(self.within, self.pairs, threshold)
        # As many turned frames as an upload has here.
        return _MILLION * min(1.0, near * hashes * self.hashes / max(1, self.media))

    def threshold(self, wrong: float = 1.0, hashes: int = LIST_HASHES) -> int:
        """The largest threshold with fewer wrong matches than ``wrong`` in a million uploads; 0 if
        there is none.
        """
        fine = [
            bits
            for bits in range(Kind.PDQ.largest_threshold + 1)
            if self.wrong_per_million(bits, hashes) < wrong
        ]
        return max(fine, default=0)


def chance(within: Sequence[int], pairs: int, threshold: int) -> float:
    """Probability that a pair of unrelated hashes is at most ``threshold`` bits apart.

    ``within[b]`` of ``pairs`` that were measured are at most b bits apart, `_FEW` at least for the
    largest b. Counted from where so many are on, nearer a normal tail is assumed.
    """
    at_few = bisect.bisect_left(within, _FEW)
    if threshold >= at_few:
        return within[min(threshold, len(within) - 1)] / pairs
    away = NormalDist().inv_cdf(within[at_few] / pairs)
    deviation = (at_few - BITS / 2) / away
    # By erfc: NormalDist.cdf is 0 where it is below 1e-16.
    return math.erfc((BITS / 2 - threshold) / deviation / math.sqrt(2)) / 2


def calibrate(
    media: Sequence[Media], threshold: int, tell: Callable[[], None] = lambda: None
) -> Calibration:
    """Compares clean media with each other: each as an upload, the others as entries.

    ``threshold`` in bits is that of squares. ``tell`` is called for each that was compared. Raises
    `InvalidField` if they are too few to say anything. Time grows with their square: a thousand
    clips of ten seconds take a minute.
    """
    frames = [_of(each.upload, Kind.PDQ) for each in media]
    entries = [_of(each.entry, Kind.PDQ) for each in media]
    owner = np.repeat(np.arange(len(media)), [len(each) for each in entries])
    hashes = to_words(np.concatenate([*(each.digests for each in entries), _NOTHING]))
    blocklist = _blocklist(
        [_of(each.entry, Kind.PDQ_PATCH) for each in media], Kind.PDQ_PATCH, threshold
    )
    whole_frames = _blocklist(
        [_all_of(each.entry, Kind.PDQ) for each in media], Kind.PDQ, DEFAULT_THRESHOLDS[Kind.PDQ]
    )
    near: list[tuple[_Integers, _Integers]] = []  # Which media, and how near.
    alike, held, blocked, flat = set(), set(), set(), set()
    for number, each in enumerate(media):
        _, row, distance = scan(to_words(frames[number].digests), hashes, _FARTHEST)
        near.append((owner[row], distance))
        same = {number, *np.unique(owner[row[distance <= _SAME_BITS]]).tolist()}
        alike |= {(min(number, other), max(number, other)) for other in same - {number}}
        agreed = _agreed(_of(each.upload, Kind.PDQ_PATCH), blocklist, same)
        held |= {(number, other) for other, found in agreed.items() if not found.same}
        blocked |= {(number, other) for other, found in agreed.items() if found.same}
        by_flat = whole_frames.search_flat(_all_of(each.upload, Kind.PDQ)).entry
        flat |= {(number, other) for other in by_flat.tolist() if other not in same}
        tell()
    family = _families(len(media), alike | blocked)
    within = np.zeros(_FARTHEST + 1, np.int64)
    pairs = 0
    for number, (other, distance) in enumerate(near):
        within += np.bincount(distance[family[other] != family[number]], minlength=_FARTHEST + 1)
        pairs += len(frames[number]) * int((family[owner] != family[number]).sum())
    counted = np.cumsum(within)
    if counted[-1] < _FEW:
        raise InvalidField(
            "DIR", f"{pairs} pairs of frames are too few to say how near they come; add clean media"
        )

    def names(some: set[tuple[int, int]]) -> tuple[tuple[str, str], ...]:
        return tuple((media[one].name, media[other].name) for one, other in sorted(some))

    return Calibration(
        media=len(media),
        frames=sum(len(np.unique(each.pts_ms)) for each in frames),
        hashes=sum(map(len, frames)),
        pairs=pairs,
        within=tuple(counted.tolist()),
        alike=names(alike),
        held=names(held),
        blocked=names(blocked),
        flat=names(flat),
    )


def _families(count: int, pairs: Iterable[tuple[int, int]]) -> _Integers:
    """Who shows the same as whom, over any number of others: int64 ``[count]``, equal for those."""
    family = np.arange(count)
    for one, other in pairs:
        family[family == family[one]] = family[other]
    return family


_NOTHING: Final[npt.NDArray[np.uint8]] = np.empty((0, Kind.PDQ.width), np.uint8)


def _of(signals: Sequence[Signals], kind: Kind) -> Signals:
    """Those of one kind that are rich enough."""
    joined = _all_of(signals, kind)
    return joined.select(usable(joined))


def _all_of(signals: Sequence[Signals], kind: Kind) -> Signals:
    """Those of one kind, flat ones too."""
    own = [each for each in signals if each.kind is kind]
    if not own:
        return Signals.from_columns(kind, b"", b"", b"", b"")
    (joined,) = Signals.concatenate(own)
    return joined


def _blocklist(entries: Sequence[Signals], kind: Kind, threshold: int) -> Snapshot:
    """All media's hashes of a kind, each an entry by its number. Its bank only reviews, so that all
    that agree are weighed.
    """
    bank = Bank("", "", "", Action.REVIEW, {kind: threshold}, BankState.ACTIVE, 0, _EPOCH, _EPOCH)
    parts = [
        EntrySignals(
            each.kind,
            each.digests,
            each.quality,
            each.pts_ms,
            np.full(len(each), number),
            np.zeros(len(each), np.int64),
        )
        for number, each in enumerate(entries)
    ]
    return Snapshot().with_bank(0, 0, bank).with_entries(0, 0, len(parts)).with_signals(parts)


def _agreed(upload: Signals, blocklist: Snapshot, same: set[int]) -> Mapping[int, Agreement]:
    """How an upload's squares agree with those of the others."""
    near = blocklist.search(upload)
    return agreements([near.select(~np.isin(near.entry, list(same)))], [upload], blocklist)
