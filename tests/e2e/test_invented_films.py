"""Films that hide in what formats allow, and in what screening does with pictures that look alike:
each is shown as much as is found for all but one screening in a thousand.
"""

from __future__ import annotations

from tests.e2e.hiding import SEEDS, encoded, is_found, near_pictures


def near_key_frames() -> bytes:
    """Key frames alone: a cover for a quarter of each second, then the film. Nothing else is in
    the file that says until when the newest of them is shown.
    """
    cover, shown = near_pictures()
    frames = [
        (1000 * second + ms, each)
        for second in range(20)
        for ms, each in ((0, cover), (250, shown))
    ]
    options = {"bf": "0", "x264-params": "keyint=1"}
    return encoded([*frames, (20_000, cover)], frozenset(), options=options)


def test_a_near_cover_stands_for_no_key_frame() -> None:
    """A cover that is not found itself would stand for a listed picture: what is decoded before the
    next frame is known was compared as if no secret instant fell on it.
    """
    data = near_key_frames()
    assert all(is_found(data, seed)[0] for seed in SEEDS)
