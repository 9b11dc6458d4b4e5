"""Matches to evidence, evidence to a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hashmatch.index.live import Matches
from hashmatch.model.records import Bank, EntryRef, Evidence, Reason, Segment
from hashmatch.model.signals import part_of, turn_of
from hashmatch.model.verdicts import Action, Kind, Part, Turn, Verdict, VerdictReason

__all__ = ["Judgement", "judge", "matched_entries", "sure_block", "weigh"]

# Frames of one entry in an upload that decide at once. One frame may be chance or a title card
# that many clips share; three sampled frames are some three seconds.
_SURE_FRAMES: Final = 3

# Squares of an upload that must be near some of an entry's before they say anything, and before
# they say enough for what the bank does; between the two somebody is to look. Of 78 clean uploads
# against 29 entries, some had one near, and one had two: it shows another toy on the same floor.
_LEAST_SQUARES: Final = 2
_SURE_SQUARES: Final = 3

# Matching frames further apart than this belong to different segments. Uploads are sampled at
# least once a second, so one frame in between may have failed to match.
_SEGMENT_GAP_MS: Final = 2500

# An upload that matches more entries than this (a flood of near-duplicates) shows the surest.
_MAX_EVIDENCE: Final = 100


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and why."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    evidence: tuple[Evidence, ...]


def matched_entries(matches: Iterable[Matches]) -> list[int]:
    """Sequence numbers of all entries that something matched."""
    return sorted({int(seq) for each in matches for seq in np.unique(each.entry)})


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


def weigh(
    matches: Iterable[Matches], banks: Mapping[int, Bank], entries: Mapping[int, EntryRef]
) -> tuple[Evidence, ...]:
    """Joins the matches of each entry and kind into evidence, surest first.

    ``banks`` and ``entries`` by sequence number. Blocking banks come first; then the very file;
    then the entry whose frames match best in sum, where a frame counts as many bits as it is
    nearer than the threshold. Squares of frames count where there are some of one entry, and where
    they are few they lead to REVIEW.
    """
    weighed: list[tuple[tuple[float, ...], Evidence]] = []
    for each in matches:
        by_entry = np.argsort(each.entry, kind="stable")
        seqs, starts = np.unique(each.entry[by_entry], return_index=True)
        for seq, own in zip(seqs.tolist(), np.split(by_entry, starts[1:]), strict=False):
            rows = _best_of_each_frame(each, own)
            bank = banks[int(each.bank[rows[0]])]
            action = bank.action
            if each.kind is Kind.PDQ_PATCH:
                squares = _squares(each, own)
                if squares < _LEAST_SQUARES:
                    continue
                if squares < _SURE_SQUARES:
                    action = Action.REVIEW
            threshold = bank.thresholds[each.kind]
            nearest = rows[np.argmin(each.distance[rows])]
            evidence = Evidence(
                entry=entries[seq],
                action=action,
                kind=each.kind,
                part=part_of(int(each.media_view[nearest])),
                turn=turn_of(int(each.media_view[nearest])),
                distance=int(each.distance[nearest]),
                threshold=threshold,
                frames=len(rows),
                segments=() if each.kind.exact else _segments(each, rows),
            )
            nearness = float((threshold + 1 - each.distance[rows]).sum()) / (threshold + 1)
            rank = (action is Action.BLOCK, each.kind.exact, each.kind is Kind.PDQ, nearness)
            weighed.append((tuple(float(term) for term in rank), evidence))
    weighed.sort(key=lambda pair: pair[0], reverse=True)
    return tuple(evidence for _, evidence in weighed[:_MAX_EVIDENCE])


def _best_of_each_frame(matches: Matches, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Of one entry's rows, the nearest for each frame of the upload, in order of time.

    Of equally near ones, the one as displayed (the lowest view), then the earliest of the entry.
    """
    order = np.lexsort(
        (
            matches.entry_pts_ms[rows],
            matches.media_view[rows],
            matches.distance[rows],
            matches.media_pts_ms[rows],
        )
    )
    rows = rows[order]
    first = np.ones(len(rows), np.bool_)
    first[1:] = np.diff(matches.media_pts_ms[rows]) != 0
    chosen: npt.NDArray[np.int64] = rows[first]
    return chosen


def _squares(matches: Matches, rows: npt.NDArray[np.int64]) -> int:
    """How many of the media's hashes one entry's rows are of."""
    hashes = np.stack([matches.media_pts_ms[rows], matches.media_row[rows]])
    return int(np.unique(hashes, axis=1).shape[1])


def _segments(matches: Matches, rows: npt.NDArray[np.int64]) -> tuple[Segment, ...]:
    times = matches.media_pts_ms[rows]
    breaks = np.flatnonzero(np.diff(times) > _SEGMENT_GAP_MS) + 1
    return tuple(
        Segment(
            media_start_ms=int(matches.media_pts_ms[stretch[0]]),
            media_end_ms=int(matches.media_pts_ms[stretch[-1]]),
            entry_start_ms=int(matches.entry_pts_ms[stretch].min()),
            entry_end_ms=int(matches.entry_pts_ms[stretch].max()),
            frames=len(stretch),
        )
        for stretch in np.split(rows, breaks)
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
            within = ", within a border" if each.part is Part.CONTENT else ""
            reasons.setdefault(
                VerdictReason.PERCEPTUAL_MATCH,
                f"{some}{shown} of an entry of {each.entry.bank_name!r}{turned}{within}",
            )
    return reasons


def _seconds(start_ms: int, end_ms: int) -> str:
    if start_ms == end_ms:
        return f"{start_ms / 1000:.1f}"
    return f"{start_ms / 1000:.1f}-{end_ms / 1000:.1f}"
