"""Pictures attached to a video are screened as the images they are."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from hashmatch.decoding.media import image, video
from hashmatch.decoding.media.attached import AttachedPicture
from hashmatch.decoding.media.formats import sniff
from hashmatch.decoding.media.source import BytesSource, FileSource
from hashmatch.decoding.media.tally import Tally
from hashmatch.engine.hashing import pdq
from hashmatch.engine.hashing.frames import FrameBatch
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import Part, VerdictReason
from tests.support import picture

LIMITS = DecodeLimits(60_000, 1 << 22)


def encoded(pillow_format: str, mode: str = "RGB", size: tuple[int, int] = (700, 600)) -> bytes:
    """A picture as a file."""
    made = Image.fromarray(picture(3)).resize(size).convert(mode)
    if mode == "RGBA":
        made.putalpha(Image.linear_gradient("L").resize(size))
    buffer = io.BytesIO()
    made.save(buffer, pillow_format)
    return buffer.getvalue()


def feed(data: bytes, limits: DecodeLimits = LIMITS) -> tuple[list[FrameBatch], Tally]:
    """What is made of a packet with these bytes."""
    tally = Tally()
    attached = AttachedPicture(3, limits, tally)
    batches = [*attached.feed(av.Packet(data)), *attached.finish(), *attached.salvage()]
    return batches, tally


@pytest.mark.parametrize("pillow_format", ["PNG", "JPEG", "BMP", "WEBP"])
def test_it_is_hashed_as_the_image_is(pillow_format: str) -> None:
    """A listed image would pass as the cover of a harmless video."""
    data = encoded(pillow_format)
    batches, tally = feed(data)
    source = BytesSource(data)
    image_format = sniff(source)
    assert image_format is not None
    (alone,) = image.frames(source, image_format, LIMITS, Tally())
    assert [batch.stream for batch in batches] == [3]
    assert pdq.digest(batches[0].luma)[0].tobytes() == pdq.digest(alone.luma)[0].tobytes()
    assert (tally.reasons, tally.frames_decoded) == ([], 1)


def test_on_both_grounds() -> None:
    """Transparency would hide a picture here too."""
    batches, _ = feed(encoded("PNG", "RGBA"))
    assert [batch.part for batch in batches] == [Part.FULL, Part.FULL_ON_WHITE]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"no picture at all", VerdictReason.UNSUPPORTED),
        (encoded("PNG")[:-40], VerdictReason.TRUNCATED),
        (encoded("PNG", size=(3000, 2000)), VerdictReason.FRAME_SIZE_LIMIT),
    ],
)
def test_what_cannot_be_looked_at_is_told(data: bytes, code: VerdictReason) -> None:
    """An upload whose cover nobody saw would be published."""
    batches, tally = feed(data)
    assert [reason.code for reason in tally.reasons] == [code]
    assert "attached" in tally.reasons[0].detail
    assert batches == []


def test_of_a_real_clip(corpus: Path) -> None:
    """Covers as real programs attach them would not be found."""
    path = corpus / "perception--extra_channel_attached_pic.mp4"
    with av.open(str(path)) as container:
        (cover,) = [bytes(packet) for packet in container.demux(video=1) if packet.size]
    with Image.open(io.BytesIO(cover)) as shown:
        assert shown.format == "PNG"
    with path.open("rb") as file:
        source = FileSource(file)
        video_format = sniff(source)
        assert video_format is not None
        tally = Tally()
        batches = list(video.frames(source, video_format, LIMITS, tally, max_gap_ms=1000, seed=0))
    (expected,) = feed(cover)[0]
    found = [batch for batch in batches if batch.stream == 1]
    assert len(found) == 1
    assert np.array_equal(found[0].luma, expected.luma)
    assert (tally.streams, tally.reasons) == (2, [])
