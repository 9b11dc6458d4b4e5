"""Spots: found where they are, whatever their size, and in all parts of a frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from hashmatch.engine.hashing import spots

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


def grain(seed: int, height: int, width: int) -> Floats:
    """A plane of noise, coarse and fine."""
    rng = np.random.default_rng(seed)
    fine = rng.normal(0, 6, (height, width))
    coarse = np.kron(rng.normal(0, 30, (-(-height // 16), -(-width // 16))), np.ones((16, 16)))
    return (128 + fine + coarse[:height, :width]).astype(np.float32)


@pytest.mark.parametrize("shape", [(180, 320), (320, 181), (33, 320), (35, 37)])
def test_half_of_a_blurred_plane_is_every_second_pixel_of_it(shape: tuple[int, int]) -> None:
    """Spots would be half a pixel beside themselves, and hashes others than those of entries."""
    plane, bell = grain(1, *shape), spots._bell(2.0)
    halved = spots._halved(plane, bell)
    assert np.array_equal(halved, spots._blurred(plane, bell)[::2, ::2])


def test_a_blurred_plane_is_a_sum_of_weights() -> None:
    """What is written out by hand may be written out wrongly."""
    plane, bell = grain(2, 60, 41), spots._bell(2.0)
    weights = np.concatenate([bell[:0:-1], bell]).astype(np.float64)
    padded = np.pad(plane.astype(np.float64), len(bell) - 1, mode="edge")
    down = sum(weight * padded[k : k + 60] for k, weight in enumerate(weights))
    both = sum(weight * down[:, k : k + 41] for k, weight in enumerate(weights))
    assert spots._blurred(plane, bell) == pytest.approx(both, rel=1e-5)


@pytest.mark.parametrize("shape", [(180, 320), (320, 181), (45, 320), (64, 64)])
def test_candidates_are_the_largest_of_all_around(shape: tuple[int, int]) -> None:
    """Most places are left out unseen: none of the largest may be among them."""
    plane, bell = grain(3, *shape), spots._bell(spots._SIGMA)
    wider = spots._bell(spots._SIGMA * spots._STEP)
    norms = [np.float32((spots._SIGMA * spots._STEP**odd) ** 4) for odd in (0, 1)]
    planes, own = [], spots._blurred(plane, bell)
    for _ in range(spots._OCTAVES):
        planes += [own, spots._blurred(own, bell)]
        own = spots._halved(planes[-1], wider)
    of = [spots._responses(each, norms[number % 2]) for number, each in enumerate(planes)]
    wanted = set()
    for number in range(1, len(of) - 1):
        below, at, above = of[number - 1 : number + 2]
        for y, x in np.argwhere(at > spots._LEAST_RESPONSE).tolist():
            if not (2 <= y < at.shape[0] - 2 and 2 <= x < at.shape[1] - 2):
                continue
            if number % 2:
                near = [(below, y, x), (above, y // 2, x // 2)]
            else:
                last = below.shape[0] - 1, below.shape[1] - 1
                near = [(below, min(2 * y, last[0]), min(2 * x, last[1])), (above, y, x)]
            around = [at[y - 2 : y + 3, x - 2 : x + 3]]
            around += [each[max(0, i - 1) : i + 2, max(0, j - 1) : j + 2] for each, i, j in near]
            if max(each.max() for each in around) == at[y, x]:
                wanted.add((number // 2, y, x, float(at[y, x])))
    candidates = np.empty((spots._MOST_CANDIDATES, 4), np.float32)
    count = spots._candidates(plane, bell, wider, 0.0, candidates)
    assert 8 < count < len(candidates)
    values = sorted(candidates[:count, 3].tolist())
    # Those whose vertex is outside of the frame are left out.
    assert set(values) <= {value for *_, value in wanted}
    assert len(wanted) - 3 <= count <= len(wanted)


@pytest.mark.parametrize("most", [1, 7, 40, 400])
def test_each_cell_has_its_share_in_turn(most: int) -> None:
    """The most pronounced of each cell come first, whatever the order they were found in."""
    rng = np.random.default_rng(most)
    found = rng.uniform(0, [319, 179, 9, 50], (300, 4)).astype(np.float32)
    found[:, 3] = np.ceil(found[:, 3])  # So that some are equal: they stay as they came.
    ordered = spots._strongest_first(found)
    assert np.array_equal(ordered, found[np.argsort(-found[:, 3], kind="stable")])
    rows, columns, share = 3, 6, -(-most // 18)
    cells = [
        min(2, int(row * np.float32(rows / 180))) * 6
        + min(5, int(column * np.float32(columns / 320)))
        for column, row, *_ in ordered
    ]
    rounds = [cells[:n].count(cell) // share for n, cell in enumerate(cells)]
    wanted = ordered[np.argsort(rounds, kind="stable"), :3]
    assert np.array_equal(spots._spread(ordered, 180, 320, rows, columns, share), wanted)
