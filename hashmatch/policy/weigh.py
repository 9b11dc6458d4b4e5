"""Matches to evidence, evidence to a verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.index.live import Matches, Snapshot, usable
from hashmatch.model.records import Bank, EntryRef, Evidence, Reason, Segment
from hashmatch.model.signals import Signals, part_of, turn_of
from hashmatch.model.verdicts import Action, Kind, Part, Turn, Verdict, VerdictReason
from hashmatch.policy import squares, timing
from hashmatch.policy.squares import Agreement

__all__ = ["Judgement", "agreements", "judge", "matched_entries", "sure_block", "weigh"]

# Frames of one entry in an upload that decide at once. One frame may be chance or a title card
# that many clips share; three sampled frames are some three seconds.
_SURE_FRAMES: Final = 3

# Matching frames further apart than this belong to different segments. Uploads are sampled at
# least once a second, so one frame in between may have failed to match.
_SEGMENT_GAP_MS: Final = 2500

# An upload that matches more entries than this (a flood of near-duplicates) shows the surest.
_MAX_EVIDENCE: Final = 100

# Of versions of one film, each by squares of its own; to weigh all hundred would take seconds.
_ENOUGH: Final = 10

# Probability that two whole frames of unrelated films are within d bits: exp(-18.6 - 0.418 * (72 -
# d)). Of 1.2e8 pairs of 153 clean uploads and 29 clips, 1,912 were within 90 bits, 28 within 80 and
# 1 within 72; a normal distribution, which the middle follows, would fall faster still. What is
# tried: eight turns of 25 frames, with ten million hashes.
_FRAME_LOG_CHANCE: Final = -18.6
_FRAME_LOG_CHANCE_A_BIT: Final = 0.418
_FRAME_CHANCE_AT: Final = 72
_FRAMES_TRIED: Final = 8 * 25 * 10_000_000


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and why."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    evidence: tuple[Evidence, ...]


def matched_entries(
    matches: Iterable[Matches], agreed: Mapping[int, Agreement] | None = None
) -> list[int]:
    """Sequence numbers of all entries that a file or a frame matched, or that squares agree with
    (see `agreements`): squares that only came near name none.
    """
    whole = [each for each in matches if each.kind is not Kind.PDQ_PATCH]
    return sorted({*(agreed or ()), *(int(seq) for each in whole for seq in np.unique(each.entry))})


def sure_block(matches: Iterable[Matches], banks: Mapping[int, Bank]) -> bool:
    """True if the matches so far decide for BLOCK whatever is still to come: the very file of an
    entry of a blocking bank, or enough frames of one.
    """
    for each in matches:
        if not len(each) or each.kind is Kind.PDQ_PATCH:
            continue
        blocking = np.isin(
            each.bank, [seq for seq, bank in banks.items() if bank.action is Action.BLOCK]
        )
        if each.kind.exact and blocking.any():
            return True
        frames = np.unique(np.stack([each.entry[blocking], each.media_pts_ms[blocking]]), axis=1)
        if frames.size and np.unique(frames[0], return_counts=True)[1].max() >= _SURE_FRAMES:
            return True
    return False


def agreements(
    matches: Iterable[Matches], signals: Iterable[Signals], snapshot: Snapshot
) -> dict[int, Agreement]:
    """How squares of an upload agree with those of each entry that has some near: by its sequence
    number. Entries that whole frames match are left out, squares would add nothing. Of more than
    `_MAX_EVIDENCE`, those with the most squares that are not near many others too: what all entries
    share, a watermark of where they came from, says nothing. After `_ENOUGH` that block no more are
    weighed. Releases the GIL for most of it.
    """
    matches = list(matches)
    found = [each for each in matches if each.kind is Kind.PDQ_PATCH and len(each)]
    if not found:
        return {}
    near = Matches.concatenate(found)
    near = near.select(~np.isin(near.entry, matched_entries(matches)))
    (media,) = Signals.concatenate(each for each in signals if each.kind is Kind.PDQ_PATCH)
    media = media.select(usable(media))
    agreed: dict[int, Agreement] = {}
    blocks = 0
    for seq in _by_own_squares(near)[:_MAX_EVIDENCE]:
        rows = snapshot.tables[Kind.PDQ_PATCH].rows_of(seq)
        one = squares.agreement(media, rows, near.select(near.entry == seq))
        if one is not None:
            agreed[seq] = one
            blocks += one.same and snapshot.banks[int(rows.bank[0])].action is Action.BLOCK
        if blocks == _ENOUGH:
            break
    return agreed


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


def weigh(
    matches: Iterable[Matches],
    banks: Mapping[int, Bank],
    entries: Mapping[int, EntryRef],
    agreed: Mapping[int, Agreement] | None = None,
) -> tuple[Evidence, ...]:
    """Joins the matches of each entry and kind into evidence, surest first.

    ``banks``, ``entries`` and ``agreed`` (see `agreements`) by sequence number. Blocking banks come
    first; then the very file; then the entry whose frames match best in sum, where a frame counts
    as many bits as it is nearer than the threshold. Squares of frames count where they agree; where
    they are no nearer than those of two films of one place, they lead to REVIEW.
    """
    agreed = agreed or {}
    ranked: list[tuple[tuple[float, ...], int, Bank, Matches]] = []
    for each in matches:
        by_entry = np.argsort(each.entry, kind="stable")
        seqs, starts = np.unique(each.entry[by_entry], return_index=True)
        for seq, own in zip(seqs.tolist(), np.split(by_entry, starts[1:]), strict=False):
            bank, one = banks[int(each.bank[own[0]])], each.select(own)
            blocks = bank.action is Action.BLOCK
            if each.kind is not Kind.PDQ_PATCH:
                nearness = _nearness(one, bank.thresholds[each.kind])
            elif seq in agreed:
                blocks, nearness = blocks and agreed[seq].same, agreed[seq].nearness
            else:
                continue
            rank = (blocks, each.kind.exact, each.kind is Kind.PDQ, nearness)
            ranked.append((tuple(float(term) for term in rank), seq, bank, one))
    ranked.sort(key=lambda each: each[0], reverse=True)
    # Only what is shown is put into words: of a flood of matches it would take seconds.
    return tuple(
        _of_squares(agreed[seq], bank, entries[seq])
        if one.kind is Kind.PDQ_PATCH
        else _of_frames(one, bank, entries[seq])
        for _, seq, bank, one in ranked[:_MAX_EVIDENCE]
    )


def _nearness(matches: Matches, threshold: int) -> float:
    """By how much one entry's matches are nearer than the threshold, in sum: each frame by its
    nearest, whichever of the entry's is meant.
    """
    frames, frame = np.unique(matches.media_pts_ms, return_inverse=True)
    least = np.full(len(frames), threshold, np.int64)
    np.minimum.at(least, frame, matches.distance)
    return float((threshold + 1 - least).sum()) / (threshold + 1)


def _of_frames(matches: Matches, bank: Bank, entry: EntryRef) -> Evidence:
    """Of one entry's matches by whole files or frames."""
    kind = matches.kind
    rows = timing.chosen(matches.media_pts_ms, matches.entry_pts_ms, matches.distance)
    nearest = np.lexsort((matches.media_pts_ms, matches.media_view, matches.distance))[0]
    distance = int(matches.distance[nearest])
    return Evidence(
        entry=entry,
        action=bank.action,
        kind=kind,
        part=part_of(int(matches.media_view[nearest])),
        turn=turn_of(int(matches.media_view[nearest])),
        distance=distance,
        threshold=bank.thresholds[kind],
        frames=len(rows),
        segments=()
        if kind.exact
        else _segments(matches.media_pts_ms[rows], matches.entry_pts_ms[rows]),
        score=_score(distance) if kind is Kind.PDQ else None,
    )


def _of_squares(agreed: Agreement, bank: Bank, entry: EntryRef) -> Evidence:
    rows = timing.chosen(agreed.media_pts_ms, agreed.entry_pts_ms, agreed.distance)
    return Evidence(
        entry=entry,
        action=bank.action if agreed.same else Action.REVIEW,
        kind=Kind.PDQ_PATCH,
        part=Part.FULL,
        turn=Turn.FLIP_HORIZONTAL if agreed.mirrored else Turn.NONE,
        distance=int(agreed.distance.min()),
        threshold=bank.thresholds[Kind.PDQ_PATCH],
        frames=len(rows),
        segments=_segments(agreed.media_pts_ms[rows], agreed.entry_pts_ms[rows]),
        score=round(agreed.score),
    )


def _score(distance: int) -> int:
    """See `Evidence.score`: of a whole frame's PDQ at so many bits."""
    chance = _FRAME_LOG_CHANCE - _FRAME_LOG_CHANCE_A_BIT * (_FRAME_CHANCE_AT - distance)
    return round(-chance - math.log(_FRAMES_TRIED))


def _segments(
    media_ms: npt.NDArray[np.int64], entry_ms: npt.NDArray[np.int64]
) -> tuple[Segment, ...]:
    breaks = np.flatnonzero(np.diff(media_ms) > _SEGMENT_GAP_MS) + 1
    return tuple(
        Segment(
            media_start_ms=int(media[0]),
            media_end_ms=int(media[-1]),
            entry_start_ms=int(entry.min()),
            entry_end_ms=int(entry.max()),
            frames=len(media),
        )
        for media, entry in zip(np.split(media_ms, breaks), np.split(entry_ms, breaks), strict=True)
    )


def judge(evidence: tuple[Evidence, ...], doubts: Sequence[Reason]) -> Judgement:
    """The verdict: a match first, then whatever speaks against a NO_MATCH.

    ``doubts`` are all reasons why the media was not looked at in whole, by every active kind,
    against a loaded blocklist. They are kept among the reasons of a match.
    """
    matched = [Reason(code, detail) for code, detail in _match_reasons(evidence).items()]
    if evidence:
        blocks = any(each.action is Action.BLOCK for each in evidence)
        verdict = Verdict.BLOCK if blocks else Verdict.REVIEW
        return Judgement(verdict, (*matched, *doubts), evidence)
    if doubts:
        return Judgement(Verdict.INCONCLUSIVE, tuple(doubts), ())
    nothing = Reason(VerdictReason.NOTHING_FOUND, "all of it was looked at and nothing matched")
    return Judgement(Verdict.NO_MATCH, (nothing,), ())


_WITHIN: Final = {
    Part.CONTENT: ", within a border",
    Part.INSET: ", set into another picture",
}


def _match_reasons(evidence: Iterable[Evidence]) -> dict[VerdictReason, str]:
    """The surest match of each sort in words."""
    reasons: dict[VerdictReason, str] = {}
    for each in evidence:
        if each.kind.exact:
            reasons.setdefault(
                VerdictReason.EXACT_MATCH, f"the very file of an entry of {each.entry.bank_name!r}"
            )
        else:
            shown = ", ".join(
                f"seconds {_seconds(s.media_start_ms, s.media_end_ms)} show seconds "
                f"{_seconds(s.entry_start_ms, s.entry_end_ms)}"
                for s in each.segments[:3]
            )
            some = "parts of " if each.kind is Kind.PDQ_PATCH else ""
            turned = f", {each.turn.name.lower()}" if each.turn is not Turn.NONE else ""
            within = _WITHIN.get(each.part, "")
            reasons.setdefault(
                VerdictReason.PERCEPTUAL_MATCH,
                f"{some}{shown} of an entry of {each.entry.bank_name!r}{turned}{within}",
            )
    return reasons


def _seconds(start_ms: int, end_ms: int) -> str:
    if start_ms == end_ms:
        return f"{start_ms / 1000:.1f}"
    return f"{start_ms / 1000:.1f}-{end_ms / 1000:.1f}"
