"""The quick search: it finds what the plain one does, whatever the digests are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hashmatch.engine.index import bands
from hashmatch.engine.index.bands import Bands, warm_up
from hashmatch.engine.index.bits import Hits, to_words
from hashmatch.engine.index.scan import scan
from tests.support import TORTURE, lets_others_run

Digests = npt.NDArray[np.uint8]

RADII = (0, 1, 15, 16, 30, 31, 32, 47, 48, 62, 63)


@pytest.fixture(autouse=True)
def _by_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few digests are looked up in the tables too, and not compared one by one."""
    monkeypatch.setattr(bands, "_LOOKUP_COST", 0)


def assert_same(found: Hits, wanted: Hits) -> None:
    """The same pairs in the same order."""
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype == np.int64
        assert np.array_equal(one, other)


def flipped(digests: Digests, most: int, seed: int) -> Digests:
    """Copies in which up to so many bits differ."""
    rng = np.random.default_rng(seed)
    bits = np.unpackbits(digests, axis=1)
    order = rng.random(bits.shape).argsort(axis=1)
    flips = order < rng.integers(0, most + 1, (len(bits), 1))
    return np.packbits(bits ^ flips, axis=1)


def like_pictures(count: int, width: int, spread: float, seed: int) -> Digests:
    """Digests whose bits depend on each other, as those of pictures do: the smaller ``spread``,
    the more of them share a chunk. Some are near others, some the same.
    """
    rng = np.random.default_rng(seed)
    low = rng.normal(size=(count, 4)) @ rng.normal(size=(4, 8 * width))
    noise = rng.normal(size=(count, 8 * width))
    digests = np.packbits(low * (1 - spread) + noise * spread > 0, axis=1)
    if count > 3:
        near = digests[: count // 4]
        digests[count // 4 : count // 4 + len(near)] = flipped(near, 40, seed)
        digests[-(count // 8) :] = digests[0]
    return digests


@given(
    count=st.integers(0, 200),
    width=st.integers(8, 32),
    radius=st.integers(0, 63),
    spread=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
@example(count=0, width=32, radius=31, spread=1.0, seed=0)
@example(count=1, width=8, radius=63, spread=0.0, seed=0)
@example(count=200, width=32, radius=63, spread=0.0, seed=1)
@settings(max_examples=1000 if TORTURE else 60, deadline=None)
def test_every_pair_that_the_plain_search_finds(
    count: int, width: int, radius: int, spread: float, seed: int
) -> None:
    """A prohibited picture would pass because of what else is in the blocklist."""
    known = like_pictures(count, width, spread, seed)
    queries = np.concatenate([like_pictures(20, width, spread, seed + 1), flipped(known, 70, seed)])
    wanted = scan(to_words(queries), to_words(known), radius)
    assert_same(Bands(known, radius).search(queries), wanted)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 17, 1000])
@pytest.mark.parametrize("width", [8, 9, 20, 32])
def test_many_queries_at_all_radii(size: int, width: int) -> None:
    """One in many would be missed: 85,800 are asked in all."""
    known = like_pictures(size, width, 0.5, size)
    # Of shorter ones a large part of all values is looked up.
    asked = 1000 if width == 32 or TORTURE else 100
    copies = [flipped(known, 64, seed) for seed in range(1 + asked // max(1, size))]
    queries = np.concatenate([*copies, like_pictures(asked, width, 0.5, 99)])[:asked]
    index = Bands(known)
    for radius in RADII:
        wanted = scan(to_words(queries), to_words(known), radius)
        assert_same(index.search(queries, radius), wanted)


@pytest.mark.parametrize("differing", range(64))
def test_pairs_at_the_radius_are_found_wherever_they_differ(differing: int) -> None:
    """An uploader could choose in which bits a copy differs."""
    rng = np.random.default_rng(differing)
    known = rng.integers(0, 256, (300, 32), np.uint8)
    bits = np.unpackbits(known, axis=1)
    for number, row in enumerate(bits):
        # Anywhere; all in a row; a few in each of some chunks.
        places = [
            rng.choice(256, differing, replace=False),
            (np.arange(differing) + number) % 256,
            (np.arange(differing) * 16 + np.arange(differing) // 16 + number) % 256,
        ][number % 3]
        row[places] ^= 1
    queries = np.packbits(bits, axis=1)
    index = Bands(known)
    query, digest, distance = index.search(queries, differing)
    same = query == digest
    assert same.sum() == len(known)
    assert (distance[same] == differing).all()
    if differing:
        query, digest, _ = index.search(queries, differing - 1)
        assert not (query == digest).any()


@pytest.mark.parametrize("radius", [0, 31, 63])
@pytest.mark.parametrize("size", [1, 1000, 20_000])
def test_all_the_same(size: int, radius: int) -> None:
    """A blocklist of one black frame, again and again, would find nothing, or all twice."""
    known = np.full((size, 32), 0x5A, np.uint8)
    near = np.repeat(known[:1], 2, axis=0)
    near[1, :4] ^= 0xFF  # 32 bits away
    index = Bands(known, radius)
    query, digest, distance = index.search(near)
    asked = 2 if radius >= 32 else 1
    assert np.array_equal(query, np.repeat(np.arange(asked), size))
    assert np.array_equal(digest, np.tile(np.arange(size), asked))
    assert np.array_equal(distance, np.repeat([0, 32][:asked], size))


def test_a_million(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is right among a thousand could be wrong where numbers get large."""
    monkeypatch.undo()
    rng = np.random.default_rng(0)
    known = rng.integers(0, 256, (1_000_000, 32), np.uint8)
    known[500_000:520_000] = like_pictures(20_000, 32, 0.3, 0)
    queries = np.concatenate(
        [flipped(known[::8000], 40, 0), flipped(known[519_000::10_000], 40, 0)]
    )
    index = Bands(known)
    for radius in (0, 31, 47):
        wanted = scan(to_words(queries), to_words(known), radius)
        assert len(wanted[0]) > (10 if radius else 0)
        assert_same(index.search(queries, radius), wanted)
    assert index.nbytes <= 120 * len(index)


def test_many_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where so many are alike that comparing all is quicker, the tables are given up half way:
    pairs would be found twice, or not at all.
    """
    monkeypatch.undo()
    known = like_pictures(60_000, 32, 0.02, 0)
    queries = known[::6_000].copy()
    assert_same(Bands(known).search(queries), scan(to_words(queries), to_words(known), 31))


def test_from_columns_as_they_were() -> None:
    """A loaded index would find something else than the one that was stored."""
    known = like_pictures(500, 20, 0.5, 0)
    made = Bands(known, 20)
    loaded = Bands.from_columns(made.columns(), 20, 20)
    assert len(loaded) == 500
    assert loaded.nbytes == made.nbytes
    assert_same(loaded.search(known), made.search(known))


@pytest.mark.parametrize("name", ["words", "starts", "nexts", "rows"])
def test_columns_that_do_not_fit_are_refused(name: str) -> None:
    """Memory beyond an array would be read."""
    columns = Bands(like_pictures(50, 32, 0.5, 0)).columns()
    cut = {**columns, name: columns[name][..., :-1]}
    other = {**columns, name: columns[name].astype(np.int16)}
    for wrong in (cut, other):
        with pytest.raises(ValueError, match=r"^\w+ is .* is needed$"):
            Bands.from_columns(wrong, 32)


def test_what_is_no_digest_is_refused() -> None:
    """Digests of one width would be compared with those of another."""
    wrongs: tuple[npt.NDArray[Any], ...] = (
        np.zeros((3, 7), np.uint8),
        np.zeros((3, 33), np.uint8),
        np.zeros(32, np.uint8),
        np.zeros((3, 32), np.int64),
    )
    for wrong in wrongs:
        with pytest.raises(ValueError, match="digests are"):
            Bands(wrong)
        with pytest.raises(ValueError, match="queries are"):
            Bands(np.zeros((3, 32), np.uint8)).search(wrong)


def test_more_than_can_be_numbered_are_refused() -> None:
    """Some would take the number of others, and accuse them."""
    many = np.broadcast_to(np.zeros((1, 32), np.uint8), (bands.MAX_DIGESTS + 1, 32))
    with pytest.raises(ValueError, match="16777217 digests, at most 16777216 are allowed"):
        Bands(many)


def test_other_threads_run_meanwhile() -> None:
    """One search would hold up every other upload."""
    warm_up()
    known = np.random.default_rng(0).integers(0, 256, (40_000, 32), np.uint8)
    index = Bands(known)
    # Few enough for one thread: a search in several lets others run by waiting for them.
    assert lets_others_run(lambda: index.search(known[:100], 31), "lambda out: search(some")
