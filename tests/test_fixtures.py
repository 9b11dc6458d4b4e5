"""The generated media are what the tests take them for."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from PIL import Image, ImageSequence

from fixtures.broken import BROKEN
from fixtures.clips import CLIPS, small_copy
from fixtures.images import IMAGES
from hashmatch.model.verdicts import VerdictReason


def test_everything_that_is_listed_is_made(media: Path) -> None:
    """A file that silently is not made would silently not be tested."""
    for folder, names in (("clips", CLIPS), ("images", IMAGES), ("broken", BROKEN)):
        assert {path.name for path in (media / folder).iterdir()} == set(names)


@pytest.mark.parametrize("name", ["pan_astronaut.mp4", "pan_rocket.webm", "with_sound.mp4"])
def test_clips_are_the_same_bytes_every_time(media: Path, tmp_path: Path, name: str) -> None:
    """Tests would pass on one machine and fail on the next."""
    CLIPS[name](tmp_path / name)
    assert (tmp_path / name).read_bytes() == (media / "clips" / name).read_bytes()


@pytest.mark.parametrize("name", CLIPS)
def test_clips_are_healthy(media: Path, name: str) -> None:
    """A fault of a fixture would be taken for a fault of the decoder."""
    with av.open(str(media / "clips" / name)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 30


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_healthy(media: Path, name: str) -> None:
    """A fault of a fixture would be taken for a fault of the decoder."""
    with Image.open(media / "images" / name) as image:
        frames = [frame.copy() for frame in ImageSequence.Iterator(image)]
    assert len(frames) == (4 if name.startswith("animated") else 1)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_name_a_reason(name: str) -> None:
    """A test of broken files would look for a reason that there is not."""
    assert name.partition("--")[0].upper() in VerdictReason.__members__


def test_a_small_copy_shows_the_same_for_as_long(media: Path, tmp_path: Path) -> None:
    """The demo would screen a copy that is none."""
    small_copy(media / "clips" / "pan_coffee.mp4", tmp_path / "copy.mp4")
    with av.open(str(tmp_path / "copy.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 150
        assert container.streams.video[0].height < 180
