"""Pictures that show the same are told from those that do not."""

from __future__ import annotations

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from hashmatch.decoding.media.likeness import Seen

NAMES = ("astronaut", "chelsea", "coffee", "rocket")
PHOTOGRAPHS = {name: getattr(skimage.data, name)() for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_preview_is_like_its_picture(name: str) -> None:
    """Every photograph with a preview would be hashed twice."""
    whole = Image.fromarray(PHOTOGRAPHS[name]).convert("RGB")
    small = whole.copy()
    small.thumbnail((160, 120))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=75)
    seen = Seen()
    seen.add(1, np.asarray(whole.convert("L")))
    with Image.open(file) as preview:
        assert seen.has(1, np.asarray(preview.convert("L")))
        assert not seen.has(2, np.asarray(preview.convert("L")))


@pytest.mark.parametrize("share", [0.15, 0.4, 1.0])
def test_another_picture_in_a_part_of_it_is_told(share: float) -> None:
    """A picture set into the preview alone would pass for what was seen already."""
    whole = np.asarray(Image.fromarray(PHOTOGRAPHS["astronaut"]).convert("L")).copy()
    side = round(512 * share)
    other = Image.fromarray(PHOTOGRAPHS["chelsea"]).convert("L").resize((side, side))
    seen = Seen()
    seen.add(1, whole.copy())
    whole[-side:, -side:] = np.asarray(other)
    assert not seen.has(1, whole)
