"""``hashmatch calibrate``: a threshold from clean media."""

from __future__ import annotations

import functools
from pathlib import Path
from xml.etree import ElementTree

import pytest

from hashmatch.decoding.worker import local
from tests.cli.commands import run

CLIPS = ("pan_astronaut.mp4", "pan_coffee.mp4", "pan_rocket.webm", "mandelbrot.mp4")


@pytest.fixture
def clean(tmp_path: Path, media: Path) -> Path:
    """Some clips, and what is none."""
    folder = tmp_path / "clean"
    folder.mkdir()
    for name in CLIPS:
        (folder / name).symlink_to(media / "clips" / name)
    (folder / "notes.txt").write_text("no media")
    return folder


def test_a_threshold_is_proposed_and_drawn(
    clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator would have to guess, or to trust a figure from elsewhere."""
    # Three times the same files: they are decoded once.
    monkeypatch.setattr(local, "look", functools.cache(local.look))
    plot = tmp_path / "plot.svg"
    done = run("calibrate", clean, "--plot", plot)
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    assert "4 media" in done.out
    assert "Proposed: --kind pdq:" in done.out
    assert "notes.txt: left out" in done.err
    ElementTree.parse(plot)
    told = run("calibrate", clean, "--json", "--hashes", "1000").object
    assert told["media"] == 4
    assert len(told["wrong_per_million"]) == 64
    assert told["squares_blocked"] == []
    assert told["flat_held"] == []
    proposed = told["proposed_threshold"]
    assert told["wrong_per_million"][proposed] < 1
    fewer = run("calibrate", clean, "--json", "--wrong", "1e-6").object
    assert fewer["proposed_threshold"] < proposed


def test_what_cannot_be_calibrated_is_said(tmp_path: Path) -> None:
    """A traceback would be all that there is."""
    for path in (tmp_path, tmp_path / "nowhere"):
        done = run("calibrate", path)
        assert done.code == 1
        assert done.err.startswith("error: ")
