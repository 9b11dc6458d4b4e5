"""Flat uploads as a whole: what is held, found, and accused of cards, logos, dark rooms, skies."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmarks.flat.evaluate import Counts, Report, evaluate, listed, look_at, screened
from benchmarks.flat.pictures import SORTS
from hashmatch.engine.hashing import pdq
from hashmatch.engine.hashing.steady import STEADY_QUALITY, graded
from hashmatch.engine.index import live
from hashmatch.model.verdicts import Action, Kind, Verdict, VerdictReason
from tests.support import picture


@pytest.fixture(scope="module")
def report() -> Report:
    """Of some of each sort, each encoded anew once."""
    photographs = [
        np.asarray(Image.fromarray(picture(seed)).convert("RGB").resize((320, 240)))
        for seed in range(8)
    ]
    return evaluate(3, (photographs[:4], photographs[4:]), seed=5, encodings=("jpeg",))


def total(report: Report) -> Counts:
    """Of all sorts."""
    made = Counts()
    for each in report.by_sort.values():
        for name in Counts.__slots__:
            setattr(made, name, getattr(made, name) + getattr(each, name))
    return made


def test_few_are_held(report: Report) -> None:
    """Whoever uploads a text card or a black picture would wait for a person."""
    counts = total(report)
    assert counts.pictures > 20
    assert counts.held < 0.7 * counts.held_before
    assert report.by_sort["one colour"].held == 0
    assert set(report.by_sort) == set(SORTS)


def test_no_listed_one_is_missed_and_nobody_accused(report: Report) -> None:
    """A card that is listed would pass; or a stranger's would be blocked for its layout."""
    counts = total(report)
    assert counts.listed > 2
    assert counts.found + counts.held_listed == counts.uploads
    assert (report.missed, counts.accused) == ([], 0)


@pytest.mark.parametrize("contrast", [0.02, 0.04, 0.06, 0.15])
def test_a_listed_picture_that_is_made_faint_does_not_pass(contrast: float) -> None:
    """Whoever takes the contrast out of a film would have it pass, and viewers bring it back."""
    grey = np.asarray(Image.fromarray(picture(4)).convert("L").resize((320, 240)), np.float64)
    snapshot, names = listed({1: ("it", png(grey))})
    for ground in (30, 120, 225):
        made = ground + (grey - grey.mean()) * contrast
        looked = look_at(png(made), as_entry=False)
        judgement = screened(snapshot, names, looked.signals, looked.reasons)
        assert judgement.verdict is not Verdict.NO_MATCH


def test_a_flat_match_leads_to_review() -> None:
    """One card of a layout would block all others of it."""
    down, across = np.mgrid[0:360, 0:640]
    card = np.full((360, 640), 255.0)
    card[np.hypot(down - 170, across - 300) < 20] = 135
    card[205:212, 280:320] = 155
    snapshot, names = listed({1: ("it", png(card))})
    only = replace(snapshot, tables={})  # Without squares.
    looked = look_at(png(card), as_entry=False)
    assert looked.was_flat
    assert looked.reasons == ()
    judgement = screened(only, names, looked.signals, looked.reasons)
    (found,) = judgement.evidence
    assert (judgement.verdict, found.action, found.kind) == (
        Verdict.REVIEW,
        Action.REVIEW,
        Kind.PDQ,
    )


def test_noise_is_held_and_told() -> None:
    """Its hash is another each time: that nothing is near it says nothing."""
    rng = np.random.default_rng(2)
    looked = look_at(png(20 + rng.normal(0, 6, (240, 320))), as_entry=False)
    (reason,) = looked.reasons
    assert reason.code is VerdictReason.ALL_FRAMES_FLAT
    assert reason.detail.startswith("1 of 1 frames")


def test_qualities_say_what_is_steady() -> None:
    """A rounding would decide whether a listed picture is found."""
    rng = np.random.default_rng(3)
    rich = pdq.reduced(np.asarray(Image.fromarray(picture(1)).convert("L"), np.float32)[None])
    noise = pdq.reduced(rng.normal(100, 3, (1, 480, 640)).astype(np.float32))
    dim = (rich - 128) * np.float32(0.25) + 128
    grids = np.concatenate([rich, noise, dim])
    _, own = pdq.of_reduced(grids, turns=1)
    made = graded(grids, own, 1.0)
    assert made[0] == own[0] >= pdq.MIN_QUALITY
    assert own[2] < pdq.MIN_QUALITY
    assert made[1] < STEADY_QUALITY <= made[2] < pdq.MIN_QUALITY
    assert live.STEADY_QUALITY == STEADY_QUALITY


def png(grey: np.ndarray) -> bytes:
    """A grey picture without loss."""
    file = io.BytesIO()
    Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
