"""Which hashes of flat frames an encoder moves, and which of their bits it cannot."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hashmatch.engine.hashing import pdq
from hashmatch.engine.hashing.frames import FrameBatch, hash_frames
from hashmatch.engine.hashing.steady import READING_QUALITIES, graded, grain_of, readings
from hashmatch.engine.index import live
from hashmatch.model.signals import Signals, part_of
from hashmatch.model.verdicts import Kind, Part
from tests.support import picture, wall

SHAPE = (240, 320)
X = np.arange(SHAPE[1])[None] + np.zeros(SHAPE)


def blurred(seed: int) -> npt.NDArray[np.float32]:
    """A wall out of focus: few frequencies, which are strong."""
    return np.asarray(Image.open(io.BytesIO(wall(seed))), np.float32)


def as_jpeg(plane: npt.NDArray[np.float32], quality: int) -> npt.NDArray[np.float32]:
    """Encoded and decoded."""
    file = io.BytesIO()
    Image.fromarray(plane.astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float32)


def hashed(plane: npt.NDArray[np.float32], *, turns: bool = True) -> Signals:
    """As a worker hashes the frame of an upload."""
    batch = FrameBatch(plane[None], np.zeros(1, np.int64))
    (signals,) = Signals.concatenate(hash_frames(batch, [Kind.PDQ], turns=turns, readings=turns))
    return signals


def of_quality(signals: Signals, quality: int) -> npt.NDArray[np.uint8]:
    """The digests of this quality."""
    found: npt.NDArray[np.uint8] = signals.digests[signals.quality == quality]
    return found


def test_the_numbers_are_the_indexs_own() -> None:
    """The index would look for readings where there are none, and pass what it cannot tell."""
    assert live.READING_QUALITIES == READING_QUALITIES
    assert max(READING_QUALITIES) < live.STEADY_QUALITY


def test_a_flat_hash_is_read_twice() -> None:
    """Nobody could tell which of its bits to believe."""
    signals = hashed(blurred(1))
    one, other = (of_quality(signals, quality) for quality in READING_QUALITIES)
    digests, quality = pdq.dihedral(blurred(1)[None])
    assert quality[0] < pdq.MIN_QUALITY
    assert (one == digests[0]).all()
    assert one.shape == other.shape == (8, 32)
    firm = 256 - np.bitwise_count(one ^ other).sum(axis=1)
    assert ((firm >= 40) & (firm < 200)).all()
    # Graded below both readings, so that no hash is taken for one.
    assert (signals.quality[:8] < min(READING_QUALITIES)).all()
    assert len(hashed(blurred(1), turns=False)) == 1  # An entry has its hash alone.
    rich = np.asarray(Image.fromarray(picture(1)).convert("L").resize((320, 240)), np.float32)
    assert len(hashed(rich)) == 8
    assert len(hashed(rich / np.float32(4))) == 24  # Steady, and flat.


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_firm_bits_are_those_that_an_encoder_leaves(quality: int) -> None:
    """A listed wall would pass once it was encoded anew."""
    for seed in range(6):
        (entry,) = hashed(blurred(seed), turns=False).digests
        again = hashed(as_jpeg(blurred(seed), quality))
        one, other = (of_quality(again, each)[0] for each in READING_QUALITIES)
        firm = ~(one ^ other)
        moved = int(np.bitwise_count((one ^ entry) & firm).sum())
        assert moved <= 4 + int(np.bitwise_count(firm).sum()) // 5


def test_turns_have_firm_bits_of_their_own() -> None:
    """A wall that was turned would be compared by bits that say nothing."""
    turned = np.asarray(np.rot90(blurred(2)), np.float32, order="C")
    one, other = (of_quality(hashed(blurred(2)), each) for each in READING_QUALITIES)
    again, there = (of_quality(hashed(turned), each) for each in READING_QUALITIES)
    firm, firm_there = ~(one[1] ^ other[1]), ~(again[0] ^ there[0])
    assert np.bitwise_count(firm ^ firm_there).sum() <= 12
    assert np.bitwise_count((one[1] ^ again[0]) & firm & firm_there).sum() <= 2


@pytest.mark.parametrize(
    "plane",
    [
        np.where(X > 100, 200, 20).astype(np.float32),
        np.random.default_rng(3).normal(100, 6, SHAPE).astype(np.float32),
        np.zeros((3, 3), np.float32),
    ],
    ids=["bars", "noise", "tiny"],
)
def test_what_has_no_readings(plane: npt.NDArray[np.float32]) -> None:
    """Noise would be told from a list by bits that are others each time."""
    grid = pdq.reduced(plane[None])[0]
    digests, _ = pdq.of_reduced(grid[None])
    assert len(readings(grid, digests[0], 1.0, grain_of(plane, 1.0))) == 0


def test_grain_is_measured_and_edges_are_not() -> None:
    """A card's letters would be taken for noise, or noise for what it hides."""
    rng = np.random.default_rng(1)
    for deviation in (1.0, 3.0, 8.0):
        noise = rng.normal(100, deviation, SHAPE)
        transforms = [
            pdq.transform(
                pdq.reduced(rng.normal(100, deviation, (1, *SHAPE)).astype(np.float32))[0]
            )
            for _ in range(20)
        ]
        assert 0.6 < grain_of(noise, 1.0) / np.std(transforms) < 1.6
        assert grain_of(noise, 2.0) == pytest.approx(2 * grain_of(noise, 1.0))
    card = np.full(SHAPE, 255.0)
    card[100:110, 50:250:4] = 0
    assert grain_of(card, 1.0) == 0
    assert grain_of(np.zeros((2, 9)), 1.0) == 0


def test_what_lies_within_a_border_is_read_twice_and_insets_are_not() -> None:
    """A wall in a frame would pass."""
    wall = FrameBatch(blurred(1)[None], np.zeros(1, np.int64), Part.CONTENT)
    found = Signals.concatenate(hash_frames(wall, [Kind.PDQ], turns=True, readings=True))
    assert {part_of(int(view)) for view in found[0].view} == {Part.CONTENT}
    assert set(READING_QUALITIES) <= set(found[0].quality.tolist())
    inset = FrameBatch(blurred(1)[None], np.zeros(1, np.int64), Part.INSET)
    insets = hash_frames(inset, [Kind.PDQ], turns=True, readings=True)
    assert not any(set(READING_QUALITIES) & set(each.quality.tolist()) for each in insets)


def test_grades_leave_room_for_readings() -> None:
    """An unsteady hash would look like a reading, and its neighbour like the other."""
    grids = pdq.reduced(np.stack([blurred(seed) for seed in range(3)]))
    _, own = pdq.of_reduced(grids, turns=1)
    assert (graded(grids, own, 1.0) < min(READING_QUALITIES)).all()
