"""Squares that are found again wherever the picture is moved to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pdqhash
import pytest
from PIL import Image
from scipy import ndimage

from hashmatch.hashing import patches, pdq

Plane = npt.NDArray[np.uint8]


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


def near(upload: Plane, entry: Plane, bits: int = 31) -> int:
    """How many squares of an upload are near one of an entry's."""
    ours, ours_rich = patches.digests(upload, patches.MOST_OF_UPLOAD, mirrored=False)
    theirs, theirs_rich = patches.digests(entry, patches.MOST_OF_ENTRY, mirrored=True)
    ours = ours[ours_rich >= pdq.MIN_QUALITY, 0]
    theirs = theirs[theirs_rich >= pdq.MIN_QUALITY].reshape(-1, 32)
    if not len(ours) or not len(theirs):
        return 0
    apart = np.bitwise_count(ours[:, None] ^ theirs[None]).sum(axis=-1)
    return int((apart.min(axis=1) <= bits).sum())


def scaled(plane: Plane, width: int, height: int) -> Plane:
    """The picture in another size."""
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))


def inset(plane: Plane) -> Plane:
    """In the corner of another picture, half as wide and high."""
    below = picture(99)
    below[20:200, 30:270] = scaled(plane, 240, 180)
    return below


def tilted(plane: Plane) -> Plane:
    """By two degrees."""
    return np.asarray(Image.fromarray(plane).rotate(2, Image.Resampling.BICUBIC))


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
    found = [near(attack(picture(seed)), picture(seed), bits) for seed in range(6)]
    assert np.median(found) >= 3, found
    whole = picture(0)
    ours, theirs = pdq.digest(attack(whole)[None])[0], pdq.dihedral(whole[None])[0]
    assert np.bitwise_count(ours[None] ^ theirs).sum(axis=-1).min() > 31


def test_squares_of_another_picture_are_not_near() -> None:
    """Clean uploads would be accused."""
    pictures = [picture(seed) for seed in range(8)]
    wrong = [near(one, other) for one in pictures for other in pictures if one is not other]
    assert max(wrong) <= 1
    assert np.mean(wrong) < 0.1


def test_edges_and_corners_are_poor() -> None:
    """The corner of a frame would be found in every other frame, and its uploader accused."""
    corners = np.full((240, 320), 16, np.uint8)
    for number, level in enumerate((40, 90, 150, 210, 250)):
        corners[20 + 40 * number : 50 + 40 * number, 30 + 50 * number : 75 + 50 * number] = level
    _, poor = patches.digests(corners, 24, mirrored=False)
    assert len(poor) >= 5
    _, rich = patches.digests(picture(0), 24, mirrored=False)
    assert np.median(poor) < pdq.MIN_QUALITY < np.percentile(rich, 5)


def test_how_alike_the_rows_are() -> None:
    """What a square is thrown away for would be something else."""
    rng = np.random.default_rng(0)
    grids = rng.normal(size=(20, 64, 64)).astype(np.float32)
    grids[10:] += (30 * rng.normal(size=(10, 64, 1)) * rng.normal(size=(10, 1, 64))).astype("f4")
    _, alike = pdq.of_grids(grids, np.array([0]))
    frequencies, places = np.mgrid[1:17, 0:64]
    dct = np.cos(np.pi / 128 * frequencies * (2 * places + 1))
    squares = np.linalg.svd(dct @ grids @ dct.T, compute_uv=False) ** 2
    exactly = squares[:, 0] / squares.sum(axis=1)
    assert alike[10:] == pytest.approx(exactly[10:], abs=1e-3)
    # Where several are about as large, the power method is slow, and never above.
    assert (alike <= exactly + 1e-4).all()
    assert (alike >= exactly - 0.06).all()


def test_a_square_has_the_pdq_of_its_picture() -> None:
    """Squares would be compared by something that nobody has measured."""
    plane = picture(3, 256, 256)  # As large as squares are sought in: nothing is resampled.
    digests = patches.digests(plane, 24, mirrored=False)[0][:, 0]
    places = patches.points(plane, 24) * 256
    assert len(digests) == len(places) > 10
    apart = []
    for digest, (column, row, half) in zip(digests, places, strict=True):
        top, left = round(row - half), round(column - half)
        bottom, right = round(row + half), round(column + half)
        if min(top, left) < 0 or max(bottom, right) > 256 or half < 40:
            continue
        square = scaled(plane[top:bottom, left:right], 512, 512)
        bits, _ = pdqhash.compute(np.repeat(square[..., None], 3, axis=-1))
        apart.append(int(np.bitwise_count(np.packbits(bits) ^ digest).sum()))
    assert len(apart) > 2
    assert np.median(apart) <= 20, apart


def test_spots_are_where_they_were_drawn() -> None:
    """Squares around anything else would not be found again."""
    rows, columns = np.mgrid[0:256, 0:256]
    drawn = [(80, 90, 8.0), (170, 150, 11.0)]
    plane = np.full((256, 256), 60.0)
    for row, column, sigma in drawn:
        plane += 120 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))
    found = patches.points(plane.astype(np.float32), 2) * 256
    for row, column, sigma in drawn:
        nearest = found[np.hypot(found[:, 0] - column - 0.5, found[:, 1] - row - 0.5).argmin()]
        assert np.hypot(nearest[0] - column - 0.5, nearest[1] - row - 0.5) < 1
        # The determinant of a Gaussian spot is largest at its own scale; the square reaches six.
        assert nearest[2] == pytest.approx(6 * sigma, rel=0.15)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(90, 120), (720, 1280), (1000, 300), (120, 480)])
def test_any_plane_is_taken(shape: tuple[int, int], dtype: type) -> None:
    """A worker would end at a frame of an unusual size."""
    plane: npt.NDArray[Any] = picture(1, *shape).astype(dtype)
    digests, quality = patches.digests(plane, 5, mirrored=True)
    assert quality.shape == (5,)
    assert digests.shape == (5, 2, 32)
    padded: npt.NDArray[Any] = np.zeros((shape[0], shape[1] + 9), dtype)
    padded[:, : shape[1]] = plane
    assert np.array_equal(patches.digests(padded[:, : shape[1]], 5, mirrored=True)[0], digests)
    turned = np.rot90(plane)
    assert np.array_equal(
        patches.digests(turned, 5, mirrored=False)[0],
        patches.digests(np.ascontiguousarray(turned), 5, mirrored=False)[0],
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (2, 2), (40, 4000), (300, 300)])
def test_where_nothing_stands_out_there_is_no_square(shape: tuple[int, int]) -> None:
    """A flat frame would be near every other."""
    plane = np.full(shape, 77, np.uint8)
    assert patches.digests(plane, 24, mirrored=True)[0].shape == (0, 2, 32)
    assert patches.points(plane, 24).shape == (0, 3)
