"""What independent programs show of a file: the judges of what a viewer of an upload sees.

Each helper returns what one program shows as uint8 ``[height, width, 3]``, RGB. A program that is
not installed skips the test; where CI or HASHMATCH_CORPUS is set, it fails it.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.browser import Browser, BrowserFailed, Page

__all__ = [
    "PROGRAMS",
    "Picture",
    "ViewerRefused",
    "browser_pid",
    "chromium_animation",
    "chromium_page",
    "chromium_plays",
    "chromium_shows",
    "chromium_shows_each",
    "ffmpeg_frames",
    "ffmpeg_timed_frames",
    "magick_shows",
    "mpv_shows",
    "viewer",
    "vips_shows",
]

Picture = npt.NDArray[np.uint8]

# By what names systems have a program, best first. Ubuntu's `chromium` is no package of its own.
PROGRAMS: Final = {
    "chromium": ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"),
    "ffmpeg": ("ffmpeg",),
    "magick": ("magick", "convert"),
    "mpv": ("mpv",),
    "vips": ("vips",),
}
# A program that takes longer hangs; a busy machine alone does not take so long for a small file.
_PATIENCE_SECONDS: Final = 120


class ViewerRefused(Exception):
    """A viewer shows nothing of a file."""


def viewer(name: str) -> Path:
    """The path of ``chromium``, ``ffmpeg``, ``magick``, ``mpv`` or ``vips``. Where it is missing
    the test is skipped, or fails if CI or HASHMATCH_CORPUS is set.
    """
    for program in PROGRAMS[name]:
        if found := shutil.which(program):
            return Path(found)
    missing = f"{name} is not installed (.ci/run installs it)"
    if os.environ.get("CI") or os.environ.get("HASHMATCH_CORPUS"):
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


def chromium_shows(
    page_or_file: Path, size: tuple[int, int] | None = None, ground: str = "#fff"
) -> Picture:
    """A screenshot of a page (``.html``, ``.svg``) of 800 x 600 pixels, or of an image file in its
    own size on a ground of a CSS colour; of ``size`` (width, height) if it is given. Raises
    `ViewerRefused` if Chromium cannot show the image.
    """
    page_or_file = page_or_file.resolve()
    if page_or_file.suffix in (".html", ".svg"):
        with _chromium().page(page_or_file) as page:
            return _opaque(page.screenshot(*(size or (800, 600))))
    with _chromium().page() as page:
        own = page.run(_call(_SHOW, page_or_file.as_uri(), ground))
        if own is None:
            raise ViewerRefused(f"Chromium does not show {page_or_file.name}")
        return _opaque(page.screenshot(*(size or own)))


def chromium_shows_each(files: Iterable[Path], ground: str = "#fff") -> list[Picture | None]:
    """Image files in their own sizes on a ground of a CSS colour, drawn on a canvas of one page one
    after another: the form for many files. None where Chromium shows nothing.
    """
    with _chromium().page() as page:
        return [_drawn(page, _DRAW, file.resolve().as_uri(), ground) for file in files]


def chromium_plays(file: Path, seconds: Sequence[float], ground: str = "#fff") -> list[Picture]:
    """The pictures of a video at the given times in its own size, on a ground of a CSS colour.
    Raises `ViewerRefused` if Chromium does not play the file.
    """
    with _chromium().page() as page:
        if not page.run(_call(_LOAD_VIDEO, file.resolve().as_uri())):
            raise ViewerRefused(f"Chromium does not play {file.name}")
        shown = [_drawn(page, _SEEK, second, ground) for second in seconds]
    if any(picture is None for picture in shown):
        raise ViewerRefused(f"Chromium does not play {file.name} as far as it was asked to")
    return [picture for picture in shown if picture is not None]


def chromium_animation(
    file: Path, media_type: str, ground: str = "#fff"
) -> list[tuple[float, Picture]]:
    """Every frame of an animated image (``media_type`` is ``image/gif``, ``image/webp``,
    ``image/apng`` as ``image/png``, or ``image/avif``), composed as Chromium shows it, with the
    seconds it is shown for. Raises `ViewerRefused`.
    """
    with _chromium().page() as page:
        encoded = base64.b64encode(file.read_bytes()).decode()
        frames = page.run(_call(_ANIMATION, f"data:{media_type};base64,{encoded}", ground))
    if not frames:
        raise ViewerRefused(f"Chromium shows no frame of {file.name}")
    return [(seconds, _opaque(_data_of(url))) for seconds, url in frames]


@contextlib.contextmanager
def chromium_page(file: Path | None = None) -> Iterator[Page]:
    """A page of Chromium's, empty or with a file, for what the other helpers do not do."""
    with _chromium().page(file) as page:
        yield page


def ffmpeg_frames(file: Path, *seconds: float) -> list[Picture]:
    """Of the first video track the pictures that are on the screen at the given times; all of them
    if none is given. Raises `ViewerRefused`.
    """
    timed = ffmpeg_timed_frames(file)
    if not seconds:
        return [picture for _, picture in timed]
    starts = np.array([start for start, _ in timed])
    places = np.searchsorted(starts, np.array(seconds) + 1e-6, side="right") - 1
    return [timed[max(0, place)][1] for place in places]


def ffmpeg_timed_frames(file: Path, *options: str, track: int = 0) -> list[tuple[float, Picture]]:
    """Every picture of a video track with the second at which it appears, turned as the file asks
    for. ``options`` come before ``-i``. Raises `ViewerRefused` if there is none.
    """
    command = ["-nostdin", "-hide_banner", "-loglevel", "info", *options, "-i", str(file)]
    command += ["-map", f"0:v:{track}", "-vf", "showinfo", "-fps_mode", "passthrough"]
    command += ["-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    done = subprocess.run(
        [viewer("ffmpeg"), *command],
        capture_output=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    told = done.stderr.decode(errors="replace")
    frames, at = [], 0
    # A line for each frame, as it leaves the decoder.
    for seconds, width, height in re.findall(r"pts_time:(\S+) .* s:(\d+)x(\d+) ", told):
        shape = int(height), int(width), 3
        pixels = done.stdout[at : at + shape[0] * shape[1] * 3]
        if len(pixels) < shape[0] * shape[1] * 3:
            break
        frames.append((float(seconds), np.frombuffer(pixels, np.uint8).reshape(shape)))
        at += len(pixels)
    if not frames:
        raise ViewerRefused(f"FFmpeg shows nothing of {file.name}: {told[-300:]}")
    return frames


def magick_shows(file: Path, ground: str = "white") -> Picture:
    """The first picture of a file, turned as it asks for, on a ground. ImageMagick leaves colour
    profiles alone. Raises `ViewerRefused`.
    """
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "shown.png"
        command = [f"{file}[0]", "-auto-orient", "-background", ground, "-alpha", "remove"]
        command += ["-depth", "8", f"png24:{written}"]
        _done("magick", command, written)
        return _opaque(written.read_bytes())


def mpv_shows(file: Path, seconds: float = 0.0) -> Picture:
    """What mpv has on the screen at a time, subtitles that it shows by default included. Raises
    `ViewerRefused`.
    """
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "00000001.png"
        command = ["--no-config", "--no-audio", "--osd-level=0", "--hr-seek=yes", "--frames=1"]
        command += [f"--start={seconds}", "--vo=image", "--vo-image-format=png"]
        _done("mpv", [*command, f"--vo-image-outdir={folder}", "--", str(file)], written)
        return _opaque(written.read_bytes())


def vips_shows(file: Path, ground: tuple[int, int, int] = (255, 255, 255)) -> Picture:
    """The first picture of a file, turned as it asks for, by its colour profile if it has one, on a
    ground. Raises `ViewerRefused`.
    """
    with tempfile.TemporaryDirectory() as folder:
        turned, written = Path(folder) / "turned.v", Path(folder) / "shown.png"
        _done("vips", ["autorot", str(file), str(turned)], turned)
        try:
            # Not by vipsthumbnail: it changes the colours of a picture without a profile.
            _done(
                "vips", ["icc_transform", str(turned), str(written), "srgb", "--embedded"], written
            )
        except ViewerRefused:
            _done("vips", ["colourspace", str(turned), str(written), "srgb"], written)
        return _opaque(written.read_bytes(), ground)


def _done(name: str, arguments: list[str], written: Path) -> None:
    done = subprocess.run(
        [viewer(name), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )
    if not written.exists() or not written.stat().st_size:
        told = (done.stderr or done.stdout).decode(errors="replace")
        raise ViewerRefused(f"{name} shows nothing: {told[-300:]}")


def _opaque(png: bytes | str, ground: tuple[int, int, int] = (255, 255, 255)) -> Picture:
    """A PNG, or one in base64, as pixels."""
    data = base64.b64decode(png) if isinstance(png, str) else png
    with Image.open(io.BytesIO(data)) as opened:
        above = opened.convert("RGBA")
    below = Image.new("RGBA", above.size, (*ground, 255))
    return np.array(Image.alpha_composite(below, above).convert("RGB"))


# One browser for all tests of a process; another one if a file has ended it.
_browsers: list[Browser] = []


def _chromium() -> Browser:
    program = viewer("chromium")
    if _browsers:
        try:
            _browsers[0].call("Browser.getVersion")
        except BrowserFailed:
            _browsers.pop().close()
    if not _browsers:
        _browsers.append(Browser(program))
    return _browsers[0]


def browser_pid() -> int:
    """The process of the browser that `chromium_shows` and its like use."""
    return _chromium().pid


@atexit.register
def _close() -> None:
    for browser in _browsers:
        browser.close()


def _call(function: str, *given: Any) -> str:
    return f"({function})({', '.join(json.dumps(value) for value in given)})"


def _data_of(url: str) -> str:
    return url.partition(",")[2]


def _drawn(page: Page, function: str, *given: Any) -> Picture | None:
    url = page.run(_call(function, *given))
    return None if url is None else _opaque(_data_of(url))


# Shows an image on the page; its size.
_SHOW: Final = """async (url, ground) => {
  document.body.style.background = ground;
  const image = new Image();
  image.src = url;
  try { await image.decode(); } catch { return null; }
  document.body.append(image);
  return [image.naturalWidth, image.naturalHeight];
}"""

# An image on a canvas, as the address of a PNG.
_DRAW: Final = """async (url, ground) => {
  const image = new Image();
  image.src = url;
  try { await image.decode(); } catch { return null; }
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d");
  context.fillStyle = ground;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0);
  return canvas.toDataURL("image/png");
}"""

# Loads a video as far as its first picture; whether there is one.
_LOAD_VIDEO: Final = """(url) => new Promise((resolve) => {
  const video = document.createElement("video");
  video.muted = true;
  video.preload = "auto";
  video.onloadeddata = () => resolve(video.videoWidth > 0);
  video.onerror = () => resolve(false);
  document.body.append(video);
  video.src = url;
})"""

# The picture of the video at a time on a canvas, as the address of a PNG.
_SEEK: Final = """(seconds, ground) => new Promise((resolve) => {
  const video = document.querySelector("video");
  const draw = () => {
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    const context = canvas.getContext("2d");
    context.fillStyle = ground;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(video, 0, 0);
    resolve(canvas.toDataURL("image/png"));
  };
  video.onerror = () => resolve(null);
  // On a busy machine a video has sought before its new picture is there; of a time within the
  // picture that is there already no other comes.
  const shown = new Promise((told) => video.requestVideoFrameCallback(told));
  const waited = () => new Promise((told) => setTimeout(told, 1000));
  video.onseeked = () => Promise.race([shown, waited()]).then(draw);
  video.currentTime = seconds;
})"""

# Each frame of an animation with its seconds, as the address of a PNG.
_ANIMATION: Final = """async (url, ground) => {
  const data = await (await fetch(url)).blob();
  const frames = [];
  try {
    const decoder = new ImageDecoder({data: data.stream(), type: data.type});
    await decoder.completed;
    await decoder.tracks.ready;
    const track = decoder.tracks.selectedTrack;
    for (let index = 0; index < track.frameCount; index++) {
      const {image} = await decoder.decode({frameIndex: index});
      const canvas = document.createElement("canvas");
      canvas.width = image.displayWidth;
      canvas.height = image.displayHeight;
      const context = canvas.getContext("2d");
      context.fillStyle = ground;
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(image, 0, 0);
      frames.push([(image.duration ?? 0) / 1e6, canvas.toDataURL("image/png")]);
      image.close();
    }
  } catch { return frames; }
  return frames;
}"""
