"""Lists flat pictures, screens what was made of them, and of others of the same layout."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from benchmarks.flat.pictures import RGB, pictures
from benchmarks.flat.uploads import ENCODINGS, original
from benchmarks.robustness.evaluate import UPLOAD
from hashmatch.decoding.channel import Job
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine import policy
from hashmatch.engine.index.live import MIN_QUALITY, Snapshot, matchable
from hashmatch.engine.policy import Judgement
from hashmatch.engine.sampling import densities
from hashmatch.model.records import DEFAULT_THRESHOLDS, Bank, EntryRef, Reason
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Action, BankState, Kind, Verdict

__all__ = ["Counts", "Looked", "Report", "evaluate", "listed", "look_at", "screened"]

_ENTRY: Final = Job(UPLOAD.kinds, False, densities.ENTRY, UPLOAD.limits, 0)
_BANK: Final = 1
_EPOCH: Final = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

# Every other layout has its first picture listed.
_LISTED: Final = 2


@dataclass(slots=True)
class Counts:
    """Of the pictures of one sort. ``held_before``: as they are, they were all INCONCLUSIVE when
    every flat frame was a reason.
    """

    pictures: int = 0
    held_before: int = 0
    held: int = 0  # INCONCLUSIVE as they are, when nothing is listed.
    listed: int = 0  # Those that an entry could be made of.
    uploads: int = 0  # Of listed ones, encoded anew.
    found: int = 0  # BLOCK or REVIEW for the right entry.
    held_listed: int = 0  # Not found, and INCONCLUSIVE.
    missed: int = 0  # NO_MATCH.
    strangers: int = 0  # Uploads of pictures that are not listed.
    reviewed: int = 0  # Of those, REVIEW.
    accused: int = 0  # BLOCK.


@dataclass(slots=True)
class Report:
    """By sort of picture, and by encoding; ``missed`` and ``wrong`` name what went wrong."""

    by_sort: dict[str, Counts] = field(default_factory=dict)
    by_encoding: dict[str, Counts] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a worker made of a file."""

    signals: tuple[Signals, ...]
    reasons: tuple[Reason, ...]
    frames: int

    @property
    def was_flat(self) -> bool:
        """True if PDQ's own quality is low in all of it."""
        whole = [each for each in self.signals if each.kind is Kind.PDQ]
        return self.frames > 0 and all((each.quality < MIN_QUALITY).all() for each in whole)


def evaluate(
    each: int,
    photographs: tuple[Sequence[RGB], Sequence[RGB]],
    *,
    seed: int = 0,
    encodings: Iterable[str] = ENCODINGS,
    tell: Callable[[int], None] = lambda _: None,
) -> Report:
    """Draws ``each`` of every sort, see `pictures`; those that are not flat are left out. ``tell``
    hears how many were looked at.
    """
    report = Report()
    snapshot = Snapshot().with_bank(1, _BANK, _bank())
    names: dict[int, EntryRef] = {}
    waiting = []
    for number, drawn in enumerate(pictures(each, photographs, seed), 1):
        tell(number)
        counts = report.by_sort.setdefault(drawn.sort, Counts())
        file = original(drawn.rgb)
        looked = _look(file, UPLOAD)
        if not looked.was_flat:
            continue
        counts.pictures += 1
        counts.held_before += 1
        counts.held += bool(looked.reasons)
        layout = drawn.layout
        name = f"{drawn.sort} {number}"
        if layout % _LISTED == 0 and layout not in names:
            entry = _look(file, _ENTRY)
            if any(matchable(one).any() for one in entry.signals):
                counts.listed += 1
                names[layout] = EntryRef(name, name, "", "bank", "bank")
                snapshot = snapshot.with_entry(layout, layout, _BANK, entry.signals)
        is_listed = layout in names and names[layout].entry_id == name
        rng = np.random.default_rng([seed, number])
        for encoding in encodings:
            again = _look(ENCODINGS[encoding](drawn.rgb, rng), UPLOAD)
            waiting.append((drawn.sort, encoding, name, is_listed, again))
    for sort, encoding, name, is_listed, again in waiting:
        judgement = screened(snapshot, names, again.signals, again.reasons)
        shown = {found.entry.entry_id for found in judgement.evidence}
        for counts in (
            report.by_sort[sort],
            report.by_encoding.setdefault(encoding, Counts()),
        ):
            _count(counts, judgement, is_listed=is_listed, is_found=name in shown)
        if is_listed and judgement.verdict is Verdict.NO_MATCH:
            report.missed.append(f"{name} {encoding}")
        if not is_listed and shown:
            report.wrong.append(f"{name} {encoding} {judgement.verdict.name} {sorted(shown)}")
    return report


def _count(counts: Counts, judgement: Judgement, *, is_listed: bool, is_found: bool) -> None:
    if is_listed:
        counts.uploads += 1
        counts.found += is_found
        counts.held_listed += not is_found and judgement.verdict is Verdict.INCONCLUSIVE
        counts.missed += not is_found and judgement.verdict is Verdict.NO_MATCH
    else:
        counts.strangers += 1
        counts.reviewed += judgement.verdict is Verdict.REVIEW
        counts.accused += judgement.verdict is Verdict.BLOCK


def look_at(file: bytes, *, as_entry: bool) -> Looked:
    """A file as an entry or an upload is looked at."""
    return _look(file, _ENTRY if as_entry else UPLOAD)


def listed(files: Mapping[int, tuple[str, bytes]]) -> tuple[Snapshot, dict[int, EntryRef]]:
    """A blocking bank of some files, each with its name, by number; and what they are called."""
    snapshot = Snapshot().with_bank(1, _BANK, _bank())
    names = {}
    for number, (name, file) in files.items():
        names[number] = EntryRef(name, name, "", "bank", "bank")
        signals = look_at(file, as_entry=True).signals
        snapshot = snapshot.with_entry(number, number, _BANK, signals)
    return snapshot, names


def screened(
    snapshot: Snapshot,
    names: Mapping[int, EntryRef],
    signals: Sequence[Signals],
    reasons: Sequence[Reason],
) -> Judgement:
    """As `usecases.screenings` judges a media that is all there."""
    matches = [found for one in signals if len(found := snapshot.search(one))]
    flat = [snapshot.search_flat(one) for one in signals if one.kind is Kind.PDQ]
    together = policy.Found.of(matches, signals, snapshot, flat[0] if flat else None)
    obscure = sum(snapshot.obscure(one) for one in signals if one.kind is Kind.PDQ)
    doubts = (*reasons, *policy.flat_doubts(obscure))
    return policy.judge(together.evidence(names, b""), doubts)


def _look(file: bytes, job: Job) -> Looked:
    found: list[Signals] = []
    done = inspect(BytesSource(file), job, lambda signals, _: found.extend(signals))
    return Looked(Signals.concatenate(found), done.reasons, done.coverage.frames_hashed)


def _bank() -> Bank:
    return Bank(
        "bank",
        "bank",
        "",
        Action.BLOCK,
        DEFAULT_THRESHOLDS,
        BankState.ACTIVE,
        1,
        _EPOCH,
        _EPOCH,
    )
