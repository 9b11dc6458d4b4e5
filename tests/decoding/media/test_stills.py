"""Image files of items: every picture of them is seen, as viewers put it together."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from hashmatch.decoding.media import image
from hashmatch.decoding.media.formats import sniff
from hashmatch.decoding.media.source import BytesSource
from hashmatch.decoding.media.tally import Tally
from hashmatch.model.records import DecodeLimits
from hashmatch.model.verdicts import Part, VerdictReason
from tests import items as made
from tests.decoding.media.test_colour import apart, seen
from tests.decoding.worker.test_inspect import film, near
from tests.decoding.worker.test_inspect import seen as looked_at
from tests.items import Item, image_file
from tests.support import box, boxes, moved, picture
from tests.viewers import chromium_shows_each, magick_shows

SHOWN = Image.fromarray(picture(31, 128, 128))
OTHER = Image.fromarray(picture(32, 128, 128))
CODED = made.coded(SHOWN)
CODED_OTHER = made.coded(OTHER)
ANTICLOCKWISE = box(b"irot", b"\1")
MIRRORED = box(b"imir", b"\1")


def tiles(of: Image.Image) -> list[Item]:
    """A picture of 128 x 128 pixels in four."""
    return [made.coded(of.crop((x, y, x + 64, y + 64))) for y in (0, 64) for x in (0, 64)]


def aperture(left: int, top: int, width: int, height: int) -> bytes:
    """Cuts a part out of a picture of 128 x 128 pixels."""
    right_by, down_by = 2 * left + width - 128, 2 * top + height - 128
    content = struct.pack(">4IiIiI", width, 1, height, 1, right_by, 2, down_by, 2)
    return box(b"clap", content)


CODINGS = {
    "hevc": CODED,
    "hevc of 10 bits": made.coded(SHOWN, pixels="yuv420p10le"),
    "hevc of 12 bits": made.coded(SHOWN, pixels="yuv444p12le"),
    "hevc 4:2:2": made.coded(SHOWN, pixels="yuv422p10le"),
    "grey hevc": made.coded(SHOWN, pixels="gray"),
    "grey hevc of 10 bits": made.coded(SHOWN, pixels="gray10le"),
    "h264": made.coded(SHOWN, "libx264"),
    "jpeg": made.saved(SHOWN, b"jpeg"),
    "jpeg 2000": made.saved(SHOWN, b"j2k1"),
    "av1": made.av1(SHOWN),
}


@pytest.mark.parametrize("name", CODINGS)
@pytest.mark.parametrize("in_list", [False, True])
def test_every_coding_is_seen(name: str, in_list: bool) -> None:
    """Every photograph of a phone would be refused."""
    brand = b"avci" if name == "h264" else b"mif1"
    batches, told = seen(image_file([CODINGS[name]], brand=brand, in_list=in_list))
    assert (len(batches), told) == (1, [])
    assert apart(batches, SHOWN) <= 10


COMPOSED = {
    "grid": image_file(
        [*tiles(SHOWN), made.grid(2, 2, 128, 128)], (b"dimg", 5, (1, 2, 3, 4)), primary=5
    ),
    "cut grid": image_file(
        [*tiles(SHOWN), made.grid(2, 2, 120, 110)], (b"dimg", 5, (1, 2, 3, 4)), primary=5
    ),
    "identity": image_file(
        [CODED, made.identity().with_(ANTICLOCKWISE)], (b"dimg", 2, (1,)), primary=2
    ),
    "overlay": image_file(
        [CODED, CODED_OTHER, made.overlay(200, 160, (10, 10), (60, 40))],
        (b"dimg", 3, (1, 2)),
        primary=3,
    ),
    "turned": image_file([CODED.with_(ANTICLOCKWISE)]),
    "mirrored": image_file([CODED.with_(MIRRORED)]),
    "turned and mirrored": image_file([CODED.with_(ANTICLOCKWISE, MIRRORED)]),
    "mirrored and turned": image_file([CODED.with_(MIRRORED, ANTICLOCKWISE)]),
    "cut": image_file([CODED.with_(aperture(40, 20, 64, 80))]),
    "turned tiles": image_file(
        [
            *(each.with_(box(b"irot", b"\2")) for each in tiles(SHOWN)),
            made.grid(2, 2, 128, 128).with_(MIRRORED),
        ],
        (b"dimg", 5, (1, 2, 3, 4)),
        primary=5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPOSED)
def test_it_is_put_together_as_viewers_do(name: str, tmp_path: Path) -> None:
    """What is shown would be other than what was looked at."""
    (tmp_path / "shown.heic").write_bytes(COMPOSED[name])
    theirs = magick_shows(tmp_path / "shown.heic")
    batches, told = seen(COMPOSED[name])
    assert told == []
    assert apart(batches, Image.fromarray(theirs)) <= 10


def test_a_part_that_is_cut_out_is_seen_and_so_is_the_whole() -> None:
    """Programs differ in what they show."""
    whole = OTHER.copy()
    whole.paste(SHOWN.resize((64, 64)), (20, 40))
    batches, told = seen(image_file([made.coded(whole).with_(aperture(20, 40, 64, 64))]))
    assert told == []
    assert apart(batches, SHOWN) <= 16
    assert apart(batches, whole) <= 10


@pytest.mark.parametrize("kind", [b"thmb", b"auxl", b"cdsc", b"dimg", b""])
def test_items_beside_the_first_are_seen(kind: bytes) -> None:
    """Thumbnails, depth, gain maps and hidden pictures would pass unseen."""
    references = [(kind, 2, (1,))] if kind else []
    data = image_file([CODED, CODED_OTHER], *references, hidden=frozenset({2}))
    batches, told = seen(data)
    assert told == []
    assert apart(batches, SHOWN) <= 10
    assert apart(batches, OTHER) <= 10


def test_the_preview_in_its_exif_is_seen() -> None:
    """A file manager shows it."""
    preview = io.BytesIO()
    OTHER.save(preview, "JPEG")
    # A directory for the picture, whose orientation has no say here, and one for its preview.
    first = struct.pack("<2sHIH", b"II", 42, 8, 1) + struct.pack("<HHIHxxI", 0x0112, 3, 1, 6, 26)
    second = struct.pack("<HHHIIHHIII", 2, 513, 4, 1, 56, 514, 4, 1, len(preview.getvalue()), 0)
    tags = (first + second).ljust(56, b"\0") + preview.getvalue()
    described = Item(b"Exif", struct.pack(">I", 6) + b"Exif\0\0" + tags)
    batches, told = seen(image_file([CODED, described], (b"cdsc", 2, (1,))))
    assert told == []
    assert apart(batches[:1], SHOWN) <= 10
    assert apart(batches, OTHER) <= 10
    _, told = seen(image_file([CODED, Item(b"Exif", b"")], (b"cdsc", 2, (1,))))
    assert told == []


def test_a_gain_map_is_seen_with_its_picture() -> None:
    """Every photograph of a newer phone would be held."""
    tone_mapped = Item(b"tmap", bytes(62), [made.size_of(128, 128)])
    data = image_file([CODED, CODED_OTHER, tone_mapped], (b"dimg", 3, (1, 2)))
    batches, told = seen(data)
    assert told == []
    assert apart(batches, OTHER) <= 10


def test_of_many_pictures_not_all_are_looked_at_and_it_is_told() -> None:
    """A file of a thousand pictures would keep a worker busy, or hide the last one."""
    small = made.coded(SHOWN.resize((64, 64)))
    _, told = seen(image_file([small] * 40))
    assert told == [VerdictReason.UNSEEN_MEDIA]


@pytest.mark.parametrize("is_premultiplied", [False, True])
def test_transparency_is_seen_on_both_grounds(is_premultiplied: bool) -> None:
    """A picture in the transparency would show on one ground and be seen on none."""
    colours = Image.new("RGB", (128, 128), (0, 0, 0) if is_premultiplied else (255, 255, 255))
    alpha = made.coded(SHOWN, pixels="gray").with_(made.ALPHA)
    references = [(b"auxl", 2, (1,))] + [(b"prem", 1, (2,))] * is_premultiplied
    batches, told = seen(image_file([made.coded(colours), alpha], *references))
    assert told == []
    assert {batch.part for batch in batches} == {Part.FULL, Part.FULL_ON_WHITE}
    shown = Image.fromarray(255 - np.asarray(SHOWN)) if is_premultiplied else SHOWN
    assert apart(batches, shown) <= 10


def test_colours_are_as_the_item_says() -> None:
    """A picture that only its profile or its code points bring to light would pass."""
    dark = Image.fromarray((np.asarray(SHOWN).astype(float) / 255 * 60 + 50).astype(np.uint8))
    codes = box(b"colr", b"nclx" + struct.pack(">3HB", 9, 16, 9, 0x80))
    batches, told = seen(image_file([made.coded(dark).with_(codes)]))
    assert told == []
    assert len(batches) == 2


@pytest.mark.parametrize("coded", [CODED, CODINGS["av1"]], ids=["heic", "avif"])
@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_the_short_form_is_read(
    coded: Item, has_alpha: bool, orientation: int, tmp_path: Path
) -> None:
    """Chromium shows it."""
    alpha = made.av1(OTHER.convert("L")) if coded.kind == b"av01" else made.coded(OTHER)
    data = made.short_file(coded, alpha if has_alpha else None, orientation=orientation)
    batches, told = seen(data)
    assert told == []
    assert len(batches) == 1 + has_alpha
    if coded.kind == b"av01":
        (tmp_path / "shown.avif").write_bytes(data)
        (theirs,) = chromium_shows_each([tmp_path / "shown.avif"])
        assert theirs is not None
        assert apart(batches, Image.fromarray(theirs)) <= 10
    elif not has_alpha and orientation == 1:
        assert apart(batches, SHOWN) <= 10


def test_an_avif_that_one_decoder_refuses_is_seen_by_another() -> None:
    """Transparency without a size of its own, as older encoders write it, is shown by viewers."""
    alpha = made.av1(OTHER.convert("L"))
    data = image_file(
        [CODINGS["av1"], Item(alpha.kind, alpha.data, [alpha.properties[0], made.ALPHA])],
        (b"auxl", 2, (1,)),
        brand=b"avif",
    )
    batches, told = seen(data)
    assert told == []
    assert len(batches) == 2


# What is wrong, and for what reason it is refused.
WRONG = {
    "unknown coding": ([Item(b"unci", bytes(99))], (), VerdictReason.UNSUPPORTED),
    "damaged": (
        [Item(b"hvc1", b"\0\xff" + CODED.data[2:], CODED.properties)],
        (),
        VerdictReason.CORRUPT,
    ),
    "cut short": ([Item(b"hvc1", CODED.data[:-300], CODED.properties)], (), VerdictReason.CORRUPT),
    "without a decoder's start": ([Item(b"hvc1", CODED.data)], (), VerdictReason.CORRUPT),
    "empty": ([Item(b"hvc1", b"", CODED.properties)], (), VerdictReason.CORRUPT),
    "of itself": ([made.identity()], ((b"dimg", 1, (1,)),), VerdictReason.CORRUPT),
    "grid without parts": ([made.grid(2, 2, 64, 64)], (), VerdictReason.CORRUPT),
    "grid without bytes": ([Item(b"grid", b"")], ((b"dimg", 1, (1,)),), VerdictReason.CORRUPT),
    "overlay without bytes": ([Item(b"iovl", b"")], ((b"dimg", 1, (1,)),), VerdictReason.CORRUPT),
    "nothing": ([made.grid(1, 1, 0, 0), CODED], ((b"dimg", 1, (2,)),), VerdictReason.CORRUPT),
    "too large": (
        [made.grid(1, 1, 9000, 9000), CODED],
        ((b"dimg", 1, (2,)),),
        VerdictReason.FRAME_SIZE_LIMIT,
    ),
    "the same part too often": (
        [made.grid(255, 256, 1000, 1000), made.coded(SHOWN.resize((1000, 1000)), quality=50)],
        ((b"dimg", 1, (2,) * 65535),),
        VerdictReason.FRAME_SIZE_LIMIT,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_as_what_it_is(name: str) -> None:
    """A sender would be blamed for what is whole, or what nobody saw would pass."""
    listed, references, reason = WRONG[name]
    _, told = seen(image_file(listed, *references))
    assert reason in told
    if reason is not VerdictReason.CORRUPT:
        assert VerdictReason.CORRUPT not in told


def test_a_file_that_ends_too_early_is_told() -> None:
    """The rest of it would pass unseen."""
    data = image_file([CODED])
    for end in (len(data) - 1, len(data) - 2000, 60, 20):
        _, done = looked_at(data[:end])
        assert [each.code for each in done.reasons] == [VerdictReason.TRUNCATED]


def test_a_list_that_says_two_things_is_told() -> None:
    """Each viewer would go by the one that nobody looked at."""
    data = image_file([CODED, CODED_OTHER])
    at = data.index(b"iloc") + 12
    twice = data[: at + 16] + data[at : at + 2] + data[at + 18 :]
    _, told = seen(twice)
    assert VerdictReason.UNSEEN_MEDIA in told


def test_any_bytes_are_borne() -> None:
    """A crafted file would end a worker, or count as a fault of it."""
    rng = np.random.default_rng(5)
    whole = [COMPOSED["overlay"], COMPOSED["turned tiles"], made.short_file(CODED, CODED_OTHER)]
    for number in range(150):
        data = bytearray(whole[number % len(whole)])
        for _ in range(4):
            data[rng.integers(16, min(len(data), 1400))] = rng.integers(256)
        source = BytesSource(bytes(data))
        image_format = sniff(source)
        if image_format is not None and image_format.name in ("heif", "avif"):
            tally = Tally()
            for _ in image.frames(source, image_format, DecodeLimits(60_000, 1 << 20), tally):
                pass


MOVING = film(7)


@pytest.mark.parametrize(
    "data",
    [
        image_file([CODED]) + box(b"mpvd", MOVING),
        image_file([CODED]) + box(b"mpvd", MOVING) + box(b"sefd", b"SEFH" + bytes(40) + b"SEFT"),
        image_file([CODED]) + MOVING,
        image_file([CODED]) + b"trailer of a vendor" + MOVING,
        image_file([CODINGS["av1"]], brand=b"avif") + MOVING,
        made.short_file(CODED) + box(b"mpvd", MOVING),
    ],
    ids=["box", "box and trailer", "second file", "behind other bytes", "avif", "short"],
)
def test_the_film_behind_a_photograph_is_seen(data: bytes) -> None:
    """A gallery plays it."""
    digests, done = looked_at(data)
    assert done.reasons == ()
    assert near(digests, SHOWN)
    for digest in looked_at(MOVING)[0]:
        assert digest in digests
    assert done.media.format.count("mov") == 1


def test_a_sequence_and_its_still_are_seen() -> None:
    """Bursts and short films of phones have both."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=4)
        stream.width, stream.height = 128, 128
        for _ in range(4):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(OTHER), "rgb24")))
        output.mux(stream.encode())
    data = file.getvalue().replace(b"vide", b"pict", 1)
    tracks = boxes(data)
    still = COMPOSED["grid"]
    before = still[:8] + b"isom" + still[12:]
    moov = moved(
        tracks[b"moov"], b"stco", data.index(tracks[b"mdat"]), len(still) + len(tracks[b"moov"])
    )
    both = before + moov + tracks[b"mdat"]
    for whole in (data[:8] + b"hevc" + data[12:], still + data, both):
        digests, done = looked_at(whole)
        assert done.reasons == ()
        assert near(digests, OTHER)
        assert done.coverage.streams <= 2
    assert near(digests, SHOWN)


def test_a_sequence_that_one_decoder_refuses_is_seen_by_another() -> None:
    """Players show animations that browsers do not."""
    file = io.BytesIO()
    SHOWN.save(file, "AVIF", save_all=True, append_images=[OTHER], quality=90)
    data = file.getvalue()
    tracks = boxes(data)
    # Without items, and with a track that libavif does not take for one of pictures.
    refused = data.replace(b"pict", b"vide").replace(tracks[b"meta"][4:8], b"free", 1)
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(refused), formats=["AVIF"])
    digests, done = looked_at(refused)
    assert done.reasons == ()
    assert near(digests, SHOWN)
    assert near(digests, OTHER)


def test_what_lies_outside_of_the_size_of_a_picture_is_seen() -> None:
    """Cameras leave it there, and programs show the picture with it or without."""
    smaller = Item(b"hvc1", CODED.data, [CODED.properties[0], made.size_of(32, 32)])
    batches, told = seen(image_file([smaller]))
    assert told == []
    assert {batch.luma.shape[1:] for batch in batches} == {(32, 32), SHOWN.size[::-1]}
    digests, done = looked_at(image_file([smaller]))
    assert done.reasons == ()
    assert near(digests, SHOWN)


@pytest.mark.parametrize("kind", [b"a1op", b"lsel"])
def test_a_layer_that_was_not_decoded_is_told(kind: bytes) -> None:
    """Another one was, which is larger than the item says."""
    chosen = box(kind, bytes(1 if kind == b"a1op" else 2))
    smaller = Item(b"hvc1", CODED.data, [CODED.properties[0], made.size_of(32, 32), chosen])
    assert seen(image_file([smaller]))[1] == [VerdictReason.UNSEEN_MEDIA]


def test_a_sequence_whose_still_is_named_and_not_there_is_whole() -> None:
    """Browsers show it: there is no second picture to wait for."""
    file = io.BytesIO()
    SHOWN.save(file, "AVIF", save_all=True, append_images=[OTHER], quality=90)
    data = file.getvalue()
    tracks = boxes(data)
    meta = tracks[b"meta"]
    for kind in (b"iinf", b"iloc", b"iprp", b"iref"):
        meta = meta.replace(kind, b"free")
    digests, done = looked_at(data.replace(tracks[b"meta"], meta))
    assert done.reasons == ()
    assert near(digests, SHOWN)
    assert near(digests, OTHER)


def test_an_avif_without_a_primary_item_is_no_film_that_was_cut() -> None:
    """A user would send it again for ever."""
    file = io.BytesIO()
    SHOWN.save(file, "AVIF", quality=90)
    digests, done = looked_at(file.getvalue().replace(b"pitm", b"free"))
    assert near(digests, SHOWN)
    assert [reason.code for reason in done.reasons] == [VerdictReason.CORRUPT]


@pytest.mark.parametrize("coding", ["av1", "hevc"])
def test_bytes_behind_the_boxes_of_a_still_are_nothing(coding: str) -> None:
    """What a form that was sent badly leaves behind a file is no reason to hold it."""
    data = image_file([CODINGS[coding]], brand=b"avif" if coding == "av1" else b"heic")
    digests, done = looked_at(data + b"\r\n--")
    assert done.reasons == ()
    assert near(digests, SHOWN)
