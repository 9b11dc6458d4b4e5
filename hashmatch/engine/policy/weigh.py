"""Matches to evidence, evidence to a verdict."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hashmatch.engine.index.live import Matches, Snapshot
from hashmatch.engine.policy import timing
from hashmatch.engine.policy.acting import always_blocks, standing, strong
from hashmatch.engine.policy.agreeing import MAX_EVIDENCE, agreements, matched_entries, scores
from hashmatch.engine.policy.negative import sift
from hashmatch.engine.policy.squares import Agreement
from hashmatch.engine.policy.whole_frames import frame_score
from hashmatch.model.records import Bank, EntryRef, Evidence, Reason, Segment
from hashmatch.model.signals import Signals, part_of, turn_of
from hashmatch.model.verdicts import Action, Effect, Kind, Part, Turn, Verdict, VerdictReason

__all__ = ["Found", "Judgement", "flat_doubts", "judge", "sure_block", "weigh"]

# Frames of one entry in an upload that decide at once. One frame may be chance or a title card
# that many clips share; three sampled frames are some three seconds.
_SURE_FRAMES: Final = 3

# Matching frames further apart than this belong to different segments. Uploads are sampled at
# least once a second, so one frame in between may have failed to match.
_SEGMENT_GAP_MS: Final = 2500


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and why."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    evidence: tuple[Evidence, ...]
    unacted: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """All that was found of one media in a snapshot: its matches, and what came of a closer look.

    ``agreed`` and ``scores``: see `engine.policy.agreeing`.
    """

    matches: Sequence[Matches]
    snapshot: Snapshot
    agreed: Mapping[int, Agreement]
    scores: Mapping[int, int]
    flat: Matches | None = None

    @classmethod
    def of(
        cls,
        matches: Sequence[Matches],
        squares: Iterable[Signals],
        snapshot: Snapshot,
        flat: Matches | None = None,
    ) -> Found:
        """``matches`` has one of each kind, ``squares`` are the media's in the batches that were
        searched, ``flat`` is what `Snapshot.search_flat` found. Releases the GIL for most of it.
        """
        return cls(
            matches,
            snapshot,
            agreements(matches, squares, snapshot),
            scores(matches, snapshot),
            flat,
        )

    @property
    def entries(self) -> list[int]:
        """Sequence numbers of the entries whose names `evidence` needs."""
        flat = [] if self.flat is None else [self.flat]
        return matched_entries([*self.matches, *flat], self.agreed)

    def evidence(self, names: Mapping[int, EntryRef], sha256: bytes) -> tuple[Evidence, ...]:
        """See `weigh`."""
        return weigh(
            self.matches,
            self.snapshot.banks,
            names,
            self.agreed,
            sha256,
            self.snapshot.quarantined,
            self.scores,
            self.flat,
        )


def sure_block(
    matches: Iterable[Matches],
    banks: Mapping[int, Bank],
    quarantined: Collection[int] = frozenset(),
) -> bool:
    """True if the matches so far decide for BLOCK whatever is still to come: the very file of an
    entry of a blocking bank, or enough frames of one. Where `may_overrule_files`, nothing does.
    """
    always = [seq for seq, bank in banks.items() if always_blocks(bank)]
    for each in sift(matches, banks).counting:
        if not len(each) or each.kind is Kind.PDQ_PATCH:
            continue
        blocking = np.isin(each.bank, always) & strong(each, banks)
        blocking &= ~np.isin(each.entry, list(quarantined))
        if each.kind.exact and blocking.any():
            return True
        frames = np.unique(np.stack([each.entry[blocking], each.media_pts_ms[blocking]]), axis=1)
        if frames.size and np.unique(frames[0], return_counts=True)[1].max() >= _SURE_FRAMES:
            return True
    return False


def weigh(
    matches: Iterable[Matches],
    banks: Mapping[int, Bank],
    entries: Mapping[int, EntryRef],
    agreed: Mapping[int, Agreement] | None = None,
    sha256: bytes = b"",
    quarantined: Collection[int] = frozenset(),
    of_several: Mapping[int, int] | None = None,
    flat: Matches | None = None,
) -> tuple[Evidence, ...]:
    """Joins the matches of each entry and kind into evidence, surest first.

    ``banks``, ``entries``, ``agreed`` and ``of_several`` (see `Found`) by sequence
    number; ``sha256`` is the upload's, empty if not known; ``quarantined`` are sequence numbers of
    entries. What acts comes first, and blocking banks before others; then the very file; then the
    entry whose frames match best in sum, where a frame counts as many bits as it is nearer than the
    threshold, and less if other entries have it too. Squares of frames count where they agree;
    where they are no nearer than those of two films of one place, they lead to REVIEW. So do
    matches of flat frames, ``flat``: cards of one layout are alike.
    """
    agreed = agreed or {}
    sifted = sift(matches, banks)
    sifted_flat = sift([] if flat is None else [flat], banks)
    found = [
        (stands, seq, banks[int(one.bank[0])], one, sharers)
        for stands, some in (
            (_Stands.COUNTS, sifted.counting),
            (_Stands.FLAT, sifted_flat.counting),
            (_Stands.OVERRULED, [*sifted.overruled, *sifted_flat.overruled]),
        )
        for each in some
        for seq, one, sharers in _by_entry(each)
        if each.kind is not Kind.PDQ_PATCH or (seq in agreed and stands is _Stands.COUNTS)
    ]
    # Of an entry and kind the first is told: what counts, then what is flat.
    first = {(one.kind, seq): stands for stands, seq, _, one, _ in reversed(found)}
    found = [each for each in found if first[each[3].kind, each[1]] is each[0]]
    ranked = []
    for stands, seq, bank, one, sharers in found:
        score: int | None
        if one.kind is Kind.PDQ_PATCH:
            score, nearness = round(agreed[seq].score), agreed[seq].nearness
            asked = bank.action if agreed[seq].same else Action.REVIEW
        else:
            score, asked = _score(one, (of_several or {}).get(seq)), bank.action
            nearness = _nearness(one, bank.thresholds[one.kind], sharers)
            asked = Action.REVIEW if stands is _Stands.FLAT else asked
        held = seq in quarantined
        action, effect = standing(bank, asked, score, sha256, quarantined=held)
        over = stands is _Stands.OVERRULED
        does = _Does(action, Effect.OVERRULED if over else effect, score, held)
        rank = (
            does.effect is Effect.ACTS,
            action is Action.BLOCK,
            one.kind.exact,
            one.kind is Kind.PDQ,
            nearness,
        )
        ranked.append((tuple(float(term) for term in rank), does, seq, bank, one))
    ranked.sort(key=lambda each: each[0], reverse=True)
    # Only what is shown is put into words: of a flood of matches it would take seconds.
    return tuple(
        _of_squares(agreed[seq], does, bank, entries[seq])
        if one.kind is Kind.PDQ_PATCH
        else _of_frames(one, does, bank, entries[seq])
        for _, does, seq, bank, one in ranked[:MAX_EVIDENCE]
    )


class _Stands(enum.Enum):
    """How matches of an entry stand."""

    COUNTS = enum.auto()
    FLAT = enum.auto()
    OVERRULED = enum.auto()


class _Does(NamedTuple):
    """What evidence leads to, whether it does, and its score."""

    action: Action
    effect: Effect
    score: int | None
    quarantined: bool


def _by_entry(matches: Matches) -> Iterator[tuple[int, Matches, npt.NDArray[np.int64]]]:
    """Those of each entry, and how many entries each of their frames matches."""
    pairs = np.unique(np.stack([matches.media_pts_ms, matches.entry]), axis=1)
    frames, entries = np.unique(pairs[0], return_counts=True)
    sharers = entries[np.searchsorted(frames, matches.media_pts_ms)]
    by_entry = np.argsort(matches.entry, kind="stable")
    seqs, starts = np.unique(matches.entry[by_entry], return_index=True)
    for seq, own in zip(seqs.tolist(), np.split(by_entry, starts[1:]), strict=False):
        yield seq, matches.select(own), sharers[own]


def _score(matches: Matches, of_several: int | None) -> int | None:
    """Of its frames, or of the nearest; None where no chances were measured."""
    if matches.kind is not Kind.PDQ:
        return None
    return of_several or int(frame_score(matches.distance.min(keepdims=True))[0])


def _nearness(matches: Matches, threshold: int, sharers: npt.NDArray[np.int64]) -> float:
    """By how much one entry's matches are nearer than the threshold, in sum: each frame by its
    nearest, whichever of the entry's is meant, and by an n-th if n entries share it: a title card
    says little of which film follows it.
    """
    frames, first, frame = np.unique(matches.media_pts_ms, return_index=True, return_inverse=True)
    least = np.full(len(frames), threshold, np.int64)
    np.minimum.at(least, frame, matches.distance)
    return float(((threshold + 1 - least) / sharers[first]).sum()) / (threshold + 1)


def _of_frames(matches: Matches, does: _Does, bank: Bank, entry: EntryRef) -> Evidence:
    """Of one entry's matches by whole files or frames."""
    kind = matches.kind
    rows = timing.chosen(matches.media_pts_ms, matches.entry_pts_ms, matches.distance)
    nearest = np.lexsort((matches.media_pts_ms, matches.media_view, matches.distance))[0]
    distance = int(matches.distance[nearest])
    return Evidence(
        entry=entry,
        action=does.action,
        kind=kind,
        part=part_of(int(matches.media_view[nearest])),
        turn=turn_of(int(matches.media_view[nearest])),
        distance=distance,
        threshold=bank.thresholds[kind],
        frames=len(rows),
        segments=()
        if kind.exact
        else _segments(matches.media_pts_ms[rows], matches.entry_pts_ms[rows]),
        score=does.score,
        effect=does.effect,
        quarantined=does.quarantined,
    )


def _of_squares(agreed: Agreement, does: _Does, bank: Bank, entry: EntryRef) -> Evidence:
    rows = timing.chosen(agreed.media_pts_ms, agreed.entry_pts_ms, agreed.distance, squares=True)
    return Evidence(
        entry=entry,
        action=does.action,
        kind=Kind.PDQ_PATCH,
        part=Part.FULL,
        turn=Turn.FLIP_HORIZONTAL if agreed.mirrored else Turn.NONE,
        distance=int(agreed.distance.min()),
        threshold=bank.thresholds[Kind.PDQ_PATCH],
        frames=len(rows),
        segments=_segments(agreed.media_pts_ms[rows], agreed.entry_pts_ms[rows]),
        score=does.score,
        effect=does.effect,
        quarantined=does.quarantined,
    )


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
    against a loaded blocklist. They are kept among the reasons of a match. Evidence that does not
    act is told apart.
    """
    acting = tuple(each for each in evidence if each.effect is Effect.ACTS)
    unacted = tuple(each for each in evidence if each.effect is not Effect.ACTS)
    if acting:
        matched = [Reason(code, detail) for code, detail in _match_reasons(acting).items()]
        blocks = any(each.action is Action.BLOCK for each in acting)
        verdict = Verdict.BLOCK if blocks else Verdict.REVIEW
        return Judgement(verdict, (*matched, *doubts), acting, unacted)
    if doubts:
        return Judgement(Verdict.INCONCLUSIVE, tuple(doubts), (), unacted)
    # The same words whatever did not act: a caller who sees no evidence is told this reason.
    nothing = Reason(VerdictReason.NOTHING_FOUND, "all of it was looked at and nothing matched")
    return Judgement(Verdict.NO_MATCH, (nothing,), (), unacted)


def flat_doubts(obscure: int) -> tuple[Reason, ...]:
    """Why a media could match unseen of which so many frames have too little in them to be told
    from entries, see `Snapshot.obscure`.
    """
    if not obscure:
        return ()
    return (
        Reason(
            VerdictReason.ALL_FRAMES_FLAT,
            f"{obscure} frames have too little in them to be told from those of the blocklist",
        ),
    )


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
