"""Squares that are found again wherever the picture is moved to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pdqhash
import pytest
from PIL import Image
from scipy import ndimage

from hashmatch.engine.hashing import patches, pdq

Plane = npt.NDArray[np.uint8]


@cache
def picture(seed: int, height: int = 360, width: int = 480) -> Plane:
    """Bright and dark spots of many sizes, as in a photograph."""
    rng = np.random.default_rng(seed)
    made = np.zeros((height, width))
    for sigma in (3, 6, 12, 24, 48):
        layer = ndimage.gaussian_filter(rng.normal(size=(height, width)), sigma)
        made += layer / layer.std()
    made = (made - made.min()) / (made.max() - made.min()) * 255
    plane: Plane = made.astype(np.uint8)
    return plane


UPLOAD = [patches.Look(48)]
ENTRY = [patches.Look(48), patches.Look(24, 4), patches.Look(24, -4)]


def rich(plane: Plane, looks: Sequence[patches.Look], *, mirrored: bool) -> Plane:
    """Digests of all squares that can match."""
    digests, quality, _ = patches.digests(plane, looks, mirrored=mirrored)
    return digests[quality >= pdq.MIN_QUALITY]


def upload(plane: Plane) -> Plane:
    """Digests of an upload, without their places."""
    return rich(plane, UPLOAD, mirrored=False)[:, : patches.HASH_BYTES]


@cache
def entry(seed: int) -> Plane:
    """Digests of an entry that is `picture` of a seed, without their places."""
    return rich(picture(seed), ENTRY, mirrored=True)[:, : patches.HASH_BYTES]


def near(ours: Plane, theirs: Plane, bits: int = 31) -> int:
    """How many digests of an upload are near one of an entry's."""
    if not len(ours) or not len(theirs):
        return 0
    apart = np.bitwise_count(ours[:, None] ^ theirs[None]).sum(axis=-1)
    return int((apart.min(axis=1) <= bits).sum())


def scaled(plane: Plane, width: int, height: int) -> Plane:
    """The picture in another size."""
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))


def inset(plane: Plane) -> Plane:
    """In the corner of another picture, half as wide and high."""
    below = picture(99).copy()
    below[20:200, 30:270] = scaled(plane, 240, 180)
    return below


def tilted(plane: Plane) -> Plane:
    """By five degrees."""
    return np.asarray(Image.fromarray(plane).rotate(5, Image.Resampling.BICUBIC))


# With the most bits that squares may differ by.
ATTACKS: dict[str, tuple[Callable[[Plane], Plane], int]] = {
    "crop": (lambda plane: plane[40:330, 20:400], 31),
    "deep crop": (lambda plane: plane[100:340, 150:470], 31),
    "mirror": (lambda plane: np.ascontiguousarray(plane[:, ::-1][:, 60:]), 31),
    "frame": (lambda plane: np.pad(plane, 70, constant_values=200), 31),
    "bar": (lambda plane: np.vstack([plane[:270], np.full((90, 480), 20, np.uint8)]), 31),
    "picture in picture": (inset, 31),
    "side by side": (lambda plane: np.hstack([picture(98), plane]), 31),
    "tilt": (tilted, 40),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_squares_are_found_where_the_frame_is_not(name: str) -> None:
    """Whoever cuts a tenth off a prohibited clip could publish it."""
    attack, bits = ATTACKS[name]
    found = [near(upload(attack(picture(seed))), entry(seed), bits) for seed in range(6)]
    assert np.median(found) >= 3, found
    whole = picture(0)
    ours, theirs = pdq.digest(attack(whole)[None])[0], pdq.dihedral(whole[None])[0]
    assert np.bitwise_count(ours[None] ^ theirs).sum(axis=-1).min() > 31


def test_squares_of_another_picture_are_not_near() -> None:
    """Clean uploads would be accused."""
    uploads = [upload(picture(seed)) for seed in range(8)]
    wrong = [
        near(one, entry(other))
        for seed, one in enumerate(uploads)
        for other in range(8)
        if seed != other
    ]
    assert max(wrong) <= 1
    assert np.mean(wrong) < 0.1


def test_edges_and_corners_are_poor() -> None:
    """The corner of a frame would be found in every other frame, and its uploader accused."""
    corners = np.full((240, 320), 16, np.uint8)
    for number, level in enumerate((40, 90, 150, 210, 250)):
        corners[20 + 40 * number : 50 + 40 * number, 30 + 50 * number : 75 + 50 * number] = level
    _, poor, _ = patches.digests(corners, [patches.Look(24)], mirrored=False)
    assert len(poor) >= 5
    _, good, _ = patches.digests(picture(0), [patches.Look(24)], mirrored=False)
    assert np.median(poor) < pdq.MIN_QUALITY < np.percentile(good, 5)


def test_how_alike_the_rows_are() -> None:
    """What a square is thrown away for would be something else."""
    rng = np.random.default_rng(0)
    grids = rng.normal(size=(20, 64, 64)).astype(np.float32)
    grids[10:] += (30 * rng.normal(size=(10, 64, 1)) * rng.normal(size=(10, 1, 64))).astype("f4")
    _, alike = pdq.of_grids(grids, np.array([0]))
    frequencies, places = np.mgrid[1:17, 0:64]
    dct = np.cos(np.pi / 128 * frequencies * (2 * places + 1))
    squares = np.linalg.svd(dct @ grids @ dct.T, compute_uv=False) ** 2
    shares = squares / squares.sum(axis=1, keepdims=True)
    assert alike == pytest.approx(np.sqrt((shares**2).sum(axis=1)), abs=1e-4)
    # Where it is near 1, it is the part of the largest.
    assert alike[10:] == pytest.approx(shares[10:, 0], abs=1e-3)


def pixels(digests: Plane, plane: Plane) -> list[tuple[float, float, float]]:
    """Column, row and half the side of each square, in pixels of the frame."""
    where = patches.places(digests[:, patches.HASH_BYTES :])
    longer = max(plane.shape)
    columns = (where.column * longer, where.row * longer, where.size * longer)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_a_square_has_the_pdq_of_its_picture() -> None:
    """Squares would be compared by something that nobody has measured."""
    plane = picture(3, 320, 320)  # As large as squares are sought in: nothing is resampled.
    digests, _, _ = patches.digests(plane, [patches.Look(48)], mirrored=False)
    apart = []
    for digest, (column, row, half) in zip(digests, pixels(digests, plane), strict=True):
        top, left = round(row - half), round(column - half)
        bottom, right = round(row + half), round(column + half)
        if min(top, left) < 0 or max(bottom, right) > 320 or half < 40:
            continue
        square = scaled(plane[top:bottom, left:right], 512, 512)
        bits, _ = pdqhash.compute(np.repeat(square[..., None], 3, axis=-1))
        apart.append(int(np.bitwise_count(np.packbits(bits) ^ digest[:32]).sum()))
    assert len(apart) > 2
    assert np.median(apart) <= 24, apart


@pytest.mark.parametrize("tilt", [0, 4, -4, 30])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_place_says_where_its_square_is(tilt: int, mirrored: bool) -> None:
    """Squares of a copy would not be seen to lie as those of the entry do."""
    plane = picture(5, 320, 320)
    # What the frame shows when it is mirrored and turned is hashed as it is.
    shown = np.asarray(Image.fromarray(plane).rotate(tilt, Image.Resampling.BICUBIC))
    shown = shown[:, ::-1] if mirrored else shown
    ours = rich(np.ascontiguousarray(shown), UPLOAD, mirrored=False)
    theirs = rich(plane, [patches.Look(48, tilt)], mirrored=True)
    apart = np.bitwise_count(ours[:, None, :32] ^ theirs[None, :, :32]).sum(axis=-1)
    pairs = [(one, int(other)) for one, other in enumerate(apart.argmin(axis=1))]
    pairs = [(one, other) for one, other in pairs if apart[one, other] <= 24]
    assert len(pairs) >= 6
    mine, yours = (patches.places(digests[:, 32:]) for digests in (ours, theirs))
    assert {bool(yours.mirrored[other]) for _, other in pairs} == {mirrored}
    assert set(yours.tilt.tolist()) == {tilt}
    turn = np.deg2rad(tilt)
    off = []
    for one, other in pairs:
        right, down = yours.column[other] - 0.5, yours.row[other] - 0.5
        # In a mirror a turn is the other way round; the place is told as the mirror shows it.
        right = -right if mirrored else right
        column = np.cos(turn) * right + np.sin(turn) * down
        row = np.cos(turn) * down - np.sin(turn) * right
        column = -column if mirrored else column
        off.append(np.hypot(mine.column[one] - 0.5 - column, mine.row[one] - 0.5 - row))
        assert mine.size[one] == pytest.approx(yours.size[other], rel=0.25)
    assert np.median(off) < 0.02


@pytest.mark.parametrize("tilt", [0, 4, 45, -63])
def test_squares_end_where_the_frame_does(tilt: int) -> None:
    """A square at the edge would be made of what else is in memory, or end the worker."""
    plane = np.random.default_rng(0).uniform(100, 110, (200, 320)).astype(np.float32)
    scales = np.geomspace(2, 24, 60)
    room = (1 - patches._OVERHANG) * patches._REACH * scales
    for columns, rows in ((room, room), (319 - room, 199 - room), (room, 199 - room)):
        found = np.stack([columns, rows, scales], axis=1).astype(np.float32)
        squares = patches._squares(plane, found, tilt)
        assert 100 <= squares.min() <= squares.max() <= 110


@pytest.mark.parametrize("shape", [(200, 320), (320, 131)])
def test_upright_squares_are_those_turned_by_nothing(shape: tuple[int, int]) -> None:
    """An upload's are made in another way than most of an entry's; one bit apart, and a copy is
    farther from its entry.
    """
    rng = np.random.default_rng(1)
    plane = rng.uniform(0, 255, shape).astype(np.float32)
    scales = np.geomspace(1.5, 15, 50)
    room = (1 - patches._OVERHANG) * patches._REACH * scales
    places = [rng.uniform(room, side - 1 - room) for side in (shape[1], shape[0])]
    found = np.stack([*places, scales], axis=1).astype(np.float32)
    squares = patches._squares(plane, found, 0)
    turned = np.full_like(squares, np.nan)
    levels = np.maximum(0, np.round(np.log2(patches._FINENESS * patches._REACH * scales / 32)))
    for level in range(int(levels.max()) + 1):
        plane = patches._halved(plane) if level else plane
        which = np.flatnonzero(levels == level)
        patches._sample(patches._framed(plane), found, which, 2.0**level, 1.0, 0.0, turned)
    assert levels.max() > 0
    assert np.array_equal(squares, turned)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(90, 120), (720, 1280), (1000, 300), (120, 480)])
def test_any_plane_is_taken(shape: tuple[int, int], dtype: type) -> None:
    """A worker would end at a frame of an unusual size."""
    plane: npt.NDArray[Any] = picture(1, *shape).astype(dtype)
    looks = [patches.Look(5), patches.Look(2, -9)]
    digests, quality, flipped = patches.digests(plane, looks, mirrored=True)
    assert quality.shape == (14,)
    assert digests.shape == (14, patches.HASH_BYTES + patches.PLACE_BYTES)
    assert flipped.tolist() == [False] * 5 + [True] * 5 + [False] * 2 + [True] * 2
    padded: npt.NDArray[Any] = np.zeros((shape[0], shape[1] + 9), dtype)
    padded[:, : shape[1]] = plane
    assert np.array_equal(patches.digests(padded[:, : shape[1]], looks, mirrored=True)[0], digests)
    turned = np.rot90(plane)
    assert np.array_equal(
        patches.digests(turned, looks, mirrored=False)[0],
        patches.digests(np.ascontiguousarray(turned), looks, mirrored=False)[0],
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (2, 2), (40, 4000), (300, 300)])
def test_where_nothing_stands_out_there_is_no_square(shape: tuple[int, int]) -> None:
    """A flat frame would be near every other."""
    digests, quality, flipped = patches.digests(np.full(shape, 77, np.uint8), ENTRY, mirrored=True)
    assert digests.shape == (0, 36)
    assert len(quality) == len(flipped) == 0
