"""One file, looked at as everything that viewers may take it for."""

from __future__ import annotations

import io
from types import ModuleType

import av
import numpy as np
import pytest
from PIL import Image

from hashmatch.decoding.channel import Done, Job
from hashmatch.decoding.media import image, luma, renderings, video
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.worker.inspect import inspect
from hashmatch.engine.hashing import pdq
from hashmatch.engine.sampling import densities
from hashmatch.model.records import DecodeLimits
from hashmatch.model.signals import Signals
from hashmatch.model.verdicts import Kind, VerdictReason
from tests.support import image_boxes, picture


def seen(data: bytes) -> tuple[list[bytes], Done]:
    """The digests of all that is seen of an upload, and what is told of it."""
    found: list[Signals] = []
    job = Job((Kind.PDQ,), False, densities.UPLOAD, DecodeLimits(60_000, 1 << 22), seed=1)
    done = inspect(BytesSource(data), job, lambda signals, _: found.extend(signals))
    return [digest.tobytes() for each in found for digest in each.digests], done


def near(digests: list[bytes], shown: Image.Image) -> bool:
    """True if one of the digests is of the picture."""
    (digest,), _ = pdq.digest(np.asarray(shown.convert("L"))[None])
    apart = [
        int(np.bitwise_count(np.frombuffer(each, np.uint8) ^ digest).sum()) for each in digests
    ]
    return min(apart, default=256) <= 31


STILL = Image.fromarray(picture(1, 128, 128))


def film(scene: int) -> bytes:
    """Two seconds of one scene in an MP4."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=4)
        stream.width, stream.height = 128, 128
        shown = av.VideoFrame.from_ndarray(picture(scene, 128, 128), "rgb24")
        for _ in range(8):
            shown.pts = None
            output.mux(stream.encode(shown))
        output.mux(stream.encode())
    return file.getvalue()


def avif(*pictures: Image.Image) -> bytes:
    """An image file of one still, or of a sequence."""
    file = io.BytesIO()
    rest = {"save_all": True, "append_images": pictures[1:]} if pictures[1:] else {}
    pictures[0].save(file, "AVIF", quality=90, **rest)
    return file.getvalue()


@pytest.mark.parametrize("brand", [b"avif", b"avis", b"mif1", b"isom"])
def test_a_file_that_is_a_still_and_a_film_is_looked_at_as_both(brand: bytes) -> None:
    """A decoy still would keep the film behind it from being seen, or the film the still."""
    digests, done = seen(image_boxes(avif(STILL), brand, film(7)))
    assert near(digests, STILL)
    for digest in seen(film(7))[0]:
        assert digest in digests
    assert done.media.format.count("mov") == 1
    assert done.media.format.count("avif") == 1


@pytest.mark.parametrize("brand", [b"mif1", b"isom", b"heic"])
def test_a_still_is_told_by_its_items_not_by_its_brand(brand: bytes) -> None:
    """A still under another brand would be refused, or taken for a film of its tiles."""
    data = avif(STILL)
    digests, done = seen(data[:8] + brand + data[12:])
    assert (done.reasons, done.media.format) == ((), "avif")
    assert near(digests, STILL)


def test_a_still_that_nothing_decodes_beside_a_film_is_told() -> None:
    """The film would be looked at and the still pass unseen."""
    data = image_boxes(avif(STILL).replace(b"av01", b"unci"), b"isom", film(7))
    _, done = seen(data)
    assert VerdictReason.UNSUPPORTED in [reason.code for reason in done.reasons]


def test_the_still_of_an_animation_is_looked_at() -> None:
    """Programs that play no animations show a still that nobody would have seen."""
    other = Image.fromarray(picture(5, 128, 128))
    data = avif(STILL, STILL, STILL)
    swapped = image_boxes(avif(other), b"avis", data)
    digests, _ = seen(swapped)
    assert near(digests, other)
    assert near(digests, STILL)


def test_a_black_drawing_on_a_transparent_ground_is_not_flat() -> None:
    """Every logo and signature would be held, as nothing is to be seen of it before black."""
    drawing = Image.new("RGBA", (128, 128))
    drawing.putalpha(STILL.convert("L"))
    file = io.BytesIO()
    drawing.save(file, "PNG")
    _, done = seen(file.getvalue())
    assert done.reasons == ()
    assert (done.coverage.frames_hashed, done.coverage.frames_flat) == (1, 0)


@pytest.mark.parametrize(("grain", "reasons"), [(0, []), (9, [VerdictReason.ALL_FRAMES_FLAT])])
def test_a_picture_that_is_flat_on_every_ground_is_told(
    grain: float, reasons: list[VerdictReason]
) -> None:
    """A picture of which a hash says nothing would pass as looked at; one colour says nothing."""
    rgba = np.full((256, 256, 4), (0, 0, 0, 100), np.uint8)
    rgba[..., 3] += np.random.default_rng(1).uniform(0, grain, (256, 256)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, "PNG")
    _, done = seen(file.getvalue())
    assert [reason.code for reason in done.reasons] == reasons
    assert (done.coverage.frames_hashed, done.coverage.frames_flat) == (1, 1)


@pytest.mark.parametrize(
    ("module", "name", "data"),
    [
        (video, "frames", film(1)),
        (luma, "from_video_frame", film(1)),
        (image, "frames", None),
        (renderings, "batches", None),
    ],
)
def test_a_fault_of_ours_calls_nothing_corrupt(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, data: bytes | None
) -> None:
    """A sound upload would be refused for what it is not, and tried again for ever."""
    if data is None:
        file = io.BytesIO()
        STILL.save(file, "PNG")
        data = file.getvalue()

    def failing(*_: object, **__: object) -> None:
        raise KeyError("secret.mp4")

    monkeypatch.setattr(module, name, failing)
    _, done = seen(data)
    assert [each.code for each in done.reasons] == [VerdictReason.WORKER_FAULT]
    assert done.reasons[0].detail.startswith(f"KeyError in {__name__}, line ")
    assert not done.coverage.complete


def test_what_a_decoder_raises_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken file would be told as a fault of hashmatch, by night."""
    file = io.BytesIO()
    STILL.save(file, "PNG")

    def failing(*_: object, **__: object) -> None:
        Image.frombytes("L", (9, 9), b"")

    monkeypatch.setattr(image, "frames", failing)
    _, done = seen(file.getvalue())
    assert [each.code for each in done.reasons] == [VerdictReason.CORRUPT]
