"""What is seen of a file belongs to its versions: who changes the one has to raise the other."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, features

from hashmatch.decoding.media import image, luma, versions
from hashmatch.decoding.media.formats import sniff
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.media.tally import Tally
from hashmatch.decoding.worker.local import look
from hashmatch.engine.sampling import densities
from hashmatch.engine.sampling.frames import FrameChooser
from hashmatch.engine.sampling.insets import InsetFinder
from hashmatch.engine.sampling.views import ContentFinder
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import Kind
from tests.support import picture

SEED = 0x0123456789ABCDEF0123456789ABCDEF

# What each version sees of the media below, digested. Keep none but the present ones.
KNOWN = {
    ("DECODER_VERSION", 4): "e2198c30bc91c835",
    ("SAMPLER_VERSION", 4): "1d9586cc9a8a6766",
    ("VIEWS_VERSION", 3): "139f351eeb86387c",
}


def digested(values: Iterator[Any]) -> str:
    """Sixteen digits that tell what was seen from anything else."""
    digest = hashlib.sha256()
    for value in values:
        data = value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
        digest.update(len(data).to_bytes(8) + data)
    return digest.hexdigest()[:16]


def saved(pictures: list[Image.Image], form: str, **options: Any) -> bytes:
    """A file without loss."""
    file = io.BytesIO()
    more = {"save_all": True, "append_images": pictures[1:]} if len(pictures) > 1 else {}
    pictures[0].save(file, form, **more, **options)
    return file.getvalue()


def decoded() -> Iterator[Any]:
    """Luma of pictures of several sorts, none of which a library may decode in two ways."""
    colours = Image.fromarray(picture(1)).convert("RGB").resize((48, 40))
    clear = colours.copy()
    clear.putalpha(Image.linear_gradient("L").resize((48, 40)))
    grey = Image.fromarray((np.arange(48 * 40, dtype=np.uint16) * 34).reshape(40, 48))
    turned = Image.Exif()
    turned[0x0112] = 6
    pages = [colours, colours.rotate(180)]
    for data in (
        saved([colours], "PNG"),
        saved([clear], "PNG"),
        saved([grey], "PNG"),
        saved([colours.convert("P")], "GIF"),
        saved([colours], "PNG", exif=turned),
        saved([colours], "BMP"),
        saved(pages, "TIFF"),
        saved(pages, "PNG", duration=[5, 300]),
    ):
        source, tally = BytesSource(data), Tally()
        image_format = sniff(source)
        assert image_format is not None
        for batch in image.frames(source, image_format, DecodeLimits(60_000, 1 << 20), tally):
            yield np.rint(batch.luma * batch.gain).astype(np.uint8)
            yield batch.pts_ms.tolist(), batch.part, batch.luma.shape
        yield tally.coverage()
    for name in ("yuv420p", "yuvj420p", "gray", "rgb24", "rgba"):
        frame = av.VideoFrame.from_ndarray(np.asarray(colours), "rgb24").reformat(format=name)
        for batch in luma.from_video_frame(frame, 0):
            # To an eighth: FFmpeg converts by other instructions on other processors.
            yield np.rint(batch.luma * batch.gain / 8).astype(np.uint8)


def sampled(media: Path) -> Iterator[Any]:
    """Which frames of clips are kept, by a seed; and of sketches that change."""
    for name in ("all_intra.mp4", "one_key_frame.mp4", "variable_rate.mp4", "two_streams.mkv"):
        found = look(media / "clips" / name, (Kind.PDQ,), turns=True, pictures=True, seed=SEED)
        yield name, [(each.pts_ms, each.key) for each in found.chosen]
        coverage = found.done.coverage
        yield coverage.frames_decoded, coverage.longest_unseen_ms, coverage.seen_permille
    rng = np.random.default_rng(1)
    sketches = rng.integers(0, 2, (60, 256)).cumsum(axis=0) // 9 % 2
    numbers = [int("".join(map(str, row)), 2) for row in sketches]
    chooser: FrameChooser[int] = FrameChooser(densities.UPLOAD, lambda number: number)
    kept = [each for at, number in enumerate(numbers) for each in chooser.offer(at * 90, number)]
    yield [(each.pts_ms, each.why) for each in [*kept, *chooser.finish()]]


def viewed() -> Iterator[Any]:
    """What is taken for content within borders, and for an inset."""
    content, insets = ContentFinder(), InsetFinder()
    inner = np.asarray(Image.fromarray(picture(3)).convert("L").resize((120, 90)))
    for number in range(12):
        framed = np.full((160, 200), 16, np.uint8)
        framed[30:120, 40:160] = np.roll(inner, number * 3, axis=1)
        yield content.boxes(framed)
        outer = np.asarray(Image.fromarray(picture(50 + number)).convert("L").resize((200, 160)))
        set_in = outer.copy()
        set_in[30:120, 40:160] = np.roll(inner, number * 5, axis=1)
        yield [(each.pts_ms, each.luma.shape) for each in insets.offer(number * 400, set_in)]
    yield [(each.pts_ms, each.luma.shape) for each in insets.finish()]


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("DECODER_VERSION", lambda media: decoded()),
        ("SAMPLER_VERSION", sampled),
        ("VIEWS_VERSION", lambda media: viewed()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_seen_is_what_the_version_says(
    name: str, seen: Callable[[Path], Iterator[Any]], media: Path
) -> None:
    """What was screened by a server that saw less would go on being NO_MATCH."""
    version = getattr(versions, name)
    found = digested(seen(media))
    assert (name, version) in KNOWN, f"KNOWN has no ({name!r}, {version}) yet: it is {found!r}"
    assert found == KNOWN[name, version], (
        f"what is seen of media has changed, and {name} is still {version}: raise it in "
        f"hashmatch/decoding/media/versions.py, so that what was stored is looked at anew, and put "
        f"({name!r}, {version + 1}): {found!r} here"
    )


def test_the_versions_are_told_in_a_short_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's version would be refused as no short text; or two that see otherwise be equal."""
    told = versions.look_version()
    assert len(told) <= 200
    assert told.isprintable()
    assert told == versions.look_version()
    for name in ("DECODER_VERSION", "SAMPLER_VERSION", "VIEWS_VERSION"):
        with monkeypatch.context() as changed:
            changed.setattr(versions, name, 999)
            assert versions.look_version() != told
    newer = {**av.library_versions, "libswscale": (99, 0, 0)}
    with monkeypatch.context() as changed:
        changed.setattr(av, "library_versions", newer)
        assert versions.look_version() != told
    with monkeypatch.context() as changed:
        changed.setattr(features, "version", lambda _: "another")
        assert versions.look_version() != told
    assert re.fullmatch(
        r"decoder \d+, sampler \d+, views \d+, av \S+, ffmpeg \S+, pillow \S+, "
        r"libraries [0-9a-f]{12}",
        told,
    )
