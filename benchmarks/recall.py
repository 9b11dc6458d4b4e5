"""What is found after an attack, and who is accused wrongly: rows of the robustness set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, Final

from benchmarks.harness import Row
from benchmarks.robustness.__main__ import measure
from benchmarks.robustness.chance import MAX_DISTANCE
from benchmarks.robustness.evaluate import Recall, Report
from benchmarks.robustness.strength import by_strength
from hashmatch.model.records import DEFAULT_THRESHOLDS
from hashmatch.model.verdicts import Kind

__all__ = ["rows"]

_PART: Final = 0.1  # Of the set's cases, in `make bench`.
_THRESHOLD: Final = DEFAULT_THRESHOLDS[Kind.PDQ]

# What is rarer is told by its value: a ratio beyond this says nothing more.
_LARGEST_RATIO: Final = 1000.0

# Fewer clips, some of them made of one picture, do not say how near strangers' come.
_CLIPS_OF_STRANGERS: Final = 40


def rows(full: bool, details: dict[str, Any]) -> Iterator[Row]:
    """``recall_*`` and ``false_*``; the plots' numbers go into ``details``.

    The set is the same in every run, so these rows have no spread.
    """
    part = 1.0 if full else _PART
    report = measure(part)
    media = f"{report.clips} clips ({report.set_id}), {part:.0%} of the attacks"
    details["recall"] = {
        each.attack: {
            "hashmatch": each.ours / each.cases,
            "vPDQ any": each.vpdq_any / each.cases,
            "vPDQ 80 % q": each.vpdq_query / each.cases,
            "vPDQ 80 % r": each.vpdq_reference / each.cases,
        }
        for each in report.by_attack
    }
    details["strength"] = {each.attack: asdict(each) for each in by_strength(report.outcomes)}
    details["false_positives"] = {
        "threshold": list(range(MAX_DISTANCE + 1)),
        "at_10m": [_wrong(report, bits) for bits in range(MAX_DISTANCE + 1)],
    }
    details["notes"] = {"False positives": _chance_note(report)}
    yield _recall("recall_all", report.overall, media)
    whole = replace(report.overall, ours=report.overall.whole)
    yield _recall("recall_whole_frames", whole, media)
    for each in report.by_attack:
        yield _recall(f"recall_{each.attack}", each, media)
    yield from _false(report, media)


def _recall(name: str, recall: Recall, media: str) -> Row:
    return Row(
        name=name,
        what=f"found, of {recall.cases} altered copies",
        unit="of 1",
        value=recall.ours / recall.cases,
        yardstick_name="vPDQ, any frame",
        yardstick=recall.vpdq_any / recall.cases,
        ratio=recall.ours / recall.cases,
        spread=0.0,
        more={
            "vPDQ, 80 % of query": recall.vpdq_query / recall.cases,
            "vPDQ, 80 % of reference": recall.vpdq_reference / recall.cases,
        },
        media=media,
    )


def _false(report: Report, media: str) -> Iterator[Row]:
    clean = report.clean_uploads
    yield Row(
        name="false_accused",
        what=f"not accused, of {clean.cases} clean uploads",
        unit="of 1",
        value=1 - clean.blocked / clean.cases,
        yardstick_name="vPDQ, any frame",
        yardstick=1 - clean.vpdq_any / clean.cases,
        ratio=1 - clean.blocked / clean.cases,
        spread=0.0,
        fault=f"{clean.blocked} clean uploads are accused" if clean.blocked else "",
        more={"wrong entry first": float(report.wrong_first)},
        media=media,
    )
    if report.clips >= _CLIPS_OF_STRANGERS:
        wrong = _wrong(report, _THRESHOLD)
        yield Row(
            name="false_per_million",
            what="clean uploads of a million that whole frames would block, ten million hashes",
            unit="uploads",
            value=wrong,
            yardstick_name="one in a million",
            yardstick=1.0,
            ratio=min(_LARGEST_RATIO, 1 / max(wrong, 1e-300)),
            spread=0.0,
            fault="" if wrong < 1 else "more than one in a million would be accused wrongly",
            media=media,
        )
    nearest = report.chance.nearest or MAX_DISTANCE
    yield Row(
        name="false_nearest",
        what="bits between the nearest unrelated pair",
        unit="bits",
        value=float(nearest),
        yardstick_name="the threshold",
        yardstick=float(_THRESHOLD),
        ratio=nearest / _THRESHOLD,
        spread=0.0,
        media=media,
    )


def _wrong(report: Report, threshold: int) -> float:
    frames = report.chance.frames / max(1, report.clean_uploads.cases)
    return report.chance.wrong_per_million(threshold, frames)


def _chance_note(report: Report) -> str:
    chance = report.chance
    bound = "at most " if chance.is_bound(_THRESHOLD) else ""
    return " ".join(
        [
            f"{chance.frames} clean frames against {chance.digests} hashes of entries; the",
            f"nearest pair is {chance.nearest} bits apart. At {_THRESHOLD} bits a clean frame",
            f"would match {bound}{chance.expected(_THRESHOLD):.2g} of ten million hashes by",
            "chance: an upper bound at 95 % where no pair came as near (3 over the number of",
            f"pairs). Of a million uploads {_wrong(report, _THRESHOLD):.1g} would be blocked if",
            "what is nearer than all but five pairs is as rare as in a normal distribution. Both",
            "assume that all pairs are as likely to be near, here and in the large list; frames of",
            "one clip are alike, so the true figures may be several times as large. Squares count",
            "from a score of 14 on, exp(-14) being less than one in a million, by the chance of",
            "near pairs that was measured and if what lies alike by chance is independent.",
        ]
    )
