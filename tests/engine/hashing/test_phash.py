"""pHash: bit for bit what the package imagehash gives."""

from __future__ import annotations

import imagehash
import numpy as np
import pytest
import skimage.data
from PIL import Image

from hashmatch.engine.hashing import phash


def expected(image: Image.Image) -> str:
    """The hash as imagehash prints it."""
    return str(imagehash.phash(image))


@pytest.mark.parametrize("name", ["astronaut", "camera", "chelsea", "coffee", "coins", "rocket"])
def test_photographs_hash_as_imagehash_does(name: str) -> None:
    """An entry from a list that others made would be missed."""
    image = Image.fromarray(getattr(skimage.data, name)())
    plane = np.asarray(image.convert("L"))
    assert phash.digest(plane[None])[0].tobytes().hex() == expected(image)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (31, 33), (32, 32), (7, 200), (640, 360)])
def test_any_size_hashes_as_imagehash_does(size: tuple[int, int]) -> None:
    """Pictures of an unusual size would be missed."""
    planes = np.random.default_rng(1).integers(0, 256, (3, *size), np.uint8)
    digests = phash.digest(planes)
    assert digests.shape == (3, 8)
    assert [row.tobytes().hex() for row in digests] == [
        expected(Image.fromarray(plane)) for plane in planes
    ]


def test_padded_and_turned_planes_hash_as_copies_do() -> None:
    """A decoder's padding would get into the hash."""
    padded = np.random.default_rng(2).integers(0, 256, (1, 48, 64), np.uint8)
    for view in (padded[:, :, :50], np.rot90(padded[:, :, :50], 1, (1, 2))):
        assert np.array_equal(phash.digest(view), phash.digest(np.ascontiguousarray(view)))


def test_no_frames_give_no_hashes() -> None:
    """A batch without frames would end the worker."""
    assert phash.digest(np.empty((0, 32, 32), np.uint8)).shape == (0, 8)
