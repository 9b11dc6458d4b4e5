"""Screens a set as a server would, without one, and counts what was found and what was accused."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.pipeline import UPLOAD_JOB
from benchmarks.robustness import vpdq
from benchmarks.robustness.attacks import ATTACKS
from benchmarks.robustness.chance import Curve, curve
from benchmarks.robustness.cost import costs
from benchmarks.robustness.dataset import Case, Dataset
from benchmarks.robustness.making import Strength
from benchmarks.robustness.steps import STEPS, of_step
from benchmarks.robustness.vpdq import Rules
from hashmatch.decoding.channel import Job
from hashmatch.decoding.media.source import FileSource
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine import policy
from hashmatch.engine.index.bits import to_words
from hashmatch.engine.index.live import Snapshot, usable
from hashmatch.engine.policy import Judgement
from hashmatch.engine.sampling import densities
from hashmatch.model.records import DEFAULT_THRESHOLDS, Bank, EntryRef, Reason
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Action, BankState, Kind, Turn, Verdict

__all__ = ["THRESHOLDS", "UPLOAD", "Outcome", "Recall", "Report", "evaluate"]

# What the bank matches by.
THRESHOLDS: Final = DEFAULT_THRESHOLDS

UPLOAD: Final = replace(UPLOAD_JOB, kinds=(Kind.PDQ, Kind.PDQ_PATCH))

# As `usecases.blocklist` asks for.
_ENTRY: Final = replace(UPLOAD, turns=False, density=densities.ENTRY)

_BANK: Final = 1  # The only bank's sequence number.
_EPOCH: Final = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

_Digests = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one upload.

    ``found``: blocked or held for review, with the right entry in the evidence. ``right_first``:
    and surest. For a clean upload no entry is right. ``accused``: blocked. ``distance``: fewest
    bits to a hash of the right entry, whatever the threshold. ``vpdq``: which of vPDQ's rules match
    the right entry, and for a clean upload, any entry.
    """

    case: Case
    strength: Strength
    verdict: str
    found: bool
    right_first: bool
    held: bool  # Blocked, or held for review.
    accused: bool
    distance: int | None
    vpdq: Rules
    whole: bool = False  # Found, and by whole frames.
    steps: tuple[bool, ...] = ()  # Found at each of `STEPS`.


@dataclass(frozen=True, slots=True)
class Recall:
    """How many of ``cases`` uploads were found: by us, and by each of vPDQ's rules. Of clean
    uploads, how many were blocked or held for review.
    """

    attack: str
    cases: int
    ours: int
    blocked: int  # Of ours; the others are held for review.
    vpdq_any: int
    vpdq_query: int
    vpdq_reference: int
    whole: int  # Of ours, by whole frames.


@dataclass(frozen=True, slots=True)
class Report:
    """All that was measured. ``set_id`` names the sources: other clips, other figures."""

    set_id: str
    listed: int
    clean: int
    by_attack: tuple[Recall, ...]
    overall: Recall
    inconclusive: int  # Of listed uploads: not found, but not passed either.
    wrong_first: int  # Of listed uploads that were blocked or held for review.
    clean_uploads: Recall  # Of uploads that nothing should match: how many were blocked or held.
    chance: Curve
    steps: Mapping[str, float]  # Recall at each of `STEPS`, of all listed uploads.
    costs: Mapping[str, float]  # Milliseconds of a processor for a frame, see `costs`.
    outcomes: tuple[Outcome, ...]

    @property
    def clips(self) -> int:
        """All sources."""
        return self.listed + self.clean

    @property
    def clean_accused(self) -> int:
        """Clean uploads that were blocked."""
        return self.clean_uploads.blocked


@dataclass(frozen=True, slots=True)
class _Looked:
    """What the worker and vPDQ made of a file."""

    signals: tuple[Signals, ...]
    reasons: tuple[Reason, ...]
    vpdq: _Digests
    strength: Strength

    @property
    def rich(self) -> _Digests:
        """PDQ digests uint8 ``[n, 32]`` of frames that are rich enough to match by."""
        whole = [each for each in self.signals if each.kind is Kind.PDQ]
        rich = [each.digests[usable(each)] for each in whole]
        return np.concatenate([np.empty((0, Kind.PDQ.width), np.uint8), *rich])


def evaluate(
    dataset: Dataset,
    cases: Sequence[Case],
    pool: Executor,
    *,
    upload: Job = UPLOAD,
    tell: Callable[[int], None] = lambda _: None,
) -> Report:
    """Makes, hashes and judges all uploads against a blocklist of the listed clips.

    ``upload`` is how uploads are hashed; ``tell`` hears how many are done.
    """
    paths = [clip.path for clip in dataset.listed]
    names = [clip.name for clip in dataset.listed]
    entries = dict(zip(names, pool.map(functools.partial(_look, _ENTRY), paths), strict=True))
    blocklist = _Blocklist.of(entries)
    outcomes: list[Outcome] = []
    clean_frames: list[_Digests] = []
    views = len(Turn) if upload.turns else 1
    looks = pool.map(functools.partial(_screen, dataset, upload), cases)
    for case, looked in zip(cases, looks, strict=True):
        outcomes.append(blocklist.outcome(case, looked))
        if not case.listed:
            clean_frames += list(looked.rich.reshape(-1, views, Kind.PDQ.width))
        tell(len(outcomes))
    digests = np.concatenate([entry.rich for entry in entries.values()])
    return _report(dataset, outcomes, curve(clean_frames, digests))


def _screen(dataset: Dataset, job: Job, case: Case) -> _Looked:
    path, strength = dataset.upload(case)
    return replace(_look(job, path), strength=strength)


def _look(job: Job, path: Path) -> _Looked:
    found: list[Signals] = []
    with path.open("rb") as file:
        done = inspect(FileSource(file), job, lambda signals, _: found.extend(signals))
    return _Looked(Signals.concatenate(found), done.reasons, vpdq.hashes(path), {})


@dataclass(frozen=True, slots=True)
class _Blocklist:
    """Entries by name, and the snapshot that is searched."""

    entries: Mapping[str, _Looked]
    refs: Mapping[int, EntryRef]
    snapshots: Mapping[str, Snapshot]  # At each of `STEPS`.

    @classmethod
    def of(cls, entries: Mapping[str, _Looked]) -> _Blocklist:
        """One blocking bank with all entries."""
        bank = Bank(
            bank_id="bank",
            name="bank",
            label="",
            action=Action.BLOCK,
            thresholds=THRESHOLDS,
            state=BankState.ACTIVE,
            revision=1,
            create_time=_EPOCH,
            update_time=_EPOCH,
        )
        refs = {
            seq: EntryRef(name, name, "", bank.bank_id, bank.name)
            for seq, name in enumerate(entries, 1)
        }
        snapshots = {}
        for step in STEPS:
            snapshot = Snapshot().with_bank(1, _BANK, bank)
            for seq, entry in enumerate(entries.values(), 1):
                signals = of_step(step, entry.signals, entry=True)
                snapshot = snapshot.with_entry(seq, seq, _BANK, signals)
            snapshots[step] = snapshot
        return cls(entries, refs, snapshots)

    def judgement(self, step: str, looked: _Looked) -> Judgement:
        """Searches and judges as `usecases.screenings` does with a media that is all there."""
        snapshot = self.snapshots[step]
        signals = of_step(step, looked.signals, entry=False)
        matches = [found for each in signals if len(found := snapshot.search(each))]
        flat = [snapshot.search_flat(each) for each in signals if each.kind is Kind.PDQ]
        together = policy.Found.of(matches, signals, snapshot, flat[0] if flat else None)
        evidence = together.evidence(self.refs, b"")
        return policy.judge(evidence, looked.reasons)

    def outcome(self, case: Case, looked: _Looked) -> Outcome:
        """What became of an upload, and would have without some of its views."""
        *fewer, last = STEPS
        judgement = self.judgement(last, looked)
        steps = [
            any(
                each.entry.entry_id == case.source for each in self.judgement(step, looked).evidence
            )
            for step in fewer
            if case.listed
        ]
        blocked = judgement.verdict is Verdict.BLOCK
        shown = [each.entry.entry_id for each in judgement.evidence]
        right = [case.source] if case.listed else list(self.entries)
        theirs = [vpdq.shares(looked.vpdq, self.entries[name].vpdq).rules for name in right]
        return Outcome(
            case=case,
            strength=looked.strength,
            verdict=judgement.verdict.name,
            found=case.listed and case.source in shown,
            held=bool(shown),
            right_first=case.listed and shown[:1] == [case.source],
            accused=blocked,
            distance=_distance(looked.rich, self.entries[case.source].rich)
            if case.listed
            else None,
            vpdq=Rules(*(any(rule) for rule in zip(*theirs, strict=True))),
            whole=blocked
            and any(
                each.entry.entry_id == case.source and each.kind is Kind.PDQ
                for each in judgement.evidence
            ),
            steps=(*steps, case.source in shown) if case.listed else (),
        )


def _distance(one: _Digests, other: _Digests) -> int | None:
    """Fewest bits between digests uint8 ``[n, 32]`` of two clips; None if one has none."""
    apart = np.bitwise_count(to_words(one)[:, None] ^ to_words(other)[None]).sum(-1, np.int64)
    return int(apart.min()) if apart.size else None


def _report(dataset: Dataset, outcomes: Sequence[Outcome], chance: Curve) -> Report:
    listed = [each for each in outcomes if each.case.listed]
    by_attack = [[each for each in listed if each.case.attack == name] for name in ATTACKS]
    return Report(
        set_id=dataset.set_id,
        listed=len(dataset.listed),
        clean=len(dataset.clean),
        by_attack=tuple(_recall(own[0].case.attack, own) for own in by_attack if own),
        overall=_recall("all", listed),
        inconclusive=sum(each.verdict == Verdict.INCONCLUSIVE.name for each in listed),
        wrong_first=sum(each.held and not each.right_first for each in listed),
        clean_uploads=_recall("clean", [each for each in outcomes if not each.case.listed]),
        chance=chance,
        steps=dict(
            zip(
                STEPS,
                np.mean([each.steps for each in listed], axis=0).tolist() if listed else (),
                strict=False,
            )
        ),
        costs=costs([clip.path for clip in dataset.listed]),
        outcomes=tuple(outcomes),
    )


def _recall(name: str, outcomes: Sequence[Outcome]) -> Recall:
    ours = [each for each in outcomes if (each.found if each.case.listed else each.held)]
    theirs = [each.vpdq for each in outcomes]
    return Recall(
        attack=name,
        cases=len(outcomes),
        ours=len(ours),
        blocked=sum(each.accused for each in ours),
        vpdq_any=sum(each.any_frame for each in theirs),
        vpdq_query=sum(each.most_of_query for each in theirs),
        vpdq_reference=sum(each.most_of_reference for each in theirs),
        whole=sum(each.whole for each in outcomes),
    )
