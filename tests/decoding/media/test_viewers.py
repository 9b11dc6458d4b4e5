"""The judges themselves: each shows what is in a file whose content is known."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import viewers
from tests.conftest import ROOT
from tests.support import clip, image, picture
from tests.viewers import Picture, ViewerRefused

BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)


def near(shown: Picture | None, seed: int, lossy: bool = False) -> bool:
    """Whether a picture is `picture` of a seed: exactly, or as far as a codec leaves it."""
    if shown is None or shown.shape != (96, 96, 3):
        return False
    apart = np.abs(shown.astype(int) - picture(seed)).mean()
    return bool(apart < 8 if lossy else apart == 0)


@pytest.fixture
def still(tmp_path: Path) -> Path:
    """A PNG file."""
    path = tmp_path / "still.png"
    path.write_bytes(image(1))
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A second each of three pictures, as a Matroska file."""
    path = tmp_path / "film.mkv"
    path.write_bytes(clip([1, 2, 3]))
    return path


def half_transparent(path: Path) -> Path:
    """A file whose left half is red, and whose right half shows the ground."""
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, :8] = (*RED, 255)
    Image.fromarray(pixels).save(path)
    return path


SHOWS: dict[str, Callable[[Path], Picture]] = {
    "chromium": viewers.chromium_shows,
    "ffmpeg": lambda path: viewers.ffmpeg_frames(path)[0],
    "magick": viewers.magick_shows,
    "mpv": viewers.mpv_shows,
    "vips": viewers.vips_shows,
}


@pytest.mark.parametrize("name", SHOWS)
def test_a_still_is_shown_as_it_is(name: str, still: Path) -> None:
    """A judge that changes pictures by itself would blame the product for it."""
    assert near(SHOWS[name](still), 1)


@pytest.mark.parametrize("name", SHOWS)
def test_what_shows_nothing_is_refused(name: str, tmp_path: Path) -> None:
    """A judge that failed would look like one that sees nothing prohibited."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture at all")
    with pytest.raises(ViewerRefused):
        SHOWS[name](broken)


@pytest.mark.parametrize("name", ["chromium", "magick", "mpv", "vips"])
def test_a_picture_is_turned_as_it_asks_for(name: str, tmp_path: Path) -> None:
    """Each orientation would be judged by a picture that nobody sees."""
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # Shown a quarter turn to the right.
    Image.new("RGB", (40, 20)).save(path, exif=exif)
    assert SHOWS[name](path).shape == (40, 20, 3)


def test_the_ground_is_where_a_picture_is_transparent(tmp_path: Path) -> None:
    """What shows on a dark page alone would be judged on a light one."""
    path = half_transparent(tmp_path / "half.png")
    shown = [
        viewers.chromium_shows(path, ground="#000"),
        viewers.chromium_shows_each([path], ground="#000")[0],
        viewers.magick_shows(path, ground="black"),
        viewers.vips_shows(path, ground=BLACK),
    ]
    for picture_shown in shown:
        assert picture_shown is not None
        assert tuple(picture_shown[8, 4]) == RED
        assert tuple(picture_shown[8, 12]) == BLACK
    assert tuple(viewers.chromium_shows(path)[8, 12]) == WHITE


def test_a_page_is_shown_in_the_size_that_is_asked_for(tmp_path: Path, still: Path) -> None:
    """What a player draws over and beside a picture could not be judged."""
    page = tmp_path / "page.html"
    page.write_text(
        f'<body style="margin:0;background:red"><img src="{still.name}" style="display:block">'
    )
    shown = viewers.chromium_shows(page, (200, 100))
    assert shown.shape == (100, 200, 3)
    assert near(shown[:96, :96], 1)
    assert tuple(shown[50, 150]) == RED


def test_many_files_are_shown_by_one_page(still: Path, tmp_path: Path) -> None:
    """One file that is broken would hide what all others show."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(image(2)[:40])
    shown = viewers.chromium_shows_each([still, broken, still])
    assert shown[1] is None
    assert near(shown[0], 1)
    assert near(shown[2], 1)


def converted(film: Path, suffix: str, *options: str | Path) -> Path:
    """What FFmpeg makes of a film, in another container."""
    made = film.with_suffix(suffix)
    command = [viewers.viewer("ffmpeg"), "-loglevel", "error", "-i", film, *options, made]
    subprocess.run([str(part) for part in command], check=True)
    return made


def test_a_film_is_shown_at_the_times_that_are_asked_for(film: Path) -> None:
    """A second that a viewer shows would be held against another one's hashes."""
    times = (0.1, 1.6, 2.6)
    # VP8 is a codec that every build of Chromium plays.
    as_webm = converted(film, ".webm", "-c:v", "libvpx", "-b:v", "2M", "-qmax", "10")
    shown = {
        "ffmpeg": viewers.ffmpeg_frames(film, *times),
        "mpv": [viewers.mpv_shows(film, seconds) for seconds in times],
        "chromium": viewers.chromium_plays(as_webm, times),
    }
    for name, pictures in shown.items():
        right = [near(one, seed, lossy=True) for seed, one in enumerate(pictures, 1)]
        assert right == [True, True, True], name


def test_subtitles_are_drawn_by_mpv(film: Path) -> None:
    """A picture that is drawn as a subtitle would never be judged."""
    subtitles = film.with_suffix(".srt")
    subtitles.write_text("1\n00:00:00,000 --> 00:00:03,000\nHello hello hello\n")
    made = converted(film, ".sub.mkv", "-i", subtitles, "-c:v", "copy", "-c:s", "ass")
    drawn = np.abs(viewers.mpv_shows(made, 0.5).astype(int) - viewers.mpv_shows(film, 0.5))
    assert drawn[48:].max() > 50  # Subtitles stand at the bottom.
    assert drawn[:48].max() == 0


def test_every_frame_of_a_film_has_its_time(film: Path) -> None:
    """A frame that is shown for a moment would be judged by its neighbours."""
    timed = viewers.ffmpeg_timed_frames(film)
    assert [start for start, _ in timed] == [place / 4 for place in range(12)]
    assert all(near(shown, 1 + place // 4, True) for place, (_, shown) in enumerate(timed))


def test_what_does_not_play_is_refused(still: Path) -> None:
    """A film that Chromium cannot play would count as one that shows nothing prohibited."""
    broken = still.with_suffix(".webm")
    broken.write_bytes(b"no film at all")
    with pytest.raises(ViewerRefused):
        viewers.chromium_plays(broken, [0.0])


def test_every_frame_of_an_animation_is_shown_for_its_time(tmp_path: Path) -> None:
    """A picture that is on the screen for a moment would never be judged."""
    path = tmp_path / "moving.webp"
    first, *others = [Image.fromarray(picture(seed)) for seed in (1, 2, 3)]
    first.save(path, save_all=True, append_images=others, duration=[100, 200, 300], lossless=True)
    frames = viewers.chromium_animation(path, "image/webp")
    assert [seconds for seconds, _ in frames] == [0.1, 0.2, 0.3]
    assert all(near(shown, seed) for seed, (_, shown) in enumerate(frames, 1))


def test_a_browser_that_a_file_ended_is_started_anew(still: Path) -> None:
    """One file that ends the browser would fail every test after it."""
    assert near(viewers.chromium_shows(still), 1)
    os.kill(viewers.browser_pid(), signal.SIGKILL)
    assert near(viewers.chromium_shows(still), 1)


def test_ci_installs_every_viewer() -> None:
    """A viewer that is new here would be missing there, and CI fail."""
    script = (ROOT / ".ci" / "run").read_text()
    for names in viewers.PROGRAMS.values():
        assert f"one_of {' '.join(names)}\n" in script or f"command {names[0]} -version" in script


@pytest.mark.parametrize("variable", ["CI", "HASHMATCH_CORPUS"])
def test_a_missing_viewer_fails_where_nothing_may_skip(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """CI would pass without ever having asked a viewer."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CI", "HASHMATCH_CORPUS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(pytest.skip.Exception, match="mpv is not installed"):
        viewers.viewer("mpv")
    monkeypatch.setenv(variable, "1")
    with pytest.raises(pytest.fail.Exception, match="mpv is not installed"):
        viewers.viewer("mpv")
