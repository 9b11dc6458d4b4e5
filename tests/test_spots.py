"""Spots: found where they are, whatever their size, and in all parts of a frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from hashmatch.hashing import spots

Floats = npt.NDArray[np.float32]


def drawn(*some: tuple[float, float, float], side: int = spots.LONG_SIDE) -> Floats:
    """A plane with bright spots: column, row and standard deviation of each."""
    rows, columns = np.mgrid[0:side, 0:side]
    plane = np.full((side, side), 60.0)
    for column, row, sigma in some:
        plane += 120 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))
    return plane.astype(np.float32)


@pytest.mark.parametrize("sign", [1, -1])
def test_spots_are_where_they_were_drawn(sign: int) -> None:
    """Squares around anything else would not be found again."""
    wanted = [(80.0, 90.0, 8.0), (170.5, 150.0, 11.0), (250.0, 60.3, 5.0)]
    found = spots.find(sign * drawn(*wanted) + 128, 3, 1.0)
    assert len(found) == 3
    for column, row, sigma in wanted:
        nearest = found[np.hypot(found[:, 0] - column, found[:, 1] - row).argmin()]
        assert np.hypot(nearest[0] - column, nearest[1] - row) < 0.5
        # The determinant of a Gaussian spot is largest at its own scale.
        assert nearest[2] == pytest.approx(sigma, rel=0.15)


def test_a_cluster_does_not_take_all_places() -> None:
    """A sticker with strong spots would hide all that a frame shows besides."""
    rng = np.random.default_rng(0)
    crowd = [(x, y, 3.0) for x in range(20, 110, 12) for y in range(20, 110, 12)]
    weak = drawn(*((*rng.uniform(130, 300, 2).tolist(), 4.0) for _ in range(20)))
    plane = 128 + 3 * (drawn(*crowd) - 60) + 0.2 * (weak - 60)
    found = spots.find(plane.astype(np.float32), 24, 1.0)
    elsewhere = (found[:, 0] > 120) | (found[:, 1] > 120)
    assert elsewhere.sum() >= 8
    assert (~elsewhere).sum() >= 8


def test_spots_keep_from_the_edges() -> None:
    """What is next to the edge is cut off by the next crop."""
    near = drawn((20.3, 150.2, 8.0), (160.3, 160.2, 8.0))
    assert len(spots.find(near, 9, 1.0)) == 2
    (kept,) = spots.find(near, 9, 4.0)
    assert kept[:2] == pytest.approx([160, 160], abs=1)


@pytest.mark.parametrize(("height", "width"), [(320, 320), (180, 320), (1000, 640), (45, 60)])
def test_planes_are_shrunk_to_one_size(height: int, width: int) -> None:
    """Spots would have other scales in every upload."""
    ramp = np.add.outer(np.linspace(0, 100, height), np.linspace(0, 100, width)).astype(np.float32)
    plane = spots.shrunk(ramp)
    assert plane is not None
    assert max(plane.shape) == spots.LONG_SIDE
    assert plane.shape[0] / plane.shape[1] == pytest.approx(height / width, rel=0.02)
    rows, columns = plane.shape
    down = ((np.arange(rows) + 0.5) * height / rows - 0.5) / (height - 1)
    across = ((np.arange(columns) + 0.5) * width / columns - 0.5) / (width - 1)
    assert np.abs(plane - 100 * np.add.outer(down, across))[6:-6, 6:-6].max() < 0.5


def test_what_is_too_uneven_has_no_plane() -> None:
    """A worker would end at a strip."""
    assert spots.shrunk(np.zeros((10, 400), np.uint8)) is None
    assert spots.shrunk(np.zeros((1, 1), np.uint8)) is None
