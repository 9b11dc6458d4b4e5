"""What programs show of a film is among what was hashed of it, or is told of as unseen."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashmatch.decoding import sandbox
from hashmatch.decoding.channel import Done
from hashmatch.decoding.sandbox import Sandbox, WorkerLimits
from hashmatch.decoding.spool import Spool, SpoolBudget
from hashmatch.model.signals import Signals
from tests import films, viewers
from tests.films import film, looked_at, nearest, reasons, textured, written
from tests.support import MIB

# Thresholds of banks are 31 bits; two decoders and scalers take up some of it.
NEAR = 20
SAME = 6
PQ, HLG, LINEAR = 16, 18, 8  # Transfer functions. Source: ITU-T H.273, table 3.
PICTURE, DECOY = textured(1), textured(2)
# Broad waves in the dark below fine ones: which are seen is a matter of the levels.
TWO_PICTURES = np.where(PICTURE > 125, 120 + DECOY // 3, PICTURE).astype(np.uint8)
LARGE = textured(3, 1280, 960)


def in_corner() -> bytes:
    """A large film with a small one in its corner."""
    plane = LARGE.copy()
    plane[:240, :320] = PICTURE
    return film([plane] * 5)


def test_a_clean_aperture_is_looked_at(tmp_path: Path) -> None:
    """A film that lies in the corner of a decoy would pass, where `clap` leaves the corner."""
    plain = in_corner()
    assert nearest(looked_at(plain)[0], PICTURE) > SAME  # Near, as a picture in a picture.
    cropped = films.with_clap(plain, (320, 240), 0, 0)
    digests, done = looked_at(cropped)
    assert nearest(digests, PICTURE) <= SAME
    # Programs that know no `clap` show all of it.
    (shown,) = viewers.ffmpeg_frames(written(cropped, tmp_path, "clap.mp4"), 0.2)
    assert min(nearest(digests, shown), nearest(digests, LARGE)) <= NEAR
    assert reasons(done) == []


def test_a_pixel_crop_is_looked_at(tmp_path: Path) -> None:
    """The same in Matroska, as browsers show it."""
    plane = LARGE.copy()
    plane[-240:, -320:] = PICTURE
    plain = film([plane] * 5, "matroska", container_options={"live": "1"})
    assert nearest(looked_at(plain)[0], PICTURE) > SAME  # Near, as a picture in a picture.
    cropped = films.with_pixel_crop(plain, 720, 0, 960, 0)
    digests, done = looked_at(cropped)
    assert nearest(digests, PICTURE) <= SAME
    assert nearest(digests, plane) <= NEAR
    assert reasons(done) == []


@pytest.mark.parametrize("degrees", [30, -77, 135])
def test_a_tilted_film_is_looked_at_tilted(degrees: int, tmp_path: Path) -> None:
    """A film that was tilted, and is tilted back by its matrix, would pass."""
    tilted = films.turned(film([PICTURE] * 5), degrees)
    digests, done = looked_at(tilted)
    path = written(tilted, tmp_path, "tilted.mp4")
    assert nearest(digests, viewers.ffmpeg_frames(path, 0.2)[0]) <= NEAR
    assert nearest(digests, viewers.mpv_shows(path)) <= NEAR
    assert nearest(digests, PICTURE) <= NEAR  # Browsers ignore such a matrix.
    assert reasons(done) == []


@pytest.mark.parametrize("matrix", [(-1, 0, 0, 1), (0, 1, 1, 0), (1, 0, 0, -1), (0, -1, 1, 0)])
def test_a_mirrored_film_is_upright(
    matrix: tuple[float, float, float, float], tmp_path: Path
) -> None:
    """Hashes that are taken of a picture as it is shown alone would not find it."""
    data = films.with_matrix(film([PICTURE] * 5), *matrix)
    (shown,) = viewers.ffmpeg_frames(written(data, tmp_path, "mirrored.mp4"), 0.2)
    assert nearest(looked_at(data)[0], shown) <= NEAR


@pytest.mark.parametrize("codec", ["libvpx-vp9", "libvpx"])
def test_alpha_of_webm_is_looked_at(codec: str, tmp_path: Path) -> None:
    """A decoy whose transparency makes another film of it would pass; browsers show that one."""
    grounds = np.full_like(PICTURE, 235)
    options: Any = {"auto-alt-ref": "0"}
    data = film([grounds] * 5, "webm", codec, alpha=[PICTURE] * 5, **options)
    digests, done = looked_at(data)
    path = written(data, tmp_path, "alpha.webm")
    for ground in ("#000", "#777"):
        (shown,) = viewers.chromium_plays(path, [0.2], ground)
        assert nearest(digests, shown) <= NEAR
    assert reasons(done) == []


@pytest.mark.parametrize("rate", [PQ, HLG, LINEAR])
def test_another_transfer_function_is_looked_at(rate: int, tmp_path: Path) -> None:
    """A film whose levels are far from those of a screen would pass, though browsers map them."""
    data = film([TWO_PICTURES] * 5, "mp4", color_trc=str(rate))
    digests, done = looked_at(data)
    (shown,) = viewers.chromium_plays(written(data, tmp_path, "transfer.mp4"), [0.2])
    assert nearest(digests, shown) <= NEAR
    assert reasons(done) == []


@pytest.mark.parametrize("kind", ["dvd", "fragments"])
def test_what_an_edit_list_hides_is_looked_at(kind: str) -> None:
    """Programs that follow no edit list show what it leaves out."""
    flags = {"movflags": "frag_keyframe+empty_moov"} if kind == "fragments" else {}
    planes = [DECOY] * 15 + [PICTURE] * 15
    data = film(planes, container_options=flags)

    def cut(edits: bytes) -> bytes:
        (place,) = struct.unpack_from(">i", edits, 12)
        return edits[:8] + struct.pack(">IiHH", 1500, place, 1, 0)

    if kind == "dvd":
        assert nearest(looked_at(data)[0], PICTURE) <= SAME
        data = films.changed(data, (b"moov", b"trak", b"edts", b"elst"), cut)
    digests, done = looked_at(data)
    assert nearest(digests, PICTURE) <= SAME
    assert nearest(digests, DECOY) <= SAME
    assert reasons(done) == []


def test_both_fields_are_looked_at() -> None:
    """Two pictures woven into each other would pass; players that unweave them show each."""
    woven = PICTURE.copy()
    woven[1::2] = DECOY[1::2]
    interlaced: Any = {"x264-params": "tff=1"}
    data = film([woven] * 5, qp="1", **interlaced)
    digests, _ = looked_at(data)
    assert nearest(digests, PICTURE) <= NEAR
    assert nearest(digests, DECOY) <= NEAR
    assert nearest(looked_at(film([woven] * 5, qp="1"))[0], PICTURE) > NEAR


def subtitled() -> bytes:
    """A film with a subtitle over all of it that is another picture."""
    more = films.with_subtitles(films.sup(PICTURE), "sup")
    return film([DECOY] * 10, "matroska", more=more)


def test_subtitles_of_pgs_are_looked_at(tmp_path: Path) -> None:
    """A picture that covers the film as a subtitle would pass; mpv shows it by default."""
    data = subtitled()
    digests, done = looked_at(data)
    shown = viewers.mpv_shows(written(data, tmp_path, "pgs.mkv"), 0.4)
    assert nearest(digests, shown) <= NEAR
    assert nearest(digests, DECOY) <= NEAR
    assert reasons(done) == []


@pytest.mark.parametrize(("codec", "unseen"), [("dvdsub", False), ("dvbsub", True)])
def test_subtitles_of_discs_and_broadcasts(codec: str, unseen: bool, tmp_path: Path) -> None:
    """The same as DVDs have it, whose picture is looked at, and as broadcasts have it, which is
    told of.
    """
    bars = np.where(textured(9) > 120, 235, 16).astype(np.uint8)
    more = films.with_subtitles(films.sup(bars), "sup")
    path = written(film([DECOY] * 10, "matroska", more=more), tmp_path, "pgs.mkv")
    other = tmp_path / "other.mkv"
    command = ["-v", "error", "-fix_sub_duration", "-i", str(path), "-map", "0", "-c:v", "copy"]
    subprocess.run(
        [str(viewers.viewer("ffmpeg")), *command, "-c:s", codec, str(other)],
        check=True,
        capture_output=True,
    )
    digests, done = looked_at(other.read_bytes())
    if unseen:
        assert reasons(done) == [f"UNSEEN_MEDIA: a subtitle track ({codec})"]
    else:
        assert nearest(digests, viewers.mpv_shows(other, 0.4)) <= NEAR
        assert reasons(done) == []


def test_the_subtitle_and_the_film_together(tmp_path: Path) -> None:
    """Half of a picture in the film and half in a subtitle would pass."""
    halves = PICTURE.copy()
    halves[:, 160:] = DECOY[:, 160:]
    data = film(
        [halves] * 10, "matroska", more=films.with_subtitles(films.sup(PICTURE, alpha=200), "sup")
    )
    digests, _ = looked_at(data)
    shown = viewers.mpv_shows(written(data, tmp_path, "half.mkv"), 0.4)
    assert nearest(digests, shown) <= NEAR


ASS = """[Script Info]
PlayResX: 320
PlayResY: 240

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,{text}
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (r"{\pos(10,10)\i1}An ordinary line{\i0}", []),
        (r"{\an7\p1}m 0 0 l 320 0 320 240 0 240{\p0}", ["drawings in a subtitle track"]),
        (r"{\an7\p 4}m 0 0 l 320 0", ["drawings in a subtitle track"]),
        (r"{\clip(m 0 0 l 9 9 0 9)}x", ["drawings in a subtitle track"]),
        ("\u2588\u2592" * 60, ["a subtitle text of blocks"]),
        ("@#%." * 400, ["subtitle texts of more characters than are read"]),
    ],
)
def test_drawings_in_text_are_told_of(text: str, told: list[str]) -> None:
    """A picture that is drawn by commands in a subtitle would pass."""
    more = films.with_subtitles(ASS.format(text=text).encode(), "ass")
    _, done = looked_at(film([DECOY] * 5, "matroska", more=more))
    assert reasons(done) == [f"UNSEEN_MEDIA: {each}" for each in told]


@pytest.mark.asyncio
async def test_a_confined_worker_does_all_of_it(tmp_path: Path) -> None:
    """A decoder that is loaded late, or asks the kernel for more, would hold such uploads."""
    tilted = films.turned(film([PICTURE] * 3), 30)
    alpha: Any = {"auto-alt-ref": "0"}
    opaque = np.full_like(PICTURE, 235)
    kinds = [
        tilted,
        subtitled(),
        film([opaque] * 3, "webm", "libvpx-vp9", alpha=[PICTURE] * 3),
        film([opaque] * 3, "webm", "libvpx", alpha=[PICTURE] * 3, **alpha),
    ]
    limits = WorkerLimits(wall_seconds=60, cpu_seconds=30, memory_bytes=512 * MIB)
    environment = {"NUMBA_CACHE_DIR": os.environ["NUMBA_CACHE_DIR"]}
    found: list[Signals] = []

    async def keep(signals: list[Signals], _: Done) -> bool:
        found.extend(signals)
        return False

    async with sandbox.running(Sandbox(1, limits, environment)) as running:
        for data in kinds:
            spool = Spool(SpoolBudget(32 * MIB, 0, tmp_path))
            try:
                await spool.append(data)
                await spool.end()
                done = await running.inspect(spool, films.JOB, keep)
            finally:
                spool.close()
            assert done is not None
            assert reasons(done) == []
            digests = np.concatenate([each.digests for each in found])
            found.clear()
            assert nearest(digests, PICTURE) <= NEAR
