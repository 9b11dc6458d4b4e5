"""A batch of frames to `Signals`: each hash with the time, view and quality of its frame."""

from __future__ import annotations

from typing import Any

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hashmatch.engine.hashing import pdq
from hashmatch.engine.hashing.frames import FrameBatch, hash_frames
from hashmatch.engine.hashing.versions import HASH_VERSIONS
from hashmatch.model.signals import part_of, turn_of
from hashmatch.model.verdicts import Kind, Part, Turn

NOISE = np.random.default_rng(0).integers(0, 256, (3, 40, 56), np.uint8)
TIMES = np.array([0, 400, 1700], np.int64)


def batch(**fields: Any) -> FrameBatch:
    """Three frames of noise, with some fields replaced."""
    return FrameBatch(**{"luma": NOISE, "pts_ms": TIMES, **fields})


@given(
    kinds=st.sets(st.sampled_from(Kind)),
    turns=st.booleans(),
    part=st.sampled_from([Part.FULL, Part.FULL_ON_WHITE]),
)
@settings(max_examples=30, deadline=None)
def test_each_hash_keeps_what_its_frame_is(kinds: set[Kind], turns: bool, part: Part) -> None:
    """A match would be shown at another second, or as another turn of the frame."""
    kinds -= {Kind.PDQ_PATCH}
    hashed = hash_frames(batch(part=part), kinds, turns=turns)
    assert [each.kind for each in hashed] == sorted(kind for kind in kinds if not kind.exact)
    digests, quality = pdq.dihedral(NOISE)
    for each in hashed:
        count = 8 if turns and each.kind is Kind.PDQ else 1
        assert each.pts_ms.tolist() == [int(time) for time in TIMES for _ in range(count)]
        assert each.quality.tolist() == [int(q) for q in quality for _ in range(count)]
        assert {part_of(int(view)) for view in each.view} == {part}
        assert [turn_of(int(view)) for view in each.view] == list(Turn)[:count] * 3
        if each.kind is Kind.PDQ:
            assert np.array_equal(each.digests.reshape(3, count, 32), digests[:, :count])


def test_turns_have_the_names_that_pdq_gives_them() -> None:
    """A mirrored copy would be reported as a turned one."""
    assert tuple(turn.name.lower() for turn in Turn) == pdq.TURNS


def test_phash_is_taken_from_the_whole_frame() -> None:
    """Lists of pHash made from full-size pictures would not match."""
    whole = np.random.default_rng(1).integers(0, 256, (1, 800, 700), np.uint8)
    small = batch(luma=NOISE[:1].astype(np.float32), pts_ms=TIMES[:1], full_luma=whole)
    (found,) = hash_frames(small, [Kind.PHASH], turns=True)
    assert found.digests[0].tobytes().hex() == str(imagehash.phash(Image.fromarray(whole[0])))


def test_phash_rounds_luma_instead_of_cutting_it_off() -> None:
    """The same picture would hash differently from RGB and from a decoder's plane."""
    (found,) = hash_frames(
        batch(luma=NOISE.astype(np.float32) - np.float32(0.4)), [Kind.PHASH], turns=False
    )
    expected = [str(imagehash.phash(Image.fromarray(plane))) for plane in NOISE]
    assert [row.tobytes().hex() for row in found.digests] == expected


def test_gain_reaches_the_quality() -> None:
    """Frames of ordinary video would count as flatter than they are."""
    faint = batch(luma=NOISE // 20)
    brighter = batch(luma=NOISE // 20, gain=255 / 219)
    (plain,) = hash_frames(faint, [Kind.PDQ], turns=False)
    (raised,) = hash_frames(brighter, [Kind.PDQ], turns=False)
    assert (raised.quality > plain.quality).all()
    assert np.array_equal(raised.digests, plain.digests)


def test_a_flat_frame_is_flat_by_every_kind() -> None:
    """A black frame would match another by pHash, which knows no quality of its own."""
    black = batch(luma=np.zeros((3, 40, 56), np.uint8))
    for each in hash_frames(black, [Kind.PDQ, Kind.PHASH], turns=True):
        assert not each.quality.any()


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_version(kind: Kind) -> None:
    """A screening could not say by which version of a hash it was made."""
    assert HASH_VERSIONS[kind]
