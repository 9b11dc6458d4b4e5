"""PDQ against the reference implementation, and against what must not change a digest."""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pdqhash
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hashmatch.decoding.media import luma as pixels
from hashmatch.engine.hashing import pdq
from tests.support import TORTURE

Rgb = npt.NDArray[np.uint8]
Digest = npt.NDArray[np.uint8]

# What each of `pdq.TURNS` does to a plane.
TURNED: dict[str, Callable[[Any], Any]] = {
    "none": lambda plane: plane,
    "rotate_90": np.rot90,
    "rotate_180": lambda plane: np.rot90(plane, 2),
    "rotate_270": lambda plane: np.rot90(plane, 3),
    "flip_vertical": np.flipud,
    "flip_horizontal": np.fliplr,
    "transpose": np.transpose,
    "anti_transpose": lambda plane: np.rot90(plane, 2).T,
}

SIZES = [
    (5, 5),
    (5, 64),
    (10, 10),
    (63, 65),
    (64, 64),
    (65, 63),
    (127, 129),
    (128, 128),
    (129, 384),
    (512, 7),
    (7, 512),
    (513, 511),
    (720, 1280),
]


def textured(height: int, width: int, seed: int = 0) -> Rgb:
    """Colour waves of many directions, as strong as in a photograph, and a little noise."""
    rng = np.random.default_rng(seed)
    y = np.linspace(0, 2 * np.pi, height, endpoint=False)[:, None]
    x = np.linspace(0, 2 * np.pi, width, endpoint=False)[:, None]
    picture = rng.normal(0, 0.02, (height, width, 3)).astype(np.float32)
    waves = np.array([rng.uniform([-9, -9, 0, 0, 0], [9, 9, *[2 * np.pi] * 3]) for _ in range(40)])
    rows, columns, *phases = waves.T
    amplitude = 1 / (1 + np.hypot(rows, columns))
    for channel, phase in enumerate(phases):
        # sin(a + b), summed over all waves.
        down = np.hstack([np.sin(rows * y + phase), np.cos(rows * y + phase)])
        across = np.hstack([np.cos(columns * x), np.sin(columns * x)])
        picture[..., channel] += down @ (across * np.tile(amplitude, 2)).T
    picture -= picture.min()
    rgb: Rgb = (picture * (255 / picture.max())).astype(np.uint8)
    return rgb


def bits(a: Digest, b: Digest) -> int:
    """How many bits two digests differ in."""
    return int(np.bitwise_count(a ^ b).sum())


def reference(rgb: Rgb) -> tuple[Digest, int]:
    """The digest and quality of the reference implementation."""
    vector, quality = pdqhash.compute(np.ascontiguousarray(rgb))
    return np.packbits(vector), int(quality)


def ours(rgb: Rgb) -> tuple[Digest, int]:
    """The same of ours."""
    digests, quality = pdq.digest(pixels.from_rgb(rgb)[None])
    return digests[0], int(quality[0])


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("seed", [1, 2])
def test_textured_images_hash_as_in_the_reference(height: int, width: int, seed: int) -> None:
    """An entry from a list that others made would be missed."""
    rgb = textured(height, width, seed)
    expected, quality = reference(rgb)
    assert quality > 90
    found, found_quality = ours(rgb)
    assert (bits(expected, found), found_quality) == (0, quality)


@given(
    # Below this, so many coefficients of a picture are equal that chance decides their bits.
    height=st.integers(32, 300),
    width=st.integers(32, 300),
    seed=st.integers(0, 2**32 - 1),
    contrast=st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_any_size_and_contrast_hash_as_in_the_reference(
    height: int, width: int, seed: int, contrast: float
) -> None:
    """Pictures of an unusual size, or faint ones, would be missed or wrongly called flat."""
    rgb = (textured(height, width, seed) * contrast).astype(np.uint8)
    expected, quality = reference(rgb)
    found, found_quality = ours(rgb)
    # A gradient that lies on a step may fall to either side of it.
    assert abs(found_quality - quality) <= 1
    if quality >= pdq.MIN_QUALITY:
        # So may a coefficient that lies on the median.
        assert bits(expected, found) <= 2


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 300), (300, 1), (4, 4), (4, 64), (64, 4)]
)
def test_slivers_say_nothing(height: int, width: int) -> None:
    """An image of four pixels would count as looked at, and match others like it by chance."""
    rgb = textured(height, width)
    expected, quality = reference(rgb)
    assert quality == 0
    found, found_quality = ours(rgb)
    assert (bits(expected, found), found_quality) == (0, 0)


@pytest.mark.parametrize("level", [0, 1, 128, 255])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (90, 160), (720, 1280)])
def test_a_flat_frame_has_no_quality(height: int, width: int, level: int) -> None:
    """Black frames would match each other, or a black video would pass as looked at."""
    rgb = np.full((height, width, 3), level, np.uint8)
    assert ours(rgb)[1] == reference(rgb)[1] == 0


def test_a_nearly_flat_frame_has_the_quality_of_the_reference() -> None:
    """A frame near the limit would be searched here and left out elsewhere."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None], 256, axis=0)
    for divisor in range(1, 40):
        rgb = np.repeat((ramp // divisor)[..., None], 3, axis=2)
        assert ours(rgb)[1] == reference(rgb)[1]


PHOTOGRAPHS = (
    *("astronaut", "brick", "camera", "chelsea", "clock", "coffee", "coins", "grass", "gravel"),
    *("hubble_deep_field", "moon", "page", "retina", "rocket", "text"),
)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_hash_as_in_the_reference(name: str) -> None:
    """What holds for made-up pictures might not hold for real ones."""
    picture: Rgb = getattr(skimage.data, name)()
    rgb = np.stack([picture] * 3, axis=2) if picture.ndim == 2 else picture[..., :3]
    expected, quality = reference(rgb)
    found, found_quality = ours(rgb)
    assert (bits(expected, found), found_quality) == (0, quality)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (127, 90), (512, 512), (720, 1280)])
def test_turns_are_those_of_the_reference(height: int, width: int) -> None:
    """Mirrored and turned copies would be looked for with the wrong hashes."""
    rgb = textured(height, width, 3)
    vectors, _ = pdqhash.compute_dihedral(rgb)
    found, _ = pdq.dihedral(pixels.from_rgb(rgb)[None])
    assert [bits(np.packbits(v), row) for v, row in zip(vectors, found[0], strict=True)] == [0] * 8


# Sides on which the boxes of the filter lie the same way from both ends: an odd width, and no
# centre on the border of two pixels.
EVEN_HANDED = [n for n in range(20, 400) if -(-n // 128) % 2 == 1 and n % 128]


@given(
    height=st.sampled_from(EVEN_HANDED),
    width=st.sampled_from(EVEN_HANDED),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=25, deadline=None)
def test_a_row_is_the_digest_of_the_turned_frame(height: int, width: int, seed: int) -> None:
    """A copy turned or mirrored by an uploader would not be recognised."""
    plane = pixels.from_rgb(textured(height, width, seed))
    rows, _ = pdq.dihedral(plane[None])
    for row, turn in zip(rows[0], pdq.TURNS, strict=True):
        turned, _ = pdq.digest(np.ascontiguousarray(TURNED[turn](plane))[None])
        assert bits(row, turned[0]) <= 2, turn


@pytest.mark.parametrize(
    ("height", "width", "most"),
    [(360, 640, 10), (540, 960, 10), (720, 1280, 10), (512, 384, 22)],
)
def test_a_row_is_near_the_digest_of_the_turned_frame_at_any_size(
    height: int, width: int, most: int
) -> None:
    """Where the filter's boxes lean to one side, a turned copy would be too far off to match.

    Most so where 128 divides a side: then all of its centres lie on the border of two pixels.
    """
    plane = pixels.from_rgb(textured(height, width, 4))
    rows, _ = pdq.dihedral(plane[None])
    for row, turn in zip(rows[0], pdq.TURNS, strict=True):
        turned, _ = pdq.digest(np.ascontiguousarray(TURNED[turn](plane))[None])
        assert bits(row, turned[0]) <= most, turn


def test_fewer_turns_are_the_first_ones() -> None:
    """An entry, which is hashed without turns, would get other hashes than an upload."""
    planes = np.stack([pixels.from_rgb(textured(90, 120, seed)) for seed in range(3)])
    every, quality = pdq.dihedral(planes)
    for count in (1, 3):
        some, some_quality = pdq.dihedral(planes, turns=count)
        assert np.array_equal(some, every[:, :count])
        assert np.array_equal(some_quality, quality)
    digests, _ = pdq.digest(planes)
    assert np.array_equal(digests, every[:, 0])


@given(gain=st.floats(0.01, 10), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_gain_changes_quality_only(gain: float, seed: int) -> None:
    """The same picture in limited and in full range would hash differently."""
    plane = (pixels.from_rgb(textured(64, 80, seed)) / 12)[None].astype(np.float32)
    plain, quality = pdq.digest(plane)
    raised, raised_quality = pdq.digest(plane, gain=gain)
    assert np.array_equal(plain, raised)
    assert raised_quality[0] >= quality[0] if gain >= 1 else raised_quality[0] <= quality[0]
    stretched, stretched_quality = pdq.digest((plane * np.float32(gain)).astype(np.float32))
    # Rounding may move single gradients over a step.
    assert abs(int(stretched_quality[0]) - int(raised_quality[0])) <= 1
    assert bits(stretched[0], raised[0]) <= 2


@given(
    n=st.integers(1, 3),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    padding=st.integers(0, 40),
    step=st.sampled_from([1, 2, -1]),
    axis=st.sampled_from([0, 1, 2]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_strides_do_not_matter(
    n: int, height: int, width: int, padding: int, step: int, axis: int, seed: int
) -> None:
    """A decoder's padded plane would be hashed with the padding in it."""
    rng = np.random.default_rng(seed)
    shape = [n, height, width]
    shape[axis] *= abs(step)
    padded = rng.integers(0, 256, (shape[0], shape[1], shape[2] + padding), np.uint8)
    cut: list[Any] = [slice(None), slice(None), slice(0, shape[2])]
    if step == -1:
        planes = np.flip(padded[tuple(cut)], axis)
    else:
        planes = padded[tuple(cut)]
        planes = planes[tuple(slice(None, None, step if i == axis else 1) for i in range(3))]
    for each in (planes, planes.astype(np.float32)):
        found, quality = pdq.dihedral(each)
        expected, expected_quality = pdq.dihedral(np.ascontiguousarray(planes))
        assert np.array_equal(found, expected)
        assert np.array_equal(quality, expected_quality)


def test_turned_views_of_a_plane_hash_as_copies_do() -> None:
    """A video with a rotation tag, whose planes are turned views, would hash to nonsense."""
    plane = pixels.from_rgb(textured(72, 128)).astype(np.uint8)
    for turn, change in TURNED.items():
        view = change(plane)
        assert np.array_equal(
            pdq.digest(view[None])[0], pdq.digest(np.ascontiguousarray(view)[None])[0]
        ), turn


def test_a_frame_does_not_depend_on_its_batch() -> None:
    """What was left of one frame would get into the hash of the next."""
    planes = np.stack([pixels.from_rgb(textured(66, 99, seed)) for seed in range(4)])
    together, quality = pdq.dihedral(planes)
    for i in (3, 0, 2, 1):
        alone, alone_quality = pdq.dihedral(planes[i : i + 1])
        assert np.array_equal(alone[0], together[i])
        assert alone_quality[0] == quality[i]
    assert pdq.digest(planes[:0])[0].shape == (0, 32)


def test_read_only_planes_are_hashed() -> None:
    """Frames straight from a decoder's buffer would be refused."""
    raw = textured(64, 64)[..., 0].tobytes()
    plane = np.frombuffer(raw, np.uint8).reshape(1, 64, 64)
    assert np.array_equal(pdq.digest(plane)[0], pdq.digest(plane.copy())[0])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((1, 64, 64, 3), np.uint8),
        np.zeros((1, 0, 64), np.uint8),
        np.zeros((1, 64, 0), np.uint8),
        np.zeros((1, 64, 64), np.float64),
        np.zeros((1, 64, 64), np.uint16),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_what_is_no_batch_of_planes_is_refused(array: Any) -> None:
    """Pixels of another layout would be hashed as if they were luma."""
    with pytest.raises(ValueError, match="at least one pixel is needed"):
        pdq.digest(array)


# Of each real clip: key frames, and frames of any sort. None: all of them.
KEY_FRAMES, FRAMES = (None, None) if TORTURE else (5, 150)


@pytest.mark.corpus
def test_key_frames_of_real_clips_hash_as_in_the_reference(corpus: Path) -> None:
    """A list that others made of real clips would be missed."""
    compared, differing = 0, {}
    for clip in sorted(corpus.iterdir()):
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            stream.codec_context.skip_frame = "NONKEY"
            for frame in islice(container.decode(stream), KEY_FRAMES):
                rgb = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                expected, quality = reference(rgb)
                found, found_quality = ours(rgb)
                compared += 1
                assert abs(found_quality - quality) <= 1
                if quality and bits(expected, found):
                    differing[f"{clip.name} at {frame.pts}"] = bits(expected, found)
    assert compared >= 150
    assert differing == {}
    print(f"{compared} key frames, all as in the reference")


def golden(folder: Path) -> list[tuple[Path, Digest]]:
    """Pictures and their digests by the reference implementation."""
    with (folder / "pdq" / "golden.csv").open() as file:
        return [
            (folder / "pdq" / row["file"], np.frombuffer(bytes.fromhex(row["pdq"]), np.uint8))
            for row in csv.DictReader(file)
        ]


@pytest.mark.corpus
def test_golden_pictures_made_small_as_the_reference_does(reference: Path) -> None:
    """A picture on a list made by the reference implementation would be missed."""
    distances = {}
    for path, expected in golden(reference):
        with Image.open(path) as image:
            rgb = image.convert("RGB")
        rgb.thumbnail((512, 512))
        distances[path.name] = bits(expected, ours(np.asarray(rgb))[0])
    assert len(distances) == 18
    assert sorted(distances.values())[:17] == [0] * 17
    assert max(distances.values()) <= 10


@pytest.mark.corpus
def test_golden_pictures_at_full_size(reference: Path) -> None:
    """A list made without the reference's reduction would be too far off."""
    for path, expected in golden(reference):
        with Image.open(path) as image:
            found, _ = ours(np.asarray(image.convert("RGB")))
        assert bits(expected, found) <= 12, path.name


@pytest.mark.corpus
def test_decoded_luma_hashes_as_vpdq_does(corpus: Path, reference: Path) -> None:
    """Entries of a list made with vPDQ would not match the same video here.

    Every third frame of what is decoded of each clip.
    """
    compared, worst, total = 0, 0, 0
    for listed in sorted((reference / "vpdq").iterdir()):
        lines = [line.split(",") for line in listed.read_text().splitlines()]
        with av.open(str(corpus / f"ThreatExchange--{listed.stem}.mp4")) as container:
            decoded = 0
            for number, frame in enumerate(islice(container.decode(video=0), FRAMES)):
                decoded += 1
                if number % 3 or int(lines[number][1]) < 80:
                    continue
                (batch,) = pixels.from_video_frame(frame, 0)
                digests, _ = pdq.digest(batch.luma, gain=batch.gain)
                expected = np.frombuffer(bytes.fromhex(lines[number][2]), np.uint8)
                distance = bits(expected, digests[0])
                assert distance <= 6, f"{listed.stem}, frame {number}"
                compared, worst, total = compared + 1, max(worst, distance), total + distance
        assert decoded == len(lines[:FRAMES]), listed.stem
    assert compared >= 400
    assert total / compared < 1
    print(f"{compared} frames, {total / compared:.2f} bits on average, {worst} at most")
